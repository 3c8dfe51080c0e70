"""The simulator as a service: every venue host on a port of its own, one beat for all, faults, ledgers and the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from autobahn.exception import Disconnected
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from attrs import define, field
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator.binance_rest import RestBinanceHost
from cryptodash.simulator.bybit_rest import RestBybitHost
from cryptodash.simulator.faults import Faults
from cryptodash.simulator.host import SLOW_BY, Host, Session
from cryptodash.simulator.limits import BINANCE_SPOT, BINANCE_USDM, BYBIT, Ledger
from cryptodash.simulator.market import BEAT, Economy, Market
from cryptodash.simulator.truth import Truth

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
EXCHANGES = ("binance", "bybit")
"""The venues that have a simulator."""

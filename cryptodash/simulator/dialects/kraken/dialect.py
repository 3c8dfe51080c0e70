"""Kraken as the simulator speaks it: spot, WebSocket v2 and REST behind one host name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.dialects.kraken.instruments import MARKETS
from cryptodash.simulator.dialects.kraken.recordings import KrakenRecordings
from cryptodash.simulator.dialects.kraken.rest import KrakenHost
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec

# docs.kraken.com and support.kraken.com: about 150 connections in ten minutes, about one REST request a second (here as
# a mean over a minute). How many messages a second are too many, the venue does not say: it was seen to refuse the
# sixteenth. It has no limit of subscriptions.
LIMITS = HostLimits(messages=15, streams=10_000, connects=150, weight=60, weight_window=60_000, connect_window=600_000)


@implementer(IDialect)
class KrakenDialect:
    """The spot market, every fault."""

    exchange = "kraken"
    hosts: Sequence[HostSpec] = (HostSpec("kraken", (MarketType.SPOT,), ("/v2",), "/0/public", LIMITS, KrakenHost),)
    markets: Mapping[MarketType, MarketSpec] = MARKETS
    faults: Collection[str] = FAULTS.keys() - {"rename", "wrong-contract"}
    recordings: IRecordingReader | None = KrakenRecordings()


DIALECT = KrakenDialect()

"""OKX's V5 as the simulator speaks it: spot and linear perpetuals behind one host name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.dialects.okx.channels import BUSINESS, PUBLIC
from cryptodash.simulator.dialects.okx.instruments import MARKETS
from cryptodash.simulator.dialects.okx.recordings import OkxRecordings
from cryptodash.simulator.dialects.okx.rest import OkxHost
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec

# Documents, "WebSocket", "Connect": 3 connections a second. Requests on a connection and the length of its arguments
# are counted in websocket.py, REST requests by endpoint in rest.py.
LIMITS = HostLimits(messages=None, streams=10_000, connects=3, weight=1_000, weight_window=2_000, connect_window=1_000)


@implementer(IDialect)
class OkxDialect:
    """Both markets, every fault."""

    exchange = "okx"
    hosts: Sequence[HostSpec] = (
        HostSpec("okx", (MarketType.SPOT, MarketType.PERPETUAL), (PUBLIC, BUSINESS), "/api/v5", LIMITS, OkxHost),
    )
    markets: Mapping[MarketType, MarketSpec] = MARKETS
    faults: Collection[str] = FAULTS.keys()
    recordings: IRecordingReader | None = OkxRecordings()


DIALECT = OkxDialect()

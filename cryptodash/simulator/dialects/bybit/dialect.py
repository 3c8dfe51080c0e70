"""Bybit's V5 as the simulator speaks it: spot and linear perpetuals behind one host name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.dialects.bybit.instruments import MARKETS
from cryptodash.simulator.dialects.bybit.recordings import BybitRecordings
from cryptodash.simulator.dialects.bybit.rest import BybitHost
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec

# bybit-exchange.github.io/docs/v5, "Connect" and "Rate Limit Rules"; the topics' sum of characters is in websocket.py
LIMITS = HostLimits(messages=None, streams=10_000, connects=500, weight=600, weight_window=5_000)


@implementer(IDialect)
class BybitDialect:
    """Both markets, every fault."""

    exchange = "bybit"
    hosts: Sequence[HostSpec] = (
        HostSpec(
            "bybit",
            (MarketType.SPOT, MarketType.PERPETUAL),
            ("/v5/public/spot", "/v5/public/linear"),
            "/v5/market",
            LIMITS,
            BybitHost,
        ),
    )
    markets: Mapping[MarketType, MarketSpec] = MARKETS
    faults: Collection[str] = FAULTS.keys() - {"rename", "wrong-contract"}
    recordings: IRecordingReader | None = BybitRecordings()


DIALECT = BybitDialect()

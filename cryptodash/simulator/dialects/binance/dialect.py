"""Binance as the simulator speaks it: spot and USD-M, each behind a host name of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.dialects.binance.instruments import MARKETS
from cryptodash.simulator.dialects.binance.recordings import BinanceRecordings
from cryptodash.simulator.dialects.binance.rest import BinanceHost
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec

# developers.binance.com, "WebSocket Streams" and "Limits" (spot), "General Info" (USD-M)
SPOT_LIMITS = HostLimits(messages=5, streams=1024, connects=300, weight=6_000, weight_window=60_000)
USDM_LIMITS = HostLimits(messages=10, streams=1024, connects=300, weight=2_400, weight_window=60_000)


@implementer(IDialect)
class BinanceDialect:
    """Both markets, every fault."""

    exchange = "binance"
    hosts: Sequence[HostSpec] = (
        HostSpec("binance-spot", (MarketType.SPOT,), ("/stream", "/ws"), "/api/v3", SPOT_LIMITS, BinanceHost),
        HostSpec(
            "binance-perpetual",
            (MarketType.PERPETUAL,),
            ("/public/stream", "/market/stream"),
            "/fapi/v1",
            USDM_LIMITS,
            BinanceHost,
        ),
    )
    markets: Mapping[MarketType, MarketSpec] = MARKETS
    faults: Collection[str] = FAULTS.keys() - {"rename", "wrong-contract"}
    recordings: IRecordingReader | None = BinanceRecordings()


DIALECT = BinanceDialect()

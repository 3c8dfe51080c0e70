"""What the simulated Binance lists. The numbers of a line are explained at ``read_table``."""

from __future__ import annotations

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.market import MarketSpec, UpdateIds

_EIGHT = (8, 8)
"""Spot pads every price and size to eight decimals."""

_SPOT = """
BTC USDT 2 1 5 1 36000
ETH USDT 2 1 4 1 24000
BNB USDT 2 1 3 1 5400
SOL USDT 2 1 3 1 12000
XRP USDT 4 1 1 1 9000
DOGE USDT 5 1 0 1 6600
ADA USDT 4 1 1 1 2700
AVAX USDT 2 1 2 1 2000
LINK USDT 2 1 2 1 2400
LTC USDT 2 1 3 1 1300
DOT USDT 3 1 2 1 1000
TRX USDT 4 1 1 1 1500
SUI USDT 4 1 1 1 3000
BCH USDT 1 1 3 1 900
NEAR USDT 3 1 1 1 840
PEPE USDT 8 1 0 1 3600
SHIB USDT 8 1 0 1 1400
BTC USDC 2 1 5 1 6000
ETH USDC 2 1 4 1 4000
SOL USDC 2 1 3 1 2000
ETH BTC 5 1 4 1 1200
SOL BTC 7 1 3 1 600
LTC BTC 6 1 3 1 300
NKN USDT 4 1 1 1 20
"""

_USDM = """
BTC USDT 2 10 3 1 43200
ETH USDT 2 1 3 1 28800
BNB USDT 3 10 2 1 6480
SOL USDT 4 100 2 1 14400
XRP USDT 4 1 1 1 10800
DOGE USDT 6 10 0 1 7920
ADA USDT 5 10 0 1 3240
AVAX USDT 4 10 0 1 2400
LINK USDT 3 1 2 1 2880
LTC USDT 2 1 3 1 1560
DOT USDT 3 1 1 1 1200
TRX USDT 5 1 0 1 1800
SUI USDT 6 100 1 1 3600
BCH USDT 2 1 3 1 1080
NEAR USDT 4 10 0 1 1000
UNI USDT 4 10 0 1 860
ATOM USDT 3 1 2 1 720
FIL USDT 3 1 1 1 580
1000xPEPE USDT 7 1 0 1 4320
1000xSHIB USDT 6 1 0 1 1680
BTC USDC 1 1 3 1 7200
ETH USDC 2 1 3 1 4800
NKN USDT 5 1 0 1 20
"""

# What a real catalogue holds besides: a halted pair, and a dated future that is no perpetual.
_HALTED = InstrumentSpec(
    "binance", MarketType.SPOT, "BCH", "BTC", "BCHBTC", 6, 1, 3, 1, "BCH", trading=False, places=_EIGHT
)
_DATED = InstrumentSpec(
    "binance", MarketType.PERPETUAL, "BTC", "USDT", "BTCUSDT_270326", 1, 1, 3, 1, "BTC", kind="future"
)

MARKETS = {
    MarketType.SPOT: MarketSpec(
        (*read_table("binance", MarketType.SPOT, _SPOT, places=_EIGHT), _HALTED), UpdateIds.PER_INSTRUMENT
    ),
    MarketType.PERPETUAL: MarketSpec((*read_table("binance", MarketType.PERPETUAL, _USDM), _DATED), UpdateIds.SHARED),
}

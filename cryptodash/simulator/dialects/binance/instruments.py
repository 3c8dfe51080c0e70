"""What the simulated Binance lists. The numbers of a line are explained at ``read_table``."""

from __future__ import annotations

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.market import MarketSpec, UpdateIds

_EIGHT = (8, 8)
"""Spot pads every price and size to eight decimals."""

_SPOT = """
BTC USDT 2 1 5 1 9000
ETH USDT 2 1 4 1 7200
BNB USDT 2 1 3 1 3000
SOL USDT 2 1 3 1 5400
XRP USDT 4 1 1 1 3600
DOGE USDT 5 1 0 1 3600
ADA USDT 4 1 1 1 1800
AVAX USDT 2 1 2 1 1800
LINK USDT 2 1 2 1 1800
LTC USDT 2 1 3 1 1800
DOT USDT 3 1 2 1 1200
TRX USDT 4 1 1 1 1200
SUI USDT 4 1 1 1 1800
BCH USDT 1 1 3 1 900
NEAR USDT 3 1 1 1 900
PEPE USDT 8 1 0 1 2400
SHIB USDT 8 1 0 1 1800
BTC USDC 2 1 5 1 3600
ETH USDC 2 1 4 1 3600
SOL USDC 2 1 3 1 1800
ETH BTC 5 1 4 1 1200
SOL BTC 7 1 3 1 600
LTC BTC 6 1 3 1 300
NKN USDT 4 1 1 1 20
"""

_USDM = """
BTC USDT 2 10 3 1 10800
ETH USDT 2 1 3 1 9000
BNB USDT 3 10 2 1 3000
SOL USDT 4 100 2 1 5400
XRP USDT 4 1 1 1 3600
DOGE USDT 6 10 0 1 3600
ADA USDT 5 10 0 1 1800
AVAX USDT 4 10 0 1 1800
LINK USDT 3 1 2 1 1800
LTC USDT 2 1 3 1 1800
DOT USDT 3 1 1 1 1200
TRX USDT 5 1 0 1 1200
SUI USDT 6 100 1 1 1800
BCH USDT 2 1 3 1 900
NEAR USDT 4 10 0 1 900
UNI USDT 4 10 0 1 900
ATOM USDT 3 1 2 1 900
FIL USDT 3 1 1 1 600
1000xPEPE USDT 7 1 0 1 2400
1000xSHIB USDT 6 1 0 1 1800
BTC USDC 1 1 3 1 3600
ETH USDC 2 1 3 1 3600
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

"""What the simulated Binance lists. The numbers of a line are explained at ``read_table``."""

from __future__ import annotations

from attrs import evolve

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.market import MarketSpec, UpdateIds

_EIGHT = (8, 8)
"""Spot pads every price and size to eight decimals."""

_SPOT = """
BTC USDT 2 1 5 1 90000
ETH USDT 2 1 4 1 54000
BNB USDT 2 1 3 1 9600
SOL USDT 2 1 3 1 27000
XRP USDT 4 1 1 1 18000
DOGE USDT 5 1 0 1 12000
ADA USDT 4 1 1 1 4800
AVAX USDT 2 1 2 1 3000
LINK USDT 2 1 2 1 3600
LTC USDT 2 1 3 1 2000
DOT USDT 3 1 2 1 1500
TRX USDT 4 1 1 1 2400
SUI USDT 4 1 1 1 6000
BCH USDT 1 1 3 1 900
NEAR USDT 3 1 1 1 1080
PEPE USDT 8 1 0 1 6600
SHIB USDT 8 1 0 1 2100
BTC USDC 2 1 5 1 9000
ETH USDC 2 1 4 1 5400
SOL USDC 2 1 3 1 2700
ETH BTC 5 1 4 1 1200
SOL BTC 7 1 3 1 600
LTC BTC 6 1 3 1 300
NKN USDT 4 1 1 1 20
"""

_USDM = """
BTC USDT 2 10 3 1 108000
ETH USDT 2 1 3 1 64800
BNB USDT 3 10 2 1 11520
SOL USDT 4 100 2 1 32400
XRP USDT 4 1 1 1 21600
DOGE USDT 6 10 0 1 14400
ADA USDT 5 10 0 1 5760
AVAX USDT 4 10 0 1 3600
LINK USDT 3 1 2 1 4320
LTC USDT 2 1 3 1 2400
DOT USDT 3 1 1 1 1800
TRX USDT 5 1 0 1 2880
SUI USDT 6 100 1 1 7200
BCH USDT 2 1 3 1 1080
NEAR USDT 4 10 0 1 1300
UNI USDT 4 10 0 1 1080
ATOM USDT 3 1 2 1 860
FIL USDT 3 1 1 1 720
1000xPEPE USDT 7 1 0 1 7920
1000xSHIB USDT 6 1 0 1 2520
BTC USDC 1 1 3 1 10800
ETH USDC 2 1 3 1 6480
NKN USDT 5 1 0 1 20
"""

# What a real catalogue holds besides: a halted pair, and a dated future that is no perpetual.
_HALTED = InstrumentSpec(
    "binance", MarketType.SPOT, "BCH", "BTC", "BCHBTC", 6, 1, 3, 1, "BCH", trading=False, places=_EIGHT
)
_DATED = InstrumentSpec(
    "binance", MarketType.PERPETUAL, "BTC", "USDT", "BTCUSDT_270326", 1, 1, 3, 1, "BTC", kind="future"
)

# Names with letters outside ASCII, and perpetuals on what is no crypto asset, which trade little.
_FURTHER_SPOT = read_table("binance", MarketType.SPOT, "币安人生 USDT 4 1 1 1 1800", places=_EIGHT)
_FURTHER_USDM = read_table("binance", MarketType.PERPETUAL, "币安人生 USDT 5 1 0 1 2160")
_EQUITY = read_table("binance", MarketType.PERPETUAL, "AAPL USDT 2 1 2 1 360")
_COMMODITY = read_table("binance", MarketType.PERPETUAL, "XAU USDT 2 1 3 1 720")

MARKETS = {
    MarketType.SPOT: MarketSpec(
        (*read_table("binance", MarketType.SPOT, _SPOT, places=_EIGHT), _HALTED, *_FURTHER_SPOT),
        UpdateIds.PER_INSTRUMENT,
    ),
    MarketType.PERPETUAL: MarketSpec(
        (
            *read_table("binance", MarketType.PERPETUAL, _USDM),
            _DATED,
            *_FURTHER_USDM,
            *(evolve(each, underlying="equity") for each in _EQUITY),
            *(evolve(each, underlying="commodity") for each in _COMMODITY),
        ),
        UpdateIds.SHARED,
    ),
}

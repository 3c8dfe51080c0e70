"""What the simulated Bybit lists. The numbers of a line are explained at ``read_table``."""

from __future__ import annotations

from attrs import evolve

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument_spec import InstrumentSpec, multiplied, read_table
from cryptodash.simulator.market import MarketSpec

_SPOT = """
BTC USDT 1 1 6 1 54000
ETH USDT 2 1 5 1 32400
SOL USDT 2 1 4 1 16200
XRP USDT 4 1 2 1 10800
DOGE USDT 5 1 1 1 7200
ADA USDT 4 1 2 1 2880
AVAX USDT 2 1 3 1 1800
LINK USDT 3 1 3 1 2160
LTC USDT 2 1 4 1 1200
DOT USDT 3 1 2 1 900
TRX USDT 5 1 2 1 1440
SUI USDT 4 1 2 1 3600
BNB USDT 1 1 4 1 5760
NEAR USDT 3 1 1 1 640
UNI USDT 3 1 3 1 540
ATOM USDT 3 1 2 1 440
PEPE USDT 10 1 0 1 3960
SHIB USDT 9 1 0 1 1260
BTC USDC 2 1 6 1 5400
ETH USDC 2 1 5 1 3240
ETH BTC 6 1 4 1 600
SOL BTC 7 1 3 1 300
NKN USDT 5 1 1 1 15
"""

_LINEAR = """
BTC USDT 2 10 3 1 72000
ETH USDT 2 1 2 1 43200
SOL USDT 3 10 1 1 21600
XRP USDT 4 1 1 1 14400
DOGE USDT 5 1 0 1 9600
ADA USDT 4 1 0 1 3840
AVAX USDT 3 1 1 1 2400
LINK USDT 3 1 1 1 2880
LTC USDT 2 1 1 1 1600
DOT USDT 4 1 1 1 1200
TRX USDT 5 1 0 1 1920
SUI USDT 5 10 0 10 4800
BNB USDT 2 10 2 1 7680
BCH USDT 2 10 2 1 720
NEAR USDT 3 1 1 1 860
UNI USDT 3 1 1 1 720
ATOM USDT 3 1 1 1 580
FIL USDT 3 1 1 1 480
1000xPEPE USDT 7 1 0 100 5280
1000xSHIB USDT 6 1 0 10 1680
BTC USDC 2 10 3 1 7200
ETH USDC 2 1 2 1 4320
NKN USDT 5 1 0 1 15
"""

# The larger venue leads, so that the order in which a price shows up is a known one.
_LAG_MS = 60

# What a real catalogue holds besides: a dated future that is no perpetual.
_DATED = InstrumentSpec(
    "bybit", MarketType.PERPETUAL, "BTC", "USDT", "BTCUSDT-26MAR27", 2, 50, 3, 1, "BTC", kind="future"
)


# Perpetuals on what is no crypto asset, which trade little; and one that is announced.
_EQUITY = read_table("bybit", MarketType.PERPETUAL, "AAPL USDT 2 1 2 1 300")
_COMMODITY = read_table("bybit", MarketType.PERPETUAL, "XAU USDT 2 1 3 1 600")
_PRE_LAUNCH = InstrumentSpec(
    "bybit",
    MarketType.PERPETUAL,
    *("BIO", "USDT", "BIOUSDT"),
    *(5, 1, 0, 1),
    "BIO",
    kind="perpetual",
    trading=False,
    launched=False,
)


def _contract_base(asset: str, multiplier: int) -> str:
    """Older contracts put the multiplier last."""
    return f"SHIB{multiplier}" if asset == "SHIB" and multiplier > 1 else multiplied(asset, multiplier)


def _contract_name(base: str, quote: str) -> str:
    """``BTCUSDT``, but ``BTCPERP`` for a contract in USDC."""
    return f"{base}PERP" if quote == "USDC" else base + quote


MARKETS = {
    MarketType.SPOT: MarketSpec(read_table("bybit", MarketType.SPOT, _SPOT), lag_ms=_LAG_MS),
    MarketType.PERPETUAL: MarketSpec(
        (
            *read_table("bybit", MarketType.PERPETUAL, _LINEAR, base_name=_contract_base, native_name=_contract_name),
            _DATED,
            *(evolve(each, underlying="equity") for each in _EQUITY),
            *(evolve(each, underlying="commodity") for each in _COMMODITY),
            _PRE_LAUNCH,
        ),
        lag_ms=_LAG_MS,
    ),
}

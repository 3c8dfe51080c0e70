"""What the simulated OKX lists. The numbers of a line are explained at ``read_table``; a perpetual's step is one lot,
in base."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve, frozen

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.market import MarketSpec

_SPOT = """
BTC USDT 1 1 8 1 60000
ETH USDT 2 1 6 1 36000
SOL USDT 2 1 6 1 18000
XRP USDT 4 1 6 1 12000
DOGE USDT 5 1 6 1 8000
ADA USDT 4 1 6 1 3200
AVAX USDT 2 1 6 1 2000
LINK USDT 3 1 6 1 2400
LTC USDT 2 1 6 1 1300
DOT USDT 3 1 6 1 1000
TRX USDT 5 1 6 1 1600
SUI USDT 4 1 6 1 4000
BNB USDT 1 1 6 1 3000
BCH USDT 1 1 6 1 600
NEAR USDT 3 1 6 1 720
UNI USDT 3 1 6 1 600
PEPE USDT 9 1 2 1 4400
SHIB USDT 9 1 2 1 1400
BTC USDC 1 1 8 1 6000
ETH USDC 2 1 6 1 3600
ETH BTC 5 1 6 1 700
SOL BTC 7 1 6 1 340
NKN USDT 5 1 4 1 15
"""

_SWAP = """
BTC USDT 1 1 4 1 80000
ETH USDT 2 1 3 1 48000
SOL USDT 2 1 2 1 24000
XRP USDT 4 1 0 1 16000
DOGE USDT 5 1 0 10 10700
ADA USDT 4 1 0 10 4300
AVAX USDT 3 1 0 1 2700
LINK USDT 3 1 1 1 3200
LTC USDT 2 1 0 1 1800
DOT USDT 3 1 0 1 1300
TRX USDT 5 1 0 10 2100
SUI USDT 4 1 0 1 5300
BNB USDT 1 1 2 1 4000
BCH USDT 1 1 2 1 800
NEAR USDT 3 1 0 1 960
UNI USDT 3 1 0 1 800
ATOM USDT 3 1 0 1 640
FIL USDT 3 1 1 1 530
PEPE USDT 10 1 0 1000000 5900
SHIB USDT 9 1 0 100000 1900
BTC USDC 1 1 6 1 8000
ETH USDC 2 1 5 1 4800
NKN USDT 5 1 0 1 15
"""

# Perpetuals on what is no crypto asset, which trade little.
_EQUITY = "AAPL USDT 2 1 2 1 300"
_COMMODITY = "XAU USDT 2 1 3 1 600"
_CURRENCY = "EUR USDT 4 1 0 1 240"

_CONTRACTS = """
BTC-USDT 0.01
ETH-USDT 0.1
SOL-USDT 1
XRP-USDT 100
DOGE-USDT 1000
ADA-USDT 100
AVAX-USDT 1
LINK-USDT 1
LTC-USDT 1
DOT-USDT 1
TRX-USDT 1000
SUI-USDT 1
BNB-USDT 0.01
BCH-USDT 0.1
NEAR-USDT 10
UNI-USDT 1
ATOM-USDT 1
FIL-USDT 0.1
PEPE-USDT 10000000
SHIB-USDT 1000000
BTC-USDC 0.0001
ETH-USDC 0.001
NKN-USDT 10
AAPL-USDT 1
XAU-USDT 0.1
EUR-USDT 100
"""

_LAG_MS = 90


@frozen
class Contract:
    """What a perpetual's sizes are counted in: ``value`` base per contract, and the lot, the smallest size in
    contracts, as ``lot`` units of ``10**-decimals``."""

    value: str
    lot: int
    decimals: int

    @property
    def lot_size(self) -> str:
        """As the catalogue has it."""
        return trim(fixed(self.lot, self.decimals, self.decimals))


def _contract(spec: InstrumentSpec, value: str) -> Contract:
    """The lot is the step of the instrument, which must be a whole decimal number of contracts."""
    lot = (Decimal(spec.step).scaleb(-spec.size_decimals) / Decimal(value)).normalize()
    decimals = max(0, -int(lot.as_tuple().exponent))
    return Contract(value, int(lot.scaleb(decimals)), decimals)


def _spot_name(base: str, quote: str) -> str:
    return f"{base}-{quote}"


def _swap_name(base: str, quote: str) -> str:
    return f"{base}-{quote}-SWAP"


_SPOT_SPECS = read_table("okx", MarketType.SPOT, _SPOT, native_name=_spot_name)
_SWAP_SPECS = read_table("okx", MarketType.PERPETUAL, _SWAP, native_name=_swap_name)
_FURTHER_SPECS = tuple(
    evolve(each, underlying=underlying)
    for table, underlying in ((_EQUITY, "equity"), (_COMMODITY, "commodity"), (_CURRENCY, "fx"))
    for each in read_table("okx", MarketType.PERPETUAL, table, native_name=_swap_name)
)
_values = dict(line.split() for line in _CONTRACTS.strip().splitlines())

_BY_PAIR = {
    (spec.asset, spec.quote): _contract(spec, _values[_spot_name(spec.base, spec.quote)])
    for spec in (*_SWAP_SPECS, *_FURTHER_SPECS)
}


def contract_of(spec: InstrumentSpec) -> Contract:
    """What a perpetual's sizes are counted in, also where it is listed by another name."""
    return _BY_PAIR[spec.asset, spec.quote]


# What a real catalogue holds besides: a pair whose trading is suspended.
_SUSPENDED = InstrumentSpec(
    "okx", MarketType.SPOT, "BCH", "BTC", "BCH-BTC", 5, 1, 6, 1, "BCH", trading=False, trades_per_hour=60
)

MARKETS = {
    MarketType.SPOT: MarketSpec((*_SPOT_SPECS, _SUSPENDED), lag_ms=_LAG_MS),
    MarketType.PERPETUAL: MarketSpec((*_SWAP_SPECS, *_FURTHER_SPECS), lag_ms=_LAG_MS),
}

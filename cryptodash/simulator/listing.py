"""What the simulated venues list: instruments, their steps, and the reference prices the market starts from.

Prices are whole ticks and sizes whole steps everywhere in this room;
``Listing`` turns them into the venues' decimal text.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from attrs import field, frozen

from cryptodash.core.instruments import MarketType

VALUE_SCALE = 10**18
"""Reference values are dollars times this, as integers."""

REFERENCE: dict[str, str] = {
    "USDT": "1",
    "USDC": "1.0002",
    "BTC": "117642.15",
    "ETH": "4382.61",
    "BNB": "842.37",
    "SOL": "204.18",
    "XRP": "3.1127",
    "DOGE": "0.23416",
    "ADA": "0.8733",
    "AVAX": "24.71",
    "LINK": "23.92",
    "LTC": "118.44",
    "DOT": "4.127",
    "TRX": "0.3482",
    "SUI": "3.5144",
    "BCH": "561.3",
    "NEAR": "2.613",
    "UNI": "10.84",
    "ATOM": "4.518",
    "FIL": "2.377",
    "PEPE": "0.00001093",
    "SHIB": "0.00001287",
    "NKN": "0.0267",
}
"""Dollars per unit at the start of the simulated market."""


def fixed(units: int, decimals: int, places: int) -> str:
    """``units`` of ``10**-decimals`` as plain text with ``places`` decimals;
    digits beyond them are cut off, never rounded."""
    sign = "-" if units < 0 else ""
    units = abs(units)
    units = units * 10 ** (places - decimals) if places >= decimals else units // 10 ** (decimals - places)
    if not places:
        return f"{sign}{units}"
    text = str(units).rjust(places + 1, "0")
    return f"{sign}{text[:-places]}.{text[-places:]}"


def trim(text: str) -> str:
    """Without padding zeros: ``78715.00`` is ``78715``."""
    return text.rstrip("0").rstrip(".") if "." in text else text


@frozen
class Listing:
    """One instrument of one simulated venue.

    A tick is ``tick`` units of ``10**-price_decimals`` quote, a step ``step`` units of ``10**-size_decimals`` base.
    ``asset`` and ``multiplier`` say what the base is made of (``1000SHIB`` is a thousand SHIB). ``trades_per_hour`` is
    the mean pace of random trades. ``kind`` is ``perpetual``, ``spot`` or ``future``; a listing that is not ``trading``
    is in the catalogue only.
    """

    exchange: str
    market: MarketType
    base: str
    quote: str
    native: str
    price_decimals: int
    tick: int
    size_decimals: int
    step: int
    asset: str
    multiplier: int = 1
    trades_per_hour: int = 3600
    kind: str = "spot"
    trading: bool = True
    places: tuple[int, int] = field(init=False)
    """Decimals of a price and of a size on the wire."""

    @places.default
    def _places(self) -> tuple[int, int]:
        padded = self.exchange == "binance" and self.market is MarketType.SPOT  # spot pads every number to 8 decimals
        return (8, 8) if padded else (self.price_decimals, self.size_decimals)

    def price(self, ticks: int) -> str:
        """A price in the venue's padded text."""
        return fixed(ticks * self.tick, self.price_decimals, self.places[0])

    def size(self, steps: int) -> str:
        """A size in the venue's padded text."""
        return fixed(steps * self.step, self.size_decimals, self.places[1])

    def quote_amount(self, amount: int, places: int) -> str:
        """A turnover (ticks times steps) in quote currency."""
        return fixed(amount * self.tick * self.step, self.price_decimals + self.size_decimals, places)

    def reference_ticks(self, base_value: int, quote_value: int) -> int:
        """The price in ticks of a base and a quote worth so many (scaled) dollars; at least 2."""
        return max(2, base_value * self.multiplier * int(10**self.price_decimals) // (quote_value * self.tick))


def value(asset: str) -> int:
    """The starting value of an asset in scaled dollars."""
    return int(Decimal(REFERENCE[asset]) * VALUE_SCALE)


# base, quote, price decimals, tick units, size decimals, step units, trades per hour;
# "Nx" before a base is its multiplier.
_BINANCE_SPOT = """
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

_BINANCE_USDM = """
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

_BYBIT_SPOT = """
BTC USDT 1 1 6 1 7200
ETH USDT 2 1 5 1 7200
SOL USDT 2 1 4 1 3600
XRP USDT 4 1 2 1 3600
DOGE USDT 5 1 1 1 1800
ADA USDT 4 1 2 1 1800
AVAX USDT 2 1 3 1 900
LINK USDT 3 1 3 1 900
LTC USDT 2 1 4 1 900
DOT USDT 3 1 2 1 900
TRX USDT 5 1 2 1 900
SUI USDT 4 1 2 1 900
BNB USDT 1 1 4 1 900
NEAR USDT 3 1 1 1 600
UNI USDT 3 1 3 1 600
ATOM USDT 3 1 2 1 600
PEPE USDT 10 1 0 1 1800
SHIB USDT 9 1 0 1 1200
BTC USDC 2 1 6 1 1800
ETH USDC 2 1 5 1 1800
ETH BTC 6 1 4 1 600
SOL BTC 7 1 3 1 300
NKN USDT 5 1 1 1 15
"""

_BYBIT_LINEAR = """
BTC USDT 2 10 3 1 9000
ETH USDT 2 1 2 1 7200
SOL USDT 3 10 1 1 5400
XRP USDT 4 1 1 1 3600
DOGE USDT 5 1 0 1 1800
ADA USDT 4 1 0 1 1800
AVAX USDT 3 1 1 1 900
LINK USDT 3 1 1 1 900
LTC USDT 2 1 1 1 900
DOT USDT 4 1 1 1 900
TRX USDT 5 1 0 1 900
SUI USDT 5 10 0 10 900
BNB USDT 2 10 2 1 900
BCH USDT 2 10 2 1 900
NEAR USDT 3 1 1 1 600
UNI USDT 3 1 1 1 600
ATOM USDT 3 1 1 1 600
FIL USDT 3 1 1 1 600
1000xPEPE USDT 7 1 0 100 1800
1000xSHIB USDT 6 1 0 10 1200
BTC USDC 2 10 3 1 1800
ETH USDC 2 1 2 1 1800
NKN USDT 5 1 0 1 15
"""

_TABLES = {
    ("binance", MarketType.SPOT): _BINANCE_SPOT,
    ("binance", MarketType.PERPETUAL): _BINANCE_USDM,
    ("bybit", MarketType.SPOT): _BYBIT_SPOT,
    ("bybit", MarketType.PERPETUAL): _BYBIT_LINEAR,
}


def _base_name(exchange: str, asset: str, multiplier: int) -> str:
    if multiplier == 1:
        return asset
    if exchange == "bybit" and asset == "SHIB":
        return f"SHIB{multiplier}"  # Bybit's older contracts put the multiplier last
    return f"{multiplier}{asset}"


def _native(exchange: str, market: MarketType, base: str, quote: str) -> str:
    if exchange == "bybit" and market is MarketType.PERPETUAL and quote == "USDC":
        return f"{base}PERP"
    return base + quote


def _parse(exchange: str, market: MarketType, line: str) -> Listing:
    name, quote, *numbers = line.split()
    price_decimals, tick, size_decimals, step, pace = map(int, numbers)
    factor, _, asset = name.rpartition("x")
    multiplier = int(factor or 1)
    base = _base_name(exchange, asset, multiplier)
    return Listing(
        exchange=exchange,
        market=market,
        base=base,
        quote=quote,
        native=_native(exchange, market, base, quote),
        price_decimals=price_decimals,
        tick=tick,
        size_decimals=size_decimals,
        step=step,
        asset=asset,
        multiplier=multiplier,
        trades_per_hour=pace,
        kind="perpetual" if market is MarketType.PERPETUAL else "spot",
    )


def _not_traded() -> tuple[Listing, ...]:
    """What a real catalogue holds besides: a halted pair, and dated futures that are no perpetuals."""
    spot, perpetual = MarketType.SPOT, MarketType.PERPETUAL
    return (
        Listing("binance", spot, "BCH", "BTC", "BCHBTC", 6, 1, 3, 1, "BCH", trading=False),
        Listing("binance", perpetual, "BTC", "USDT", "BTCUSDT_270326", 1, 1, 3, 1, "BTC", kind="future"),
        Listing("bybit", perpetual, "BTC", "USDT", "BTCUSDT-26MAR27", 2, 50, 3, 1, "BTC", kind="future"),
    )


@cache
def listings(exchange: str, market: MarketType) -> tuple[Listing, ...]:
    """All instruments of a venue's market, tradable or not, in catalogue order.
    Raises ``KeyError`` for a venue without a simulator."""
    table = _TABLES[exchange, market].strip().splitlines()
    others = [each for each in _not_traded() if (each.exchange, each.market) == (exchange, market)]
    return (*(_parse(exchange, market, line) for line in table), *others)

"""What the assets of the simulated market are worth, whoever trades them: the one source all venues' prices follow."""

from __future__ import annotations

from decimal import Decimal

from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import Range
from cryptodash.simulator.price_path import PricePath

VALUE_SCALE = 10**18
"""Reference values are dollars times this, as integers."""

REFERENCE: dict[str, str] = {
    "USD": "1",
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
    "AAPL": "271.34",
    "XAU": "4118.2",
    "EUR": "1.1587",
    "BIO": "0.0871",
    "币安人生": "0.1324",
}
"""Dollars per unit at the start of the simulated market."""

STABLE = ("USD", "USDT", "USDC")
"""Assets that keep their value."""

_COMMON, _OWN = 8, 6
"""Tenths of an asset's moves that all assets share, and that it has for itself."""

_RANGES_KEPT = 40_000


def value(asset: str) -> int:
    """The starting value of an asset in scaled dollars."""
    return int(Decimal(REFERENCE[asset]) * VALUE_SCALE)


class PairPrice:
    """The price of one pair on all venues: a path that is at the pair's reference price when the market starts."""

    def __init__(self, base: str, quote: str, path: PricePath, start: int) -> None:
        self.path = path
        self._base = value(base)
        self.quote_value = value(quote)
        """Scaled dollars that ``base_value`` is to be divided by."""
        self._unit = path.at(start)[0]

    def base_value(self, units: int) -> int:
        """What a price of the path is in scaled dollars, with the quote asset at its reference value."""
        return self._base * units // self._unit

    def at(self, now: int) -> tuple[int, int]:
        """(``base_value``, until when (ms, exclusive) it holds)."""
        units, until = self.path.at(now)
        return self.base_value(units), until


class AssetValues:
    """What each pair of assets is worth, on all venues. Assets move together, but each for itself as well. Stable ones
    do not move. The price of one asset in another (``ETH`` in ``BTC``) has a path of its own."""

    def __init__(self, seed: int, now: int) -> None:
        self.seed = seed
        self.start = now
        self._pairs: dict[tuple[str, str], PairPrice] = {}
        self._paths: dict[tuple[str, str], PricePath] = {}
        self._ranges: BarCache[Range] = BarCache(_RANGES_KEPT)

    def pair(self, base: str, quote: str) -> PairPrice:
        """The price of a pair, one object whoever asks."""
        found = self._pairs.get((base, quote))
        if found is None:
            found = self._pairs[base, quote] = PairPrice(base, quote, self._path(base, quote), self.start)
        return found

    def _path(self, base: str, quote: str) -> PricePath:
        key = (base, "" if quote in STABLE else quote)
        path = self._paths.get(key)
        if path is None:
            factors = ((base, _OWN), ("market", _COMMON)) if not key[1] else ((base, _OWN), (quote, -_OWN))
            path = self._paths[key] = PricePath(self.seed, factors, self._ranges)
        return path

"""What the assets of the simulated market are worth, whoever trades them: the one source all venues' prices follow."""

from __future__ import annotations

from decimal import Decimal
from math import isqrt
from random import Random

from cryptodash.simulator.random_moves import GAUSS_SCALE, gauss

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

STABLE = ("USDT", "USDC")
"""Assets that keep their value."""

_SIGMA_PPB = 20_000
"""Standard deviation of an asset's move in 100 ms, in billionths of its value."""


def value(asset: str) -> int:
    """The starting value of an asset in scaled dollars."""
    return int(Decimal(REFERENCE[asset]) * VALUE_SCALE)


class AssetValues:
    """What each asset is worth: random walks that share a common factor. Venues read the same values,
    so they differ only a little."""

    def __init__(self, seed: int, now: int) -> None:
        self.seed = seed
        self.start = now
        self._rng = Random(f"{seed}:economy")
        self._factor = 0
        self._factor_at = now
        self._assets = {name: [value(name), 0, now] for name in REFERENCE}

    def value(self, asset: str, now: int) -> int:
        """Scaled dollars per unit at ``now`` (ms)."""
        state = self._assets[asset]
        if asset not in STABLE and now > state[2]:
            self._advance(state, value(asset), now)
        return state[0]

    def _advance(self, state: list[int], reference: int, now: int) -> None:
        factor = self._common(now)
        own = _scaled(gauss(self._rng), now - state[2])
        move = (factor - state[1]) * 8 + own * 6
        state[0] = min(reference * 6, max(reference // 6, state[0] + state[0] * move // 10**10))
        state[1], state[2] = factor, now

    def _common(self, now: int) -> int:
        if now > self._factor_at:
            self._factor += _scaled(gauss(self._rng), now - self._factor_at)
            self._factor_at = now
        return self._factor


def _scaled(bell: int, elapsed: int) -> int:
    """A move in billionths over ``elapsed`` ms: it grows with the square root of time."""
    return bell * _SIGMA_PPB * isqrt(elapsed * 10_000) // (1_000 * GAUSS_SCALE)

"""Random moves in integers: a bell curve, and a price that moves along it."""

from __future__ import annotations

from random import Random

GAUSS_SCALE = 37_837
"""Standard deviation of ``gauss``."""


def gauss(rng: Random) -> int:
    """A bell-shaped integer with mean zero and standard deviation 37,837, in four draws."""
    bits = rng.getrandbits
    return bits(16) + bits(16) + bits(16) + bits(16) - 131_070


def moved(price: int, sigma_ppb: int, rng: Random) -> int:
    """The price after one random move of that relative size."""
    change = price * sigma_ppb * gauss(rng)
    scale = GAUSS_SCALE * 10**9
    return price + (change + scale // 2) // scale

"""Random moves in integers: a bell curve."""

from __future__ import annotations

from random import Random


def gauss(rng: Random) -> int:
    """A bell-shaped integer with mean zero and standard deviation 37,837, in one draw."""
    bits = rng.getrandbits(64)
    return (bits & 65_535) + (bits >> 16 & 65_535) + (bits >> 32 & 65_535) + (bits >> 48) - 131_070

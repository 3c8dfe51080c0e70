"""The price that the market of one instrument wants: what its assets are worth, and this venue's own small premium."""

from __future__ import annotations

from random import Random

from cryptodash.simulator.assets import VALUE_SCALE, AssetValues, value
from cryptodash.simulator.instrument_spec import InstrumentSpec

_MOST_PREMIUM = 150
"""Millionths."""


class FairPrice:
    """Prices in ticks, times in ms by the simulator's clock."""

    def __init__(self, spec: InstrumentSpec, assets: AssetValues, rng: Random) -> None:
        self._spec = spec
        self._assets = assets
        self._premium = rng.randrange(-80, 81)
        # Of the start, whatever the assets are worth by now: who is asked about late has no other past.
        self.at_start = self._with_premium(value(spec.asset), value(spec.quote))

    def at(self, now: int) -> int:
        """The best bid the market wants."""
        return self._with_premium(self._assets.value(self._spec.asset, now), self._assets.value(self._spec.quote, now))

    def _with_premium(self, base: int, quote: int) -> int:
        return self._spec.reference_ticks(base + base * self._premium // 1_000_000, quote)

    def index(self, now: int) -> int:
        """The assets' value without the premium."""
        assets, spec = self._assets, self._spec
        return spec.reference_ticks(assets.value(spec.asset, now), assets.value(spec.quote, now))

    @property
    def funding_ppb(self) -> int:
        """The funding rate in billionths."""
        return 100_000 + self._premium * 400

    def steps_worth(self, dollars: int) -> int:
        """The size in steps that cost so many dollars at the start; at least 2."""
        spec = self._spec
        return max(
            2,
            dollars * VALUE_SCALE * int(10**spec.size_decimals) // (value(spec.asset) * spec.multiplier * spec.step),
        )

    def drift(self, rng: Random) -> None:
        """Let the premium change a little, or not."""
        draw = rng.getrandbits(6)
        if draw < 2:
            self._premium = min(_MOST_PREMIUM, max(-_MOST_PREMIUM, self._premium + (3 if draw else -3)))

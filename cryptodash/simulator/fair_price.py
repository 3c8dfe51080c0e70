"""The price that the market of one instrument wants: the pair's price as this venue sees it, a known time late, and for
a perpetual a basis that all venues share."""

from __future__ import annotations

from random import Random

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.assets import VALUE_SCALE, AssetValues, value
from cryptodash.simulator.bars import Range
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY, MINUTE, SECOND
from cryptodash.simulator.price_path import FINER

_MOST_BASIS = 80
"""Millionths."""

_MOST_SPREAD_PPM = 12_000
_SPREAD_PPM_HOUR = 600_000
_TIGHT_PPM = 25
"""The spread in millionths of the price is ``_SPREAD_PPM_HOUR`` by trades per hour, less ``_TIGHT_PPM``: one tick where
much is traded."""


class FairPrice:
    """Prices in ticks, times in ms by the simulator's clock. ``lag`` ms after the pair's price the quotes follow.

    The pair's price is never below the bid and always below the ask, whatever the tick: venues are crossed only while
    one of them has a jump of the price still before it.
    """

    def __init__(self, spec: InstrumentSpec, assets: AssetValues, lag: int) -> None:
        self._spec = spec
        self._pair = assets.pair(spec.asset, spec.quote)
        self._lag = lag
        self._salt = Random(f"{assets.seed}:{spec.exchange}:{spec.native}:{spec.market}:quotes").getrandbits(32)
        pair = f"{assets.seed}:{spec.asset}:{spec.quote}:basis"
        self.basis = 0 if spec.market is MarketType.SPOT else Random(pair).randrange(-_MOST_BASIS, _MOST_BASIS + 1)
        """How far it is above the index, millionths."""
        at_start = self.ticks(self._pair.path.at(assets.start)[0])
        ppm = min(_MOST_SPREAD_PPM, max(0, _SPREAD_PPM_HOUR // max(1, spec.trades_per_hour) - _TIGHT_PPM))
        self.spread = max(1, at_start * ppm // 1_000_000)
        """Between the best levels, in ticks."""
        self._bid = 0
        self._from = self._until = 0

    def bid(self, now: int) -> int:
        """The best bid the market wants."""
        seen = now - self._lag
        if not self._from <= seen < self._until:
            units, self._until = self._pair.path.at(seen)
            self._from = seen
            self._bid = max(1, self.ticks(units) - self._below(self._until))
        return self._bid

    def _below(self, until: int) -> int:
        """How many ticks the bid stands below the price, less than the spread: another number every two minutes."""
        return ((until + self._salt >> 17) * 0x9E3779B1 ^ self._salt) % 65_521 % self.spread

    def ticks(self, units: int) -> int:
        """A price of the pair's path in ticks of this instrument. Never falls where the price rises."""
        base = self._pair.base_value(units)
        return self._spec.reference_ticks(base + base * self.basis // 1_000_000, self._pair.quote_value)

    def traded(self, price: Range, end: int) -> Range:
        """The range of the trades while the pair's price has this one, until ``end``: they reach from bids to asks, and
        the last of them is the one or the other."""
        below = (self.spread - 1) // 2
        high, low, close = (max(1, self.ticks(each) - below) for each in price[1:])
        side = (end // 1_000 * 0x9E3779B1 ^ self._salt) >> 13 & 1
        return 0, high + self.spread, low, close + side * self.spread

    def index(self, now: int) -> int:
        """The pair's price without the basis."""
        return self._spec.reference_ticks(self._pair.at(now)[0], self._pair.quote_value)

    @property
    def funding_ppb(self) -> int:
        """The funding rate in billionths."""
        return 100_000 + self.basis * 400

    def steps_worth(self, dollars: int) -> int:
        """The size in steps that cost so many dollars at the start; at least 2."""
        spec = self._spec
        return max(
            2,
            dollars * VALUE_SCALE * int(10**spec.size_decimals) // (value(spec.asset) * spec.multiplier * spec.step),
        )

    def ranges(self, level: int, start: int) -> list[Range]:
        """What trades reach in the parts of a level's bar: of the next finer length, of a minute its seconds."""
        path, finer = self._pair.path, FINER.get(level, SECOND)
        parts = path.seconds(start) if level == MINUTE else path.parts(level, start)
        return [self.traded(each, start + (i + 1) * finer) for i, each in enumerate(parts)]

    def day(self, start: int) -> tuple[int, Range]:
        """(the price that the day begins with, what trades reach in it)."""
        path = self._pair.path
        before = self.traded(path.range(DAY, start - DAY), start)
        return before[3], self.traded(path.range(DAY, start), start + DAY)

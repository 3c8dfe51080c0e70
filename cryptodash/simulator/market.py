"""One market of a simulated venue: what it lists, and how it numbers the changes of its books."""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import Random

from attrs import frozen

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.assets import AssetValues
from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec


class UpdateIds(enum.Enum):
    """How a market numbers the changes of its books.

    ``PER_INSTRUMENT``: one by one, without holes. ``SHARED``: from one series for all instruments, so that each of them
    sees holes.
    """

    PER_INSTRUMENT = "per instrument"
    SHARED = "shared"


@frozen
class MarketSpec:
    """A market as its venue describes it. ``instruments``: all that the catalogue lists, tradable or not, in its
    order. ``lag_ms``: by how many ms its quotes follow the price that all venues of a pair share; the one with the
    smallest leads."""

    instruments: tuple[InstrumentSpec, ...]
    update_ids: UpdateIds = UpdateIds.SHARED
    lag_ms: int = 0


class Market:
    """The instruments of one market, made when first asked for. ``bars`` keeps what they make up of their past."""

    def __init__(
        self,
        exchange: str,
        market: MarketType,
        spec: MarketSpec,
        assets: AssetValues,
        bars: BarCache[Bar],
        *,
        record: bool = False,
    ) -> None:
        self.exchange = exchange
        self.market = market
        self.specs = spec.instruments
        self.lag_ms = spec.lag_ms
        self._update_ids = spec.update_ids
        self._assets = assets
        self._bars = bars
        self._record = record
        self._by_native = {each.native: each for each in self.specs}
        self._instruments: dict[str, SimulatedInstrument] = {}
        self._halted: dict[str, SimulatedInstrument] = {}
        self._ids = Random(f"{assets.seed}:{exchange}:{market}:ids")
        self._clock_step = 0
        self._shared_id = self._ids.randrange(5 * 10**12, 6 * 10**12)

    def spec(self, native: str) -> InstrumentSpec | None:
        """What the catalogue says of this name, tradable or not."""
        return self._by_native.get(native)

    def get(self, native: str) -> SimulatedInstrument | None:
        """The instrument with this name if it is traded."""
        found = self._instruments.get(native)
        if found is None:
            spec = self._by_native.get(native)
            if spec is None or not spec.trading:
                return None
            found = self._instruments[native] = self._made(spec)
        return found

    def listed(self, native: str) -> SimulatedInstrument | None:
        """The same, also where trading is halted: it has a past, and has stood still since."""
        spec = self._by_native.get(native)
        if spec is None or spec.trading:
            return self.get(native)
        found = self._halted.get(native)
        if found is None:
            found = self._halted[native] = self._made(spec)
        return found

    def _made(self, spec: InstrumentSpec) -> SimulatedInstrument:
        lag, record = self.lag_ms, self._record
        found = SimulatedInstrument(spec, self._assets, self._next_id(), self._bars, lag=lag, record=record)
        found.clock_step = self._clock_step
        return found

    def add(self, spec: InstrumentSpec) -> None:
        """The catalogue lists one more, behind all others."""
        self.specs = (*self.specs, spec)
        self._by_native[spec.native] = spec

    def take_out(self, native: str) -> None:
        """The catalogue does not list it any more."""
        self.specs = tuple(each for each in self.specs if each.native != native)
        del self._by_native[native]

    def put_in_place_of(self, native: str, spec: InstrumentSpec) -> None:
        """The catalogue lists ``spec`` where it has listed another."""
        self.specs = tuple(spec if each.native == native else each for each in self.specs)
        del self._by_native[native]
        self._by_native[spec.native] = spec

    def made(self) -> list[SimulatedInstrument]:
        """The instruments somebody has asked for so far."""
        return list(self._instruments.values())

    def all(self) -> list[SimulatedInstrument]:
        """Every traded instrument."""
        return [found for each in self.specs if (found := self.get(each.native)) is not None]

    def step_clock(self, step: int, now: int) -> None:
        """The venue's clock is off by ``step`` ms from now on; it was ``now`` (ms) until this moment."""
        self._clock_step = step
        for instrument in (*self._instruments.values(), *self._halted.values()):
            instrument.catch_up(now)
            instrument.clock_step = step

    def _next_id(self) -> Callable[[bool], int]:
        """What counts the book changes of one instrument; True for one of the past."""
        if self._update_ids is UpdateIds.SHARED:
            return self._next_shared_id
        last = self._ids.randrange(10**9, 9 * 10**10)

        def count(is_past: bool) -> int:
            nonlocal last
            last += 1
            return last

        return count

    def _next_shared_id(self, is_past: bool) -> int:
        # In between come those of what is not simulated; the past of many instruments at once is no leap by millions.
        self._shared_id += 1 if is_past else 1 + self._ids.getrandbits(9)
        return self._shared_id

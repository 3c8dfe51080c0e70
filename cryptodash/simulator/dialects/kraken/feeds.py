"""Kraken's channels: what each sends, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from random import Random

from cryptodash.simulator.dialects.kraken import messages
from cryptodash.simulator.dialects.kraken.numbers import CHECKED_LEVELS, bar_at, opens, recent_bars
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec

_THIN = 4
"""Levels of a first snapshot that has no checksum; the whole one follows it."""
_AGAIN_AFTER = 2_000
"""Milliseconds after which a snapshot may come once more, unasked."""
_TRADES_FIRST, _BARS_FIRST = 50, 10
"""How many the snapshots hold."""
_BARS_SEARCHED = 120
"""Intervals in which the ones with a trade are looked for."""

Side = dict[int, int]


class Books:
    """``book``: the best ``depth`` levels, first whole, then what changed in them. A level that is pushed out of the
    window is not deleted: a client cuts its book to ``depth`` itself.

    What the venue has been seen to do now and then is left to ``rng``: a thin snapshot before the whole one, the
    snapshot again after two seconds, levels in any order, a level twice in one update (the last one holds).
    """

    def __init__(self, instrument: SimulatedInstrument, depth: int, rng: Random) -> None:
        self._instrument = instrument
        self._depth = depth
        self._rng = rng
        self._again: int | None = None
        self.took_best = False
        """Whether the last frame took away a level of those that the checksum is about: who lacks it will know. Another
        change of them may be made good by the next one, and what is below them is not proved at all."""
        self._seen = instrument.update_id, instrument.crossed
        self._bids, self._asks = self._window()

    def _window(self) -> tuple[Side, Side]:
        bids, asks = self._instrument.shown_levels(self._depth)
        return dict(bids), dict(asks)

    def _best(self) -> tuple[messages.Levels, messages.Levels]:
        return tuple(islice(self._bids.items(), CHECKED_LEVELS)), tuple(islice(self._asks.items(), CHECKED_LEVELS))

    def opening(self, now: int) -> Sequence[str]:
        chance = self._rng.getrandbits(3)
        if chance == 1:
            self._again = now + _AGAIN_AFTER
        return (self._thin(now), self._whole(now)) if chance == 0 else (self._whole(now),)

    def _whole(self, now: int) -> str:
        shown = tuple(self._bids.items()), tuple(self._asks.items())
        return messages.book(self._instrument.spec, "snapshot", shown, self._best(), now)

    def _thin(self, now: int) -> str:
        shown = tuple(islice(self._bids.items(), _THIN)), tuple(islice(self._asks.items(), _THIN))
        return messages.book(self._instrument.spec, "snapshot", shown, None, now)

    def frames(self, now: int) -> Sequence[str]:
        self.took_best = False
        seen, before = (self._instrument.update_id, self._instrument.crossed), (self._bids, self._asks)
        if seen != self._seen:
            self._seen = seen
            self._bids, self._asks = self._window()
        if self._again is not None and now >= self._again:
            self._again = None
            return (self._whole(now),)
        return self._update(before, now) if before != (self._bids, self._asks) else ()

    def _update(self, before: tuple[Side, Side], now: int) -> Sequence[str]:
        book = self._instrument.book
        bids = self._changes(before[0], self._bids, lambda price: book.bids.size(-price))
        asks = self._changes(before[1], self._asks, book.asks.size)
        best = {price for side in before for price in islice(side, CHECKED_LEVELS)}
        self.took_best = any(price in best and not size for price, size in (*bids, *asks))
        return (messages.book(self._instrument.spec, "update", (bids, asks), self._best(), now),)

    def _changes(self, before: Side, after: Side, size_of: Callable[[int], int]) -> list[tuple[int, int]]:
        """New sizes, and 0 for what is no longer there at all."""
        changes = [(price, size) for price, size in after.items() if before.get(price) != size]
        changes += [(price, 0) for price in before if price not in after and not size_of(price)]
        self._rng.shuffle(changes)
        if changes and not self._rng.getrandbits(6) and changes[0][0] in before:
            price = changes[0][0]
            changes.insert(0, (price, before[price]))
        return changes


class Tickers:
    """``ticker``: with the trigger ``trades`` after trades, with ``bbo`` on every change of the best levels."""

    def __init__(self, instrument: SimulatedInstrument, trigger: str) -> None:
        self._instrument = instrument
        self._trigger = trigger

    def opening(self, now: int) -> Sequence[str]:
        instrument = self._instrument
        return (messages.ticker(instrument.spec, "snapshot", instrument.shown_top(), instrument.candles.day(), now),)

    def frames(self, now: int) -> Sequence[str]:
        instrument, changes = self._instrument, self._instrument.changes
        if self._trigger == "bbo":
            tops = [top.crossed() if instrument.crossed else top for top in changes.tops]
        else:
            tops = [instrument.shown_top()] if changes.trades else []
        if not tops:
            return ()
        day = instrument.candles.day()
        return [messages.ticker(instrument.spec, "update", top, day, now) for top in tops]


class Trades:
    """``trade``: the last fifty, then the fills of a step in one message."""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument

    def opening(self, now: int) -> Sequence[str]:
        """Nothing where nothing has been traded since the simulator's start: the venue's last fifty are never none."""
        fills = list(self._instrument.trades)[-_TRADES_FIRST:]
        return (messages.trades(self._instrument.spec, "snapshot", fills),) if fills else ()

    def frames(self, now: int) -> Sequence[str]:
        fills = self._instrument.changes.trades
        return (messages.trades(self._instrument.spec, "update", fills),) if fills else ()


class Candles:
    """``ohlc``: recent bars, then the bar of each trade. Nothing says that a bar is closed, and there is none of an
    interval without a trade."""

    def __init__(self, instrument: SimulatedInstrument, minutes: int) -> None:
        self._instrument = instrument
        self._minutes = minutes

    def opening(self, now: int) -> Sequence[str]:
        instrument, minutes = self._instrument, self._minutes
        bars = [bar for bar in recent_bars(instrument.candles, minutes, _BARS_SEARCHED) if bar.count][-_BARS_FIRST:]
        return (messages.ohlc(instrument.spec, "snapshot", minutes, bars, now),) if bars else ()

    def frames(self, now: int) -> Sequence[str]:
        instrument, minutes = self._instrument, self._minutes
        starts = dict.fromkeys(opens(minutes, fill.time) for fill in instrument.changes.trades)
        bars = [bar for start in starts if (bar := bar_at(instrument.candles, minutes, start)) is not None]
        return [messages.ohlc(instrument.spec, "update", minutes, (bar,), now) for bar in bars]


class Instruments:
    """``instrument``: the catalogue, then what changes in it. ``status_of`` says what a pair is now."""

    def __init__(
        self, specs: Callable[[], Sequence[InstrumentSpec]], status_of: Callable[[InstrumentSpec], str]
    ) -> None:
        self._specs = specs
        self._status_of = status_of
        self._told = self._now()

    def _now(self) -> dict[InstrumentSpec, str]:
        return {spec: self._status_of(spec) for spec in self._specs()}

    def opening(self, now: int) -> Sequence[str]:
        assets = dict.fromkeys(asset for spec in self._specs() for asset in (spec.quote, spec.base))
        return (messages.instruments("snapshot", assets, self._told.items()),)

    def frames(self, now: int) -> Sequence[str]:
        before, self._told = self._told, self._now()
        changed = [(spec, said) for spec, said in self._told.items() if before.get(spec) != said]
        return (messages.instruments("update", (), changed),) if changed else ()

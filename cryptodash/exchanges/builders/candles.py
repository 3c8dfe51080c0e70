"""Candle frames of one topic into candles: every closed bar exactly once, none lost with a closing
frame that never came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from cryptodash.core.events import Candle
from cryptodash.core.intervals import LENGTH_MS, next_open
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar

MAX_MISSING = 1_000
"""Bars fetched at most after an interruption; older ones are left to the history endpoint."""
MAX_TRIES = 5
"""Fetches for one lost bar. After the last one the stream goes on without it."""
MAX_HELD = 100
"""Bars held back while a lost one is fetched."""


class CandleOutcome(NamedTuple):
    """What a frame brings: candles to publish, and whether closed bars must be fetched by REST first."""

    events: list[Candle]
    fetch: bool


CLOSE_MARGIN_MS = 1_000
"""How far the venue's clock must be past a bar's end before REST's figures of it count as final: the estimate of that
clock may run fast, and the venue may still be counting."""


def candles_of(topic: Topic, bars: Sequence[Bar], venue_ms: int, received: int) -> list[Candle]:
    """A REST answer as candles: oldest first, one per open time (the last one counts).

    Such bars carry no flag. One is closed when the answer holds a later one, or when the venue's clock (``venue_ms``)
    is past its end by the margin; our own wall clock decides nothing. ``received`` is when the answer came (wall clock,
    ms).
    """
    by_time = {bar.open_time: bar for bar in bars}
    newest = max(by_time, default=0)
    return [
        _from_rest(topic, by_time[opened], max(newest, venue_ms - CLOSE_MARGIN_MS), received)
        for opened in sorted(by_time)
    ]


def _from_rest(topic: Topic, bar: Bar, ended_by: int, received: int) -> Candle:
    closed = next_open(topic.interval, bar.open_time) <= ended_by
    prices = bar.open, bar.high, bar.low, bar.close
    return Candle(topic, bar.open_time, received, *prices, bar.volume, closed, source="rest")


_LAST_OPEN = 250_000_000_000_000
"""Open times beyond (the year 9892) are nonsense."""
_NOTHING = CandleOutcome([], False)


class CandleBuilder:
    """The candles of one topic.

    When a newer bar opens while an older one was never closed by the venue, the newer is held back and the missing ones
    are asked for (``fetch``; ``missing`` says how many bars the request must reach back). While that goes on nothing is
    told. A fetch that fails, or does not hold the closed bar yet, is asked for again by one of the next frames, after
    twice as many frames each time; after ``MAX_TRIES`` the stream goes on without the lost bar. A bar that the venue's
    answer skips, while it has later ones, never was.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._expected: int | None = None
        """Open time of the oldest bar that has not been delivered closed."""
        self._running: Candle | None = None
        self._sent_at = 0
        """When the venue sent the running bar."""
        self._last_closed: Candle | None = None
        self._held: dict[int, Candle] = {}
        self._flagless = False
        """Whether the venue's bars have no closed flag."""
        self._interrupted = False
        """Whether frames of the running bar may have been missed."""
        self._asked = False
        self._tries = 0
        self._patience = 0

    @property
    def is_waiting(self) -> bool:
        """Whether newer bars are held back for a lost one, so that the newest told is out of date."""
        return bool(self._held)

    @property
    def missing(self) -> int:
        """How many bars a fetch must cover, from the oldest lost one to the newest held one;
        0 while nothing is lost."""
        if self._expected is None or not self._held:
            return 0
        count, time, newest = 1, self._expected, max(self._held)
        while time < newest and count < MAX_MISSING:
            time, count = self._after(time), count + 1
        return count

    def bar(self, m: Bar, received: int) -> CandleOutcome:
        """Take one frame that came at ``received`` (our wall clock, ms)."""
        if not 0 <= m.open_time < _LAST_OPEN:
            return _NOTHING
        candle = Candle(self._topic, m.open_time, received, m.open, m.high, m.low, m.close, m.volume, bool(m.closed))
        if m.closed is None:
            told = self._closed_by(candle)
            outcome = self._place(candle, m)
            return CandleOutcome([*told, *outcome.events], outcome.fetch)
        return self._place(candle, m)

    def _place(self, candle: Candle, m: Bar) -> CandleOutcome:
        if self._expected is None:
            self._expected = m.open_time
        if m.open_time < self._expected:
            return self._repeated(candle)
        if self._held or m.open_time > self._expected:
            return self._hold(candle)
        if self._is_known(candle) or self._is_overtaken(m):
            return _NOTHING
        return CandleOutcome([self._deliver(candle)], False)

    def fetched(self, candles: Sequence[Candle]) -> list[Candle]:
        """Take a REST answer: the missing closed bars, then what was held. Empty if the answer does not help yet."""
        if not self._asked:
            return []
        self._asked = False
        if not self._held:
            return self._closed_late(candles)
        return self._release({each.timestamp: each for each in candles}, give_up=self._tries >= MAX_TRIES)

    def _closed_late(self, candles: Sequence[Candle]) -> list[Candle]:
        """The running bar as REST closes it, where nothing newer has come meanwhile."""
        running = self._running
        found = next((each for each in candles if running is not None and each.timestamp == running.timestamp), None)
        return [] if found is None or not found.closed else [self._deliver(replace(found, topic=self._topic))]

    def fetch_failed(self) -> list[Candle]:
        """No answer: hold on and ask again with one of the next frames; after the last try, what was held."""
        if not self._asked:
            return []
        self._asked = False
        return self._release({}, give_up=self._tries >= MAX_TRIES) if self._held else []

    def reconnected(self) -> None:
        """The stream was interrupted: an unanswered fetch is given up, and tries are counted anew. Bars missed
        meanwhile show with the next frame."""
        self._asked = False
        self._interrupted = True
        self._tries = self._patience = 0

    def is_overdue(self, venue_ms: int) -> bool:
        """Whether a bar that no flag closes has been over for a while by the venue's clock, so that REST is to be asked
        for it: once, then again after twice as many looks each time."""
        running = self._running
        if running is None or not self._flagless or self._asked or self._held:
            return False
        if venue_ms < next_open(self._topic.interval, running.timestamp) + CLOSE_MARGIN_MS:
            return False
        self._patience -= 1
        if self._patience > 0:
            return False
        self._tries = min(self._tries + 1, MAX_TRIES)
        self._patience = 2**self._tries
        self._asked = True
        return True

    def _closed_by(self, later: Candle) -> list[Candle]:
        """The running bar of a venue without a flag, closed by one that opens later: nothing came in between, for the
        stream was not interrupted since. Bars that the venue skipped had no trades."""
        self._flagless = True
        running = self._running
        if running is None or later.timestamp <= running.timestamp or self._interrupted:
            return []
        closed = self._deliver(replace(running, closed=True))
        self._expected = later.timestamp
        return [closed]

    def _is_known(self, candle: Candle) -> bool:
        """Whether the running bar was told with these very figures."""
        running = self._running
        return running is not None and candle == replace(running, received=candle.received)

    def _is_overtaken(self, m: Bar) -> bool:
        """Whether a newer frame of the running bar came before this one."""
        if m.time is None or m.closed:
            return False
        if self._running is not None and m.time < self._sent_at:
            return True
        self._sent_at = m.time
        return False

    def _after(self, open_time: int) -> int:
        """Open time of the next bar."""
        return next_open(self._topic.interval, open_time)

    def _deliver(self, candle: Candle) -> Candle:
        """The candle becomes the newest that was told."""
        if candle.closed:
            self._last_closed, self._running = candle, None
            self._expected = self._after(candle.timestamp)
            self._tries = self._patience = 0
            self._interrupted = False
        else:
            self._interrupted = False  # a bar's frame holds all of the bar
            self._running = candle
            self._expected = candle.timestamp
        return candle

    def _repeated(self, candle: Candle) -> CandleOutcome:
        """A bar that was delivered closed: told again only if the venue has corrected the newest one."""
        last = self._last_closed
        if last is None or not candle.closed or candle.timestamp != last.timestamp or _values(candle) == _values(last):
            return _NOTHING
        self._last_closed = candle
        return CandleOutcome([replace(candle, corrected=True)], False)

    def _hold(self, candle: Candle) -> CandleOutcome:
        """Something older is missing: keep this one, and see whether it is what was missing."""
        before = self._held.get(candle.timestamp)
        if before is None or candle.closed or not before.closed:
            self._held[candle.timestamp] = candle
        released = self._release({}, give_up=len(self._held) > MAX_HELD)
        if released or self._asked or not self._held:
            return CandleOutcome(released, False)
        self._patience -= 1
        if self._patience > 0:
            return _NOTHING
        self._tries += 1
        self._patience = 2**self._tries
        self._asked = True
        return CandleOutcome([], True)

    def _release(self, rest: Mapping[int, Candle], *, give_up: bool) -> list[Candle]:
        """Deliver in order what is closed, from the stream or from REST, then the newest held bar;
        stop at the first that is still missing."""
        told: list[Candle] = []
        newest = max(self._held)
        answered_to = max(rest, default=0)
        time = self._first_wanted(newest)
        while time < newest:
            found = self._closed_at(time, rest)
            if found is not None:
                told.append(self._deliver(found))
            elif not (give_up or (time not in rest and time < answered_to)):
                self._expected = time
                return told
            self._held.pop(time, None)
            time = self._after(time)
        told.append(self._deliver(self._held[newest]))
        self._held.clear()
        self._asked = False
        self._tries = self._patience = 0
        return told

    def _closed_at(self, time: int, rest: Mapping[int, Candle]) -> Candle | None:
        held, fetched = self._held.get(time), rest.get(time)
        if held is not None and held.closed:
            return held
        if fetched is not None and fetched.closed:
            return replace(fetched, topic=self._topic, source="rest")
        return None

    def _first_wanted(self, newest: int) -> int:
        """The oldest missing bar, at most ``MAX_MISSING`` before the newest."""
        first = newest if self._expected is None else self._expected
        length = LENGTH_MS.get(self._topic.interval)
        return first if length is None else max(first, newest - MAX_MISSING * length)


def _values(candle: Candle) -> tuple[str, ...]:
    return candle.open, candle.high, candle.low, candle.close, candle.volume

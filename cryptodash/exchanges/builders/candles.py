"""Candle frames of one topic into candles: every closed bar exactly once, none lost with a closing
frame that never came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from msgspec.structs import replace

from cryptodash.core.events import Candle
from cryptodash.core.intervals import LENGTH_MS, next_open
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar
from cryptodash.exchanges.builders.backoff import Backoff
from cryptodash.exchanges.builders.bar_times import (
    AHEAD_BY_CLOCK_MS,
    BELIEVED_MS,
    OpenTimes,
    is_impossible,
    open_at,
    written_at,
)
from cryptodash.exchanges.builders.held_bars import FrameOrder, HeldBars
from cryptodash.exchanges.builders.lost_bars import LostBars
from cryptodash.exchanges.builders.rest_candles import CLOSE_MARGIN_MS, by_open_time, candles_of

__all__ = ["CLOSE_MARGIN_MS", "CandleBuilder", "CandleOutcome", "candles_of"]

MAX_MISSING = 1_000
"""Bars fetched at most after an interruption; older ones are left to the history endpoint."""
MAX_TRIES = 5
"""Fetches for one lost bar while newer ones are held back. After the last one the stream goes on, and the lost bar is
asked for further, ever more rarely."""
MAX_SKIPPED = 3
"""Answers without a bar that is over, until it is taken for one that never was."""
MAX_HELD = 100
"""Bars held back while a lost one is fetched."""
CLOSE_WAIT_MS = 3_000
"""How long after a bar's end the frame that closes it is waited for before REST is asked."""
CLOSE_SPREAD_MS = 2_000
"""Topics wait up to so much longer, each its own time: all bars of an interval end in the same second."""


class CandleOutcome(NamedTuple):
    """What a frame brings: candles to publish, and whether closed bars must be fetched by REST first."""

    events: list[Candle]
    fetch: bool


_NOTHING = CandleOutcome([], False)


class CandleBuilder:
    """The candles of one topic.

    When a newer bar opens while an older one was never closed by the venue, the newer is held back and the missing ones
    are asked for (``fetch``; ``missing`` says how many bars the request must reach back). While that goes on nothing is
    told. A fetch that fails, or does not hold the closed bar yet, is asked for again by one of the next frames or looks
    at the clock, after twice as many each time; after ``MAX_TRIES`` the stream goes on, and the lost bar is told when
    it can be had (``LostBars``). A bar that the venue's answer skips, while it has older and later ones, never was.

    ``look`` closes by the clock what no frame closes.
    """

    def __init__(self, topic: Topic) -> None:
        self.refused = 0
        """Frames left out because no bar can have opened then."""
        self._topic = topic
        self._open_times = OpenTimes(topic.interval)
        self._wait_ms = CLOSE_WAIT_MS + crc32(str(topic).encode()) % CLOSE_SPREAD_MS
        self._written: int | None = None
        """When the venue wrote the newest frame, where frames say so."""
        self._begun: int | None = None
        """Open time of the first bar to be told closed where no frame ever comes: the one that ran when the clock was
        first looked at."""
        self._expected: int | None = None
        """Open time of the oldest bar that has not been delivered closed."""
        self._running: Candle | None = None
        self._order = FrameOrder()
        self._last_closed: Candle | None = None
        self._lost = LostBars()
        self._held = HeldBars()
        self._flagless = False
        """Whether the venue's bars have no closed flag."""
        self._heard: int | None = None
        """Open time of the newest bar of which a frame came since the stream was last interrupted, ..."""
        self._written_before: int | None = None
        """... which a repeat of one that was written by then is not."""
        self._asked = False
        self._backoff = Backoff()

    @property
    def is_waiting(self) -> bool:
        """Whether a closed bar is missing: newer ones are held back for it, or were told without it."""
        return bool(self._held.bars or self._lost.open_times)

    @property
    def given_up(self) -> int:
        """Closed bars that will never be told: REST does not reach back to them."""
        return self._lost.given_up

    @property
    def missing(self) -> int:
        """How many bars a fetch must cover, from the oldest lost one to the newest held one;
        0 while nothing is held back."""
        return self._count(self._held.newest) if self._held else 0

    def bar(self, m: Bar, received: int, venue_ms: int | None = None) -> CandleOutcome:
        """Take one frame that came at ``received`` (our wall clock, ms); ``venue_ms`` is the venue's clock then, None
        where nothing is known of it."""
        running = self._running
        if running is not None and m.open_time == running.timestamp and self._follows(m):
            # The usual frame: the running bar goes on. Nothing to find out about its open time.
            candle = Candle(
                self._topic, m.open_time, received, m.open, m.high, m.low, m.close, m.volume, bool(m.closed)
            )
            self._hear(m.open_time, m.time)
            if not candle.closed and _values(candle) == _values(running) and running.source == "venue":
                return _NOTHING
            return CandleOutcome([self._deliver(candle)], False)
        written = written_at(m, self._written, venue_ms)
        if is_impossible(m.open_time, written, venue_ms):
            self.refused += 1
            return _NOTHING
        if written is not None:
            self._written = written
        opened = self._open_times.aligned(m.open_time)
        candle = Candle(self._topic, opened, received, m.open, m.high, m.low, m.close, m.volume, bool(m.closed))
        if venue_ms is not None and (self._held or (self._expected is not None and opened < self._expected)):
            self._forget_after(venue_ms + AHEAD_BY_CLOCK_MS)
        told = self._closed_by(candle, venue_ms if written is None else written) if m.closed is None else []
        self._hear(opened, written)
        events, fetch = self._place(candle, written, venue_ms)
        return CandleOutcome(self._open_times.as_said([*told, *events]), fetch)

    def _hear(self, opened: int, written: int | None) -> None:
        before = self._written_before
        if written is None or before is None or written > before:
            self._heard = opened if self._heard is None else max(opened, self._heard)

    def _follows(self, m: Bar) -> bool:
        """Whether a frame of the running bar simply follows the one before: nothing is missing, and the venue wrote it
        later, by a time that can be believed."""
        if self._held.bars or self._open_times.said or (m.closed is None and not self._flagless):
            return False
        written, before = m.time, self._written
        if written is None:
            return True
        if before is None or not before <= written <= before + BELIEVED_MS or written < self._order.written:
            return False
        self._written = self._order.written = written
        return True

    def _place(self, candle: Candle, written: int | None, venue_ms: int | None) -> CandleOutcome:
        opened = candle.timestamp
        if self._expected is None:
            self._expected = opened
        if opened < self._expected:
            return self._older(candle)
        if opened == self._expected and self._held.is_contradicted_by(candle, written):
            self._held.clear()
        if self._held or opened > self._expected:
            return self._hold(candle, written)
        running = self._running
        if running is not None and candle == replace(running, received=candle.received):
            return _NOTHING  # told with these very figures
        if self._order.is_overtaken(candle, running, written, venue_ms):
            return _NOTHING
        return CandleOutcome([self._deliver(candle)], False)

    def fetched(self, candles: Sequence[Candle]) -> list[Candle]:
        """Take a REST answer: the missing closed bars, then what was held. Empty if the answer does not help yet."""
        if not self._asked:
            return []
        self._asked = False
        rest = by_open_time(self._topic, candles, self._open_times)
        told = self._lost.found(rest)
        for each in told:
            self._note_closed(each)
        if self._held:
            told += self._release(rest, give_up=self._backoff.tries >= MAX_TRIES)
        else:
            told += self._close(rest)
        return self._open_times.as_said(told)

    def fetch_failed(self) -> list[Candle]:
        """No answer: hold on and ask again with one of the next frames or looks; after the last try, what was held."""
        if not self._asked:
            return []
        self._asked = False
        if not self._held:
            return []
        return self._open_times.as_said(self._release({}, give_up=self._backoff.tries >= MAX_TRIES))

    def reconnected(self) -> None:
        """The stream was interrupted: an unanswered fetch is given up, and tries are counted anew. Bars missed
        meanwhile show with the next frame, or are looked for when they are over."""
        self._asked = False
        self._heard, self._written_before = None, self._written
        self._backoff.reset()

    def look(self, venue_ms: int) -> int:
        """Twice a second, with the venue's clock (ms): how many bars a fetch must cover that is due now, up to the
        running one; 0: none is due.

        Due is the bar that is over and that nothing has closed, whether its frames stopped, or it never had one; and
        whatever else is missing, where no frame comes to ask for it again.
        """
        if self._begun is None:
            self._begun = open_at(self._topic.interval, venue_ms)
        if self._asked:
            return 0
        if self._held or self._is_overdue(venue_ms):
            due = self._backoff.is_due()
        else:
            due = bool(self._lost) and self._lost.backoff.is_due()
        if not due:
            return 0
        self._asked = True
        return self._count(max(venue_ms + AHEAD_BY_CLOCK_MS, self._held.newest))

    def _is_overdue(self, venue_ms: int) -> bool:
        wait = CLOSE_MARGIN_MS if self._flagless and self._running is not None else self._wait_ms
        return self._first is not None and venue_ms >= self._after(self._first) + wait

    @property
    def _first(self) -> int | None:
        """Open time of the oldest bar that is to be told closed."""
        return self._begun if self._expected is None else self._expected

    def _count(self, newest: int) -> int:
        """Bars from the oldest one missing to the one that holds the time ``newest`` (ms), at most ``MAX_MISSING``."""
        time = min((each for each in (self._first, self._lost.oldest) if each is not None), default=newest)
        count = 1
        while (time := self._after(time)) <= newest and count < MAX_MISSING:
            count += 1
        return count

    def _close(self, rest: Mapping[int, Candle]) -> list[Candle]:
        """What REST has closed, where nothing newer has come meanwhile."""
        first = self._first
        if first is None or not rest:
            return []
        if min(rest) > first and self._expected is not None and self._backoff.tries < MAX_TRIES:
            return []  # it does not reach back so far: what it lacks may have been
        told: list[Candle] = []
        newer = sorted(each for each in rest if each >= first)
        for opened in newer:
            if not rest[opened].closed:
                break
            told.append(self._deliver(rest[opened]))
        if not told:
            self._pass_over(first, newer[0] if newer else None)
        return told

    def _pass_over(self, first: int, following: int | None) -> None:
        """An answer has no bar ``first`` or a later one before ``following``, which runs; None: none at all, which
        proves nothing before some answers have said so. A frame that closes such a bar later is told all the same."""
        if following is None:
            if self._running is not None or self._backoff.tries < MAX_SKIPPED:
                return
            following = self._after(first)
        elif following == first:
            return  # still runs, as REST sees it
        self._running = None
        if self._expected is None:
            self._begun = following
        else:
            self._expected = following
        self._backoff.reset()

    def _forget_after(self, begun_by: int) -> None:
        """Bars that have not begun by then (ms), whatever their frames said, make way for one that has."""
        self._held.drop_after(begun_by)
        running, last = self._running, self._last_closed
        if last is not None and last.timestamp > begun_by:
            self._last_closed = self._running = self._expected = None
        elif running is not None and running.timestamp > begun_by:
            self._running = None
            self._expected = None if last is None else self._after(last.timestamp)

    def _closed_by(self, later: Candle, now_ms: int | None) -> list[Candle]:
        """The running bar of a venue without a flag, closed by one that opens later and has begun: nothing came in
        between, for the stream was not interrupted since. Bars that the venue skipped had no trades."""
        self._flagless = True
        running = self._running
        if running is None or later.timestamp <= running.timestamp or self._held:
            return []
        if self._heard is None or self._heard < running.timestamp:
            return []
        if now_ms is not None and later.timestamp > now_ms + CLOSE_MARGIN_MS:
            return []
        closed = self._deliver(replace(running, closed=True))
        self._expected = later.timestamp
        return [closed]

    def _after(self, open_time: int) -> int:
        """Open time of the next bar."""
        return next_open(self._topic.interval, open_time)

    def _deliver(self, candle: Candle) -> Candle:
        """The candle becomes the newest that was told."""
        if candle.closed:
            self._last_closed, self._running = candle, None
            self._expected = self._after(candle.timestamp)
            self._backoff.reset()
        else:
            self._running = candle
            self._expected = candle.timestamp
        return candle

    def _note_closed(self, candle: Candle) -> None:
        if self._last_closed is None or candle.timestamp > self._last_closed.timestamp:
            self._last_closed = candle

    def _older(self, candle: Candle) -> CandleOutcome:
        """A bar before the one that is expected: told if it is closed and was passed over, or if the venue has
        corrected the newest closed one."""
        last = self._last_closed
        if not candle.closed:
            return _NOTHING
        if self._lost.remove(candle.timestamp) or (last is not None and candle.timestamp > last.timestamp):
            self._note_closed(candle)
            return CandleOutcome([candle], False)
        if last is None or candle.timestamp != last.timestamp or _values(candle) == _values(last):
            return _NOTHING
        self._last_closed = candle
        return CandleOutcome([replace(candle, corrected=True)], False)

    def _hold(self, candle: Candle, written: int | None) -> CandleOutcome:
        """Something older is missing: keep this one, and see whether it is what was missing."""
        self._held.add(candle, written)
        released = self._release({}, give_up=len(self._held) > MAX_HELD)
        if released or self._asked or not self._held:
            return CandleOutcome(released, False)
        if not self._backoff.is_due():
            return _NOTHING
        self._asked = True
        return CandleOutcome([], True)

    def _release(self, rest: Mapping[int, Candle], *, give_up: bool) -> list[Candle]:
        """Deliver in order what is closed, from the stream or from REST, then the newest held bar;
        stop at the first that is still missing."""
        told: list[Candle] = []
        newest = self._held.newest
        answered_from, answered_to = min(rest, default=newest), max(rest, default=0)
        time = self._first_wanted(newest)
        while time < newest:
            held, fetched = self._held.pop(time), rest.get(time)
            if held is not None and held.closed:
                told.append(self._deliver(held))
            elif fetched is not None and fetched.closed:
                told.append(self._deliver(fetched))
            elif time in rest or not answered_from <= time < answered_to:
                if not give_up:
                    self._expected = time
                    return told
                self._lost.add(time)
            time = self._after(time)
        last = self._held.pop(newest)
        if last is not None:
            if not last.closed:
                self._order.written = self._held.written
            told.append(self._deliver(last))
        self._held.clear()
        self._asked = False
        self._backoff.reset()
        return told

    def _first_wanted(self, newest: int) -> int:
        """The oldest missing bar, at most ``MAX_MISSING`` before the newest."""
        first = newest if self._expected is None else self._expected
        length = LENGTH_MS.get(self._topic.interval)
        return first if length is None else max(first, newest - MAX_MISSING * length)


def _values(candle: Candle) -> tuple[str, ...]:
    return candle.open, candle.high, candle.low, candle.close, candle.volume

"""What a tape has behind the message that a cursor names, for a client that comes back. Blocking, and pure over what a
``Recording`` reads.

A tape is where the messages of a topic are told to have been complete: from where the topic begins to be recorded to
where it ends, less the holes. What one process did not record another one may have. A time that none has is a hole; it
stands before the next message, and is none where that message shows that nothing is missing.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from attrs import define, field, frozen

from cryptodash.core.cursors import Cursor, read_cursor
from cryptodash.core.errors import Refused
from cryptodash.core.intervals import next_open
from cryptodash.core.recorded import UNKNOWN
from cryptodash.core.topics import Channel, Topic, parse_topic
from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.recording import Recording, WriterRun

AROUND: Final = 120_000_000
"""us before and after the moment at which a message with the cursor's time is expected: it is looked for there. More
than the minute between two keyframes, which tell that the topic was recorded."""
CLOCKS_DIFFER: Final = AROUND // 2
"""us between when messages are expected and when they came, above which the search moves there."""
REMEMBERED: Final = 10_000
"""Messages by which a repeat is known: as many as are kept of a topic."""
UNRECORDED: Final = "unrecorded"

_LOST: Final = frozenset(("full", "disk", "torn", "stopped", "damaged"))
"""Reasons of holes in which messages may be missing. While the process stood still it told nothing, and what it told
then is on the tape."""


class _Payload(msgspec.Struct):
    cursor: str | None = None
    replayed: bool = False


class _Body(msgspec.Struct):
    type: str
    payload: _Payload


_decode = msgspec.json.Decoder(_Body).decode
_VALUES: Final = re.compile(rb'\{"type":"(?:trade|liquidation|candle)",')
_GAP: Final = b'{"type":"gap",'


@frozen
class _Told:
    """A message that has a cursor. ``replayed``: it had been told before, or the venue told it of the past."""

    time: int
    cursor: Cursor
    replayed: bool
    body: bytes


def read_after(recording: Recording, topic_text: str, cursor: Cursor) -> Iterator[Entry | Missing]:
    """Every message of the topic behind the cursor's, once and in order (kind ``MESSAGE``), with the gaps that were
    told; a ``Missing`` of the topic before the first one behind a hole. Where the cursor's own message is not there,
    but the topic was recorded at about its time, the first item is a ``Missing`` and what is older than the cursor is
    left out. Where the tape does not reach back to it, the only item is a ``Missing`` with the reason ``UNKNOWN``."""
    topic = parse_topic(topic_text)
    writers = recording.writers()
    place = _find(writers, topic, cursor)
    if place is None:
        yield Missing(0, 0, UNKNOWN, topic.text)
        return
    yield from _Continuation(topic, cursor, place).read(writers)


@define(eq=False)
class _Place:
    """Where to go on: in a run of a writer, both by their number, at tape time ``at``. ``is_exact``: behind the message
    itself."""

    writer: int
    run: int
    at: int
    is_exact: bool
    had: dict[Cursor, None] = field(factory=dict)
    """Some that were told up to there."""


_Writers = Sequence[Sequence[WriterRun]]


def _find(writers: _Writers, topic: Topic, cursor: Cursor) -> _Place | None:
    expected = _expected(topic, cursor)
    found, ahead = _look_around(writers, topic, cursor, expected)
    if (found is None or not found.is_exact) and ahead is not None and abs(ahead) > CLOCKS_DIFFER:
        moved, _ = _look_around(writers, topic, cursor, expected + ahead)
        found = moved if moved is not None else found
    return found


def _expected(topic: Topic, cursor: Cursor) -> int:
    """Tape time at which a message with that cursor came, if clocks agree: a bar comes when it has closed."""
    time = cursor.time
    if topic.channel is Channel.CANDLE:
        try:
            time = next_open(topic.interval, time)
        except (OverflowError, ValueError, OSError):  # of a client that made it up
            return 0
    return time * 1000


def _look_around(writers: _Writers, topic: Topic, cursor: Cursor, expected: int) -> tuple[_Place | None, int | None]:
    """The place, and by how much (us) what is there came later than expected."""
    near: _Place | None = None
    ahead: int | None = None
    begin, end = max(0, expected - AROUND), min(expected + AROUND, MOST_TIME)
    for number, runs in enumerate(writers):
        had: dict[Cursor, None] = {}
        for place, run in enumerate(runs):
            if run.first > end or run.last < begin:
                continue
            at: int | None = None
            for each in run.read(begin, end, topic.text):
                if not isinstance(each, Entry):
                    continue
                at = each.time if at is None else at
                told = _told(each, topic)
                if told is None:
                    continue
                if not told.replayed:
                    ahead = each.time - _expected(topic, told.cursor)
                if told.cursor == cursor:
                    return _Place(number, place, each.time, True, had), ahead
                if told.cursor.time <= cursor.time:
                    at = each.time
                    _remember(had, told.cursor)
            if at is not None and (near is None or _is_nearer(at, near.at, expected)):
                near = _Place(number, place, at, False, had)
    return near, ahead


def _is_nearer(at: int, other: int, expected: int) -> bool:
    """Whether what is there at a time is nearer behind the message, or, where neither is, before it."""
    return other < at <= expected or (other > expected and at < other)


def _remember(seen: dict[Cursor, None], cursor: Cursor) -> None:
    seen[cursor] = None
    if len(seen) > REMEMBERED:
        del seen[next(iter(seen))]


def _told(entry: Entry, topic: Topic) -> _Told | None:
    """None for what has no cursor, or cannot be read."""
    if entry.kind != records.MESSAGE or not _VALUES.match(entry.body):
        return None
    try:
        payload = _decode(entry.body).payload
        entry.body.decode()  # what is passed over is not looked at by the decoder
        if payload.cursor is None or not entry.body.endswith(b"}}"):
            return None
        return _Told(entry.time, read_cursor(payload.cursor, topic), payload.replayed, entry.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, Refused):
        return None


@frozen
class _Over:
    """A run has nothing behind this time."""

    time: int


_Numbered = tuple[int, Entry | Missing | _Over]
"""With the number of the writer."""


class _Continuation:
    def __init__(self, topic: Topic, cursor: Cursor, place: _Place) -> None:
        self._topic = topic
        self._place = place
        self._cursor = cursor
        self._last = cursor
        """Of the newest that the client has, or will have."""
        self._seen = {**place.had, cursor: None}
        self._is_behind = not place.is_exact
        """Whether the place has been passed: an exact one is where the message itself is."""
        self._covered: set[int] = set()
        """The writers that record the topic."""
        self._uncovered_since: int | None = None
        self._hole: Missing | None = None

    def read(self, writers: _Writers) -> Iterator[Entry | Missing]:
        place = self._place
        if not place.is_exact:
            yield Missing(place.at, place.at, UNRECORDED, self._topic.text)
        streams = [self._read_writer(number, runs) for number, runs in enumerate(writers)]
        for number, each in heapq.merge(*streams, key=_order):
            yield from self._take(number, each)

    def _read_writer(self, number: int, runs: Sequence[WriterRun]) -> Iterator[_Numbered]:
        """Its runs one after the other: the wall clock may have been set back between two of them."""
        place, topic = self._place, self._topic.text
        for index, run in enumerate(runs):
            is_own = number == place.writer
            if index < place.run if is_own else run.last < place.at:
                continue
            begin = 0 if is_own and index > place.run else place.at
            for each in run.read(begin, MOST_TIME, topic):
                yield number, each
            yield number, _Over(run.last)

    def _take(self, number: int, each: Entry | Missing | _Over) -> Iterator[Entry | Missing]:
        if isinstance(each, _Over):
            self._ends(number, each.time)
        elif isinstance(each, Missing):
            if each.reason in _LOST and self._covered == {number}:
                self._widen(each.begin, each.end)
        elif each.kind == records.END:
            self._ends(number, each.time)
        else:
            self._begins(number, each.time)
            if each.kind == records.MESSAGE:
                yield from self._message(each)

    def _begins(self, number: int, at: int) -> None:
        if not self._covered and self._uncovered_since is not None:
            self._widen(self._uncovered_since, at)
        self._covered.add(number)
        self._uncovered_since = None

    def _ends(self, number: int, at: int) -> None:
        if number in self._covered:
            self._covered.discard(number)
            if not self._covered:
                self._uncovered_since = at

    def _widen(self, begin: int, end: int) -> None:
        if not self._is_behind or self._tells_first():
            return  # the client has it, or it is in the hole that was told at the beginning
        hole = self._hole
        if hole is not None:
            begin, end = min(hole.begin, begin), max(hole.end, end)
        self._hole = Missing(begin, max(begin, end), UNRECORDED, self._topic.text)

    def _message(self, entry: Entry) -> Iterator[Entry | Missing]:
        if entry.body.startswith(_GAP):
            if self._is_behind and entry.body.endswith(b"}}"):
                yield from self._with_hole(entry)
            return
        told = _told(entry, self._topic)
        if told is None:
            return
        if not self._is_behind:
            self._is_behind = told.cursor == self._cursor
            return
        if told.cursor in self._seen:
            if told.cursor == self._last and self._topic.channel is Channel.TRADE:
                self._hole = None  # the venue tells what followed it
            return
        if told.cursor.time < self._last.time and told.replayed:
            return  # of the past, which was told as far as it was known
        if self._tells_first() and told.cursor.time <= self._cursor.time:
            return  # before the place
        if self._follows(told):
            self._hole = None
        _remember(self._seen, told.cursor)
        self._last = told.cursor
        yield from self._with_hole(entry)

    def _tells_first(self) -> bool:
        """Whether nothing was told yet behind a place that is not exact."""
        return not self._place.is_exact and self._last == self._cursor

    def _follows(self, told: _Told) -> bool:
        """Whether it is the next bar."""
        return (
            self._topic.channel is Channel.CANDLE
            and next_open(self._topic.interval, self._last.time) == told.cursor.time
        )

    def _with_hole(self, entry: Entry) -> Iterator[Entry | Missing]:
        hole, self._hole = self._hole, None
        if hole is not None:
            yield hole
        yield entry


def _order(numbered: _Numbered) -> int:
    _, each = numbered
    return each.end if isinstance(each, Missing) else each.time

"""What a tape has behind the message that a cursor names, for a client that comes back. Blocking, and pure over what a
``Recording`` reads.

A tape is where the messages of a topic are told to have been complete: from where the topic begins to be recorded to
where it ends, less the holes. What one process did not record another one may have, as long as none was given its
lease: what it says behind that is left out, and between the two is a hole. A time that none has is a hole; it
stands before the next message, and is none where that message shows that nothing is missing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from cryptodash.core.cursors import Cursor
from cryptodash.core.intervals import next_open
from cryptodash.core.recorded import UNKNOWN
from cryptodash.core.topics import Channel, Topic, parse_topic
from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.cursor_place import Place, Told, Writers, find_place, remember, told_of
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.fences import SAYS_FENCE, Fences
from cryptodash.recording.merging import LOOK_BACK
from cryptodash.recording.recording import Recording, WriterRun
from cryptodash.recording.tape_errors import BadTape

UNRECORDED: Final = "unrecorded"

_LOST: Final = frozenset(("full", "disk", "torn", "stopped", "damaged"))
"""Reasons of holes in which messages may be missing. While the process stood still it told nothing, and what it told
then is on the tape."""
_GAP: Final = b'{"type":"gap",'


def read_after(recording: Recording, topic_text: str, cursor: Cursor) -> Iterator[Entry | Missing]:
    """Every message of the topic behind the cursor's, once and in order (kind ``MESSAGE``), with the gaps that were
    told; a ``Missing`` of the topic before the first one behind a hole. Where the cursor's own message is not there,
    but the topic was recorded at about its time, the first item is a ``Missing`` and what is older than the cursor is
    left out. Where the tape does not reach back to it, the only item is a ``Missing`` with the reason ``UNKNOWN``."""
    topic = parse_topic(topic_text)
    writers = recording.writers()
    place = find_place(writers, topic, cursor)
    if place is None:
        yield Missing(0, 0, UNKNOWN, topic.text)
        return
    yield from _Continuation(topic, cursor, place).read(writers)


@frozen
class _Over:
    """A run has nothing behind this time."""

    time: int


_Numbered = tuple[int, Entry | Missing | _Over]
"""With the number of the writer."""


class _Continuation:
    def __init__(self, topic: Topic, cursor: Cursor, place: Place) -> None:
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
        self._fences = Fences()
        self._hear(place.writer, place.at, place.held)

    def read(self, writers: Writers) -> Iterator[Entry | Missing]:
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
            begin = place.at if is_own else max(0, place.at - LOOK_BACK)  # what fence it has; and clocks differ
            if index < place.run if is_own else run.last < begin:
                continue
            begin = 0 if is_own and index > place.run else begin
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
            if each.kind in SAYS_FENCE:
                self._hear(number, each.time, each.body)
            if self._fences.is_behind(self._topic.text, number):
                return
            self._begins(number, each.time)
            if each.kind == records.MESSAGE:
                yield from self._message(number, each)

    def _hear(self, number: int, at: int, body: bytes) -> None:
        """Who was given the lease before this one ends there, whatever it says."""
        try:
            self._fences.hear(self._topic.text, number, body)
        except BadTape:
            self._widen(at, at)
        for other in [each for each in self._covered if self._fences.is_behind(self._topic.text, each)]:
            self._ends(other, at)
        if not self._is_behind and self._fences.is_behind(self._topic.text, self._place.writer):
            self._is_behind = True  # whoever told the client was not to speak any more, or clocks differ
            self._widen(at, at)

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

    def _message(self, number: int, entry: Entry) -> Iterator[Entry | Missing]:
        is_before = number != self._place.writer and entry.time <= self._place.at
        if entry.body.startswith(_GAP):
            if self._is_behind and not is_before and entry.body.endswith(b"}}"):
                yield from self._with_hole(entry)
            return
        told = told_of(entry, self._topic)
        if told is None:
            return
        if is_before:  # by another one's clock
            if told.cursor.time <= self._cursor.time:
                return
        elif not self._is_behind:
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
        remember(self._seen, told.cursor)
        self._last = told.cursor
        yield from self._with_hole(entry)

    def _tells_first(self) -> bool:
        """Whether nothing was told yet behind a place that is not exact."""
        return not self._place.is_exact and self._last == self._cursor

    def _follows(self, told: Told) -> bool:
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

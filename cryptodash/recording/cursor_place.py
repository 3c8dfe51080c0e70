"""Where on a tape the message is that a cursor names. Blocking, and pure over what a ``Recording`` reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from attrs import define, field, frozen

from cryptodash.core.cursors import Cursor, read_cursor
from cryptodash.core.errors import Refused
from cryptodash.core.intervals import next_open
from cryptodash.core.topics import Channel, Topic
from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.entries import Entry
from cryptodash.recording.fences import SAYS_FENCE
from cryptodash.recording.recording import WriterRun

AROUND: Final = 120_000_000
"""us before and after the moment at which a message with the cursor's time is expected: it is looked for there. More
than the minute between two keyframes, which tell that the topic was recorded."""
CLOCKS_DIFFER: Final = AROUND // 2
"""us between when messages are expected and when they came, above which the search moves there."""
REMEMBERED: Final = 10_000
"""Messages by which a repeat is known: as many as are kept of a topic."""


class _Payload(msgspec.Struct):
    cursor: str | None = None
    replayed: bool = False


class _Body(msgspec.Struct):
    type: str
    payload: _Payload


_decode = msgspec.json.Decoder(_Body).decode
_VALUES: Final = re.compile(rb'\{"type":"(?:trade|liquidation|candle)",')


@frozen
class Told:
    """A message that has a cursor. ``replayed``: it had been told before, or the venue told it of the past."""

    time: int
    cursor: Cursor
    replayed: bool
    body: bytes


@define(eq=False)
class Place:
    """Where to go on: in a run of a writer, both by their number, at tape time ``at``. ``is_exact``: behind the message
    itself."""

    writer: int
    run: int
    at: int
    is_exact: bool
    had: dict[Cursor, None] = field(factory=dict)
    """Some that were told up to there."""
    held: bytes = b""
    """What the writer has said last of its lease (``records.Held``)."""


Writers = Sequence[Sequence[WriterRun]]


def find_place(writers: Writers, topic: Topic, cursor: Cursor) -> Place | None:
    """None: the tapes do not reach back to it."""
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


def _look_around(writers: Writers, topic: Topic, cursor: Cursor, expected: int) -> tuple[Place | None, int | None]:
    """The place, and by how much (us) what is there came later than expected."""
    near: Place | None = None
    ahead: int | None = None
    begin, end = max(0, expected - AROUND), min(expected + AROUND, MOST_TIME)
    for number, runs in enumerate(writers):
        had: dict[Cursor, None] = {}
        for place, run in enumerate(runs):
            if run.first > end or run.last < begin:
                continue
            at: int | None = None
            held = held_there = b""
            for each in run.read(begin, end, topic.text):
                if not isinstance(each, Entry):
                    continue
                held = each.body if each.kind in SAYS_FENCE else held
                at, held_there = (each.time, held) if at is None else (at, held_there)
                told = told_of(each, topic)
                if told is None:
                    continue
                if not told.replayed:
                    ahead = each.time - _expected(topic, told.cursor)
                if told.cursor == cursor:
                    return Place(number, place, each.time, True, had, held), ahead
                if told.cursor.time <= cursor.time:
                    at, held_there = each.time, held
                    remember(had, told.cursor)
            if at is not None and (near is None or _is_nearer(at, near.at, expected)):
                near = Place(number, place, at, False, had, held_there)
    return near, ahead


def _is_nearer(at: int, other: int, expected: int) -> bool:
    """Whether what is there at a time is nearer behind the message, or, where neither is, before it."""
    return other < at <= expected or (other > expected and at < other)


def remember(seen: dict[Cursor, None], cursor: Cursor) -> None:
    """Add it, and forget the oldest of too many."""
    seen[cursor] = None
    if len(seen) > REMEMBERED:
        del seen[next(iter(seen))]


def told_of(entry: Entry, topic: Topic) -> Told | None:
    """None for what has no cursor, or cannot be read."""
    if entry.kind != records.MESSAGE or not _VALUES.match(entry.body):
        return None
    try:
        payload = _decode(entry.body).payload
        entry.body.decode()  # what is passed over is not looked at by the decoder
        if payload.cursor is None or not entry.body.endswith(b"}}"):
            return None
        return Told(entry.time, read_cursor(payload.cursor, topic), payload.replayed, entry.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, Refused):
        return None

"""What was recorded, as a client is to get it: the state at the beginning, then everything in order, then on. Pure over
what a ``Recording`` reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from cryptodash.recording import records
from cryptodash.recording.book_state import DELTA, SNAPSHOT, BookFold
from cryptodash.recording.entries import STATE, Entry, Missing
from cryptodash.recording.merging import LOOK_BACK
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape

UNWRITTEN: Final = 5_000_000
"""us that may not be on the disk yet, of a recorder that lives."""

_STATUS: Final = b'{"type":"status"'
_LOSSLESS: Final = (b'{"type":"trade"', b'{"type":"liquidation"', b'{"type":"gap"')


class _TopicState:
    """What one topic was last like. ``statuses`` and values as they were told; a sweep's values by instrument."""

    def __init__(self) -> None:
        self.is_recorded = False
        self.status: bytes | None = None
        self.values: dict[bytes, bytes] = {}
        self.book = BookFold()

    def take(self, entry: Entry) -> bool:
        """Whether a client that has everything before it can use it."""
        self.is_recorded = entry.kind != records.END
        if not self.is_recorded:
            self.lost()  # nobody knows what is true since
        body = entry.body
        if entry.kind not in (records.MESSAGE, records.KEYFRAME):
            return False
        if body.startswith(_STATUS):
            self.status = body
            return True
        if body.startswith((SNAPSHOT, DELTA)):
            try:
                fits = self.book.take(body)
            except BadTape:
                fits = False
            if not fits:
                self.book.lost()
            return fits
        if not body.startswith(_LOSSLESS):
            self.values[_what(body)] = body
        return True

    def lost(self) -> None:
        self.book.lost()
        self.status = None
        self.values.clear()

    def told(self, at: int, topic: str) -> Iterator[Entry]:
        """Its status, and then its value."""
        if self.status is not None:
            yield Entry(at, topic, STATE, self.status)
        snapshot = self.book.snapshot()
        for body in (snapshot,) if snapshot is not None else self.values.values():
            yield Entry(at, topic, STATE, body)


def _what(body: bytes) -> bytes:
    """What a message replaces among those of its topic: of a sweep that of the same instrument, of candles any."""
    begin = body.find(b'"symbol":')
    return body[begin : body.find(b"}", begin)] if begin >= 0 else b""


def state_at(recording: Recording, at: int, topics: Collection[str]) -> dict[str, list[Entry]]:
    """The status and the value of each topic as of ``at`` (tape time, us), of kind ``STATE``; an empty list where
    nothing is known: it was not recorded then, nothing was, or there is a hole behind its last keyframe."""
    states = _states_at(recording, at, topics)
    return {topic: list(state.told(at, topic)) if state.is_recorded else [] for topic, state in states.items()}


def _states_at(recording: Recording, at: int, topics: Collection[str]) -> dict[str, _TopicState]:
    states = {topic: _TopicState() for topic in topics}
    for each in recording.read(max(0, at - LOOK_BACK), at, topics):
        if isinstance(each, Missing):
            for topic in (each.topic,) if each.topic else topics:
                states[topic].lost()
        else:
            states[each.topic].take(each)
    if not any(span.begin <= at <= span.end + UNWRITTEN for span in recording.spans):
        for state in states.values():  # what was known when the recorder ended is not what is true since
            state.lost()
            state.is_recorded = False
    return states


def play(recording: Recording, begin: int, end: int, topics: Collection[str]) -> Iterator[Entry | Missing]:
    """First the state of each topic as of ``begin`` (kind ``STATE``), then every message after ``begin`` up to ``end``
    (kind ``records.MESSAGE``), in order, with the holes. A delta of a book that does not fit what was given before it
    is left out; behind a hole the next snapshot or keyframe is given in its place (kind ``STATE``). A time for which a
    topic was not recorded, or whose deltas were left out, is a ``Missing`` of that topic (``unrecorded``)."""
    states = _states_at(recording, begin, topics)
    for topic, state in states.items():
        yield from state.told(begin, topic)
    ended = {topic: begin for topic, state in states.items() if not state.is_recorded}
    unknown = {topic for topic, state in states.items() if state.status is None}
    begun_after: dict[str, int] = {}
    """Behind a hole: where a topic begins anew there, it was not recorded in between."""
    left_out: dict[str, int] = {}
    """Of books the time of the first delta that could not be used, until it is known again."""
    for each in recording.read(begin + 1, end, topics):
        if isinstance(each, Missing):
            if each.topic in ended and ended[each.topic] <= each.begin:
                continue  # it is within a time that is told once the topic is recorded again
            for topic in (each.topic,) if each.topic else topics:
                states[topic].lost()
                unknown.add(topic)
                begun_after[topic] = each.end
            yield each
            continue
        topic, state = each.topic, states[each.topic]
        hole_end = begun_after.pop(topic, None)
        if hole_end is not None and each.kind == records.BEGIN and topic not in ended:
            ended[topic] = hole_end
        if each.kind == records.END:
            state.take(each)
            ended[topic] = each.time
            unknown.add(topic)
            continue
        since = ended.pop(topic, None)
        if since is not None and each.time > since:
            yield Missing(since, each.time, "unrecorded", topic)
        if not state.take(each):
            if each.body.startswith(DELTA):
                unknown.add(topic)
                left_out.setdefault(topic, each.time)
            continue
        if topic in left_out and each.body.startswith(SNAPSHOT):
            yield Missing(left_out.pop(topic), each.time, "unrecorded", topic)
        if each.kind == records.MESSAGE:
            yield each
        elif topic in unknown:
            yield Entry(each.time, topic, STATE, each.body)
        if topic in unknown and not each.body.startswith(_STATUS):
            unknown.discard(topic)
    for topic, since in (ended | left_out).items():
        if since < end:
            yield Missing(since, end, "unrecorded", topic)

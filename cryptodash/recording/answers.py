"""Questions about a recording, answered. Blocking, and pure over what a ``Recording`` reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cryptodash.core.recorded import (
    MOST_SPANS,
    MOST_TOPICS,
    BookAt,
    Entry,
    History,
    Holdings,
    Item,
    Missing,
    Play,
    Position,
    Question,
    Ranges,
    Read,
    ReadAfter,
    Recorded,
    StateAt,
)
from cryptodash.recording import records
from cryptodash.recording.playback import LOOK_BACK, UNWRITTEN, play, state_at
from cryptodash.recording.recording import Recording


def answer(recording: Recording, question: Question) -> Iterator[Item]:
    """Every item of the answer, in order. Raises ``BadTape`` and ``OSError``."""
    match question:
        case Play():
            return _play(recording, question)
        case StateAt():
            return _state_at(recording, question)
        case Read():
            return _read(recording, question)
        case ReadAfter():
            return _read_after(recording, question)
        case Ranges():
            return _ranges(recording, question)
        case History() | BookAt() | Holdings():
            from cryptodash.recording.history_answers import history_answer  # what others have no use for

            return history_answer(recording, question)


def _play(recording: Recording, asked: Play) -> Iterator[Item]:
    lacking = recording.lacking(asked.topics, asked.begin - LOOK_BACK, asked.end)
    yield from _when_recorded(recording, lacking)
    topics = [each for each in asked.topics if each not in lacking]
    if topics:
        yield from play(recording, asked.begin, asked.end, topics)
        yield from _end(recording, asked.begin, asked.end)


def _read(recording: Recording, asked: Read) -> Iterator[Item]:
    lacking = recording.lacking(asked.topics, asked.begin - LOOK_BACK, asked.end)
    yield from _when_recorded(recording, lacking)
    topics = [each for each in asked.topics if each not in lacking]
    if not topics:
        return
    left = asked.limit
    for each in recording.read(asked.begin, asked.end, topics, keyframes=asked.keyframes):
        yield each
        if isinstance(each, Entry):
            left -= 1
            if not left:
                return
    yield from _end(recording, asked.begin, asked.end)


def _end(recording: Recording, begin: int, end: int) -> Iterator[Missing]:
    """The time behind the last run that had begun by then: the next one's hole comes later."""
    last = max((span.end for span in recording.spans if span.begin <= end), default=begin)
    if last < end:
        yield Missing(max(begin, last), end, "unwritten")


def _state_at(recording: Recording, asked: StateAt) -> Iterator[Item]:
    for topic, entries in state_at(recording, asked.at, asked.topics).items():
        yield from entries
        if not entries:
            (known,) = _when_recorded(recording, (topic,))
            is_hole = any(span.begin <= asked.at <= span.end + UNWRITTEN for span in known.spans)
            yield Missing(asked.at, asked.at, "unrecorded", topic) if is_hole else known


def _read_after(recording: Recording, asked: ReadAfter) -> Iterator[Item]:
    for position in asked.positions:
        found = _last_with(recording, position, asked.end)
        if found is None:
            yield Missing(position.begin, asked.end, "unknown", position.topic)
        else:
            yield from _behind(recording, position, found, asked.end)


def _last_with(recording: Recording, position: Position, end: int) -> int | None:
    """How many entries of the topic there are up to the last one with this cursor; None: no such one."""
    sought = f'"cursor":"{position.cursor}"'.encode()
    count, found = 0, None
    for each in recording.read(position.begin, end, (position.topic,), keyframes=False):
        if isinstance(each, Entry):
            count += 1
            if sought in each.body:
                found = count
    return found


def _behind(recording: Recording, position: Position, count: int, end: int) -> Iterator[Item]:
    for each in recording.read(position.begin, end, (position.topic,), keyframes=False):
        if isinstance(each, Entry):
            count -= 1
            if count < 0 and each.kind == records.MESSAGE:
                yield each
        elif count <= 0:
            yield each


def _ranges(recording: Recording, asked: Ranges) -> Iterator[Recorded]:
    found = recording.topics(asked.begin, asked.end)
    for topic in asked.topics or sorted(found)[:MOST_TOPICS]:
        yield Recorded(topic, found.get(topic, [])[-MOST_SPANS:])


def _when_recorded(recording: Recording, topics: Collection[str]) -> Iterator[Recorded]:
    """Of each of these, over all of the recording."""
    if topics:
        found = recording.topics()
        for topic in topics:
            yield Recorded(topic, found.get(topic, [])[-MOST_SPANS:])

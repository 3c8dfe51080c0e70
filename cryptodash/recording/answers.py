"""Questions about a recording, answered. Blocking, and pure over what a ``Recording`` reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cryptodash.core.cursors import Cursor
from cryptodash.core.recorded import (
    MOST_SPANS,
    BookAt,
    History,
    Holdings,
    Item,
    Missing,
    Play,
    Question,
    ReadAfter,
    Recorded,
)
from cryptodash.recording.continuation import read_after
from cryptodash.recording.merging import LOOK_BACK
from cryptodash.recording.playback import play
from cryptodash.recording.recording import Recording


def answer(recording: Recording, question: Question) -> Iterator[Item]:
    """Every item of the answer, in order. Raises ``BadTape`` and ``OSError``."""
    match question:
        case Play():
            return _play(recording, question)
        case ReadAfter():
            return read_after(recording, question.topic, Cursor(question.time, question.id))
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


def _end(recording: Recording, begin: int, end: int) -> Iterator[Missing]:
    """The time behind the last run that had begun by then: the next one's hole comes later."""
    last = max((span.end for span in recording.spans if span.begin <= end), default=begin)
    if last < end:
        yield Missing(max(begin, last), end, "unwritten")


def _when_recorded(recording: Recording, topics: Collection[str]) -> Iterator[Recorded]:
    """Of each of these, over all of the recording."""
    if topics:
        found = recording.topics()
        for topic in topics:
            yield Recorded(topic, found.get(topic, [])[-MOST_SPANS:])

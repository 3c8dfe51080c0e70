"""What several writers recorded at a time, as one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import repeat

from cryptodash.recording import records
from cryptodash.recording.entries import Entry, Missing, Span
from cryptodash.recording.run_reading import when


def without(hole: Missing, topic: str, spans: Iterable[Span]) -> Iterator[Missing]:
    """What is left of a hole, of this topic, where others recorded it during ``spans``."""
    begin = hole.begin
    for span in spans:
        if span.begin > begin:
            yield Missing(begin, min(span.begin, hole.end), hole.reason, topic)
        begin = max(begin, span.end)
        if begin >= hole.end:
            return
    yield Missing(begin, hole.end, hole.reason, topic)


def one_of_each_topic(reading: list[Iterator[Entry | Missing]]) -> Iterator[Entry | Missing]:
    """Merged by time. While an exchange is handed over, two processes may record it: the one that begins the topic has
    it from there on, until it ends it or another one begins it."""
    owners: dict[str, int] = {}
    numbered = (zip(each, repeat(number)) for number, each in enumerate(reading))
    for each, number in heapq.merge(*numbered, key=lambda pair: when(pair[0])):
        if isinstance(each, Entry):
            if each.kind == records.BEGIN:
                owners[each.topic] = number
            elif owners.get(each.topic, number) != number:
                continue
            elif each.kind == records.END:
                owners.pop(each.topic, None)
        yield each

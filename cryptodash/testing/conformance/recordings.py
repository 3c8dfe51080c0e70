"""Recorded frames say what the venue wrote, digit for digit, and become the events that they must become."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from cryptodash.core.errors import NumberRejected
from cryptodash.core.events import State
from cryptodash.core.numbers import admit
from cryptodash.core.tally import Counter as Metric
from cryptodash.exchanges.adapter.book_rules import Chaining
from cryptodash.exchanges.adapter.decode import frame_number
from cryptodash.exchanges.adapter.messages import Depth, Message, Quote
from cryptodash.testing.conformance.evidence import Evidence, RecordedFrame, Recording
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.known import known_streams
from cryptodash.testing.conformance.plain import difference
from cryptodash.testing.conformance.playback import Playback
from cryptodash.testing.conformance.values import check_messages, numbers_of, times_of

_numbers = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").findall
FIRST_BITCOIN = 1_231_006_505_000
"""No venue sends an older time. One in seconds, or in microseconds, is found by this and by ``is_time_ms``."""
WEEK_MS = 7 * 86_400_000
FAR = {"Bar.open_time": 5 * WEEK_MS, "Mark.next_funding_time": WEEK_MS, "Fill.time": WEEK_MS}
USUAL = 86_400_000
"""How far a time may be from when its frame was recorded, ms. Trades of a quiet instrument are sent again on
subscribing."""
BAD = "cryptodash_upstream_decode_errors_total"


def check_frames(evidence: Evidence, recording: Recording) -> None:
    """Every frame is read; numbers are the venue's own text; times are of that day."""
    playback = Playback(evidence, recording)
    found: Counter[str] = Counter()
    changes: list[Depth] = []
    members = {
        name: spec.conflate_by
        for (endpoint, name), spec in known_streams(evidence).items()
        if endpoint == recording.endpoint and spec.conflate_by
    }
    for frame in recording.frames():
        messages = check_messages(playback.read(frame))
        found.update(type(message).__name__ for message in messages)
        changes += [each for each in messages if isinstance(each, Depth) and not each.snapshot]
        for message in messages:
            _check_digits(evidence, message, frame)
            _check_times(message, frame)
            _check_conflated(members.get(getattr(message, "stream", "")), messages, frame)
    if recording.messages is not None:
        require(found == recording.messages, f"the frames say {dict(found)}, wanted {dict(recording.messages)}")
    _check_proven(evidence, recording, changes)


def _check_conflated(member: str | None, messages: Sequence[Message], frame: RecordedFrame) -> None:
    """A frame that may be skipped for a later one says nothing but one quote, and its number is that quote's."""
    if member is None:
        return
    (first, *others) = messages
    require(
        isinstance(first, Quote) and not others,
        f"{shown(frame.raw)} says more than one Quote: frames of a stream with conflate_by may be skipped",
    )
    assert isinstance(first, Quote)
    number = frame_number(member, frame.raw)
    require(
        number == first.update_id,
        f"conflate_by finds {number} in {shown(frame.raw)}, whose update_id is {first.update_id}",
    )


def _check_proven(evidence: Evidence, recording: Recording, changes: Sequence[Depth]) -> None:
    """Ids that are missing are a bad frame to the engine; a checksum that never comes is not."""
    rules = evidence.venue.book_rules[evidence.venue.endpoints[recording.endpoint].market]
    proven = not changes or any(each.checksum is not None for each in changes)
    require(
        proven or rules.chaining is not Chaining.CHECKSUM,
        f"no Depth of {len(changes)} has a checksum, and book_rules says that nothing else shows a missing frame",
    )


def _check_digits(evidence: Evidence, message: Message, frame: RecordedFrame) -> None:
    written: set[str] | None = None
    for name, number in numbers_of(message):
        if name in evidence.computed:
            continue
        written = _written(frame.raw) if written is None else written
        require(
            number in written,
            f"{name} is {number}, which does not stand so in {shown(frame.raw)}; a number that is computed belongs "
            "into Evidence.computed",
        )


def _written(raw: bytes) -> set[str]:
    """Every number in the frame, as it is written and in plain notation."""
    texts = {each.decode() for each in _numbers(raw)}
    for text in list(texts):
        try:
            texts.add(admit(text))
        except NumberRejected:
            continue
    return texts


def _check_times(message: Message, frame: RecordedFrame) -> None:
    for name, time in times_of(message):
        require(time >= FIRST_BITCOIN, f"{name} is {time} in {shown(frame.raw)}: is that in ms?")
        if frame.time is not None:
            far = abs(time - frame.time)
            require(
                far <= FAR.get(name, USUAL),
                f"{name} is {time}, {far / 1000:.0f} s from when {shown(frame.raw)} was recorded",
            )


def check_events(evidence: Evidence, recording: Recording) -> None:
    """The engine makes of it what the author says, loses nothing, and shows no book that is crossed."""
    playback = Playback(evidence, recording)
    playback.play()
    require(not playback.faults, "; ".join(playback.faults[:5]))
    require(not _bad_frames(playback), f"{_bad_frames(playback)} frames or bodies could not be read")
    gaps = sum(report.gaps for report in chain.from_iterable(playback.engine.streams()))
    require(gaps == recording.gaps, f"{gaps} times frames of a book were missing, wanted {recording.gaps}")
    _check_rejected(playback)
    _check_counts(playback, recording)
    _check_rows(playback, recording)
    _check_last(playback, recording)


def _bad_frames(playback: Playback) -> int:
    metric = playback.tally.metrics.get(BAD)
    return sum(metric.values.values()) if isinstance(metric, Metric) else 0


def _check_rejected(playback: Playback) -> None:
    for topic, status in playback.statuses.items():
        require(status.state is not State.CLOSED, f"{topic} was closed ({status.cause}): is it in the catalogue?")


def _check_counts(playback: Playback, recording: Recording) -> None:
    if recording.counts is not None:
        found = Counter(row["kind"] for row in playback.rows)
        require(found == recording.counts, f"{dict(found)} came of it, wanted {dict(recording.counts)}")


def _check_rows(playback: Playback, recording: Recording) -> None:
    if recording.events is None:
        return
    for number, (row, wanted) in enumerate(zip(playback.rows, recording.events, strict=False)):
        wrong = _not_exactly(row, wanted)
        require(not wrong, f"event {number} is {shown(row)}: {wrong}")
    found, expected = len(playback.rows), len(recording.events)
    if found != expected:
        fail(f"{found} events, wanted {expected}; the first beyond: {shown(playback.rows[expected : expected + 1])}")


def _not_exactly(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """All members of an event that is wanted as a whole."""
    surplus = sorted(row.keys() - wanted.keys())
    return difference(row, wanted) or (f"members that are not wanted: {surplus}" if surplus else "")


def _check_last(playback: Playback, recording: Recording) -> None:
    last = {row["topic"]: row for row in playback.rows}
    for topic, wanted in recording.last.items():
        if topic not in last:
            fail(f"nothing of {topic}; there is {', '.join(sorted(last)) or 'nothing'}")
        wrong = difference(last[topic], wanted)
        require(not wrong, f"the last of {topic}: {wrong}")

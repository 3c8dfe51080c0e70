"""History as documents that are ready to be sent: lines of JSON, or Arrow by pyarrow, in the process that reads the
tape. Numbers are the tape's, digit for digit."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from cryptodash.core import codec
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import MOST_SPANS, BookAt, Entry, History, Holdings, Item, Made, Missing, Recorded
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Channel, Topic, parse_topic
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.history import Outcome, Reading, is_closed_bar, is_trade
from cryptodash.recording.history_book import book_at
from cryptodash.recording.merging import LOOK_BACK
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape

PIECE: Final = 16 * 1024
"""Bytes of a document that leave at a time."""


def history_answer(recording: Recording, asked: History | BookAt | Holdings) -> Iterator[Item]:
    """Every item of the answer, in order. Raises ``BadTape`` and ``OSError``."""
    if isinstance(asked, History):
        return _history(recording, asked)
    return _book(recording, asked) if isinstance(asked, BookAt) else _holdings(recording, asked)


def _history(recording: Recording, asked: History) -> Iterator[Item]:
    topic = _topic(asked.topic)
    if recording.lacking([asked.topic], asked.begin - LOOK_BACK, asked.end):
        yield from _siblings(recording, topic)
        return
    reading = Reading(recording, asked.topic, asked.begin, asked.end, asked.limit, asked.skip, asked.now)
    wanted = is_trade if topic.channel is Channel.TRADE else is_closed_bar
    if asked.is_arrow:
        from cryptodash.recording.history_arrow import arrow_stream

        made: Iterable[bytes] = arrow_stream(lambda: reading.items(wanted), reading, topic.channel)
    else:
        made = _lines(reading, topic, wanted)
    yield from _pieces(made, asked.is_packed)


def _siblings(recording: Recording, topic: Topic) -> Iterator[Recorded]:
    """What is recorded of the channel, at any interval or depth; of the topic itself in any case."""
    prefix = str(topic.sibling(topic.channel))
    found = recording.topics()
    names = {name for name in found if name == prefix or name.startswith(f"{prefix}:")}
    names = {name for name in names if _is_topic(name)} or {str(topic)}
    for name in sorted(names):
        yield Recorded(name, found.get(name, [])[-MOST_SPANS:])


def _book(recording: Recording, asked: BookAt) -> Iterator[Item]:
    topic = _topic(asked.topic)
    found = book_at(recording, topic, asked.depth, asked.at)
    if found is None:
        yield from _siblings(recording, topic)
    elif asked.is_arrow:
        from cryptodash.recording.history_arrow import arrow_book

        yield from _pieces(arrow_book(found), asked.is_packed)
    else:
        yield from _pieces([found.document()], asked.is_packed)


def _holdings(recording: Recording, asked: Holdings) -> Iterator[Item]:
    found = recording.topics()
    found = {name: found[name] for name in found if name.startswith(asked.prefix) and _is_topic(name)}
    for name in sorted(found):
        yield Recorded(name, found[name][-MOST_SPANS:])
    if found:
        begin = min(spans[-MOST_SPANS:][0].begin for spans in found.values())
        holes = dict.fromkeys((each.begin, each.end, each.reason) for each in recording.holes(begin, MOST_TIME, found))
        for hole in list(holes)[-MOST_SPANS:]:
            yield Missing(*hole)


def _topic(text: str) -> Topic:
    """Raises ``BadTape``."""
    try:
        return parse_topic(text)
    except Refused as error:
        raise BadTape(error.message) from None


def _is_topic(text: str) -> bool:
    """What is on a tape may be anything."""
    try:
        return parse_topic(text).text == text
    except Refused:
        return False


def _lines(reading: Reading, topic: Topic, wanted: Callable[[bytes], bool]) -> Iterator[bytes]:
    about = {"channel": msgspec.Raw(codec.channel_json(topic).encode()), "source": "recorded"}
    times = {"from": rfc3339(reading.begin // 1000), "to": rfc3339(reading.end // 1000)}
    yield codec.encode({"type": "begin", "payload": {**about, **times}}) + b"\n"
    for each in reading.items(wanted):
        yield (each.body if isinstance(each, Entry) else hole_message(topic, each)) + b"\n"
    yield codec.encode({"type": "end", "payload": summary(reading.outcome)}) + b"\n"


def summary(outcome: Outcome) -> dict[str, object]:
    """What the end of an answer says of it."""
    said: dict[str, object] = {"rows": outcome.rows, "holes": len(outcome.holes), "complete": not outcome.after}
    said["until"] = rfc3339(outcome.until // 1000)
    if outcome.after:
        said["next"] = outcome.after
    return said


def hole_message(topic: Topic, hole: Missing) -> bytes:
    """A hole of the recording in the words of ``/ws``; its times are rounded outwards."""
    payload = codec.gap_of(topic, "recording", None, hole.begin // 1000, -(-hole.end // 1000))
    return codec.message("gap", f'{payload[:-1]},"hole":{codec.text(hole.reason)}}}')


def _pieces(parts: Iterable[bytes], is_packed: bool) -> Iterator[Made]:
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS) if is_packed else None
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        data = part if packer is None else packer.compress(part)
        waiting.append(data)
        size += len(data)
        if size >= PIECE:
            yield from _cut(b"".join(waiting))
            waiting, size = [], 0
    if packer is not None:
        waiting.append(packer.flush())
    yield from _cut(b"".join(waiting))


def _cut(data: bytes) -> Iterator[Made]:
    for at in range(0, len(data), PIECE):
        yield Made(data[at : at + PIECE])

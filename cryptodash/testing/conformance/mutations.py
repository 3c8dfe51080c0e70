"""Damaged frames: whatever is done to one, it is a ``BadFrame`` or it says nothing that cannot be.

The mutants are drawn by a seeded generator, the same ones each time. Frames that other venues send are among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from time import perf_counter
from typing import Any

from cryptodash.exchanges.adapter.decode import UNREADABLE, bad_frame, check_text, reading
from cryptodash.exchanges.adapter.messages import BadFrame, Message
from cryptodash.testing.conformance.evidence import Evidence, Recording
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.known import KnownReaders, known_streams
from cryptodash.testing.conformance.values import check_messages

MOST = 400
"""Mutants of one frame; of a long one fewer, so that all of them are of about ``BYTES``."""
LEAST = 12
BYTES = 3_000_000
TOO_LONG = 5.0
"""Seconds that reading one mutant may take: a wide margin over any slow machine, a narrow one under for ever."""


class Bare(str):
    """Text that stands in JSON as it is, without quotes."""


WEIRD: tuple[Any, ...] = (
    *(Bare(each) for each in ("null", "true", "false", "-1", "0", "-0", "1.5", "1e3", "1e400", "-1e-400", "1_000")),
    *(Bare(each) for each in ("NaN", "Infinity", "-Infinity", "0x10", "9" * 19, "9" * 5_000, "1." + "0" * 5_000)),
    *("", " ", "NaN", "Infinity", "-Infinity", "1e400", "1e-30", "1_000", "-1", "0", "+1", "1.", ".5", " 1", "1\n"),
    *("\u0661\u0662", "9" * 41, "9" * 10_000, "0." + "0" * 30 + "1", "x" * 20_000, "\x00", "\u202e", "true"),
    *([], {}, [[]], {"a": {}}, [None], [Bare("1"), Bare("2"), Bare("3")]),
)
"""What may stand in the place of any value."""

FOREIGN = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.0","q":"2","T":1,"m":true}}',
    b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{"T":1,"s":"BTCUSDT","S":"Buy","v":"1","p":"2"}]}',
    b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"px":"1","sz":"2","side":"sell","ts":"3","tradeId":"4"}]}',
    b'{"channel":"l2_data","timestamp":"2026-01-01T00:00:00Z","sequence_num":0,"events":[{"type":"update"}]}',
    b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1.0,"qty":2.0}],"checksum":1}]}',
    b'[42,{"a":[["1.0","2.0","3.0"]]},"book-10","XBT/USD"]',
    b'{"result":null,"id":1}',
    b"ping",
    b"pong",
)
"""Frames as other venues send them."""

WHOLE = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b'""',
    b"[]",
    b"{}",
    b"[[]]",
    b"<html>",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b"\x00",
)
DEEP = (b"[" * 50_000, b'{"a":' * 50_000, b"[" * 3_000 + b"]" * 3_000)


def mutants(frame: bytes, random: Random) -> Iterator[bytes]:
    """Damaged forms of a frame."""
    yield from (*WHOLE, *DEEP, *FOREIGN)
    count = max(LEAST, min(MOST, BYTES // max(len(frame), 1)))
    yield from _damaged(frame, random, count // 4)
    try:
        document = parsed(frame)
    except ValueError:
        return
    places = list(_places(document))
    if not places:
        return
    for _ in range(count):
        yield written(_changed(document, random.choice(places), places, random))


def parsed(frame: bytes) -> Any:
    """The frame's JSON, with numbers as they are written. Raises ``ValueError``."""
    return json.loads(frame, parse_float=Bare, parse_int=Bare)


def _damaged(frame: bytes, random: Random, count: int) -> Iterator[bytes]:
    """Bytes lost, turned, put in or sent twice."""
    for _ in range(count):
        place = random.randrange(len(frame) + 1)
        yield frame[:place]
        yield frame[place:]
        yield frame[:place] + random.choice((b"\xff", b"\xed\xa0\x80", b"\x00", b'"', b"}", b",")) + frame[place:]
        if place < len(frame):
            turned = bytearray(frame)
            turned[place] ^= 1 << random.randrange(8)
            yield bytes(turned)
    yield frame + frame


Place = tuple[Any, ...]
"""Keys and indexes from the root to a value."""


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield (*place, name)
        yield from _places(member, (*place, name))


def values_in(document: Any) -> Iterator[tuple[Place, Any]]:
    """Every value within, with its place."""
    for place in _places(document):
        yield place, _at(document, place)


def changed_value(document: Any, place: Place, value: Any) -> Any:
    """A copy with another value at the place."""
    return _with(document, place, lambda owner, name: _put(owner, name, value))


def _changed(document: Any, place: Place, places: Sequence[Place], random: Random) -> Any:
    """The document with one change at the place."""
    kind = random.randrange(4)
    if kind == 0:
        return _with(document, place, lambda owner, name: owner.pop(name))
    if kind == 1:
        other = _at(document, random.choice(places))
        return _with(document, place, lambda owner, name: _put(owner, name, other))
    if kind == 2 and isinstance(_at(document, place[:-1]), dict):
        return _with(document, place, lambda owner, name: owner.update({f"{name}x": owner.pop(name)}))
    weird = random.choice(WEIRD)
    return _with(document, place, lambda owner, name: _put(owner, name, weird))


def _put(owner: Any, name: Any, value: Any) -> None:
    owner[name] = value


def _at(document: Any, place: Place) -> Any:
    for name in place:
        document = document[name]
    return document


def _with(document: Any, place: Place, change: Callable[[Any, Any], object]) -> Any:
    """A copy along the way to the place, changed there."""
    copy = dict(document) if isinstance(document, dict) else list(document)
    if len(place) == 1:
        change(copy, place[0])
    else:
        copy[place[0]] = _with(copy[place[0]], place[1:], change)
    return copy


def written(value: Any) -> bytes:
    """JSON without blanks, or nearly: a ``Bare`` stands as it is."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Bare):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_text(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def check_mutated_frames(evidence: Evidence, recording: Recording) -> None:
    """Mutants of two frames of each kind in a recording."""
    venue, endpoint = evidence.venue, recording.endpoint
    readers = KnownReaders(evidence, endpoint, known_streams(evidence))
    random = Random(evidence.seed)

    def read(frame: bytes) -> Sequence[Message]:
        check_text(frame)
        return venue.read(endpoint, frame, readers)

    for stream, frame in samples(evidence, recording):
        reader = None if stream is None else readers[stream]
        for mutant in mutants(frame, random):
            check_mutant(read, mutant, check_messages)
            if reader is not None:  # where the stream's name is still in its place the engine asks its reader at once
                check_mutant(_by_name(reader, stream), mutant, check_messages)


def _by_name(reader: Any, stream: str | None) -> Callable[[bytes], Any]:
    def read(frame: bytes) -> Any:
        check_text(frame)
        return reader(stream, frame)

    return read


def samples(evidence: Evidence, recording: Recording) -> list[tuple[str | None, bytes]]:
    """At most two frames of each kind of message, with the stream that they belong to."""
    readers = KnownReaders(evidence, recording.endpoint)
    found: dict[tuple[type, ...], list[tuple[str | None, bytes]]] = {}
    for frame in recording.frames():
        try:
            messages = reading(evidence.venue.read, recording.endpoint, frame.raw, readers)
        except BadFrame as error:
            fail(f"recorded frame {shown(frame.raw)} cannot be read: {error}")
        alike = found.setdefault(tuple(map(type, messages))[:3], [])
        if len(alike) < 2:
            stream = next((name for each in messages if (name := getattr(each, "stream", None))), None)
            alike.append((stream, frame.raw))
    return [each for alike in found.values() for each in alike]


def check_mutant(read: Callable[[bytes], Any], mutant: bytes, check: Callable[[Any], object]) -> None:
    """One mutant: read, or a ``BadFrame``; in time, and what was read is in order."""
    begun = perf_counter()
    try:
        found = read(mutant)
    except UNREADABLE as error:
        bad_frame(error)
    except Exception as error:
        fail(
            f"{shown(mutant)} raises {type(error).__name__} ({error}): only BadFrame, or what decode.UNREADABLE lists, "
            "is expected"
        )
    else:
        try:
            check(found)
        except AssertionError as error:
            fail(f"{shown(mutant)} passes, and yet {error}")
    require(perf_counter() - begun < TOO_LONG, f"{shown(mutant)} takes longer than {TOO_LONG} s to read")

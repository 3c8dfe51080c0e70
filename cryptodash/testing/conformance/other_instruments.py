"""Frames that come as one instrument's and name another one within: nobody can know which is right, so neither gets the
value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cryptodash.exchanges.adapter.decode import UNREADABLE
from cryptodash.exchanges.adapter.messages import Message, Unwanted
from cryptodash.exchanges.adapter.plan import Part, StreamSpec
from cryptodash.testing.conformance.evidence import Evidence, Recording
from cryptodash.testing.conformance.failure import fail, shown
from cryptodash.testing.conformance.known import KnownReaders, everything, known_streams, plan_of
from cryptodash.testing.conformance.mutations import changed_value, parsed, samples, values_in, written


def check_other_instruments(evidence: Evidence, recording: Recording) -> None:
    """Two frames of each kind, with another symbol wherever the instrument's stands by itself."""
    venue, endpoint = evidence.venue, recording.endpoint
    readers = KnownReaders(evidence, endpoint, known_streams(evidence))
    natives = _natives(evidence, endpoint)

    def read(frame: bytes) -> Sequence[Message]:
        return venue.read(endpoint, frame, readers)

    for stream, frame in samples(evidence, recording):
        native = natives.get(stream or "")
        if stream is None or native is None:
            continue
        whole = _taken(stream, read(frame))
        for mutant in _misdirected(frame, native):
            _check(stream, mutant, read, whole)
            if _is_found_by_name(evidence, stream, mutant):
                _check(stream, mutant, lambda mutant, stream=stream: readers[stream](stream, mutant), whole)


def _natives(evidence: Evidence, endpoint: str) -> dict[str, str]:
    """The instruments of the streams that are of one: liquidations may come by a stream of a whole market, in which
    each names its own."""
    return {
        spec.name: asked.instrument.native
        for asked in everything(evidence)
        if asked.instrument is not None
        for spec in plan_of(evidence, asked).streams
        if spec.endpoint == endpoint and not _is_of_market(spec, asked.instrument.native)
    }


def _is_of_market(spec: StreamSpec, native: str) -> bool:
    return spec.parts == {Part.LIQUIDATIONS} and native.casefold() not in spec.name.casefold()


def _misdirected(frame: bytes, native: str) -> Iterator[bytes]:
    """The frame with another symbol, at one place after the other, and at all of them."""
    document = parsed(frame)
    places = [
        (place, value)
        for place, value in values_in(document)
        if isinstance(value, str) and value.casefold() == native.casefold()
    ]
    everywhere = document
    for place, value in places:
        other = f"X{value}" if value.isupper() else f"x{value}"
        yield written(changed_value(document, place, other))
        everywhere = changed_value(everywhere, place, other)
    if len(places) > 1:
        yield written(everywhere)


def _is_found_by_name(evidence: Evidence, stream: str, frame: bytes) -> bool:
    """Whether the engine would give the frame to the stream's reader without asking ``read``."""
    prefix = evidence.venue.data_prefix
    return bool(prefix) and frame.startswith(prefix + stream.encode() + evidence.venue.name_end)


def _check(stream: str, mutant: bytes, read: Any, whole: Sequence[Message]) -> None:
    """Nothing is taken for the stream, but for the rest of a frame that several instruments share: less than ``whole``,
    while what names another one is that one's."""
    try:
        found: Sequence[Message] = read(mutant)
    except UNREADABLE:
        return
    taken = _taken(stream, found)
    names = {name for each in found if (name := getattr(each, "stream", None)) is not None}
    if taken and (taken == whole or names == {stream}):
        fail(f"{shown(mutant)} names another instrument than its stream {stream!r}, and is read as {taken[0]}")


def _taken(stream: str, messages: Sequence[Message]) -> list[Message]:
    """What counts for the stream."""
    return [each for each in messages if getattr(each, "stream", None) == stream and not isinstance(each, Unwanted)]

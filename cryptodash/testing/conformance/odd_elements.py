"""One odd element of a list of instruments, bars or rows never takes the good ones with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import getitem
from typing import Any

from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import BadFrame, LeftOut, SweepRows
from cryptodash.exchanges.adapter.plan import Purpose
from cryptodash.testing.conformance.evidence import Body, Evidence, Recording, text_of
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.known import KnownReaders, known_streams

ODD: tuple[Any, ...] = (None, {}, [], "")
"""What is put beside the good elements: nothing that could be one."""

Rows = tuple[Sequence[Any], int]
"""What was read, and how many elements were left out."""


def has_elements(body: Body) -> bool:
    """Whether it is a list of instruments or bars, or an answer that may hold rows."""
    return body.request.purpose in (Purpose.CATALOGUE, Purpose.CANDLES, Purpose.POLL)


def check_odd_elements(evidence: Evidence, body: Body) -> None:
    """An odd element in a page of the catalogue, among bars or among the rows of a sweep."""
    venue, request = evidence.venue, body.request

    def read(text: bytes) -> Rows:
        if request.purpose is Purpose.CATALOGUE:
            found, _ = reading(venue.read_catalogue, request, text)
            return found, len(left_out_of(found))
        if request.purpose is Purpose.CANDLES:
            bars = reading(venue.read_candles, request, text)
            return bars, len(left_out_of(bars))
        return _rows(reading(venue.read_poll, request, text))

    _check(read, text_of(body.text), body.elements)


def check_odd_rows(evidence: Evidence, recording: Recording) -> None:
    """An odd row in an all-market frame; the first such frame of a recording that holds several rows."""
    readers = KnownReaders(evidence, recording.endpoint, known_streams(evidence))

    def read(frame: bytes) -> Rows:
        return _rows(reading(evidence.venue.read, recording.endpoint, frame, readers))

    for frame in recording.frames():
        try:
            rows, _ = read(frame.raw)
        except BadFrame:
            continue  # what cannot be read at all is the business of another check
        if len(rows) > 1:
            _check(read, frame.raw)
            return


def _rows(messages: Sequence[Any]) -> Rows:
    rows = [row for each in messages if isinstance(each, SweepRows) for row in each.rows]
    return rows, sum(len(each.elements) for each in messages if isinstance(each, LeftOut))


def _check(read: Callable[[bytes], Rows], text: bytes, elements: Sequence[str] = ()) -> None:
    good, before = read(text)
    if not good:
        return
    said = 0
    for odd in ODD:
        for mutant in _with_odd(text, odd, elements):
            try:
                rows, left_out = read(mutant)
            except BadFrame as error:
                fail(
                    f"with {shown(odd)} beside the others nothing can be read any more ({error}): an odd element must "
                    "never take the good ones with it (adapter.kept)"
                )
            require(list(rows) == list(good), f"with {shown(odd)} beside the others these are not what they were")
            said += left_out - before
    require(said > 0, "an odd element is left out, but neither Kept.left_out nor a LeftOut says so: nobody would know")


def _with_odd(text: bytes, odd: Any, elements: Sequence[str]) -> Iterator[bytes]:
    """The text with an odd element at the end of one list, for each list that is in no other; or of the object or list
    that is found by the keys ``elements``."""
    try:
        document = json.loads(text)
    except ValueError:
        return
    for place in [reduce(getitem, elements, document)] if elements else _lists(document):
        if isinstance(place, dict):
            place["odd"] = odd
        else:
            place.append(odd)
        yield json.dumps(document, ensure_ascii=False).encode()
        if isinstance(place, list):
            place.pop()


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _lists(member)

"""The records of a block as columns, each of one kind of number, and their bodies one behind the other."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import accumulate, islice
from operator import le
from typing import Final

from cryptodash.recording.tape_errors import BadTape

Record = tuple[int, int, int, bytes]
"""Kind (``records.py``), tape time (us), place of the topic in the block's table (-1: none), body."""

NO_TOPIC: Final = 0xFFFF
"""Stands in place of a topic's place."""
_IS_BIG: Final = sys.byteorder == "big"


def head_of(kind: int, place: int) -> int:
    """Kind and place in one number."""
    return kind << 16 | (place if place >= 0 else NO_TOPIC)


class RecordColumns:
    """``heads``: ``head_of`` each record; ``times``: tape time, us; and the bodies."""

    __slots__ = ("bodies", "heads", "times")

    def __init__(self, records: Iterable[Record] = ()) -> None:
        said = list(records)
        self.heads = [head_of(kind, place) for kind, _, place, _ in said]
        self.times = [time for _, time, _, _ in said]
        self.bodies = [body for *_, body in said]

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[Record]:
        return iter(_records(self.heads, self.times, self.bodies))

    def encode(self, orders: Sequence[int] = ()) -> memoryview:
        """The bodies and, behind them, the columns, by a few calls of C. ``orders``: of a sorted segment, the place of
        each record in the order in which they were made."""
        columns = _columns(self.heads, self.times, list(map(len, self.bodies)), orders)
        return memoryview(b"".join([*self.bodies, *columns]))


class JoinedColumns:
    """The same of bodies of ``lengths`` that stand without anything between them at the beginning of a buffer. What
    stands behind them is of no meaning, and is written over."""

    __slots__ = ("_bodies", "_size", "heads", "lengths", "times")

    def __init__(self, heads: list[int], times: list[int], lengths: list[int], bodies: BytesIO) -> None:
        self.heads = heads
        self.times = times
        self.lengths = lengths
        self._size = sum(lengths)
        self._bodies = bodies

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[Record]:
        with self._bodies.getbuffer() as joined:
            bodies = _split(bytes(joined[: self._size]), self.lengths)
        return iter(_records(self.heads, self.times, bodies))

    def behind(self, before: Sequence[Record]) -> RecordColumns:
        """The same with these before them."""
        return RecordColumns([*before, *self])

    def encode(self) -> memoryview:
        """As ``RecordColumns`` does it, without a copy of the bodies. To be released before anything else is done with
        the buffer."""
        self._bodies.seek(self._size)
        self._bodies.writelines(_columns(self.heads, self.times, self.lengths, ()))
        return self._bodies.getbuffer()[: self._bodies.tell()]


def _columns(
    heads: Sequence[int], times: Sequence[int], lengths: Sequence[int], orders: Sequence[int]
) -> Iterator[bytes]:
    for column in (array("I", heads), array("q", times), array("I", lengths), array("I", orders)):
        if _IS_BIG:
            column.byteswap()
        yield column.tobytes()


def decode(payload: bytes, count: int, first: int, last: int, topics: int) -> list[Record]:
    """The ``count`` records, which lie between ``first`` and ``last`` in the order of their times and name so many
    topics. Raises ``BadTape``."""
    return _decoded(payload, count, first, last, topics, (array("I"), array("q"), array("I")))


def decode_sorted(payload: bytes, count: int, first: int, last: int, topics: int) -> tuple[list[Record], list[int]]:
    """The same of a sorted segment, and the place of each record in the order in which they were made."""
    orders = array("I")
    found = _decoded(payload, count, first, last, topics, (array("I"), array("q"), array("I"), orders))
    return found, orders.tolist()


def _decoded(
    payload: bytes, count: int, first: int, last: int, topics: int, columns: Sequence[array[int]]
) -> list[Record]:
    at = size = len(payload) - count * sum(column.itemsize for column in columns)
    if size < 0:
        raise BadTape(f"{count} records in {len(payload)} bytes")
    for column in columns:
        end = at + count * column.itemsize
        column.frombytes(payload[at:end])
        at = end
        if _IS_BIG:
            column.byteswap()
    heads, times, lengths = (column.tolist() for column in columns[:3])
    if sum(lengths) != size:
        raise BadTape("bodies that are not as long as they should be")
    if times and not (first <= times[0] and times[-1] <= last and all(map(le, times, islice(times, 1, None)))):
        raise BadTape("a record that is out of order")
    if any((head & 0xFFFF) >= topics and head & 0xFFFF != NO_TOPIC for head in set(heads)):
        raise BadTape("a record of a topic that its block has not")
    return _records(heads, times, _split(payload, lengths))


def _split(joined: bytes, lengths: Sequence[int]) -> list[bytes]:
    return [joined[end - length : end] for end, length in zip(accumulate(lengths), lengths, strict=True)]


def _records(heads: list[int], times: list[int], bodies: list[bytes]) -> list[Record]:
    parts = {head: (head >> 16, -1 if head & 0xFFFF == NO_TOPIC else head & 0xFFFF) for head in set(heads)}
    kinds, places = [parts[head][0] for head in heads], [parts[head][1] for head in heads]
    return list(zip(kinds, times, places, bodies, strict=True))

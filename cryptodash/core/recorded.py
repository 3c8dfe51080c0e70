"""What can be asked of a recording, and what is answered: values that cross between rooms and processes.

Times are tape time, microseconds since 1970, unless a name says ms. A topic is its text, as
``Topic.text`` has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Hashable, Sequence
from typing import Final, Protocol

from msgspec import Struct

# -- what is answered


class Entry(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """One record with its topic. ``kind`` is of ``recording/records.py``; ``STATE`` is what a topic was like at the
    beginning. ``body`` is, of messages, what clients were sent, byte for byte."""

    time: int
    topic: str
    kind: int
    body: bytes


class Missing(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Nothing, or not all, is known from ``begin`` to ``end``: of ``topic``, empty: of all. ``reason`` is that of
    ``records.Hole``; or ``damaged``: bytes that were no good block; ``unrecorded``: the topic was not recorded then;
    ``unwritten``: the recording ends before; or ``UNKNOWN``."""

    begin: int
    end: int
    reason: str
    topic: str = ""


class Span(Struct, frozen=True, gc=False, array_like=True):
    """A time that is recorded."""

    begin: int
    end: int


class Recorded(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """When a topic was recorded, the newest spans at most, in order; none: never."""

    topic: str
    spans: list[Span]


class Made(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Bytes of an answer that is ready to be sent."""

    body: bytes


Item = Entry | Missing | Recorded | Made

UNKNOWN: Final = "unknown"
"""Reason of a ``Missing``: the tape does not reach back to the cursor that was named."""

STATE: Final = 100
"""Kind of an ``Entry``: the status or value of a topic as of the time that was asked for, made of what is before."""

# -- what can be asked


class Play(Struct, frozen=True, tag="play"):
    """The state of each topic as of ``begin`` (kind ``STATE``), then every message up to ``end``, in order, with the
    holes. First a ``Recorded`` for each topic of which nothing was recorded in that time."""

    begin: int
    end: int
    topics: list[str]


class ReadAfter(Struct, frozen=True, tag="after"):
    """Every message of the topic behind that of the cursor (``time`` of the venue in ms, and ``id``), once and in
    order, with the holes in their places (``recording/continuation.py``). Where the tape does not reach back to the
    cursor a ``Missing`` (``unknown``) and nothing else."""

    topic: str
    time: int
    id: str


class History(Struct, frozen=True, tag="history"):
    """Each trade or closed bar of the topic once, both times included, with the holes, as one document that is ready
    to be sent (``Made``): lines of JSON or, ``is_arrow``, an Arrow stream; ``is_packed``: in gzip. At most ``limit``
    rows, and where more was there the answer says how to go on: with ``begin``, and ``skip`` messages of that very
    time. ``now``: what lies behind it cannot be on the tape. A ``Recorded`` and nothing else where nothing of the topic
    was recorded in that time."""

    topic: str
    begin: int
    end: int
    limit: int
    now: int
    skip: int = 0
    is_arrow: bool = False
    is_packed: bool = False


class BookAt(Struct, frozen=True, tag="book"):
    """The order book of ``topic`` as of ``at`` with its status then, as one document that is ready to be sent
    (``Made``). Its depth is one up to which it was recorded, 0: as deep as it was. A ``Recorded`` for each depth that
    is recorded and nothing else where it is not known."""

    topic: str
    depth: int
    at: int
    is_arrow: bool = False
    is_packed: bool = False


class Holdings(Struct, frozen=True, tag="holdings"):
    """What there is of one instrument, whose topics begin with ``prefix``: a ``Recorded`` for each, and the newest
    holes (``Missing`` of all topics, ``MOST_SPANS`` of them)."""

    prefix: str


Question = Play | ReadAfter | History | BookAt | Holdings
MOST_SPANS: Final = 100
"""Of a topic in one answer."""


class Answer(Protocol):
    """One answer, pulled: nothing more is read than what was asked for, and what fits into a pipe."""

    def more(self) -> Awaitable[Sequence[Item]]:
        """The next items, in the end none. Ask for one at a time. Raises ``Refused`` where the recording cannot be
        read (``recording_failed``), and when the answer is cancelled or the server ends (``cancelled``)."""

    def cancel(self) -> None:
        """Nothing more is wanted; fine at any time, and more than once."""


class ITapes(Protocol):
    """Recorded time, read without blocking the reactor."""

    def ask(self, question: Question, client: Hashable, wait_s: float = 0.0) -> Answer:
        """``client`` is whom it is charged to: an address. Raises ``TryLater`` (``too_many_replays``) where this one,
        or all together, read too much at a time already; with ``wait_s`` it waits for its turn so long, and then
        ``more`` raises it."""

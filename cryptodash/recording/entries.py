"""What a reader of tapes gives: what was recorded, and what was not."""

from __future__ import annotations

from msgspec import Struct


class Entry(Struct, frozen=True, gc=False):
    """One record with its topic. ``time``: tape time, us. ``kind`` is of ``records.py``; ``STATE`` is what a topic was
    like at the beginning. ``body`` is, of messages, what clients were sent, byte for byte."""

    time: int
    topic: str
    kind: int
    body: bytes


class Missing(Struct, frozen=True, gc=False):
    """Nothing, or not all, is known from ``begin`` to ``end`` (tape time, us): of ``topic``, empty: of all. ``reason``
    is that of ``records.Hole``, or ``damaged``: bytes that were no good block; or ``unrecorded``: the topic was not
    recorded then."""

    begin: int
    end: int
    reason: str
    topic: str = ""


class Span(Struct, frozen=True, gc=False):
    """A time that is recorded, tape time, us."""

    begin: int
    end: int


STATE = 100
"""Kind of an ``Entry``: the status or value of a topic as of the time that was asked for, made of what is before."""

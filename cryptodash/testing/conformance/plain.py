"""Events, messages and instruments as plain data: what a stranger writes as expectation and reads in a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from msgspec import Struct
from msgspec.structs import asdict

from cryptodash.core.events import StreamStatus, Sweep
from cryptodash.core.topics import Topic
from cryptodash.exchanges.connections.commands import BookChanged, Publication

LEVELS = 5
"""Levels a side that are shown of a book."""
UNCOMPARED = ("received", "figures")
"""Our own clock, and text that only saves time."""
KINDS: Mapping[type, str] = {BookChanged: "book", StreamStatus: "status"}


def kind_of(event: Publication) -> str:
    """``ticker``, ``bbo``, ``trade``, ``liquidation``, ``gap``, ``candle``, ``book``, ``sweep`` or ``status``."""
    return KINDS.get(type(event), type(event).__name__.lower())


def plain(value: Any) -> Any:
    """The value as mappings, lists and text; what is not known is left out. Numbers stay the text that they are.

    An event has its ``kind``; topics are text without the exchange (``spot:BTC-USDT:trade``). A book is its best levels
    at this moment, a side each.
    """
    if isinstance(value, BookChanged):
        bids, asks = value.book.top(LEVELS)
        known = {"timestamp": value.timestamp, "rebuilt": value.rebuilt, "bids": plain(bids), "asks": plain(asks)}
        return {"kind": "book", "topic": plain(value.topic), **known}
    if isinstance(value, Topic):
        return str(value).partition(":")[2]
    if isinstance(value, Struct):
        kind = {"kind": kind_of(value)} if isinstance(value, Publication) else {}
        return {**kind, **_members(asdict(value))}
    if attrs.has(type(value)):
        return _members({each.name: getattr(value, each.name) for each in attrs.fields(type(value))})
    if isinstance(value, tuple) and hasattr(value, "_asdict") and not isinstance(value, str):
        return str(value) if not any(map(_is_struct, value)) else _members(value._asdict())
    if isinstance(value, str):
        return str(value)
    return [plain(each) for each in value] if isinstance(value, Sequence) else value


def rows_of(event: Publication) -> list[dict[str, Any]]:
    """An event as the rows of a transcript: a sweep is its tickers, everything else one row."""
    if isinstance(event, Sweep):
        return [plain(each) for each in event.tickers]
    return [plain(event)]


def difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Members that are not as wanted, in words; empty where all are. Members that are not wanted may be anything."""
    wrong = [
        f"{name} is {found.get(name, 'not there')!r}, wanted {value!r}"
        for name, value in wanted.items()
        if name not in found or found[name] != _listed(value)
    ]
    return "; ".join(wrong)


def topic_of(event: Publication) -> str:
    """The event's topic as text."""
    text: str = plain(event.topic)
    return text


def _members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in members.items() if value is not None and name not in UNCOMPARED}


def _is_struct(value: object) -> bool:
    return isinstance(value, Struct)


def _listed(value: Any) -> Any:
    """Levels may be written as tuples."""
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value

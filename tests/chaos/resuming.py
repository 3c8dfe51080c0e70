"""Clients that come back: what they remember of a channel, and what must not be told to them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import define, field


class Resumed(NamedTuple):
    """A client subscribed with the cursor of the message ``last``, when it had those in ``had``: of trades their ids,
    of closed bars their open times."""

    last: str
    had: frozenset[str]


def identity_of(kind: str, payload: Mapping[str, Any]) -> str | None:
    """By which a message with a cursor is known."""
    if "cursor" not in payload:
        return None
    return str(payload["timestamp"] if kind == "candle" else payload["id"])


@define
class _Memory:
    seen: dict[str, float] = field(factory=dict)
    """Since when (s) it has each."""
    cursor: str = ""
    """Of the newest."""


class Remembered:
    """What one client has of each channel, over all its connections. The newest message is the last one that it did
    not have: a replay of what it has is no news."""

    def __init__(self) -> None:
        self._channels: dict[str, _Memory] = {}

    def take(self, at: float, name: str, kind: str, payload: Mapping[str, Any]) -> None:
        """A message of the channel of that name has come."""
        identity = identity_of(kind, payload)
        if identity is None:
            return
        memory = self._channels.setdefault(name, _Memory())
        if identity not in memory.seen:
            memory.seen[identity] = at
            memory.cursor = str(payload["cursor"])

    def cursor(self, name: str) -> str | None:
        """Of the newest."""
        memory = self._channels.get(name)
        return memory.cursor if memory is not None else None

    def resumed(self, name: str, at: float) -> Resumed:
        """What it had then, when it gave the cursor of the newest."""
        memory = self._channels[name]
        had = [identity for identity, since in memory.seen.items() if since <= at]
        return Resumed(had[-1], frozenset(had))

"""What was asked of the server, by the ids that its answers carry, and the frames that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cryptodash.client.subscription import Subscription

MOST_PENDING = 1_000
"""Requests without an answer that are remembered, the newest; more than that is a server that answers none."""


class Request(NamedTuple):
    """``about``: the subscriptions that it names, in order."""

    op: str
    about: tuple[Subscription, ...]


class Requests:
    """Of one connection; ids are never used again."""

    def __init__(self) -> None:
        self._next_id = 0
        self._pending: dict[int, Request] = {}
        self._outgoing: list[str] = []

    def clear(self) -> None:
        """The connection is another one: nothing of the old will be answered, or need be sent."""
        self._pending.clear()
        self._outgoing.clear()

    def ask(self, op: str, about: Iterable[Subscription] = (), **more: Any) -> None:
        """Put into words, to be sent. A ``subscribe`` gives the cursors."""
        named = tuple(about)
        if len(self._pending) >= MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        self._next_id += 1
        self._pending[self._next_id] = Request(op, named)
        message: dict[str, Any] = {"op": op, "id": self._next_id, **more}
        if named:
            message["channels"] = [each.channel.wire(each.since if op == "subscribe" else None) for each in named]
        self._outgoing.append(json.dumps(message, separators=(",", ":"), ensure_ascii=False))

    def answered(self, payload: Mapping[str, Any]) -> Request | None:
        """The request that an ``info`` or ``error`` answers; None: none that is waiting."""
        number = payload.get("id")
        return self._pending.pop(number, None) if isinstance(number, int) else None

    def to_send(self) -> list[str]:
        """What is to be sent now, in order; each once."""
        found, self._outgoing = self._outgoing, []
        return found

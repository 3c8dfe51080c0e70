"""Which clients hold an order book: a few of them, whose turns at the venue are the book's."""

from __future__ import annotations

from typing import Final

from cryptodash.core.topics import Topic

MOST: Final = 4
"""Clients of one book that are kept. One that very many hold comes soon by the turn of any."""


class BookClients:
    """By order book (with its depth), and how often each client holds it."""

    def __init__(self) -> None:
        self._held: dict[Topic, dict[str, int]] = {}

    def of(self, topic: Topic) -> tuple[str, ...]:
        """The clients that are known."""
        return tuple(self._held.get(topic, ()))

    def count(self, topic: Topic, client: str, change: int) -> bool:
        """A client holds the book once more (1) or once less (-1); whether ``of`` has changed."""
        held = self._held.setdefault(topic, {})
        before = held.get(client, 0)
        if before or (change > 0 and len(held) < MOST):
            held[client] = before + change
            if not held[client]:
                del held[client]
        if not held:
            del self._held[topic]
        return (client in held) != bool(before)

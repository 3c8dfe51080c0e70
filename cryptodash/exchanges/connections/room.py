"""Where a stream goes: which connection of its endpoint has room, and when a further connection may be opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol, TypeVar

from cryptodash.exchanges.adapter.venue import Limits

WINDOW = 300.0
SPACING = 0.1
"""Least seconds between two connects to one host."""


class Slot(Protocol):
    """One connection, as the planner sees it."""

    def carries(self, name: str) -> bool:
        """Whether the venue still has this stream on the connection, although nobody wants it any more."""

    def load(self) -> tuple[int, int]:
        """(streams, characters of their names) that the venue counts on the connection, those being ended included."""


S = TypeVar("S", bound=Slot)


def choose(slots: Iterable[S], name: str, limits: Limits) -> S | None:
    """The connection for a further stream: the one that carries it still, else the first with room;
    None if a new connection is needed."""
    fitting = None
    for slot in slots:
        if slot.carries(name):
            return slot
        if fitting is None and has_room(slot, name, limits):
            fitting = slot
    return fitting


def has_room(slot: Slot, name: str, limits: Limits) -> bool:
    """Whether one more stream keeps the connection within ``Limits``."""
    streams, chars = slot.load()
    return streams < limits.streams and (limits.args_chars is None or chars + len(name) <= limits.args_chars)


class Connects:
    """Connection attempts to one host: at most ``most`` in any five minutes, and spaced."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: deque[float] = deque(maxlen=most)

    def free_at(self) -> float:
        """Monotonic time from which the next attempt is allowed."""
        if not self._times:
            return 0.0
        spaced = self._times[-1] + SPACING
        return max(spaced, self._times[0] + WINDOW) if len(self._times) == self._most else spaced

    def made(self, now: float) -> None:
        """Count one attempt."""
        self._times.append(now)

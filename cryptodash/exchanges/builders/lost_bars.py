"""Closed bars that the stream went on without: told when REST has them at last."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.events import Candle
from cryptodash.exchanges.builders.backoff import Backoff

MAX_LOST = 1_000
"""Older ones are left to the history endpoint."""
MAX_TRIES = 8
"""Answers that do not reach back to a lost bar, until it is given up."""


class LostBars:
    """Their open times (ms)."""

    def __init__(self) -> None:
        self.backoff = Backoff()
        """When to ask for them."""
        self.open_times: dict[int, None] = {}
        """Those that are lost."""
        self.given_up = 0
        """How many were given up: they will not be told."""

    def __bool__(self) -> bool:
        return bool(self.open_times)

    @property
    def oldest(self) -> int | None:
        """The oldest one; None where none is lost."""
        return min(self.open_times, default=None)

    def add(self, open_time: int) -> None:
        """The stream goes on without this one."""
        self.open_times[open_time] = None
        if len(self.open_times) > MAX_LOST:
            del self.open_times[min(self.open_times)]
            self.given_up += 1

    def remove(self, open_time: int) -> bool:
        """A frame has closed it after all; whether it was lost."""
        if open_time not in self.open_times:
            return False
        del self.open_times[open_time]
        return True

    def found(self, rest: Mapping[int, Candle]) -> list[Candle]:
        """Those that an answer (bars by open time) holds closed, oldest first. One that the answer skips, while it has
        older and later ones, never was."""
        told: list[Candle] = []
        if not self.open_times or not rest:
            return told
        oldest, newest = min(rest), max(rest)
        gives_up = self.backoff.tries >= MAX_TRIES
        for time in sorted(self.open_times):
            candle = rest.get(time)
            if candle is not None and candle.closed:
                told.append(candle)
            elif candle is not None or time > newest or (time < oldest and not gives_up):
                continue
            else:
                self.given_up += time < oldest
            del self.open_times[time]
        if told:
            self.backoff.reset()
        return told

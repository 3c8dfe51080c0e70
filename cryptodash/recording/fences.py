"""Which of several processes may speak of a topic: of those that had a lease the one that was given it last. Pure."""

from __future__ import annotations

from typing import Final

from cryptodash.recording import records

SAYS_FENCE: Final = (records.BEGIN, records.HELD)
"""Kinds of records."""


class Fences:
    """Of topics, by the number of whoever recorded them, as far as their tapes were read."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, int]] = {}
        """The greatest fence of each topic, and who said it."""
        self._of: dict[tuple[str, int], int] = {}

    def hear(self, topic: str, number: int, body: bytes) -> bool:
        """What a ``BEGIN`` or ``HELD`` says; whether it is a newer lease than that of another one. Raises
        ``BadTape``."""
        fence = records.fence_of(body)
        if fence is None:
            self._of.pop((topic, number), None)
            return False
        self._of[topic, number] = fence
        newest, its = self._newest.get(topic, (-1, number))
        if fence <= newest:
            return False
        self._newest[topic] = fence, number
        return its != number

    def is_behind(self, topic: str, number: int) -> bool:
        """Whether another one was given the lease since: what this one still says, it says of a lease that it lost."""
        fence = self._of.get((topic, number))
        return fence is not None and fence < self._newest[topic][0]

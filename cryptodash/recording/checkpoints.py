"""When the checkpoints of the frames tape are made: where a segment has begun, and where something was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cryptodash.recording.frame_tap import FrameTap

APART_US: Final = 10_000_000
"""Between two checkpoints: a disk that cannot keep up must not get more for it."""
MOST_WAITING: Final = 16 * 2**20
"""Bytes that wait to be written above which books wait, too: they come at once, and are large."""


class Checkpoints:
    """Of all venues of a tape. ``waiting`` tells how many bytes wait to be written, ``now`` tape time (us)."""

    def __init__(self, taps: Mapping[str, FrameTap], waiting: Callable[[], int], now: Callable[[], int]) -> None:
        self._taps = taps
        self._waiting = waiting
        self._now = now
        self._is_due = False
        self._began: int | None = None

    def work(self, *, begun: bool, lost: bool) -> Iterator[None]:
        """To be done each second, by steps. ``begun``: since the last time a segment has begun; ``lost``: something was
        lost, and what is told now may be, too: books wait until nothing is."""
        self._is_due |= begun or lost
        if self._is_due and not lost and (self._began is None or self._now() - self._began >= APART_US):
            self._is_due, self._began = False, self._now()
            for tap in list(self._taps.values()):
                yield from tap.checkpoint()
        elif begun or lost:
            for tap in list(self._taps.values()):
                yield from tap.standing()
        for tap in list(self._taps.values()):
            yield from tap.images(self._has_room)

    def _has_room(self) -> bool:
        return self._waiting() < MOST_WAITING

"""Which of a recording's REST order books answers a request, each of them once: given again it would be out of date."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from cryptodash.simulator.recording import Recording, TimedSnapshot

SOON_S = 5.0
"""Recorded seconds within which a request was answered when it was made."""


class ReplayedSnapshots:
    """Of a file, whose answers have no times that can be compared with its frames', the next one. Of a tape what had
    come by then, or came soon after."""

    def __init__(self, recording: Recording) -> None:
        self._untimed = {
            native: deque((first, *recording.further_snapshots.get(native, ())))
            for native, first in recording.snapshots.items()
        }
        self._timed = {native: deque(several) for native, several in recording.timed_snapshots.items()}

    def next(self, native: str, at: float) -> bytes | None:
        """The answer to a request when the recording is played up to ``at`` (as ``Frame.at``); None: there is none."""
        timed = self._timed.get(native)
        if timed is None:
            left = self._untimed.get(native)
            return left.popleft() if left else None
        _drop_those_before(timed, at)
        if not timed or (timed[0].is_checkpoint and timed[0].at > at + SOON_S):
            return None  # what comes behind a hole is none of what lies before it
        return timed.popleft().body

    def awaited(self, at: float) -> Mapping[str, float]:
        """When the books were taken, by native name, of which a checkpoint is the next answer, and has been played."""
        heads = ((native, timed[0]) for native, timed in self._timed.items() if timed)
        return {native: head.at for native, head in heads if head.is_checkpoint and head.at <= at}


def _drop_those_before(timed: deque[TimedSnapshot], at: float) -> None:
    """Leave out what something later has made out of date. What came soon after ``at`` came to a request like this one;
    but a checkpoint is there because nothing else was, and can be joined to all that was played since."""
    while len(timed) > 1 and timed[1].at <= at:
        timed.popleft()
    if len(timed) > 1 and timed[0].at <= at < timed[1].at <= at + SOON_S and not timed[0].is_checkpoint:
        timed.popleft()

"""What is done late: in its order, nothing before an earlier thing, and nothing left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime


@define(eq=False)
class LateQueue:
    """Things on their way to one place. ``later`` calls something after so many seconds."""

    reactor: IReactorTime
    later: Callable[[float, Callable[[], None]], None]
    _waiting: deque[tuple[float, Callable[[], None]]] = field(factory=deque)
    _is_timed: bool = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delay: float, act: Callable[[], None]) -> None:
        """Do something in ``delay`` seconds, or with the last of what waits if that is later: when a delay ends, what
        comes then does not overtake what is under way."""
        now = self.reactor.seconds()
        due = max(now + delay, self._waiting[-1][0] if self._waiting else now)
        self._waiting.append((due, act))
        if not self._is_timed:
            self._is_timed = True
            self.later(due - now, self._release)

    def clear(self) -> None:
        """Do none of it."""
        self._waiting.clear()

    def _release(self) -> None:
        waiting, now = self._waiting, self.reactor.seconds()
        while waiting and waiting[0][0] <= now:
            waiting.popleft()[1]()  # may put something in here, or clear it
        self._is_timed = bool(waiting)
        if waiting:
            self.later(max(0.0, waiting[0][0] - now), self._release)

"""How HTTP ends with the server: requests under way get their answer, or a 503, and every answer leaves before its
connection goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from cryptodash.core.errors import Refused

LEAVE_S: Final = 0.5
"""Seconds before the end of a drain at which those who still wait are answered 503, so that they read it."""
CLOSE_S: Final = 1.0
"""Seconds that the last bytes of answers have after the drain."""

T = TypeVar("T")


def shutting_down() -> Refused:
    """The server ends before the answer is known."""
    return Refused("shutting_down", "the server is shutting down", 503)


class Waits:
    """What requests wait for; ``cut`` ends it all: whoever waits, or begins to, is refused with ``shutting_down``."""

    def __init__(self) -> None:
        self._tasks: set[Deferred[Any]] = set()
        self._is_cut = False

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The outcome. Raises ``Refused`` ``shutting_down`` at the end of the server."""
        task: Deferred[T] = Deferred.fromCoroutine(_coroutine(awaitable))
        self._tasks.add(task)
        if self._is_cut:
            task.cancel()
        try:
            return await task
        except CancelledError:
            if self._is_cut:
                raise shutting_down() from None
            raise
        finally:
            self._tasks.discard(task)

    def cut(self) -> None:
        """End every wait."""
        self._is_cut = True
        for task in tuple(self._tasks):
            task.cancel()


async def _coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


class Connection(Protocol):
    """One HTTP connection, as far as its end is concerned."""

    @property
    def is_answering(self) -> bool:
        """Whether a request came in whole and its answer has not left."""

    def wind_up(self) -> None:
        """Close it once what was written has left; a request that has come in part is answered 503."""

    def abort(self) -> None:
        """Close it now."""


class Connections:
    """The HTTP connections of one site. ``draining``: answers say ``Connection: close``, and mean it."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.draining = False
        self._reactor = reactor
        self._open: dict[Connection, None] = {}
        self._changed: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        self._open[connection] = None

    def gone(self, connection: Connection) -> None:
        """It has ended, or belongs to another protocol from now on."""
        self._open.pop(connection, None)
        waiting, self._changed = self._changed, []
        for each in waiting:
            each.callback(None)

    async def drain(self, seconds: float, cut: Callable[[], None]) -> None:
        """Wait until no request is without its answer, at most so long. ``cut`` is called before that: it answers
        whatever still waits for something."""
        self.draining = True
        cutting = self._reactor.callLater(max(0.0, seconds - LEAVE_S), cut)
        await self._until(lambda: not any(each.is_answering for each in self._open), seconds)
        if cutting.active():
            cutting.cancel()

    async def close(self) -> None:
        """Close every connection; what was written leaves first, unless its peer does not read it in a second."""
        self.draining = True
        for each in tuple(self._open):
            each.wind_up()
        await self._until(lambda: not self._open, CLOSE_S)
        for each in tuple(self._open):
            each.abort()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds that only ``gone`` can bring about, at most so long."""
        over: list[bool] = []
        timer = self._reactor.callLater(seconds, self._wake, over)
        while not done() and not over:
            changed: Deferred[None] = Deferred()
            self._changed.append(changed)
            await changed
        if timer.active():
            timer.cancel()

    def _wake(self, over: list[bool]) -> None:
        over.append(True)
        waiting, self._changed = self._changed, []
        for each in waiting:
            each.callback(None)

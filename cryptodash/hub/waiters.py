"""Callers that wait, for a short time, for news of a topic."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from cryptodash.core.topics import Topic


class Waiters:
    """``waiting`` is empty while nobody waits, so that the hot path need not look further.

    Who waits is told of news in the next turn: then the status that comes after a first value is known as well."""

    def __init__(self, scheduler: IReactorTime) -> None:
        self._scheduler = scheduler
        self.waiting: dict[Topic, list[Deferred[bool]]] = {}
        self._woken: dict[Deferred[bool], None] = {}
        """In the order in which they came."""

    def wait(self, topic: Topic, seconds: float) -> Deferred[bool]:
        """A Deferred of True at the topic's next news, of False when the time is over;
        cancelling it leaves nothing behind."""
        waiter: Deferred[bool] = Deferred()
        timer = self._scheduler.callLater(seconds, waiter.callback, False)
        self.waiting.setdefault(topic, []).append(waiter)

        def leave(result: bool) -> bool:
            if timer.active():
                timer.cancel()
            self._woken.pop(waiter, None)
            others = self.waiting.get(topic, [])
            if waiter in others:
                others.remove(waiter)
                if not others:
                    del self.waiting[topic]
            return result

        return waiter.addBoth(leave)

    def wake(self, topic: Topic) -> None:
        woken = self.waiting.pop(topic, ())
        if woken and not self._woken:
            self._scheduler.callLater(0, self._tell)
        self._woken |= dict.fromkeys(woken)

    def stop(self) -> None:
        """End every wait as if its time were over."""
        for waiters in list(self.waiting.values()):
            for waiter in list(waiters):
                waiter.callback(False)
        self._tell()

    def _tell(self) -> None:
        for waiter in list(self._woken):
            if not waiter.called:
                waiter.callback(True)

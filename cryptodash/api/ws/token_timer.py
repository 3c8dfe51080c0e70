"""The one timer of a client with a token, or without one yet."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.api.ws.authentication import Authentication, Due


class TokenTimer:
    """``warn`` is called before the end of a token, ``close(reason)`` at its end, or when none comes."""

    def __init__(
        self,
        reactor: IReactorTime,
        authentication: Authentication,
        warn: Callable[[], None],
        close: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._authentication = authentication
        self._warn = warn
        self._close = close
        self._call: IDelayedCall | None = None

    def look(self) -> None:
        """Do what is due, and look again when the next is."""
        self.stop()
        wait, due = self._authentication.due()
        if due is Due.WARN:
            self._warn()
            wait, due = self._authentication.due()
        if wait > 0:
            self._call = self._reactor.callLater(wait, self._again)
        elif due is Due.LATE:
            self._authentication.refused("late")
            self._close("no token came in time")
        elif due is Due.END:
            self._authentication.refused("ended")
            self._close("the token has ended")

    def _again(self) -> None:
        self._call = None
        self.look()

    def stop(self) -> None:
        """The client has gone."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

"""The protocol of Redis (RESP2), as far as it is needed: commands and their replies in order, and what is pushed to a
subscriber. Parsed by ``hiredis``, the C parser of Redis's own project."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import hiredis
from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from cryptodash.core.errors import CryptodashError

DEADLINE_S: Final = 5.0
"""Seconds that a reply may take. Replies come in order: after one that does not come, none is worth waiting for."""
MOST_IN_FLIGHT: Final = 1_000
MOST_UNPARSED: Final = 4 * 1024 * 1024
"""Bytes that may come without a complete reply. Nothing of ours is as long."""

Push = Callable[[bytes, bytes], None]
"""Takes what was published: the channel's name and the payload."""


class RedisError(CryptodashError):
    """Redis refused a command, or did not answer it."""


@define
class _Waiting:
    reply: Deferred[Any]
    until: float


class RedisProtocol(Protocol):
    """One connection. With ``push`` it is a subscriber's: published messages go there."""

    transport: Any
    """One that can be aborted, as those of TCP and TLS."""

    def __init__(self, reactor: IReactorTime, push: Push | None = None) -> None:
        self.given_up = ""
        """Why it was ended by us; empty where it was not."""
        self._reactor = reactor
        self._push = push
        self._reader = hiredis.Reader()
        self._unparsed = 0
        self._waiting: deque[_Waiting] = deque()
        self._timer: IDelayedCall | None = None
        self._is_over = False
        """Whether it has been given up: what still comes answers nothing that is asked from now on."""

    def call(self, *command: bytes | str | int) -> Deferred[Any]:
        """The reply: bytes, a whole number, a list, or None. Fails with ``RedisError`` where Redis refuses it, does not
        answer within ``DEADLINE_S``, or the connection ends first, and then nobody knows whether it was carried out."""
        if self.transport is None or not self.connected or self._is_over:
            return _failed("the connection to Redis is closed")
        if len(self._waiting) >= MOST_IN_FLIGHT:
            return _failed(f"more than {MOST_IN_FLIGHT} commands wait for Redis")
        reply: Deferred[Any] = Deferred()
        self._waiting.append(_Waiting(reply, self._reactor.seconds() + DEADLINE_S))
        # hiredis declares a tuple of exactly one; it takes any number, as a command needs (its own documentation).
        self.transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]
        if self._timer is None:
            self._timer = self._reactor.callLater(DEADLINE_S, self._look)
        return reply

    def dataReceived(self, data: bytes) -> None:
        if self._is_over:
            return
        self._unparsed += len(data)
        try:
            self._reader.feed(data)
            while not self._is_over and (reply := self._reader.gets()) is not False:
                self._unparsed = 0
                self._replied(reply)
        except hiredis.ProtocolError as error:
            self._end(f"what came from Redis is no reply: {error}")
            return
        if self._unparsed > MOST_UNPARSED:
            self._end(f"more than {MOST_UNPARSED} bytes came from Redis without a complete reply")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = 0  # Twisted never says so itself
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        said = "" if reason.check(ConnectionDone) else f": {reason.getErrorMessage()}"
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            each.reply.errback(RedisError(f"the connection to Redis was lost{said}"))

    def _replied(self, reply: Any) -> None:
        if self._push is not None and isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":
            self._push(reply[1], reply[2])
            return
        if not self._waiting:
            self._end("Redis replied to nothing")
            return
        deferred = self._waiting.popleft().reply
        if isinstance(reply, hiredis.ReplyError):
            deferred.errback(RedisError(str(reply)))
        else:
            deferred.callback(reply)

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        left = self._waiting[0].until - self._reactor.seconds()
        if left <= 0:
            self._end(f"Redis did not answer for {DEADLINE_S:g} s")
            return
        self._timer = self._reactor.callLater(left, self._look)

    def drop(self) -> None:
        """End the connection now."""
        self._is_over = True
        self.transport.abortConnection()

    def _end(self, why: str) -> None:
        """Nothing that comes after this can be relied on."""
        self.given_up = why
        waiting, self._waiting = self._waiting, deque()
        self.drop()
        for each in waiting:
            each.reply.errback(RedisError(why))


def _failed(why: str) -> Deferred[Any]:
    reply: Deferred[Any] = Deferred()
    reply.errback(RedisError(why))
    return reply

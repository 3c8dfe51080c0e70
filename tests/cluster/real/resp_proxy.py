"""A proxy between one server process and Redis, which does things to what is published, and to nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.cluster.real.resp_frames import Change, RespFrames, is_pushed


class _Redis(Protocol):
    """The side of Redis of a connection."""

    def __init__(self, front: _Front) -> None:
        self._front = front
        self._frames = RespFrames()

    def connectionMade(self) -> None:
        self._front.joined(self)

    def dataReceived(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            self._front.replied(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._front.abort()


class _RedisFactory(ClientFactory):
    noisy = False

    def __init__(self, front: _Front) -> None:
        self._front = front

    def buildProtocol(self, address: object) -> _Redis:
        return _Redis(self._front)

    def clientConnectionFailed(self, connector: object, reason: object) -> None:
        self._front.abort()


class _Front(Protocol):
    """The server's side of a connection."""

    transport: Any

    def __init__(self, proxy: RespProxy) -> None:
        self._proxy = proxy
        self._redis: _Redis | None = None
        self._change: Change | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.is_subscriber = False

    def connectionMade(self) -> None:
        self._proxy.fronts.add(self)
        if self._proxy.refuses:
            self.abort()
            return
        self.transport.pauseProducing()
        self._proxy.reactor.connectTCP("127.0.0.1", self._proxy.redis_port, _RedisFactory(self), timeout=5)

    def joined(self, redis: _Redis) -> None:
        self._redis = redis
        if not self.transport.connected:
            redis.transport.abortConnection()
            return
        # Neither side is read faster than the other one reads: what waits waits at Redis, which has limits for it.
        self.transport.registerProducer(redis.transport, True)
        redis.transport.registerProducer(self.transport, True)
        self.transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        assert self._redis is not None
        self._redis.transport.write(data)

    def replied(self, frame: bytes) -> None:
        if not is_pushed(frame):
            self._send(frame)
            return
        self.is_subscriber = True
        proxy = self._proxy
        if self._change is not proxy.change_made:
            before, self._change = self._change, proxy.change_made
            for each in () if before is None else before.rest():
                self._send(each)
        proxy.pushed += 1
        for each in (frame,) if self._change is None else self._change.take(frame):
            self._send(each, proxy.delay)

    def _send(self, frame: bytes, delay: float = 0.0) -> None:
        if not delay and not self._waiting:
            self.transport.write(frame)
            return
        if not self._waiting:
            self._proxy.reactor.callLater(delay, self._send_due)
        self._waiting.append((self._proxy.reactor.seconds() + delay, frame))

    def _send_due(self) -> None:
        now = self._proxy.reactor.seconds()
        while self._waiting and self._waiting[0][0] <= now:
            self.transport.write(self._waiting.popleft()[1])
        if self._waiting:
            self._proxy.reactor.callLater(self._waiting[0][0] - now, self._send_due)

    def abort(self) -> None:
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._proxy.fronts.discard(self)
        self._waiting.clear()
        if self._redis is not None:
            self._redis.transport.abortConnection()


class RespProxy:
    """All connections of one process to Redis."""

    def __init__(self, reactor: Any, redis_port: int) -> None:
        self.reactor, self.redis_port = reactor, redis_port
        self.fronts: set[_Front] = set()
        self.change_made: Change | None = None
        self.delay = 0.0
        """Seconds by which what is published is held up."""
        self.refuses = False
        """Whether a new connection is closed at once."""
        self.pushed = 0
        """Published frames so far."""
        factory = Factory.forProtocol(lambda: _Front(self))
        factory.noisy = False
        self._listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    def change(self, make: Callable[[], Change] | None) -> None:
        """From now on this is done to what is published; None: nothing. What the one before holds comes first."""
        self.change_made = None if make is None else make()

    def cut(self) -> int:
        """Close the connections by which published frames come; how many."""
        found = [each for each in self.fronts if each.is_subscriber]
        for each in found:
            each.abort()
        return len(found)

    def stop(self) -> Any:
        """No more connections; fires when the port is closed."""
        self.refuses = True
        for each in list(self.fronts):
            each.abort()
        return self._listening.stopListening()

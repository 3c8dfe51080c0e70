"""A Redis in memory, as far as the cluster uses one: the dozen commands and the scripts, on a test's reactor.
``test_simulated_redis.py`` holds it against the real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import hiredis
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from cryptodash.cluster import scripts


class Fault(NamedTuple):
    """An error reply, or with a plus in front a status."""

    text: str


Reply = bytes | int | None | list[Any] | Fault

OK = Fault("+OK")


class _Entry(NamedTuple):
    value: bytes
    until: float | None


class SimulatedRedis(Factory):
    """``time_us`` tells Redis's own time of day in microseconds. ``is_read_only``: writes are refused, as by a replica
    or by one whose disk is full."""

    noisy = False

    def __init__(self, reactor: IReactorTime, time_us: Callable[[], int]) -> None:
        self.is_read_only = False
        self.is_paused = False
        self.version, self.mode = b"7.0.15", b"standalone"
        self.connections: list[_Connection] = []
        self.published = 0
        self._reactor = reactor
        self._time_us = time_us
        self._entries: dict[bytes, _Entry] = {}
        self._scripts: dict[bytes, Callable[[Sequence[bytes], Sequence[bytes]], Reply]] = {
            scripts.GRANT.encode(): self._grant,
            scripts.JOIN.encode(): self._join,
            scripts.RENEW.encode(): self._renew,
            scripts.RELEASE.encode(): self._release,
            scripts.PUBLISH.encode(): self._publish_fenced,
            scripts.STORE.encode(): self._store,
        }

    def buildProtocol(self, address: object) -> _Connection:
        return _Connection(self)

    # -- what happens to it

    def put(self, key: bytes, value: bytes, lasts_ms: int | None = None) -> None:
        """Somebody has put that there."""
        self._put(key, value, lasts_ms)

    def held(self, key: bytes) -> bytes | None:
        """What is there."""
        return self._get(key)

    def flush(self) -> None:
        """FLUSHALL."""
        self._entries.clear()

    def crash(self) -> None:
        """It is gone with all it had; who connects reaches an empty one."""
        self.flush()
        for each in list(self.connections):
            each.transport.abortConnection()

    def pause(self) -> None:
        """It answers nothing (SIGSTOP)."""
        self.is_paused = True

    def go_on(self) -> None:
        """What came meanwhile is carried out, also of connections that have gone: that it hears afterwards."""
        self.is_paused = False
        for each in list(self.connections):
            each.work()
            if each.is_lost:
                self.connections.remove(each)

    # -- commands

    def carry_out(self, connection: _Connection, command: Sequence[bytes]) -> Reply | list[Reply]:
        name = command[0].upper().decode()
        method = getattr(self, f"_do_{name.lower()}", None)
        if method is None:
            return Fault(f"ERR unknown command '{name}'")
        reply: Reply = method(connection, *command[1:])
        return reply

    def _do_ping(self, connection: _Connection) -> Reply:
        return Fault("+PONG")

    def _do_info(self, connection: _Connection, section: bytes) -> Reply:
        return b"# Server\r\nredis_version:%s\r\nredis_mode:%s\r\n" % (self.version, self.mode)

    def _do_get(self, connection: _Connection, key: bytes) -> Reply:
        return self._get(key)

    def _do_set(self, connection: _Connection, key: bytes, value: bytes, *options: bytes) -> Reply:
        if self.is_read_only:
            return _READ_ONLY
        words = [each.upper() for each in options]
        before = self._get(key)
        if not (b"NX" in words and before is not None):
            lasts = int(options[words.index(b"PX") + 1]) if b"PX" in words else None
            self._put(key, value, lasts)
        elif b"GET" not in words:
            return None
        return before if b"GET" in words else OK

    def _do_publish(self, connection: _Connection, channel: bytes, payload: bytes) -> Reply:
        return self.publish(channel, payload)

    def _do_subscribe(self, connection: _Connection, channel: bytes) -> Reply:
        connection.channels.add(channel)
        return [b"subscribe", channel, len(connection.channels)]

    def _do_eval(self, connection: _Connection, script: bytes, count: bytes, *arguments: bytes) -> Reply:
        if self.is_read_only:
            return _READ_ONLY
        carry_out = self._scripts.get(script)
        if carry_out is None:
            return Fault("ERR a script that the simulation does not know")
        keys = int(count)
        return carry_out(arguments[:keys], arguments[keys:])

    def publish(self, channel: bytes, payload: bytes) -> int:
        self.published += 1
        listening = [each for each in self.connections if channel in each.channels]
        for each in listening:
            each.send([b"message", channel, payload])
        return len(listening)

    # -- scripts

    def _grant(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        now, latest = self._time_us() // 1000, int(arguments[2])
        owner = self._get(keys[0])
        if owner is not None:
            return [0, owner, now]
        if 0 < latest < now:
            return [2, b"", now]
        fence = max(self._time_us(), int(self._get(keys[1]) or 0) + 1)
        self._put(keys[1], b"%d" % fence, None)
        self._put(keys[0], arguments[0] + b":%d" % fence, int(arguments[1]))
        return [1, b"%d" % fence, now]

    def _join(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        found = self._get(keys[0])
        if found in (None, arguments[0]):
            self._put(keys[0], arguments[0], int(arguments[1]))
        return found

    def _renew(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        if self._get(keys[0]) != arguments[0]:
            return 0
        self._put(keys[0], arguments[0], int(arguments[1]))
        return 1

    def _release(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        if self._get(keys[0]) == arguments[0]:
            del self._entries[keys[0]]
        return 1

    def _publish_fenced(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        if self._get(keys[0]) != arguments[0]:
            return 0
        for payload in arguments[2:]:
            self.publish(arguments[1], payload)
        return 1

    def _store(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        if self._get(keys[0]) != arguments[0]:
            return 0
        self._put(keys[1], arguments[1], None)
        return 1

    # -- entries

    def _get(self, key: bytes) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None or (entry.until is not None and self._reactor.seconds() >= entry.until):
            self._entries.pop(key, None)
            return None
        return entry.value

    def _put(self, key: bytes, value: bytes, lasts_ms: int | None) -> None:
        until = None if lasts_ms is None else self._reactor.seconds() + lasts_ms / 1000
        self._entries[key] = _Entry(value, until)


_READ_ONLY = Fault("READONLY You can't write against a read only replica.")


class _Connection(Protocol):
    transport: Any

    def __init__(self, redis: SimulatedRedis) -> None:
        self.channels: set[bytes] = set()
        self.is_lost = False
        self._redis = redis
        self._reader = hiredis.Reader()
        self._waiting: list[Sequence[bytes]] = []

    def connectionMade(self) -> None:
        self._redis.connections.append(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        if not self._redis.is_paused and self in self._redis.connections:
            self._redis.connections.remove(self)

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self._waiting.append(command)
        self.work()

    def work(self) -> None:
        """Carry out what has come."""
        while self._waiting and not self._redis.is_paused:
            self.send(self._redis.carry_out(self, self._waiting.pop(0)))

    def send(self, reply: Any) -> None:
        if not self.is_lost:
            self.transport.write(encode(reply))


def encode(reply: Any) -> bytes:
    """As Redis writes it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, Fault):
        return (reply.text if reply.text.startswith("+") else f"-{reply.text}").encode() + b"\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%s\r\n" % (len(reply), reply)
    return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))

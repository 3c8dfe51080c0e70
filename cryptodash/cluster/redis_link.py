"""A connection to Redis that is made again for as long as the server runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from random import Random
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from attrs import field, frozen
from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.cluster.redis_protocol import Push, RedisError, RedisProtocol

FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 2.0
CONNECT_S: Final = 5.0
OLDEST: Final = (6, 2)
"""The first Redis that has all that is asked of it."""

_log = Logger(namespace="cryptodash.cluster.redis")


@frozen
class RedisAddress:
    """Where Redis is, and who we are there. ``login`` are the arguments of AUTH, empty for none."""

    host: str
    port: int
    database: int = 0
    is_tls: bool = False
    login: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def address_of(url: str) -> RedisAddress:
    """The address in ``redis://[user:password@]host[:port][/database]``, ``rediss`` for TLS; the setting's parser has
    checked its form."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    login = ((user, password) if user else (password,)) if password else ()
    database = int(parts.path.strip("/") or 0)
    return RedisAddress(parts.hostname or "127.0.0.1", parts.port or 6379, database, parts.scheme == "rediss", login)


def endpoint_of(reactor: Any, address: RedisAddress) -> IStreamClientEndpoint:
    """How it is reached."""
    endpoint = HostnameEndpoint(reactor, address.host, address.port, timeout=CONNECT_S)
    return wrapClientTLS(optionsForClientTLS(address.host), endpoint) if address.is_tls else endpoint


def unfit(info: object) -> str:
    """Why a Redis that says this of itself (``INFO server``: members, one a line) is no use to a cluster; empty where
    it is one."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else ""
    members = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    mode = members.get("redis_mode", "standalone")
    if mode != "standalone":
        return f"it is in {mode} mode, where a lease can be lost: allowed is one plain instance"
    version = tuple(int(each) for each in re.findall(r"[0-9]+", members.get("redis_version", ""))[:2])
    if version < OLDEST:
        return f"it is version {members.get('redis_version', 'unknown')[:40]}: needed is 6.2 or newer"
    return ""


class RedisLink(Service):
    """One connection to Redis, made again whenever it is lost; ``up`` is called with each new one once Redis has let us
    in, ``down`` when it is gone."""

    def __init__(
        self,
        address: RedisAddress,
        endpoint: IStreamClientEndpoint,
        reactor: Any,
        random: Random,
        *,
        push: Push | None = None,
        channels: Collection[bytes] = (),
        up: Callable[[], object] = lambda: None,
        down: Callable[[], object] = lambda: None,
        examines: bool = True,
    ) -> None:
        """``channels``: what it subscribes to, each message of which goes to ``push``; looked at when it connects.
        ``examines``: asks what kind of Redis it is, and is not let in by one that is no use."""
        self.trouble = "not connected yet"
        """Why there is no connection, for a person; empty while there is one."""
        self._address = address
        self._push = push
        self._channels = channels
        self._random = random
        self._examines = examines
        self._attempts = 0
        self._up, self._down = up, down
        self._protocol: RedisProtocol | None = None
        self._service = ClientService(
            endpoint,
            Factory.forProtocol(lambda: _Announced(self, reactor, push)),
            retryPolicy=self._wait,
            clock=reactor,
        )

    @property
    def is_up(self) -> bool:
        return self._protocol is not None

    def call(self, *command: bytes | str | int) -> Deferred[Any]:
        """As of ``RedisProtocol``; fails at once where there is no connection."""
        if self._protocol is None:
            failed: Deferred[Any] = Deferred()
            failed.errback(RedisError(f"Redis at {self._address} is out of reach: {self.trouble}"))
            return failed
        return self._protocol.call(*command)

    def startService(self) -> None:
        super().startService()
        self._service.startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return maybeDeferred(self._service.stopService)

    async def _log_in(self, protocol: RedisProtocol) -> None:
        if self._address.login:
            await protocol.call("AUTH", *self._address.login)
        if self._examines:
            why_not = unfit(await protocol.call("INFO", "server"))
            if why_not:
                raise RedisError(why_not)
        if self._address.database:
            await protocol.call("SELECT", self._address.database)
        for channel in self._channels:
            await protocol.call("SUBSCRIBE", channel)
        if not (self._examines or self._channels):
            await protocol.call("PING")

    def _wait(self, _: int) -> float:
        """Attempts are counted here: Twisted begins anew with every connection, also with one that Redis refuses."""
        self._attempts = min(self._attempts + 1, 10)
        return self._random.uniform(FIRST_WAIT_S, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._attempts))

    def made(self, protocol: RedisProtocol) -> None:
        """A connection is there; Redis has yet to let us in. Not by Twisted's ``prepareConnection``, which is given a
        proxy of the protocol, and may not fail before the connection has ended."""
        done = Deferred.fromCoroutine(self._log_in(protocol))
        done.addCallbacks(lambda _: self._is_in(protocol), lambda failure: self._refused(protocol, failure))
        done.addErrback(lambda failure: _log.failure("what a new connection to Redis began failed", failure=failure))

    def _is_in(self, protocol: RedisProtocol) -> None:
        _log.info("connected to Redis at {address}", address=self._address)
        self._protocol, self.trouble, self._attempts = protocol, "", 0
        self._up()

    def _refused(self, protocol: RedisProtocol, failure: Failure) -> None:
        """Redis does not let us in: the same again after a while, for a password may be set late."""
        protocol.drop()
        failure.trap(RedisError)
        said = failure.getErrorMessage()
        if said != self.trouble:
            _log.warn("Redis at {address} refuses us: {said}", address=self._address, said=said)
        self.trouble = said

    def lost(self, protocol: RedisProtocol, why: str) -> None:
        """A connection is gone."""
        if self._protocol is protocol:
            _log.warn("lost Redis at {address}: {why}", address=self._address, why=why)
            self._protocol, self.trouble = None, why
            self._down()


class _Announced(RedisProtocol):
    """Tells the link of its beginning and its end."""

    def __init__(self, link: RedisLink, reactor: Any, push: Push | None) -> None:
        super().__init__(reactor, push)
        self._link = link

    def connectionMade(self) -> None:
        self._link.made(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._link.lost(self, self.given_up or reason.getErrorMessage())

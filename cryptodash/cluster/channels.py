"""Redis, as one process of the cluster uses it: three connections, and what is told on which channel to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from attrs import frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.cluster import scripts
from cryptodash.cluster.redis_link import RedisAddress, RedisLink
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.cluster.signature import Signature, Unsigned
from cryptodash.core.tally import Tally

_log = Logger(namespace="cryptodash.cluster")


def unanswered(failure: Failure) -> None:
    """Redis did not do it, or did not say so: it is tried again in time."""
    failure.trap(RedisError)


@frozen
class RedisServer:
    """Where Redis is and how it is reached. ``prefix``: what all keys and channels begin with; ``key``: what is told is
    signed with it, empty: not at all."""

    address: RedisAddress
    endpoint: IStreamClientEndpoint
    prefix: str
    key: str = ""


class Channels(MultiService):
    """``up`` is called when commands can be given (again), ``hears`` when what is published comes (again): what was
    published meanwhile is lost. What comes before ``is_open``, or without our signature, goes to nobody."""

    name = "channels"

    def __init__(
        self,
        redis: RedisServer,
        reactor: Any,
        random: Random,
        tally: Tally,
        up: Callable[[], object],
        hears: Callable[[], object],
    ) -> None:
        super().__init__()
        self.is_open = False
        """Whether what comes is from processes like this one."""
        self._prefix = redis.prefix
        self._address = redis.address
        self._signature = Signature(redis.key)
        self._listening: dict[bytes, Callable[[bytes], object]] = {}

        lost = tally.counter("cryptodash_cluster_redis_lost_total", "Connections to Redis that were lost.")

        def link(**members: Any) -> RedisLink:
            return RedisLink(redis.address, redis.endpoint, reactor, random, down=lost.add, **members)

        self._fenced = link(examines=False)
        self._control = link(up=up)  # without it nothing is done: one of the three is enough to say what is wrong
        self._subscriber = link(push=self._pushed, channels=self._listening, up=hears, examines=False)
        self._links = (self._fenced, self._control, self._subscriber)
        for each in self._links:
            each.setServiceParent(self)
        tally.gauge(
            "cryptodash_cluster_redis_connections", "Connections to Redis that are up, of three.", self._links_up
        )
        self._failed = tally.counter(
            "cryptodash_cluster_failures_total", "What came by Redis and could not be handled: faults of ours."
        )
        self._unsigned = tally.counter(
            "cryptodash_cluster_unsigned_total", "What came by Redis and was not signed with our CLUSTER_KEY."
        )

    def key(self, *parts: str) -> bytes:
        """A key or channel in Redis."""
        return ":".join((self._prefix, *parts)).encode()

    @property
    def is_up(self) -> bool:
        """Whether commands can be given."""
        return self._control.is_up

    @property
    def trouble(self) -> str:
        """Why not all of it works, for a person; empty where it does."""
        down = [each.trouble for each in self._links if not each.is_up]
        return f"Redis at {self._address} is out of reach: {down[0]}" if down else ""

    # -- what is told

    def listen(self, channel: bytes, took: Callable[[bytes], object]) -> None:
        """Whose is what comes there; before start."""
        self._listening[channel] = took

    def publish(self, channel: bytes, payload: bytes) -> None:
        """To whoever listens; whether it came nobody says."""
        self._control.call("PUBLISH", channel, self._signature.signed(channel, payload)).addErrback(unanswered)

    def publish_fenced(self, lease: bytes, token: str, channel: bytes, payloads: Sequence[bytes]) -> Deferred[Any]:
        """The same, in order, as long as the token holds the lease; fires with 0 where it does not."""
        signed = [self._signature.signed(channel, each) for each in payloads]
        return self._fenced.call("EVAL", scripts.PUBLISH, 1, lease, token, channel, *signed)

    # -- what is kept

    def call(self, *command: bytes | str | int) -> Deferred[Any]:
        """Any command, as of ``RedisProtocol``."""
        return self._control.call(*command)

    def run(self, script: str, keys: Sequence[bytes], *arguments: bytes | str | int) -> Deferred[Any]:
        """One of our scripts."""
        return self._control.call("EVAL", script, len(keys), *keys, *arguments)

    def store_fenced(self, lease: bytes, token: str, key: bytes, value: bytes) -> Deferred[Any]:
        """As long as the token holds the lease; fires with 0 where it does not."""
        return self.run(scripts.STORE, [lease, key], token, self._signature.signed(key, value))

    def stored(self, key: bytes) -> Deferred[bytes | None]:
        """What ``store_fenced`` has put there; None for nothing, or nothing of ours."""
        return self._control.call("GET", key).addCallback(lambda data: data and self._checked(key, data))

    # -- what comes

    def _pushed(self, channel: bytes, data: bytes) -> None:
        took = self._listening.get(channel)
        if took is None or not self.is_open:
            return
        payload = self._checked(channel, data)
        if payload is None:
            return
        try:
            took(payload)
        except Exception:
            # Whatever comes must not end the connection by which all comes; the first is logged, all are counted.
            if not self._failed.values[()]:
                _log.failure("what came on {channel} could not be handled", channel=channel.decode(errors="replace"))
            self._failed.add()

    def _checked(self, channel: bytes, data: bytes) -> bytes | None:
        try:
            payload = self._signature.checked(channel, data)
        except Unsigned as error:
            if not self._unsigned.values[()]:
                _log.error("what comes on {channel} is {error}", channel=channel.decode(errors="replace"), error=error)
            self._unsigned.add()
            return None
        return payload

    def _links_up(self) -> Mapping[tuple[str, ...], float]:
        return {(): float(sum(each.is_up for each in self._links))}

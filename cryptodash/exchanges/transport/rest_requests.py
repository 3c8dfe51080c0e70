"""The REST requests of one venue that are under way, and the idle connections that they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import MarketType
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.rest import RestClient
from cryptodash.exchanges.transport.sockets import GOODBYE

MOST_IDLE = 4
"""Idle connections kept per host."""

_log = Logger(namespace="cryptodash.exchanges.transport.rest_requests")


class RestRequests:
    """Requests over ``client``; ``stop`` ends them all. ``agent`` is for tests: it is else made over ``dialer``."""

    def __init__(
        self,
        venue: IVenue,
        hosts: Mapping[MarketType, Hosts],
        reactor: Any,
        clock: Clock,
        tally: Tally,
        dialer: Dialer,
        agent: IAgent | None,
    ) -> None:
        self._exchange = venue.id
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = MOST_IDLE
        self._tasks: set[Deferred[Any]] = set()
        self._stopped = False
        over_pool = agent or Agent.usingEndpointFactory(reactor, dialer, self._pool)
        self.client = RestClient(venue, hosts, reactor, clock, tally, over_pool)
        self.client.unanswered = self._close_idle

    def begin(
        self,
        request: RestRequest,
        answered: Callable[[RestRequest, bytes], None],
        failed: Callable[[RestRequest, UpstreamError], None],
    ) -> None:
        """Make a request and tell its outcome, unless ``stop`` comes before it."""
        task = Deferred.fromCoroutine(self._tell(request, answered, failed))
        self._tasks.add(task)
        task.addErrback(self._not_taken)
        task.addBoth(lambda _: self._tasks.discard(task))

    async def fetch(self, request: RestRequest) -> bytes:
        """The body of an answer that a client waits for. Raises ``UpstreamError``, also at the end of all."""
        if self._stopped:
            raise UpstreamError("disconnected", f"{self._exchange} has stopped")
        task = Deferred.fromCoroutine(self.client.fetch(request, for_client=True))
        self._tasks.add(task)
        try:
            return await task
        except CancelledError:
            if self._stopped:
                raise UpstreamError("disconnected", f"{self._exchange} has stopped") from None
            raise
        finally:
            self._tasks.discard(task)

    def stop(self) -> Deferred[None]:
        """Cancel what is under way; a Deferred that fires when the idle connections are closed, at most 1.5 s later:
        a dead peer never answers TLS's goodbye."""
        self._stopped = True
        for task in tuple(self._tasks):
            task.cancel()
        self.client.stop()
        emptied: Deferred[None] = Deferred()
        timer = self._reactor.callLater(GOODBYE, emptied.callback, None)

        def closed(_: object) -> None:
            if timer.active():
                timer.cancel()
                emptied.callback(None)

        self._pool.closeCachedConnections().addBoth(closed)
        return emptied

    def _close_idle(self) -> None:
        """What has cut one connection without a word may have cut those that are idle: each of them would cost another
        request its whole deadline."""
        self._pool.closeCachedConnections().addErrback(lambda _: None)

    async def _tell(
        self,
        request: RestRequest,
        answered: Callable[[RestRequest, bytes], None],
        failed: Callable[[RestRequest, UpstreamError], None],
    ) -> None:
        try:
            body = await self.client.fetch(request)
        except UpstreamError as error:
            failed(request, error)
        else:
            answered(request, body)

    def _not_taken(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("an answer of {exchange} was not taken", failure=failure, exchange=self._exchange)

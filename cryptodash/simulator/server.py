"""The simulator as a service: every venue host on a port of its own, one beat for all, faults,
ledgers and the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any
from urllib.parse import unquote

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IPushProducer, IReactorTime
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator.binance_rest import RestBinanceHost
from cryptodash.simulator.bybit_rest import RestBybitHost
from cryptodash.simulator.candles import MINUTE
from cryptodash.simulator.control import control_site
from cryptodash.simulator.economy import Economy
from cryptodash.simulator.faults import Faults
from cryptodash.simulator.host import SLOW_BY, Host, Session
from cryptodash.simulator.limits import BINANCE_SPOT, BINANCE_USDM, BYBIT, Ledger, Ledgers
from cryptodash.simulator.market import BEAT, Market
from cryptodash.simulator.truth import Truth

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
EXCHANGES = ("binance", "bybit")
"""The venues that have a simulator."""

_STALL_SECONDS = 10.0
_MAX_MESSAGE = 256 * 1024


@implementer(IPushProducer)
class VenueProtocol(WebSocketServerProtocol):
    """One client's WebSocket: the ``Link`` of a ``Session``. A client that does not read for 10 s is cut, so that what
    waits for it stays bounded."""

    host: Host
    session: Session | None = None
    path = ""
    query: Mapping[str, str] = {}
    _stalled: IDelayedCall | None = None

    def onConnect(self, request: Any) -> None:
        self.path = unquote(request.path)
        self.query = {name: values[-1] for name, values in request.params.items()}

    def onOpen(self) -> None:
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        self.session = self.factory.host.opened(self, self.path, self.query)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.session is not None and not isBinary:
            self.factory.host.text(self.session, payload.decode())

    def onPing(self, payload: bytes) -> None:
        if self.session is not None and not self.session.frozen and self.factory.host.heard(self.session):
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        if self.session is not None:
            self.factory.host.pong(self.session)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.resumeProducing()
        if self.session is not None:
            self.factory.host.closed(self.session)

    def send(self, text: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(text.encode())

    def ping(self, payload: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPing(payload)

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            # The public sendClose refuses the codes venues use (1001, 1008, 1012).
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    def abort(self) -> None:
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        if self._stalled is None:
            self._stalled = self.factory.host.reactor.callLater(_STALL_SECONDS, self._cut)

    def _cut(self) -> None:
        self._stalled = None
        self.abort()

    def resumeProducing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def stopProducing(self) -> None:
        self.resumeProducing()


class _Timers:
    """Delayed calls for Autobahn on the given reactor. Its own use the global one and round down to whole seconds: a
    close frame was often cut off by the end of the wait for its answer."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.call_later = reactor.callLater


class VenueFactory(WebSocketServerFactory):
    """Makes the protocols of one host."""

    protocol = VenueProtocol

    def __init__(self, host: Host, reactor: Any) -> None:
        super().__init__(reactor=reactor, server="")
        self._batched_timer = _Timers(reactor)
        self.host = host
        self.setProtocolOptions(
            webStatus=False,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=10,
            closeHandshakeTimeout=1,
            tcpNoDelay=True,
            maxFramePayloadSize=_MAX_MESSAGE,
            maxMessagePayloadSize=_MAX_MESSAGE,
        )


class VenueResource(Resource):
    """The host's web root: upgrades go to the WebSocket side, GET requests to REST."""

    isLeaf = True

    def __init__(self, host: Host, reactor: Any) -> None:
        super().__init__()
        self._host = host
        self._sockets = WebSocketResource(VenueFactory(host, reactor))

    def render(self, request: Request) -> Any:
        request.setHeader("Date", http.datetimeToString(self._host.clock.wall_ms() / 1000))  # the host's own clock
        path = unquote(request.path.decode("ascii", "replace"))
        if (request.getHeader("upgrade") or "").lower() == "websocket":
            refusal = self._host.refuse(path)
            if refusal is None:
                return self._sockets.render(request)
            return _answer(request, refusal.status, refusal.body, refusal.headers)
        if request.method not in (b"GET", b"HEAD"):
            return _answer(request, 405, b"", {"Allow": "GET"})
        query = {
            name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
            for name, values in request.args.items()
        }
        answer = self._host.rest(path, query)
        body = _answer(request, answer.status, answer.body, answer.headers)
        if not self._host.slow:
            return body
        self._later(request, body)
        return NOT_DONE_YET

    def _later(self, request: Request, body: bytes) -> None:
        def finish() -> None:
            request.write(body)
            request.finish()

        call = self._host.reactor.callLater(SLOW_BY, finish)
        request.notifyFinish().addBoth(lambda _: call.cancel() if call.active() else None)


def _answer(request: Request, status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    request.setResponseCode(status)
    for name, text in headers.items():
        request.setHeader(name, text)
    return body


class _QuietSite(Site):
    """A site without an access log: a busy client would fill it."""

    displayTracebacks = False
    noisy = False

    def log(self, request: http.Request) -> None:
        """Say nothing."""


class Simulator(MultiService):
    """Simulated venues on loopback.

    ``ports`` gives hosts (``binance-spot``, ``binance-perpetual``, ``bybit``) a fixed port; any other gets a free one.
    ``listen`` may be called before ``startService``; from then on ``hosts`` is filled: (exchange, market) to (WebSocket
    base URL, REST base URL). ``control_port`` is the number to listen on for ``control`` (0: a free one); the attribute
    holds the bound one once listening. ``record=True`` keeps the past of the books for ``truth``.
    Raises ``KeyError`` for a venue without a simulator, ``CannotListenError`` (from ``listen``) for a taken port.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        *,
        seed: int = 1,
        exchanges: Iterable[str] = EXCHANGES,
        interface: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
        control_port: int | None = None,
        record: bool = False,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._clock = clock
        self._interface = interface
        self._wanted_ports = dict(ports or {})
        self._control_port = control_port
        self._ports: list[IListeningPort] = []
        self._beat_call: IDelayedCall | None = None
        self.hosts: dict[tuple[str, MarketType], tuple[str, str]] = {}
        self.control_port: int | None = None
        self.ledger = Ledgers()
        # The market is a minute older than the simulator, so that there are recent trades from the start.
        economy = Economy(seed, clock.wall_ms() - MINUTE)
        self.markets = {
            (exchange, market): Market(exchange, market, economy, record=record)
            for exchange in exchanges
            for market in (SPOT, PERPETUAL)
        }
        self.venues: dict[str, Host] = {}
        for exchange in exchanges:
            self._add(exchange, seed)
        self.faults = Faults(reactor, list(self.venues.values()))
        self.truth = Truth(self.markets)

    def _add(self, exchange: str, seed: int) -> None:
        for name, rules, markets in HOSTS[exchange]:
            ledger = self.ledger.by_host[name] = Ledger(name, rules)
            rng = Random(f"{seed}:{name}")
            own = {market: self.markets[exchange, market] for market in markets}
            host: Host
            if exchange == "binance":
                host = RestBinanceHost(name, own[markets[0]], self._reactor, self._clock, ledger, rng)
            else:
                host = RestBybitHost(name, own, self._reactor, self._clock, ledger, rng)
            host.woken = self._wake
            self.venues[name] = host

    def listen(self) -> None:
        """Bind every port now; a second call does nothing."""
        if self._ports:
            return
        for name, host in self.venues.items():
            site = _QuietSite(VenueResource(host, self._reactor), timeout=60)
            port = self._listen(self._wanted_ports.get(name, 0), site)
            for market in host.markets:
                self.hosts[host.exchange, market] = (
                    f"ws://{self._interface}:{port}",
                    f"http://{self._interface}:{port}",
                )
        if self._control_port is not None:
            self.control_port = self._listen(self._control_port, control_site(self.faults, self.ledger))

    def _listen(self, number: int, site: Site) -> int:
        site.noisy = False
        port = self._reactor.listenTCP(number, site, interface=self._interface)
        self._ports.append(port)
        return int(port.getHost().port)

    def startService(self) -> None:
        super().startService()
        self.listen()
        self._wake()

    async def _closed(self, ports: list[IListeningPort]) -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)

    def stopService(self) -> Deferred[list[None]]:
        """A Deferred that fires when all ports are closed; connections are aborted."""
        self.faults.stop()
        if self._beat_call is not None:
            self._beat_call.cancel()
            self._beat_call = None
        for host in self.venues.values():
            for session in list(host.sessions):
                session.link.abort()
                host.closed(session)
        ports, self._ports = self._ports, []
        return gatherResults([Deferred.fromCoroutine(self._closed(ports)), super().stopService()])

    def _wake(self) -> None:
        if self._beat_call is None and self.running and any(host.streams for host in self.venues.values()):
            self._beat_call = self._reactor.callLater(BEAT / 1000, self._beat)

    def _beat(self) -> None:
        self._beat_call = None
        now = self._clock.wall_ms()
        try:
            for host in self.venues.values():
                host.beat(now)
        finally:
            self._wake()


HOSTS = {
    "binance": (("binance-spot", BINANCE_SPOT, (SPOT,)), ("binance-perpetual", BINANCE_USDM, (PERPETUAL,))),
    "bybit": (("bybit", BYBIT, (SPOT, PERPETUAL)),),
}

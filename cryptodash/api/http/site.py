"""The resource tree: ``/ws`` belongs to the WebSocket resource, everything else to REST;
what both need first is checked here."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote_to_bytes

from attrs import evolve
from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Site

from cryptodash.api.addresses import Addresses
from cryptodash.api.http.answers import Answer, error_answer, send_now
from cryptodash.api.http.drain import Connections
from cryptodash.api.http.guarded_request import GuardedRequest
from cryptodash.api.http.guards import Guard, GuardedChannel
from cryptodash.api.http.rest import Rest
from cryptodash.api.sockets import Sockets
from cryptodash.api.ws.factory import ClientFactory
from cryptodash.api.ws.upgrade import read_upgrade, valid_host
from cryptodash.core.config import Config
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock

FOR_OPERATORS: Final = frozenset(
    (b"/health", b"/ready", b"/metrics", b"/api/exchanges", b"/api/streams", b"/api/quality")
)
"""What a process that serves no clients (``ROLE=ingest``) answers none the less."""
METHODS: Final = (b"GET", b"HEAD", b"POST", b"OPTIONS")
DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_log = Logger(namespace="cryptodash.api.http")


class Front(Resource):
    """Checks that hold for every path, CORS, and the fork between ``/ws`` and REST."""

    isLeaf = True

    def __init__(self, rest: Rest, ws: IResource, config: Config, clock: Clock, tally: Tally) -> None:
        super().__init__()
        self._rest: Resource = rest.resource()
        self._routes = rest.routes
        self._ws = ws
        self._origins = frozenset(config.cors_origins)
        self._serves_clients = config.serves_clients
        self._clock = clock
        self._requests = tally.counter(
            "cryptodash_http_requests_total", "Requests answered, by route template.", "route", "method", "status"
        )
        self._seconds = tally.histogram(
            "cryptodash_http_request_duration_seconds",
            "From the whole request to the whole answer.",
            DURATIONS,
            "route",
        )
        self._rejected = tally.counter(
            "cryptodash_http_rejected_total", "Requests refused before any route saw them.", "reason"
        )

    def render(self, request: Request) -> int:
        """Never raises for what the request holds; the answer may come later."""
        self._count(request)
        self._allow_origin(request)
        refusal = self._refusal(request)
        if refusal is not None:
            send_now(request, refusal)
        elif request.method == b"OPTIONS":
            send_now(request, _preflight())
        elif request.path == b"/ws":
            self._upgrade(request)
        else:
            self._rest.render(request)
        return NOT_DONE_YET

    def reconfigure(self, config: Config) -> None:
        """The origins that may read, from now on."""
        self._origins = frozenset(config.cors_origins)

    def _refusal(self, request: Request) -> Answer | None:
        if request.method not in METHODS:
            self._rejected.add("method")
            return error_answer(
                "method_not_allowed",
                "only GET, HEAD, POST and OPTIONS are served",
                405,
                Allow=b", ".join(METHODS).decode(),
            )
        hosts = request.requestHeaders.getRawHeaders(b"host", [])
        if (
            len(hosts) > 1
            or (not hosts and request.clientproto == b"HTTP/1.1")
            or not all(valid_host(each) for each in hosts)
        ):
            self._rejected.add("host")
            return error_answer("bad_host", "exactly one valid Host header is needed", 400)
        fault = None if request.path == b"*" and request.method == b"OPTIONS" else _path_fault(request)
        if fault is not None:
            self._rejected.add("path")
        elif not self._serves_clients and request.path not in FOR_OPERATORS:
            self._rejected.add("role")
            return error_answer("no_clients", "this process serves no clients (ROLE=ingest): ask another one", 503)
        return fault

    def _upgrade(self, request: Request) -> None:
        if request.method != b"GET":
            send_now(request, error_answer("method_not_allowed", "/ws takes GET only", 405, Allow="GET, OPTIONS"))
        elif (
            request.clientproto != b"HTTP/1.1"
            or b"websocket" not in request.requestHeaders.getRawHeaders(b"upgrade", [b""])[0].lower()
        ):
            send_now(request, _upgrade_required("/ws speaks WebSocket only"))
        elif request.requestHeaders.getRawHeaders(b"sec-websocket-version") != [b"13"]:
            send_now(request, _upgrade_required("/ws speaks version 13 of the WebSocket protocol (RFC 6455)"))
        elif request.content is not None and request.content.read(1):
            send_now(request, error_answer("bad_request", "an upgrade has no body", 400))
        else:
            if isinstance(request.channel, GuardedChannel):
                request.channel.handed_over()
            self._ws.render(request)

    def _allow_origin(self, request: Request) -> None:
        origin = request.getHeader("origin")
        if "*" in self._origins:
            request.setHeader("Access-Control-Allow-Origin", "*")
        else:
            request.setHeader("Vary", "Origin")
            if origin is None or origin not in self._origins:
                return
            request.setHeader("Access-Control-Allow-Origin", origin)
        request.setHeader("Access-Control-Expose-Headers", "ETag, Retry-After")

    def _count(self, request: Request) -> None:
        began = self._clock.monotonic()
        route = self._routes.template(request.path)

        def ended(result: object) -> None:
            status = "499" if isinstance(result, Failure) else str(request.code)
            method = request.method.decode() if request.method in METHODS else "other"
            self._requests.add(route, method, status)
            self._seconds.at(route).observe(self._clock.monotonic() - began)

        request.notifyFinish().addBoth(ended)


def _upgrade_required(message: str) -> Answer:
    return error_answer(
        "upgrade_required", message, 426, Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13"
    )


def _preflight() -> Answer:
    headers = {
        "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Allow-Headers": "Content-Type, Authorization, If-None-Match",
        "Access-Control-Max-Age": "600",
    }
    return Answer(b"", 204, headers=headers)


def _path_fault(request: Request) -> Answer | None:
    """Paths that no route can mean: 400 for what is not text, 404 for what would climb."""
    if request.path.startswith(b"//"):
        return error_answer("not_found", "no such path", 404)
    if not request.path.startswith(b"/"):
        return error_answer("bad_path", "the path must begin with '/'", 400)
    for segment in map(unquote_to_bytes, request.path.split(b"/")):
        try:
            text = segment.decode()
        except UnicodeDecodeError:
            return error_answer("bad_path", "the path is not UTF-8", 400)
        if not text.isprintable():
            return error_answer("bad_path", "the path holds control characters", 400)
        if text in (".", "..") or "/" in text or "\\" in text:
            return error_answer("not_found", "no such path", 404)
    return None


class GuardedSite(Site):
    """The HTTP factory; only HTTP/1.1, because a WebSocket cannot be handed over from HTTP/2 and its
    limits would be others."""

    # Any: Twisted annotates nothing here, so that the type of its default would hold, a function that makes a private
    # class's object. What it asks of it is to be called and to give an HTTPChannel.
    protocol: Any = GuardedChannel
    noisy = False

    def __init__(
        self,
        resource: IResource,
        guard: Guard,
        sockets: Sockets,
        reactor: IReactorTime,
        clients: ClientFactory | None = None,
        *,
        keep_alive_s: float,
    ) -> None:
        super().__init__(
            resource,
            requestFactory=GuardedRequest,
            timeout=keep_alive_s,
            reactor=reactor,
            parsePOSTFormSubmission=False,
        )
        self.guard = guard
        self.connections = Connections(reactor)
        self.sockets = sockets
        self._clients = clients

    def reconfigure(self, config: Config) -> None:
        """Origins and limits that new requests and connections go by from now on."""
        limits = config.limits
        self.guard = evolve(
            self.guard, request_deadline_s=limits.request_deadline_s, max_body_bytes=limits.max_body_bytes
        )
        self.timeOut = limits.keep_alive_s
        if isinstance(self.resource, Front):
            self.resource.reconfigure(config)
        if self._clients is not None:
            self._clients.reconfigure()

    def upgraded(self, channel: GuardedChannel, data: bytes) -> bool:
        """Whether the first bytes of a connection are an upgrade request with nothing unusual about it: then it is
        granted, the channel is done.

        Through the resource tree and Autobahn's own reading it takes 150 us more.
        """
        request = None if self._clients is None else read_upgrade(data)
        if request is None or self._clients is None or not self._clients.grants(request):
            return False
        protocol = self._clients.buildProtocol(None)
        channel.hand_over(protocol)
        protocol.grant(request)
        return True

    def startFactory(self) -> None:
        """No access log file, so no clock for its lines."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: Request) -> None:
        """Method, path and status only: a query can carry a token."""
        method, path = (each[:200].decode(errors="replace") for each in (request.method, request.path))
        _log.debug("{method} {path} {status}", method=method, path=path, status=request.code)

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


def make_site(
    rest: Rest,
    ws: IResource | ClientFactory,
    config: Config,
    clock: Clock,
    scheduler: IReactorTime,
    tally: Tally,
) -> GuardedSite:
    """The site that serves everything: ``/ws`` by the given factory (or any resource), the rest by Klein."""
    clients = ws if isinstance(ws, ClientFactory) else None
    front = Front(rest, WebSocketResource(ws) if isinstance(ws, ClientFactory) else ws, config, clock, tally)
    rejected = tally.counter("cryptodash_http_rejected_total", "Requests refused before any route saw them.", "reason")
    guard = Guard(config.limits.request_deadline_s, config.limits.max_body_bytes, rejected)
    limits = config.limits
    sockets = clients.clients.sockets if clients is not None else _sockets(config, tally)
    upgrades = clients if config.serves_clients else None
    return GuardedSite(front, guard, sockets, scheduler, upgrades, keep_alive_s=limits.keep_alive_s)


def _sockets(config: Config, tally: Tally) -> Sockets:
    limits = config.limits
    charged_to = Addresses(config.trusted_proxies).charged_to
    return Sockets(charged_to, limits.max_connections, limits.max_connections_per_ip, tally)

"""How connections to a venue are opened: directly or through an HTTP proxy's CONNECT, with verified TLS above, for
WebSocket and REST alike.

Twisted's ``ProxyAgent`` knows no CONNECT and Autobahn's own proxy support takes no TLS options,
hence one endpoint for both.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from cryptodash.core.errors import ConfigError, CryptodashError
from cryptodash.core.proxies import PROXY_FORMS, NoProxy, Proxy, parse_proxy
from cryptodash.exchanges.transport.whole_reads import TLSEndpoint

CONNECT_TIMEOUT = 10.0
"""Seconds for one TCP connection, and for the proxy's answer."""

MAX_HEADER = 16 * 1024


class ProxyRefused(CryptodashError):
    """The proxy did not open the tunnel; the text says why, with its HTTP status if its answer had one."""


@implementer(IAgentEndpointFactory)
class Dialer:
    """Makes the endpoints of one server: ``https_proxy`` (empty: direct) carries TLS connections only,
    a plain one is always direct, and so is one to a host that ``no_proxy`` covers, or to loopback.

    ``trust_root`` replaces the machine's certificate authorities.
    Raises ``ConfigError`` for a proxy URL that cannot be one.
    """

    def __init__(self, reactor: Any, https_proxy: str = "", trust_root: Any = None, *, no_proxy: str = "") -> None:
        self._reactor = reactor
        self._trust_root = trust_root
        self._tls_options: dict[str, Any] = {}  # by host: making one loads the machine's authorities
        self._proxy = _proxy(https_proxy) if https_proxy else None
        self._no_proxy = NoProxy(no_proxy)

    def endpoint(self, host: str, port: int, secure: bool) -> IStreamClientEndpoint:
        """The endpoint of ``host``; with ``secure`` the certificate must be valid for that very name."""
        if not secure:
            return self._direct(host, port)
        if self._proxy is None or self._no_proxy.covers(host, port):
            return self._wrapped(host, self._direct(host, port))
        return self._wrapped(host, self._tunnel(self._proxy, host, port))

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The endpoint of an ``http`` or ``https`` URL, for ``Agent``."""
        return self.endpoint(uri.host.decode("ascii").strip("[]"), uri.port, uri.scheme == b"https")

    def _direct(self, host: str, port: int) -> IStreamClientEndpoint:
        return HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_TIMEOUT)

    def _tunnel(self, proxy: Proxy, host: str, port: int) -> IStreamClientEndpoint:
        way = self._direct(proxy.host, proxy.port)
        if proxy.secure:
            way = self._wrapped(proxy.host, way)
        return ConnectEndpoint(way, host, port, self._reactor, authorization=_authorization(proxy))

    def _wrapped(self, host: str, raw: IStreamClientEndpoint) -> IStreamClientEndpoint:
        options = self._tls_options.get(host)
        if options is None:
            options = self._tls_options[host] = optionsForClientTLS(host, trustRoot=self._trust_root)
        return TLSEndpoint(options, raw, self._reactor)


def _proxy(text: str) -> Proxy:
    try:
        return parse_proxy(text)
    except ValueError:
        raise ConfigError(f"HTTPS_PROXY must be {PROXY_FORMS}") from None


def _authorization(proxy: Proxy) -> bytes:
    """What the proxy wants to see of who asks; empty where no user is named."""
    if proxy.user is None:
        return b""
    return b"Basic " + b64encode(f"{proxy.user}:{proxy.password}".encode())


@implementer(IStreamClientEndpoint)
class ConnectEndpoint:
    """An endpoint that asks the HTTP proxy behind ``way`` for a connection to ``host:port`` and
    hands on the raw bytes of it.

    Connecting fails with ``ProxyRefused``, or with what ``way`` fails with.
    """

    def __init__(
        self, way: IStreamClientEndpoint, host: str, port: int, reactor: Any, *, authorization: bytes = b""
    ) -> None:
        self._way = way
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._reactor = reactor
        self._authorization = authorization

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """A Deferred of the protocol once the tunnel stands; cancelling it drops the connection."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, protocolFactory: IProtocolFactory) -> IProtocol:
        tunnel = await self._way.connect(Factory.forProtocol(lambda: _Tunnel(self._request(), protocolFactory)))
        assert isinstance(tunnel, _Tunnel)
        tunnel.established.addTimeout(CONNECT_TIMEOUT, self._reactor, onTimeoutCancel=_too_slow)
        return await tunnel.established

    def _request(self) -> bytes:
        lines = [f"CONNECT {self._target} HTTP/1.1".encode(), f"Host: {self._target}".encode()]
        if self._authorization:
            lines.append(b"Proxy-Authorization: " + self._authorization)
        return b"\r\n".join([*lines, b"", b""])


def _too_slow(reason: Any, timeout: float) -> Any:
    if isinstance(reason, Failure) and reason.check(CancelledError):
        return Failure(ProxyRefused(f"the proxy did not answer within {timeout:.0f} s"))
    return reason


class _Tunnel(Protocol):
    """Speaks CONNECT, then is only the wire between the transport and the protocol above it."""

    def __init__(self, request: bytes, protocolFactory: IProtocolFactory) -> None:
        self._request = request
        self._protocolFactory = protocolFactory
        self._answer = b""
        self._above: IProtocol | None = None
        self.established: Deferred[IProtocol] = Deferred(lambda _: self._drop())

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        if self._above is not None:
            self._above.dataReceived(data)
        elif not self.established.called:
            self._answered(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._above is not None:
            self._above.connectionLost(reason)
        elif not self.established.called:
            self.established.errback(ProxyRefused("the proxy closed the connection without an answer"))

    def _answered(self, data: bytes) -> None:
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if not end:
            if len(self._answer) > MAX_HEADER:
                self._refuse(ProxyRefused("the proxy's answer is longer than 16 KiB"))
            return
        self._answer = b""
        refusal = _refusal(head)
        if refusal is not None:
            self._refuse(refusal)
        else:
            self._hand_over(rest)

    def _hand_over(self, rest: bytes) -> None:
        assert self.transport is not None
        above = self._protocolFactory.buildProtocol(_address(self.transport))
        if above is None:
            self._refuse(ProxyRefused("the connection is no longer wanted"))
            return
        self._above = above
        above.makeConnection(self.transport)
        if rest:
            above.dataReceived(rest)
        self.established.callback(above)

    def _refuse(self, error: ProxyRefused) -> None:
        self._drop()
        self.established.errback(error)

    def _drop(self) -> None:
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()


def _address(transport: Any) -> IAddress:
    address: IAddress = transport.getPeer()
    return address


def _refusal(head: bytes) -> ProxyRefused | None:
    """None for any 2xx answer, else what to tell the operator."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal() or len(words[1]) != 3:
        return ProxyRefused("the proxy does not answer in HTTP")
    status = int(words[1])
    if 200 <= status < 300:
        return None
    if status == 407:
        return ProxyRefused("the proxy wants other credentials (407)")
    phrase = words[2][:80] if len(words) > 2 else ""
    if status in (502, 503, 504):
        return ProxyRefused(f"the proxy cannot reach the venue ({status} {phrase})".replace(" )", ")"))
    return ProxyRefused(f"the proxy refused the connection ({status} {phrase})".replace(" )", ")"))


def failure_kind(error: BaseException) -> str:
    """Where a connection failed, as ``commands.Closed.kind`` names it: ``dns``, ``tls``,
    or ``tcp`` for everything else."""
    for each in _causes(error):
        if isinstance(each, DNSLookupError):
            return "dns"
        if isinstance(each, SSL.Error | VerificationError):
            return "tls"
    return "tcp"


def failure_text(error: BaseException) -> str:
    """One short line for a person."""
    causes = _causes(error)
    telling = [each for each in causes if not isinstance(each, ConnectionDone | ConnectionLost)] or causes
    return f"{type(telling[-1]).__name__}: {telling[-1]}"[:200]


def was_cancelled(error: BaseException) -> bool:
    """Whether the failure is only that we gave up ourselves."""
    return any(isinstance(each, CancelledError | ConnectingCancelledError) for each in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """The error and, where Twisted's web client wrapped them, the failures inside it."""
    found = [error]
    for reason in getattr(error, "reasons", None) or ():
        if isinstance(reason, Failure) and reason.value is not None:
            found.extend(_causes(reason.value))
    return found

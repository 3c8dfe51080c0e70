"""The listening address: what a ``BIND_ADDR`` means, and the service that takes it before anything else starts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.api.http.site import GuardedSite
from cryptodash.certificates import Certificate
from cryptodash.core.errors import ConfigError
from cryptodash.tls import TlsEndpoint, over, ssl_endpoint
from cryptodash.tls_files import CertificateFiles

_log = Logger(namespace="cryptodash.service")

BACKLOG = 1024
"""Connections that the kernel keeps until we take them. When a server restarts, its clients all come back within a
second; those beyond Twisted's 50 at once would try again a second later."""


def endpoint_of(reactor: Any, text: str, files: CertificateFiles | None = None) -> IStreamServerEndpoint:
    """Where a ``BIND_ADDR`` listens, with TLS by these ``files`` where it names none itself. Reads the certificates;
    raises ``ConfigError``."""
    if text.startswith(("tcp:", "tcp6:", "ssl:", "unix:", "haproxy:tcp:")) and ":backlog=" not in text:
        text += f":backlog={BACKLOG}"
    setting = "BIND_ADDR (ssl: from TLS_CERT and TLS_KEY)" if text.startswith("ssl:") else "BIND_ADDR"
    try:
        if text.startswith("ssl:"):
            return ssl_endpoint(reactor, text)
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
        setting = "TLS_CERT and TLS_KEY with BIND_ADDR"
        return endpoint if files is None else over(endpoint, files)
    except Exception as error:  # a malformed endpoint string raises whatever its parser raises
        raise ConfigError(f"{setting} {text!r} cannot be used: {error}") from None


class Web(Service):
    """The listening address: taken before anything else starts, given back once the clients have gone."""

    name = "web"

    def __init__(
        self,
        endpoint: str,
        site: GuardedSite,
        reactor: Any,
        bind_failed: Callable[[str], NoReturn] | None,
        files: CertificateFiles | None = None,
    ) -> None:
        self.port: IListeningPort | None = None
        self.certificate: Certificate | None = None
        """What it speaks TLS with, if it does."""
        self._files = files
        self.connections = site.connections
        self._endpoint = endpoint
        self._site = site
        self._reactor = reactor
        self._bind_failed = bind_failed

    def privilegedStartService(self) -> None:
        """Bind now, perhaps as root; a failure is one line and the end, not a server without its port."""
        super().privilegedStartService()
        try:
            endpoint = endpoint_of(self._reactor, self._endpoint, self._files)
            if isinstance(endpoint, TlsEndpoint):
                self.certificate = endpoint.certificate
            listening = endpoint.listen(self._site)
        except ConfigError as error:
            self._failed(str(error))
        # Every endpoint we allow binds at once. Looked at here and not in a callback:
        # a Deferred would swallow the exit.
        outcome: list[IListeningPort | Failure] = []
        listening.addBoth(outcome.append)
        if not outcome or isinstance(outcome[0], Failure):
            self._failed(
                f"cannot listen on {_spoken(self._endpoint)}: "
                f"{_reason(outcome[0]) if outcome else 'it does not bind at once'}"
            )
        self.port = outcome[0]
        _log.info("listening on {address}", address=address_of(self.port))

    def _failed(self, message: str) -> NoReturn:
        _log.critical("{message}", message=message)
        if self._bind_failed is not None:
            self._bind_failed(message)
        raise SystemExit(message)

    async def stop_listening(self) -> None:
        if self.port is not None:
            port, self.port = self.port, None
            await maybeDeferred(port.stopListening)


def address_of(port: IListeningPort) -> str:
    """``127.0.0.1:8080``, or what else the kind of socket has for a name."""
    address: Any = port.getHost()
    if hasattr(address, "port"):
        return f"{address.host}:{address.port}"
    return os.fsdecode(address.name) if getattr(address, "name", None) else str(address)


def is_public(port: IListeningPort) -> bool:
    """Whether others than programs of this machine can reach it, as far as its own address tells."""
    host = getattr(port.getHost(), "host", None)
    return isinstance(host, str) and not ip_address(host.partition("%")[0]).is_loopback


def _spoken(endpoint: str) -> str:
    """``127.0.0.1:8080`` again for the commonest endpoint: twistd's parent process shows a hundred
    characters of an error."""
    return re.sub(r"\Atcp:([0-9]+):interface=([0-9.]+)\Z", r"\2:\1", endpoint)


def _reason(outcome: object) -> str:
    value = getattr(outcome, "value", outcome)
    error = getattr(value, "socketError", value)
    return str(getattr(error, "strerror", None) or error)

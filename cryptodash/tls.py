"""Listening with TLS: ``ssl:`` endpoint strings, with the whole chain of the certificate's file, TLS 1.2 or newer, and
authenticated encryption only.

Twisted's own reading of such a string takes the first certificate of ``certKey`` and leaves the others out. A client
that does not have the intermediate ones, and few do, then cannot verify the server. Its own suites for TLS 1.2 include
those in CBC mode and those without forward secrecy. And what it has read it keeps until the process ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from cryptodash.certificates import Certificate
from cryptodash.tls_files import CertificateFiles


@implementer(IStreamServerEndpoint)
class TlsEndpoint:
    """Where TLS is spoken, and with which certificate."""

    def __init__(self, certificate: Certificate, listen: Callable[[Any], Any]) -> None:
        self.certificate = certificate
        self.listen = listen


def over(below: IStreamServerEndpoint, files: CertificateFiles) -> TlsEndpoint:
    """TLS on an endpoint that speaks none: a socket that systemd passes on. Raises whatever is wrong with the files."""
    certificate = Certificate(files)
    return TlsEndpoint(certificate, lambda factory: below.listen(TLSMemoryBIOFactory(certificate, False, factory)))


def ssl_endpoint(reactor: Any, text: str) -> TlsEndpoint:
    """Where an endpoint string ``ssl:port:certKey=file:privateKey=file...`` listens, in all else as Twisted reads it.

    ``certKey`` is a PEM file with the server's certificate first and then the intermediate ones, ``extraCertChain``
    one with more of these. Raises whatever is wrong with the text or the files.
    """
    words, named = _arguments(text.removeprefix("ssl:"))
    return _endpoint(reactor, *words, **named)


def _arguments(text: str) -> tuple[list[str], dict[str, str]]:
    """The words between colons, and those of them that are ``name=value``; a backslash takes the next character as
    it is."""
    words, named = [], {}
    for part in re.findall(r"((?:\\.|[^:\\])*)(?::|\Z)", text, re.DOTALL)[:-1] if text else []:
        found = re.match(r"(?:(\w+)=)?(.*)", part, re.DOTALL)
        assert found is not None, "the pattern matches any text"
        name, value = found.groups()
        value = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        if name is None:
            words.append(value)
        else:
            named[name] = value
    return words, named


def _endpoint(
    reactor: Any,
    port: str,
    privateKey: str = "server.pem",
    certKey: str = "",
    sslmethod: str = "",
    interface: str = "",
    backlog: str = "50",
    extraCertChain: str = "",
    dhParameters: str = "",
) -> TlsEndpoint:
    """Names and order of the parameters are Twisted's, as an endpoint string may give them."""
    files = CertificateFiles(certKey or privateKey, privateKey, extraCertChain, sslmethod, dhParameters)
    certificate = Certificate(files)
    listening = SSL4ServerEndpoint(reactor, int(port), certificate, int(backlog), interface)
    return TlsEndpoint(certificate, listening.listen)

"""Listening with TLS: ``ssl:`` endpoint strings, with the whole chain of the certificate's file, TLS 1.2 or newer, and
authenticated encryption only.

Twisted's own reading of such a string takes the first certificate of ``certKey`` and leaves the others out. A client
that does not have the intermediate ones, and few do, then cannot verify the server. Its own suites for TLS 1.2 include
those in CBC mode and those without forward secrecy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.ssl import (
    AcceptableCiphers,
    Certificate,
    CertificateOptions,
    DiffieHellmanParameters,
    PrivateCertificate,
    TLSVersion,
)
from twisted.python.filepath import FilePath

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!DSS"
"""Suites of TLS 1.2: AEAD with forward secrecy (RFC 9325, section 4.2). TLS 1.3 has no others."""
_OR_NEWER: Final[Mapping[str, Any]] = {"raiseMinimumTo": TLSVersion.TLSv1_2}
_METHODS: Final[Mapping[str, Mapping[str, Any]]] = {
    "": _OR_NEWER,
    "TLS_METHOD": _OR_NEWER,
    "TLS_SERVER_METHOD": _OR_NEWER,
    "SSLv23_METHOD": _OR_NEWER,
    "TLSv1_2_METHOD": {"insecurelyLowerMinimumTo": TLSVersion.TLSv1_2, "lowerMaximumSecurityTo": TLSVersion.TLSv1_2},
}
"""The versions that each ``sslmethod`` means; those below TLS 1.2 are refused."""

_certificates = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL).findall


def ssl_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
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
) -> IStreamServerEndpoint:
    """Names and order of the parameters are Twisted's, as an endpoint string may give them."""
    pem = Path(certKey or privateKey).read_bytes()
    own, *chain = _certificates(pem) or [pem]  # without any, what reads it says so
    if extraCertChain:
        chain += _certificates(Path(extraCertChain).read_bytes())
    leaf = PrivateCertificate.loadPEM(own + b"\n" + Path(privateKey).read_bytes())
    if sslmethod not in _METHODS:
        raise ValueError(f"sslmethod {sslmethod!r} is none of {', '.join(filter(None, _METHODS))}")
    options: dict[str, Any] = dict(_METHODS[sslmethod])
    if dhParameters:
        options["dhParameters"] = DiffieHellmanParameters.fromFile(FilePath(dhParameters))
    context = CertificateOptions(  # as objects of cryptography: pyOpenSSL no longer wants its own
        privateKey=leaf.privateKey.original.to_cryptography_key(),
        certificate=leaf.original.to_cryptography(),
        extraCertChain=[Certificate.loadPEM(each).original.to_cryptography() for each in chain],
        acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
        **options,
    )
    return SSL4ServerEndpoint(reactor, int(port), context, int(backlog), interface)

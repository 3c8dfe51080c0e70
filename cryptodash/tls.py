"""Listening with TLS: ``ssl:`` endpoint strings, with the whole chain of the certificate's file.

Twisted's own reading of such a string takes the first certificate of ``certKey`` and leaves the others out. A client
that does not have the intermediate ones, and few do, then cannot verify the server.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.ssl import Certificate, CertificateOptions, DiffieHellmanParameters, PrivateCertificate
from twisted.python.filepath import FilePath

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
        name, value = re.fullmatch(r"(?:(\w+)=)?(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
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
    options: dict[str, Any] = {"method": getattr(SSL, sslmethod)} if sslmethod else {}
    if dhParameters:
        options["dhParameters"] = DiffieHellmanParameters.fromFile(FilePath(dhParameters))
    context = CertificateOptions(  # as objects of cryptography: pyOpenSSL no longer wants its own
        privateKey=leaf.privateKey.original.to_cryptography_key(),
        certificate=leaf.original.to_cryptography(),
        extraCertChain=[Certificate.loadPEM(each).original.to_cryptography() for each in chain],
        **options,
    )
    return SSL4ServerEndpoint(reactor, int(port), context, int(backlog), interface)

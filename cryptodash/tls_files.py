"""The files of a server's certificate: what is in them, and whether TLS can be spoken with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from cryptography import x509
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
MAX_BYTES: Final = 2**20
"""A chain has some kilobytes; what is larger is another file."""
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


@frozen
class Loaded:
    """What can be spoken with. Times are seconds since 1970, of all certificates that are sent: the server's own and
    the intermediate ones; they are valid together from the latest beginning to the earliest end."""

    options: CertificateOptions
    name: str
    """Whose certificate it is: its first DNS name, or its subject."""
    not_before: float
    not_after: float
    digest: bytes
    """Of the files' content."""

    def is_valid(self, now: float) -> bool:
        return self.not_before <= now < self.not_after


@frozen
class CertificateFiles:
    """Where the certificate is; names of the parts are those of an endpoint string.

    ``certificate`` is a PEM file with the server's own first and then the intermediate ones, ``chain`` one with more of
    these.
    """

    certificate: str
    key: str
    chain: str = ""
    method: str = ""
    dh_parameters: str = ""

    def stamps(self) -> tuple[object, ...]:
        """What is different once a file has been written or replaced. Never raises."""
        return tuple(map(_stamp, self._paths()))

    def read(self) -> tuple[bytes, ...]:
        """What the files hold. Raises ``OSError``, and ``ValueError`` for what is much too large."""
        return tuple(map(_content, self._paths()))

    def load(self, contents: tuple[bytes, ...] | None = None) -> Loaded:
        """Raises whatever is wrong with the files, a key of another certificate included."""
        contents = self.read() if contents is None else contents
        pem, key, *more = contents
        own, *chain = _certificates(pem) or [pem]  # without any, what reads it says so
        if self.chain:
            chain += _certificates(more[0])
        if self.method not in _METHODS:
            raise ValueError(f"sslmethod {self.method!r} is none of {', '.join(filter(None, _METHODS))}")
        leaf = PrivateCertificate.loadPEM(own + b"\n" + key)
        options: dict[str, Any] = dict(_METHODS[self.method])
        if self.dh_parameters:
            options["dhParameters"] = DiffieHellmanParameters.fromFile(FilePath(self.dh_parameters))
        sent = [each.original.to_cryptography() for each in (leaf, *map(Certificate.loadPEM, chain))]
        made = CertificateOptions(  # as objects of cryptography: pyOpenSSL no longer wants its own
            privateKey=leaf.privateKey.original.to_cryptography_key(),
            certificate=sent[0],
            extraCertChain=sent[1:],
            acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
            **options,
        )
        made.getContext()  # whatever OpenSSL has against it, it says now and not to the first client
        return Loaded(
            made,
            _name(sent[0]),
            max(each.not_valid_before_utc.timestamp() for each in sent),
            min(each.not_valid_after_utc.timestamp() for each in sent),
            digest_of(contents),
        )

    def _paths(self) -> list[Path]:
        return [Path(each) for each in (self.certificate, self.key, self.chain, self.dh_parameters) if each]


def digest_of(contents: tuple[bytes, ...]) -> bytes:
    """The same for the same files."""
    return sha256(b"".join(sha256(each).digest() for each in contents)).digest()


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    # Whoever keeps size and time of change on purpose still changes the inode, or the time of its change.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} has more than {MAX_BYTES} bytes")
    return content


def _name(certificate: x509.Certificate) -> str:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(each) for each in named.get_values_for_type(x509.DNSName)]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    return (names[0] if names else certificate.subject.rfc4514_string())[:200]

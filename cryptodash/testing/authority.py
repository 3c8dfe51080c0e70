"""A certificate authority of one's own, for tests of TLS that must refuse and accept for the right reasons."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates

_DAY = timedelta(days=1)


class Authority:
    """Issues server certificates; a client that trusts ``trust_root`` trusts them and nothing else."""

    def __init__(self, issuer: Authority | None = None) -> None:
        """Below ``issuer`` it is an intermediate one, without it a root."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{'middle' if issuer else 'root'} of a test")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = (issuer or self)._sign(self._name, self._key, [constraints], days=1)
        self.trust_root: Any = trustRootFromCertificates([Certificate(X509.from_cryptography(certificate))])
        self.pem = certificate.public_bytes(Encoding.PEM).decode()
        """Its own certificate."""

    def options(self, host: str, *, days: int = 1) -> Any:
        """What a TLS server that claims to be ``host`` needs; a negative number of ``days`` makes
        an expired certificate."""
        certificate, key = self._issue(host, days)
        return CertificateOptions(privateKey=key, certificate=certificate)

    def files(self, host: str, *, days: int = 1) -> tuple[str, str]:
        """Certificate and private key of ``host`` as they stand in files (PEM)."""
        certificate, key = self._issue(host, days)
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return certificate.public_bytes(Encoding.PEM).decode(), plain

    def _issue(self, host: str, days: int) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        return self._sign(name, key, [x509.SubjectAlternativeName([x509.DNSName(host)])], days=days), key

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: list[Any], *, days: int
    ) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * _DAY)
            .not_valid_after(now + days * _DAY)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, SHA256())

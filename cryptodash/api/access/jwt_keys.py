"""JSON Web Tokens: the keys of ``AUTH_JWT_KEYS``, and what a token signed by one of them allows.

    KIND:VALUE[,KIND:VALUE]      KIND is HS256 or EdDSA; two at a time, so that keys can be changed
    HS256:<secret>               base64url, 32 bytes or more (RFC 7518, section 3.2)
    EdDSA:<public key>           Ed25519, base64url of its 32 bytes
    KIND:@PATH                   the value is in this file; of EdDSA also a PEM file

The algorithm is that of the key's kind, whatever the token says of itself (RFC 8725, section 3.1). Claims: ``exp`` is
required; ``scope`` holds the same words as the tokens file; ``nbf`` is kept to; ``sub`` is the name in our log;
``aud``, where it is there, must name ``cryptodash``: a token for somebody else is none for us.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from math import isfinite
from typing import Any, Final

from attrs import evolve, field, frozen

from cryptodash.api.access.grant import Grant
from cryptodash.api.access.scopes import read_scopes
from cryptodash.core.errors import ConfigError

LEEWAY_S: Final = 10
"""Seconds by which the issuer's clock and ours may differ: more than machines that ask a time server are apart, and
little beside the minutes that a token lives. ``exp`` counts so much later, ``nbf`` so much earlier."""
AUDIENCE: Final = "cryptodash"
MOST_KEYS: Final = 2
LEAST_SECRET: Final = 32
_LATEST_S: Final = 253_402_300_799
"""The end of the year 9999."""
_ALLOWED: Final = "allowed are one or two of HS256:<base64url of 32 bytes or more>, EdDSA:<public key>, KIND:@FILE"
_UNCHECKED: Final[Any] = {
    "verify_signature": False,
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub"), False),
    "verify_jti": False,
}
"""The claims are judged by us, by our clock, and the signature by itself."""

Read = Callable[[str], bytes]
"""The bytes of a file, by its path. Raises ``OSError``."""


@frozen
class JwtKey:
    """One key: ``proof`` tells it from others without telling it."""

    algorithm: str
    key: Any = field(repr=False)
    proof: bytes = field(repr=False)


def read_keys(text: str, read: Read) -> tuple[JwtKey, ...]:
    """The keys of the setting. Raises ``ConfigError`` that never shows a key."""
    if find_spec("jwt") is None:
        raise ConfigError("AUTH_JWT_KEYS needs PyJWT: pip install cryptodash[jwt]")
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not 1 <= len(parts) <= MOST_KEYS:
        raise ConfigError(f"AUTH_JWT_KEYS: {len(parts)} keys; {_ALLOWED}")
    return tuple(_read_key(number, part, read) for number, part in enumerate(parts, 1))


def _read_key(number: int, part: str, read: Read) -> JwtKey:
    kind, _, text = part.partition(":")
    origin = f"AUTH_JWT_KEYS: key {number}"
    data = text.encode()
    if text.startswith("@"):
        try:
            data = read(text[1:]).strip()
        except OSError as error:
            raise ConfigError(f"{origin}: {text[1:200]} cannot be read ({error.strerror or error})") from None
    if kind == "HS256":
        secret = _decoded(data)
        if secret is None or len(secret) < LEAST_SECRET:
            raise ConfigError(f"{origin} is not the base64url of {LEAST_SECRET} bytes or more; {_ALLOWED}")
        return JwtKey(kind, secret, sha256(b"HS256" + secret).digest())
    if kind == "EdDSA":
        return _public_key(origin, data)
    raise ConfigError(f"{origin} is of no kind that we know; {_ALLOWED}")


def _public_key(origin: str, data: bytes) -> JwtKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    raw = _decoded(data)
    try:
        key = load_pem_public_key(data) if data.startswith(b"-----") else Ed25519PublicKey.from_public_bytes(raw or b"")
    except Exception:  # whatever its parser raises; its words may show the file
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{origin} is not an Ed25519 public key (32 bytes in base64url, or a PEM file); {_ALLOWED}")
    return JwtKey("EdDSA", key, sha256(b"EdDSA" + key.public_bytes_raw()).digest())


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def looks_signed(token: str) -> bool:
    """Whether it can be a JSON Web Token in its compact form (RFC 7519, section 3)."""
    return token.count(".") == 2


class Expired(Exception):
    """The token was good once, and is so no more, or not yet."""


def read_signed(keys: Sequence[JwtKey], token: str, now_ms: int) -> Grant | None:
    """What a token allows that one of the keys has signed; None for any other. Raises ``Expired``.

    The same is done for a right one and a wrong one: its claims are read, then every key is tried.
    """
    import jwt

    signatures = jwt.PyJWS()
    try:
        begins, made = _claimed(jwt.decode(token, options=_UNCHECKED))
        signer: JwtKey | None = None
        for key in keys:
            try:
                signatures.decode(token, key.key, algorithms=[key.algorithm])
                signer = key
            except jwt.InvalidTokenError:
                continue
    except Exception:  # nothing that a stranger sends may be a fault of ours
        return None
    if signer is None or made is None or made.until_ms is None:
        return None
    if not begins <= now_ms < made.until_ms:
        raise Expired
    return evolve(made, proof=signer.proof)


def _claimed(claims: Mapping[str, Any]) -> tuple[float, Grant | None]:
    """From when on (ms) what is claimed to be allowed; None where something about it is wrong."""
    ends, begins = _seconds(claims.get("exp")), _seconds(claims.get("nbf", 0))
    scope, audience, subject = claims.get("scope"), claims.get("aud", AUDIENCE), claims.get("sub", "")
    if ends is None or begins is None or not isinstance(scope, str):
        return 0.0, None
    if audience != AUDIENCE and not (isinstance(audience, list) and AUDIENCE in audience):
        return 0.0, None
    try:
        grant = read_scopes(scope.split())
    except ValueError:
        return 0.0, None
    name = subject[:60] if isinstance(subject, str) and subject.isprintable() else ""
    until_ms = int((ends + LEEWAY_S) * 1000)
    return (begins - LEEWAY_S) * 1000, evolve(grant, name=name, until_ms=until_ms)


def _seconds(value: object) -> float | None:
    """A NumericDate (RFC 7519, section 2)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) and 0 <= value <= _LATEST_S else None

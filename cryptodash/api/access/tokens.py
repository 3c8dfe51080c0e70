"""Tokens by their hashes: the file that lists them, and how one is found.

    # a comment; blank lines are passed over
    name:sha256hex:scope scope ...

A token is at least 256 random bits, so that its plain SHA-256 tells nothing of it. What is presented is hashed first,
and looked for by that hash: where a search ends tells of a hash that nobody can steer, never how near a token was.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from random import Random
from typing import Final

from attrs import evolve

from cryptodash.api.access.grant import NOTHING, Grant
from cryptodash.api.access.scopes import read_scopes
from cryptodash.core.errors import ConfigError

MAX_TOKEN: Final = 2048
"""Characters of a token, of whatever kind; a longer one is not even hashed."""
MAX_FILE: Final = 4 * 2**20
MOST: Final = 10_000
TOKEN_BYTES: Final = 32
PREFIX: Final = "cdt_"
"""Of the tokens that we make: programs that look for lost secrets know them by it, and none is taken for an option."""

_name = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII).fullmatch
_hex = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII).fullmatch
_NOBODY: Final = evolve(NOTHING, proof=bytes(32))


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode(errors="surrogatepass")).digest()


def find(tokens: Mapping[bytes, Grant], digest: bytes) -> Grant | None:
    """The grant of the token with this hash."""
    found = tokens.get(digest, _NOBODY)
    is_same = compare_digest(found.proof, digest)
    return found if is_same and found is not _NOBODY else None


def read_tokens(data: bytes, origin: str) -> dict[bytes, Grant]:
    """The grants of a file's tokens by their hashes; ``origin`` is what errors call it. Raises ``ConfigError`` that
    names the line and says what is wrong with it, without a word of what stands there."""
    if len(data) > MAX_FILE:
        raise ConfigError(f"{origin}: it is larger than {MAX_FILE} bytes")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{origin}: it is not UTF-8") from None
    found: dict[bytes, Grant] = {}
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            grant = _read_line(text)
        except ValueError as error:
            raise ConfigError(f"{origin} line {number}: {error}") from None
        if grant.name in names or grant.proof in found:
            same = "name" if grant.name in names else "hash"
            raise ConfigError(f"{origin} line {number}: the {same} stands in an earlier line too")
        if len(found) >= MOST:
            raise ConfigError(f"{origin} line {number}: more than {MOST} tokens")
        names.add(grant.name)
        found[grant.proof] = grant
    return found


def _read_line(text: str) -> Grant:
    name, _, rest = text.partition(":")
    digest, colon, scopes = rest.partition(":")
    if not colon:
        raise ValueError("it is not name:sha256hex:scope scope ...")
    if not _name(name):
        raise ValueError("the name is not 1 to 60 letters, digits, '_', '.' or '-'")
    if not _hex(digest):
        raise ValueError("the hash is not 64 hexadecimal digits (of SHA-256)")
    try:
        grant = read_scopes(scopes.split())
    except ValueError:
        # A scope that is none may be anything, a token in the wrong place too.
        raise ValueError("the scopes are not understood (docs/operations.md, Access)") from None
    return evolve(grant, name=name, proof=bytes.fromhex(digest))


def new_token(random: Random) -> str:
    """A token that nobody guesses, if ``random`` is the system's."""
    return PREFIX + base64.urlsafe_b64encode(random.randbytes(TOKEN_BYTES)).rstrip(b"=").decode()


def token_line(name: str, token: str, scopes: tuple[str, ...]) -> str:
    """The file's line for a token. Raises ``ValueError``."""
    if not _name(name):
        raise ValueError(f"name {name[:60]!r} is not 1 to 60 letters, digits, '_', '.' or '-'")
    read_scopes(scopes)
    return f"{name}:{hash_of(token).hex()}:{' '.join(scopes)}"

"""What crosses is signed where the processes have a key in common: whoever can write to Redis, but does not have it,
can then disturb them, but not tell them a price."""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from cryptodash.core.errors import CryptodashError

SIGNATURE_BYTES: Final = 16


class Unsigned(CryptodashError):
    """What came has no signature of ours."""


class Signature:
    """Keyed BLAKE2b over a channel, or key, and what is told there, in front of it; nothing without a key.

    What was signed once can be told again by whoever hears it: that is left to what is inside (fences, offsets, numbers
    of questions).
    """

    def __init__(self, key: str) -> None:
        self._key = blake2b(key.encode()).digest() if key else b""

    def signed(self, channel: bytes, payload: bytes) -> bytes:
        """What is to be sent."""
        return self._of(channel, payload) + payload if self._key else payload

    def checked(self, channel: bytes, data: bytes) -> bytes:
        """The payload of what came. Raises ``Unsigned``."""
        if not self._key:
            return data
        payload = data[SIGNATURE_BYTES:]
        if not compare_digest(data[:SIGNATURE_BYTES], self._of(channel, payload)):
            raise Unsigned("not signed with our CLUSTER_KEY")
        return payload

    def _of(self, channel: bytes, payload: bytes) -> bytes:
        made = blake2b(len(channel).to_bytes(4), key=self._key, digest_size=SIGNATURE_BYTES)
        made.update(channel)
        made.update(payload)
        return made.digest()

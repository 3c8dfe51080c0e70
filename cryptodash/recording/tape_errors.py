"""What is wrong with a tape, in one kind of error."""

from __future__ import annotations

from cryptodash.core.errors import CryptodashError


class BadTape(CryptodashError):
    """Bytes that are no tape, or not a good one. The text says what, for a person."""

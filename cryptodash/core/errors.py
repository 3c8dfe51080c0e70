"""Errors that carry a code a client or an operator can act on."""

from __future__ import annotations


class CryptodashError(Exception):
    """Base of what this package raises on purpose."""


class NumberRejected(CryptodashError, ValueError):
    """A venue's number is outside what the contract admits; counted as a decode error."""

    def __init__(self, text: object) -> None:
        super().__init__(f"not an admissible number: {repr(text)[:64]}")


class ZeroRejected(NumberRejected):
    """Zero where only more than zero is a price or a traded quantity: how venues write "nothing has been traded"."""


class ConfigError(CryptodashError):
    """A setting is wrong: one line that names it and says what is allowed. Ends the start with exit code 1."""


class Refused(CryptodashError):
    """A request of a client cannot be served; ``code`` is one of the documented codes, ``message`` is for a person.

    ``status`` is the HTTP status REST answers with; /ws ignores it.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class TryLater(Refused):
    """Too much at a time: 429; ``retry_after`` whole seconds until it may be asked for again."""

    def __init__(self, code: str, message: str, retry_after: int) -> None:
        super().__init__(code, message, 429)
        self.retry_after = retry_after


class UpstreamError(CryptodashError):
    """A venue did not give what was asked of it.

    ``cause`` is a word of the contract's causes (``blocked``, ``banned``, ``disconnected``, ...), ``retry_after``
    seconds if the venue named them.
    """

    def __init__(self, cause: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.retry_after = retry_after

"""How a check says what is wrong."""

from __future__ import annotations

from typing import NoReturn

SHOWN = 300


class NotConforming(AssertionError):
    """The venue does not do what the engine needs; the text says what, where, and why it matters."""


def fail(message: str) -> NoReturn:
    """The check has failed."""
    raise NotConforming(message)


def require(condition: object, message: str) -> None:
    """Fail unless the condition holds. (Statements of ``assert`` would be bare in an installed package, and gone with
    ``python -O``.)"""
    if not condition:
        fail(message)


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"

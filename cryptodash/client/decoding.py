"""Frames to messages. Numbers keep every digit: a price never passes through a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptodash.client.errors import MalformedFrame

MOST_DIGITS = 40
"""Of a number: the server admits no more (CONTRACT section 1)."""


def decode(text: str | bytes) -> tuple[str, Mapping[str, Any]]:
    """Type and payload of a message. ``MalformedFrame`` if it is none."""
    try:
        message = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise MalformedFrame(f"no JSON: {str(error)[:100]}") from None
    kind = message.get("type") if isinstance(message, dict) else None
    payload = message.get("payload") if isinstance(message, dict) else None
    if not isinstance(kind, str) or not isinstance(payload, dict):
        raise MalformedFrame("no object with a type and a payload")
    return kind, payload


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number")


def number(payload: Mapping[str, Any], name: str) -> Decimal:
    """A member that must be there, exactly as it was written."""
    found = maybe_number(payload, name)
    if found is None:
        raise MalformedFrame(f"{name} is missing")
    return found


def maybe_number(payload: Mapping[str, Any], name: str) -> Decimal | None:
    """A member that is left out where it is not known."""
    value = payload.get(name)
    return None if value is None else exact(value)


def exact(value: object) -> Decimal:
    """A number of a message. ``MalformedFrame`` if it is none, or one of more than forty digits."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise MalformedFrame(f"{str(value)[:40]!r} is no number")
    found = Decimal(value)
    if not found.is_finite() or len(found.as_tuple().digits) > MOST_DIGITS or abs(found.adjusted()) > MOST_DIGITS:
        raise MalformedFrame("a number of too many digits")
    return found


def whole(payload: Mapping[str, Any], name: str) -> int:
    """A count that must be there."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedFrame(f"{name} is no whole number")
    return value


def words(payload: Mapping[str, Any], name: str) -> str:
    """A text that must be there."""
    value = payload.get(name)
    if not isinstance(value, str):
        raise MalformedFrame(f"{name} is no text")
    return value


def maybe_words(payload: Mapping[str, Any], name: str) -> str | None:
    return None if payload.get(name) is None else words(payload, name)


def objects(payload: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects; empty where it is left out."""
    found = payload.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise MalformedFrame(f"{name} is no list of objects")
    return found


def digits(value: Decimal) -> str:
    """A number in plain notation, padding included: what the venue wrote, never an exponent."""
    return format(value, "f")

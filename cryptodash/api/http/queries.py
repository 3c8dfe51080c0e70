"""Query parameters of a request, read once and checked: no parameter twice, no other bytes than UTF-8."""

from __future__ import annotations

import re
from typing import Final

from twisted.web.http import Request

from cryptodash.core import codec
from cryptodash.core.errors import Refused
from cryptodash.core.instruments import MarketType
from cryptodash.core.time import parse_time

MAX_LIMIT: Final = 1000
_MAX_SEARCH: Final = 40
_lost_plus = re.compile(r" (?=[0-9]{2}:[0-9]{2}\Z)")


class Query:
    """The parameters by name. Unknown ones are ignored; every method raises ``Refused`` (400)
    that names the parameter."""

    def __init__(self, request: Request) -> None:
        self._values: dict[str, str] = {}
        for name, values in request.args.items():
            try:
                key, texts = name.decode(), [value.decode() for value in values]
            except UnicodeDecodeError:
                raise Refused("invalid_parameter", "the query is not UTF-8") from None
            if len(texts) > 1:
                raise Refused("duplicate_parameter", f"parameter {key[:40]!r} is given {len(texts)} times")
            self._values[key] = texts[0]

    def get(self, name: str) -> str | None:
        """The value, None where it is left out or empty."""
        return self._values.get(name) or None

    def need(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise Refused("missing_parameter", f"parameter {name!r} is required")
        return value

    def symbol(self) -> object:
        """``symbol`` in any spelling of ``/ws``: text, or the object ``{"base":"BTC","quote":"USDT"}`` as JSON."""
        text = self.need("symbol")
        if text == "*":
            raise Refused("invalid_symbol", "a sweep ('*') is served on /ws only")
        if not text.startswith("{"):
            return text
        try:
            return codec.decode(text.encode())
        except codec.InvalidJSON:
            raise Refused("invalid_symbol", f"symbol {text[:40]!r} is no JSON object") from None

    def market(self, name: str = "market_type") -> MarketType | None:
        text = self.get(name)
        if text is None:
            return None
        try:
            return MarketType(text.lower())
        except ValueError:
            raise Refused("invalid_market", f"{name} {text[:40]!r} is not one of: {', '.join(MarketType)}") from None

    def whole(self, name: str) -> int | None:
        """A whole number in ASCII digits."""
        text = self.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 6):
            raise Refused(f"invalid_{name}", f"{name} {text[:40]!r} is not a whole number")
        return int(text)

    def limit(self, default: int, most: int = MAX_LIMIT) -> int:
        value = self.whole("limit")
        if value is None:
            return default
        if not 1 <= value <= most:
            raise Refused("invalid_limit", f"limit {value} is not from 1 to {most}")
        return value

    def time(self, name: str) -> int | None:
        """A time in milliseconds; a ``+`` of a time zone that the query turned into a blank is understood."""
        text = self.get(name)
        if text is None:
            return None
        try:
            return parse_time(_lost_plus.sub("+", text))
        except ValueError as error:
            raise Refused(f"invalid_{name}", f"{name}: {error}") from None

    def search(self) -> str:
        text = self.get("search") or ""
        if len(text) > _MAX_SEARCH:
            raise Refused("invalid_search", f"search is longer than {_MAX_SEARCH} characters")
        return text.strip().upper()

"""Symbols: a base and a quote, and the ways they are spelled."""

from __future__ import annotations

from typing import NamedTuple

from cryptodash.core.errors import Refused


class Symbol(NamedTuple):
    """Base and quote as the venue's catalogue names them, in upper case where that is no other's name there; the same
    for spot and perpetual."""

    base: str
    quote: str

    def __str__(self) -> str:
        return f"{self.base}-{self.quote}"

    @property
    def upper(self) -> Symbol:
        """In upper case."""
        return Symbol(self.base.upper(), self.quote.upper())


ANY = Symbol("*", "")
"""The sweep's symbol: every instrument of one market."""


_MAX_SYMBOL = 40


def _is_word(text: str) -> bool:
    """Printable, and without any space: the only one that is printable is U+0020."""
    return text.isprintable() and " " not in text


def split_symbol(text: str) -> Symbol | None:
    """``btc/usdt`` and ``BTC-USDT`` as a Symbol in upper case (split at the last separator); None for a joined
    spelling. Raises ``Refused`` ``invalid_symbol``."""
    symbol = split_as_spelled(text)
    return None if symbol is None else symbol.upper


def split_as_spelled(text: str) -> Symbol | None:
    """The same, in the case that it is spelled in."""
    if not text or len(text) > 2 * _MAX_SYMBOL or not _is_word(text):
        raise Refused("invalid_symbol", f"not a symbol: {text[:40]!r}", 400)
    separator = "-" if "-" in text else "/" if "/" in text else ""
    if not separator:
        return None
    base, _, quote = text.rpartition(separator)
    return spelled_symbol(base, quote)


def make_symbol(base: object, quote: object) -> Symbol:
    """A Symbol from a base and a quote, in upper case. Raises ``Refused`` ``invalid_symbol``."""
    return spelled_symbol(base, quote).upper


def spelled_symbol(base: object, quote: object) -> Symbol:
    """The same, in the case that they are spelled in."""
    for part in (base, quote):
        if not isinstance(part, str) or not part or len(part) > _MAX_SYMBOL or not _is_word(part):
            raise Refused("invalid_symbol", f"not a symbol part: {repr(part)[:40]}", 400)
    return Symbol(str(base), str(quote))

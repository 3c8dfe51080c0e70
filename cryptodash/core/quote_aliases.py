"""Which quote currencies an operator lets stand for one another (``QUOTE_ALIASES``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from cryptodash.core.instruments import Symbol

_pair = re.compile(r"\s*([^\s=,]{1,20})\s*=\s*([^\s=,]{1,20})\s*").fullmatch


@frozen
class QuoteAliases:
    """``groups`` of quote currencies that count as one, each currency in one group at most."""

    groups: tuple[tuple[str, ...], ...] = ()

    def of(self, symbol: Symbol) -> Iterator[Symbol]:
        """The symbol itself, then the others that may stand in its place, in the order of their group."""
        yield symbol
        for group in self.groups:
            if symbol.quote in group:
                yield from (Symbol(symbol.base, quote) for quote in group if quote != symbol.quote)


def quote_aliases(text: str) -> tuple[tuple[str, ...], ...]:
    """The groups that ``USD=USDC,USD=FDUSD`` makes: one of three. Raises ``ValueError``."""
    groups: list[list[str]] = []
    for part in filter(str.strip, text.split(",")):
        match = _pair(part)
        if match is None:
            raise ValueError("pairs of quote currencies such as USD=USDC, separated by commas")
        pair = [each.upper() for each in match.groups()]
        joined = [group for group in groups if set(group) & set(pair)]
        merged = list(dict.fromkeys(name for group in (*joined, pair) for name in group))
        groups = [group for group in groups if group not in joined] + [merged]
    return tuple(tuple(group) for group in groups if len(group) > 1)

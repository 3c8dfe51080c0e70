"""The words of scopes: ``read``, ``read:PATTERN``, ``max_rate=N``, ``max_channels=N``, ``admin``.

PATTERN = CHANNEL [":" EXCHANGE [":" MARKET [":" SYMBOL]]]      what is left out is "*"
CHANNEL = "*" | ticker | trade | order_book | candle | bbo | liquidation
MARKET  = "*" | spot | perpetual
SYMBOL  = "*" | BASE-QUOTE, where BASE or QUOTE may be "*"      spelled as /api/symbols does
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cryptodash.api.access.grant import Grant, Pattern
from cryptodash.core.errors import Refused
from cryptodash.core.instruments import MarketType, split_as_spelled
from cryptodash.core.topics import parse_channel

MOST_PATTERNS: Final = 256
"""Of one token: each is looked at for each channel that is asked for."""
MIN_RATE, MAX_RATE = 0.1, 100.0
MOST_CHANNELS: Final = 100_000
ALLOWED: Final = (
    "allowed are read, read:CHANNEL[:EXCHANGE[:MARKET[:SYMBOL]]], "
    f"max_rate={MIN_RATE} to {MAX_RATE:g}, max_channels=1 to {MOST_CHANNELS} and admin"
)

_exchange = re.compile(r"[a-z0-9_]{1,40}", re.ASCII).fullmatch
_rate = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?", re.ASCII).fullmatch
_count = re.compile(r"[0-9]{1,6}", re.ASCII).fullmatch


def read_scopes(words: Iterable[str]) -> Grant:
    """The grant that these scopes make, without a bearer. Raises ``ValueError``: one line that says what is wrong."""
    given = tuple(words)
    patterns: list[Pattern] | None = []
    is_admin, rate, channels = False, None, None
    for word in given:
        name, equals, number = word.partition("=")
        if word == "admin":
            is_admin = True
        elif word == "read":
            patterns = None
        elif word.startswith("read:"):
            pattern = read_pattern(word.removeprefix("read:"))
            patterns = None if pattern == Pattern() or patterns is None else [*patterns, pattern]
        elif name == "max_rate" and equals and _rate(number) and MIN_RATE <= float(number) <= MAX_RATE:
            rate = float(number) if rate is None else min(rate, float(number))
        elif name == "max_channels" and equals and _count(number) and 1 <= int(number) <= MOST_CHANNELS:
            channels = int(number) if channels is None else min(channels, int(number))
        else:
            raise ValueError(f"{word[:80]!r} is no scope; {ALLOWED}")
    if patterns is not None and len(patterns) > MOST_PATTERNS:
        raise ValueError(f"{len(patterns)} patterns; allowed are {MOST_PATTERNS}")
    if patterns == [] and not is_admin:
        raise ValueError(f"the scopes allow nothing; {ALLOWED}")
    return Grant("", None if patterns is None else tuple(patterns), is_admin, rate, channels, words=given)


def read_pattern(text: str) -> Pattern:
    """One pattern. Raises ``ValueError``."""
    parts = text.split(":")
    if len(parts) > 4 or not all(parts):
        raise ValueError(f"{text[:80]!r} is no pattern; {ALLOWED}")
    channel, exchange, market, symbol = (*(None if part == "*" else part for part in parts), None, None, None)[:4]
    try:
        kind = None if channel is None else parse_channel(channel)
    except Refused as error:
        raise ValueError(error.message) from None
    if exchange is not None and not _exchange(exchange := exchange.lower()):
        raise ValueError(f"{exchange[:40]!r} names no exchange")
    if market is not None and market not in map(str, MarketType):
        raise ValueError(f"market {market[:40]!r} is not one of: {', '.join(MarketType)}")
    base, quote = (None, None) if symbol is None else _read_symbol(symbol)
    return Pattern(kind, exchange, None if market is None else MarketType(market), base, quote)


def _read_symbol(text: str) -> tuple[str | None, str | None]:
    try:
        split = split_as_spelled(text)
    except Refused as error:
        raise ValueError(error.message) from None
    if split is None or any("*" in part and part != "*" for part in split):
        raise ValueError(f"symbol {text[:40]!r} is not BASE-QUOTE with '*' for all of either")
    return None if split.base == "*" else split.base, None if split.quote == "*" else split.quote

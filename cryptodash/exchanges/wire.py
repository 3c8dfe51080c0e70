"""Reading a venue's JSON: typed, checked, and with one kind of error.

Third-party venues may use this too. A reader is made once per message kind with ``decoder``; whatever it meets (bad JSON, a missing field, a number
the contract does not admit, invalid UTF-8, nesting too deep) leaves as ``BadFrame`` when the caller wraps its work in::

    try:
        ...
    except UNREADABLE as error:
        raise bad_frame(error) from None
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from re import compile as pattern
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from cryptodash.core.errors import NumberRejected, Refused
from cryptodash.core.events import Candle, Level
from cryptodash.core.instruments import Symbol, make_symbol
from cryptodash.core.numbers import PLAIN_POSITIVE, PLAIN_UNSIGNED, Number, admit, is_zero, positive, trimmed, unsigned
from cryptodash.core.time import is_time_ms
from cryptodash.exchanges.messages import BadFrame

T = TypeVar("T")

MAX_TIME_MS = 253_402_300_799_999
assert is_time_ms(MAX_TIME_MS) and not is_time_ms(MAX_TIME_MS + 1)

Time = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
"""Milliseconds UTC that can be a time at all: checked while decoding, where it costs nothing."""

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An update id, a trade id, a counter."""

MAX_NAME = 128
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
"""A word of the venue's that we keep or look up."""

RawLevels = list[tuple[str, str]]
"""Levels as both venues write them: ``[["63704.00000000","4.77471000"], ...]``."""

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, ArithmeticError)
"""What decoding can raise; ``BadFrame`` itself is among them (it is a ``ValueError``)."""


def bad_frame(error: Exception) -> BadFrame:
    """The one error for whatever went wrong: the reason is ``json``, ``schema`` or ``number``."""
    if isinstance(error, BadFrame):
        return error
    if isinstance(error, msgspec.ValidationError):
        return BadFrame("schema", str(error))
    if isinstance(error, NumberRejected | ArithmeticError):
        return BadFrame("number", str(error))
    return BadFrame("json", str(error))


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """The decoding function of one message kind; make it once."""
    return msgspec.json.Decoder(kind).decode


def check_text(frame: bytes) -> None:
    """Raise ``UnicodeDecodeError`` unless the frame is UTF-8: the typed decoder does not look into fields it skips."""
    if not frame.isascii():
        frame.decode()


class Wrapped(Struct, Generic[T], gc=False):
    """Anything that comes as the member ``data`` of an object."""

    data: T


def price(text: str | None) -> Number | None:
    """A price that may be missing, blank, or zero for "none yet": then None. Raises ``NumberRejected``."""
    if not text:
        return None
    number = unsigned(text)
    return None if is_zero(number) else number


# The same prices and sizes come again and again: a bounded cache is five times cheaper than a second check.
above_zero: Callable[[str], Number] = lru_cache(maxsize=32_768)(positive)
"""``positive`` with a memory: for the prices and quantities of levels, trades and bars."""
_level_size: Callable[[str], Number] = lru_cache(maxsize=32_768)(unsigned)
_quoted: Callable[[str], Number | None] = lru_cache(maxsize=8_192)(price)


_plain_levels = pattern(rf"(?:{PLAIN_POSITIVE},{PLAIN_UNSIGNED},)*+").fullmatch


def levels(raw: list[tuple[str, str]]) -> Sequence[Level]:
    """Book levels: prices above zero, sizes not negative. Raises ``NumberRejected``."""
    # One match over a whole side, and the decoded pairs kept as they are: 9 us for 37 levels, against 24 with two numbers admitted per level.
    joined = ",".join(chain.from_iterable(raw)) + ","
    if _plain_levels(joined) and joined.count(",") == 2 * len(raw):  # no comma hides in a number
        return cast("list[Level]", raw)
    return [(above_zero(price), _level_size(size)) for price, size in raw]


def side(price: str, size: str) -> Level | tuple[None, None]:
    """One side of a quote; (None, None) where the venue writes an empty one as blank or zero. Raises ``NumberRejected``."""
    number, quantity = _quoted(price), _quoted(size)
    return (None, None) if number is None or quantity is None else (number, quantity)


def amount(text: str | None) -> Number | None:
    """A volume or an interest: None if blank. Raises ``NumberRejected``."""
    return unsigned(text) if text else None


def signed(text: str | None) -> Number | None:
    """A change or a rate: None if blank. Raises ``NumberRejected``."""
    return admit(text) if text else None


def step(text: str | None) -> Number | None:
    """A catalogue's tick, step or minimum without its padding; None if blank or zero ("no such rule"). Raises ``NumberRejected``."""
    number = price(text)
    return None if number is None else trimmed(number)


def symbol(base: str, quote: str) -> Symbol | None:
    """The catalogue's names as a Symbol; None where they cannot be one (nobody could ask for it)."""
    try:
        return make_symbol(base, quote)
    except Refused:
        return None


def tidy(candles: Iterable[Candle], limit: int, end: str | None) -> Sequence[Candle]:
    """Oldest first, one per open time, none that opens after ``end`` (the request's own text, ms), and of these the newest ``limit``."""
    by_open = {candle.timestamp: candle for candle in candles if end is None or candle.timestamp <= int(end)}
    return [by_open[opened] for opened in sorted(by_open)][-limit:]


def retry_after(headers: Any, default: float) -> float:
    """Seconds of a ``Retry-After`` header, at most three days (the longest ban a venue documents); ``default`` where there is no usable one."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), 259_200.0) if text.isascii() and text.isdigit() and len(text) <= 9 else default

"""The contract's numbers: a venue's decimal text, admitted once, carried exactly.

A price or size crosses the server as the text the venue sent (``Number``), so no digit and no padding is lost and
nothing is ever a float. ``admit`` is the only way in. Arithmetic goes through ``decimal.Decimal`` in a context that
raises when a result would be rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import NewType

from cryptodash.core.errors import NumberRejected, ZeroRejected

Number = NewType("Number", str)
"""Admitted text in plain notation: valid as a JSON number as it stands."""

MAX_DIGITS = 40
MAX_EXPONENT = 18

EXACT = Context(prec=2 * MAX_DIGITS + 4, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ROUNDED = Context(prec=50, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])

# Nearly every number of a venue is already plain: one match admits it unchanged.
_plain = re.compile(rf"-?(?:0|[1-9][0-9]*)(?:\.[0-9]{{1,{MAX_EXPONENT}}})?").fullmatch
PLAIN_UNSIGNED = rf"(?:0|[1-9][0-9]{{0,20}}+)(?:\.[0-9]{{1,{MAX_EXPONENT}}}+)?+"
"""Pattern of the usual numbers that are not negative (and hold at most 40 characters);
what it does not match may be a number all the same."""
PLAIN_POSITIVE = rf"(?:[1-9][0-9]{{0,20}}+(?:\.[0-9]{{1,{MAX_EXPONENT}}}+)?+|0\.(?=0*+[1-9])[0-9]{{1,{MAX_EXPONENT}}}+)"
"""The same without zero."""
_plain_unsigned = re.compile(PLAIN_UNSIGNED).fullmatch
_plain_positive = re.compile(PLAIN_POSITIVE).fullmatch
_decimal = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?").fullmatch


def admit(text: str) -> Number:
    """Return the venue's number in plain notation, every digit kept.

    Admitted: ASCII digits, finite, at most 40 digits, decimal exponent -18..18.
    Raises ``NumberRejected`` for everything else (``NaN``, ``1_000``, ``1e400``, a float object, the empty string).
    """
    if type(text) is not str:
        raise NumberRejected(text)
    if len(text) <= MAX_DIGITS and _plain(text):
        return Number(text)
    return _admit_unusual(text)


def _admit_unusual(text: str) -> Number:
    """Exponents, signs, leading zeros and very long numbers: through Decimal, back to plain notation."""
    if len(text) > 4 * MAX_DIGITS or not _decimal(text):
        raise NumberRejected(text)
    value = Decimal(text)
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(digits) > MAX_DIGITS or not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise NumberRejected(text)
    return Number(format(value, "f"))


def positive(text: str) -> Number:
    """Admit a number that must be greater than zero (a price, a traded quantity); raises ``NumberRejected``, and
    of that ``ZeroRejected`` for zero."""
    if type(text) is str and _plain_positive(text):  # the usual case in one step: 0.5 us against 0.9
        return Number(text)
    number = admit(text)
    if is_zero(number):
        raise ZeroRejected(text)
    if number[0] == "-":
        raise NumberRejected(text)
    return number


def unsigned(text: str) -> Number:
    """Admit a number that must not be negative (a level's size, a volume); raises ``NumberRejected``."""
    if type(text) is str and _plain_unsigned(text):
        return Number(text)
    number = admit(text)
    if number[0] == "-":
        raise NumberRejected(text)
    return number


def is_zero(number: Number) -> bool:
    """Whether the number is zero, however it is padded."""
    return not number.strip("-0.")


def from_decimal(value: Decimal) -> Number:
    """Plain text of a computed value; raises ``NumberRejected`` when it is outside the contract's range."""
    return admit(format(value, "f"))


def key(number: Number) -> int:
    """An integer that orders and identifies a number by value: ``1.50`` and ``1.5`` have the same key
    (the value times 10**18)."""
    whole, _, fraction = number.partition(".")
    return int(whole + fraction.ljust(MAX_EXPONENT, "0"))


def reaches(a: Number, b: Number) -> bool:
    """Whether ``a >= b``, of two numbers that are not negative."""
    if len(a) == len(b) and a.find(".") == b.find("."):
        # place by place the same, so their text is in the order of their values: 0.15 us against 1.1 by keys
        return a >= b
    return key(a) >= key(b)


def subtract(a: Number, b: Number) -> Number:
    """Exactly ``a - b``."""
    return from_decimal(EXACT.subtract(Decimal(a), Decimal(b)))


def subtract_exactly(a: Number, b: Number) -> Number:
    """``a - b`` however many digits that has: what is derived here is bounded by what was admitted."""
    return Number(format(EXACT.subtract(Decimal(a), Decimal(b)), "f"))


def total(numbers: Iterable[Number]) -> Number:
    """Exactly the sum of these, of one number its own text; likewise."""
    first, *others = numbers
    if not others:
        return first
    value = Decimal(first)
    for each in others:
        value = EXACT.add(value, Decimal(each))
    return Number(format(value, "f"))


def multiply(a: Number, b: Number) -> Number:
    """Exactly ``a * b``; raises ``NumberRejected`` when that is outside the contract's range."""
    return from_decimal(EXACT.multiply(Decimal(a), Decimal(b)))


def divide(product: Number, factor: Number) -> Number:
    """The number of which ``multiply`` made ``product`` with this factor, padding included. Raises ``ArithmeticError``
    where there is none."""
    return from_decimal(EXACT.divide(Decimal(product), Decimal(factor)))


def add(a: Number, b: Number) -> Number:
    """Exactly ``a + b``."""
    return from_decimal(EXACT.add(Decimal(a), Decimal(b)))


def scale(number: Number, power: int) -> Number:
    """Exactly the number times ``10**power`` (a fraction into percent: ``power=2``)."""
    return from_decimal(Decimal(number).scaleb(power, EXACT))


def ratio(numerator: Decimal, denominator: Decimal, scale: int, places: int) -> Number | None:
    """A named ratio (percent: ``scale=100``, basis points: ``scale=10_000``) rounded to ``places`` decimals;
    None over a zero denominator."""
    if not denominator:
        return None
    exact = _ROUNDED.divide(_ROUNDED.multiply(numerator, Decimal(scale)), denominator)
    return Number(format(exact.quantize(Decimal(1).scaleb(-places), context=_ROUNDED), "f"))


def trimmed(number: Number) -> Number:
    """The number without padding zeros: for tick and step sizes, which the catalogue shows bare."""
    return Number(number.rstrip("0").rstrip(".")) if "." in number else number


def decimals(number: Number) -> int:
    """How many decimals are significant: ``0.01000000`` has 2, ``0.25`` has 2, ``10`` has 0."""
    return len(trimmed(number).partition(".")[2])

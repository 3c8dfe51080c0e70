from __future__ import annotations

import re
from decimal import Decimal, Inexact

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.errors import NumberRejected
from cryptodash.core.numbers import (
    EXACT,
    MAX_DIGITS,
    PLAIN_POSITIVE,
    PLAIN_UNSIGNED,
    Number,
    admit,
    decimals,
    from_decimal,
    is_zero,
    key,
    positive,
    ratio,
    reaches,
    scale,
    subtract,
    trimmed,
    unsigned,
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("43250.50000000", "43250.50000000"),
        ("0.00000001", "0.00000001"),
        ("0.00000000", "0.00000000"),
        ("0.0000001", "0.0000001"),
        ("1E+3", "1000"),
        ("1.5e-7", "0.00000015"),
        ("0E-8", "0.00000000"),
        ("+5", "5"),
        ("007", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0.00506", "-0.00506"),
        ("9" * 40, "9" * 40),
        ("0." + "1" * 18, "0." + "1" * 18),
        ("1E+18", "1" + "0" * 18),
    ],
)
def test_admitted_in_plain_notation_with_every_digit(text: str, plain: str) -> None:
    assert admit(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "NaN",
        "nan",
        "sNaN",
        "Infinity",
        "-inf",
        "1_000",
        "1,000",
        "0x10",
        "1e400",
        "1e19",
        "1e-19",
        "0." + "0" * 18 + "1",
        "9" * 41,
        "9" * 10_000,
        "١٢٣",
        "１２",
        "1e",
        "-",
        ".",
        "--1",
        "1\n",
        "1\x00",
    ],
)
def test_everything_else_is_rejected(text: str) -> None:
    with pytest.raises(NumberRejected):
        admit(text)


@pytest.mark.parametrize("value", [1.5, 1, None, b"1", Decimal("1")])
def test_only_text_is_admitted(value: object) -> None:
    with pytest.raises(NumberRejected):
        admit(value)  # type: ignore[arg-type]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20))
def test_admission_never_changes_the_value(value: Decimal) -> None:
    number = admit(format(value, "f"))
    assert Decimal(number) == value
    assert "e" not in number.lower()
    assert key(number) == int(value.scaleb(18))


@given(st.text(max_size=50))
def test_admission_raises_only_its_own_error(text: str) -> None:
    try:
        number = admit(text)
    except NumberRejected:
        return
    assert Decimal(number).is_finite()


def test_signs() -> None:
    assert positive("0.1") == "0.1"
    assert unsigned("0.000") == "0.000"
    for reject, text in ((positive, "0.00"), (positive, "-1"), (unsigned, "-0.1"), (unsigned, "-0")):
        with pytest.raises(NumberRejected):
            reject(text)


@pytest.mark.parametrize(
    ("text", "zero"), [("0", True), ("0.00000000", True), ("-0.0", True), ("0.01", False), ("10", False)]
)
def test_zero_is_seen_through_padding(text: str, zero: bool) -> None:
    assert is_zero(Number(text)) is zero


def test_keys_order_and_identify_by_value() -> None:
    assert key(Number("1.50")) == key(Number("1.5"))
    assert key(Number("0.00000001")) < key(Number("0.0000001")) < key(Number("2")) < key(Number("10"))
    assert key(Number("-0.5")) < key(Number("0")) < key(Number("0.5"))


def test_exact_arithmetic_raises_instead_of_rounding() -> None:
    assert subtract(Number("63958.60"), Number("64283.90")) == "-325.30"
    assert scale(Number("-0.00506"), 2) == "-0.506"
    with pytest.raises(Inexact):
        EXACT.divide(Decimal(1), Decimal(3))


def test_named_ratios_round_half_even_and_refuse_zero() -> None:
    assert ratio(Decimal("0.10"), Decimal("64000"), 10_000, 4) == "0.0156"
    assert ratio(Decimal(1), Decimal(0), 100, 2) is None


def test_from_decimal_is_plain() -> None:
    assert from_decimal(Decimal("1E-7")) == "0.0000001"


@pytest.mark.parametrize(
    ("tick", "places", "bare"),
    [("0.01000000", 2, "0.01"), ("0.25", 2, "0.25"), ("10", 0, "10"), ("0.0000001", 7, "0.0000001"), ("1.0", 0, "1")],
)
def test_precision_comes_from_significant_decimals(tick: str, places: int, bare: str) -> None:
    assert decimals(Number(tick)) == places
    assert trimmed(Number(tick)) == bare


numberish = st.one_of(
    st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{0,4})?", fullmatch=True),
    st.from_regex(r"[0-9]{18,45}(\.[0-9]{15,20})?", fullmatch=True),
    st.text("0123456789.-+eE, \n\u0663", max_size=8),
)


@given(numberish)
def test_the_patterns_match_only_what_is_admitted_unchanged(text: str) -> None:
    for pattern, admitted in ((PLAIN_UNSIGNED, unsigned), (PLAIN_POSITIVE, positive)):
        if re.fullmatch(pattern, text):
            assert len(text) <= MAX_DIGITS and admit(text) == admitted(text) == text
            assert Decimal(text) > 0 or (admitted is unsigned and Decimal(text) == 0)


@given(numberish)
def test_signs_and_zero_are_judged_by_value(text: str) -> None:
    try:
        number = admit(text)
    except NumberRejected:
        number = None
    for admitted, fits in (
        (unsigned, number is not None and number[0] != "-"),
        (positive, number is not None and Decimal(number) > 0),
    ):
        if fits:
            assert admitted(text) == number
        else:
            with pytest.raises(NumberRejected):
                admitted(text)


plain_numbers = st.decimals("0", "1000", places=3).map(lambda value: Number(format(value.normalize(), "f")))


@given(st.one_of(plain_numbers, st.sampled_from(["9.9", "10.0", "9.90", "0.5", "1"])), plain_numbers)
def test_one_number_reaches_another_by_value(a: Number, b: Number) -> None:
    assert reaches(a, b) is (Decimal(a) >= Decimal(b))

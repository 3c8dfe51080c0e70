"""What venues share when they read JSON: one kind of error, and numbers that are known or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.errors import NumberRejected
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter import decode as wire
from cryptodash.exchanges.adapter.messages import BadFrame

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

TOPIC = Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.CANDLE, interval="1m")
NONE = (None, None)


def reason(kind: object, frame: bytes) -> str:
    read = wire.decoder(kind)  # type: ignore[arg-type]
    try:
        wire.check_text(frame)
        read(frame)
    except wire.UNREADABLE as error:
        return wire.bad_frame(error).reason
    return "good"


@pytest.mark.parametrize(
    ("kind", "frame", "expected"),
    [
        (wire.Time, b"1723161255342", "good"),
        (wire.Time, b"253402300799999", "good"),
        (wire.Time, b"253402300800000", "schema"),
        (wire.Time, b"-1", "schema"),
        (wire.Time, b"1.5", "schema"),
        (wire.Time, b"true", "schema"),
        (wire.Time, b"1" * 5000, "schema"),
        (wire.Count, b"9223372036854775807", "good"),
        (wire.Count, b"9223372036854775808", "schema"),
        (wire.Name, b'""', "schema"),
        (wire.Name, b'"' + b"x" * 129 + b'"', "schema"),
        (wire.Name, b'"\xff"', "json"),
        (wire.Name, b'"x', "json"),
        (object, b"[" * 100_000, "json"),
        (object, b"", "json"),
        (wire.Wrapped[int], b'{"data":1,"other":[{}]}', "good"),
        (wire.Wrapped[int], b'{"other":1}', "schema"),
        (wire.RawLevels, b'[["1","2"]]', "good"),
        (wire.RawLevels, b'[["1","2","3"]]', "schema"),
    ],
)
def test_whatever_is_wrong_is_one_kind_of_error(kind: object, frame: bytes, expected: str) -> None:
    assert reason(kind, frame) == expected


def test_a_bad_frame_stays_what_it_is_and_numbers_are_their_own_reason() -> None:
    bad = BadFrame("size", "too long")
    assert wire.bad_frame(bad) is bad
    assert wire.bad_frame(NumberRejected("NaN")).reason == "number"
    assert wire.bad_frame(OverflowError()).reason == "number"
    assert len(str(wire.bad_frame(ValueError("x" * 9999)))) < 300


@pytest.mark.parametrize(
    ("price", "size", "expected"),
    [
        ("1.50", "2.0", ("1.50", "2.0")),
        ("0.00000000", "0.00000000", NONE),
        ("1.50", "0", NONE),
        ("0", "1", NONE),
        ("", "", NONE),
        ("1", "", NONE),
    ],
)
def test_a_side_of_a_quote_is_there_or_not(price: str, size: str, expected: object) -> None:
    assert wire.side(price, size) == expected


@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity", "1_0", " 1", "1e99", "x"])
def test_what_is_no_number_is_never_taken_for_an_unknown_one(text: str) -> None:
    for read in (
        wire.price,
        wire.amount,
        wire.step,
        lambda each: wire.side(each, "1"),
        lambda each: wire.levels([("1", each)]),
    ):
        with pytest.raises(NumberRejected):
            read(text)
    if text != "-1":
        with pytest.raises(NumberRejected):
            wire.signed(text)


def test_unknown_values_are_none() -> None:
    assert (
        wire.price("")
        is wire.price(None)
        is wire.price("0.00")
        is wire.amount("")
        is wire.signed(None)
        is wire.step("0.00000000")
        is None
    )
    assert (wire.price("1.50"), wire.amount("0.00"), wire.signed("-0.10"), wire.step("0.01000000")) == (
        "1.50",
        "0.00",
        "-0.10",
        "0.01",
    )


@given(st.lists(st.tuples(st.decimals("0.00000001", "99999999", places=8), st.decimals(0, 99999999, places=8))))
def test_levels_keep_every_digit(pairs: list[tuple[object, object]]) -> None:
    raw = [(format(price, "f"), format(size, "f")) for price, size in pairs]  # type: ignore[str-format]
    assert wire.levels(raw) == wire.levels(raw) == [(admit(price), admit(size)) for price, size in raw]


@pytest.mark.parametrize("level", [("0", "1"), ("0.000", "1"), ("-1", "1"), ("1", "-1"), ("", "1"), ("1", "")])
def test_levels_that_cannot_be(level: tuple[str, str]) -> None:
    with pytest.raises(NumberRejected):
        wire.levels([("1", "1"), level])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("-5", 9.0),
        ("1.5", 9.0),
        ("nan", 9.0),
        ("", 9.0),
        ("9" * 400, 9.0),
        ("99999999", 259_200.0),
    ],
)
def test_retry_after(header: str, seconds: float) -> None:
    assert wire.retry_after({"retry-after": header}, 9.0) == seconds
    assert wire.retry_after({}, 9.0) == 9.0


@pytest.mark.parametrize(
    ("base", "quote", "expected"),
    [("btc", "USDT", ("btc", "USDT")), ("A-B", "C", ("A-B", "C")), ("", "X", None), ("A B", "X", None)],
)
def test_symbols(base: str, quote: str, expected: object) -> None:
    assert wire.symbol(base, quote) == expected


@pytest.mark.parametrize(
    "raw",
    [
        [("1,2", "3"), ("4", "5,6")],
        [("1", "2,3,4"), ("5", "6")],
        [("1,2", "3,4")],
        [("", "1,2,3")],
        [("1\n", "2")],
    ],
)
def test_a_comma_or_newline_in_a_level_is_no_number(raw: list[tuple[str, str]]) -> None:
    with pytest.raises(NumberRejected):
        wire.levels(raw)


def test_unusual_levels_among_usual_ones_are_written_plainly() -> None:
    assert list(wire.levels([("1", "2"), ("3.5e1", "0"), ("+4", "0.50")])) == [("1", "2"), ("35", "0"), ("4", "0.50")]
    assert list(wire.levels([])) == []

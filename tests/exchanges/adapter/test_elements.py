"""Lists of many elements: what cannot be read is left out and said."""

from __future__ import annotations

import pytest
from msgspec import Raw, Struct, ValidationError

from cryptodash.core.errors import NumberRejected, ZeroRejected
from cryptodash.core.numbers import Number, positive
from cryptodash.exchanges.adapter import Bar, Kept, LeftOut, closed_by_next, decoder, kept, named, nonzero
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import BadFrame


class Row(Struct):
    name: str
    price: str


_list, _row = decoder(list[Raw]), decoder(Row)


def rows(text: str) -> Kept[Number]:
    def read(raw: Raw) -> Number | None:
        row = _row(raw)
        return None if row.name == "other" else positive(row.price)

    return kept(_list(text.encode()), read, named("name"))


GOOD, OTHER = '{"name":"A","price":"1.50"}', '{"name":"other","price":"-1"}'


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        ('{"name":"B","price":"-1"}', "B"),
        ('{"name":"B","price":null}', "B"),
        ('{"name":"B"}', "B"),
        ('{"price":"1"}', ""),
        ('{"name":7,"price":"1"}', "7"),
        ("null", ""),
        ("[]", ""),
        ('"B"', ""),
        ("[" * 500 + "]" * 500, ""),
        ('{"name":"' + "x" * 5000 + '","price":"NaN"}', "x" * 128),
    ],
)
def test_an_odd_element_is_left_out_and_named(odd: str, name: str) -> None:
    found = rows(f"[{GOOD},{odd},{OTHER}]")
    assert found == ["1.50"]
    ((named_so, why),) = left_out_of(found)
    assert named_so == name and why and len(why) < 250


def test_where_everything_can_be_read_nothing_is_left_out() -> None:
    assert (rows(f"[{GOOD},{OTHER}]"), left_out_of(rows(f"[{GOOD}]")), rows("[]")) == (["1.50"], (), [])
    assert rows(f"[{GOOD}]").told("s", ()) == ()


def test_a_list_of_nothing_but_odd_elements_is_bad() -> None:
    with pytest.raises(ValidationError):
        rows("[null,null]")
    with pytest.raises(BadFrame, match="number"):
        reading(rows, '[{"name":"B","price":"-1"},null]')
    assert rows(f"[null,{OTHER}]") == [], "where others are not ours the odd one may not be either"


def test_what_was_left_out_is_told_last() -> None:
    found = rows(f"[{GOOD},null]")
    assert found.told("s", ["first"])[-1] == LeftOut("s", found.left_out)  # type: ignore[list-item]


def test_only_zeros_are_left_out_of_one_streams_trades() -> None:
    found = nonzero(["1", "0.00", "2", "0e5"], positive, str)
    assert (found, [name for name, _ in found.left_out]) == (["1", "2"], ["0.00", "0e5"])
    assert nonzero([], positive) == []
    with pytest.raises(NumberRejected):
        nonzero(["1", "-1", "0"], positive)
    with pytest.raises(ZeroRejected):
        nonzero(["0", "0"], positive)


@pytest.mark.parametrize(
    ("opens", "time", "closed"),
    [
        ((1, 2, 3), 3, [True, True, None]),
        ((1, 2), 9, [True, None]),
        ((1, 2, 30), 9, [True, None, None]),  # what has not begun proves nothing
        ((1, 2), None, [None, None]),  # nor does a frame that says no time
        ((2,), 9, [None]),
        ((), 9, []),
    ],
)
def test_a_bar_is_over_that_one_in_the_same_frame_follows(
    opens: tuple[int, ...], time: int | None, closed: list[bool | None]
) -> None:
    prices = [Number("1")] * 5
    bars = [Bar("candles:X", each, *prices, None, time) for each in opens]
    told = closed_by_next(bars)
    assert [each.closed for each in told] == closed
    assert [each.open_time for each in told] == list(opens)

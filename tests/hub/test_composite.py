"""The composite market, pure: who counts, and what the quotes of those are together."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.events import Bbo, Cause, State
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.composite import (
    Constituent,
    Excluded,
    composite_bbo,
    condition,
    crossed_size,
    select,
    spread_of,
)

WINDOW = 2.0
NOW = 1_000.0
TOPIC = Topic("composite", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.BBO)


def part_of(exchange, quote="USDT"):
    return Topic(exchange, MarketType.SPOT, Symbol("BTC", quote), Channel.BBO)


def quote_of(exchange, bid, bid_size, ask, ask_size, *, timestamp=1_000, quote="USDT"):
    numbers = [None if each is None else admit(each) for each in (bid, bid_size, ask, ask_size)]
    return Bbo(part_of(exchange, quote), timestamp, timestamp + 5, *numbers)


def given_by(exchange, *numbers, state=State.LIVE, cause=None, as_of=NOW, quote="USDT", timestamp=1_000):
    value = quote_of(exchange, *numbers, quote=quote, timestamp=timestamp) if numbers else None
    return Constituent(part_of(exchange, quote), state, cause, value, as_of)


def made_of(*constituents, not_before=0):
    return composite_bbo(TOPIC, select(constituents, WINDOW), NOW, not_before)


A = ("100", "1", "101", "2")
B = ("100.5", "3", "101.50", "4")


def test_the_best_of_each_side_is_told_with_whose_it_is():
    made = made_of(given_by("a", *A), given_by("b", *B, state=State.QUIET))
    assert (made.bid.price, made.bid.size, made.bid.exchange) == ("100.5", "3", "b")
    assert (made.ask.price, made.ask.size, made.ask.exchange) == ("101", "2", "a")
    assert (made.spread, made.spread_bps) == ("0.5", "49.6278")
    assert made.crossed_bps is None and made.crossed_size is None
    assert (made.state, made.cause, made.excluded) == (State.LIVE, None, ())
    assert [(each.exchange, each.bid, each.ask, each.age_ms) for each in made.venues] == [
        ("a", "100", "101", 0),
        ("b", "100.5", "101.50", 0),
    ]


def test_of_equal_prices_the_larger_size_is_told_and_of_these_the_first_venue():
    same = made_of(given_by("a", "100", "1", "101", "2"), given_by("b", "100.0", "5", "101.00", "2.0"))
    assert (same.bid.exchange, same.bid.price, same.ask.exchange) == ("b", "100.0", "a")


def test_a_quote_without_one_side_puts_in_the_other():
    made = made_of(given_by("a", None, None, "101", "2"), given_by("b", None, None, "102", "1"))
    assert made.bid is None and made.spread is None and made.ask.price == "101"


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (State.STALE, Cause.SILENT),
        (State.STALE, Cause.LATE),
        (State.STALE, Cause.DISCONNECTED),
        (State.STALE, Cause.HALTED),
        (State.STALE, Cause.CROSSED),
        (State.RESYNCING, Cause.GAP),
        (State.CONNECTING, Cause.CAPACITY),
        (State.CLOSED, Cause.DELISTED),
        (State.CLOSED, Cause.REJECTED),
    ],
)
def test_who_is_not_live_or_quiet_is_left_out_with_the_cause(state, cause):
    made = made_of(given_by("a", *A), given_by("b", *B, state=state, cause=cause))
    assert [each.exchange for each in made.venues] == ["a"]
    assert made.bid.exchange == "a"
    assert made.excluded == (Excluded("b", state, cause),)
    assert (made.state, made.cause) == (State.LIVE, None)
    alone = made_of(given_by("b", *B, state=state, cause=cause))
    assert (alone.state, alone.cause, alone.venues, alone.timestamp) == (state, cause, (), None)


def test_who_is_good_without_a_value_is_connecting():
    made = made_of(given_by("a", *A), given_by("b"))
    assert made.excluded == (Excluded("b", State.CONNECTING),)


def test_the_older_are_late_measured_from_the_newest():
    made = made_of(
        given_by("a", *A, as_of=NOW - 3.0), given_by("b", *B, as_of=NOW - 2.5), given_by("c", *A, as_of=NOW - 0.75)
    )
    assert [(each.exchange, each.age_ms) for each in made.venues] == [("b", 2500), ("c", 750)]
    assert made.excluded == (Excluded("a", State.STALE, Cause.LATE),)


def test_what_is_as_far_as_the_window_counts_and_recorded_time_is_not_compared():
    parts = [given_by("a", *A, as_of=NOW - WINDOW), given_by("b", *B)]
    assert select(parts, WINDOW).excluded == ()
    assert select([given_by("a", *A, as_of=0.0), given_by("b", *B)], None).excluded == ()


def test_where_all_are_old_alike_all_count():
    made = made_of(given_by("a", *A, as_of=NOW - 60), given_by("b", *B, as_of=NOW - 61, state=State.QUIET))
    assert len(made.venues) == 2


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((State.QUIET, State.QUIET), (State.QUIET, None)),
        ((State.QUIET, State.LIVE), (State.LIVE, None)),
        ((State.STALE, State.RESYNCING), (State.RESYNCING, Cause.GAP)),
        ((State.CLOSED, State.STALE), (State.STALE, Cause.GAP)),
        ((State.CLOSED, State.CONNECTING), (State.CONNECTING, Cause.GAP)),
        ((State.CLOSED, State.CLOSED), (State.CLOSED, Cause.GAP)),
        ((), (State.CONNECTING, None)),
    ],
)
def test_the_state_is_that_of_those_that_count_else_of_the_nearest_to_counting(states, expected):
    parts = [
        given_by(str(number), *A, state=state, cause=None if state.is_good else Cause.GAP)
        for number, state in enumerate(states)
    ]
    assert condition(select(parts, WINDOW)) == expected


def test_crossed_between_venues_is_a_signal_with_its_size():
    made = made_of(
        given_by("a", "101", "1.5", "102", "9"),
        given_by("b", "100.5", "2", "101.5", "9"),
        given_by("c", "99", "9", "100", "2"),
    )
    assert (made.bid.exchange, made.ask.exchange) == ("a", "c")
    assert made.spread == "-1"
    assert made.spread_bps == "-99.5025"
    assert made.crossed_bps == "99.5025"
    assert Decimal(made.crossed_size) == 2, "1.5 at 101 and 0.5 at 100.5"


def test_locked_between_venues_is_crossed_by_nothing():
    made = made_of(given_by("a", "100.0", "1", "101", "1"), given_by("b", "99", "1", "100", "3"))
    assert Decimal(made.spread) == Decimal(made.crossed_bps) == 0
    assert made.crossed_size == "1"


def test_another_quote_currency_is_named():
    made = made_of(given_by("a", *A), given_by("b", *B, quote="USD"))
    assert [each.quote for each in made.venues] == [None, "USD"]


def test_the_time_is_the_newest_and_does_not_run_backwards_but_for_a_wrong_clock():
    parts = [given_by("a", *A, timestamp=5_000), given_by("b", *B, timestamp=7_000)]
    assert made_of(*parts).timestamp == 7_000
    assert made_of(*parts).received == 7_005
    assert made_of(*parts, not_before=8_000).timestamp == 8_000
    assert made_of(*parts, not_before=13_000).timestamp == 7_000


_prices = st.decimals("0.00000001", "1000000", places=8).map(lambda value: format(value, "f"))
_sizes = st.decimals("0", "1000", places=6).map(lambda value: format(value, "f"))
_long = st.from_regex(r"[1-9][0-9]{0,20}\.[0-9]{18}", fullmatch=True)


@given(bid=_prices | _long, ask=_prices | _long)
def test_the_spread_is_exact_and_its_ratio_rounded_half_to_even(bid, ask):
    spread, bps = spread_of(admit(bid), admit(ask))
    low, high = Fraction(bid), Fraction(ask)
    assert Fraction(spread) == high - low
    assert Fraction(bps) * 10_000 == round((high - low) / (high + low) * 2 * 10_000 * 10_000)  # round: half to even
    assert "E" not in spread + bps


_quotes = st.lists(st.tuples(_prices, _sizes, _prices, _sizes), min_size=1, max_size=5)


@given(_quotes)
def test_the_crossed_size_is_what_a_matching_of_all_pairs_gives(rows):
    quotes = [quote_of(str(number), *row) for number, row in enumerate(rows)]
    prices = sorted({Decimal(each) for row in rows for each in (row[0], row[2])})
    # At the best price for all: all bids at or above it against all asks at or below it.
    volume = max(
        min(
            sum(Decimal(row[1]) for row in rows if Decimal(row[0]) >= price),
            sum(Decimal(row[3]) for row in rows if Decimal(row[2]) <= price),
        )
        for price in prices
    )
    assert Decimal(crossed_size(quotes)) == volume


_states = st.sampled_from(State)
_constituents = st.lists(
    st.tuples(_states, st.none() | _prices, st.none() | st.floats(0, 10).map(lambda age: NOW - age)), max_size=6
)


@given(_constituents)
def test_a_selection_is_what_the_rule_says(rows):
    parts = [
        Constituent(part_of(f"v{number}"), state, None, None if bid is None else bid, as_of)
        for number, (state, bid, as_of) in enumerate(rows)
    ]
    counted, excluded = select(parts, WINDOW)
    good = [each for each in parts if each.state.is_good and each.value is not None and each.as_of is not None]
    newest = max((each.as_of for each in good), default=None)
    assert [each.topic for each in counted] == [each.topic for each in good if each.as_of >= newest - WINDOW]
    assert [each.exchange for each in excluded] == [
        each.topic.exchange for each in parts if each.topic not in {counts.topic for counts in counted}
    ]
    assert bool(counted) == bool(good), "the newest always counts"

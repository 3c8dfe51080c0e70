"""From one holder's word to the next one's: nothing twice, nothing missing without a word, no time that goes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from cryptodash.cluster.bridge import CLOCK_STEP_MS, MOST_OF_A_MOMENT, Bridge
from cryptodash.core.events import Bbo, BookView, Candle, Event, Gap, Liquidation, Side, Ticker, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.topics import parse_topic
from tests.cluster.hub_fakes import States

TICKERS = parse_topic("binance:perpetual:BTC-USDT:ticker")
QUOTES = parse_topic("binance:perpetual:BTC-USDT:bbo")
TRADES = parse_topic("binance:perpetual:BTC-USDT:trade")
LIQUIDATIONS = parse_topic("binance:perpetual:BTC-USDT:liquidation")
BARS = parse_topic("binance:perpetual:BTC-USDT:candle:1m")
BOOK = parse_topic("binance:perpetual:BTC-USDT:order_book:10")
Make = Callable[[int], Ticker | Bbo]
PRICE, SIZE = Number("61837.63"), Number("0.00123")


def ticker(timestamp: int) -> Ticker:
    return Ticker(TICKERS, timestamp, 7, PRICE, figures="kept")


def bbo(timestamp: int) -> Bbo:
    return Bbo(QUOTES, timestamp, 7, PRICE, SIZE, PRICE, SIZE)


def trade(timestamp: int, name: str) -> Trade:
    return Trade(TRADES, timestamp, 7, name, PRICE, SIZE, Side.SELL)


def liquidation(timestamp: int, quantity: str) -> Liquidation:
    return Liquidation(LIQUIDATIONS, timestamp, 7, Side.BUY, PRICE, Number(quantity))


def bridge_after(*told: Event) -> Bridge:
    """A bridge whose topics were last told so."""
    states = States()
    for each in told:
        states.told.setdefault(each.topic, []).append(each)
    bridge = Bridge(states)
    bridge.expect(states.told)
    return bridge


@pytest.mark.parametrize(
    "event",
    [ticker(1), bbo(1), trade(1, "a"), liquidation(1, "1"), Gap(TRADES, 1, 2)],
    ids=lambda each: type(each).__name__,
)
def test_what_was_never_told_before_is_told_as_it_is(event: Event) -> None:
    bridge = Bridge(States())
    bridge.expect([event.topic])
    assert event.topic not in bridge
    assert list(bridge.cross(event)) == [event]


@pytest.mark.parametrize("make", [ticker, bbo])
def test_the_time_of_a_ticker_or_quote_stands_until_the_new_holder_has_come_as_far(make: Make) -> None:
    last = make(10_000)
    bridge = bridge_after(last)
    assert list(bridge.cross(make(9_000))) == [last]
    assert list(bridge.cross(make(10_000 - CLOCK_STEP_MS))) == [last]
    assert last.topic in bridge
    assert list(bridge.cross(make(10_000))) == [last]
    assert last.topic not in bridge
    assert list(bridge.cross(make(9_999))) == [make(9_999)], "from then on it is the venue that says the time"


def test_only_the_time_of_a_ticker_is_changed() -> None:
    bridge = bridge_after(ticker(10_000))
    newer = replace(ticker(9_000), last=Number("5"), figures="new")
    assert list(bridge.cross(newer)) == [replace(newer, timestamp=10_000)]


@pytest.mark.parametrize("make", [ticker, bbo])
def test_a_time_that_is_much_further_back_is_a_clock_that_was_set_and_is_followed(make: Make) -> None:
    bridge = bridge_after(make(10_000))
    far = make(10_000 - CLOCK_STEP_MS - 1)
    assert list(bridge.cross(far)) == [far]
    assert far.topic not in bridge


@pytest.mark.parametrize("make", [ticker, bbo])
@pytest.mark.parametrize("back", [1, CLOCK_STEP_MS, CLOCK_STEP_MS + 1, 9_000])
def test_a_value_that_the_holder_has_had_for_long_is_not_told_where_a_newer_one_was(make: Make, back: int) -> None:
    bridge = bridge_after(make(10_000))
    assert list(bridge.cross(make(10_000 - back), is_kept=True)) == []
    assert make(0).topic in bridge
    assert list(bridge.cross(make(10_000), is_kept=True)) == [make(10_000)]


def test_trades_that_were_told_are_not_told_again_and_a_gap_comes_before_the_first_that_was_not() -> None:
    bridge = bridge_after(trade(1_000, "b"))
    assert list(bridge.cross(trade(999, "a"))) == []
    assert list(bridge.cross(trade(1_000, "b"))) == []
    assert TRADES in bridge
    assert list(bridge.cross(trade(1_005, "c"))) == [Gap(TRADES, 1_000, 1_005), trade(1_005, "c")]
    assert TRADES not in bridge
    assert list(bridge.cross(trade(1_006, "d"))) == [trade(1_006, "d")], "one gap is enough"


def test_another_trade_of_the_same_time_is_told() -> None:
    bridge = bridge_after(trade(1_000, "b"))
    assert list(bridge.cross(trade(1_000, "c"))) == [Gap(TRADES, 1_000, 1_000), trade(1_000, "c")]


def test_all_trades_of_the_last_moment_are_known_by_their_ids() -> None:
    told = [trade(999, "a"), trade(1_000, "b"), trade(1_000, "c"), trade(1_000, "d")]
    for known in told:
        bridge = bridge_after(*told)
        assert list(bridge.cross(known)) == [], "whichever of them the venue tells again"
        assert TRADES in bridge
        assert list(bridge.cross(trade(1_000, "e"))) == [Gap(TRADES, 1_000, 1_000), trade(1_000, "e")]


def test_an_id_of_an_earlier_moment_may_come_again_at_the_last_one() -> None:
    bridge = bridge_after(trade(999, "a"), trade(1_000, "b"))
    assert list(bridge.cross(trade(1_000, "a"))) == [Gap(TRADES, 1_000, 1_000), trade(1_000, "a")]


def test_liquidations_of_the_same_moment_are_all_known() -> None:
    bridge = bridge_after(liquidation(1_000, "1"), liquidation(1_000, "2"))
    for quantity in ("1", "2", "1"):
        assert list(bridge.cross(liquidation(1_000, quantity))) == []
    assert list(bridge.cross(liquidation(1_000, "3")))[1:] == [liquidation(1_000, "3")]


def test_no_more_than_so_many_of_a_moment_are_asked_for_and_the_newest_of_them() -> None:
    bridge = bridge_after(*[trade(1_000, str(number)) for number in range(MOST_OF_A_MOMENT + 1)])
    assert list(bridge.cross(trade(1_000, str(MOST_OF_A_MOMENT)))) == []
    assert list(bridge.cross(trade(1_000, "1"))) == []
    assert list(bridge.cross(trade(1_000, "0")))[1:] == [trade(1_000, "0")]


def test_liquidations_without_an_id_are_told_apart_by_what_they_say() -> None:
    bridge = bridge_after(liquidation(1_000, "1"))
    assert list(bridge.cross(liquidation(1_000, "1"))) == []
    assert list(bridge.cross(liquidation(1_000, "2"))) == [
        Gap(LIQUIDATIONS, 1_000, 1_000),
        liquidation(1_000, "2"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        Candle(BARS, 60_000, 7, PRICE, PRICE, PRICE, PRICE, SIZE, True),
        BookView(BOOK, 100, 60_000, 7, ((PRICE, SIZE),), ()),
    ],
    ids=["candle", "book"],
)
def test_bars_and_books_cross_as_they_are(event: Event) -> None:
    assert list(bridge_after(event).cross(event)) == [event]


def test_topics_do_not_wait_for_each_other() -> None:
    bridge = bridge_after(trade(1_000, "b"), ticker(10_000))
    assert len(bridge.cross(trade(2_000, "c"))) == 2
    assert TICKERS in bridge and TRADES not in bridge


def test_what_is_forgotten_crosses_as_it_is() -> None:
    bridge = bridge_after(trade(1_000, "b"), ticker(10_000))
    bridge.forget(TRADES)
    bridge.forget(QUOTES)
    assert list(bridge.cross(trade(999, "a"))) == [trade(999, "a")]
    assert TICKERS in bridge
    bridge.clear()
    assert list(bridge.cross(ticker(9_999))) == [ticker(9_999)]


def test_a_bridge_that_is_expected_anew_begins_from_what_was_told_last() -> None:
    states = States()
    bridge = Bridge(states)
    for timestamp, name in ((1_000, "b"), (2_000, "c")):
        states.told[TRADES] = [trade(timestamp, name)]
        bridge.expect([TRADES])
    assert list(bridge.cross(trade(2_000, "c"))) == []
    assert list(bridge.cross(trade(2_001, "d"))) == [Gap(TRADES, 2_000, 2_001), trade(2_001, "d")]

"""Every closed bar exactly once, whatever becomes of the frame that closes it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cryptodash.core.events import Candle
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Bar
from cryptodash.exchanges.builders.candles import (
    CLOSE_MARGIN_MS,
    MAX_HELD,
    MAX_MISSING,
    MAX_TRIES,
    CandleBuilder,
    candles_of,
)

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

TOPIC = Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.CANDLE, interval="1m")
MINUTE = 60_000
START = 1_700_000_040_000


def at(minute: int) -> int:
    return START + minute * MINUTE


def bar(minute: int, close: str = "1", *, closed: bool = False) -> Bar:
    one = Number("1")
    return Bar("s", at(minute), one, one, one, Number(close), one, closed)


def rest(minute: int, close: str = "1", *, closed: bool = True) -> Candle:
    one = Number("1")
    return Candle(TOPIC, at(minute), RECEIVED, one, one, one, Number(close), one, closed, "rest")


def brief(candles: list[Candle]) -> str:
    """``"0:1.venue 1:2."``: minute, close price, a full stop if closed, the source of closed
    bars, ``!`` if corrected."""
    words = []
    for each in candles:
        closed = f".{each.source}" if each.closed else ""
        words.append(f"{(each.timestamp - START) // MINUTE}:{each.close}{closed}{'!' if each.corrected else ''}")
    return " ".join(words)


def feed(assembly: CandleBuilder, *bars: Bar) -> tuple[str, bool]:
    """What these frames told, and whether the last asked for a fetch."""
    told: list[Candle] = []
    fetch = False
    for each in bars:
        events, fetch = assembly.bar(each, RECEIVED)
        told += events
    return brief(told), fetch


@pytest.mark.parametrize(
    ("bars", "told"),
    [
        ([bar(0), bar(0, "2")], "0:1 0:2"),
        ([bar(0), bar(0)], "0:1"),  # unchanged
        ([bar(0), bar(0, closed=True), bar(1)], "0:1 0:1.venue 1:1"),
        ([bar(0, closed=True), bar(0, closed=True)], "0:1.venue"),
        ([bar(0, closed=True), bar(0, "3", closed=True)], "0:1.venue 0:3.venue!"),
        ([bar(0, closed=True), bar(0, "3", closed=True), bar(0, "3", closed=True)], "0:1.venue 0:3.venue!"),
        ([bar(0, closed=True), bar(0, "3")], "0:1.venue"),  # a late running frame of a closed bar
        ([bar(5), bar(4), bar(3, closed=True)], "5:1"),
        ([bar(0, closed=True), bar(1, closed=True), bar(0, "9", closed=True)], "0:1.venue 1:1.venue"),
        ([bar(0, closed=True), bar(1), bar(0, "9", closed=True)], "0:1.venue 1:1 0:9.venue!"),
    ],
)
def test_bars_of_an_unbroken_stream(bars: list[Bar], told: str) -> None:
    assembly = CandleBuilder(TOPIC)
    assert feed(assembly, *bars) == (told, False)
    assert assembly.missing == 0


def broken() -> CandleBuilder:
    """Bar 0 runs, and its closing frame is lost."""
    assembly = CandleBuilder(TOPIC)
    assert feed(assembly, bar(0)) == ("0:1", False)
    assert feed(assembly, bar(1, "5")) == ("", True)
    assert assembly.missing == 2
    return assembly


def test_lost_closing_frame_is_fetched_before_the_next_bar_is_told() -> None:
    assembly = broken()
    assert feed(assembly, bar(1, "6"), bar(1, "7")) == ("", False)
    assert brief(assembly.fetched([rest(-1), rest(0, "4"), rest(1, "5", closed=False)])) == "0:4.rest 1:7"
    assert feed(assembly, bar(1, "7"), bar(1, "8", closed=True), bar(2)) == ("1:8.venue 2:1", False)


def test_late_closing_frame_makes_the_fetch_needless() -> None:
    assembly = broken()
    assert feed(assembly, bar(0, "4", closed=True)) == ("0:4.venue 1:5", False)
    assert assembly.fetched([rest(0, "4")]) == []
    assert assembly.missing == 0


def test_several_bars_missed_are_told_in_order() -> None:
    assembly = CandleBuilder(TOPIC)
    feed(assembly, bar(0, closed=True))
    assembly.reconnected()
    assert feed(assembly, bar(4)) == ("", True)
    assert assembly.missing == 4
    assert (
        brief(assembly.fetched([rest(n) for n in range(-3, 4)] + [rest(4, closed=False)]))
        == "1:1.rest 2:1.rest 3:1.rest 4:1"
    )


def test_a_bar_the_venue_never_made_is_passed_over() -> None:
    assembly = CandleBuilder(TOPIC)
    feed(assembly, bar(0, closed=True))
    assert feed(assembly, bar(3)) == ("", True)
    assert brief(assembly.fetched([rest(0), rest(2)])) == "2:1.rest 3:1"


def test_an_answer_that_lags_is_asked_for_again() -> None:
    assembly = broken()
    assert assembly.fetched([rest(0, closed=False)]) == []
    assert feed(assembly, bar(1, "6")) == ("", False)
    assert feed(assembly, bar(1, "7")) == ("", True)
    assert brief(assembly.fetched([rest(0, "4")])) == "0:4.rest 1:7"


def test_bars_that_open_during_the_fetch_wait_in_order() -> None:
    assembly = broken()
    assert feed(assembly, bar(1, "6", closed=True), bar(1, "5"), bar(2), bar(3)) == ("", False)
    assert assembly.missing == 4
    assert brief(assembly.fetched([rest(0), rest(1, "9")])) == "0:1.rest 1:6.venue"
    assert feed(assembly, bar(3, "2")) == ("", True)  # bar 2 was never closed either
    assert brief(assembly.fetched([rest(2)])) == "2:1.rest 3:2"


def test_after_the_last_try_the_stream_goes_on_without_the_lost_bar() -> None:
    assembly = broken()
    frames = 0
    for attempt in range(1, MAX_TRIES + 1):
        told = brief(assembly.fetch_failed())
        if attempt == MAX_TRIES:
            assert told == "1:5"
            break
        assert told == ""
        fetch = False
        while not fetch:
            frames += 1
            assert frames < 100
            _, fetch = feed(assembly, bar(1, "5"))
    assert frames == 2 + 4 + 8 + 16
    assert feed(assembly, bar(1, "6", closed=True), bar(2)) == ("1:6.venue 2:1", False)


def test_a_new_connection_counts_the_tries_anew() -> None:
    assembly = broken()
    assembly.reconnected()
    assert assembly.fetch_failed() == []  # the answer of a fetch that was given up
    assert feed(assembly, bar(1, "6")) == ("", True)
    assert brief(assembly.fetched([rest(0)])) == "0:1.rest 1:6"


def test_what_is_held_is_bounded() -> None:
    assembly = broken()
    told, _ = feed(assembly, *(bar(n, closed=True) for n in range(1, MAX_HELD + 2)))
    assert told.startswith("1:1.venue 2:1.venue") and told.endswith(f"{MAX_HELD + 1}:1.venue")


def test_what_is_fetched_is_bounded() -> None:
    assembly = CandleBuilder(TOPIC)
    feed(assembly, bar(0, closed=True))
    assert feed(assembly, bar(50_000)) == ("", True)
    assert assembly.missing == MAX_MISSING
    told = assembly.fetched([rest(n) for n in range(48_990, 50_000)])
    assert len(told) == MAX_MISSING + 1 and told[0].timestamp == at(49_000)


def closed_bars(opens: str, venue_ms: int) -> str:
    """Which of these bars (their open times in minutes) count as closed in an answer that comes at ``venue_ms``."""
    one = Number("1")
    bars = [Bar("", MINUTE * int(each), one, one, one, one, one, closed=False) for each in opens.split()]
    candles = candles_of(TOPIC, bars, venue_ms, RECEIVED)
    assert all((each.source, each.received) == ("rest", RECEIVED) for each in candles)
    return " ".join(f"{each.timestamp // MINUTE}{'c' * each.closed}" for each in candles)


@pytest.mark.parametrize(
    ("opens", "venue_ms", "closed"),
    [
        ("3 1 2 2", 0, "1c 2c 3"),  # in any order, one per open time; a later bar proves that the earlier ones are over
        ("1", 2 * MINUTE, "1"),  # its time is over, but only just: the venue may still count
        ("1", 2 * MINUTE + CLOSE_MARGIN_MS - 1, "1"),
        ("1", 2 * MINUTE + CLOSE_MARGIN_MS, "1c"),
        ("", 2 * MINUTE, ""),
    ],
)
def test_bars_of_rest_are_closed_by_a_later_one_or_by_the_venues_clock(opens: str, venue_ms: int, closed: str) -> None:
    assert closed_bars(opens, venue_ms) == closed


def month(year: int, number: int) -> int:
    return int(datetime(year, number, 1, tzinfo=timezone.utc).timestamp()) * 1000


def test_months_follow_the_calendar() -> None:
    one = Number("1")
    assembly = CandleBuilder(TOPIC.sibling(Channel.CANDLE, interval="1M"))
    for time in (month(2023, 12), month(2024, 1), month(2024, 2), month(2024, 3)):
        events, fetch = assembly.bar(Bar("s", time, one, one, one, one, one, True), RECEIVED)
        assert (len(events), fetch) == (1, False)
    assert assembly.bar(Bar("s", month(2024, 5), one, one, one, one, one, False), RECEIVED) == ([], True)
    assert assembly.missing == 2


@pytest.mark.parametrize("time", [-1, 10**18])
@pytest.mark.parametrize("interval", ["1m", "1M"])
def test_impossible_times_are_passed_over(time: int, interval: str) -> None:
    one = Number("1")
    assert CandleBuilder(TOPIC.sibling(Channel.CANDLE, interval=interval)).bar(
        Bar("s", time, one, one, one, one, one, True), RECEIVED
    ) == ([], False)


STEPS = st.lists(
    st.sampled_from(("run", "run", "close", "lose", "lag", "answer", "fail", "reconnect", "repeat")), max_size=80
)


@given(steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_closed_bars_are_told_once_in_order_and_none_is_missed(steps: list[str]) -> None:
    """As long as REST answers before the tries are used up, no closed bar is missing."""
    assembly = CandleBuilder(TOPIC)
    told: list[Candle] = []
    minute, asked, failures = 0, False, 0

    def take(frame: Bar) -> None:
        nonlocal asked
        events, fetch = assembly.bar(frame, RECEIVED)
        told.extend(events)
        asked = asked or fetch

    take(bar(0))
    for number, step in enumerate(steps):
        if step == "close":
            take(bar(minute, closed=True))
            minute += 1
        elif step == "lose":
            minute += 1
        elif step == "repeat" and minute:
            take(bar(minute - 1, closed=True))
        elif step == "reconnect":
            assembly.reconnected()
            asked, failures = False, 0
        elif step == "fail" and asked and failures < MAX_TRIES - 1:
            told.extend(assembly.fetch_failed())
            asked, failures = False, failures + 1
        elif step in ("answer", "lag") and asked:
            known = minute - (step == "lag")
            told.extend(assembly.fetched([rest(n) for n in range(known)] + [rest(known, closed=False)]))
            asked, failures = False, 0 if step == "answer" else MAX_TRIES
            if step == "lag":
                assembly.reconnected()
                failures = 0
        take(bar(minute, str(number + 2)))
    closed = [each.timestamp for each in told if each.closed]
    assert closed == [at(n) for n in range(len(closed))]
    running = [each.timestamp for each in told]
    assert running == sorted(running)
    for _ in range(80):
        take(bar(minute, "1"))
        if asked:
            told.extend(assembly.fetched([rest(n) for n in range(minute)] + [rest(minute, closed=False)]))
            asked = False
    assert [each.timestamp for each in told if each.closed] == [at(n) for n in range(minute)]
    assert told[-1].timestamp == at(minute)


def test_a_frame_of_the_running_bar_that_was_overtaken_is_dropped() -> None:
    assembly = CandleBuilder(TOPIC)
    frames = [replace(bar(0, str(close)), time=at(0) + close) for close in (1, 3, 2, 4)]
    assert feed(assembly, *frames)[0] == "0:1 0:3 0:4"
    # the last word is the last word
    assert feed(assembly, replace(bar(0, "5", closed=True), time=at(0)))[0] == "0:5.venue"


def test_a_frame_that_a_held_one_has_overtaken_is_dropped() -> None:
    """The order that a venue mixes up where a bar closes: the first frame of the next bar came last, and its figures of
    nothing replaced newer ones (seed 834)."""
    assembly = CandleBuilder(TOPIC)
    frames = [replace(bar(0), time=at(0) + 1), replace(bar(1, "3"), time=at(1) + 2)]
    assert feed(assembly, *frames) == ("0:1", True)
    assert feed(assembly, replace(bar(0, "2", closed=True), time=at(1)))[0] == "0:2.venue 1:3"
    assert feed(assembly, replace(bar(1, "0"), time=at(1) + 1))[0] == ""
    assert feed(assembly, replace(bar(1, "4"), time=at(1) + 3))[0] == "1:4"


def test_it_waits_while_newer_bars_are_held_back() -> None:
    assembly = CandleBuilder(TOPIC)
    feed(assembly, bar(0))
    assert not assembly.is_waiting
    feed(assembly, bar(1))
    assert assembly.is_waiting
    assembly.fetched([rest(0)])
    assert not assembly.is_waiting

"""Bars from the future, bars that no frame closes, and bars that the trades contradict."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, Cause, State, StreamStatus
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Bar
from cryptodash.exchanges.builders.candles import CandleBuilder
from cryptodash.exchanges.venues.binance import streams as binance
from cryptodash.exchanges.venues.bybit import streams as bybit
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import SPOT, make_catalogue

CANDLES = "spot:BTC-USDT:candle:1m"
TRADES = "spot:BTC-USDT:trade"
MINUTE = 60_000
T = 1_786_539_480_000
FAR = 61_786_539_480_000


def topic(exchange: str) -> Topic:
    return Topic(exchange, MarketType.SPOT, Symbol("BTC", "USDT"), Channel.CANDLE, interval="1m")


def binance_frame(opened: int, sent: int, *, closed: bool = False) -> Bar:
    bar = {"t": opened, "T": opened + MINUTE - 1, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "1.0", "c": "1.1"}
    bar |= {"h": "1.2", "l": "0.9", "v": "5", "n": 2, "x": closed, "q": "5", "V": "1", "Q": "1", "B": "0"}
    frame = {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": sent, "s": "BTCUSDT", "k": bar}}
    (message,) = binance.read_kline("btcusdt@kline_1m", json.dumps(frame).encode())
    assert isinstance(message, Bar)
    return message


def bybit_frame(opened: int, sent: int, *, closed: bool = False) -> Bar:
    bar = {"start": opened, "end": opened + MINUTE - 1, "interval": "1", "open": "1.0", "close": "1.1", "high": "1.2"}
    bar |= {"low": "0.9", "volume": "5", "turnover": "5", "confirm": closed, "timestamp": sent}
    frame = {"topic": "kline.1.BTCUSDT", "data": [bar], "ts": sent, "type": "snapshot"}
    (message,) = bybit.read_kline("kline.1.BTCUSDT", json.dumps(frame).encode())
    assert isinstance(message, Bar)
    return message


def timeless_frame(opened: int, sent: int, *, closed: bool = False) -> Bar:
    one = Number("1")
    return Bar("s", opened, one, one, one, Number("1.1"), one, closed)


# A bar from the future


@pytest.mark.parametrize("skew", [0, 90_000, -90_000])
@pytest.mark.parametrize("frame", [binance_frame, bybit_frame, timeless_frame])
@pytest.mark.parametrize("future", [FAR, T + 600 * MINUTE, T + 4 * MINUTE])
@pytest.mark.parametrize("first", [False, True])
def test_a_bar_from_the_future_is_refused_and_real_bars_go_on(frame, future: int, first: bool, skew: int) -> None:
    """``skew``: how far the venue's clock as we know it is off."""
    builder = CandleBuilder(topic("binance"))
    told: list[Candle] = []

    def take(opened: int, sent: int, *, closed: bool = False) -> None:
        outcome = builder.bar(frame(opened, sent, closed=closed), sent, sent + skew)
        assert not outcome.fetch
        told.extend(outcome.events)

    if not first:
        take(T, T + 1_000)
    take(future, T + 2_000)
    for minute in range(3):
        take(T + minute * MINUTE, T + minute * MINUTE + 5_000)
        take(T + minute * MINUTE, T + (minute + 1) * MINUTE, closed=True)
    assert [each.timestamp for each in told if each.closed] == [T, T + MINUTE, T + 2 * MINUTE]
    assert max(each.timestamp for each in told) == T + 2 * MINUTE
    assert builder.refused == 1 and not builder.is_waiting


@pytest.mark.parametrize("frame", [binance_frame, bybit_frame])
def test_a_frame_whose_own_time_is_nonsense_silences_nothing(frame) -> None:
    """The time of writing orders the frames of a bar: one from the future would make all after it look overtaken."""
    builder = CandleBuilder(topic("binance"))
    told: list[Candle] = []
    for opened, sent, now in (
        (T, T + 1_000, T + 1_000),
        (FAR, FAR, T + 2_000),
        (T + 7 * MINUTE, T + 7 * MINUTE, T + 3_000),
        (T, T + 4_000, T + 4_000),
    ):
        told += builder.bar(frame(opened, sent), now, now).events
    told += builder.bar(frame(T, T + MINUTE, closed=True), T + MINUTE, T + MINUTE).events
    assert [(each.timestamp, each.closed) for each in told] == [(T, False), (T, True)]
    assert not builder.is_waiting


def test_the_next_bar_that_has_not_begun_makes_way_for_the_one_that_runs_still() -> None:
    """A minute ahead a venue's clocks may be; what the running bar's later frames say counts."""
    builder = CandleBuilder(topic("binance"))
    told: list[Candle] = []
    for opened, sent, closed in (
        (T, T + 1_000, False),
        (T + MINUTE, T + 2_000, False),
        (T, T + 3_000, False),
        (T, T + MINUTE, True),
        (T + MINUTE, T + MINUTE + 10, False),
    ):
        told += builder.bar(binance_frame(opened, sent, closed=closed), sent, sent).events
    assert [(each.timestamp, each.closed) for each in told] == [(T, False), (T, True), (T + MINUTE, False)]
    assert not builder.is_waiting


@pytest.mark.parametrize("off", [1, 999, 31_234])
def test_open_times_off_the_grid_after_an_outage(off: int) -> None:
    builder = CandleBuilder(topic("binance"))
    told: list[Candle] = []
    for opened, sent, closed in (
        (T, T + MINUTE, True),
        (T + MINUTE + off, T + MINUTE + off + 5, False),
        (T + MINUTE + off, T + 2 * MINUTE, True),
        (T + 2 * MINUTE, T + 2 * MINUTE + 5, False),
        (T + 2 * MINUTE, T + 3 * MINUTE, True),
    ):
        outcome = builder.bar(binance_frame(opened, sent, closed=closed), sent, sent)
        assert not outcome.fetch
        told += outcome.events
    assert [each.timestamp for each in told if each.closed] == [T, T + MINUTE + off, T + 2 * MINUTE]


def test_a_month_that_is_said_to_open_on_its_last_day() -> None:
    january_31 = 1_706_659_200_123
    builder = CandleBuilder(topic("binance").sibling(Channel.CANDLE, interval="1M"))
    (told,) = builder.bar(timeless_frame(january_31, 0, closed=True), january_31, january_31).events
    assert told.timestamp == january_31, "as the venue says it"
    assert builder.look(january_31 + 40 * 86_400_000) > 0


def start_of(bench: Bench, *topics: str) -> int:
    """Want the topics when a minute has just begun; the open time of its bar."""
    bench.clock.advance((MINUTE - bench.wall % MINUTE) / 1000)
    bench.want(*(topics or (CANDLES,)))
    return bench.wall


def pass_time(bench: Bench, seconds: float) -> None:
    """Let time pass on connections that give signs of life."""
    for _ in range(int(seconds)):
        for server in bench.servers.values():
            bench.engine.heard(server.key)
        bench.advance(1)
    bench.advance(seconds % 1)


def told(bench: Bench, start: int) -> list[tuple[int, str, bool, str]]:
    """Minute, close, closed, source of every candle."""
    return [
        ((each.timestamp - start) // MINUTE, each.close, each.closed, each.source) for each in bench.published(Candle)
    ]


def test_the_refused_are_counted() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    bench.frame(wire.candle("BTCUSDT", start + 600 * MINUTE, "102"))
    assert bench.count("cryptodash_candles_refused_total") == 1
    assert bench.state(CANDLES) is State.LIVE and not bench.fetches


def test_a_bar_from_the_future_in_an_answer_closes_nothing() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100", True))
    bench.clock.advance(130)
    bench.frame(wire.candle("BTCUSDT", start + 2 * MINUTE, "102"))
    (request,) = bench.fetches
    rows = ((start, "100"), (start + MINUTE, "101"), (start + 2 * MINUTE, "102"), (start + 900 * MINUTE, "9"))
    bench.answer(request, json.dumps(rows).encode())
    assert told(bench, start)[1:] == [(1, "101", True, "rest"), (2, "102", False, "venue")]
    assert bench.count("cryptodash_candles_refused_total") == 1


def test_a_trade_from_the_future_ends_no_bar_built_from_trades() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:candle:3m")
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    number = 0

    def trade(price: str, time: int, came: int) -> None:
        nonlocal number
        number += 1
        pass_time(bench, (came - bench.wall) / 1000)
        bench.frame(wire.trade("BTCUSDT", number, price, time))

    for before in range(20, 0, -1):
        trade("90", start - before * 1000, start - before * 1000)
    trade("100", start + 10, start + 10)
    for second, ahead in ((1, 600 * MINUTE), (2, FAR - start), (3, length + 4_000 - 3_000)):
        trade("999", start + ahead, start + second * 1000)
    trade("104", start + MINUTE, start + MINUTE)
    trade("99", start + length - 10, start + length - 10)
    trade("101", start + length + 10, start + length + 10)
    closed = [each for each in bench.published(Candle) if each.closed]
    assert [(each.timestamp, each.high, each.close, each.volume) for each in closed] == [(start, "104", "99", "3")]
    assert bench.count("cryptodash_candles_refused_total") == 3


def test_a_trade_of_a_bar_that_has_not_begun_by_the_venues_clock_waits() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:candle:3m")
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    for number, (time, came, price) in enumerate(
        (
            *((-each * 1000, -each * 1000, "90") for each in range(20, 0, -1)),
            (10, 10, "100"),
            (length + 1, length - 20_000, "103"),
            (length - 10, length - 10, "99"),
        ),
        1,
    ):
        pass_time(bench, (start + came - bench.wall) / 1000)
        bench.frame(wire.trade("BTCUSDT", number, price, start + time))
    bench.advance(5)
    bars = [(each.timestamp - start, each.close, each.volume, each.closed) for each in bench.published(Candle)]
    assert bars[-2:] == [(0, "99", "2", True), (length, "103", "1", False)]


# A bar that no frame closes


def test_a_bar_whose_closing_frame_does_not_come_is_closed_by_rest_soon_after_its_end() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.advance(10)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    bench.advance((start + MINUTE - bench.wall) / 1000 + 2)
    assert bench.fetches == [], "the closing frame may still come"
    bench.advance(5)
    (request,) = bench.fetches
    bench.answer(request, json.dumps([[start, "100.5"], [start + MINUTE, "101"]]).encode())
    assert told(bench, start) == [(0, "100", False, "venue"), (0, "100.5", True, "rest")]
    bench.advance(30)
    assert bench.fetches == [], "once"
    bench.frame(wire.candle("BTCUSDT", start, "100.5", True))
    assert len(told(bench, start)) == 2, "the closing frame after all"
    bench.frame(wire.candle("BTCUSDT", start, "100.75", True))
    assert [each.corrected for each in bench.published(Candle)] == [False, False, True]


def test_quiet_minutes_are_closed_one_by_one() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    for minute in range(1, 4):
        bench.advance((start + minute * MINUTE - bench.wall) / 1000 + 6)
        (request,) = bench.fetches
        rows = [[start + each * MINUTE, "100"] for each in range(minute + 1)]
        bench.answer(request, json.dumps(rows).encode())
    assert told(bench, start)[1:] == [(each, "100", True, "rest") for each in range(3)]


def test_a_topic_that_never_had_a_frame_tells_closed_bars() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.advance((start + MINUTE - bench.wall) / 1000 + 6)
    for request in bench.fetches[:]:
        bench.answer(request, json.dumps([[start + each * MINUTE, "100"] for each in (-2, -1, 0, 1)]).encode())
    assert told(bench, start)[-1] == (0, "100", True, "rest")
    assert len(told(bench, start)) <= 2, "from the bar that ran when it was subscribed"
    assert bench.state(CANDLES) is State.CONNECTING, "no frame has shown that the stream works"


def test_a_bar_is_closed_while_the_connection_is_gone() -> None:
    bench = Bench(obedient=True)
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    bench.advance(50)
    bench.obedient = False
    bench.close(bench.only)
    bench.advance(16)
    (request,) = bench.fetches
    bench.answer(request, json.dumps([[start, "100.5"]]).encode())
    assert told(bench, start)[-1] == (0, "100.5", True, "rest")
    assert bench.state(CANDLES) is State.STALE


def test_rest_that_fails_or_still_shows_the_bar_running_is_asked_again_ever_more_rarely() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    bench.advance((start + MINUTE - bench.wall) / 1000)
    asked: list[float] = []
    for _ in range(400):
        bench.advance(0.5)
        for request in bench.fetches[:]:
            asked.append((bench.wall - start - MINUTE) / 1000)
            if len(asked) < 5:
                bench.fail(request, UpstreamError("disconnected", "no"))
            else:
                bench.answer(request, b"[]")
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert 3 <= asked[0] <= 6 and gaps[:5] == [1, 2, 4, 8, 16] and max(gaps) <= 65
    assert gaps == sorted(gaps)


def test_without_a_frame_a_lost_bar_is_asked_for_again() -> None:
    """A newer bar is held back; the stream sends nothing more."""
    bench = Bench()
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    bench.advance(60)
    bench.frame(wire.candle("BTCUSDT", start + MINUTE, "102"))
    bench.fail(bench.fetches[0], UpstreamError("disconnected", "no"))
    bench.advance(3)
    (request,) = bench.fetches
    bench.answer(request, json.dumps([[start, "101"], [start + MINUTE, "102"]]).encode())
    assert told(bench, start)[1:] == [(0, "101", True, "rest"), (1, "102", False, "venue")]


def test_many_bars_that_end_together_are_asked_for_a_few_at_a_time() -> None:
    names = [f"C{number}" for number in range(100)]
    bench = Bench(catalogue=make_catalogue(*(f"{each}-USDT" for each in names)))
    start = start_of(bench, *(f"spot:{each}-USDT:candle:1m" for each in names))
    bench.advance(20)
    for server in list(bench.servers.values()):
        for name in sorted(server.streams):
            bench.frame(wire.candle(name.partition(":")[2], start, "100"), server)
    most, asked = 0, []
    bench.advance(40)
    for _ in range(120):
        bench.advance(0.5)
        most = max(most, len(bench.fetches))
        for request in bench.fetches[:]:
            asked.append(bench.wall)
            bench.answer(request, json.dumps([[start, "101"], [start + MINUTE, "1"]]).encode())
    closed = [each for each in bench.published(Candle) if each.closed and each.timestamp == start]
    assert most <= 4 and len({each.topic for each in closed}) == len(closed) == 100
    assert max(sum(at <= each < at + 1000 for each in asked) for at in asked) <= 20


def test_a_dropped_topic_gives_its_place_back() -> None:
    names = [f"C{number}" for number in range(10)]
    bench = Bench(catalogue=make_catalogue(*(f"{each}-USDT" for each in names)))
    topics = [f"spot:{each}-USDT:candle:1m" for each in names]
    start_of(bench, *topics)
    bench.advance(70)
    asked = {request.native for request in bench.fetches}
    assert len(asked) == 4
    bench.drop(*(each for each, name in zip(topics, names, strict=True) if f"{name}USDT" in asked))
    bench.advance(2)
    assert len({request.native for request in bench.fetches} - asked) == 4


def test_a_bar_that_the_stream_went_on_without_is_told_when_rest_has_it_and_until_then_the_topic_is_not_live() -> None:
    bench = Bench()
    start = start_of(bench)
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    pass_time(bench, 60)
    for number in range(60):
        bench.frame(wire.candle("BTCUSDT", start + MINUTE, f"102.{number + 1}"))
        for request in bench.fetches[:]:
            bench.fail(request, UpstreamError("banned", "no"))
        bench.advance(0.2)
    assert told(bench, start)[-1][0] == 1, "it goes on"
    assert (bench.status(CANDLES).state, bench.status(CANDLES).cause) == (State.RESYNCING, Cause.GAP)
    pass_time(bench, 4)
    (request,) = bench.fetches
    bench.answer(request, json.dumps([[start, "101"], [start + MINUTE, "102"]]).encode())
    assert told(bench, start)[-1] == (0, "101", True, "rest")
    bench.frame(wire.candle("BTCUSDT", start + MINUTE, "103"))
    assert bench.state(CANDLES) is State.LIVE
    assert [each for each in told(bench, start) if each[2]] == [(0, "101", True, "rest")]


@pytest.mark.parametrize("learned", ["from frames", "from an answer's Date", "not before the answer at hand"])
@pytest.mark.parametrize("fast_s", [90, -90, 1, -1])
def test_a_bar_is_closed_by_the_venues_clock_whatever_ours_says(fast_s: int, learned: str) -> None:
    """Our clock is ``fast_s`` seconds ahead of the venue's. Every answer has a Date, and the engine is told."""
    bench = Bench()
    bench.clock.advance((MINUTE - (bench.wall - 1000 * fast_s) % MINUTE) / 1000)

    def venue_ms() -> int:
        return bench.wall - 1000 * fast_s

    start = venue_ms()
    bench.want(CANDLES, TRADES)
    if learned == "from an answer's Date":
        bench.engine.dated(SPOT, start)
    for number in range(4):
        sent = venue_ms() if learned == "from frames" else None
        bench.frame(wire.candle("BTCUSDT", start, f"100.{number + 1}", sent=sent))
        bench.advance(1)
    asked: list[int] = []
    while not any(each.closed for each in bench.published(Candle)):
        assert venue_ms() < start + 4 * MINUTE
        pass_time(bench, 0.5)
        for request in bench.fetches[:]:
            asked.append(venue_ms() - start - MINUTE)
            bench.engine.dated(SPOT, venue_ms() // 1000 * 1000)
            rows = [[start - MINUTE, "99"], [start, "101" if venue_ms() >= start + MINUTE else "100.5"]]
            bench.answer(request, json.dumps(rows).encode())
    closed = [each for each in bench.published(Candle) if each.closed and each.timestamp >= start]
    assert [(each.timestamp, each.close) for each in closed][:1] == [(start, "101")], "with its last figures"
    if learned != "not before the answer at hand" or abs(fast_s) == 1:
        assert 2_000 <= asked[-1] <= 7_500, "an earlier one came before a frame had told the time"
    assert venue_ms() >= start + MINUTE


@pytest.mark.parametrize("fast_s", [90, -90])
def test_a_bar_built_from_trades_is_closed_by_the_venues_clock(fast_s: int) -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:candle:3m")
    length = 3 * MINUTE
    start = bench.wall - 1000 * fast_s
    start += length - start % length
    for number, after in enumerate((*range(-10_000, 0, 1000), 10, 5_000)):
        pass_time(bench, (start + after + 1000 * fast_s - bench.wall) / 1000)
        bench.frame(wire.trade("BTCUSDT", number, "100", start + after))
    pass_time(bench, (start + length + 1000 * fast_s - bench.wall) / 1000 + 0.9)
    assert not [each for each in bench.published(Candle) if each.closed]
    pass_time(bench, 1)
    assert [(each.timestamp, each.volume) for each in bench.published(Candle) if each.closed] == [(start, "2")]


# What trades prove


def run(bench: Bench, seconds: float, *, trades: bool = True, candles: bool = True, behind: int = 0) -> None:
    """Half seconds with frames; ``behind``: how old the bars are, ms."""
    for _ in range(round(seconds * 2)):
        if trades:
            bench.frame(wire.trade("BTCUSDT", bench.wall, "100", bench.wall))
        if candles and bench.wall // 500 % 4 == 0:  # every two seconds
            sent = bench.wall - behind
            bench.frame(wire.candle("BTCUSDT", sent - sent % MINUTE, "100", sent=sent, volume=str(sent)))
        bench.engine.heard(bench.only.key)  # of the connection, whatever its streams bring
        bench.advance(0.5)


def running() -> Bench:
    bench = Bench()
    start_of(bench, CANDLES, TRADES)
    run(bench, 20.5)
    assert bench.state(CANDLES) is State.LIVE
    return bench


def test_trades_that_no_bar_shows_prove_that_the_stream_of_bars_misses_frames() -> None:
    bench = running()
    run(bench, 3, candles=False)
    assert bench.state(CANDLES) is State.LIVE
    run(bench, 5, candles=False)
    assert (bench.status(CANDLES).state, bench.status(CANDLES).cause) == (State.STALE, Cause.SILENT)
    assert bench.state(TRADES) is State.LIVE
    run(bench, 3)
    assert bench.state(CANDLES) is State.LIVE


def test_without_trades_a_silent_stream_of_bars_is_quiet() -> None:
    bench = running()
    run(bench, 15, trades=False, candles=False)
    assert bench.state(CANDLES) is State.QUIET
    run(bench, 0.5, candles=False)
    run(bench, 0.5, trades=False)
    assert bench.state(CANDLES) is not State.STALE, "the bar comes a moment after the trade"


def test_after_a_silence_of_both_the_first_trades_prove_that_the_bar_is_old() -> None:
    bench = running()
    run(bench, 12, trades=False, candles=False)
    run(bench, 5, candles=False)
    assert (bench.status(CANDLES).state, bench.status(CANDLES).cause) == (State.STALE, Cause.SILENT)


def test_a_stream_of_bars_that_recovers_is_good_only_with_a_frame_as_new_as_the_trades() -> None:
    bench = running()
    run(bench, 10, candles=False)
    assert bench.state(CANDLES) is State.STALE
    before = len(bench.events)
    run(bench, 4, behind=9_000)
    states = {each.state for each in bench.events[before:] if isinstance(each, StreamStatus)}
    assert State.LIVE not in states and bench.state(CANDLES) is State.STALE
    run(bench, 3)
    assert bench.state(CANDLES) is State.LIVE


def test_after_a_reconnect_an_old_bar_is_not_live_while_trades_run() -> None:
    bench = running()
    bench.close(bench.only)
    bench.advance(3)
    run(bench, 4, candles=False)
    sent = bench.wall - 12_000
    bench.frame(wire.candle("BTCUSDT", sent - sent % MINUTE, "101", sent=sent))
    assert (bench.status(CANDLES).state, bench.status(CANDLES).cause) == (State.STALE, Cause.SILENT)
    run(bench, 3)
    assert bench.state(CANDLES) is State.LIVE


def test_a_trade_with_a_wrong_time_proves_nothing() -> None:
    bench = running()
    bench.frame(wire.trade("BTCUSDT", bench.wall, "100", bench.wall + 600 * MINUTE))
    run(bench, 10, trades=False)
    assert bench.state(CANDLES) is State.LIVE


def test_bars_whose_volume_grows_prove_that_the_stream_of_trades_misses_trades() -> None:
    """Where trades are too rare to be missed by their pace."""
    bench = Bench()
    start_of(bench, CANDLES, TRADES)

    def minute_of(seconds: int, *, trades: bool) -> None:
        for second in range(seconds):
            if trades and second % 4 == 0:
                bench.frame(wire.trade("BTCUSDT", bench.wall, "100", bench.wall))
            if second % 2 == 0:
                at, volume = bench.wall - bench.wall % MINUTE, str(bench.wall // 4000)
                bench.frame(wire.candle("BTCUSDT", at, "100", sent=bench.wall, volume=volume))
            bench.advance(1)

    minute_of(24, trades=True)
    assert bench.state(TRADES) is State.LIVE
    minute_of(5, trades=False)
    assert bench.state(TRADES) is not State.STALE, "one may be of a kind that the stream leaves out"
    minute_of(12, trades=False)
    assert (bench.status(TRADES).state, bench.status(TRADES).cause) == (State.STALE, Cause.SILENT)
    assert bench.state(CANDLES) is State.LIVE
    minute_of(2, trades=True)
    assert bench.state(TRADES) is State.LIVE

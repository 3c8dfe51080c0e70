"""Tickers, trades, candles and requests of the state: ages, cursors, answers, what is ignored."""

from __future__ import annotations

import json

import pytest

from cryptodash.client import Candle, Channel, Gap, Notice, Rejected, StatusChange, Ticker, Trade
from cryptodash.client.decoding import digits
from cryptodash.client.state import MOST_CHANNELS, ClientState
from cryptodash.client.subscription import REMEMBERED
from tests.client.frames import (
    CANDLES,
    GREETING,
    SYMBOL,
    TICKER,
    TRADES,
    Bench,
    candle,
    channel_text,
    status,
    ticker,
    trade,
)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def the_ticker(bench: Bench) -> Ticker:
    found = bench.state.newest(TICKER)
    assert isinstance(found, Ticker)
    return found


def test_numbers_keep_every_digit_and_what_is_not_told_is_none(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker(last="0.00000001", bid="0.000000010000000000"))
    found = the_ticker(bench)
    assert (digits(found.last or 0), digits(found.bid or 0)) == ("0.00000001", "0.000000010000000000")  # type: ignore[arg-type]
    assert found.mark_price is None and found.ask_size is None
    assert (found.symbol, found.timestamp) == ("BTC-USDT", "2024-01-01T00:00:00.000Z")


def test_an_age_is_what_the_status_said_and_the_time_since(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "quiet", 30_000), ticker())
    bench.now += 2
    assert the_ticker(bench).age == pytest.approx(32.0)  # the value that answers a subscribe is none the younger for it
    bench.hear(ticker("2"))
    bench.now += 1
    assert the_ticker(bench).age == pytest.approx(1.0)


def test_what_comes_late_is_as_old_as_it_is_late(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker(), status(TICKER, "stale", 4000, cause="late"), ticker("2"))
    found = the_ticker(bench)
    assert found.age == pytest.approx(4.0)
    assert found.words == "STALE for 4 s: late: do not quote as current"
    bench.hear(status(TICKER, "live", 100))
    assert found.live and found.age == pytest.approx(0.1)


def test_a_value_makes_no_part_younger_that_is_stale(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker(), status(TICKER, "stale", 6000, cause="silent", fields=["bid", "ask"]))
    bench.now += 1
    bench.hear(ticker("3"))
    found = the_ticker(bench)
    assert found.stale_fields == ("bid", "ask")
    assert found.age == pytest.approx(7.0) and found.freshness.fields_age == pytest.approx(7.0)
    assert not found.live


def test_a_part_that_a_ticker_can_do_without_makes_the_rest_no_older(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live", 10), ticker(), ticker("2"))
    bench.hear(status(TICKER, "live", 90_000, fields=["open_24h"]), ticker("3"))
    found = the_ticker(bench)
    assert found.live and found.age == 0.0 and found.freshness.fields_age == pytest.approx(90.0)


def test_what_was_replaced_is_not_live(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker("1"))
    old = the_ticker(bench)
    assert old.live
    bench.hear(ticker("2"))
    assert not old.live and the_ticker(bench).live
    assert "do not quote" in old.words


def test_before_its_value_a_live_channel_shows_nothing_live(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker())
    old = the_ticker(bench)
    bench.state.subscribe([TICKER])
    bench.accept()
    bench.hear(status(TICKER, "live", 10))
    assert not old.live and old.state == "connecting"


def test_a_link_is_pinged_and_believed_only_while_it_answers(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker())
    bench.state.tick()
    assert bench.asked() == []
    bench.now += 2.0
    bench.state.tick()
    bench.state.tick()
    (ping,) = bench.asked()
    assert ping["op"] == "ping"
    for _ in range(6):  # frames come, of a line that is behind: the pong does not
        bench.now += 0.9
        bench.hear(ticker())
        bench.state.tick()
    assert bench.asked() == []
    assert (the_ticker(bench).live, the_ticker(bench).cause) == (False, "link_behind")
    bench.hear(json.dumps({"type": "info", "payload": {"message": "Pong", "id": ping["id"]}, "message": "pong"}))
    assert the_ticker(bench).live
    bench.now += 10.1
    assert bench.state.link.is_dead and the_ticker(bench).cause == "link_silent"


def test_a_program_that_stood_still_does_not_take_what_waited_for_news(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker())
    bench.state.tick()
    bench.now += 30.0  # and the kernel kept what came
    bench.hear(ticker("2"), ticker("3"))
    assert (the_ticker(bench).live, the_ticker(bench).cause) == (False, "link_behind")
    (ping,) = bench.accept()
    assert ping["op"] == "ping" and the_ticker(bench).live
    bench.now += 4.0
    bench.state.tick()
    bench.hear(ticker("4"))
    assert the_ticker(bench).live, "four seconds are no news that is too old"
    assert [each["op"] for each in bench.asked()] == ["ping"]


def test_trades_come_once_and_a_reconnect_goes_on_at_the_cursor(bench: Bench) -> None:
    bench.open(TRADES)
    bench.hear(status(TRADES, "live"))
    events = bench.hear(trade(1, replayed=True), trade(2), trade(2), trade(3))
    assert [(each.id, each.replayed) for each in events if isinstance(each, Trade)] == [
        ("1", True),
        ("2", False),
        ("3", False),
    ]
    assert [each.live for each in events if isinstance(each, Trade)] == [False, False, True]
    bench.state.closed()
    bench.state.opened()
    bench.hear(GREETING)
    (asked,) = bench.accept()
    assert asked["channels"] == [TRADES.wire("c-3")]
    assert bench.hear(trade(3, replayed=True)) == []
    gap = f'{{"type":"gap","payload":{{"channel":{channel_text(TRADES)},"reason":"expired","from":"a","to":"b"}}}}'
    assert bench.hear(gap) == [Gap(TRADES, "expired", None, "a", "b")]


def test_a_program_that_was_restarted_goes_on_at_its_own_cursor(bench: Bench) -> None:
    bench.state.subscribe([TRADES], "c-77")
    bench.state.opened()
    bench.hear(GREETING)
    assert bench.asked()[0]["channels"] == [TRADES.wire("c-77")]


def test_what_is_remembered_of_trades_is_bounded(bench: Bench) -> None:
    bench.open(TRADES)
    for number in range(3 * REMEMBERED):
        bench.hear(trade(number))
    assert len(bench.state.subscriptions[TRADES.key]._seen) == REMEMBERED


def test_a_bar_runs_closes_once_and_may_be_corrected(bench: Bench) -> None:
    bench.open(CANDLES)
    frames = [candle(0, "1.1"), candle(0, "1.2", closed=True), candle(0, "1.2", closed=True), candle(1, "1.3")]
    events = bench.hear(*frames, candle(0, "1.25", closed=True, corrected=True))
    told = [(digits(each.close), each.closed) for each in events if isinstance(each, Candle)]
    assert told == [("1.1", False), ("1.2", True), ("1.3", False), ("1.25", True)]
    assert bench.state.subscriptions[CANDLES.key].since == "c-0"


def test_the_server_may_write_a_symbol_in_other_letters(bench: Bench) -> None:
    own = Channel("ticker", "binance", "btc/usdt")
    bench.state.subscribe([own])
    bench.state.opened()
    bench.hear(GREETING)
    number = bench.asked()[0]["id"]
    answer = f'{{"type":"info","payload":{{"message":"","id":{number},"accepted":[{channel_text(TICKER)}]}}}}'
    bench.hear(answer, status(TICKER, "live"), ticker())
    found = bench.state.newest(own)
    assert found is not None and found.live and found.channel is own


def test_a_rejected_channel_is_told_and_not_asked_for_again(bench: Bench) -> None:
    wrong = Channel("ticker", "binance", "NO-SUCH")
    bench.state.subscribe([wrong, TICKER])
    bench.state.opened()
    bench.hear(GREETING)
    number = bench.asked()[0]["id"]
    rejected = [{"index": 0, "code": "unknown_symbol", "message": "no such"}]
    payload = {"message": "", "id": number, "accepted": [TICKER.wire()], "rejected": rejected}
    events = bench.hear(json.dumps({"type": "info", "payload": payload}))
    assert events == [Rejected(wrong, "unknown_symbol", "no such")]
    assert [each.channel for each in bench.state.subscriptions.values()] == [TICKER]


def test_a_refused_request_rejects_what_it_was_about(bench: Bench) -> None:
    bench.state.opened()
    bench.hear(GREETING)
    bench.state.subscribe([TICKER])
    number = bench.asked()[0]["id"]
    payload = {"id": number, "code": "too_many_channels", "message": "too many", "retry_ms": 500}
    events = bench.hear(json.dumps({"type": "error", "payload": payload, "message": "too many"}))
    assert [type(each) for each in events] == [Notice, Rejected]
    assert bench.state.retry_ms == 500


def test_what_is_unsubscribed_is_heard_of_no_more(bench: Bench) -> None:
    bench.open(TICKER)
    bench.state.unsubscribe([TICKER])
    assert [each["op"] for each in bench.asked()] == ["unsubscribe"]
    assert bench.hear(ticker(), status(TICKER, "live")) == []
    assert bench.state.ignored == 2


def test_types_and_members_of_the_future_are_ignored(bench: Bench) -> None:
    bench.open(TICKER)
    assert bench.hear('{"type":"hologram","payload":{"x":1},"more":[]}') == []
    bench.hear(status(TICKER, "live", mood="good"), ticker().replace('"bid":', '"novelty":{"a":[1]},"bid":'))
    assert the_ticker(bench).live and bench.state.ignored == 1


def test_a_sweep_has_a_newest_of_each_instrument_and_leaves_named_ones_alone(bench: Bench) -> None:
    sweep = Channel("ticker", "binance", "*")
    bench.open(sweep, TICKER)
    star = f'{{"type":"status","payload":{{"channel":{json.dumps(sweep.wire())},"state":"live","age_ms":0}}}}'
    eth, sol = (ticker().replace('"BTC"', f'"{base}"') for base in ("ETH", "SOL"))
    first, second, named = (each for each in bench.hear(star, eth, sol, ticker()) if isinstance(each, Ticker))
    assert first.live and second.live and (first.symbol, named.channel) == ("ETH-USDT", TICKER)
    bench.now += 2
    bench.hear(sol)
    assert first.age == pytest.approx(2.0) and not second.live


def test_statuses_are_told_with_what_an_instrument_is_called_now(bench: Bench) -> None:
    bench.open(TICKER)
    events = bench.hear(status(TICKER, "closed", None, cause="delisted", renamed_to="NEW-USDT"))
    assert events == [StatusChange(TICKER, "closed", "delisted", "NEW-USDT")]


@pytest.mark.parametrize(
    ("reason", "retry_ms"),
    [
        ('{"retry_ms":1500}', 1500),
        ('{"retry_ms":-1}', None),
        ('{"retry_ms":true}', None),
        ("too slow", None),
        ("[", None),
    ],
)
def test_when_to_come_back_is_in_the_reason_of_the_end(bench: Bench, reason: str, retry_ms: int | None) -> None:
    bench.open(TICKER)
    bench.state.closed(reason)
    assert bench.state.retry_ms == retry_ms


def test_a_thousand_channels_and_no_more() -> None:
    state = ClientState(lambda: 0.0)
    state.subscribe(Channel("ticker", "binance", f"A{n}-USDT") for n in range(MOST_CHANNELS))
    with pytest.raises(ValueError, match="1000 channels"):
        state.subscribe([TICKER])


@pytest.mark.parametrize(
    "members",
    [
        {"channel_type": "tickers", "exchange": "binance", "symbol": "A-B"},
        {"channel_type": "order_book", "exchange": "binance", "symbol": "A-B"},
        {"channel_type": "ticker", "exchange": "binance", "symbol": "A-B", "depth": 5},
        {"channel_type": "candle", "exchange": "binance", "symbol": "A-B"},
        {"channel_type": "ticker", "exchange": "binance", "symbol": "BTCUSDT"},
    ],
)
def test_a_channel_that_cannot_be_is_refused_at_once(members: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Channel(**members)  # type: ignore[arg-type]


def test_nothing_of_a_message_is_a_float(bench: Bench) -> None:
    bench.open(TICKER)
    bench.hear(status(TICKER, "live"), ticker())
    payload = the_ticker(bench).payload
    assert not [name for name, value in payload.items() if isinstance(value, float)], SYMBOL


def test_what_is_recorded_is_never_taken_for_live(bench: Bench) -> None:
    bench.open(TICKER, TRADES)
    bench.hear(status(TICKER, "stale", 6000, cause="silent"), ticker("2"))
    before = bench.state.ignored
    for kind, payload in (
        ("status", {"channel": TICKER.wire(), "state": "recorded", "recorded_state": "live"}),
        ("ticker", {**TICKER.wire(), "last": 9}),
        ("trade", {**TRADES.wire(), "id": "1", "price": 9}),
        ("gap", {"channel": TRADES.wire(), "reason": "recording"}),
    ):
        told = {"type": kind, "payload": {**payload, "source": "recorded", "replay_id": "r-1"}}
        assert bench.state.received(json.dumps(told)) == []
    assert bench.state.ignored == before + 4
    assert digits(the_ticker(bench).last or 0) == "2" and not the_ticker(bench).live  # type: ignore[arg-type]

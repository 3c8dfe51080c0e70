"""What is kept for clients that come back: in order, bounded, and honest about what is not kept any more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from cryptodash.core.cursors import Cursor
from cryptodash.core.events import Candle, Gap, Liquidation, Side, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.hub import replay_buffers
from cryptodash.hub.interfaces import IReplay, Message
from cryptodash.hub.replay_buffers import KEPT_SECONDS, ReplayBuffers

TRADES = parse_topic("binance:spot:BTC-USDT:trade")
OTHERS = parse_topic("binance:spot:ETH-USDT:trade")
LIQUIDATIONS = parse_topic("binance:perpetual:BTC-USDT:liquidation")
BARS = parse_topic("binance:spot:BTC-USDT:candle:1m")
ONE = Number("1")


def trade(number: int, topic: Topic = TRADES) -> Trade:
    return Trade(topic, 1_000 + number, 7, str(number), Number("61837.63"), Number("0.00123"), Side.SELL)


def at(number: int) -> Cursor:
    return Cursor(1_000 + number, str(number))


def said(messages: Sequence[Message]) -> list[Any]:
    """Ids of trades; gaps by reason and times."""
    found: list[Any] = []
    for each in messages:
        payload = json.loads(each.body)["payload"]
        if each.kind == "gap":
            found.append((payload["reason"], payload.get("from", "")[-5:], payload.get("to", "")[-5:]))
        else:
            assert payload["replayed"] is True
            found.append(payload.get("id") or payload["timestamp"])
    return found


def everything(replay: IReplay, limit: int = 7) -> list[Any]:
    found = []
    while replay.left:
        found += said(replay.read(limit))
    return found


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def kept(now: list[float]) -> ReplayBuffers:
    return ReplayBuffers(lambda: now[0])


def test_what_came_after_the_cursor_is_read_in_order_and_no_more_than_asked_for(kept: ReplayBuffers) -> None:
    for number in range(100):
        kept.put(trade(number))
    replay = kept.replay(TRADES, at(39))
    assert (replay.is_complete, replay.left) == (True, 60)
    assert said(replay.read(20)) == [str(number) for number in range(40, 60)]
    kept.put(trade(100))
    assert everything(replay) == [str(number) for number in range(60, 101)]
    kept.put(trade(101))
    assert replay.left == 1, "what is told after it was read to its end can be read as well"


def test_the_same_trade_comes_out_as_went_in(kept: ReplayBuffers) -> None:
    kept.put(trade(1))
    assert kept.latest(TRADES, 5) == [trade(1)]


def test_the_newest_begin_with_what_is_known_where_that_is_kept(kept: ReplayBuffers) -> None:
    for number in range(1, 6):
        kept.put(trade(number, OTHERS))
    assert [each.timestamp - 1_000 for each in kept.newest(OTHERS, 10, at(3))] == [3, 4, 5]
    assert [each.timestamp - 1_000 for each in kept.newest(OTHERS, 2, at(3))] == [4, 5]
    assert [each.timestamp - 1_000 for each in kept.newest(OTHERS, 10, at(9))] == [1, 2, 3, 4, 5]
    assert [each.timestamp - 1_000 for each in kept.newest(OTHERS, 10)] == [1, 2, 3, 4, 5]


def test_a_cursor_that_is_the_newest_brings_nothing(kept: ReplayBuffers) -> None:
    kept.put(trade(1))
    assert kept.replay(TRADES, at(1)).left == 0


def test_gaps_keep_their_place_and_are_no_trades(kept: ReplayBuffers) -> None:
    kept.put(trade(1))
    kept.put(trade(2))
    kept.put(Gap(TRADES, 1_002, 1_005))
    kept.put(trade(5))
    assert everything(kept.replay(TRADES, at(1))) == ["2", ("failover", ".002Z"[-5:], "1.005Z"[-5:]), "5"]
    assert [each.id for each in kept.latest(TRADES, 2) if isinstance(each, Trade)] == ["2", "5"]


def test_where_the_cursor_is_not_kept_a_gap_comes_first_and_then_the_most_recent(kept: ReplayBuffers) -> None:
    for number in range(80):
        kept.put(trade(number))
    replay = kept.replay(TRADES, Cursor(500, "from before"))
    assert not replay.is_complete
    assert everything(replay) == [("expired", ".500Z", ".030Z"), *(str(number) for number in range(30, 80))]


def test_of_a_topic_of_which_nothing_is_kept_only_the_gap_is_told_and_then_what_comes(kept: ReplayBuffers) -> None:
    replay = kept.replay(TRADES, at(5))
    assert replay.left == 1
    assert everything(replay) == [("expired", ".005Z", "")]
    kept.put(trade(9))
    assert everything(replay) == ["9"]


def test_a_reader_that_is_overtaken_is_told_so(kept: ReplayBuffers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_buffers, "MOST_KEPT", 30)
    monkeypatch.setitem(replay_buffers.ALWAYS_KEPT, TRADES.channel, 10)
    for number in range(30):
        kept.put(trade(number))
    replay = kept.replay(TRADES, at(4))
    assert said(replay.read(2)) == ["5", "6"]
    for number in range(30, 50):
        kept.put(trade(number))
    assert replay.left == 30
    assert everything(replay) == [("expired", "", ".020Z"), *(str(number) for number in range(20, 50))]


def test_what_is_old_leaves_but_for_the_last_few(kept: ReplayBuffers, now: list[float]) -> None:
    for number in range(3_000):
        kept.put(trade(number))
        now[0] += 0.05
    young = round(KEPT_SECONDS / 0.05)
    assert young <= len(kept.latest(TRADES, 9_999)) <= young + 25
    now[0] += 1_000.0
    kept.put(trade(3_000))
    assert len(kept.latest(TRADES, 9_999)) == 1_000, "REST gives that many"


def test_no_more_than_ten_thousand_are_kept_of_a_topic(kept: ReplayBuffers) -> None:
    for number in range(10_500):
        kept.put(trade(number))
    assert len(kept.latest(TRADES, 99_999)) == 10_000
    assert kept.replay(TRADES, at(500)).is_complete and not kept.replay(TRADES, at(499)).is_complete


def test_one_bound_holds_over_all_topics_and_the_longest_gives_way(now: list[float]) -> None:
    kept = ReplayBuffers(lambda: now[0], budget=100_000)
    kept.put(trade(1, OTHERS))
    for number in range(5_000):
        kept.put(trade(number))
        assert kept.bytes <= 100_000
    assert len(kept.latest(TRADES, 9_999)) > 400
    assert kept.latest(OTHERS, 5) == [trade(1, OTHERS)]
    kept.forget(TRADES)
    kept.forget(OTHERS)
    assert kept.bytes == 0 and set(kept.sizes().values()) == {0}


def test_liquidations_and_bars_are_found_by_what_they_are(kept: ReplayBuffers) -> None:
    def liquidation(quantity: str) -> Liquidation:
        return Liquidation(LIQUIDATIONS, 5, 1, Side.SELL, ONE, Number(quantity))

    for quantity in ("1", "2", "2", "3"):
        kept.put(liquidation(quantity))
    replay = kept.replay(LIQUIDATIONS, Cursor(5, "sell1x2"))
    assert replay.left == 1, "of two that are alike it goes on behind the second: both came together"

    def bar(minute: int, close: str = "1", *, corrected: bool = False) -> Candle:
        return Candle(BARS, minute * 60_000, 1, ONE, ONE, ONE, Number(close), ONE, True, "rest", corrected)

    for each in (bar(1), bar(2), bar(1, "9", corrected=True)):
        kept.put(each)
    payloads = [json.loads(each.body)["payload"] for each in kept.replay(BARS, Cursor(120_000, "")).read(9)]
    assert [(each["timestamp"][14:16], each["close"], each["corrected"]) for each in payloads] == [("01", 9, True)]

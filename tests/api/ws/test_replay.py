"""Recorded time on /ws, over the real hub and without a process that reads a tape: what comes when, marked as what it
is, beside what is live, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from attrs import evolve

from cryptodash.api.access.grant import Grant
from cryptodash.api.access.scopes import read_scopes
from cryptodash.api.ws.replay import WRITE_BYTES
from cryptodash.api.ws.replays import MOST_RANGES
from cryptodash.api.ws.requests import OPS
from cryptodash.core.config import Config, Limits
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import STATE, Entry, Missing, Play, Recorded, Span
from tests.api.fake_tapes import AT, FROM, SECOND, TRADES, Playing

TICKER = {"channel_type": "ticker", "exchange": "binance", "symbol": "BTC-USDT"}
BOOK = {"channel_type": "order_book", "exchange": "binance", "symbol": "BTC-USDT"}
TRADE_TOPIC = "binance:spot:BTC-USDT:trade"
TICKER_TOPIC = "binance:spot:BTC-USDT:ticker"


@pytest.fixture
def playing(world: Any) -> Playing:
    return Playing(world)


def trade(number: int, at: float = 0.0) -> Entry:
    body = b'{"type":"trade","payload":{"id":"%d","price":1.50,"cursor":"c-%d-"}}' % (number, number)
    return Entry(AT + round(at * SECOND), TRADE_TOPIC, 0, body)


def status(state: str, kind: int = STATE) -> Entry:
    body = '{"type":"status","payload":{"channel":{"channel_type":"trade","exchange":"binance"},"state":"%s",'
    return Entry(AT, TRADE_TOPIC, kind, (body % state + '"since":"x","source":"simulated"}}').encode())


def ids(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [each["payload"]["id"] for each in messages if each["type"] == "trade"]


def test_a_replay_from_its_answer_to_its_end(playing: Playing) -> None:
    assert playing.replay(id=7) == []
    assert playing.tapes.questions == [Play(AT, AT + 60 * SECOND, [TRADE_TOPIC])]
    playing.answer.put(status("live"), trade(1))
    info, state, first = playing.got()
    assert info == {
        "type": "info",
        "payload": {
            "message": "Replaying 1 channels across 1 exchanges",
            "replay_id": "an-id-1",
            "from": "2023-12-31T05:20:00.000Z",
            "to": "2023-12-31T05:21:00.000Z",
            "speed": 1,
            "accepted": [{**TRADES, "market_type": "spot", "symbol": {"base": "BTC", "quote": "USDT"}}],
            "rejected": [],
            "id": 7,
        },
    }
    assert (state["payload"]["state"], state["payload"]["recorded_state"]) == ("recorded", "live")
    assert (state["payload"]["source"], state["payload"]["replay_id"]) == ("recorded", "an-id-1")
    assert first["payload"] == {
        "id": "1",
        "price": 1.5,
        "cursor": "c-1-",
        "source": "recorded",
        "replay_id": "an-id-1",
    }
    playing.answer.end()
    assert playing.got() == [
        {
            "type": "info",
            "payload": {
                "message": "Replay ended",
                "replay_id": "an-id-1",
                "reason": "end",
                "messages": 2,
                "counts": {"status": 1, "trade": 1},
            },
        }
    ]
    assert playing.replay() == [] and len(playing.tapes.answers) == 2


def test_a_message_is_what_was_sent_then_byte_for_byte(playing: Playing) -> None:
    playing.replay()
    playing.answer.put(trade(1))
    playing.world.flush()
    assert (
        b'{"type":"trade","payload":{"id":"1","price":1.50,"cursor":"c-1-","source":"recorded","replay_id":"an-id-1"}}'
        in playing.client.wire.got
    )


def test_a_candle_has_one_source(playing: Playing) -> None:
    body = b'{"type":"candle","payload":{"close":1.50,"closed":true,"source":"venue","cursor":"x"}}'
    playing.replay({**TRADES, "channel_type": "candle", "interval": "1m"})
    playing.answer.put(Entry(AT, "binance:spot:BTC-USDT:candle:1m", 0, body))
    playing.world.flush()
    assert b'"closed":true,"source":"recorded","cursor":"x","replay_id":"an-id-1"}}' in playing.client.wire.got


@pytest.mark.parametrize(("speed", "waits"), [(1, 2.0), (0.5, 4.0), (10, 0.2)])
def test_messages_come_when_they_are_due(playing: Playing, speed: float, waits: float) -> None:
    playing.replay(speed=speed)
    playing.answer.put(trade(1), trade(2, 2.0), trade(3, 4.0))
    assert ids(playing.got()) == ["1"]
    playing.world.time.advance(waits * 0.9)
    assert ids(playing.got()) == []
    playing.world.time.advance(waits * 0.1 + 0.005)
    assert ids(playing.got()) == ["2"]
    playing.world.time.advance(waits)
    assert ids(playing.got()) == ["3"]


def test_with_speed_0_they_come_as_fast_as_the_client_reads(world: Any) -> None:
    """And no more is pulled than what it reads."""
    playing = Playing(world, room=40_000)
    playing.replay(speed=0)
    batches = [[trade(100 * batch + each, batch) for each in range(100)] for batch in range(50)]
    for batch in batches:
        playing.answer.put(*batch)
    playing.answer.end()
    for _ in range(50):
        world.flush()
    wire = playing.client.wire
    assert wire.waiting and len(playing.answer.batches) > 40
    assert len(wire.waiting) <= 2 * WRITE_BYTES
    while wire.waiting or playing.answer.batches:
        wire.read(room=50_000)
        for _ in range(20):
            world.time.advance(0.01)
    assert ids(playing.got()) == [str(each) for each in range(5000)]


def test_a_replay_is_charged_and_pays_before_it_goes_on(world: Any) -> None:
    playing = Playing(world, limits=Limits(ops_per_second=1, ops_burst=6))
    playing.replay(speed=0)
    for batch in range(100):
        playing.answer.put(*(trade(100 * batch + each) for each in range(100)))
    for _ in range(300):
        world.flush()
    paid = len(playing.answer.batches)
    assert 0 < paid < 100
    world.time.advance(2)
    for _ in range(300):
        world.flush()
    assert len(playing.answer.batches) < paid


def test_a_hole_is_a_gap_with_two_times_and_takes_none_itself(playing: Playing) -> None:
    playing.replay(TRADES, TICKER)
    hole = Missing(AT + 2 * SECOND + 1, AT + 3_600 * SECOND + 1, "stopped")
    playing.answer.put(trade(1), hole, trade(2, 3601.0))
    gaps = [each["payload"] for each in playing.got() if each["type"] == "gap"]
    assert [each["channel"]["channel_type"] for each in gaps] == []
    playing.world.time.advance(2.01)
    gaps = [each["payload"] for each in playing.got() if each["type"] == "gap"]
    assert [each["channel"]["channel_type"] for each in gaps] == ["trade", "ticker"]
    assert {name: value for name, value in gaps[0].items() if name != "channel"} == {
        "reason": "recording",
        "from": "2023-12-31T05:20:02.000Z",
        "to": "2023-12-31T06:20:00.001Z",
        "hole": "stopped",
        "source": "recorded",
        "replay_id": "an-id-1",
    }
    playing.world.time.advance(1.01)
    assert ids(playing.got()) == ["2"]


def test_a_hole_of_one_topic_is_its_own(playing: Playing) -> None:
    playing.replay(TRADES, TICKER, speed=0)
    playing.answer.put(Missing(AT, AT + SECOND, "unrecorded", TICKER_TOPIC), Missing(AT, AT, "unrecorded", "other"))
    gaps = [each["payload"]["channel"]["channel_type"] for each in playing.got() if each["type"] == "gap"]
    assert gaps == ["ticker"]


def test_what_is_live_goes_on_and_is_told_apart(playing: Playing) -> None:
    world = playing.world
    playing.client.subscribe(TRADES)
    playing.replay()
    playing.answer.put(trade(1), trade(2, 1.0))
    world.trade(77)
    messages = playing.got()
    assert [
        (each["payload"]["id"], "replay_id" in each["payload"]) for each in messages if each["type"] == "trade"
    ] == [
        ("1", True),
        ("77", False),
    ]
    world.trade(78)
    assert ids(playing.got()) == ["78"]


def test_what_is_live_goes_first_for_a_client_that_is_behind(world: Any) -> None:
    playing = Playing(world, room=1200)
    playing.client.subscribe(TRADES)
    playing.replay(speed=0)
    playing.answer.put(*(trade(each) for each in range(400)))
    world.flush()
    world.trade(5000)
    world.flush()
    assert playing.client.wire.waiting
    playing.client.wire.read()
    for _ in range(20):
        world.flush()
    found = ids(playing.got())
    assert sorted(found, key=int) == [*(str(each) for each in range(400)), "5000"]
    assert found.index("5000") < 399


def test_replay_stop_is_the_end_at_once(playing: Playing) -> None:
    playing.replay(speed=0.1)
    playing.answer.put(trade(1), trade(2, 5.0))
    playing.got()
    (ended,) = playing.client.ask({"op": "replay_stop", "id": "s"})
    assert ended["payload"] == {
        "message": "Replay ended",
        "replay_id": "an-id-1",
        "reason": "stopped",
        "messages": 1,
        "counts": {"trade": 1},
        "id": "s",
    }
    assert playing.answer.is_cancelled
    playing.world.time.advance(100)
    assert playing.got() == [] and playing.world.time.getDelayedCalls() == []
    (error,) = playing.client.ask({"op": "replay_stop"})
    assert error["payload"]["code"] == "no_replay"


def test_a_replay_that_is_stopped_before_it_began(playing: Playing) -> None:
    playing.replay()
    (ended,) = playing.client.ask({"op": "replay_stop"})
    assert (ended["payload"]["message"], ended["payload"]["messages"]) == ("Replay ended", 0)
    assert playing.got() == []


def test_a_second_one_is_refused_until_the_first_is_stopped(playing: Playing) -> None:
    playing.replay()
    (error,) = playing.replay(id=2)
    assert (error["payload"]["code"], error["payload"]["id"]) == ("too_many_replays", 2)
    playing.client.ask({"op": "replay_stop"})
    assert playing.replay() == []
    playing.answer.put(trade(1))
    assert playing.got()[0]["payload"]["replay_id"] == "an-id-2"


def test_a_client_that_leaves_ends_it(playing: Playing) -> None:
    playing.replay()
    playing.answer.put(trade(1), trade(2, 5.0))
    playing.got()
    playing.client.session.closed()
    assert playing.answer.is_cancelled
    playing.world.time.advance(10)
    assert playing.client.got() == [] and playing.world.time.getDelayedCalls() == []


def test_too_many_readers_are_told(playing: Playing) -> None:
    playing.tapes.is_full = True
    (error,) = playing.replay()
    assert error["payload"]["code"] == "too_many_replays"
    playing.tapes.is_full = False
    assert playing.replay() == []


def test_what_is_not_recorded_is_told_with_the_times_that_are(playing: Playing) -> None:
    span = Span(AT - 60 * SECOND, AT - SECOND)
    playing.replay(TRADES, TICKER, {**BOOK, "depth": 20}, speed=0)
    book = Recorded("binance:spot:BTC-USDT:order_book:20", [])
    playing.answer.put(Recorded(TICKER_TOPIC, [span]), book, trade(1))
    info, error, first = playing.got()
    assert [each["channel_type"] for each in info["payload"]["accepted"]] == ["trade"]
    assert info["payload"]["rejected"] == [
        {
            "index": 1,
            "code": "not_recorded",
            "message": "binance:spot:BTC-USDT:ticker was not recorded then",
            "ranges": [{"from": "2023-12-31T05:19:00.000Z", "to": "2023-12-31T05:19:59.000Z"}],
        },
        {
            "index": 2,
            "code": "not_recorded",
            "message": "binance:spot:BTC-USDT:order_book:20 is not recorded: order books are recorded at depth 50",
            "ranges": [],
        },
    ]
    assert error["payload"] == {
        "message": "2 of 3 channels rejected: binance:spot:BTC-USDT:ticker was not recorded then",
        "code": "not_recorded",
    }
    assert ids([first]) == ["1"]


@pytest.mark.parametrize(
    ("channel", "topic"),
    [
        ({**TRADES, "market_type": None}, "binance:spot:GONE-USDT:trade"),
        ({**TRADES, "market_type": "PERPETUAL"}, "binance:perpetual:GONE-USDT:trade"),
        ({**BOOK, "depth": None}, "binance:spot:GONE-USDT:order_book:50"),
    ],
)
def test_null_is_left_out_of_what_is_not_listed_any_more_as_well(
    playing: Playing, channel: dict[str, Any], topic: str
) -> None:
    """It ended the connection."""
    assert playing.replay({**channel, "symbol": "GONE-USDT"}) == []
    assert playing.tapes.questions[-1].topics == [topic]


def test_what_is_not_played_has_no_gaps_either(playing: Playing) -> None:
    playing.replay(TRADES, TICKER, speed=0)
    playing.answer.put(Recorded(TICKER_TOPIC, []), trade(1), Missing(AT, AT + SECOND, "stopped"))
    assert [each["payload"]["channel"]["channel_type"] for each in playing.got() if each["type"] == "gap"] == ["trade"]


def test_an_answer_does_not_grow_with_the_number_of_ranges(playing: Playing) -> None:
    symbols = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    playing.replay(*({**TRADES, "symbol": symbol} for symbol in symbols))
    spans = [Span(at * SECOND, at * SECOND + 1) for at in range(100)]
    playing.answer.put(*(Recorded(f"binance:spot:{symbol}:trade", spans) for symbol in symbols))
    playing.answer.end()
    (error,) = playing.got()
    told = [each["ranges"] for each in error["payload"]["rejected"]]
    assert sum(map(len, told)) <= MOST_RANGES and told[0][-1]["to"] == "1970-01-01T00:01:39.000Z"


def test_a_replay_of_nothing_that_is_recorded_is_an_error_and_no_replay(playing: Playing) -> None:
    playing.replay(id="x")
    playing.answer.put(Recorded(TRADE_TOPIC, [Span(0, SECOND)]))
    playing.answer.end()
    (error,) = playing.got()
    assert (error["type"], error["payload"]["code"], error["payload"]["id"]) == ("error", "not_recorded", "x")
    assert error["payload"]["rejected"][0]["ranges"] == [
        {"from": "1970-01-01T00:00:00.000Z", "to": "1970-01-01T00:00:01.000Z"}
    ]
    assert playing.client.ask({"op": "replay_stop"})[0]["payload"]["code"] == "no_replay"


def test_a_recording_that_cannot_be_read_on_is_told(playing: Playing) -> None:
    playing.replay(speed=0)
    playing.answer.put(trade(1))
    playing.got()
    playing.answer.fail(Refused("recording_failed", "the recording cannot be read: gone", 503))
    error, ended = playing.got()
    assert error["payload"]["code"] == "recording_failed"
    assert (ended["payload"]["reason"], ended["payload"]["messages"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"from": None}, "invalid_range"),
        ({"from": "yesterday"}, "invalid_range"),
        ({"from": -1}, "invalid_range"),
        ({"from": 1.5}, "invalid_range"),
        ({"from": True}, "invalid_range"),
        ({"from": FROM + 60_001}, "invalid_range"),
        ({"to": "2023"}, "invalid_range"),
        ({"to": 10**18}, "invalid_range"),
        ({"speed": -1}, "invalid_speed"),
        ({"speed": 0.05}, "invalid_speed"),
        ({"speed": 1001}, "invalid_speed"),
        ({"speed": True}, "invalid_speed"),
        ({"speed": "1"}, "invalid_speed"),
        ({"speed": float("nan")}, "invalid_message"),
        ({"channels": "all"}, "invalid_message"),
        ({"channels": []}, "invalid_message"),
        ({"channels": [TRADES] * 1001}, "too_many_channels"),
        ({"channels": [{**TRADES, "exchange": "nonesuch"}]}, "unknown_exchange"),
        ({"channels": [{**TRADES, "channel_type": "news"}]}, "unknown_channel"),
        ({"channels": [{**TRADES, "symbol": "BTCUSDTX"}]}, "unknown_symbol"),
        ({"channels": [{**TRADES, "since": "x"}]}, "invalid_since"),
        ({"channels": [{**TICKER, "max_rate": 1}]}, "invalid_max_rate"),
        ({"channels": [{**TRADES, "channel_type": "candle", "interval": "7m"}]}, "invalid_interval"),
    ],
)
def test_what_is_wrong_is_named(playing: Playing, members: dict[str, Any], code: str) -> None:
    request = {"op": "replay", "from": FROM, "to": FROM + 60_000, "channels": [TRADES], **members}
    messages = playing.client.ask(request)
    assert [each["payload"]["code"] for each in messages] == [code]
    assert playing.tapes.questions == []


def test_times_are_texts_or_milliseconds_and_the_end_is_now_if_left_out(playing: Playing) -> None:
    playing.replay(**{"from": "2023-12-31T05:20:00Z", "to": "2023-12-31T05:20:01Z"})
    now = playing.world.time.wall_ms() * 1000
    assert playing.tapes.questions == [Play(AT, AT + SECOND, [TRADE_TOPIC])]
    playing.client.ask({"op": "replay_stop"})
    playing.client.ask({"op": "replay", "from": FROM, "channels": [TRADES]})
    assert playing.tapes.questions[1] == Play(AT, now, [TRADE_TOPIC])


def test_an_instrument_that_is_not_listed_any_more_can_be_played(playing: Playing) -> None:
    gone = {"base": "GONE", "quote": "USDT"}
    channels = [
        {**TRADES, "symbol": gone},
        {**BOOK, "symbol": "GONE-USDT"},
        {"channel_type": "candle", "exchange": "binance", "symbol": "GONE/USDT", "interval": "1m"},
    ]
    playing.replay(*channels)
    (question,) = playing.tapes.questions
    assert isinstance(question, Play)
    assert question.topics == [f"binance:spot:GONE-USDT:{each}" for each in ("trade", "order_book:50", "candle:1m")]


def test_a_server_without_a_recording_says_so(world: Any) -> None:
    client = world.client()
    for tapes in (client, world.client(tapes=None)):
        (error,) = tapes.ask({"op": "replay", "from": FROM, "channels": [TRADES]})
        assert error["payload"]["code"] == "not_recorded"


def test_channels_of_a_replay_count_like_others(make_world: Any) -> None:
    world = make_world(evolve(Config(), limits=Limits(max_channels=2, max_books_per_client=1)))
    playing = Playing(world)
    playing.client.subscribe(TRADES)
    (error,) = playing.replay(TRADES, TICKER)
    assert error["payload"]["code"] == "too_many_channels"
    playing = Playing(world)
    (error,) = playing.replay(BOOK, {**BOOK, "symbol": "ETH-USDT"})
    assert error["payload"]["code"] == "too_many_books"


# -- rights


def test_only_what_the_token_allows_is_played(world: Any) -> None:
    playing = Playing(world, grant=read_scopes(["read:trade:binance"]))
    playing.replay(TRADES, TICKER, {**TRADES, "exchange": "bybit"}, {**TRADES, "symbol": "GONE-USDT"})
    (question,) = playing.tapes.questions
    assert isinstance(question, Play) and question.topics == [TRADE_TOPIC, "binance:spot:GONE-USDT:trade"]
    playing.answer.put(trade(1))
    info = playing.got()[0]["payload"]
    assert [(each["index"], each["code"]) for each in info["rejected"]] == [(1, "forbidden"), (2, "forbidden")]
    playing = Playing(world, grant=read_scopes(["read:ticker"]))
    (error,) = playing.replay({**TRADES, "symbol": "GONE-USDT"})
    assert error["payload"]["code"] == "forbidden"


def test_a_token_has_its_number_of_channels_and_its_rate(world: Any) -> None:
    playing = Playing(world, grant=read_scopes(["read", "max_rate=1", "max_channels=2"]))
    (error,) = playing.replay(TRADES, TICKER, BOOK)
    assert error["payload"]["code"] == "too_many_channels"
    playing.replay(TRADES, TICKER, speed=0)
    ticker = b'{"type":"ticker","payload":{"last":1.50}}'
    playing.answer.put(*(Entry(AT, TICKER_TOPIC, 0, ticker) for _ in range(3)), *(trade(each) for each in range(3)))
    counts = []
    for _ in range(4):
        counts.append([each["type"] for each in playing.got() if each["type"] != "info"])
        world.time.advance(1.01)
    assert counts == [["ticker"], ["ticker"], ["ticker", "trade", "trade", "trade"], []]


def test_rights_that_end_end_the_replay(world: Any) -> None:
    playing = Playing(world, grant=Grant(patterns=None, proof=b"1"))
    playing.replay()
    playing.answer.put(trade(1), trade(2, 1.0))
    playing.got()
    still = read_scopes(["read:trade"])
    playing.client.session.access_replaced(lambda _: still)
    assert not playing.answer.is_cancelled
    playing.client.session.access_replaced(lambda _: read_scopes(["read:ticker"]))
    error, ended = playing.got()
    assert (error["payload"]["code"], ended["payload"]["reason"]) == ("forbidden", "forbidden")
    assert playing.answer.is_cancelled


def test_the_ops_are_named_to_who_sends_another(playing: Playing) -> None:
    (error,) = playing.client.ask({"op": "rewind"})
    assert error["payload"]["message"].endswith(", ".join(OPS)) and "replay, replay_stop" in json.dumps(error)

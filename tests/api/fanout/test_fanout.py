"""Cohorts, the turn's flush, and what happens to a client that does not keep up."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.api.fanout.cohort import BURST
from cryptodash.api.fanout.conflation import MAX_TRADES
from cryptodash.api.ws.frames import text_frame
from cryptodash.core.config import Config, Limits
from cryptodash.core.events import State
from cryptodash.core.topics import Channel
from cryptodash.hub.interfaces import Message

BTC = {"channel_type": "ticker", "exchange": "binance", "symbol": "BTC-USDT"}
ETH = {**BTC, "symbol": "ETH-USDT"}
SOL = {**BTC, "symbol": "SOL-USDT"}
TRADES = {**BTC, "channel_type": "trade"}
CANDLES = {**BTC, "channel_type": "candle", "interval": "1m"}
BOOK = {**BTC, "channel_type": "order_book", "depth": 5}


def lasts(messages: list[dict[str, Any]]) -> list[float]:
    return [message["payload"]["last"] for message in messages if message["type"] == "ticker"]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def test_a_turns_messages_are_one_write_per_client(world):
    clients = [world.client() for _ in range(3)]
    for client in clients:
        client.subscribe(BTC, ETH)
        client.wire.writes = 0
    for price in range(1, 6):
        world.ticker(str(price))
        world.ticker(str(price), "ETH")
    world.flush()
    for client in clients:
        assert lasts(client.got()) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert client.wire.writes == 1
    assert len(world.fanout.cohorts) == 1


def test_flush_interval_widens_a_turn(make_world):
    world = make_world(Config(flush_interval_ms=50))
    client = world.client()
    client.subscribe(BTC)
    world.ticker("1")
    world.time.advance(0.049)
    assert client.got() == []
    world.time.advance(0.002)
    assert lasts(client.got()) == [1]


def test_each_client_gets_its_own_channels_only(world):
    one, two, both = world.client(), world.client(), world.client()
    one.subscribe(BTC)
    two.subscribe(ETH)
    both.subscribe(BTC, ETH)
    world.ticker("1")
    world.ticker("2", "ETH")
    world.ticker("3", "SOL")
    world.flush()
    assert [lasts(client.got()) for client in (one, two, both)] == [[1], [2], [1, 2]]


def test_one_who_joins_in_mid_turn_gets_the_present_value_and_then_only_what_follows(world):
    first, second = world.client(), world.client()
    first.subscribe(BTC)
    world.ticker("1")
    world.ticker("2")
    assert lasts(second.subscribe(BTC)) == [2]
    world.ticker("3")
    world.flush()
    assert lasts(second.got()) == [3]
    assert lasts(first.got()) == [1, 2, 3]
    assert len(next(iter(world.fanout.cohorts.values())).clean) == 2


def test_a_book_joined_in_mid_turn_starts_with_a_snapshot_to_which_every_delta_fits(world):
    first, second = world.client(), world.client()
    first.subscribe(BOOK)
    world.book("10")
    world.time.advance(1)
    world.book("10", "11")
    snapshot = next(message for message in second.subscribe(BOOK) if message["type"] == "order_book_snapshot")
    world.time.advance(1)
    world.book("10", "12")
    world.time.advance(1)
    (delta,) = second.got()
    assert delta["payload"]["sequence"] == snapshot["payload"]["sequence"] + 1


def test_a_short_write_sends_the_rest_first_and_the_client_returns_when_it_has_drained(world):
    slow, fast = world.client(), world.client()
    for client in (slow, fast):
        client.subscribe(BTC)
    slow.wire.room = 10
    world.ticker("1")
    world.flush()
    cohort = next(iter(world.fanout.cohorts.values()))
    assert len(cohort.clean) == 1
    world.ticker("2")
    world.flush()
    world.ticker("3")
    world.flush()
    assert lasts(fast.got()) == [1, 2, 3]
    slow.wire.read()
    assert lasts(slow.got()) == [1, 3]
    assert len(cohort.clean) == 2
    world.ticker("4")
    world.flush()
    assert lasts(slow.got()) == [4]
    assert world.tally.metrics["cryptodash_ws_conflated_total"].values[("ticker",)] == 1


def test_a_full_or_broken_socket_is_no_error(world):
    full, broken = world.client(), world.client()
    for client in (full, broken):
        client.subscribe(BTC)
    full.wire.room = 0

    def fail(data: bytes) -> int:
        raise ConnectionResetError

    cohort = next(iter(world.fanout.cohorts.values()))
    writer = cohort.clean.pop(broken.writer.send)
    broken.writer.send = fail
    cohort.clean[fail] = writer
    world.ticker("1")
    world.flush()
    assert broken.wire.waiting
    assert broken.writer.blocked
    full.wire.read()
    assert lasts(full.got()) == [1]


def test_answers_keep_their_order_with_data_for_a_slow_client(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 5
    world.ticker("1")
    world.flush()
    world.ticker("2")
    world.flush()
    assert client.session.received(b'{"op":"ping","id":1}') is None
    client.session.received(json.dumps({"op": "unsubscribe", "channels": [BTC]}).encode())
    client.session.received(b'{"op":"ping","id":2}')
    client.wire.read()
    messages = client.got()
    assert [
        message["payload"].get("id") or message["payload"]["message"]
        for message in messages
        if message["type"] == "info"
    ] == [
        1,
        "Unsubscribed from 1 channels",
        2,
    ]
    assert lasts(messages) == [1]


def test_slow_clients_get_books_as_one_snapshot_with_the_present_sequence(world):
    client = world.client()
    client.subscribe(BOOK)
    world.book("10")
    world.time.advance(1)
    client.got()
    client.wire.room = 0
    for price in range(11, 16):
        world.book("10", str(price))
        world.time.advance(1)
    client.wire.read()
    messages = client.got()
    assert kinds(messages) == ["order_book_delta", "order_book_snapshot"]
    assert messages[1]["payload"]["sequence"] == 6
    world.book("10")
    world.time.advance(1)
    (delta,) = client.got()
    assert delta["payload"]["sequence"] == 7


def test_a_snapshot_taken_in_mid_turn_contains_the_deltas_that_were_pending(world):
    client = world.client()
    client.subscribe(BOOK)
    world.book("10")
    world.time.advance(1)
    client.got()
    client.wire.room = 0
    world.book("10", "11")
    world.time.advance(1)
    world.book("10", "12")
    world.time.advance(1)
    world.book("10", "13")  # published at once after a quiet time, not flushed yet
    client.wire.read()
    world.time.advance(1)
    messages = client.got()
    assert kinds(messages) == ["order_book_delta", "order_book_snapshot"]
    assert [message["payload"]["sequence"] for message in messages] == [2, 4]


def test_protocol_frames_do_not_overtake_queued_bytes(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 10
    world.ticker("1")
    world.flush()
    client.wire.room = 100
    pong = text_frame(b'{"type":"pong"}')
    client.writer.send_control(pong)
    client.wire.read()
    assert kinds(client.got()) == ["ticker", "pong"]
    client.writer.send_control(pong)
    assert kinds(client.got()) == ["pong"]


def test_closed_candles_are_never_lost_to_a_slow_client(world):
    client = world.client()
    client.subscribe(CANDLES)
    client.wire.room = 0
    world.candle(0, "1")
    world.flush()
    for open_time in range(3):
        world.candle(open_time, "5")
        world.candle(open_time, "6", closed=True)
        world.flush()
    world.candle(3, "7")
    world.candle(3, "8")
    world.flush()
    client.wire.read()
    bars = [
        (message["payload"]["timestamp"][14:16], message["payload"]["close"], message["payload"]["closed"])
        for message in client.got()
    ]
    assert bars == [("00", 1, False), ("00", 6, True), ("01", 6, True), ("02", 6, True), ("03", 8, False)]


def test_dropped_trades_are_told_before_the_next_ones(world):
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    for id in range(MAX_TRADES + 31):
        world.trade(id)
        world.flush()
    client.wire.read()
    messages = client.got()
    assert kinds(messages)[:3] == ["trade", "gap", "trade"]
    assert messages[1]["payload"] == {
        "channel": {**TRADES, "market_type": "spot", "symbol": {"base": "BTC", "quote": "USDT"}},
        "missed": 30,
    }
    assert [int(message["payload"]["id"]) for message in messages[2:]] == list(range(31, MAX_TRADES + 31))
    assert world.tally.metrics["cryptodash_ws_dropped_total"].values[("trade",)] == 30


def small_buffer(size: int) -> Config:
    return Config(limits=evolve(Limits(), client_buffer_bytes=size))


def test_trades_that_do_not_fit_are_dropped_and_the_client_stays(make_world):
    world = make_world(small_buffer(1000))
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    for id in range(100):
        world.trade(id)
        world.flush()
        assert client.writer.unsent.bytes <= 1000
    client.wire.read()
    messages = client.got()
    told = sum(message["payload"]["missed"] for message in messages if message["type"] == "gap")
    assert told + kinds(messages).count("trade") == 100
    assert messages[-1]["payload"]["id"] == "99"


def test_one_whose_latest_values_do_not_fit_is_too_slow(make_world):
    world = make_world(small_buffer(100))
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    world.ticker("2")
    world.flush()
    assert client.writer.unsent.bytes <= 100
    world.time.advance(1)
    assert client.wire.closed_with == (1013, "too slow")


def test_one_whose_backlog_overflowed_is_not_resumed_with_holes(make_world):
    world = make_world(small_buffer(100))
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    world.ticker("2")
    world.flush()
    client.wire.read()
    assert client.wire.closed_with == (1013, "too slow")


def test_a_client_that_asks_much_and_reads_nothing_costs_bounded_memory(make_world):
    world = make_world(small_buffer(1000))
    client = world.client(room=0)
    for _ in range(100):
        client.session.received(b'{"op":"ping"}')
    assert client.writer.unsent.bytes <= 1000
    assert len(client.wire.waiting) < 200
    world.time.advance(1)
    assert client.wire.closed_with == (1013, "too slow")


def test_sent_messages_are_counted_by_kind_for_every_client(world):
    clients = [world.client() for _ in range(3)]
    for client in clients:
        client.subscribe(BTC)
    world.ticker("1")
    clients[0].subscribe(ETH)
    late = world.client()
    late.subscribe(BTC)
    world.ticker("2")
    world.flush()
    seen = [message["type"] for client in (*clients, late) for message in client.got()]
    assert world.tally.metrics["cryptodash_ws_messages_sent_total"].values[("ticker",)] == 3 + 1 + 4
    assert seen.count("ticker") == 6


def test_initial_values_pass_the_slow_gate(world):
    books = [
        {**BOOK, "depth": depth, "symbol": f"{base}-USDT"}
        for base in ("BTC", "ETH", "SOL")
        for depth in (500, 1000, 200, 100)
    ]
    warm = world.client()
    warm.subscribe(*books)
    for base in ("BTC", "ETH", "SOL"):
        world.book(*(f"{price}.12345678" for price in range(1, 1000)), base=base)
    world.time.advance(1)
    client = world.client(room=10_000)
    client.session.received(json.dumps({"op": "subscribe", "channels": books}).encode())
    rounds = 0
    while client.wire.waiting:
        assert len(client.wire.waiting) <= BURST + 50_000
        client.wire.read(room=10_000)
        rounds += 1
    assert rounds > 2
    messages = client.got()
    assert kinds(messages) == ["info", *["status", "order_book_snapshot"] * 12]
    assert client.writer.unsent.bytes == 0


def test_what_a_client_waits_for_is_introduced_once_with_its_newest_value(world):
    client = world.client(room=0)
    client.session.received(json.dumps({"op": "subscribe", "channels": [BTC, TRADES]}).encode())
    for price in ("1", "2", "3"):
        world.ticker(price)
        world.trade(int(price))
        world.flush()
    client.wire.read()
    messages = client.got()
    assert kinds(messages) == ["info", "status", "ticker", "status", "trade", "trade", "trade"]
    assert lasts(messages) == [3]
    world.trade(4)
    world.flush()
    assert kinds(client.got()) == ["trade"]


def test_one_that_reads_nothing_is_closed_as_too_slow(world):
    client, other = world.client(), world.client()
    client.subscribe(BTC)
    other.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    world.time.pump([0.5] * 19)
    assert client.wire.closed_with is None
    world.time.pump([0.5] * 3)
    assert client.wire.closed_with == (1013, "too slow")
    assert other.wire.closed_with is None
    world.ticker("2")
    world.flush()
    assert lasts(other.got()) == [1, 2]
    assert world.fanout.slow_clients.blocked == {}
    assert len(next(iter(world.fanout.cohorts.values()))) == 1
    world.time.advance(10)
    assert world.time.getDelayedCalls() == []


def test_one_that_reads_slowly_stays_until_its_prices_would_be_old(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    for _ in range(28):
        world.time.advance(1)
        client.wire.read(2)
    assert client.wire.closed_with is None
    for _ in range(3):
        world.time.advance(1)
        client.wire.read(2)
    assert client.wire.closed_with == (1013, "too slow")


def test_a_trickling_reader_is_never_far_behind(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    for price in range(1, 600):
        world.ticker(str(price))
        world.time.advance(0.1)
        client.wire.read(60, room=0)
        assert len(client.wire.waiting) <= BURST
    client.wire.read()
    prices = lasts(client.got())
    assert prices[-1] == 599
    assert max(after - before for before, after in pairwise(prices)) < 40
    assert client.wire.closed_with is None


def test_a_client_that_never_catches_up_still_sees_every_channel_move(world, monkeypatch):
    monkeypatch.setattr("cryptodash.api.fanout.client_writer.SLICE", 1)  # one entry of the queue at a time
    client = world.client()
    client.subscribe(BTC, ETH, BOOK, TRADES)
    world.book("10")
    world.time.advance(1)
    client.got()
    client.wire.room = 0
    world.ticker("1")
    world.flush()  # on its way; from now on everything waits
    for step in range(60):
        for id in range(25):
            world.trade(25 * step + id)
        world.book("10", str(11 + step))
        world.ticker(str(step + 1))
        world.ticker(str(step + 1), "ETH")
        world.time.advance(0.5)
        client.wire.read(room=0)
    late = [
        message
        for message in client.got()
        if message["type"] == "gap" or message["payload"]["timestamp"] > "2024-01-01T00:00:20"
    ]
    symbols = {(message["type"], message["payload"].get("symbol", {}).get("base")) for message in late}
    assert symbols == {
        ("ticker", "BTC"),
        ("ticker", "ETH"),
        ("order_book_snapshot", "BTC"),
        ("trade", "BTC"),
        ("gap", None),
    }


def test_a_value_that_changes_often_does_not_wait_longer_for_that(world, monkeypatch):
    monkeypatch.setattr("cryptodash.api.fanout.client_writer.SLICE", 1)
    client = world.client()
    client.subscribe(BTC, ETH, SOL)
    client.wire.room = 0
    world.ticker("1")
    world.flush()  # on its way
    for price in ("2", "3"):
        for base in ("BTC", "ETH", "SOL"):
            world.ticker(price, base)
    world.ticker("4")
    world.flush()
    for _ in range(4):
        client.wire.read(room=0)
    assert lasts(client.got()) == [1, 4, 3, 3]


def test_a_slow_client_is_told_that_a_book_is_good_again_only_with_the_book(world, monkeypatch):
    monkeypatch.setattr("cryptodash.api.fanout.client_writer.SLICE", 1)
    client = world.client()
    client.subscribe(BOOK, BTC)
    book = world.topic(channel=Channel.ORDER_BOOK)
    world.book("10")
    world.status(State.LIVE, book)
    world.time.advance(1)
    client.got()
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    world.status(State.RESYNCING, book)
    world.ticker("2")
    world.book("12", rebuilt=True)
    world.status(State.LIVE, book)
    world.ticker("3")
    world.time.advance(1)
    client.wire.read(room=0)
    client.wire.read(room=0)
    client.wire.read()
    messages = client.got()
    assert kinds(messages) == ["ticker", "status", "order_book_snapshot", "ticker"]
    assert messages[1]["payload"]["state"] == "live"
    assert messages[2]["payload"]["bids"][0]["price"] == 12


def test_a_client_that_is_paused_by_its_transport_leaves_the_loop(world):
    client = world.client()
    client.subscribe(BTC)
    client.writer.paused()
    world.ticker("1")
    world.ticker("2")
    world.flush()
    assert client.got() == []
    client.writer.drained()
    assert lasts(client.got()) == [2]


def test_a_big_turn_is_cut_so_that_a_full_client_can_conflate_the_rest(world):
    client, fast = world.client(), world.client()
    client.subscribe(BTC)
    fast.subscribe(BTC)
    client.wire.room = 1000
    count = 2 * BURST // 150
    for price in range(count):
        world.ticker(str(price + 1))
    world.flush()
    assert len(client.wire.waiting) <= BURST
    client.wire.read()
    assert lasts(client.got())[-1] == count
    assert lasts(fast.got()) == list(range(1, count + 1))


def test_max_rate_sends_the_first_at_once_and_then_the_latest_per_period(world):
    client, full = world.client(), world.client()
    client.subscribe({**BTC, "max_rate": 2})
    full.subscribe(BTC)
    for price in range(1, 11):
        world.ticker(str(price))
        world.time.advance(0.125)
    world.time.pump([0.25] * 4)
    assert lasts(client.got()) == [1, 4, 8, 10]
    assert lasts(full.got()) == list(range(1, 11))
    world.ticker("11")
    world.flush()
    assert lasts(client.got()) == [11]


def test_max_rate_counts_the_value_that_comes_with_the_subscription(world):
    client, full = world.client(), world.client()
    full.subscribe(BTC)
    world.ticker("1")
    world.flush()
    assert lasts(client.subscribe({**BTC, "max_rate": 1})) == [1]
    world.ticker("2")
    world.time.advance(0.9)
    assert client.got() == []
    world.ticker("3")
    world.time.advance(0.2)
    assert lasts(client.got()) == [3]


def test_clients_of_one_rate_share_one_timer(world):
    for _ in range(20):
        world.client().subscribe({**BTC, "max_rate": 2}, ETH)
    world.ticker("1")
    world.flush()
    assert len(world.time.getDelayedCalls()) == 1


def test_max_rate_never_holds_back_statuses_or_closed_bars(world):
    client = world.client()
    client.subscribe({**CANDLES, "max_rate": 0.1}, {**BTC, "max_rate": 0.1})
    world.candle(0, "1")
    world.candle(0, "2")
    world.ticker("1")
    world.ticker("2")
    world.candle(0, "3", closed=True)
    world.candle(1, "4")
    world.status(State.LIVE)
    world.flush()
    messages = client.got()
    assert kinds(messages) == ["candle", "ticker", "candle", "status"]
    assert [message["payload"]["close"] for message in messages if message["type"] == "candle"] == [1, 3]
    world.time.advance(10)
    assert sorted(kinds(client.got())) == ["candle", "ticker"]


def test_changing_a_sole_clients_channels_attaches_only_the_difference(world):
    client = world.client()
    client.subscribe(BTC, ETH)
    cohort = client.writer.cohort
    calls: list[tuple[str, str]] = []
    attach, detach = world.hub.attach, world.hub.detach
    world.hub.attach = lambda outlet, topic, interval: (
        calls.append(("+", str(topic.symbol))),
        attach(outlet, topic, interval),
    )
    world.hub.detach = lambda outlet, topic, interval: (
        calls.append(("-", str(topic.symbol))),
        detach(outlet, topic, interval),
    )
    client.subscribe(SOL)
    client.ask({"op": "unsubscribe", "channels": [BTC]})
    assert calls == [("+", "SOL-USDT"), ("-", "BTC-USDT")]
    assert client.writer.cohort is cohort


def test_a_message_for_many_cohorts_is_framed_once(world):
    message = Message(world.topic(), "ticker", b"{}", world.topic())
    framer = world.fanout.framer(text_frame)
    assert framer.frames([message])[0] is framer.frames([message])[0]


ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["subscribe", "subscribe", "unsubscribe"]), st.integers(0, 3), st.integers(0, 4)),
    st.tuples(st.just("publish"), st.integers(0, 4), st.just(0)),
    st.tuples(st.sampled_from(["pause", "resume", "resync"]), st.integers(0, 3), st.integers(0, 60)),
    st.tuples(st.just("turn"), st.sampled_from([0, 0, 0.05, 0.2]), st.just(0)),
)
CHANNELS = [BTC, ETH, {**SOL, "max_rate": 10}, BOOK, TRADES]
NAMES = ["ticker:BTC", "ticker:ETH", "ticker:SOL", "order_book:BTC", "trade:BTC"]


class Naive:
    """What a simple client makes of its messages; it checks every promise as it goes."""

    def __init__(self) -> None:
        self.tickers: dict[str, float] = {}
        self.book: dict[float, float] | None = None
        self.sequence = 0
        self.trades: list[int] = []
        self.missed = 0

    def take(self, message: dict[str, Any], subscribed: set[str]) -> None:
        kind, payload = message["type"], message["payload"]
        if kind in ("info", "error", "status"):
            return
        if kind == "gap":
            self.missed += payload["missed"]
            return
        name = "order_book" if kind.startswith("order_book") else kind
        assert f"{name}:{payload['symbol']['base']}" in subscribed, message
        if kind == "ticker":
            self.tickers[payload["symbol"]["base"]] = payload["last"]
        elif kind == "trade" and not payload.get("replayed"):
            assert not self.trades or int(payload["id"]) > self.trades[-1]
            self.trades.append(int(payload["id"]))
        elif kind == "order_book_snapshot":
            self.sequence = payload["sequence"]
            self.book = {level["price"]: level["quantity"] for level in payload["bids"]}
        elif kind == "order_book_delta":
            assert self.book is not None and payload["sequence"] == self.sequence + 1
            self.sequence += 1
            self.book.update((level["price"], level["quantity"]) for level in payload["bids_upserts"])
            for price in payload["deletes"]["bids"]:
                del self.book[price]


class Play:
    """Random events of the market and of four clients, one of which may be slow at any time;
    ``warm`` keeps every topic alive."""

    def __init__(self, world: Any) -> None:
        self.world = world
        world.client().subscribe(*CHANNELS)
        self.clients = [world.client() for _ in range(4)]
        self.naive = [Naive() for _ in self.clients]
        self.wanted: list[set[str]] = [set() for _ in self.clients]
        self.unread: list[set[str]] = [set() for _ in self.clients]
        """What may still be on its way to a client, because it wanted it since it last had read everything."""
        self.bids = ["10"]
        self.count = 0

    def look(self, index: int) -> None:
        self.unread[index] |= self.wanted[index]
        client = self.clients[index]
        if not client.wire.waiting:
            for message in client.got():
                self.naive[index].take(message, self.unread[index])
            self.unread[index] = set(self.wanted[index])

    def act(self, action: str, first: Any, second: int) -> None:
        self.count += 1
        if action == "publish":
            self.publish(first)
        elif action == "turn":
            self.world.time.advance(first)
        else:
            self.look(first)
            self.ask(action, first, second)
            self.look(first)

    def publish(self, what: int) -> None:
        if what < 3:
            self.world.ticker(str(self.count), ("BTC", "ETH", "SOL")[what])
        elif what == 3:
            self.bids = [str(10 + self.count % 7), str(30 + self.count)]
            self.world.book(*self.bids)
        else:
            self.world.trade(self.count)

    def ask(self, action: str, index: int, argument: int) -> None:
        client = self.clients[index]
        if action == "pause":
            client.wire.room = min(client.wire.room, argument)
        elif action == "resume":
            client.wire.read()
        elif action == "resync":
            client.session.received(json.dumps({"op": "resync", "channels": CHANNELS[:4]}).encode())
        else:
            client.session.received(json.dumps({"op": action, "channels": [CHANNELS[argument]]}).encode())
            (self.wanted[index].add if action == "subscribe" else self.wanted[index].discard)(NAMES[argument])

    def settle(self) -> None:
        for _ in range(3):
            self.world.time.advance(0.2)
            for index, client in enumerate(self.clients):
                client.wire.read()
                self.look(index)


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTIONS, max_size=60))
def test_whatever_happens_each_client_holds_exactly_its_topics_and_the_latest_values(make_world, actions):
    play = Play(make_world())
    for action in actions:
        play.act(*action)
    play.settle()
    hub, topic = play.world.hub, play.world.topic
    for client, naive, wanted in zip(play.clients, play.naive, play.wanted, strict=True):
        assert client.wire.closed_with is None
        assert client.writer.clean
        assert client.writer.unsent.bytes == 0
        for base in ("BTC", "ETH", "SOL"):
            latest = hub.ticker(topic(base))
            if f"ticker:{base}" in wanted and latest is not None:
                assert naive.tickers[base] == float(latest.last)
        if "order_book:BTC" in wanted and hub.current(topic(channel=Channel.ORDER_BOOK, depth=5), 100):
            assert naive.book == {float(price): 1 for price in play.bids}

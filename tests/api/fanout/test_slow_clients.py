"""Clients that read more slowly than their channels move: what they see, and when they are closed."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from cryptodash.api.fanout.framer import AHEAD
from cryptodash.api.fanout.read_progress import next_slice, slice_size
from cryptodash.core.events import State
from cryptodash.core.topics import Channel
from tests.api.fanout.channels import BOOK, BTC, ETH, SOL, TRADES, kinds, lasts


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is behind gets one entry of its queue at a time."""
    monkeypatch.setattr("cryptodash.api.fanout.client_writer.AHEAD", 1)
    monkeypatch.setattr("cryptodash.api.fanout.read_progress.MOST_SLICE", 1)


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
        assert len(client.wire.waiting) <= AHEAD + 50_000
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


def test_one_that_reads_slowly_is_never_cut_for_it(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    for _ in range(100):
        world.time.advance(1)
        client.wire.read(2)
    assert client.wire.closed_with is None


def test_what_leaves_the_kernel_alone_is_progress_as_well(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room, client.wire.in_kernel = 0, 200_000
    world.ticker("1")
    world.flush()
    for _ in range(50):
        world.time.advance(1)
        client.wire.in_kernel -= 4000
        assert client.wire.closed_with is None
    world.time.pump([1] * 11)
    assert client.wire.closed_with == (1013, "too slow")


def test_frames_of_ours_that_come_on_top_are_no_progress_and_hide_none(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room, client.wire.in_kernel = 0, 100_000
    world.ticker("1")
    world.flush()
    for _ in range(5):
        world.time.advance(1)
        client.writer.send_control(b"a ping")
    client.wire.in_kernel -= 4000
    world.time.pump([1] * 9)
    assert client.wire.closed_with is None
    for _ in range(5):
        world.time.advance(1)
        client.writer.send_control(b"a ping")
    assert client.wire.closed_with == (1013, "too slow")


def test_what_waits_for_all_slow_clients_together_is_bounded(world, monkeypatch):
    monkeypatch.setattr("cryptodash.api.fanout.slow_clients.MAX_QUEUED", 150_000)
    clients = [world.client() for _ in range(10)]
    for client in clients:
        client.subscribe(TRADES, BTC)
        client.wire.room = 0
        client.wire.in_kernel = 10**9
    for id in range(100):
        world.trade(id)
        world.flush()
    for client in clients[:5]:
        client.subscribe(ETH)
        for id in range(100, 130):
            world.trade(id)
            world.flush()
    before = sum(client.writer.queued_bytes for client in clients)
    assert before > 150_000
    world.time.advance(1)
    left = [client for client in clients if client.wire.closed_with is None]
    assert 0 < len(left) < 10
    assert sum(client.writer.queued_bytes for client in left) <= 150_000
    assert all(client.wire.closed_with == (1013, "too slow") for client in clients if client not in left)


def test_a_trickling_reader_is_never_far_behind(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    for price in range(1, 600):
        world.ticker(str(price))
        world.time.advance(0.1)
        client.wire.read(60, room=0)
        assert len(client.wire.waiting) <= AHEAD + 300
    client.wire.read()
    prices = lasts(client.got())
    assert prices[-1] == 599
    assert max(after - before for before, after in pairwise(prices)) < 40
    assert client.wire.closed_with is None


def test_a_client_that_never_catches_up_still_sees_every_channel_move(world, one_at_a_time):
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


def test_a_value_that_changes_often_does_not_wait_longer_for_that(world, one_at_a_time):
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


def test_a_slow_client_is_told_that_a_book_is_good_again_only_with_the_book(world, one_at_a_time):
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
    assert kinds(messages) == ["ticker", "order_book_snapshot", "status", "ticker"]
    assert messages[2]["payload"]["state"] == "live"
    assert messages[1]["payload"]["bids"][0]["price"] == 12


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
    count = 2 * AHEAD // 150
    for price in range(count):
        world.ticker(str(price + 1))
    world.flush()
    assert len(client.wire.waiting) <= AHEAD + 300
    client.wire.read()
    assert lasts(client.got())[-1] == count
    assert lasts(fast.got()) == list(range(1, count + 1))


def test_what_is_told_ahead_of_an_answer_is_cut_as_well(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 1000
    count = 4 * AHEAD // 150
    for price in range(count):
        world.ticker(str(price + 1))
    client.writer.send_answer(b'{"type":"info"}')
    assert len(client.wire.waiting) <= AHEAD + 300
    client.wire.read()
    got = client.got()
    assert lasts(got)[-1] == count and len(got) < count


def test_what_a_drained_client_is_told_first_may_be_too_much_again(world):
    client = world.client()
    client.subscribe(BTC)
    client.writer.paused()
    count = 4 * AHEAD // 150
    for price in range(count):
        world.ticker(str(price + 1))
    client.wire.room = 1000
    client.writer.drained()
    client.wire.read()
    assert lasts(client.got())[-1] == count


def test_before_a_clients_pace_is_known_little_is_written_at_once(world):
    """It would read for 13 s what was true when it subscribed, at 5 kB/s."""
    client = world.client()
    bases = ("BTC", "ETH", "SOL")
    books = [{**BOOK, "depth": depth, "symbol": f"{base}-USDT"} for base in bases for depth in (200, 500, 1000)]
    world.client().subscribe(*books)
    for base in bases:
        world.book(*(f"{price}.12345678" for price in range(1, 200)), base=base)
    world.time.advance(1)
    client.wire.room = 0
    client.session.received(json.dumps({"op": "subscribe", "channels": books}).encode())
    world.time.advance(0.5)
    client.wire.read(room=0)
    assert 0 < len(client.wire.waiting) <= AHEAD + 10_000


@pytest.mark.parametrize(
    ("drained", "seconds", "size"),
    [
        (60_000, 0.0, 65536),
        (60_000, 0.1, 65536),
        (60_000, 1.0, 30_000),
        (60_000, 15.0, 4096),
        (5_000, 0.03, 65536),
        (5_000, 0.1, 25_000),
    ],
)
def test_what_is_written_at_once_leaves_within_half_a_second(drained: int, seconds: float, size: int) -> None:
    assert slice_size(drained, seconds) == size


@pytest.mark.parametrize(
    ("before", "drained", "seconds", "after"),
    [
        (16_384, 300, 0.0, 32_768),  # it may have gone into a buffer
        (16_384, 300, 2.0, 8192),  # and then was not taken for long
        (16_384, 12_000, 2.4, 4096),
        (16_384, 12_000, 0.1, 32_768),
        (8192, 12_000, 0.6, 10_000),
        (65_536, 60_000, 0.1, 65_536),
        (4096, 300, 5.0, 4096),
    ],
)
def test_a_client_gets_more_at_once_as_it_shows_that_it_reads(
    before: int, drained: int, seconds: float, after: int
) -> None:
    assert next_slice(before, drained, seconds) == after


def test_who_was_slow_and_is_fast_again_is_written_to_as_before(world):
    client = world.client()
    client.wire.room = 0
    client.writer.send_answer(b" " * 60_000)
    for _ in range(100):
        client.writer.send_answer(b" " * 2000)
    world.time.advance(8)
    sizes = []
    for _ in range(5):
        client.wire.read(room=0)
        sizes.append(len(client.wire.waiting) // 1000)
    assert sizes == [6, 10, 18, 34, 66], "twice as much each time"


def test_only_who_was_seen_reading_while_it_was_behind_is_reading(world):
    client = world.client()
    client.writer.block(b"", -1)
    assert not client.writer.is_reading(10)
    client.writer.block(b"the handshake", 0)
    client.wire.read()
    assert not client.writer.is_reading(10)
    client.wire.room = 0
    client.writer.send_answer(b" " * 60_000)
    assert not client.writer.is_reading(10)
    client.wire.read(30_000)
    assert client.writer.is_reading(10)
    world.time.advance(9)
    client.wire.read()
    world.time.advance(9.9)
    assert client.writer.is_reading(10)
    world.time.advance(0.1)
    assert not client.writer.is_reading(10)


def test_a_slow_reader_has_little_queued_on_its_transport(world):
    client = world.client()
    books = [{**BOOK, "symbol": symbol, "depth": 1000} for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")]
    client.subscribe(BTC, TRADES, *books)
    client.wire.room = 0
    most = 0
    for id in range(3000):
        world.trade(id)
        world.ticker(str(id + 1))
        world.time.advance(0.1)
        client.wire.read(400, room=0)
        if id > 1000:
            most = max(most, len(client.wire.waiting))
    assert client.wire.closed_with is None
    assert most < 12_000

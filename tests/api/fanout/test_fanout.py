"""Cohorts and the turn's flush."""

from __future__ import annotations

from cryptodash.api.ws.frames import text_frame
from cryptodash.core.config import Config
from cryptodash.hub.interfaces import Message
from tests.api.fanout.channels import BOOK, BTC, ETH, SOL, lasts


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

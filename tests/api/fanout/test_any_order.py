"""Whatever happens in whatever order, each client ends with its topics and their latest values."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.topics import Channel
from tests.api.fanout.channels import BOOK, BTC, ETH, SOL, TRADES

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

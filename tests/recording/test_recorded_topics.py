"""Which topics are on the messages tape: what is held anyway, and what patterns hold, with a keyframe a minute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.events import State
from cryptodash.core.record_patterns import record_patterns
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.new_topics import MOST_WAITING
from cryptodash.recording import records
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.open_tape import OpenTape
from cryptodash.recording.playback import play
from cryptodash.recording.recorded_topics import RecordedTopics
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import Run
from cryptodash.recording.tape_writer import Block, TapeWriter
from cryptodash.recording.verify import verify
from tests.hub.conftest import START_MS, World, make_world  # noqa: F401

TAPE_START = START_MS * 1000
ALL = 2 * TAPE_START
SAID = (records.MESSAGE, records.KEYFRAME)


class Recorded:
    """A hub that is recorded."""

    def __init__(
        self,
        world: World,
        root: Path,
        words: str,
        ours: Callable[[str], bool] = lambda _: True,
        fence_of: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self.world = world
        self.root = root
        run = Run("ab" * 16, START_MS, "test")
        place = WriterPlace(root, "test", least_free=0)
        self.writer = TapeWriter(place.tape("messages", 2**30, 2**20), run, world.time.monotonic)
        self.tape = OpenTape(lambda: round((world.time.monotonic() - 1000) * 1e6) + TAPE_START, self._put)
        hub = world.hub
        patterns = record_patterns(words)
        self.topics = RecordedTopics(self.tape, hub, hub, hub, patterns, ours, world.time.monotonic, fence_of)
        hub.on_wanted.append(self.topics.wanted)

    def _put(self, block: Block) -> bool:
        self.writer.write(block)
        return True

    def look(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.world.advance(1)
            for _ in self.topics.look():
                pass
            self.tape.look()

    def read(self, *topics: Topic) -> list[tuple[str, int, bytes]]:
        """(topic, kind, type of the message)."""
        self.tape.close_draft()
        assert verify(self.root).errors == []
        with Recording(self.root) as recording:
            found = list(recording.read(0, ALL, [each.text for each in topics] or None))
        return [
            (each.topic, each.kind, each.body.split(b'"')[3] if each.kind in SAID else b"")
            for each in found
            if isinstance(each, Entry)
        ]

    @property
    def names(self) -> set[str]:
        return {each.text for each in self.topics.recorded}


@pytest.fixture
def recorded(tmp_path: Path, make_world: Any) -> Callable[..., Recorded]:  # noqa: F811
    def make(
        words: str = "held",
        ours: Callable[[str], bool] = lambda _: True,
        fence_of: Callable[[str], int | None] = lambda _: None,
        **limits: int,
    ) -> Recorded:
        return Recorded(make_world(**limits), tmp_path, words, ours, fence_of)

    return make


def test_what_is_held_is_recorded_until_it_ends(recorded: Callable[..., Recorded]) -> None:
    r = recorded()
    trades = r.world.topic(Channel.TRADE)
    r.look(3)
    r.world.hub.hold(trades, 0)
    r.look()
    r.world.hub.publish(r.world.trade(1))
    r.look(2)
    r.world.hub.release(trades, 0)
    r.look(20)
    r.world.hub.publish(r.world.trade(2))  # it lingers, and so does its recording
    r.look(30)
    assert r.names == set()
    r.world.hub.hold(trades, 0)
    r.look()
    r.world.hub.publish(r.world.trade(3))
    assert r.read() == [
        (trades.text, records.BEGIN, b""),
        (trades.text, records.KEYFRAME, b"status"),
        (trades.text, records.MESSAGE, b"trade"),
        (trades.text, records.MESSAGE, b"trade"),
        (trades.text, records.END, b""),
        (trades.text, records.BEGIN, b""),
        (trades.text, records.KEYFRAME, b"status"),
        (trades.text, records.MESSAGE, b"trade"),
    ]
    with Recording(r.root) as recording:
        holes = [each for each in play(recording, TAPE_START, ALL, [trades.text]) if isinstance(each, Missing)]
    assert [each.reason for each in holes] == ["unrecorded", "unrecorded"]


def test_messages_are_those_of_clients_byte_for_byte(recorded: Callable[..., Recorded]) -> None:
    r = recorded()
    client = r.world.watch(r.world.ticker_topic)
    r.look()
    r.world.status(r.world.ticker_topic, State.LIVE)
    for number in range(20):
        r.world.hub.publish(r.world.ticker(f"{number}.500"))
    r.tape.close_draft()
    with Recording(r.root) as recording:
        found = [each.body for each in recording.read(0, ALL, keyframes=False) if isinstance(each, Entry) and each.body]
    assert found == [each.body for each in client.messages]


def test_a_book_is_recorded_at_the_default_depth_whatever_depth_is_held(recorded: Callable[..., Recorded]) -> None:
    r = recorded()
    held, view = r.world.topic(Channel.ORDER_BOOK, depth=20), r.world.topic(Channel.ORDER_BOOK, depth=50)
    book = r.world.book_of({"100.10": "1.0", "99": "2"}, {"101": "3"})
    r.world.hub.hold(held, 100)
    r.look()
    assert r.names == {view.text}
    r.world.status(view.upstream, State.LIVE)
    r.world.book(book, rebuilt=True)
    r.world.advance(0.2)
    book.bids["100.10"] = "7.50"
    r.world.book(book)
    r.world.advance(0.2)
    said = [each for _, kind, each in r.read(view) if kind == records.MESSAGE]
    assert [each for each in said if each != b"status"] == [b"order_book_snapshot", b"order_book_delta"]
    # Nobody else holds it any more: the recording does not keep it for ever.
    r.world.hub.release(held, 100)
    r.look(40)
    assert r.names == set() and r.world.hub.clients_of(view.upstream) == 0
    r.look(40)
    assert any(what == "drop" and view in topics for what, topics in r.world.venue.asked)


def test_a_keyframe_of_each_topic_comes_every_minute_and_after_a_loss(recorded: Callable[..., Recorded]) -> None:
    r = recorded()
    r.world.hub.hold(r.world.ticker_topic, 0)
    r.look()
    r.world.hub.publish(r.world.ticker("1.50"))
    r.look(130)
    keyframes = [each[2] for each in r.read() if each[1] == records.KEYFRAME]
    assert keyframes == [b"status", b"status", b"ticker", b"status", b"ticker"]
    r.topics.all_keyframes()
    r.look()
    assert len([each for each in r.read() if each[1] == records.KEYFRAME]) == len(keyframes) + 2


def test_patterns_hold_what_nobody_else_does(recorded: Callable[..., Recorded]) -> None:
    r = recorded("trade:binance:spot:*-USDT, candle:*:*:BTC-USDT:5m, order_book:bybit:perpetual:ETH-*")
    r.look(2)
    assert r.names == {
        "binance:spot:BTC-USDT:trade",
        "binance:spot:ETH-USDT:trade",
        *(f"{venue}:{market}:BTC-USDT:candle:5m" for venue in ("binance", "bybit") for market in ("spot", "perpetual")),
        "bybit:perpetual:ETH-USDT:order_book:50",
    }
    # What is held anyway is recorded as well: what clients had is there when they ask for it again.
    r.world.hub.hold(r.world.ticker_topic, 0)
    r.look(2)
    assert r.world.ticker_topic.text in r.names
    wanted = {topic for what, topics in r.world.venue.asked if what == "want" for topic in topics}
    assert {each.text for each in wanted} >= {"binance:spot:ETH-USDT:trade"}
    r.look(200)
    assert len(r.names) == 8


def test_patterns_keep_to_the_rations_and_to_a_share_of_the_streams(recorded: Callable[..., Recorded]) -> None:
    """A tenth of the streams: a client may have two fifths of them."""
    r = recorded("*:*:*:*", max_upstream_streams=10)
    r.look(10)
    open_now = {topic for what, topics in r.world.venue.asked if what == "want" for topic in topics}
    assert len(open_now) == 4
    assert len(r.topics.recorded) < MOST_WAITING


def test_of_a_cluster_the_process_that_has_the_venue_records(recorded: Callable[..., Recorded]) -> None:
    ours = {"bybit"}
    r = recorded("held, ticker:*:spot:BTC-USDT", ours=lambda exchange: exchange in ours)
    r.world.hub.hold(r.world.topic(Channel.TRADE), 0)
    r.world.hub.hold(r.world.topic(Channel.TRADE, exchange="bybit"), 0)
    r.look(2)
    assert r.names == {"bybit:spot:BTC-USDT:trade", "bybit:spot:BTC-USDT:ticker"}
    ours.symmetric_difference_update({"bybit", "binance"})  # handed over
    r.look(2)
    assert r.names == {"binance:spot:BTC-USDT:trade", "binance:spot:BTC-USDT:ticker"}
    assert [each[1] for each in r.read(r.world.topic(Channel.TRADE, exchange="bybit"))] == [
        records.BEGIN,
        records.KEYFRAME,
        records.END,
    ]


def fences_on(r: Recorded, topic: Topic) -> list[tuple[int, int | None]]:
    """What the tape says of the topic's leases: (kind, fence), and where it ends."""
    r.tape.close_draft()
    assert verify(r.root).errors == []
    kinds = (records.BEGIN, records.HELD, records.END)
    with Recording(r.root) as recording:
        return [
            (each.kind, records.fence_of(each.body))
            for each in recording.read(0, ALL, [topic.text])
            if isinstance(each, Entry) and each.kind in kinds
        ]


def test_the_tape_says_under_which_lease_a_topic_is_recorded_again_each_minute(
    recorded: Callable[..., Recorded],
) -> None:
    fences: dict[str, int] = {"binance": 2**53, "bybit": 7}
    r = recorded(fence_of=fences.get)
    trades, other = r.world.topic(Channel.TRADE), r.world.topic(Channel.TRADE, exchange="bybit")
    for each in (trades, other):
        r.world.hub.hold(each, 0)
    r.look(130)
    held = (records.HELD, 2**53)
    assert fences_on(r, trades) == [(records.BEGIN, 2**53), held, held]
    assert fences_on(r, other)[:2] == [(records.BEGIN, 7), (records.HELD, 7)]
    r.topics.all_keyframes()
    r.look()
    assert fences_on(r, trades)[-1] == held, "where a segment begins, or something was lost"


def test_another_lease_is_told_where_it_begins(recorded: Callable[..., Recorded]) -> None:
    """Whether the exchange was left in between, or Redis was emptied and gave it to the same process again."""
    fences = {"binance": 5, "bybit": 7}
    r = recorded(ours=lambda exchange: exchange in fences, fence_of=fences.get)
    trades, other = r.world.topic(Channel.TRADE), r.world.topic(Channel.TRADE, exchange="bybit")
    for each in (trades, other):
        r.world.hub.hold(each, 0)
    r.look(2)
    fences["binance"] = 9
    r.look(2)
    assert fences_on(r, trades) == [(records.BEGIN, 5), (records.BEGIN, 9)]
    assert [kind for _, kind, _ in r.read(trades)][-1] == records.KEYFRAME
    del fences["binance"]
    r.look(2)
    fences["binance"] = 12
    r.look(2)
    assert fences_on(r, trades)[2:] == [(records.END, None), (records.BEGIN, 12)]
    assert fences_on(r, other) == [(records.BEGIN, 7)]


def test_what_is_derived_of_several_exchanges_belongs_to_no_lease(recorded: Callable[..., Recorded]) -> None:
    r = recorded(fence_of=lambda exchange: 5)
    merged = r.world.topic(Channel.BBO, exchange="composite")
    r.world.hub.hold(merged, 0)
    r.look(130)
    assert fences_on(r, merged) == [(records.BEGIN, None)]


def test_where_there_are_no_leases_the_tape_says_nothing_of_them(recorded: Callable[..., Recorded]) -> None:
    r = recorded()
    r.world.hub.hold(r.world.topic(Channel.TRADE), 0)
    r.look(130)
    assert fences_on(r, r.world.topic(Channel.TRADE)) == [(records.BEGIN, None)]


def test_a_catalogue_that_changes_changes_what_is_recorded(recorded: Callable[..., Recorded]) -> None:
    from cryptodash.core.instruments import MarketType, Symbol

    r = recorded("trade:binance:spot:*")
    r.look(2)
    sol = Symbol("SOL", "USDT")
    r.world.venue.load(sol)
    r.world.hub.catalogue_changed("binance", MarketType.SPOT)
    r.look(2)
    assert r.names == {"binance:spot:SOL-USDT:trade"}

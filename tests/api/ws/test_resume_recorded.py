"""A client whose cursor is older than what is kept goes on from the recording, then from what is kept, then live:
nothing twice, nothing left out, and a gap where neither has all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.topics import Topic
from cryptodash.hub import replay_buffers, tape_replay
from tests.api.fanout.channels import BTC, CANDLES, TRADES, kinds
from tests.api.ws.test_resume import LIQUIDATIONS, away_after, ids, last_cursor, send, since


class Tape:
    """A recording that is told in pieces, when the test says so. ``bodies``: all that was recorded, None: a hole."""

    def __init__(self, bodies: Sequence[bytes | None] = ()) -> None:
        self.bodies = list(bodies)
        self.asked: list[Told] = []
        self.refuses: Refused | None = None

    def after(self, topic: Topic, cursor: Cursor, client: str) -> Told:
        if self.refuses is not None:
            raise self.refuses
        self.asked.append(Told(self, topic, cursor, client))
        return self.asked[-1]

    def behind(self, topic: Topic, cursor: Cursor) -> list[bytes | None] | None:
        """None: it does not reach back to it."""
        name = f'"cursor":"{topic.tag}-{cursor.time}-{cursor.id}"'.encode()
        places = [at for at, body in enumerate(self.bodies) if body is not None and name in body]
        return self.bodies[places[0] + 1 :] if places else None


class Told:
    """An answer; it is all that was recorded when it was asked for."""

    def __init__(self, tape: Tape, topic: Topic, cursor: Cursor, client: str) -> None:
        self.client = client
        self.cancelled = False
        self.waiting: Deferred[Sequence[bytes | None]] | None = None
        self._rest = tape.behind(topic, cursor)

    def more(self) -> Deferred[Sequence[bytes | None]]:
        assert self.waiting is None, "one at a time"
        self.waiting = Deferred()
        return self.waiting

    def tell(self, count: int = 1_000_000) -> None:
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        if self._rest is None:
            waiting.errback(Refused("not_recorded", "no"))
            return
        told, self._rest = self._rest[:count], self._rest[count:]
        waiting.callback(told)

    def fail(self) -> None:
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        waiting.errback(Refused("recording_failed", "the disk is gone", 503))

    def cancel(self) -> None:
        self.cancelled = True


class Recorder:
    """An outlet that puts what it is sent on the tape."""

    def __init__(self, world: Any, topic: Topic) -> None:
        self.tape = world.hub.past = Tape()
        world.hub.hold(topic, 0)
        world.hub.attach(self, topic, 0)

    def deliver(self, message: Any) -> None:
        if message.kind != "status":
            self.tape.bodies.append(message.body)


@pytest.fixture(autouse=True)
def _little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for channel in replay_buffers.ALWAYS_KEPT:
        monkeypatch.setitem(replay_buffers.ALWAYS_KEPT, channel, 3)


def away_for_long(world: Any, last: int = 9) -> tuple[Tape, str]:
    """A client that has seen trade 1; up to ``last`` follow, of which the last three are kept."""
    tape = Recorder(world, world.topic(channel=TRADES_CHANNEL)).tape
    cursor = away_after(world)
    for number in range(2, last + 1):
        world.time.advance(61)
        world.trade(number)
    world.flush()
    return tape, cursor


TRADES_CHANNEL = next(each for each in replay_buffers.ALWAYS_KEPT if each == "trade")


def gaps(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["payload"] for each in messages if each["type"] == "gap"]


def test_first_what_is_recorded_then_what_is_kept_then_live(world: Any) -> None:
    tape, cursor = away_for_long(world)
    client = world.client()
    answer = client.subscribe(since(TRADES, cursor))
    assert kinds(answer) == ["info", "status"], "the recording is being read"
    (told,) = tape.asked
    told.tell(3)
    world.trade(10)
    world.flush()
    messages = client.got()
    assert ids(messages) == [2, 3, 4] and all(each["payload"]["replayed"] for each in messages)
    told.tell()
    told.tell()
    world.trade(11)
    world.flush()
    messages = client.got()
    assert ids(messages) == [5, 6, 7, 8, 9, 10, 11] and kinds(messages) == ["trade"] * 7
    assert "replayed" not in messages[-1]["payload"] and messages[-2]["payload"]["replayed"]
    assert client.writer.clean
    assert world.tally.metrics["cryptodash_ws_resumes_total"].values == {("trade", "recorded"): 1}


def test_what_is_kept_needs_no_recording(world: Any) -> None:
    tape, _ = away_for_long(world)
    client = world.client()
    cursor = last_cursor(client.subscribe(TRADES))
    world.trade(10)
    assert ids(world.client().subscribe(since(TRADES, cursor))) == [10]
    assert tape.asked == []


def test_other_channels_go_on_meanwhile_and_so_do_answers_and_statuses(world: Any) -> None:
    tape, cursor = away_for_long(world)
    client = world.client()
    client.subscribe(BTC, since(TRADES, cursor))
    world.ticker("2")
    world.trade(10)
    world.flush()
    assert kinds(client.got()) == ["ticker"], "a trade must not overtake those before it"
    send(client, "ping")
    assert kinds(client.got()) == ["info"]
    world.status(tape_replay_state("stale"), world.topic(channel=TRADES_CHANNEL))
    world.flush()
    assert kinds(client.got()) == ["status"]
    world.ticker("3")
    world.ticker("4")
    world.flush()
    assert kinds(client.got())[-1] == "ticker"
    tell_all(world, tape)
    assert ids(client.got()) == list(range(2, 11))
    assert client.writer.clean


def tape_replay_state(name: str) -> Any:
    from cryptodash.core.events import State

    return State(name)


def tell_all(world: Any, tape: Tape) -> None:
    for _ in range(20):
        for each in tape.asked:
            if each.waiting is not None:
                each.tell()
        world.flush()


def test_where_the_recording_has_a_hole_a_gap_stands_there(world: Any) -> None:
    tape, cursor = away_for_long(world)
    tape.bodies[4:5] = [None]  # trade 5
    client = world.client()
    client.subscribe(since(TRADES, cursor))
    tell_all(world, tape)
    messages = client.got()
    assert [each["type"] == "gap" or each["payload"]["id"] for each in messages] == [
        "2", "3", "4", True, "6", "7", "8", "9"
    ]  # fmt: skip
    (gap,) = gaps(messages)
    assert gap["reason"] == "recording" and "missed" not in gap
    of = {each["payload"]["id"]: each["payload"]["timestamp"] for each in messages if each["type"] == "trade"}
    assert (gap["from"], gap["to"]) == (of["4"], of["6"])


def test_after_a_restart_a_gap_stands_for_what_nobody_recorded(world: Any, make_world: Any) -> None:
    tape, cursor = away_for_long(world)
    after = make_world()
    after.time.advance(world.time.monotonic() + 100 - after.time.monotonic())
    after.hub.past = tape
    client = after.client()
    client.subscribe(since(TRADES, cursor))
    tape.asked[-1].tell()
    tape.asked[-1].tell()
    after.flush()
    assert ids(client.got()) == list(range(2, 10))
    after.trade(50)
    after.trade(51)
    after.flush()
    messages = client.got()
    assert kinds(messages) == ["gap", "trade", "trade"] and ids(messages) == [50, 51]
    assert gaps(messages)[0]["reason"] == "recording"
    assert gaps(messages)[0]["to"] == messages[1]["payload"]["timestamp"]
    after.trade(52)
    after.flush()
    assert ids(client.got()) == [52] and client.writer.clean


def test_where_nothing_comes_after_a_restart_the_gap_is_told_all_the_same(world: Any, make_world: Any) -> None:
    tape, cursor = away_for_long(world)
    after = make_world()
    after.hub.past = tape
    client = after.client()
    client.subscribe(since(TRADES, cursor))
    tape.asked[-1].tell()
    tape.asked[-1].tell()
    after.flush()
    client.got()
    after.time.advance(tape_replay.SETTLE_S)
    after.flush()
    messages = client.got()
    assert kinds(messages) == ["gap"] and "to" not in gaps(messages)[0]
    assert client.writer.clean


def test_what_a_venue_repeats_after_a_restart_is_not_told_again(world: Any, make_world: Any) -> None:
    """Of the time before, and not reaching back to the last one that was recorded."""
    tape, cursor = away_for_long(world)
    after = make_world()
    after.hub.past = tape
    client = after.client()
    client.subscribe(since(TRADES, cursor))
    after.trade(5)  # by its time one that was told
    tape.asked[-1].tell()
    tape.asked[-1].tell()
    after.flush()
    after.time.advance(world.time.monotonic() + 1 - after.time.monotonic())
    after.trade(50)
    after.flush()
    messages = client.got()
    assert ids(messages) == [*range(2, 10), 50] and len(gaps(messages)) == 1


def test_where_neither_reaches_back_all_is_as_without_a_recording(world: Any) -> None:
    tape, cursor = away_for_long(world)
    tape.bodies.clear()
    client = world.client()
    client.subscribe(since(TRADES, cursor))
    tape.asked[-1].tell()
    world.flush()
    messages = client.got()
    assert kinds(messages) == ["gap", "trade", "trade", "trade"] and gaps(messages)[0]["reason"] == "expired"
    assert world.tally.metrics["cryptodash_ws_resumes_total"].values == {("trade", "expired"): 1}
    world.trade(10)
    world.flush()
    assert ids(client.got()) == [10]


def test_too_many_who_read_already_are_no_error(world: Any) -> None:
    tape, cursor = away_for_long(world)
    tape.refuses = TryLater("too_many_replays", "8 at a time", 5)
    answer = world.client().subscribe(since(TRADES, cursor))
    assert kinds(answer) == ["info", "status", "gap", "trade", "trade", "trade"]
    assert gaps(answer)[0]["reason"] == "expired"


def test_a_recording_that_fails_in_the_middle_leaves_a_gap(world: Any) -> None:
    tape, cursor = away_for_long(world)
    client = world.client()
    client.subscribe(since(TRADES, cursor))
    tape.asked[-1].tell(2)
    world.flush()
    tape.asked[-1].fail()
    world.flush()
    messages = client.got()
    assert kinds(messages) == ["trade", "trade", "gap", "trade", "trade", "trade"]
    assert gaps(messages)[0]["reason"] == "resume" and ids(messages) == [2, 3, 7, 8, 9]


def test_a_client_that_leaves_or_unsubscribes_or_asks_anew_gives_back_its_reader(world: Any) -> None:
    tape, cursor = away_for_long(world)
    leaving, unsubscribing, anew = (world.client() for _ in range(3))
    for client in (leaving, unsubscribing, anew):
        client.subscribe(since(TRADES, cursor))
    leaving.session.closed()
    send(unsubscribing, "unsubscribe", TRADES)
    send(anew, "subscribe", since(TRADES, cursor))
    world.flush()
    assert [each.cancelled for each in tape.asked] == [True, True, True, False]
    tape.asked[3].tell()
    tape.asked[3].tell()
    world.flush()
    assert ids(anew.got()) == list(range(2, 10))
    for each in tape.asked[:3]:
        each.tell()  # too late
    world.flush()
    assert ids(anew.got()) == [] and ids(unsubscribing.got()) == []
    world.trade(10)
    world.flush()
    assert ids(anew.got()) == [10]


def test_a_resync_meanwhile_leaves_nothing_out(world: Any) -> None:
    tape, cursor = away_for_long(world)
    client = world.client()
    client.subscribe(since(TRADES, cursor))
    tape.asked[0].tell(4)
    world.flush()
    send(client, "resync", TRADES)
    tell_all(world, tape)
    messages = client.got()
    assert ids(messages) == list(range(2, 10)) and kinds(messages).count("status") == 1 and len(tape.asked) == 1


def test_a_client_that_reads_slowly_is_stored_nothing_and_the_recording_is_asked_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_buffers, "KEPT_SECONDS", 5)
    tape, cursor = away_for_long(world, 400)
    client = world.client(room=2_000)
    send(client, "subscribe", since(TRADES, cursor))
    number, most = 401, 0
    for _ in range(600):
        for each in tape.asked:
            if each.waiting is not None:
                each.tell(50)
        world.time.advance(1)
        if number <= 500:
            world.trade(number)
            number += 1
        client.wire.read(room=2_000)
        most = max(most, client.writer.queued_bytes)
    client.wire.read()
    messages = client.got()
    assert ids(messages) == list(range(2, 501)) and gaps(messages) == []
    assert most == 0 and len(tape.asked) > 1 and client.writer.clean


def test_one_that_does_not_catch_up_within_a_minute_is_told_of_a_gap(world: Any) -> None:
    tape, cursor = away_for_long(world, 400)
    client = world.client()
    client.subscribe(since(TRADES, cursor))
    for _ in range(4):
        tape.asked[-1].tell(1)
        world.time.advance(tape_replay.LONGEST_S / 2.5)
    messages = client.got()
    assert ids(messages) == [2, 3, 4, 5, 398, 399, 400] and [each["reason"] for each in gaps(messages)] == ["resume"]
    assert tape.asked[-1].cancelled and client.writer.clean


def test_bars_go_on_with_the_running_one_in_the_end(world: Any) -> None:
    topic = world.topic(channel=CANDLES_CHANNEL, interval="1m")
    tape = Recorder(world, topic).tape
    client = world.client()
    client.subscribe(CANDLES)
    world.candle(0, "1", closed=True)
    world.flush()
    cursor = last_cursor(client.got())
    client.session.closed()
    for minute in range(1, 9):
        world.time.advance(61)
        world.candle(minute, "1", closed=True)
    world.candle(9, "2")
    world.flush()
    tape.bodies = [each for each in tape.bodies if each is not None and b'"closed":true' in each]
    client = world.client()
    client.subscribe(since(CANDLES, cursor))
    tell_all(world, tape)
    messages = client.got()
    assert len(messages) == 9 and kinds(messages) == ["candle"] * 9
    assert [each["payload"]["closed"] for each in messages] == [True] * 8 + [False]


CANDLES_CHANNEL = next(each for each in replay_buffers.ALWAYS_KEPT if each == "candle")


def test_liquidations_go_on_as_trades_do(world: Any) -> None:
    tape = Recorder(world, world.liquidations()).tape
    client = world.client()
    client.subscribe(LIQUIDATIONS)
    world.liquidation(1)
    world.flush()
    cursor = last_cursor(client.got())
    client.session.closed()
    for number in range(2, 9):
        world.time.advance(61)
        world.liquidation(number)
    world.flush()
    client = world.client()
    client.subscribe(since(LIQUIDATIONS, cursor))
    tell_all(world, tape)
    world.liquidation(9)
    world.flush()
    messages = client.got()
    assert kinds(messages) == ["liquidation"] * 8
    assert [each["payload"]["price"] for each in messages] == list(range(3, 11))
    assert [each["payload"].get("replayed", False) for each in messages] == [True] * 7 + [False]


def test_who_reads_is_charged_for_it(world: Any) -> None:
    tape, cursor = away_for_long(world)
    world.client().subscribe(since(TRADES, cursor))
    assert tape.asked[0].client == "", "these clients have no address"
    writer = world.fanout.open(Nobody(), lambda body: body, blocked=True, address="10.0.0.0/24")
    topic = world.topic(channel=TRADES_CHANNEL)
    delivery = delivery_of(topic)
    writer.follow([delivery])
    list(writer.send_current([delivery], {delivery: Cursor(1, "1")}))
    writer.drained()
    assert tape.asked[1].client == "10.0.0.0/24"


class Nobody:
    def send(self, data: bytes) -> int:
        return len(data)

    def queue(self, data: bytes) -> None:
        """Nothing is to be queued."""

    def queued(self) -> Any:
        from cryptodash.api.fanout.read_progress import Queued

        return Queued(0, 0)


def delivery_of(topic: Topic) -> Any:
    from cryptodash.api.fanout.deliveries import Delivery

    return Delivery(topic)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 4)),
        st.tuples(st.just("tell"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("read"), st.integers(200, 2_000)),
        st.tuples(st.just("ticker"), st.just(1)),
        st.tuples(st.just("again"), st.just(1)),
    ),
    max_size=40,
)


def _numbers() -> Iterator[int]:
    number = 9
    while True:
        number += 1
        yield number


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from((0, 600, 10**9)))
def test_in_whatever_order_things_happen_each_trade_comes_once(make_world: Any, steps: Any, room: int) -> None:
    world = make_world()
    before = dict(replay_buffers.ALWAYS_KEPT)
    replay_buffers.ALWAYS_KEPT.update(dict.fromkeys(before, 3))
    try:
        tape, cursor = away_for_long(world)
        client, numbers, last = world.client(room=room), _numbers(), 9
        got: list[dict[str, Any]] = []
        send(client, "subscribe", BTC, since(TRADES, cursor))
        for what, amount in [*steps, ("read", 10**9), *[("tell", 10**6), ("wait", 1)] * 30, ("read", 10**9)]:
            if what == "trade":
                for _ in range(amount):
                    last = next(numbers)
                    world.trade(last)
                    world.flush()
            elif what == "tell":
                for each in tape.asked:
                    if each.waiting is not None and not each.cancelled:
                        each.tell(amount)
            elif what == "wait":
                world.time.advance(amount)
            elif what == "read":
                client.wire.read(room=amount)
            elif what == "ticker":
                world.ticker("1")
            if what == "again" or client.wire.closed_with is not None:
                client.session.closed()
                got += whole(client)
                client = world.client(room=10**9)
                kept = [each["payload"]["cursor"] for each in got if each["type"] == "trade"]
                send(client, "subscribe", BTC, since(TRADES, kept[-1] if kept else cursor))
            world.flush()
        client.wire.read()
        got += client.got()
        missing = [each for each in range(2, last + 1) if each not in ids(got)]
        assert len(set(ids(got))) == len(ids(got)) and ids(got) == sorted(ids(got))
        assert not missing or gaps(got), missing
        assert client.writer.clean
    finally:
        replay_buffers.ALWAYS_KEPT.update(before)


def whole(client: Any) -> list[dict[str, Any]]:
    """The frames that came whole."""
    found, data, client.wire.got = [], client.wire.got, b""
    while len(data) > 4:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + size:
            break
        found.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    return found

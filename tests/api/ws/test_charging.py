"""What a client's messages cost, who has to wait for it, and that long work comes in slices."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from cryptodash.api.fanout.client_writer import STEP_S
from cryptodash.api.slices import SLICE_S
from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.api.ws.requests import charged_as
from cryptodash.core.config import Config, Limits
from cryptodash.core.events import State
from cryptodash.core.topics import Channel
from cryptodash.hub.demand import ClientDemand
from tests.api.ws.test_socket import BINARY, CLOSE, PING, PONG, TEXT, Service, ask, close_code, frame

PER_CHANNEL_S = 0.0001


def ticker(base: str, **members: Any) -> dict[str, Any]:
    return {"channel_type": "ticker", "exchange": "binance", "symbol": f"{base}-USDT", **members}


def names(count: int) -> list[str]:
    return [f"T{index:04d}" for index in range(count)]


@pytest.fixture
def service(world: Any) -> Service:
    world.venue.load([f"{base}-USDT" for base in [*names(1000), "BTC", "ETH", "SOL"]])
    return Service(world)


def dear(world: Any) -> None:
    """Let resolving a channel take time, as it does."""
    resolve = world.hub.resolve

    def slowly(*words: Any) -> Any:
        world.time.rightNow += PER_CHANNEL_S
        return resolve(*words)

    world.hub.resolve = slowly


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def turn(world: Any) -> float:
    """One turn of the reactor (``advance`` takes all that are due, also those that the turn itself asks for); how long
    it took."""
    clock = world.time
    begun = clock.seconds()
    for call in [each for each in clock.getDelayedCalls() if each.getTime() <= begun]:
        if call.active():
            clock.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)
    return float(clock.seconds() - begun)


# -- The budget --


def test_work_comes_back_by_the_second_and_a_debt_has_an_end(world):
    budget = WorkBudget(50, 200, world.time)
    budget.charge(200)
    assert budget.seconds_in_debt() == 0
    budget.charge(25)
    assert budget.seconds_in_debt() == pytest.approx(0.5)
    world.time.advance(0.4)
    assert budget.seconds_in_debt() == pytest.approx(0.1)
    world.time.advance(budget.seconds_in_debt())
    assert budget.seconds_in_debt() == 0
    world.time.advance(1000)
    budget.charge(201)
    assert budget.seconds_in_debt() == pytest.approx(1 / 50)


@pytest.mark.parametrize(
    ("kind", "amount"), [("charge_channels", 50), ("charge_received", 16 * 1024), ("charge_sent", 64 * 1024)]
)
def test_what_one_token_buys(world, kind, amount):
    budget = WorkBudget(1, 1, world.time)
    getattr(budget, kind)(amount)
    assert budget.seconds_in_debt() == 0
    getattr(budget, kind)(amount)
    assert budget.seconds_in_debt() == pytest.approx(1)


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({}, 1),
        ({"exchange": "composite", "channel_type": "bbo"}, 5),
        ({"exchange": "composite", "channel_type": "order_book", "depth": 20}, 25),
        ({"exchange": "composite", "channel_type": "order_book", "depth": 1000}, 1005),
        ({"exchange": "composite", "channel_type": "order_book"}, 55),
        ({"exchange": "composite", "channel_type": "order_book", "depth": 10**30}, 55),
        ({"exchange": "composite", "channel_type": ["order_book"]}, 5),
    ],
)
def test_a_channel_of_the_composite_is_charged_as_the_venues_and_levels_it_is_made_of(
    more: dict[str, Any], count: int
) -> None:
    class FiveVenues:
        book_depth_default = 50

        def exchanges(self) -> tuple[str, ...]:
            return ("a", "b", "c", "d", "e")

    directory: Any = FiveVenues()
    assert charged_as(directory, [ticker("BTC"), {**ticker("ETH"), **more}, None]) == 2 + count


def test_merged_books_are_paid_for(service: Service) -> None:
    peer = service.peer()
    reading = Reading(peer)
    book = {"channel_type": "order_book", "exchange": "composite", "symbol": "BTC-USDT"}
    peer.send(ask("subscribe", channels=[{**book, "depth": 500 + each} for each in range(90)]))
    assert reading.on
    peer.send(ask("unsubscribe", channels=[{**book, "depth": 500 + each} for each in range(90)]))
    assert not reading.on


# -- Frames --


class Reading:
    """Whether a peer is read."""

    def __init__(self, peer: Any) -> None:
        self.on = True
        peer.transport.pauseProducing = lambda: setattr(self, "on", False)
        peer.transport.resumeProducing = lambda: setattr(self, "on", True)


@pytest.mark.parametrize(
    "what",
    [
        frame(BINARY, b""),
        frame(BINARY, b"x"),
        frame(PONG, b""),
        frame(PONG, b"nobody asked"),
        frame(0, b"", fin=False),
        frame(0, b" ", fin=False),
    ],
)
def test_frames_that_ask_for_nothing_are_read_fifty_a_second(service, what):
    peer = service.peer()
    reading = Reading(peer)
    if what[0] & 0x0F == 0:
        peer.send(frame(TEXT, b"", fin=False))
    assert peer.send(what * 800) == []
    left = len(peer.protocol.data)
    assert 0.7 * 800 * len(what) < left < 0.78 * 800 * len(what)
    assert not reading.on
    service.world.time.pump([0.1] * 20)
    assert 95 * len(what) <= left - len(peer.protocol.data) <= 105 * len(what)
    assert service.count("cryptodash_ws_debts_total") > 0
    service.world.time.pump([0.1] * 200)
    assert peer.protocol.data == b""
    assert reading.on
    assert peer.frames()[0][0] == PING  # nothing was answered, nobody was closed
    assert peer.protocol.state == peer.protocol.STATE_OPEN


def test_a_request_behind_a_debt_is_served_when_it_is_paid(service):
    peer = service.peer()
    assert peer.send(frame(BINARY, b"x") * 250 + ask("ping", id=7)) == []
    service.world.time.pump([0.01] * 99)
    assert peer.messages() == []
    service.world.time.pump([0.01] * 4)
    assert [message["payload"]["id"] for message in peer.messages()] == [7]


def test_the_answer_to_our_own_ping_is_free(service):
    peer = service.peer()
    peer.send(frame(BINARY) * 200)
    service.world.time.advance(20)
    ((opcode, payload),) = peer.frames()
    assert opcode == PING
    peer.send(frame(BINARY) * 199)
    peer.send(frame(PONG, payload))
    assert peer.protocol._work.seconds_in_debt() == 0
    peer.send(frame(PONG, payload))
    assert 0 < peer.protocol._work.seconds_in_debt() < 0.001


def test_a_pong_among_what_was_not_read_is_waited_for(service):
    peer = service.peer()
    service.world.time.advance(20)
    ((_, payload),) = peer.frames()
    peer.send(frame(BINARY) * 1450 + frame(PONG, payload))
    service.world.time.pump([0.5] * 42)  # a ping's time is over
    assert not peer.transport.disconnecting
    service.world.time.pump([0.5] * 10)
    assert peer.protocol.data == b""
    assert sum(service.world.tally.metrics["cryptodash_ws_ping_rtt_seconds"].at().counts) == 1


def test_whoever_is_silent_when_it_is_read_again_is_dropped(service):
    early, late = service.peer(), service.peer()
    early.send(frame(BINARY) * 300)  # paid long before the ping
    service.world.time.pump([0.5] * 40)
    late.send(frame(BINARY) * 300)
    service.world.time.pump([0.5] * 41)
    assert early.transport.disconnecting
    assert not late.transport.disconnecting
    service.world.time.pump([0.5] * 40)
    assert late.transport.disconnecting


@pytest.mark.parametrize("piece", [b"", b" "])
def test_a_message_in_too_many_fragments_is_a_policy_violation(make_world, piece):
    service = Service(make_world(Config(limits=evolve(Limits(), max_fragments=20))))
    peer = service.peer()
    assert peer.send(frame(TEXT, b'{"op":"ping"}', fin=False) + frame(0, b" ", fin=False) * 18 + frame(0)) != []
    peer.send(frame(TEXT, b"", fin=False) + frame(0, piece, fin=False) * 19)
    assert peer.protocol.state == peer.protocol.STATE_OPEN
    assert close_code(peer.send(frame(0, piece, fin=False))) == (1008, b"too many fragments")


def test_empty_fragments_are_bounded_by_default(service):
    peer = service.peer()
    peer.send(frame(TEXT, b"", fin=False))
    for _ in range(19):
        peer.send(frame(0, b"", fin=False) * 100)
        service.world.time.advance(1)
        if peer.protocol.state != peer.protocol.STATE_OPEN:
            break
        assert len(peer.protocol.message_data) <= 1024
    assert close_code([each for each in peer.frames() if each[0] == CLOSE])[0] == 1008


def test_a_frame_that_comes_byte_by_byte_is_not_kept_byte_by_byte(service):
    peer = service.peer()
    whole = frame(TEXT, b'{"op":"ping"}'.ljust(60_000))
    for at in range(0, len(whole) - 1, 3):
        peer.protocol.dataReceived(whole[at : at + 3])
        assert len(getattr(peer.protocol, "frame_data", None) or ()) <= 65
    assert [message["message"] for message in (peer.protocol.dataReceived(whole[at + 3 :]), peer.messages())[1]] == [
        "pong"
    ]


def test_bytes_are_charged_by_the_head_of_their_frame(service):
    peer = service.peer()
    for _ in range(20):
        peer.send(frame(BINARY, bytes(256 * 1024)))  # 16 tokens and one
    assert service.count("cryptodash_ws_binary_ignored_total") == 12
    peer.send(b"")
    assert len(peer.protocol.data) > 7 * 256 * 1024  # a transport that could be paused would not have read it


def test_nobody_is_read_for_free_after_the_close_frame(service):
    peer = service.peer()
    peer.send(ask("ping") * 201)
    peer.send(frame(BINARY) * 4000)
    assert len(peer.protocol.data) > 3700 * 6


def test_a_refused_client_is_not_read_for_free_either(make_world):
    service = Service(make_world(Config(limits=evolve(Limits(), max_connections_per_ip=1))))
    service.peer()
    peer = service.peer()
    assert close_code(peer.greeting)[0] == 1008
    peer.send(frame(PING) * 4000)
    assert len(peer.protocol.data) > 3700 * 6


def test_what_waits_is_gone_with_the_client(service):
    peer = service.peer()
    peer.send(frame(BINARY) * 900)
    peer.lose()
    service.world.time.pump([1] * 3)
    service.clients.stop()
    assert service.clients.sessions == {}
    assert service.world.time.getDelayedCalls() == []


# -- Requests --


def test_a_thousand_channels_cost_twenty_tokens_and_their_bytes(service):
    peer = service.peer()
    request = ask("subscribe", channels=[ticker(f"NO{index}") for index in range(1000)])
    served = 0
    for _ in range(20):
        peer.protocol.dataReceived(request)
        served += sum("accepted" in message["payload"] for message in peer.messages())
    cost = 20 + len(request) / 16384 + 91_000 / 65536
    assert served == int(200 / cost) + 1
    assert peer.protocol._work.seconds_in_debt() > 0


def test_the_list_of_a_thousand_channels_costs_what_it_is(service):
    peer = service.peer()
    peer.send(ask("subscribe", channels=[ticker(base) for base in names(1000)]))
    service.world.time.advance(60)
    peer.frames()
    answers = peer.send(ask("list") * 20)
    assert len(answers) == 10  # 20 tokens and two for 109 kB
    service.world.time.advance(1)
    assert len(peer.frames()) == 2


def test_the_values_of_an_answer_are_charged_when_they_are_sent(service):
    peer = service.peer()
    for base in names(100):
        service.world.hub.hold(service.world.topic(base), 0)
        service.world.ticker("1" * 30, base)
    peer.send(ask("subscribe", channels=[ticker(base) for base in names(100)]))
    service.world.time.advance(60)
    budget = peer.protocol._work
    request = ask("resync", channels=[ticker(base) for base in names(100)])
    sent = sum(len(payload) for _, payload in peer.send(request))
    budget.charge(200 - 2 - len(request) / 16384)
    assert budget.seconds_in_debt() * 50 == pytest.approx(sent / 65536, rel=0.02)


def test_cheap_requests_at_fifty_a_second_never_wait(service):
    peer = service.peer()
    for number in range(1000):
        assert len(peer.send(ask("subscribe", id=number, channels=[ticker("BTC")]))) >= 2
        service.world.time.advance(1 / 50)
        peer.frames()
        if number % 900 == 899:  # our ping
            break
    assert service.count("cryptodash_ws_debts_total") == 0


def test_a_flood_of_cheap_requests_is_closed_and_one_of_dear_ones_waits(service):
    cheap, costly = service.peer(), service.peer()
    assert close_code(cheap.send(ask("subscribe", channels=[ticker("BTC")]) * 300))[0] == 1008
    costly.send(ask("unsubscribe", channels=[ticker(base) for base in names(200)]) * 60)
    assert costly.protocol.state == costly.protocol.STATE_OPEN
    service.world.time.pump([0.2] * 20)
    assert costly.protocol.state == costly.protocol.STATE_OPEN


# -- Slices --


def test_a_long_request_takes_two_milliseconds_a_turn_and_the_next_one_waits(service):
    world = service.world
    dear(world)
    peer = service.peer()
    peer.protocol.dataReceived(
        ask("subscribe", channels=[ticker(f"NO{i}") for i in range(1000)]) + ask("ping", id="after")
    )
    spent = []
    answers: list[dict[str, Any]] = []
    while len(answers) < 3:
        spent.append(turn(world))
        answers += peer.messages()
        assert len(spent) < 200
    assert kinds(answers) == ["info", "error", "info"]
    assert len(answers[0]["payload"]["rejected"]) == 1000
    assert answers[2]["payload"]["id"] == "after"
    assert len(spent) > 40
    assert max(spent) <= SLICE_S + 2 * PER_CHANNEL_S


def test_many_small_frames_are_read_in_slices_too(service):
    world = service.world
    peer = service.peer()
    count = peer.protocol.onPong

    def slowly(payload: bytes) -> None:
        world.time.rightNow += PER_CHANNEL_S
        count(payload)

    peer.protocol.onPong = slowly
    begun = world.time.seconds()
    peer.protocol.dataReceived(frame(PONG) * 150)
    spent = [world.time.seconds() - begun]
    while peer.protocol.data:
        spent.append(turn(world))
    assert max(spent) <= SLICE_S + 2 * PER_CHANNEL_S
    assert len(spent) >= 7


def test_two_clients_share_the_slice_and_a_third_is_answered_between(service):
    world = service.world
    dear(world)
    long, other, quick = service.peer(), service.peer(), service.peer()
    for peer in (long, other):
        peer.protocol.dataReceived(ask("unsubscribe", channels=[ticker(f"NO{i}") for i in range(1000)]))
    quick.protocol.dataReceived(ask("subscribe", channels=[ticker("BTC")]))
    spent = [turn(world)]
    assert kinds(quick.messages()) == ["info", "status"]
    while not (long.protocol.session.busy is other.protocol.session.busy is False):
        spent.append(turn(world))
    assert len(long.messages()) == len(other.messages()) == 1
    assert max(spent) <= SLICE_S + 2 * PER_CHANNEL_S


def test_updates_during_a_subscribe_come_behind_its_answers(service):
    world = service.world
    dear(world)
    peer = service.peer()
    world.hub.hold(world.topic(), 0)
    world.ticker("1")
    peer.protocol.dataReceived(ask("subscribe", channels=[ticker(base) for base in ["BTC", *names(300)]]))
    answers: list[dict[str, Any]] = []
    price = 1
    while peer.protocol.session.busy:
        price += 1
        world.ticker(str(price))
        world.status(State.LIVE)
        turn(world)
        answers += peer.messages()
    assert kinds(answers)[:3] == ["info", "status", "ticker"]
    assert kinds(answers).count("status") >= 301
    world.ticker("99999")
    world.time.advance(1)
    assert [message["payload"]["last"] for message in peer.messages()] == [99999]


class Tolled:
    """Values that take time to be looked up."""

    def __init__(self, world: Any) -> None:
        self._world, self._current = world, world.hub.current

    def __call__(self, *what: Any) -> Any:
        self._world.time.rightNow += PER_CHANNEL_S
        return self._current(*what)


def test_a_resync_comes_in_slices_with_nothing_between_a_status_and_its_value(service):
    world = service.world
    peer = service.peer()
    channels = [ticker(base) for base in names(500)]
    peer.send(ask("subscribe", channels=channels))
    for base in names(500):
        world.ticker("1", base)
    world.flush()
    peer.frames()
    world.hub.current = Tolled(world)
    peer.protocol.dataReceived(ask("resync", channels=channels))
    answers, price, spent = peer.messages(), 1, []
    while peer.protocol.session.busy:
        price += 1
        for base in ("T0000", "T0499"):
            world.ticker(str(price), base)
        spent.append(turn(world))
        answers += peer.messages()
    assert len(spent) > 15
    assert max(spent) <= SLICE_S + STEP_S + PER_CHANNEL_S
    assert kinds(answers)[0] == "info"
    seen: dict[str, list[str]] = {}
    for message in answers[1:]:
        payload = message["payload"]
        symbol = (payload.get("channel") or payload)["symbol"]["base"]
        seen.setdefault(symbol, []).append(message["type"])
    assert len(seen) == 500
    assert seen["T0250"] == ["status", "ticker"]
    assert seen["T0499"][:2] == ["status", "ticker"]
    last = [
        m["payload"]["last"] for m in answers if m["type"] == "ticker" and m["payload"]["symbol"]["base"] == "T0000"
    ]
    assert last == sorted(last)
    world.ticker("77", "T0000")
    world.flush()
    assert [message["payload"]["last"] for message in peer.messages()][-1] == 77


def test_nothing_comes_after_an_unsubscribe_in_slices(service):
    world = service.world
    dear(world)
    peer = service.peer()
    peer.send(ask("subscribe", channels=[ticker(base) for base in names(10)]))
    while peer.protocol.session.busy:
        turn(world)
    peer.frames()
    peer.protocol.dataReceived(ask("unsubscribe", channels=[ticker(base) for base in names(1000)]))
    answers: list[dict[str, Any]] = []
    while peer.protocol.session.busy:
        world.ticker("5", "T0003")
        turn(world)
        answers += peer.messages()
    world.ticker("6", "T0003")
    world.time.advance(1)
    answers += peer.messages()
    assert answers[-1] == {"type": "info", "payload": {"message": "Unsubscribed from 10 channels"}}
    assert set(kinds(answers[:-1])) <= {"ticker"}


@pytest.mark.parametrize("turns", [1, 3, 8, 12])
def test_a_client_that_leaves_in_the_middle_leaves_nothing(service, turns):
    world = service.world
    paces: list[Any] = []
    world.venue.pace = lambda topic, intervals: paces.append(tuple(intervals))
    dear(world)
    peer, other = service.peer(), service.peer()
    book = {"channel_type": "order_book", "exchange": "binance", "symbol": "BTC-USDT", "depth": 5}
    other.protocol.dataReceived(ask("subscribe", channels=[book]))
    peer.protocol.dataReceived(ask("subscribe", channels=[book]))
    peer.protocol.dataReceived(
        ask("subscribe", channels=[{**book, "max_rate": 1}, *(ticker(base) for base in names(200))])
    )
    for _ in range(turns):
        turn(world)
    peer.lose()
    world.time.advance(0)
    world.time.advance(60)
    assert world.venue.wanted == [world.topic(channel=Channel.ORDER_BOOK, depth=5)]
    assert world.hub.clients_of(world.topic(channel=Channel.ORDER_BOOK, depth=5)) == 1
    assert paces[-1] == (100,)
    assert world.tally.metrics["cryptodash_ws_subscriptions"].read()[("ticker",)] == 0
    assert len(service.clients.fanout.cohorts) == 1


def test_a_client_that_leaves_while_it_unsubscribes_releases_the_rest(service, monkeypatch):
    world = service.world
    peer = service.peer()
    peer.send(ask("subscribe", channels=[ticker(base) for base in names(100)]))
    release = ClientDemand.release

    def slowly(*what: Any) -> None:
        world.time.rightNow += PER_CHANNEL_S
        release(*what)

    monkeypatch.setattr(ClientDemand, "release", slowly)
    peer.protocol.dataReceived(ask("unsubscribe", channels=[ticker(base) for base in names(100)]))
    turn(world)
    assert peer.protocol.session.busy
    peer.lose()
    world.time.advance(0)
    world.time.advance(60)
    assert world.venue.wanted == []


def test_too_many_channels_apply_nothing_in_slices_either(make_world):
    world = make_world(Config(limits=evolve(Limits(), max_channels=100)))
    world.venue.load([f"{base}-USDT" for base in names(150)])
    service = Service(world)
    dear(world)
    peer = service.peer()
    peer.protocol.dataReceived(ask("subscribe", channels=[ticker(base) for base in names(60)]))
    peer.protocol.dataReceived(ask("subscribe", channels=[ticker(base) for base in names(150)[60:150]]))
    answers: list[dict[str, Any]] = []
    for _ in range(60):
        turn(world)
        answers += peer.messages()
    assert [m["payload"]["code"] for m in answers if m["type"] == "error"] == ["too_many_channels"]
    assert len(peer.protocol.session.subscriptions) == 60


def test_a_catalogue_that_comes_in_the_middle_is_heard(make_world):
    world = make_world(loaded=False)
    service = Service(world)
    dear(world)
    peer = service.peer()
    peer.protocol.dataReceived(ask("subscribe", channels=[ticker(f"NO{index}") for index in range(60)]))
    for _ in range(4):
        turn(world)
    assert peer.protocol.session.busy
    world.venue.load(["BTC-USDT"])
    world.hub.catalogue_changed("binance", world.venue.markets[0])
    while peer.protocol.session.busy:
        turn(world)
    world.time.advance(1)
    answers = peer.messages()
    info = answers[0]["payload"]
    refused = [m for m in answers[1:] if m["type"] == "error" and m["payload"]["code"] == "unknown_symbol"]
    closed = [m for m in answers if m["type"] == "status" and m["payload"]["state"] == "closed"]
    assert len(info["accepted"]) == len(closed)
    assert len(info["accepted"]) + len(info["rejected"]) == 60
    assert len(refused) == len(closed) + (1 if info["rejected"] else 0)
    assert dict(peer.protocol.session.subscriptions) == {}
    world.time.advance(60)
    assert world.venue.wanted == []


def test_a_fault_of_ours_in_a_later_turn_is_1011(service):
    world = service.world
    dear(world)
    peer = service.peer()
    peer.protocol.dataReceived(ask("subscribe", channels=[ticker(base) for base in names(100)]))

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    world.hub.resolve = fail
    world.time.pump([0.001] * 5)
    assert close_code(peer.frames()) == (1011, b"internal error")
    assert peer.protocol.session is None
    world.time.advance(60)
    assert world.venue.wanted == []


@pytest.mark.parametrize("is_unsubscribing", [False, True])
def test_what_a_client_leaves_behind_is_given_back_two_milliseconds_a_turn(service, monkeypatch, is_unsubscribing):
    world = service.world
    peer = service.peer()
    channels = [ticker(base) for base in names(1000)]
    peer.send(ask("subscribe", channels=channels))
    world.time.advance(60)
    release = ClientDemand.release

    def slowly(*words: Any) -> None:
        world.time.rightNow += PER_CHANNEL_S
        release(*words)

    monkeypatch.setattr(ClientDemand, "release", slowly)
    begun = world.time.seconds()
    if is_unsubscribing:
        peer.protocol.dataReceived(ask("unsubscribe", channels=channels))
    peer.lose()
    spent = [world.time.seconds() - begun]
    while any(world.hub.clients_of(world.topic(base)) for base in names(1000)):
        spent.append(turn(world))
        assert len(spent) < 200
    assert len(spent) > 40
    assert max(spent) <= SLICE_S + 2 * PER_CHANNEL_S
    world.time.advance(31)
    assert world.venue.wanted == []

"""Every fault does what its description says, to whom it concerns, and is over when its time is."""

from __future__ import annotations

import itertools
import re

import msgspec
import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.fault_runner import FaultRunner, UnknownFault
from cryptodash.simulator.faults import FAULTS, GARBAGE
from cryptodash.simulator.http_answer import HttpAnswer

SPOT_BOOK = "/ws/btcusdt@depth@100ms"


def _gaps(events: list[dict[str, int]]) -> int:
    return sum(after["U"] != before["u"] + 1 for before, after in itertools.pairwise(events))


def test_every_fault_is_described_in_one_line() -> None:
    assert len(FAULTS) == 24
    for kind in FAULTS.values():
        assert kind.does and kind.client_sees
        assert "\n" not in kind.does + kind.client_sees


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("binance", "nosuch"), "'nosuch' is not one of: drop, half-open"),
        (("mtgox", "drop"), "'mtgox' is not simulated; one of: binance, bybit"),
        (("binance", "silent"), "silent needs a symbol"),
        (("binance", "drop", "BTC-USDT"), "drop concerns the whole venue: no symbol, please"),
        (("binance", "silent", "NO-SUCH"), "'NO-SUCH' is not listed there"),
        (("binance", "slow", None, 0), "seconds must be above 0"),
        (("binance", "slow", None, 4_000), "seconds must be above 0"),
        (("binance", "slow", None, 5, "margin"), "market is spot or perpetual"),
        (("binance", "slow", "NO-SUCH"), "'NO-SUCH' is not listed there"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(world, arguments: tuple, message: str) -> None:
    with pytest.raises(UnknownFault, match=re.escape(message)):
        world.simulator.faults.start(*arguments)
    assert world.simulator.faults.active == []


def test_a_fault_ends_by_itself_or_when_stopped(world) -> None:
    faults = world.simulator.faults
    faults.start("binance", "slow", seconds=3)
    faults.start("bybit", "silent", "BTC-USDT", seconds=30, market="spot")
    assert [fault.report() for fault in faults.active] == [
        {"exchange": "binance", "fault": "slow", "delay": 5.0},
        {"exchange": "bybit", "fault": "silent", "symbol": "BTC-USDT", "market": "spot"},
    ]
    world.run(4)
    assert [fault.name for fault in faults.active] == ["silent"]
    assert faults.stop("bybit", "silent") == 1
    assert faults.active == []


def test_drop_aborts_every_connection_of_the_venue(world) -> None:
    spot, linear, other = (
        world.connect("binance-spot", "/ws"),
        world.connect("binance-perpetual", "/ws"),
        world.connect("bybit", "/v5/public/spot"),
    )
    world.simulator.faults.start("binance", "drop")
    assert (spot.ended, linear.ended, other.ended) == ((1006, "aborted"), (1006, "aborted"), None)
    world.run(0.1)
    assert world.simulator.faults.active == []


def test_half_open_connections_say_nothing_any_more_and_new_ones_work(world) -> None:
    old = world.connect("binance-spot", "/ws/btcusdt@bookTicker")
    world.run(3)
    old.take()
    world.simulator.faults.start("binance", "half-open")
    new = world.connect("binance-spot", "/ws/btcusdt@bookTicker")
    old.say({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    world.run(60)
    assert (old.take(), old.pings, old.ended) == ([], [], None)
    world.run(120)
    assert world.simulator.ledger.violations == []
    assert new.take()


def test_silent_concerns_one_symbol_only(world) -> None:
    wire = world.connect(
        "binance-spot", "/stream", {"streams": "btcusdt@bookTicker/ethusdt@bookTicker/!miniTicker@arr"}
    )
    world.run(2)
    wire.take()
    world.simulator.faults.start("binance", "silent", "BTC-USDT", seconds=10)
    world.run(9)
    frames = wire.take()
    assert {frame["stream"] for frame in frames} == {"ethusdt@bookTicker", "!miniTicker@arr"}
    assert not [
        entry
        for frame in frames
        if frame["stream"].startswith("!")
        for entry in frame["data"]
        if entry["s"] == "BTCUSDT"
    ]
    world.run(5)
    assert "btcusdt@bookTicker" in {frame["stream"] for frame in wire.take()}


def test_silence_of_one_market_leaves_the_other_alone(world) -> None:
    spot, linear = world.connect("bybit", "/v5/public/spot"), world.connect("bybit", "/v5/public/linear")
    world.simulator.faults.start("bybit", "silent", "BTC-USDT", seconds=10, market=MarketType.PERPETUAL)
    for wire in (spot, linear):
        wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    world.run(5)
    assert [frame for frame in spot.take() if "topic" in frame]
    assert not [frame for frame in linear.take() if "topic" in frame]


def test_a_topic_subscribed_in_silence_begins_with_its_snapshot_afterwards(world) -> None:
    world.simulator.faults.start("bybit", "silent", "BTC-USDT", seconds=3)
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    world.run(2.5)
    assert [frame for frame in wire.take() if "topic" in frame] == []
    world.run(3)
    first, *others = wire.take()
    assert first["type"] == "snapshot"
    assert [frame["data"]["u"] for frame in others] == list(
        range(first["data"]["u"] + 1, first["data"]["u"] + 1 + len(others))
    )


def test_a_silent_venue_answers_pings_only(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@bookTicker")
    world.run(2)
    wire.take()
    world.simulator.faults.start("binance", "silent-venue", seconds=30)
    wire.say({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    world.run(25)
    assert wire.take() == []
    assert wire.pings
    assert wire.ended is None


def test_skip_loses_one_book_frame_of_each_stream(world) -> None:
    wire = world.connect("binance-spot", "/stream", {"streams": "btcusdt@depth@100ms/ethusdt@depth@100ms"})
    world.run(2)
    world.simulator.faults.start("binance", "skip", "BTC-USDT", seconds=5)
    world.run(10)
    frames = wire.take()
    events = {name: [frame["data"] for frame in frames if frame["stream"].startswith(name)] for name in ("btc", "eth")}
    assert (_gaps(events["btc"]), _gaps(events["eth"])) == (1, 0)


def test_skip_makes_a_gap_on_bybit_too(world) -> None:
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    world.run(2)
    world.simulator.faults.start("bybit", "skip", seconds=5)
    world.run(10)
    ids = [frame["data"]["u"] for frame in wire.take() if "topic" in frame]
    assert sum(after != before + 1 for before, after in itertools.pairwise(ids)) == 1


def test_duplicate_sends_every_frame_twice(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    world.simulator.faults.start("binance", "duplicate", seconds=10)
    world.run(9)
    numbers = [frame["t"] for frame in wire.take()]
    assert numbers
    assert numbers[::2] == numbers[1::2]


def test_duplicate_sends_the_first_snapshot_twice_as_well(world) -> None:
    world.simulator.faults.start("bybit", "duplicate", seconds=30)
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    assert [frame["type"] for frame in wire.take() if "topic" in frame] == ["snapshot"] * 2


def test_garbage_comes_between_first_snapshots_as_well(world) -> None:
    world.simulator.faults.start("bybit", "garbage", seconds=30)
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": [f"orderbook.{depth}.BTCUSDT" for depth in (1, 50, 200, 1000)]})
    frames = [frame for frame in wire.frames if '"success"' not in frame]
    assert len(frames) == 5
    assert len([frame for frame in frames if '"snapshot"' in frame]) == 4


@pytest.mark.parametrize("fault", ["skip", "reorder"])
def test_the_first_snapshot_comes_first_and_is_not_the_frame_that_is_lost(world, fault: str) -> None:
    world.simulator.faults.start("bybit", fault, seconds=30)
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    world.run(3)
    frames = [frame for frame in wire.take() if "topic" in frame]
    first = frames[0]["data"]["u"]
    assert [frame["type"] for frame in frames[:3]] == ["snapshot", "delta", "delta"]
    expected = {"skip": [first + 2, first + 3], "reorder": [first + 2, first + 1]}
    assert [frame["data"]["u"] for frame in frames[1:3]] == expected[fault]


def test_reorder_swaps_frames_and_loses_none(world) -> None:
    wire = world.connect("binance-spot", SPOT_BOOK)
    world.simulator.faults.start("binance", "reorder", "BTC-USDT", seconds=5)
    world.run(10)
    events = wire.take()
    ids = [event["U"] for event in events]
    assert ids != sorted(ids)
    assert _gaps(sorted(events, key=lambda event: event["U"])) == 0


def test_old_snapshots_are_older_than_the_streams(world) -> None:
    first = world.json("binance-spot", "/api/v3/depth", symbol="BTCUSDT", limit=100)
    wire = world.connect("binance-spot", SPOT_BOOK)
    world.simulator.faults.start("binance", "old-snapshot", "BTC-USDT", seconds=5)
    world.run(3)
    assert world.json("binance-spot", "/api/v3/depth", symbol="BTCUSDT", limit=100) == first
    assert wire.take()[0]["U"] > first["lastUpdateId"]
    world.run(3)
    assert (
        world.json("binance-spot", "/api/v3/depth", symbol="BTCUSDT", limit=100)["lastUpdateId"] > first["lastUpdateId"]
    )


@pytest.mark.parametrize(
    ("host", "path", "query"),
    [
        ("binance-spot", "/api/v3/depth", {"symbol": "BTCUSDT"}),
        ("binance-perpetual", "/fapi/v1/depth", {"symbol": "BTCUSDT"}),
        ("bybit", "/v5/market/orderbook", {"category": "linear", "symbol": "BTCUSDT"}),
    ],
)
def test_old_snapshots_are_old_in_every_member(world, host: str, path: str, query: dict[str, str]) -> None:
    if host == "bybit":
        world.connect(host, "/v5/public/linear").say({"op": "subscribe", "args": ["orderbook.1000.BTCUSDT"]})
    first = world.json(host, path, **query)
    world.simulator.faults.start(host.partition("-")[0], "old-snapshot", "BTC-USDT", seconds=5)
    world.run(3)
    later = world.json(host, path, **query)
    assert later.get("result", later) == first.get("result", first)


def test_crossed_books_show_a_bid_above_the_ask_and_recover(world) -> None:
    wire = world.connect("binance-spot", "/stream", {"streams": "btcusdt@bookTicker/btcusdt@depth@100ms"})
    world.run(2)
    wire.take()
    world.simulator.faults.start("binance", "crossed", "BTC-USDT", seconds=4)
    world.run(3.5)
    frames = wire.take()
    quotes = [frame["data"] for frame in frames if frame["stream"].endswith("bookTicker")]
    assert quotes
    assert all(float(quote["b"]) > float(quote["a"]) for quote in quotes)
    false = next(
        level
        for frame in frames
        if "depth" in frame["stream"]
        for level in frame["data"]["b"]
        if level[1] == "0.00001000"
    )
    world.run(2)
    deleted = [level[0] for frame in wire.take() if "depth" in frame["stream"] for level in frame["data"]["b"]]
    assert false[0] in deleted
    instrument = world.simulator.truth.instrument("binance", MarketType.SPOT, "BTC-USDT")
    assert instrument.book.bid < instrument.book.ask


def test_crossed_bybit_books_recover_by_their_own_deltas(world) -> None:
    wire = world.connect("bybit", "/v5/public/spot")
    wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT"]})
    world.run(1)
    world.simulator.faults.start("bybit", "crossed", "BTC-USDT", seconds=3)
    world.run(6)
    book: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    crossed = []
    for frame in wire.take():
        if frame.get("topic") == "orderbook.50.BTCUSDT":
            for side, levels in book.items():
                if frame["type"] == "snapshot":
                    levels.clear()
                for price, size in frame["data"][side]:
                    levels.pop(price, None)
                    if size != "0":
                        levels[price] = size
            crossed.append(max(map(float, book["b"])) >= min(map(float, book["a"])))
    assert any(crossed)
    assert not crossed[0]
    assert not crossed[-1]


def test_garbage_comes_between_good_frames(world) -> None:
    wire = world.connect("binance-spot", SPOT_BOOK)
    world.simulator.faults.start("binance", "garbage", seconds=20)
    world.run(15)
    frames, wire.frames = wire.frames, []
    garbage = {*GARBAGE, *world.simulator.hosts["binance-spot"].garbage}
    assert {frame for frame in frames if frame in garbage} == garbage
    assert _gaps([msgspec.json.decode(frame) for frame in frames if frame not in garbage]) == 0


@pytest.mark.parametrize(("fault", "member", "by"), [("future-id", "u", 10**12), ("future-time", "E", 3_600_000)])
def test_copies_from_the_future_come_before_good_frames(world, fault: str, member: str, by: int) -> None:
    wire = world.connect("binance-spot", SPOT_BOOK)
    world.simulator.faults.start("binance", fault, seconds=20)
    world.run(15)
    frames, wire.frames = [msgspec.json.decode(frame) for frame in wire.frames], []
    true = [frame for frame in frames if frame["u"] < 10**12 and frame["E"] < world.clock.wall_ms() + 60_000]
    assert _gaps(true) == 0
    assert 0 < len(frames) - len(true) <= len(true) / 4
    for wild, after in itertools.pairwise(frames):
        if wild not in true:
            assert (wild[member], wild["b"], wild["a"]) == (after[member] + by, after["b"], after["a"])


def _status(answer: HttpAnswer | None) -> int:
    return answer.status if answer is not None else 200


@pytest.mark.parametrize(
    ("fault", "binance_rest", "binance_upgrade", "bybit_rest", "bybit_upgrade"),
    [
        ("429", 429, 200, 429, 200),
        ("418", 418, 200, 403, 200),
        ("451", 451, 451, 403, 403),
        ("maintenance", 503, 503, 503, 503),
    ],
)
def test_refusals(
    world, fault: str, binance_rest: int, binance_upgrade: int, bybit_rest: int, bybit_upgrade: int
) -> None:
    venues = world.simulator.hosts
    for exchange in ("binance", "bybit"):
        world.simulator.faults.start(exchange, fault, seconds=20)
    world.run(5)
    banned = world.get("binance-spot", "/api/v3/ping")
    assert banned.status == binance_rest
    assert world.get("bybit", "/v5/market/time").status == bybit_rest
    assert _status(venues["binance-spot"].refuse("/ws")) == binance_upgrade
    assert _status(venues["bybit"].refuse("/v5/public/spot")) == bybit_upgrade
    if fault in ("429", "418"):
        assert banned.headers["Retry-After"] in ("15", "16")
        assert world.simulator.ledger.violations == []
        world.get("binance-spot", "/api/v3/ping")
        assert world.simulator.ledger.violations == ["binance-spot: request before Retry-After was over"]
    world.run(16)
    assert world.get("binance-spot", "/api/v3/ping").status == world.get("bybit", "/v5/market/time").status == 200


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("drop", {"delay": 2.0}, "drop takes no delay"),
        ("silent", {"stream": "btcusdt@trade"}, "silent takes no stream"),
        ("slow", {"delay": 0.0}, "delay must be above 0 and at most 60"),
        ("slow", {"delay": -1.0}, "delay must be above 0 and at most 60"),
        ("slow", {"delay": 61.0}, "delay must be above 0 and at most 60"),
        ("slow", {"delay": float("nan")}, "delay must be above 0 and at most 60"),
        ("slow", {"symbol": "BTC-USDT", "stream": "btcusdt@trade"}, "slow takes a symbol or a stream, not both"),
        ("slow", {"stream": ""}, "slow takes a symbol or a stream, of at most 200 characters"),
        ("slow", {"stream": "x" * 201}, "slow takes a symbol or a stream, of at most 200 characters"),
    ],
)
def test_options_that_a_fault_does_not_take_are_refused(
    world, name: str, options: dict[str, object], message: str
) -> None:
    symbol = options.pop("symbol", "BTC-USDT" if name == "silent" else None)
    with pytest.raises(UnknownFault, match=re.escape(message)):
        world.simulator.faults.start("binance", name, symbol, **options)
    assert world.simulator.faults.active == []


@pytest.mark.parametrize("delay", [None, 2.0, 0.3])
def test_slow_delays_every_frame_and_keeps_the_order(world, delay: float | None) -> None:
    wire, late = world.connect("binance-spot", SPOT_BOOK), delay or 5.0
    world.simulator.faults.start("binance", "slow", seconds=5, delay=delay)
    world.run(late - 0.1)
    assert wire.take() == []
    world.run(5)
    first = wire.take()
    assert first[0]["E"] == pytest.approx(world.clock.wall_ms() - 1000 * (late + 4.9), abs=200)
    world.run(late)
    assert _gaps(first + wire.take()) == 0


def test_slow_is_over_when_its_time_is_even_on_a_busy_connection(world) -> None:
    wire = world.connect("binance-spot", SPOT_BOOK)
    world.simulator.faults.start("binance", "slow", seconds=5, delay=2)
    world.run(8)
    wire.take()
    world.run(1)
    events = wire.take()
    assert events[-1]["E"] > world.clock.wall_ms() - 300
    assert _gaps(events) == 0


def test_frames_that_are_under_way_come_when_they_are_due_although_the_fault_is_stopped(world) -> None:
    wire = world.connect("binance-spot", SPOT_BOOK)
    world.simulator.faults.start("binance", "slow", seconds=60, delay=4)
    world.run(3)
    world.simulator.faults.stop()
    world.run(3.5)
    under_way = wire.take()
    assert under_way[-1]["E"] < world.clock.wall_ms() - 3_500
    world.run(1)
    events = under_way + wire.take()
    assert events[-1]["E"] > world.clock.wall_ms() - 300
    assert _gaps(events) == 0
    assert [event["E"] for event in events] == sorted(event["E"] for event in events)


COMBINED = {"streams": "btcusdt@depth@100ms/btcusdt@trade/ethusdt@depth@100ms"}


@pytest.mark.parametrize(
    ("hit", "late"),
    [
        ({"symbol": "BTC-USDT"}, {"btcusdt@depth@100ms", "btcusdt@trade"}),
        ({"stream": "btcusdt@depth@100ms"}, {"btcusdt@depth@100ms"}),
        ({"stream": "BTCUSDT@DEPTH@100MS"}, set()),
    ],
)
def test_slow_streams_are_late_alone_and_lose_nothing(world, hit: dict[str, str], late: set[str]) -> None:
    wire = world.connect("binance-spot", "/stream", COMBINED)
    world.run(1)
    seen = wire.take()
    fault = world.simulator.faults.start("binance", "slow", **hit, seconds=10, delay=3)
    assert fault.report() == {"exchange": "binance", "fault": "slow", **hit, "delay": 3.0}
    world.run(2.9)
    on_time = wire.take()
    assert {each["stream"] for each in on_time} == set(COMBINED["streams"].split("/")) - late
    seen += on_time
    world.run(5)
    since = world.clock.wall_ms() - 500
    world.run(0.5)
    new = wire.take()
    for frame in new[-10:]:
        assert (frame["data"]["E"] < since - 2_000) == (frame["stream"] in late)
    world.run(6)
    seen += new + wire.take()
    for name in ("btcusdt@depth@100ms", "ethusdt@depth@100ms"):
        assert _gaps([frame["data"] for frame in seen if frame["stream"] == name]) == 0
    trades = [frame["data"]["t"] for frame in seen if frame["stream"] == "btcusdt@trade"]
    assert trades == list(range(trades[0], trades[0] + len(trades)))
    assert all(frame["data"]["E"] > world.clock.wall_ms() - 500 for frame in seen[-3:])


def test_the_answer_to_the_subscription_of_a_slow_stream_is_not_late_and_its_snapshot_is(world) -> None:
    wire = world.connect("bybit", "/v5/public/linear")
    world.simulator.faults.start("bybit", "slow", stream="orderbook.50.BTCUSDT", market="perpetual", seconds=30)
    other = world.connect("bybit", "/v5/public/spot")
    for each in (wire, other):
        each.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    world.run(4.9)
    assert [frame.get("op") for frame in wire.take()] == ["subscribe"]
    assert len(other.take()) > 10
    world.run(3)
    frames = wire.take()
    assert [frame["type"] for frame in frames[:2]] == ["snapshot", "delta"]
    ids = [frame["data"]["u"] for frame in frames]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("hit", [{"symbol": "BTC-USDT"}, {"stream": "btcusdt@trade"}])
def test_rest_is_not_late_where_a_stream_alone_is(world, hit: dict[str, str]) -> None:
    host, query = world.simulator.hosts["binance-spot"], {"symbol": "BTCUSDT"}
    world.simulator.faults.start("binance", "slow", **hit)
    assert host.rest_delay("/api/v3/depth", query) == 0.0
    world.simulator.faults.start("binance", "slow", delay=1.5)
    assert host.rest_delay("/api/v3/depth", query) == 1.5
    world.simulator.faults.start("binance", "slow", delay=2.5)
    assert host.rest_delay("/api/v3/depth", query) == 2.5


def test_a_slow_stream_of_a_slow_venue_is_late_twice(world) -> None:
    wire = world.connect("binance-spot", "/stream", COMBINED)
    world.simulator.faults.start("binance", "slow", stream="btcusdt@trade", delay=2, seconds=60)
    world.simulator.faults.start("binance", "slow", delay=3, seconds=60)
    world.run(4.8)
    assert {frame["stream"] for frame in wire.take()} == {"btcusdt@depth@100ms", "ethusdt@depth@100ms"}
    world.run(1)
    assert {frame["stream"] for frame in wire.take()} == set(COMBINED["streams"].split("/"))


def test_frames_under_way_come_before_the_close_frame_and_the_ping_in_their_order(world) -> None:
    wire = world.connect("binance-spot", SPOT_BOOK)
    wire.answers_pings = False
    world.simulator.faults.start("binance", "slow", seconds=60, delay=4)
    world.run(20.2)
    assert wire.pings == []
    world.run(4)
    assert len(wire.pings) == 1 and wire.session.pinged == pytest.approx(world.clock.monotonic(), abs=0.3)
    world.simulator.faults.start("binance", "maintenance", seconds=5)
    started = world.clock.wall_ms()
    world.run(3.9)
    wire.take()
    assert wire.ended is None
    world.run(1)
    frames = wire.take()
    assert wire.ended == (1012, "service restart")
    assert frames[-1]["E"] >= started and {"e": "serverShutdown", "E": started} in frames
    assert world.simulator.ledger.violations == []


def test_who_leaves_a_slow_stream_gets_what_was_under_way_and_begins_behind_it(world) -> None:
    wire, topic = world.connect("bybit", "/v5/public/linear"), {"args": ["orderbook.50.BTCUSDT"]}
    wire.say({"op": "subscribe", **topic})
    world.simulator.faults.start("bybit", "slow", "BTC-USDT", seconds=60, delay=3)
    world.run(2)
    wire.say({"op": "unsubscribe", **topic})
    world.run(0.5)
    wire.say({"op": "subscribe", **topic})
    world.run(4)
    types = [frame["type"] for frame in wire.take() if "topic" in frame]
    assert types[0] == "snapshot" and types.count("snapshot") == 2
    assert "delta" in types[1 : types.index("snapshot", 1)]


def test_a_connection_with_too_much_under_way_is_lost_and_leaves_no_gap(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptodash.simulator.session.MOST_UNDER_WAY", 20)
    wire = world.connect("binance-spot", "/stream", COMBINED)
    world.simulator.faults.start("binance", "slow", "BTC-USDT", seconds=60, delay=10)
    world.run(9)
    assert wire.ended == (1006, "aborted")
    assert {frame["stream"] for frame in wire.take()} == {"ethusdt@depth@100ms"}


def test_maintenance_is_announced_and_closes_with_1012(world) -> None:
    spot, bybit = world.connect("binance-spot", "/stream"), world.connect("bybit", "/v5/public/spot")
    for exchange in ("binance", "bybit"):
        world.simulator.faults.start(exchange, "maintenance", seconds=5)
    world.run(1)
    assert spot.take() == [{"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1_763_811_234_567}}]
    assert (spot.ended, bybit.ended) == ((1012, "service restart"), (1012, "service restart"))


def test_connections_live_ten_seconds_instead_of_a_day(world) -> None:
    old = world.connect("binance-spot", "/ws")
    world.run(4)
    world.simulator.faults.start("binance", "cut24h", seconds=60)
    new = world.connect("binance-spot", "/ws")
    world.run(7)
    assert (old.ended, new.ended) == ((1001, "going away"), None)
    world.run(4)
    assert new.ended == (1001, "going away")


def test_delisted_symbols_change_their_status_and_fall_silent(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")

    def spot_status() -> str:
        return str(world.json("binance-spot", "/api/v3/exchangeInfo", symbol="BTCUSDT")["symbols"][0]["status"])

    def linear_status() -> str:
        return str(
            world.json("bybit", "/v5/market/instruments-info", category="linear", symbol="BTCUSDT")["result"]["list"][
                0
            ]["status"]
        )

    assert (spot_status(), linear_status()) == ("TRADING", "Trading")
    for exchange in ("binance", "bybit"):
        world.simulator.faults.start(exchange, "delist", "BTC-USDT", seconds=5)
    assert (spot_status(), linear_status()) == ("BREAK", "Closed")
    spot = world.json("bybit", "/v5/market/instruments-info", category="spot")["result"]["list"]
    assert "BTCUSDT" not in {entry["symbol"] for entry in spot}
    world.run(4)
    assert wire.take() == []
    world.run(10)
    assert spot_status() == "TRADING"
    assert wire.take()


def _both_markets(world) -> tuple:
    """Connections of a host that serves both markets, with a book each."""
    wires = world.connect("bybit", "/v5/public/spot"), world.connect("bybit", "/v5/public/linear")
    for wire in wires:
        wire.say({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
    world.run(2)
    for wire in wires:
        wire.take()
    return wires


@pytest.mark.parametrize("fault", ["drop", "half-open", "maintenance", "cut24h", "silent-venue", "slow"])
def test_a_fault_of_one_market_leaves_the_other_alone_on_a_host_that_serves_both(world, fault: str) -> None:
    spot, linear = _both_markets(world)
    world.simulator.faults.start("bybit", fault, seconds=30, market="spot")
    world.run(1.5)
    assert linear.take()
    assert fault == "cut24h" or not spot.take()
    world.run(10)
    assert linear.ended is None
    linear.say({"op": "ping"})
    world.run(0.5)
    assert [frame for frame in linear.take() if frame.get("ret_msg") == "pong"]


@pytest.mark.parametrize("fault", ["429", "418", "451", "maintenance", "slow"])
def test_requests_and_upgrades_of_the_other_market_are_served_too(world, fault: str) -> None:
    world.simulator.faults.start("bybit", fault, seconds=30, market="spot", delay=2.0 if fault == "slow" else None)
    host, path = world.simulator.hosts["bybit"], "/v5/market/tickers"
    spot, linear = ({"category": each, "symbol": "BTCUSDT"} for each in ("spot", "linear"))
    if fault == "slow":
        assert (host.rest_delay(path, spot), host.rest_delay(path, linear)) == (2.0, 0.0)
    else:
        assert (host.rest(path, spot).status == 200, host.rest(path, linear).status) == (False, 200)
    assert _status(host.refuse("/v5/public/linear")) == 200


def test_a_symbol_that_only_the_other_market_has_is_refused(world) -> None:
    world.simulator.faults.start("bybit", "silent", "BCH-USDT", market="perpetual")
    with pytest.raises(UnknownFault, match="'BCH-USDT' is not listed there"):
        world.simulator.faults.start("bybit", "silent", "BCH-USDT", market="spot")


def test_a_market_that_a_venue_does_not_have_is_named(make_world) -> None:
    world = make_world()
    hosts = [host for host in world.simulator.hosts.values() if host.name != "binance-perpetual"]
    faults = FaultRunner(world.reactor, hosts, {"binance": FAULTS, "bybit": FAULTS})
    with pytest.raises(UnknownFault, match="the simulated binance has no perpetual market"):
        faults.start("binance", "drop", market="perpetual")


def test_stopping_takes_the_market_and_any_spelling_of_the_symbol(world) -> None:
    faults = world.simulator.faults
    for market in MarketType:
        faults.start("bybit", "silent", "BTC-USDT", seconds=30, market=market)
    assert faults.stop("bybit", market="spot") == 1
    assert [fault.market for fault in faults.active] == [MarketType.PERPETUAL]
    assert faults.stop(symbol="ETH-USDT") == 0
    assert faults.stop(symbol="btcusdt") == 1


def test_old_snapshots_are_those_of_instruments_nobody_asked_for_before(world) -> None:
    world.simulator.faults.start("binance", "old-snapshot", seconds=30)
    wire = world.connect("binance-spot", "/ws/ethusdt@depth@100ms")
    world.run(5)
    snapshot = world.json("binance-spot", "/api/v3/depth", symbol="ETHUSDT", limit=100)
    assert snapshot["lastUpdateId"] < wire.take()[0]["U"]


def test_books_nobody_asked_for_before_are_crossed_as_well(world) -> None:
    world.simulator.faults.start("binance", "crossed", seconds=30)
    book = world.json("binance-spot", "/api/v3/depth", symbol="SOLUSDT", limit=100)
    assert float(book["bids"][0][0]) > float(book["asks"][0][0])


def test_who_comes_and_goes_in_a_silence_gets_one_snapshot_afterwards(world) -> None:
    world.simulator.faults.start("bybit", "silent", "BTC-USDT", seconds=5)
    stays, wavers, leaves = (world.connect("bybit", "/v5/public/linear") for _ in range(3))
    topic = {"args": ["orderbook.50.BTCUSDT"]}
    for wire in (stays, wavers, wavers, leaves):
        for op in ("subscribe", "unsubscribe"):
            wire.say({"op": op, **topic})
        if wire is not leaves:
            wire.say({"op": "subscribe", **topic})
    world.run(7)
    snapshots = [
        [frame["type"] for frame in wire.take() if "topic" in frame].count("snapshot")
        for wire in (stays, wavers, leaves)
    ]
    assert snapshots == [1, 1, 0]


def test_crossed_are_all_quotes_of_binance(world) -> None:
    streams = "btcusdt@depth5@100ms/btcusdt@ticker"
    wire = world.connect("binance-spot", "/stream", {"streams": streams})
    sweep = world.connect("binance-perpetual", "/public/stream", {"streams": "!bookTicker/btcusdt@depth5@100ms"})
    world.simulator.faults.start("binance", "crossed", "BTC-USDT", seconds=30)
    world.run(3)
    seen = {}
    for frame in wire.take() + sweep.take():
        data = frame["data"]
        if data.get("s", "BTCUSDT") == "BTCUSDT":
            bid, ask = (data.get(each, data.get(each[0])) for each in ("bids", "asks"))
            bid, ask = (each[0][0] if isinstance(each, list) else each for each in (bid, ask))
            seen.setdefault((frame["stream"], "s" in data), set()).add(float(bid) > float(ask))
    assert len(seen) == 4
    assert all(each == {True} for each in seen.values()), seen
    for path in ("/api/v3/ticker/24hr", "/api/v3/ticker/bookTicker"):
        quote = world.json("binance-spot", path, symbol="BTCUSDT")
        assert float(quote["bidPrice"]) > float(quote["askPrice"])
    quote = world.json("binance-spot", "/api/v3/ticker/bookTicker", symbol="ETHUSDT")
    assert float(quote["bidPrice"]) < float(quote["askPrice"])


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_crossed_are_the_rest_quotes_of_bybit(world, category: str) -> None:
    world.simulator.faults.start("bybit", "crossed", "BTC-USDT", seconds=30)
    (row,) = world.json("bybit", "/v5/market/tickers", category=category, symbol="BTCUSDT")["result"]["list"]
    assert float(row["bid1Price"]) > float(row["ask1Price"])


def test_no_connection_is_cut_short_once_the_fault_is_over(world) -> None:
    old = world.connect("binance-spot", "/ws")
    world.simulator.faults.start("binance", "cut24h", seconds=60)
    new = world.connect("binance-spot", "/ws")
    world.run(5)
    world.simulator.faults.stop()
    world.run(30)
    assert (old.ended, new.ended) == (None, None)
    world.run(86_400 - 40)
    assert (old.ended, new.ended) == (None, None)
    world.run(10)
    assert (old.ended, new.ended) == ((1001, "going away"), (1001, "going away"))


def test_a_quiet_bybit_book_is_sound_again_as_soon_as_the_fault_is_over(world) -> None:
    wire = world.connect("bybit", "/v5/public/spot")
    wire.say({"op": "subscribe", "args": ["orderbook.50.NKNUSDT", "orderbook.1.NKNUSDT"]})
    world.run(1)
    world.simulator.faults.start("bybit", "crossed", "NKN-USDT", seconds=30)
    world.run(1)
    instrument = world.simulator.truth.instrument("bybit", MarketType.SPOT, "NKN-USDT")
    world.simulator.faults.stop()
    before = instrument.update_id
    wire.take()
    world.run(0.25)
    assert instrument.update_id == before
    assert {frame["topic"] for frame in wire.take()} == {"orderbook.50.NKNUSDT", "orderbook.1.NKNUSDT"}

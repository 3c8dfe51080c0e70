"""The OKX host: requests and their answers, heartbeats, limits, and connections that carry both markets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cryptodash.simulator.dialects.okx import websocket

PUBLIC, BUSINESS = "/ws/v5/public", "/ws/v5/business"
ADVICE = "Please use the correct URL, channel and parameters referring to API document."


def _subscribe(world, path: str, *args: dict[str, str], op: str = "subscribe", wire: Any = None, **more: Any):
    wire = wire or world.connect("okx", path)
    wire.say({**more, "op": op, "args": list(args)})
    return wire


def _arg(channel: str, native: str = "BTC-USDT") -> dict[str, str]:
    return {"channel": channel, "instId": native}


def _answers(wire) -> list[dict[str, Any]]:
    return [frame for frame in wire.take() if "event" in frame]


def _data(wire) -> list[dict[str, Any]]:
    return [frame for frame in wire.take() if "data" in frame]


# -- acknowledgements and refusals


def test_each_argument_gets_an_acknowledgement_of_its_own(world) -> None:
    wire = _subscribe(world, PUBLIC, _arg("tickers"), _arg("books", "BTC-USDT-SWAP"), id="a1")
    world.run(0.5)
    answers = _answers(wire)
    assert [list(each) for each in answers] == [["id", "event", "arg", "connId"]] * 2
    assert {each["arg"]["channel"]: (each["id"], each["event"]) for each in answers} == {
        "tickers": ("a1", "subscribe"),
        "books": ("a1", "subscribe"),
    }
    (connection,) = {each["connId"] for each in answers}
    assert len(connection) == 8 and int(connection, 16) >= 0


def test_without_an_id_none_is_echoed_and_unsubscribing_ends_the_stream(world) -> None:
    wire = _subscribe(world, PUBLIC, _arg("bbo-tbt"))
    world.run(1)
    assert [list(each) for each in _answers(wire)] == [["event", "arg", "connId"]]
    _subscribe(world, PUBLIC, _arg("bbo-tbt"), op="unsubscribe", wire=wire)
    world.run(0.3)
    assert [each["event"] for each in _answers(wire)] == ["unsubscribe"]
    world.run(5)
    assert wire.take() == []
    assert not world.simulator.hosts["okx"].streams


def test_streams_are_named_as_the_venue_writes_their_argument(world) -> None:
    asked = {"instId": "BTC-USDT", "channel": "books"}
    _subscribe(world, PUBLIC, asked, {"channel": "instruments", "instType": "SPOT"})
    assert [name for _, name in world.simulator.hosts["okx"].streams] == [
        '"channel":"books","instId":"BTC-USDT"',
        '"channel":"instruments","instType":"SPOT"',
    ]


@pytest.mark.parametrize(
    ("path", "argument", "named"),
    [
        (PUBLIC, _arg("books", "NOPE-USDT"), "channel:books,instId:NOPE-USDT"),
        (PUBLIC, _arg("nope"), "channel:nope,instId:BTC-USDT"),
        (PUBLIC, _arg("tickers", "btc-usdt"), "channel:tickers,instId:btc-usdt"),
        (PUBLIC, _arg("tickers", "BCH-BTC"), "channel:tickers,instId:BCH-BTC"),
        (PUBLIC, _arg("candle1m", "BTC-USD-SWAP"), "channel:candle1m,instId:BTC-USD-SWAP"),
        (PUBLIC, _arg("candle1m"), "channel:candle1m,instId:BTC-USDT"),
        (PUBLIC, _arg("trades-all"), "channel:trades-all,instId:BTC-USDT"),
        (PUBLIC, _arg("funding-rate"), "channel:funding-rate,instId:BTC-USDT"),
        (PUBLIC, _arg("index-tickers", "BTC-USDT-SWAP"), "channel:index-tickers,instId:BTC-USDT-SWAP"),
        (PUBLIC, {"channel": "instruments", "instType": "NONE"}, "channel:instruments,instType:NONE"),
        (BUSINESS, _arg("tickers"), "channel:tickers,instId:BTC-USDT"),
        (BUSINESS, _arg("books"), "channel:books,instId:BTC-USDT"),
        (BUSINESS, _arg("candle7m"), "channel:candle7m,instId:BTC-USDT"),
        (BUSINESS, _arg("candle1h"), "channel:candle1h,instId:BTC-USDT"),
        (BUSINESS, _arg("candle4Hutc"), "channel:candle4Hutc,instId:BTC-USDT"),
    ],
)
def test_an_unknown_channel_is_refused_and_the_others_of_its_request_are_not(
    world, path: str, argument: dict[str, str], named: str
) -> None:
    good = _arg("trades" if path == PUBLIC else "candle1m", "ETH-USDT")
    wire = _subscribe(world, path, argument, good)
    world.run(0.5)
    answers = _answers(wire)
    refused = next(each for each in answers if each["event"] == "error")
    assert list(refused) == ["event", "msg", "code", "connId"]
    assert (refused["code"], refused["msg"]) == ("60018", f"Wrong URL or {named} doesn't exist. {ADVICE}")
    assert [each["arg"] for each in answers if each["event"] == "subscribe"] == [good]
    assert wire.ended is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "pings",
        "[]",
        "null",
        '{"op":1}',
        '{"args":[{"channel":"tickers","instId":"BTC-USDT"}]}',
        '{"op":"subscribe"}',
        '{"op":"subscribe","args":[]}',
        '{"op":"subscribe","args":{"channel":"tickers"}}',
        '{"op":"subscribe","args":["tickers:BTC-USDT"]}',
        '{"op":"subscribe","args":[{"channel":"tickers"}]}',
        '{"op":"subscribe","args":[{"channel":1,"instId":"BTC-USDT"}]}',
        '{"id":"not-a-word","op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}',
        '{"id":"' + 33 * "a" + '","op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}',
        '{"id":7,"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}',
        "[" * 5_000,
    ],
)
def test_nonsense_is_refused_without_ending_the_connection(world, text: str) -> None:
    wire = world.connect("okx", PUBLIC)
    wire.say(text)
    world.run(0.3)
    (answer,) = wire.take()
    assert (answer["event"], answer["code"]) == ("error", "60012")
    assert answer["msg"] == f"Illegal request: {text[:1000]}"
    _subscribe(world, PUBLIC, _arg("tickers"), wire=wire)
    world.run(0.3)
    assert [each["event"] for each in _answers(wire)] == ["subscribe"]


def test_an_unknown_op_and_a_channel_for_others_are_refused_with_their_codes(world) -> None:
    wire = world.connect("okx", PUBLIC)
    wire.say({"op": "fly", "args": []})
    _subscribe(world, PUBLIC, _arg("books-l2-tbt"), wire=wire)
    world.run(0.5)
    assert sorted((each["code"], each["msg"]) for each in _answers(wire)) == [
        ("60011", "Please log in"),
        ("60019", "Invalid op: fly"),
    ]


def test_a_second_subscription_is_acknowledged_and_brings_no_second_snapshot(world) -> None:
    wire = _subscribe(world, PUBLIC, _arg("books"))
    world.run(1)
    wire.take()
    _subscribe(world, PUBLIC, _arg("books"), wire=wire)
    world.run(1)
    frames = wire.take()
    assert [frame["event"] for frame in frames if "event" in frame] == ["subscribe"]
    updates = [frame for frame in frames if "data" in frame]
    assert {frame["action"] for frame in updates} == {"update"}
    assert len({frame["data"][0]["seqId"] for frame in updates}) == len(updates)


def test_data_may_come_before_its_acknowledgement(world) -> None:
    early = 0
    for _ in range(20):
        wire = _subscribe(world, BUSINESS, _arg("candle1m"))
        world.run(0.5)
        early += "data" in wire.take()[0]
        world.run(0.6)
    assert 0 < early < 20


# -- heartbeats and limits


def test_a_ping_is_a_bare_text_and_so_is_its_answer(world) -> None:
    wire = world.connect("okx", BUSINESS)
    wire.say("ping")
    world.run(0.3)
    assert wire.frames == ["pong"]


def test_who_gets_nothing_and_says_nothing_for_30_seconds_is_closed(world) -> None:
    quiet, lively = world.connect("okx", PUBLIC), world.connect("okx", PUBLIC)
    reader = _subscribe(world, PUBLIC, _arg("tickers"))
    for _ in range(4):
        world.run(20)
        lively.say("ping")
    assert quiet.ended == (4004, "No data received in 30s.")
    assert (lively.ended, reader.ended) == (None, None)
    assert world.simulator.ledger.violations == ["okx: nothing to send and no ping for 30 s"]


def test_the_fourth_connection_of_a_second_is_refused(world) -> None:
    host = world.simulator.hosts["okx"]
    assert [getattr(host.refuse(PUBLIC), "status", 0) for _ in range(4)] == [0, 0, 0, 429]
    assert host.refuse(PUBLIC).headers["Retry-After"] == "1"
    world.run(1.1)
    assert host.refuse(BUSINESS) is None
    assert [each.partition(" ")[2] for each in world.simulator.ledger.violations] == [
        "4 connection attempts in 1 s",
        "5 connection attempts in 1 s",
    ]


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/v5/private", "/ws/v5/public/", "/WS/V5/PUBLIC"])
def test_other_paths_do_not_exist(world, path: str) -> None:
    assert world.simulator.hosts["okx"].refuse(path).status == 404


def test_the_481st_request_of_an_hour_is_refused_and_one_with_many_arguments_counts_once(world) -> None:
    wire = world.connect("okx", PUBLIC)
    natives = [spec.native for spec in world.simulator.hosts["okx"].markets["spot"].specs if spec.trading]
    for number in range(480):
        _subscribe(
            world,
            PUBLIC,
            *(_arg("tickers", native) for native in natives[:10]),
            op="unsubscribe" if number % 2 else "subscribe",
            wire=wire,
        )
    assert not world.simulator.ledger.violations
    world.run(0.3)
    wire.take()
    _subscribe(world, PUBLIC, _arg("tickers"), wire=wire)
    wire.say("ping")
    world.run(0.3)
    assert "pong" in wire.frames
    (answer,) = [msgspec.json.decode(each) for each in wire.frames if each != "pong"]
    assert (answer["code"], answer["msg"]) == ("60014", "Requests too frequent")
    assert world.simulator.ledger.violations == ["okx: 481 requests in an hour on one connection"]


def test_arguments_of_too_many_bytes_are_refused(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 KB in truth: more than all channels of this small venue have."""
    assert websocket.MOST_BYTES == 64 * 1024
    monkeypatch.setattr(websocket, "MOST_BYTES", 2 * len('"channel":"candle1m","instId":"BTC-USDT"'))
    wire = _subscribe(world, BUSINESS, *(_arg("candle1m", native) for native in ("BTC-USDT", "ETH-USDT", "SOL-USDT")))
    _subscribe(world, BUSINESS, _arg("candle1m"), wire=wire)
    _subscribe(world, BUSINESS, _arg("candle1m", "ETH-USDT"), op="unsubscribe", wire=wire)
    _subscribe(world, BUSINESS, _arg("candle1m", "SOL-USDT"), wire=wire)
    world.run(0.3)
    answers = _answers(wire)
    assert [(each["code"], each["msg"]) for each in answers if each["event"] == "error"] == [("60013", "Invalid args")]
    assert len(answers) == 6
    assert world.simulator.ledger.violations == ["okx: arguments over 80 bytes on one connection"]


# -- both markets on one connection


def test_a_connection_carries_both_markets(world) -> None:
    wire = _subscribe(world, PUBLIC, _arg("tickers"), _arg("tickers", "BTC-USDT-SWAP"))
    world.run(3)
    kinds = {frame["data"][0]["instType"] for frame in _data(wire)}
    assert kinds == {"SPOT", "SWAP"}


def test_a_fault_of_one_market_leaves_connections_of_the_other_alone(world) -> None:
    spot = _subscribe(world, PUBLIC, _arg("tickers"))
    swap = _subscribe(world, PUBLIC, _arg("tickers", "BTC-USDT-SWAP"))
    world.run(1.1)
    both = _subscribe(world, PUBLIC, _arg("tickers"), _arg("tickers", "BTC-USDT-SWAP"))
    world.simulator.faults.start("okx", "drop", market="perpetual")
    assert [wire.ended is not None for wire in (spot, swap, both)] == [False, True, True]


def test_the_notice_of_a_service_upgrade_comes_before_the_end(world) -> None:
    wire = _subscribe(world, PUBLIC, _arg("books"))
    world.run(0.5)
    wire.take()
    world.simulator.faults.start("okx", "maintenance", seconds=5)
    world.run(0.4)
    (said,) = [frame for frame in wire.take() if "event" in frame]
    assert (said["event"], said["code"]) == ("notice", "64008")
    assert said["msg"].startswith("The connection will soon be closed for a service upgrade.")
    world.run(0.3)
    assert wire.ended == (1012, "service restart")
    answer = world.get("okx", "/api/v5/public/time")
    assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (503, "50001")


def test_a_delisted_instrument_is_suspended_in_the_catalogue_and_told_on_its_channel(world) -> None:
    wire = _subscribe(world, PUBLIC, {"channel": "instruments", "instType": "SWAP"})
    other = _subscribe(world, PUBLIC, {"channel": "instruments", "instType": "SPOT"}, wire=None)
    world.run(1)
    assert _data(wire) == []
    world.simulator.faults.start("okx", "delist", "ETH-USDT", seconds=5, market="perpetual")
    world.run(1)
    query = {"instType": "SWAP", "instId": "ETH-USDT-SWAP"}
    (listed,) = world.json("okx", "/api/v5/public/instruments", **query)["data"]
    assert listed["state"] == "suspend"
    assert [frame["data"] for frame in _data(wire)] == [[listed]]
    world.run(6)
    (again,) = _data(wire)
    assert [entry["state"] for entry in again["data"]] == ["live"]
    assert _data(other) == []


@pytest.mark.parametrize(("fault", "member"), [("future-id", "seqId"), ("future-time", "ts")])
def test_copies_from_the_future_come_before_good_frames(world, fault: str, member: str) -> None:
    wire = _subscribe(world, PUBLIC, _arg("bbo-tbt"))
    world.run(0.2)
    wire.take()
    world.simulator.faults.start("okx", fault, seconds=30)
    world.run(20)
    rows = [(frame["data"][0], int(frame["data"][0][member])) for frame in _data(wire)]
    now = world.clock.wall_ms()
    by, bound = {"seqId": (10**12, 6 * 10**12), "ts": (3_600_000, now)}[member]
    wild = [at for at, (_, value) in enumerate(rows) if value > bound]
    assert wild
    for at in wild:
        (copy, value), (row, true) = rows[at], rows[at + 1]
        assert value == true + by
        assert (copy["asks"], type(copy[member])) == (row["asks"], type(row[member]))


def test_garbage_of_the_venue_comes_between_good_frames(world) -> None:
    wire = _subscribe(world, PUBLIC, _arg("bbo-tbt"))
    world.simulator.faults.start("okx", "garbage", seconds=30)
    world.run(29)
    assert set(world.simulator.hosts["okx"].garbage) <= set(wire.frames)

"""Limits of the venues: what is counted, what is refused, what is called a violation."""

from __future__ import annotations

import msgspec

from cryptodash.simulator.limits import HostLimits, Ledger, SlidingWindow


def test_a_window_forgets_what_is_older_than_its_span() -> None:
    window = SlidingWindow(1_000)
    assert [window.add(now) for now in (0, 500, 999, 1_000, 1_600, 5_000)] == [1, 2, 3, 3, 3, 1]


def test_six_frames_in_a_second_close_a_spot_connection(world) -> None:
    wire = world.connect("binance-spot", "/ws")
    for number in range(6):
        wire.say({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert wire.ended == (1008, "Too many requests")
    assert world.simulator.ledger["binance-spot"].violations == ["binance-spot: 6 messages in 1 s on one connection"]


def test_evenly_spaced_frames_are_fine(world) -> None:
    wire = world.connect("binance-spot", "/ws")
    for number in range(30):
        wire.say({"method": "LIST_SUBSCRIPTIONS", "id": number})
        world.run(0.25)
    assert wire.ended is None
    assert world.simulator.ledger.violations == []
    assert world.simulator.ledger["binance-spot"].most_messages_per_second == 4


def test_usdm_allows_ten(world) -> None:
    wire = world.connect("binance-perpetual", "/public/ws")
    for number in range(10):
        wire.say({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert wire.ended is None
    wire.say({"method": "LIST_SUBSCRIPTIONS", "id": 11})
    assert wire.ended == (1008, "Too many requests")


def test_streams_per_connection(world) -> None:
    wire = world.connect("binance-spot", "/ws")
    wire.say({"method": "SUBSCRIBE", "params": [f"s{number}@trade" for number in range(1_024)], "id": 1})
    wire.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
    world.run(0.3)
    assert {"code": 2, "msg": "Invalid request: too many streams", "id": 2} in wire.take()
    assert world.simulator.ledger.violations == ["binance-spot: 1025 streams on one connection"]


def test_streams_that_the_address_names_count_as_well(world) -> None:
    names = "/".join(f"a{number}@trade" for number in range(1_025))
    world.connect("binance-spot", "/stream", {"streams": names})
    world.connect("binance-perpetual", f"/public/ws/{names}")
    assert world.simulator.ledger.violations == [
        "binance-spot: 1025 streams on one connection",
        "binance-perpetual: 1025 streams on one connection",
    ]


def test_connection_attempts_per_five_minutes(world) -> None:
    host = world.simulator.hosts["binance-spot"]
    assert all(host.refuse("/ws") is None for _ in range(300))
    assert host.refuse("/ws").status == 429
    world.run(301)
    assert host.refuse("/ws") is None
    assert world.simulator.ledger.violations == ["binance-spot: 301 connection attempts in 300 s"]


def test_rest_weight_is_shown_limited_and_abuse_is_banned(world) -> None:
    used = []
    for _ in range(24):
        answer = world.get("binance-spot", "/api/v3/depth", symbol="PEPEUSDT", limit=5000)
        used.append(int(answer.headers["X-MBX-USED-WEIGHT-1M"]))
    assert used == list(range(250, 6_001, 250))
    answers = [world.get("binance-spot", "/api/v3/ping") for _ in range(10)]
    assert [answer.status for answer in answers] == [429] * 9 + [418]
    assert answers[0].headers["Retry-After"] == "60"
    assert msgspec.json.decode(answers[0].body)["code"] == -1003
    assert answers[-1].headers["Retry-After"] == "120"
    world.run(61)
    assert world.get("binance-spot", "/api/v3/ping").status == 418
    world.run(60)
    assert world.get("binance-spot", "/api/v3/ping").status == 200
    assert world.simulator.ledger.violations[0] == "binance-spot: REST weight 6001 in one minute"


def test_weights_follow_the_documents(world) -> None:
    def cost(host: str, path: str, **query: object) -> int:
        ledger = world.simulator.ledger[host]
        before = ledger.weight
        world.get(host, path, **query)
        return ledger.weight - before

    assert [cost("binance-spot", "/api/v3/depth", symbol="BTCUSDT", limit=limit) for limit in (100, 500, 1_000)] == [
        5,
        25,
        50,
    ]
    assert [
        cost("binance-perpetual", "/fapi/v1/depth", symbol="BTCUSDT", limit=limit) for limit in (50, 100, 500, 1_000)
    ] == [2, 5, 10, 20]
    assert cost("binance-spot", "/api/v3/ticker/24hr") == 80
    assert cost("binance-spot", "/api/v3/ticker/24hr", symbol="BTCUSDT") == 2
    assert [
        cost("binance-perpetual", "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=limit)
        for limit in (50, 100, 1_000, 1_500)
    ] == [
        1,
        2,
        5,
        10,
    ]


def test_bybit_refuses_more_than_600_requests_in_five_seconds(world) -> None:
    statuses = [world.get("bybit", "/v5/market/time").status for _ in range(601)]
    assert (set(statuses[:600]), statuses[600]) == ({200}, 403)
    assert world.simulator.ledger.violations == ["bybit: 601 REST requests in 5 seconds"]


def test_violations_are_bounded() -> None:
    ledger = Ledger("x", HostLimits(5, 1_024, 300, 6_000, 60_000))
    for _ in range(2_000):
        ledger.violate("again")
    assert len(ledger.violations) == 1_000

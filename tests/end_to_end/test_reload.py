"""SIGHUP: a running server goes by other settings, and clients that there are notice nothing."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from pytest_twisted import ensureDeferred

from cryptodash.core.config import Config
from cryptodash.core.topics import parse_topic
from cryptodash.live_settings import LIVE
from cryptodash.reload import Reloader


class Reloaded:
    """A running server whose settings are what ``wanted`` is."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.wanted: Config = running.server.config
        self.reloader = Reloader(self.wanted, lambda: self.wanted, running.server.live.parts())

    def reload(self, **changes: Any) -> None:
        limits = {name: value for name, value in changes.items() if hasattr(self.wanted.limits, name)}
        others = {name: value for name, value in changes.items() if name not in limits}
        self.wanted = evolve(self.wanted, limits=evolve(self.wanted.limits, **limits), **others)
        self.reloader.reload()
        assert self.reloader.config == self.wanted, "all of it is taken"


@ensureDeferred
async def test_origins_are_taken_by_the_next_request_and_the_next_connection(start: Any) -> None:
    running = await start()
    changed = Reloaded(running)
    assert (await running.get("/health", headers={"Origin": "https://b.example"})).headers.getRawHeaders(
        "access-control-allow-origin"
    ) == ["*"]
    stays = await running.connect(headers={"Origin": "https://a.example"})
    changed.reload(cors_origins=("https://a.example",), allowed_origins=("https://b.example",))
    answer = await running.get("/health", headers={"Origin": "https://b.example"})
    assert answer.headers.getRawHeaders("access-control-allow-origin") is None
    assert not answer.headers.hasHeader("strict-transport-security"), "without TLS of ours"
    try:
        await running.connect(headers={"Origin": "https://a.example"})
    except ConnectionError:
        pass
    else:
        raise AssertionError("an origin that is not allowed any more")
    await running.connect(headers={"Origin": "https://b.example"})
    await stays.synced()


@ensureDeferred
async def test_limits_are_taken_by_who_comes_next_and_others_keep_theirs(start: Any, helpers: Any) -> None:
    _, channel = helpers
    running = await start(DEMO="true", EXCHANGES="bybit")
    changed = Reloaded(running)
    before = await running.connect()
    changed.reload(
        max_channels=1,
        max_books_per_client=0,
        ping_interval_s=7.0,
        max_message_bytes=2048,
        rest_held_topics=1,
        max_body_bytes=10,
        keep_alive_s=3.0,
        max_connections=2,
        max_upstream_streams=1,
        client_buffer_bytes=70_000,
        client_stall_timeout_s=3.0,
        max_custom_depths=0,
    )
    after = await running.connect()
    greeting = await after.until_type("info") if not after.messages else after.messages[0]
    assert greeting["payload"]["ping_ms"] == 7000
    two = (channel("trade", "bybit"), channel("bbo", "bybit"))
    before.subscribe(*two)
    assert (await before.until_type("info"))["payload"]["message"].startswith("Subscribed to 2 channels")
    after.subscribe(*two)
    assert (await after.until_type("error"))["payload"]["code"] == "too_many_channels"
    after.subscribe(channel("order_book", "bybit"))
    assert (await after.until_type("error"))["payload"]["code"] == "too_many_books"
    await before.synced()
    after.say({"op": "ping", "id": "x" * 3000})
    assert (await after.closed)[0] == 1009
    assert (await running.get("/api/trades?exchange=bybit&symbol=BTC-USDT")).code in (200, 409)
    assert (await running.get("/api/ticker?exchange=bybit&symbol=BTC-USDT")).code == 429
    assert (await running.get("/api/symbols/refresh", "POST", data=b"x" * 11)).code == 413
    third = await running.connect()
    await running.connect()
    late = await running.connect()
    assert (await late.closed)[0] == 1013
    await third.synced()


@ensureDeferred
async def test_topics_that_are_kept_warm_come_and_go_and_the_others_go_on(start: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", EXCHANGES="bybit", SYMBOLS="bybit:spot:BTC-USDT", UPSTREAM_LINGER_S="0")
    changed = Reloaded(running)
    stays, goes, comes, unknown = (
        parse_topic(f"bybit:spot:{each}", default_depth=50)
        for each in ("BTC-USDT", "ETH-USDT:trade", "SOL-USDT:bbo", "NO-SUCH")
    )
    demand = running.server.hub
    changed.reload(symbols=(stays, goes))
    await eventually(lambda: goes in demand._demand.wanted)
    changed.reload(symbols=(stays, comes, unknown))
    await eventually(lambda: goes not in demand._demand.wanted and comes in demand._demand.wanted)
    assert demand._demand.wanted[stays] == {0: 1}, "held once, as before"
    ready = await running.get("/ready")
    assert unknown.text.encode() in ready.body
    changed.reload(symbols=())
    await eventually(lambda: not demand._demand.wanted)
    assert unknown.text.encode() not in (await running.get("/ready")).body


@ensureDeferred
async def test_each_setting_that_can_be_changed_has_a_part_that_takes_it(start: Any) -> None:
    running = await start()
    parts = running.server.live.parts()
    assert sorted(name for part in parts for name in part.settings) == sorted(LIVE)


@ensureDeferred
async def test_topics_of_an_exchange_that_is_not_open_and_tls_wait_for_a_restart(start: Any) -> None:
    running = await start(EXCHANGES="bybit")
    server = running.server
    wanted = evolve(
        server.config,
        exchanges=("bybit", "okx"),
        symbols=(parse_topic("okx:spot:BTC-USDT", default_depth=50),),
        tls_cert="c",
        tls_key="k",
    )
    reloader = Reloader(server.config, lambda: wanted, server.live.parts())
    reloader.reload()
    assert reloader.config == server.config
    assert not server.hub._demand.wanted

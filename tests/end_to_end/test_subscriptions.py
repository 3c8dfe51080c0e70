"""What clients subscribe to is what they get: sharing, linger, late comers, many channels, sweeps, books."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from time import monotonic
from typing import Any

from attrs import evolve
from pytest_twisted import ensureDeferred


def named(payload: dict[str, Any]) -> tuple[Any, ...]:
    """A status's channel, as something to compare."""
    own = payload["channel"]
    symbol = own["symbol"] if isinstance(own["symbol"], str) else "-".join(own["symbol"].values())
    return own["channel_type"], own["exchange"], own["market_type"], symbol, own.get("depth") or own.get("interval")


# -- Subscriptions --


@ensureDeferred
async def test_two_clients_get_only_what_each_asked_for_and_one_leaving_disturbs_nobody(
    start: Any, helpers: Any, place: Any
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="1")
    first, second = await running.connect(), await running.connect()
    first.subscribe(channel("ticker"), channel("trade"), channel("order_book", depth=5))
    second.subscribe(channel("ticker", "bybit", "ETH-USDT", market_type="perpetual"), channel("trade"))
    kinds = ("ticker", "trade", "order_book_delta")
    await eventually(lambda: all(first.of(kind) for kind in kinds) and all(second.of(kind) for kind in kinds[:2]))
    await first.leave()
    left = len(second.messages)
    await eventually(lambda: not any("depth" in each for each in running.upstream_streams()))
    await eventually(lambda: {each["type"] for each in second.messages[left:]} >= {"ticker", "trade"})
    assert {place(each) for each in first.of("ticker") + first.of("trade")} == {("binance", "spot", "BTC-USDT")}
    assert {place(each) for each in second.of("ticker")} == {("bybit", "perpetual", "ETH-USDT")}
    assert {place(each) for each in second.of("trade")} == {("binance", "spot", "BTC-USDT")}
    assert not second.of("order_book_snapshot") and not second.of("order_book_delta")
    assert [each["state"] for each in second.of("status")].count("connecting") <= 2
    assert second.of("status")[-1]["state"] == "live" and not [
        each for each in second.messages[left:] if each["type"] == "status"
    ]
    ids = [int(each["id"]) for each in second.of("trade")]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "a trade is missing or came twice"


@ensureDeferred
async def test_many_clients_share_one_upstream_subscription_that_ends_after_the_linger(
    start: Any, helpers: Any
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="1")
    wanted = [
        channel("ticker", market_type="perpetual"),
        channel("trade", "bybit"),
        channel("order_book", depth=7),
        channel("order_book", depth=20),
    ]
    clients = [await running.connect() for _ in range(10)]
    for client in clients:
        client.subscribe(*wanted)
    await eventually(
        lambda: all(
            client.of("ticker") and client.of("trade") and len(client.of("order_book_snapshot")) == 2
            for client in clients
        )
    )
    streams = running.upstream_streams()
    assert len(streams) >= 4 and set(streams.values()) == {1}
    clients.pop().unsubscribe(*wanted)
    for client in clients:
        await client.leave()
    before = running.upstream_messages()
    again = await running.connect()
    again.subscribe(*wanted)  # within the linger: the venue does not hear of it
    await eventually(lambda: again.of("ticker") and again.of("trade") and len(again.of("order_book_snapshot")) == 2)
    assert (running.upstream_messages(), running.upstream_streams()) == (before, streams)
    await again.leave()
    await eventually(lambda: not running.upstream_streams())
    assert not any(any(upstream.streams()) for upstream in running.server.hub.upstreams.values())
    assert running.simulator.ledger.violations == []


@ensureDeferred
async def test_a_value_is_forgotten_with_its_last_subscriber(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="0")
    client = await running.connect()
    client.subscribe(channel("ticker"))
    await client.until_type("ticker")
    client.unsubscribe(channel("ticker"))
    await eventually(lambda: not running.upstream_streams())
    seen = len(client.messages)
    client.subscribe(channel("ticker"))
    await client.synced()
    after = [each for each in client.messages[seen:] if each["type"] in ("status", "ticker")]
    assert after[0]["payload"]["state"] == "connecting", "an old value came as the latest"


@ensureDeferred
async def test_a_late_subscriber_gets_status_and_latest_value_at_once(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    begun = monotonic()
    running = await start(DEMO="true")
    early, late = await running.connect(), await running.connect()
    wanted = [channel("ticker"), channel("trade"), channel("order_book", depth=10), channel("candle", interval="5m")]
    early.subscribe(*wanted)
    await eventually(
        lambda: all(early.of(kind) for kind in ("ticker", "order_book_delta", "candle")) and len(early.of("trade")) > 2
    )
    before = {kind: len(early.of(kind)) for kind in ("ticker", "candle")}
    late.subscribe(*wanted)
    await late.synced()
    replayed = [each for each in late.of("trade") if "replayed" in each]
    trades = len(replayed)
    expected = [
        "info",
        "status",
        "ticker",
        "status",
        *["trade"] * trades,
        "status",
        "order_book_snapshot",
        "status",
        "candle",
    ]
    # What comes before the mark may already be news of after the subscription.
    assert trades > 2 and [each["type"] for each in late.messages[1:]][: len(expected)] == expected
    assert [each["state"] for each in late.of("status")] == ["live"] * 4
    # Nothing is older than the server; the venue tells a candle each two seconds, later where the machine is busy.
    assert all(0 <= each["age_ms"] <= 1000 * (monotonic() - begun) for each in late.of("status"))
    assert all(each["source"] == "simulated" for each in late.of("status"))
    assert all(each["replayed"] is True for each in replayed) and not any(
        "replayed" in each for each in early.of("trade")
    )
    await early.synced()
    for kind, count in before.items():
        seen, latest = early.of(kind), late.of(kind)
        begin = seen.index(latest[0])
        assert begin >= count - 1 and seen[begin : begin + len(latest)] == latest
    ids = [each["id"] for each in early.of("trade")]
    end = ids.index(replayed[-1]["id"]) + 1
    assert ids[end - trades : end] == [each["id"] for each in replayed]


@ensureDeferred
async def test_nothing_follows_the_answer_to_an_unsubscribe(start: Any, helpers: Any, place: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    client = await running.connect()
    wanted = [channel("ticker"), channel("trade"), channel("order_book", depth=50)]
    client.subscribe(*wanted, channel("ticker", symbol="ETH-USDT"))
    await eventually(lambda: client.of("order_book_delta"))
    client.unsubscribe(*wanted, id="bye")
    await client.until_type("info", id="bye")
    at = next(index for index, each in enumerate(client.messages) if each["payload"].get("id") == "bye")
    await eventually(lambda: len([each for each in client.messages[at:] if each["type"] == "ticker"]) >= 3)
    assert {place(each["payload"]) for each in client.messages[at + 1 :]} == {("binance", "spot", "ETH-USDT")}


@ensureDeferred
async def test_a_client_with_a_thousand_subscriptions(start: Any, helpers: Any, place: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", STALE_AFTER_S="60")
    topics = running.topics()
    for market in running.simulator.markets.values():
        for instrument in market.all():  # nobody trades so rarely that its first trade takes minutes to come
            instrument.spec = evolve(instrument.spec, trades_per_hour=10_000)
    wanted = [
        channel(kind, exchange, symbol, market_type=market)
        for kind in ("ticker", "trade")
        for exchange, market, symbol in topics
    ]
    wanted += [
        channel("order_book", exchange, symbol, market_type=market, depth=5) for exchange, market, symbol in topics
    ][:100]
    wanted += [  # Binance's first: Bybit takes ten a request, and would take longer
        channel("candle", exchange, symbol, market_type=market, interval=interval)
        for exchange, market, symbol in sorted(topics)
        for interval in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M")
    ]
    wanted = wanted[:1000]
    assert len(wanted) == 1000
    client = await running.connect()
    accepted = client.until(lambda message: "accepted" in message["payload"])
    client.subscribe(*wanted)
    assert len((await accepted)["payload"]["accepted"]) == 1000
    await eventually(
        lambda: len({named(each) for each in client.of("status") if each["state"] in ("live", "quiet")}) == 1000, 45
    )
    assert not client.of("error")
    assert len({place(each) for each in client.of("ticker")}) == len(topics)
    assert set(running.upstream_streams().values()) == {1} and running.simulator.ledger.violations == []
    counted = await running.json("/api/streams")
    assert {each["clients"] for each in counted["streams"]} >= {1}
    listed = client.until(lambda message: "channels" in message["payload"])
    client.say({"op": "list"})
    assert len((await listed)["payload"]["channels"]) == 1000


@ensureDeferred
async def test_a_symbol_is_taken_at_its_word_until_the_catalogue_comes(start: Any, helpers: Any) -> None:
    _, channel = helpers
    running = await start(
        DEMO="true",
        EXCHANGES="binance",
        wait=False,
        prepare=lambda simulator: simulator.faults.start("binance", "slow", seconds=60, delay=2),
    )
    client = await running.connect()
    client.subscribe(channel("ticker"), channel("trade", symbol="NO-SUCH"), channel("ticker", symbol="BTCUSDT"))
    await client.synced()
    answer = next(each for each in client.of("info") if "accepted" in each)
    assert len(answer["accepted"]) == 2 and [each["code"] for each in answer["rejected"]] == ["not_yet_known"], (
        "a joined name cannot be split yet"
    )
    assert [each["state"] for each in client.of("status")] == ["connecting", "connecting"]
    seen = len(client.messages)
    ticker = client.until_type("ticker")
    await client.until_type("status", state="closed", cause="rejected")
    running.simulator.faults.stop()
    await ticker
    error, closed = [each for each in client.messages[seen:] if "NO" in str(each)]
    assert (error["type"], error["payload"]["code"]) == ("error", "unknown_symbol")
    assert (closed["type"], closed["payload"]["channel"]["symbol"]) == ("status", {"base": "NO", "quote": "SUCH"})


@ensureDeferred
async def test_max_rate_thins_out_and_keeps_the_latest(start: Any, helpers: Any, reactor: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    thin, full = await running.connect(), await running.connect()
    full.subscribe(channel("ticker"))
    thin.subscribe(channel("ticker", max_rate=4))
    await eventually(lambda: len(thin.of("ticker")) >= 6 and len(full.of("ticker")) > 20)
    times = [
        when for message, when in zip(thin.messages, thin.received_at, strict=True) if message["type"] == "ticker"
    ][2:]
    assert all(later - earlier > 200 for earlier, later in pairwise(times))
    everything = full.of("ticker")
    assert all(each in everything for each in thin.of("ticker")[1:])
    thin.subscribe(channel("ticker", max_rate=100))  # a repeat replaces the rate
    before = len(thin.messages)

    def closer_than_before() -> bool:
        times = [
            when
            for message, when in zip(thin.messages[before:], thin.received_at[before:], strict=True)
            if message["type"] == "ticker"
        ]
        return any(later - earlier < 200 for earlier, later in pairwise(times))

    await eventually(closer_than_before)


# -- The sweep --


@ensureDeferred
async def test_a_sweep_brings_the_whole_market_and_leaves_out_what_is_subscribed_by_name(
    start: Any, helpers: Any, place: Any
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    client, late, named_only = [await running.connect() for _ in range(3)]
    markets = [(exchange, market) for exchange in ("binance", "bybit") for market in ("spot", "perpetual")]
    sweeps = [channel("ticker", exchange, "*", market_type=market) for exchange, market in markets]
    by_name = [channel("ticker", exchange, "ETH-USDT", market_type=market) for exchange, market in markets]
    client.subscribe(*sweeps)
    topics = set(running.topics())
    await eventually(lambda: {place(each) for each in client.of("ticker")} == topics)
    named_only.subscribe(*by_name)
    client.subscribe(*by_name)
    await client.synced()
    first = len(client.messages)
    late.subscribe(*sweeps)
    await late.synced()
    assert {place(each) for each in late.of("ticker")} == topics, "a late subscriber has to wait"

    arrivals: dict[tuple[str, str, str], list[int]] = {}

    def swept_twice() -> bool:
        arrivals.clear()
        for message, when in zip(client.messages[first:], client.received_at[first:], strict=True):
            if message["type"] == "ticker":
                arrivals.setdefault(place(message["payload"]), []).append(when)
        return all(
            len(arrivals.get((*each, "BTC-USDT"), ())) >= 2 and (*each, "ETH-USDT") in arrivals for each in markets
        )

    await eventually(swept_twice)
    for name, times in arrivals.items():
        assert name[2] == "ETH-USDT" or all(later - earlier > 700 for earlier, later in pairwise(times)), (name, times)
    await named_only.synced()
    eth = {text for text in client.texts[first:] if b'"ETH","quote":"USDT"' in text}
    assert eth <= set(named_only.texts), "one came by the sweep as well"
    # One for a whole market, not one for each instrument; a busy machine may call it late meanwhile.
    assert len([each for each in client.of("status") if each["channel"]["symbol"] == "*"]) <= 4 * len(sweeps)
    assert {named(each) for each in client.of("status") if each["channel"]["symbol"] == "*"} == {
        ("ticker", *each, "*", None) for each in markets
    }
    client.unsubscribe(*by_name)
    await client.synced()
    # by the sweep again
    await client.until(lambda message: message["type"] == "ticker" and place(message["payload"])[2] == "ETH-USDT")


# -- Books --


class Book:
    """A client's book: what it holds after each message, checked as it goes."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sequence = 0
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.deltas = 0
        self.resyncs = 0

    def take(self, message: dict[str, Any]) -> None:
        payload = message["payload"]
        if message["type"] == "order_book_snapshot":
            self.bids, self.asks = (
                {each["price"]: each["quantity"] for each in payload[side]} for side in ("bids", "asks")
            )
        elif message["type"] == "order_book_delta":
            assert payload["sequence"] == self.sequence + 1
            self.deltas += 1
            for side, levels in (("bids", self.bids), ("asks", self.asks)):
                for price in payload["deletes"][side]:
                    del levels[price]
                levels.update({each["price"]: each["quantity"] for each in payload[f"{side}_upserts"]})
        self.sequence = payload["sequence"]
        assert len(self.bids) <= self.depth and len(self.asks) <= self.depth
        assert max(self.bids) < min(self.asks)
        assert all(size > 0 for size in [*self.bids.values(), *self.asks.values()])

    def same_as(self, payload: dict[str, Any]) -> bool:
        sides = [[(each["price"], each["quantity"]) for each in payload[side]] for side in ("bids", "asks")]
        return [sorted(self.bids.items(), reverse=True), sorted(self.asks.items())] == sides


@ensureDeferred
async def test_a_book_kept_from_deltas_equals_a_fresh_snapshot(start: Any, helpers: Any, place: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    client = await running.connect()
    depths = {("binance", "spot"): 1, ("binance", "perpetual"): 50, ("bybit", "spot"): 20, ("bybit", "perpetual"): 7}
    wanted = [
        channel("order_book", exchange, market_type=market, depth=depth) for (exchange, market), depth in depths.items()
    ]
    client.subscribe(*wanted)
    await eventually(lambda: len(client.of("order_book_snapshot")) == len(wanted))
    for _ in range(3):
        seen = len(client.messages)
        await eventually(
            lambda seen=seen: all(
                len(
                    [
                        each
                        for each in client.messages[seen:]
                        if each["type"] == "order_book_delta" and place(each["payload"])[:2] == market
                    ]
                )
                >= 4
                for market in depths
            )
        )
        client.say({"op": "resync", "channels": wanted})
        await client.synced()
    books = {market: Book(depth) for market, depth in depths.items()}
    for message in [each for each in client.messages if each["type"].startswith("order_book")]:
        book = books[place(message["payload"])[:2]]
        if message["type"] == "order_book_snapshot" and book.sequence:
            assert message["payload"]["sequence"] == book.sequence and book.same_as(message["payload"])
            book.resyncs += 1
        book.take(message)
    assert all(book.resyncs == 3 and book.deltas >= 12 for book in books.values())
    assert all(each["complete"] for each in client.of("order_book_snapshot"))

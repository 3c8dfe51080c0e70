"""REST over the real hub: values that a venue publishes come out of the routes,
and what is asked for is wanted no longer than it must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import make_site
from cryptodash.api.slices import Slices
from cryptodash.core.config import Config
from cryptodash.core.events import BookView, Cause, Side, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.interfaces import RequestCost
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Topic
from cryptodash.hub.broadcaster import Broadcaster

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

T0 = 1_704_067_200_000
PAIR = "exchange=binance&symbol=BTC-USDT"


@pytest.fixture
def served(web: Any) -> Any:
    """The double's server again, now with the real hub; ``wanted`` are the topics its venue streams."""
    scheduler, tally, config = web.scheduler, Tally(), Config()
    upstream = web.hub.upstreams["binance"]
    wanted: set[Topic] = set()
    paces: dict[Topic, Sequence[int]] = {}

    # The double is a fixture's: its type is known at run time only.
    class Streaming(type(upstream)):  # type: ignore[misc]
        def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
            wanted.update(topics)

        def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
            """Nothing is sparse here."""

        def streams_of(self, topic: Topic) -> int | None:
            return 1

        def drop(self, topics: Iterable[Topic]) -> None:
            wanted.difference_update(topics)

        def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
            """The test publishes, as often as it is told."""
            paces[topic] = intervals

        def confirmed_at(self, topic: Topic) -> float | None:
            return float(scheduler.monotonic())

    web.hub = Broadcaster(config, scheduler, scheduler, tally)
    web.hub.add_upstream(Streaming("binance"))
    web.rest = Rest(
        web.hub,
        web.hub,
        web.hub,
        config,
        scheduler,
        scheduler,
        tally,
        "1.2.3",
        lambda: False,
        0.0,
        Slices(scheduler, scheduler),
        web.hub.ledger,
    )
    web.site = make_site(web.rest, web.socket, config, scheduler, scheduler, tally)
    web.wanted, web.paces = wanted, paces
    return web


def publish(web: Any, kind: str, topic: Topic) -> None:
    """A value, then the status that it makes."""
    upstream = topic.upstream
    if kind == "ticker":
        web.hub.publish(Ticker(upstream, T0, RECEIVED, "43250.50000000"))
    elif kind == "trades":
        web.hub.publish(Trade(upstream, T0, RECEIVED, "1", "1.50", "2.0", Side.BUY))
    else:
        [interval] = web.paces[topic]
        bids, asks = (("1.0", "2.0"), ("0.9", "1")), (("1.1", "2.0"), ("1.2", "1"))
        web.hub.publish(BookView(topic, interval, T0, RECEIVED, bids[: topic.depth], asks[: topic.depth], True))
    web.hub.publish(StreamStatus(upstream, State.LIVE, since=T0))
    web.scheduler.advance(0)


@pytest.mark.parametrize("kind", ["ticker", "trades", "orderbook"])
def test_a_first_value_comes_out_as_soon_as_the_venue_sends_it(served: Any, kind: str) -> None:
    wire = served.wire()
    wire.ask(f"/api/{kind}?{PAIR}")
    (topic,) = served.wanted
    served.scheduler.advance(0.5)
    assert wire.received() == b""
    publish(served, kind, topic)
    answer = wire.response()
    assert answer.status == 200 and answer.json()["status"]["state"] == "live"
    again = served.get(f"/api/{kind}?{PAIR}")
    assert again.status == 200 and len(served.wanted) == 1


SPELLINGS = [
    "BTC-USDT",
    "btc-usdt",
    "BTC/USDT",
    "btc%2Fusdt",
    "BTCUSDT",
    "%7B%22base%22:%22btc%22,%22quote%22:%22USDT%22%7D",
]


@pytest.mark.parametrize("symbol", SPELLINGS)
def test_every_spelling_of_ws_names_the_symbol(served: Any, symbol: str) -> None:
    wire = served.wire()
    wire.ask(f"/api/ticker?exchange=binance&symbol={symbol}")
    (topic,) = served.wanted
    assert str(topic) == "binance:spot:BTC-USDT:ticker"


@pytest.mark.parametrize("symbol", ["%7B", "%7B%22base%22:1%7D", "%7B%7D", "*", "BTC-"])
def test_what_is_no_symbol_is_400(served: Any, symbol: str) -> None:
    answer = served.get(f"/api/ticker?exchange=binance&symbol={symbol}")
    assert (answer.status, answer.code) == (400, "invalid_symbol")


def test_a_book_out_of_sync_is_not_shown(served: Any) -> None:
    wire = served.wire()
    wire.ask(f"/api/orderbook?{PAIR}&depth=1")
    (topic,) = served.wanted
    publish(served, "orderbook", topic)
    assert [each["price"] for each in wire.response().json()["bids"]] == [1.0]
    served.hub.publish(StreamStatus(topic.upstream, State.RESYNCING, Cause.GAP, since=T0))
    wire.ask(f"/api/orderbook?{PAIR}&depth=1")
    served.scheduler.advance(2)
    assert wire.response().status == 409


def test_what_nobody_asks_for_any_more_is_dropped(served: Any) -> None:
    wire = served.wire()
    wire.ask(f"/api/ticker?{PAIR}")
    wire.drop()
    assert len(served.wanted) == 1
    for _ in range(61):
        served.scheduler.advance(1)
    assert not served.wanted and not served.scheduler.getDelayedCalls()


@pytest.fixture
def charting(served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A venue whose bars cost 10 of 1000 a minute, given at once; ``asked`` is what was asked of it."""
    asked: list[int | None] = []
    upstream = type(served.hub.upstreams["binance"])

    def candles_cost(self: Any, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        return RequestCost("", 10, 1000, 60.0)

    async def candles(self: Any, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Any]:
        asked.append(end_ms)
        return ()

    monkeypatch.setattr(upstream, "candles_cost", candles_cost, raising=False)
    monkeypatch.setattr(upstream, "candles", candles, raising=False)
    served.hub.asked = asked
    return served


def chart(served: Any, number: int, address: str = "192.0.2.1", **headers: str) -> Any:
    wire = served.wire(address)
    wire.ask(f"/api/candles?{PAIR}&end={number * 60_000}", **headers)
    return wire


def test_one_address_cannot_use_up_what_a_venue_allows(charting: Any) -> None:
    wires = [chart(charting, number) for number in range(100)]
    assert len(charting.hub.asked) == 21
    charting.scheduler.advance(5)
    answers = [wire.response() for wire in wires]
    assert [each.status for each in answers] == [200] * 21 + [429] * 79
    assert answers[-1].code == "rate_limited" and int(answers[-1].headers["retry-after"]) == 55
    assert chart(charting, 1000, "192.0.2.2").response().status == 200
    charting.scheduler.advance(55)
    assert chart(charting, 1001).response().status == 200


def test_an_ipv6_address_is_counted_with_its_64(charting: Any) -> None:
    wires = [chart(charting, number, f"2001:db8:1:2::{number:x}") for number in range(1, 101)]
    assert len(charting.hub.asked) == 21
    assert chart(charting, 1000, "2001:db8:1:3::1").response().status == 200
    for wire in wires:
        wire.drop()


def test_topics_held_by_rest_are_counted_by_the_64_as_well(web: Any) -> None:
    one = Number("1.0")
    catalogue = web.hub.upstreams["binance"].catalogue
    symbols = [Symbol(f"T{number}", "USDT") for number in range(21)]
    catalogue.replace(
        MarketType.SPOT, [Instrument("binance", MarketType.SPOT, each, each.base, one, one) for each in symbols]
    )
    for each in symbols:
        topic = web.topic(base=each.base)
        web.hub.tickers[topic] = Ticker(topic, T0, RECEIVED, one)
    statuses = [
        web.wire(f"2001:db8::{number:x}").get(f"/api/ticker?exchange=binance&symbol={symbol}").status
        for number, symbol in enumerate(symbols)
    ]
    assert statuses == [200] * 20 + [429]

"""``/api/compare`` and the composite's other answers, over the real hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from twisted.logger import capturedLogs

from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import make_site
from cryptodash.api.slices import Slices
from cryptodash.core.config import Config, Limits
from cryptodash.core.events import Bbo, BookView, Cause, State, StreamStatus
from cryptodash.core.instruments import Catalogue, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.broadcaster import Broadcaster

T0 = 1_704_067_200_000
NAMES = ("binance", "bybit")


class Compared:
    """A server over two venues that the test speaks for."""

    def __init__(self, web: Any, *, symbols: tuple[Topic, ...] = (), **limits: int) -> None:
        scheduler, tally, config = web.scheduler, Tally(), Config(symbols=symbols, limits=Limits(**limits))
        double = type(web.hub.upstreams["binance"])
        self.wanted: set[str] = set()
        wanted = self.wanted

        # The double is a fixture's: its type is known at run time only.
        class Streaming(double):  # type: ignore[misc, valid-type]
            def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
                wanted.update(map(str, topics))

            def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
                """Nothing is sparse here."""

            def streams_of(self, topic: Topic) -> int | None:
                return 1

            def drop(self, topics: Iterable[Topic]) -> None:
                wanted.difference_update(map(str, topics))

            def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
                """The test publishes."""

            def confirmed_at(self, topic: Topic) -> float | None:
                return float(scheduler.monotonic())

            as_of = confirmed_at

        self.hub = web.hub = Broadcaster(config, scheduler, scheduler, tally)
        for name in NAMES:
            self.hub.add_upstream(Streaming(name))
        slices = Slices(scheduler, scheduler)
        web.rest = Rest(
            web.hub,
            web.hub,
            web.hub,
            config,
            scheduler,
            scheduler,
            tally,
            "1",
            lambda: False,
            0.0,
            slices,
            web.hub.ledger,
        )
        web.site = make_site(web.rest, web.socket, config, scheduler, scheduler, tally)
        self.scheduler = scheduler
        self.wire = web.wire()

    def ask(self, path: str, wait: float = 2.0) -> Any:
        self.wire.ask(path)
        self.scheduler.pump([0.01] * round(wait / 0.01))
        return self.wire.response()

    def quote(
        self, exchange: str, bid: str, ask: str, base: str = "BTC", state: State = State.LIVE, at: int = T0
    ) -> None:
        topic = Topic(exchange, MarketType.SPOT, Symbol(base, "USDT"), Channel.BBO)
        one = Number("1")
        self.hub.publish(Bbo(topic, at, at + 5, Number(bid), one, Number(ask), one))
        self.hub.publish(StreamStatus(topic, state, None if state.is_good else Cause.SILENT, since=at))

    def lists(self, exchange: str, *bases: str) -> None:
        catalogue = self.hub.upstreams[exchange].catalogue
        kept = [each for each in catalogue if each.market is MarketType.SPOT and each.symbol.base in bases]
        catalogue.replace(MarketType.SPOT, kept)
        self.hub.catalogue_changed(exchange, MarketType.SPOT)


@pytest.fixture
def compared(web: Any) -> Compared:
    return Compared(web)


def test_it_waits_for_what_every_venue_says_and_no_longer(compared: Compared) -> None:
    compared.wire.ask("/api/compare?symbols=BTC-USDT,eth/usdt")
    assert compared.wanted == {f"{name}:spot:{base}-USDT:bbo" for name in NAMES for base in ("BTC", "ETH")}
    for base in ("BTC", "ETH"):
        compared.quote("binance", "100", "101", base)
        compared.scheduler.advance(0.1)
        assert compared.wire.received() == b""
        compared.quote("bybit", "100.50", "102", base)
    compared.scheduler.pump([0.01] * 10)
    answer = compared.wire.response()
    assert answer.status == 200
    first, second = answer.json()["quotes"]
    assert first["symbol"] == {"base": "BTC", "quote": "USDT"} and second["symbol"]["base"] == "ETH"
    assert b'"bid":100.50,' in answer.body, "the venue's own digits"
    assert (first["bid_exchange"], first["ask_exchange"]) == ("bybit", "binance")
    assert first["status"]["state"] == "live" and first["status"]["age_ms"] == 0
    assert first["source"] == "simulated"


def test_after_two_seconds_it_says_what_is_known_and_who_is_missing(compared: Compared) -> None:
    compared.wire.ask("/api/compare?symbols=BTC-USDT,ETH-USDT")
    compared.quote("binance", "100", "101")
    compared.scheduler.pump([0.1] * 21)
    btc, eth = compared.wire.response().json()["quotes"]
    assert set(btc["venues"]) == {"binance"} and btc["excluded"] == [{"exchange": "bybit", "state": "connecting"}]
    assert eth["venues"] == {} and eth["status"]["state"] == "connecting"


def test_nothing_known_of_anything_is_409(compared: Compared) -> None:
    answer = compared.ask("/api/compare?symbols=BTC-USDT", 2.1)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (409, "not_yet_known", "1")


def test_some_venues_only(compared: Compared) -> None:
    compared.wire.ask("/api/compare?symbols=BTC-USDT&exchanges=BINANCE")
    compared.quote("binance", "100", "101", state=State.STALE)
    compared.quote("bybit", "99", "102")
    compared.scheduler.pump([0.01] * 10)
    (quote,) = compared.wire.response().json()["quotes"]
    assert quote["venues"] == {} and "bid" not in quote
    assert quote["excluded"] == [{"exchange": "binance", "state": "stale", "cause": "silent"}]
    assert (quote["status"]["state"], quote["status"]["cause"]) == ("stale", "silent")
    (quote,) = compared.ask("/api/compare?symbols=BTC-USDT&exchanges=bybit", 0.1).json()["quotes"]
    assert set(quote["venues"]) == {"bybit"} and quote["status"]["state"] == "live"


def test_some_venues_have_their_own_times_and_ages(compared: Compared) -> None:
    compared.wire.ask("/api/compare?symbols=BTC-USDT&exchanges=binance")
    compared.quote("bybit", "99", "102", at=T0 + 2_000)
    compared.quote("binance", "100", "101", at=T0 + 1_000)
    compared.scheduler.pump([0.01] * 10)
    (quote,) = compared.wire.response().json()["quotes"]
    assert quote["timestamp"] == quote["status"]["since"] == "2024-01-01T00:00:01.000Z"
    compared.quote("bybit", "98", "103", at=T0 + 3_000)
    compared.quote("binance", "100", "101", state=State.STALE, at=T0 + 4_000)
    (quote,) = compared.ask("/api/compare?symbols=BTC-USDT&exchanges=binance", 0.1).json()["quotes"]
    assert quote["status"]["since"] == "2024-01-01T00:00:04.000Z"
    (quote,) = compared.ask("/api/compare?symbols=BTC-USDT&exchanges=bybit", 0.1).json()["quotes"]
    assert quote["status"]["age_ms"] == 0 and quote["status"]["since"] == "2024-01-01T00:00:02.000Z"


def test_a_named_venue_that_has_not_got_the_symbol(compared: Compared) -> None:
    compared.lists("binance", "ETH")
    answer = compared.ask("/api/compare?symbols=BTC-USDT&exchanges=binance", 0.1)
    assert (answer.status, answer.code) == (404, "unknown_symbol")
    assert compared.wanted == set()
    compared.wire.ask("/api/compare?symbols=BTC-USDT,ETH-USDT&exchanges=binance")
    compared.quote("binance", "100", "101", "ETH")
    compared.quote("bybit", "100", "101", "ETH")
    compared.quote("bybit", "100", "101")
    compared.scheduler.pump([0.01] * 10)
    btc, eth = compared.wire.response().json()["quotes"]
    assert btc["excluded"] == [{"exchange": "binance", "state": "closed"}] and btc["status"]["state"] == "closed"
    assert set(eth["venues"]) == {"binance"} and eth["excluded"] == []


def test_a_named_venue_whose_catalogue_comes_without_the_symbol(compared: Compared) -> None:
    compared.hub.upstreams["binance"].catalogue = Catalogue("binance")
    compared.wire.ask("/api/compare?symbols=BTC-USDT&exchanges=binance")
    compared.lists("binance")
    compared.quote("bybit", "100", "101")
    compared.scheduler.pump([0.1] * 21)
    answer = compared.wire.response()
    assert (answer.status, answer.code) == (404, "unknown_symbol")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "missing_parameter"),
        ("symbols=", 400, "missing_parameter"),
        ("symbols=,", 400, "missing_parameter"),
        ("symbols=NO-PE", 404, "unknown_symbol"),
        ("symbols=BTC-USDT,NO-PE", 404, "unknown_symbol"),
        ("symbols=BTC-USDT&exchanges=nowhere", 404, "unknown_exchange"),
        ("symbols=BTC-USDT&exchanges=composite", 404, "unknown_exchange"),
        ("symbols=BTC-USDT&market_type=x", 400, "invalid_market"),
        ("symbols=BTC-USDT&symbols=ETH-USDT", 400, "duplicate_parameter"),
        ("symbols=*", 400, "invalid_symbol"),
        ("symbols=" + ",".join(f"A{number}-USDT" for number in range(21)), 400, "too_many_symbols"),
    ],
)
def test_what_is_wrong_is_said(compared: Compared, query: str, status: int, code: str) -> None:
    answer = compared.ask(f"/api/compare?{query}", 0.1)
    assert (answer.status, answer.code) == (status, code)
    assert compared.wanted == set()


def test_it_is_charged_to_the_address_and_released_after_the_linger(web: Any) -> None:
    compared = Compared(web, rest_held_topics_per_ip=1)
    compared.wire.ask("/api/compare?symbols=BTC-USDT")
    for name in NAMES:
        compared.quote(name, "100", "101")
    compared.scheduler.pump([0.01] * 10)
    assert compared.wire.response().status == 200
    answer = compared.ask("/api/compare?symbols=BTC-USDT,ETH-USDT", 0.1)
    assert (answer.status, answer.code) == (429, "too_many_topics")
    compared.scheduler.pump([1.0] * 62)
    assert compared.wanted == set()


def test_its_symbols_are_those_that_a_venue_has(compared: Compared) -> None:
    answer = compared.ask("/api/symbols?exchange=composite&market_type=spot", 0.1)
    (listed,) = answer.json()["exchanges"]
    assert listed["exchange"] == "composite"
    assert [each["symbol"] for each in listed["symbols"]] == ["BTC-USDT", "ETH-USDT"]
    assert {each["exchange"] for each in compared.ask("/api/symbols", 0.1).json()["exchanges"]} == set(NAMES)


def test_a_kept_topic_that_no_venue_has_is_logged_and_shown_in_ready(web: Any) -> None:
    kept = [Topic("composite", MarketType.SPOT, Symbol(base, "USDT"), Channel.BBO) for base in ("BTC", "TYPO")]
    compared = Compared(web, symbols=(*kept, Topic("binance", MarketType.SPOT, Symbol("TYPO", "USDT"), Channel.BBO)))
    with capturedLogs() as logged:
        for _ in range(2):
            compared.lists("bybit", "BTC")
    (warning,) = [each for each in logged if each["log_namespace"] == "cryptodash.hub.kept_topics"]
    assert warning["topic"] == "composite:spot:TYPO-USDT:bbo"
    hub = compared.ask("/ready", 0.1).json()["dependencies"]["stream_hub"]
    assert hub == {"status": "ok", "unknown_symbols": ["composite:spot:TYPO-USDT:bbo"]}
    compared.hub.upstreams["binance"].catalogue = Catalogue("binance")
    hub = compared.ask("/ready", 0.1).json()["dependencies"]["stream_hub"]
    assert hub == {"status": "ok"}, "it may have it yet"


def test_it_is_no_exchange_and_has_no_catalogue_of_its_own(compared: Compared) -> None:
    answer = compared.ask("/api/ticker?exchange=composite&symbol=BTC-USDT", 0.1)
    assert (answer.status, answer.code) == (400, "unsupported_channel")
    compared.wire.ask("/api/symbols/refresh?exchange=composite", "POST")
    assert compared.wire.response().code == "unknown_exchange"


def test_its_book_is_an_orderbook(compared: Compared) -> None:
    compared.wire.ask("/api/orderbook?exchange=composite&symbol=BTC-USDT&depth=5")

    def level(price: str) -> tuple[tuple[Number, Number]]:
        return ((Number(price), Number("1.50")),)

    for name in NAMES:
        topic = Topic(name, MarketType.SPOT, Symbol("BTC", "USDT"), Channel.ORDER_BOOK, depth=5)
        compared.hub.publish(BookView(topic, 100, T0, T0 + 5, level("100"), level("101.0")))
        compared.hub.publish(StreamStatus(topic, State.LIVE, since=T0))
    compared.scheduler.pump([0.01] * 10)
    answer = compared.wire.response()
    assert answer.status == 200
    assert b'"quantity":3.00,"venues":{"binance":1.50,"bybit":1.50}' in answer.body
    book = answer.json()
    assert (book["excluded"], book["complete"], book["status"]["state"]) == ([], False, "live")

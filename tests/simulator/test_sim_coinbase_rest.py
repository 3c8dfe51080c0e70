"""The Coinbase host's REST side: catalogue, books, trades, candles, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.coinbase.instruments import ALIASES, MARKETS
from cryptodash.simulator.rest_query import RestQuery, all_of
from tests.simulator.coinbase_wire import API, HOST, PRODUCTS, connect, decimals

SPOT = MarketType.SPOT
BTC = f"{PRODUCTS}/BTC-USD"
BOOK = f"{API}/market/product_book"


def _refused(world: Any, path: str, **query: object) -> tuple[int, str, str]:
    answer = world.get(HOST, path, **query)
    body = msgspec.json.decode(answer.body)
    assert body["error_details"] == body["message"]
    return answer.status, body["error"], body["message"]


def test_the_catalogue_lists_every_product_and_the_other_names_of_books(world) -> None:
    listed = world.json(HOST, PRODUCTS)
    names = [each["product_id"] for each in listed["products"]]
    assert names == [each.native for each in MARKETS[SPOT].instruments] + list(ALIASES)
    assert listed["num_products"] == len(names) and listed["pagination"] is None
    by_name = {each["product_id"]: each for each in listed["products"]}
    assert by_name["XRP-USD"]["price_increment"] == "0.0001" and by_name["XRP-USD"]["base_increment"] == "0.000001"
    assert by_name["PEPE-USD"]["base_increment"] == "1" and by_name["PEPE-USD"]["price_increment"] == "0.00000001"
    assert (by_name["ETH-USDC"]["alias"], by_name["ETH-USDC"]["alias_to"]) == ("ETH-USD", [])
    assert (by_name["ETH-USD"]["alias"], by_name["ETH-USD"]["alias_to"]) == ("", ["ETH-USDC"])
    assert by_name["ETH-BTC"]["alias_to"] == []


def test_the_catalogue_in_parts(world) -> None:
    def names(**query: object) -> list[str]:
        world.run(0.2)
        return [each["product_id"] for each in world.json(HOST, PRODUCTS, **query)["products"]]

    every = names()
    assert names(product_type="SPOT") == every
    assert names(product_type="FUTURE") == []
    assert names(limit=3) + names(limit=3, offset=3) + names(offset=6) == every
    assert names(product_ids="ETH-USD") == ["ETH-USD"]
    query = RestQuery({"product_ids": ["ETH-USD", "BTC-USDC"]})
    answer = msgspec.json.decode(world.simulator.hosts[HOST].rest(PRODUCTS, query).body)
    assert [each["product_id"] for each in answer["products"]] == ["ETH-USD", "BTC-USDC"]


def test_repeated_names_of_a_query() -> None:
    query = RestQuery({"a": ["1", "2"], "b": ["3"], "c": []})
    assert dict(query) == {"a": "2", "b": "3"}
    assert [list(all_of(query, name)) for name in "abcd"] == [["1", "2"], ["3"], [], []]
    assert [list(all_of({"a": "1"}, name)) for name in "ab"] == [["1"], []]


def test_a_product_is_as_the_catalogue_says_and_its_numbers_are_the_truth(world) -> None:
    product = world.json(HOST, BTC)
    assert product == next(each for each in world.json(HOST, PRODUCTS)["products"] if each["product_id"] == "BTC-USD")
    truth = world.simulator.truth.ticker("coinbase", SPOT, "BTC-USD")
    assert (Decimal(product["price"]), Decimal(product["volume_24h"])) == (Decimal(truth.last), Decimal(truth.volume))
    change = (Decimal(truth.last) / Decimal(truth.open) - 1) * 100
    assert abs(Decimal(product["price_percentage_change_24h"]) - change) < Decimal("1e-12")


def test_a_delisted_product_is_in_the_catalogue_and_says_so(world) -> None:
    world.simulator.faults.start("coinbase", "delist", "BTC-USD", seconds=60)
    by_name = {each["product_id"]: each for each in world.json(HOST, PRODUCTS)["products"]}
    for name, gone in (("BTC-USD", True), ("BTC-USDC", True), ("ETH-USD", False)):
        entry = by_name[name]
        assert (entry["status"], entry["trading_disabled"]) == ("delisted" if gone else "online", gone)


def test_a_book_is_the_truth_and_has_at_most_a_thousand_levels(world) -> None:
    for query, count in (({"limit": 5}, 5), ({}, 1_000), ({"limit": 5_000}, 1_000)):
        answer = world.json(HOST, BOOK, product_id="BTC-USD", **query)
        told = [[(each["price"], each["size"]) for each in answer["pricebook"][side]] for side in ("bids", "asks")]
        instrument = world.simulator.truth.instrument("coinbase", SPOT, "BTC-USD")
        truth = world.simulator.truth.book("coinbase", SPOT, "BTC-USD", instrument.update_id, count)
        assert [decimals(side) for side in told] == [decimals(side) for side in truth]
    bid, ask = Decimal(told[0][0][0]), Decimal(told[1][0][0])
    assert (Decimal(answer["mid_market"]), Decimal(answer["spread_absolute"])) == ((bid + ask) / 2, ask - bid)
    assert abs(Decimal(answer["spread_bps"]) - (ask - bid) / ((bid + ask) / 2) * 10_000) < Decimal("1e-11")


def test_another_name_of_a_book_is_answered_under_that_name(world) -> None:
    real, other = (world.json(HOST, BOOK, product_id=name, limit=9)["pricebook"] for name in ("BTC-USD", "BTC-USDC"))
    assert (real.pop("product_id"), other.pop("product_id")) == ("BTC-USD", "BTC-USDC")
    assert real == other
    trades = [world.json(HOST, f"{PRODUCTS}/{name}/ticker", limit=5)["trades"] for name in ("BTC-USD", "BTC-USDC")]
    assert {each["product_id"] for each in trades[1]} == {"BTC-USDC"}
    assert [each["trade_id"] for each in trades[0]] == [each["trade_id"] for each in trades[1]]


def test_an_old_book_stays_what_it_was(world) -> None:
    connect(world, ("level2", ["BTC-USD"]))
    world.run(1)
    world.simulator.faults.start("coinbase", "old-snapshot", "BTC-USD", seconds=30)
    before = world.json(HOST, BOOK, product_id="BTC-USD")
    world.run(5)
    assert world.json(HOST, BOOK, product_id="BTC-USD") == before


def test_trades_are_the_newest_first_and_at_most_a_hundred(world) -> None:
    connect(world, ("market_trades", ["BTC-USD"]))
    world.run(60)
    truth = world.simulator.truth.trades("coinbase", SPOT, "BTC-USD")[::-1]
    for limit, count in ((1, 1), (7, 7), (1_000, 100)):
        answer = world.json(HOST, f"{BTC}/ticker", limit=limit)
        assert [int(each["trade_id"]) for each in answer["trades"]] == [each.id for each in truth[:count]]
    for row, true in zip(answer["trades"], truth, strict=False):
        assert (Decimal(row["price"]), Decimal(row["size"])) == (Decimal(true.price), Decimal(true.size))
        assert row["side"] == {"buy": "SELL", "sell": "BUY"}[true.side]
    quote = world.simulator.truth.ticker("coinbase", SPOT, "BTC-USD").quote
    assert (Decimal(answer["best_bid"]), Decimal(answer["best_ask"])) == (Decimal(quote.bid), Decimal(quote.ask))
    begin, end = truth[-1].time // 1_000 + 5, truth[0].time // 1_000 - 5
    part = world.json(HOST, f"{BTC}/ticker", limit=100, start=begin, end=end)["trades"]
    wanted = [each.id for each in truth if begin * 1_000 <= each.time <= end * 1_000]
    assert [int(each["trade_id"]) for each in part] == wanted[:100]
    world.run(1)
    assert _refused(world, f"{BTC}/ticker", limit=1_001)[:2] == (500, "INTERNAL")


GRANULARITIES = {
    "ONE_MINUTE": ("1m", 60),
    "FIVE_MINUTE": ("5m", 300),
    "FIFTEEN_MINUTE": ("15m", 900),
    "THIRTY_MINUTE": ("30m", 1_800),
    "ONE_HOUR": ("1h", 3_600),
    "TWO_HOUR": ("2h", 7_200),
    "SIX_HOUR": ("6h", 21_600),
    "ONE_DAY": ("1d", 86_400),
}


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_candles_are_the_newest_first_and_the_truth(world, granularity: str) -> None:
    interval, seconds = GRANULARITIES[granularity]
    now = world.clock.wall_ms() // 1_000
    end = now - now % seconds
    start = end - 349 * seconds
    rows = world.json(HOST, f"{BTC}/candles", granularity=granularity, start=start, end=end)["candles"]
    assert [int(row["start"]) for row in rows] == list(range(end, start - 1, -seconds))
    truth = world.simulator.truth.candles("coinbase", SPOT, "BTC-USD", interval, 350)[::-1]
    for row, bar in zip(rows, truth, strict=True):
        assert int(row["start"]) * 1_000 == bar.start
        assert [Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")] == [
            Decimal(text) for text in (bar.open, bar.high, bar.low, bar.close, bar.volume)
        ]


def test_pages_of_candles_fit_together(world) -> None:
    now = world.clock.wall_ms() // 1_000
    end, pages = now - now % 60, []
    for number in range(3):
        last = end - number * 350 * 60
        pages += world.json(HOST, f"{BTC}/candles", granularity="ONE_MINUTE", start=last - 349 * 60, end=last)[
            "candles"
        ]
    assert [int(row["start"]) for row in pages] == [end - 60 * number for number in range(1_050)]


def test_minutes_without_a_trade_are_left_out(world) -> None:
    now = world.clock.wall_ms() // 1_000
    query = {"granularity": "ONE_MINUTE", "start": now - 300 * 60, "end": now}
    rows = world.json(HOST, f"{PRODUCTS}/NKN-USD/candles", **query)["candles"]
    assert 0 < len(rows) < 300
    assert all(Decimal(row["volume"]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"granularity": "ONE_WEEKEND", "start": 0, "end": 1}, "granularity argument is invalid"),
        ({"start": 0, "end": 1}, "granularity argument is invalid"),
        ({"granularity": "ONE_MINUTE"}, "start and end argument is invalid"),
        ({"granularity": "ONE_MINUTE", "start": 60, "end": 0}, "start and end argument is invalid"),
        ({"granularity": "ONE_MINUTE", "start": "2026-01-01", "end": 0}, "start argument is invalid"),
        (
            {"granularity": "ONE_MINUTE", "start": 0, "end": 350 * 60},
            "start and end argument is invalid - number of candles requested should be less than 350",
        ),
    ],
)
def test_candles_that_are_refused(world, query: dict[str, object], said: str) -> None:
    assert _refused(world, f"{BTC}/candles", **query) == (400, "INVALID_ARGUMENT", said)


@pytest.mark.parametrize("path", [f"{PRODUCTS}/NOPE-USD", f"{PRODUCTS}/NOPE-USD/ticker"])
def test_a_product_that_there_is_not(world, path: str) -> None:
    assert _refused(world, path) == (404, "NOT_FOUND", "Product NOPE-USD not supported")


@pytest.mark.parametrize("path", ["/", "/api/v3/brokerage/products", f"{BTC}/fills", "/api/v3/brokerage/accounts"])
def test_paths_that_there_are_not(world, path: str) -> None:
    assert _refused(world, path)[:2] == (404, "NOT_FOUND")


def test_the_time(world) -> None:
    assert world.json(HOST, f"{API}/time") == {
        "iso": "2025-11-22T11:33:54Z",
        "epochSeconds": "1763811234",
        "epochMillis": "1763811234567",
    }
    assert world.json(HOST, "/v2/time") == {"data": {"iso": "2025-11-22T11:33:54Z", "epoch": 1_763_811_234}}


def test_eleven_requests_in_a_second_are_one_too_many(world) -> None:
    answers = [world.get(HOST, f"{API}/time") for _ in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert msgspec.json.decode(answers[-1].body) == {
        "errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]
    }
    assert world.simulator.ledger.violations == ["coinbase: 11 REST requests in one second"]
    world.run(1.1)
    assert world.get(HOST, f"{API}/time").status == 200

"""What the simulated venues list beside pairs of crypto assets, and how their catalogues change while they run."""

from __future__ import annotations

from typing import Any

import pytest

from cryptodash.simulator.fault_runner import UnknownFault

CATALOGUES = {
    "binance": ("binance-perpetual", "/fapi/v1/exchangeInfo", {}),
    "bybit": ("bybit", "/v5/market/instruments-info", {"category": "linear", "limit": 1000}),
    "okx": ("okx", "/api/v5/public/instruments", {"instType": "SWAP"}),
    "coinbase": ("coinbase", "/api/v3/brokerage/market/products", {}),
    "kraken": ("kraken", "/0/public/AssetPairs", {}),
}
NEW = {
    "binance": ("perpetual", "NEW-USDT", "NEWUSDT"),
    "bybit": ("perpetual", "NEW-USDT", "NEWUSDT"),
    "okx": ("perpetual", "NEW-USDT", "NEW-USDT-SWAP"),
    "coinbase": ("spot", "NEW-USD", "NEW-USD"),
    "kraken": ("spot", "New-USD", "New/USD"),
}


def listed(world: Any, exchange: str, **more: object) -> dict[str, dict[str, Any]]:
    """A venue's catalogue by native name."""
    host, path, query = CATALOGUES[exchange]
    found = world.json(host, path, **(query | more))
    if exchange == "binance":
        return {each["symbol"]: each for each in found["symbols"]}
    if exchange == "bybit":
        entries = found["result"]["list"]
        while found["result"]["nextPageCursor"]:
            found = world.json(host, path, **(query | more), cursor=found["result"]["nextPageCursor"])
            entries += found["result"]["list"]
        return {each["symbol"]: each for each in entries}
    if exchange == "okx":
        return {each["instId"]: each for each in found["data"]}
    if exchange == "coinbase":
        moving = ("price", "volume_24h", "price_percentage_change_24h", "approximate_quote_24h_volume")
        return {each["product_id"]: {**each, **dict.fromkeys(moving)} for each in found["products"]}
    return {each["wsname"]: each for each in found["result"].values()}


@pytest.mark.parametrize("exchange", NEW)
def test_a_new_instrument_is_there_for_a_while(world: Any, exchange: str) -> None:
    market, symbol, native = NEW[exchange]
    before = listed(world, exchange)
    world.simulator.faults.start(exchange, "list", symbol, 20, market)
    there = listed(world, exchange)
    assert there.keys() - before.keys() == {native}
    assert {name: each for name, each in there.items() if name != native} == before
    with pytest.raises(UnknownFault, match="cannot be listed there: it is, or nothing is quoted so"):
        world.simulator.faults.start(exchange, "list", symbol, 20, market)
    world.run(21)
    assert listed(world, exchange) == before


@pytest.mark.parametrize("symbol", ["NEW", "NEW-XYZ", "-USDT", "N W-USDT", "X" * 60 + "-USDT", None])
def test_what_cannot_be_listed_is_refused(world: Any, symbol: str | None) -> None:
    with pytest.raises(
        UnknownFault,
        match="list needs a symbol: BASE-QUOTE"
        if symbol in (None, "N W-USDT", "X" * 60 + "-USDT")
        else "be listed there",
    ):
        world.simulator.faults.start("binance", "list", symbol)
    assert world.simulator.faults.active == []


def test_a_new_instrument_can_be_watched(world: Any) -> None:
    wire = world.connect("okx", "/ws/v5/public")
    world.simulator.faults.start("okx", "list", "NEW-USDT", 60, "perpetual")
    wire.say({"op": "subscribe", "args": [{"channel": "tickers", "instId": "NEW-USDT-SWAP"}]})
    world.run(20)
    told = [each["data"][0] for each in wire.take() if "data" in each]
    assert told and {each["instId"] for each in told} == {"NEW-USDT-SWAP"}


def test_okx_renames_and_old_streams_fall_silent_but_for_the_books(world: Any) -> None:
    wire = world.connect("okx", "/ws/v5/public")
    old, new = "SOL-USDT-SWAP", "LUNAR-USDT-SWAP"
    channels = ("tickers", "trades", "bbo-tbt", "mark-price", "books")
    wire.say({"op": "subscribe", "args": [{"channel": each, "instId": old} for each in channels]})
    world.run(10)
    wire.take()
    before = listed(world, "okx")
    world.simulator.faults.start("okx", "rename", "SOL-USDT", 60, "perpetual", to="LUNAR")
    there = listed(world, "okx")
    assert old not in there
    assert there[new]["instIdCode"] == before[old]["instIdCode"]
    assert (there[new]["uly"], there[new]["ctVal"]) == ("LUNAR-USDT", before[old]["ctVal"])
    world.run(0.5)
    wire.take()
    world.run(10)
    assert {each["arg"]["channel"] for each in wire.take() if "data" in each} == {"books"}
    wire.say({"op": "subscribe", "args": [{"channel": "tickers", "instId": old}]})
    wire.say({"op": "unsubscribe", "args": [{"channel": "books", "instId": old}]})
    world.run(1)
    assert [each["code"] for each in wire.take() if each.get("event") == "error"] == ["60018", "60018"]
    wire.say({"op": "unsubscribe", "args": [{"channel": "books", "instId": new}]})
    world.run(1)
    wire.take()
    world.run(5)
    assert [each for each in wire.take() if "data" in each] == [], "it ends by its new name"
    world.run(60)
    assert listed(world, "okx") == before


@pytest.mark.parametrize("exchange", ["binance", "bybit", "coinbase", "kraken"])
def test_the_others_rename_nothing(world: Any, exchange: str) -> None:
    with pytest.raises(UnknownFault, match=f"the simulated {exchange} does not do rename"):
        world.simulator.faults.start(exchange, "rename", "SOL-USD", to="LUNAR")


@pytest.mark.parametrize("to", [None, "", "A B", "X" * 30])
def test_a_renaming_needs_a_name(world: Any, to: str | None) -> None:
    with pytest.raises(UnknownFault, match="rename needs to: the new base"):
        world.simulator.faults.start("okx", "rename", "SOL-USDT", to=to)


def test_what_is_not_launched_is_listed_for_those_who_ask_for_it(world: Any) -> None:
    assert "BIOUSDT" not in listed(world, "bybit")
    (early,) = listed(world, "bybit", status="PreLaunch").values()
    assert (early["symbol"], early["status"], early["isPreListing"]) == ("BIOUSDT", "PreLaunch", True)
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": ["tickers.BIOUSDT"]})
    world.run(1)
    assert [each["success"] for each in wire.take()] == [False]


def test_tokenised_shares_are_a_class_of_their_own(world: Any) -> None:
    assert "AAPLx/USD" not in listed(world, "kraken")
    (share,) = listed(world, "kraken", aclass_base="tokenized_asset").values()
    assert (share["wsname"], share["aclass_base"]) == ("AAPLx/USD", "tokenized_asset")
    refused = world.json("kraken", "/0/public/OHLC", pair="AAPLxUSD", interval=1)
    assert refused == {"error": ["EQuery:Unknown asset pair"]}
    bars = world.json("kraken", "/0/public/OHLC", pair="AAPLxUSD", interval=1, asset_class="tokenized_asset")
    assert len(bars["result"]["AAPLxUSD"]) > 100


@pytest.mark.parametrize(
    ("exchange", "native", "member", "word"),
    [
        ("binance", "AAPLUSDT", "underlyingType", "EQUITY"),
        ("binance", "AAPLUSDT", "contractType", "TRADIFI_PERPETUAL"),
        ("binance", "币安人生USDT", "underlyingType", "COIN"),
        ("binance", "XAUUSDT", "underlyingType", "COMMODITY"),
        ("bybit", "AAPLUSDT", "symbolType", "stock"),
        ("bybit", "XAUUSDT", "symbolType", "commodity"),
        ("okx", "AAPL-USDT-SWAP", "instCategory", "3"),
        ("okx", "XAU-USDT-SWAP", "instCategory", "4"),
        ("okx", "EUR-USDT-SWAP", "instCategory", "5"),
    ],
)
def test_the_catalogue_says_what_a_price_is_of(world: Any, exchange: str, native: str, member: str, word: str) -> None:
    assert listed(world, exchange)[native][member] == word

"""How each venue's words for a listing are read: statuses, underlyings, and what no table has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.elements import NotListed, kept, left_out_of, not_listed_of
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.venues.registry import load

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
Listing = dict[str, Any]

FILTERS = [
    {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "1", "stepSize": "1"},
]
BINANCE: Listing = {
    "symbol": "ABUSDT",
    "status": "TRADING",
    "baseAsset": "AB",
    "quoteAsset": "USDT",
    "filters": FILTERS,
}
USDM: Listing = {**BINANCE, "contractType": "PERPETUAL", "underlyingType": "COIN"}
LINEAR: Listing = {
    "symbol": "ABUSDT",
    "contractType": "LinearPerpetual",
    "status": "Trading",
    "baseCoin": "AB",
    "quoteCoin": "USDT",
    "settleCoin": "USDT",
    "priceFilter": {"tickSize": "0.1"},
    "lotSizeFilter": {"minOrderQty": "1", "qtyStep": "1"},
}
SWAP: Listing = {
    "instId": "AB-USDT-SWAP",
    "instType": "SWAP",
    "ctType": "linear",
    "ctVal": "0.01",
    "ctMult": "1",
    "ctValCcy": "AB",
    "settleCcy": "USDT",
    "uly": "AB-USDT",
    "tickSz": "0.1",
    "lotSz": "1",
    "minSz": "1",
    "state": "live",
}
PRODUCT: Listing = {
    "product_id": "AB-USD",
    "base_increment": "0.01",
    "quote_increment": "0.01",
    "status": "online",
    "product_type": "SPOT",
}
PAIR: Listing = {
    "wsname": "AB/USD",
    "aclass_base": "currency",
    "base": "AB",
    "pair_decimals": 2,
    "lot_decimals": 8,
    "status": "online",
}

Pages = Mapping[str, tuple[Listing, Callable[[list[Listing]], object]]]
PAGES: Pages = {
    "binance spot": (BINANCE, lambda listings: {"symbols": listings}),
    "binance perpetual": (USDM, lambda listings: {"symbols": listings}),
    "bybit perpetual": (LINEAR, lambda listings: {"retCode": 0, "result": {"list": listings, "nextPageCursor": ""}}),
    "okx perpetual": (SWAP, lambda listings: {"code": "0", "data": listings}),
    "coinbase spot": (PRODUCT, lambda listings: {"products": listings}),
    "kraken spot": (
        PAIR,
        lambda listings: {"error": [], "result": {f"KEY{n}": each for n, each in enumerate(listings)}},
    ),
}


def read(where: str, **changes: object) -> tuple[list[Instrument], tuple[tuple[str, str], ...]]:
    """What a page of this one listing, with these changes, gives: instruments, and what is not listed."""
    exchange, _, market = where.partition(" ")
    listing, page = PAGES[where]
    venue = load(exchange)
    request = venue.catalogue_requests(MarketType(market))[0]
    found, _ = venue.read_catalogue(request, json.dumps(page([{**listing, **changes}])).encode())
    assert left_out_of(found) == ()
    return list(found), not_listed_of(found)


def one(where: str, **changes: object) -> Instrument:
    ((found,), others) = read(where, **changes)
    assert others == ()
    return found


@pytest.mark.parametrize(
    ("where", "member", "word", "ours"),
    [
        *(("binance spot", "status", word, "trading") for word in ("TRADING",)),
        *(("binance spot", "status", word, "halted") for word in ("END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")),
        ("binance perpetual", "status", "PENDING_TRADING", "pre_open"),
        *(("binance perpetual", "status", word, "halted") for word in ("PRE_SETTLE", "SETTLING")),
        *(("binance perpetual", "status", word, "delisted") for word in ("PRE_DELIVERING", "DELIVERED", "CLOSE")),
        *(("bybit perpetual", "status", word, "pre_open") for word in ("PreLaunch", "PendingOpen")),
        ("bybit perpetual", "status", "Settling", "halted"),
        *(("bybit perpetual", "status", word, "delisted") for word in ("Delivering", "Closed")),
        *(
            ("okx perpetual", "state", word, "halted")
            for word in ("suspend", "rebase", "post_only", "test", "settling")
        ),
        ("okx perpetual", "state", "preopen", "pre_open"),
        ("okx perpetual", "state", "expired", "delisted"),
        *(("coinbase spot", "status", word, "halted") for word in ("offline", "internal")),
        ("coinbase spot", "status", "", "trading"),
        ("coinbase spot", "status", "delisted", "delisted"),
        *(
            ("kraken spot", "status", word, "halted")
            for word in ("cancel_only", "post_only", "reduce_only", "maintenance")
        ),
        ("kraken spot", "status", "limit_only", "trading"),
        ("kraken spot", "status", "work_in_progress", "pre_open"),
        ("kraken spot", "status", "delisted", "delisted"),
    ],
)
def test_statuses(where: str, member: str, word: str, ours: str) -> None:
    found = one(where, **{member: word})
    assert (found.status, found.unknown_words) == (ours, ())


@pytest.mark.parametrize("where", PAGES)
def test_an_unknown_status_promises_no_trades_and_is_told(where: str) -> None:
    member = "state" if where.startswith("okx") else "status"
    found = one(where, **{member: "Paused"})
    assert (found.status, found.unknown_words) == ("halted", (f"{member}=Paused",))


@pytest.mark.parametrize(
    ("where", "changes", "ours", "unknown"),
    [
        ("binance spot", {}, "crypto", ()),
        ("binance perpetual", {}, "crypto", ()),
        ("binance perpetual", {"underlyingType": "INDEX"}, "index", ()),
        *(
            ("binance perpetual", {"contractType": "TRADIFI_PERPETUAL", "underlyingType": word}, ours, ())
            for word, ours in (("EQUITY", "equity"), ("KR_EQUITY", "equity"), ("COMMODITY", "commodity"))
        ),
        ("binance perpetual", {"underlyingType": "PREMARKET"}, "pre_market", ()),
        ("binance perpetual", {"underlyingType": "WEATHER"}, "", ("underlyingType=WEATHER",)),
        *(
            ("bybit perpetual", {"symbolType": word}, ours, ())
            for word, ours in (
                ("", "crypto"),
                ("innovation", "crypto"),
                ("stock", "equity"),
                ("commodity", "commodity"),
            )
        ),
        ("bybit perpetual", {"symbolType": "forex", "isPreListing": False}, "fx", ()),
        ("bybit perpetual", {"symbolType": "stock", "isPreListing": True}, "pre_market", ()),
        ("bybit perpetual", {"symbolType": 7, "symbolId": "x", "preListingInfo": ""}, "", ("symbolType=7",)),
        *(
            ("okx perpetual", {"instCategory": word}, ours, ())
            for word, ours in (("1", "crypto"), ("3", "equity"), ("4", "commodity"), ("5", "fx"))
        ),
        ("okx perpetual", {"instCategory": "6"}, "", ("instCategory=6",)),
        ("okx perpetual", {"instCategory": "3", "ruleType": "pre_market"}, "pre_market", ()),
        ("okx perpetual", {"instCategory": "3", "ruleType": "rebase_contract"}, "equity", ()),
        ("coinbase spot", {}, "crypto", ()),
        ("kraken spot", {"aclass_base": "tokenized_asset"}, "equity", ()),
        ("kraken spot", {"base": "ZEUR"}, "fx", ()),
        ("kraken spot", {"aclass_base": "bond"}, "", ("aclass_base=bond",)),
    ],
)
def test_underlyings(where: str, changes: Listing, ours: str, unknown: tuple[str, ...]) -> None:
    found = one(where, **changes)
    assert (found.underlying_type, found.unknown_words) == (ours, unknown)
    assert found.keeps_hours is (ours != "crypto")


@pytest.mark.parametrize(
    ("where", "changes", "why"),
    [
        ("binance spot", {"isSpotTradingAllowed": False}, "isSpotTradingAllowed is false"),
        ("binance spot", {"filters": []}, "no tick size or no step size"),
        ("binance perpetual", {"contractType": "CURRENT_QUARTER"}, "no perpetual: contractType 'CURRENT_QUARTER'"),
        ("binance perpetual", {"baseAsset": "A B"}, "base and quote are no symbol"),
        ("bybit perpetual", {"contractType": "LinearFutures"}, "no perpetual: contractType 'LinearFutures'"),
        ("bybit perpetual", {"settleCoin": "AB"}, "not settled in its quote: settleCoin 'AB'"),
        ("okx perpetual", {"ctType": "inverse"}, "settled in its base"),
        ("okx perpetual", {"instType": "FUTURES"}, "another market: instType 'FUTURES'"),
        ("okx perpetual", {"tickSz": ""}, "no tick size or no step size"),
        ("okx perpetual", {"ctVal": "", "tickSz": "", "lotSz": ""}, "announced only: no contract size"),
        ("coinbase spot", {"product_type": "FUTURE"}, "another market: product_type 'FUTURE'"),
        ("kraken spot", {"wsname": None}, "no wsname: its streams cannot be had"),
    ],
)
def test_what_is_not_listed_has_a_reason(where: str, changes: Listing, why: str) -> None:
    found, others = read(where, **changes)
    assert found == []
    assert [reason for _, reason in others] == [why]
    assert all(name for name, _ in others)


@pytest.mark.parametrize(
    ("phase", "ours"),
    [("NotStarted", "pre_open"), ("CallAuction", "pre_open"), ("ContinuousTrading", "trading"), ("", "pre_open")],
)
def test_what_is_traded_before_its_launch_trades(phase: str, ours: str) -> None:
    info = {"curAuctionPhase": phase, "phases": []}
    found = one("bybit perpetual", status="PreLaunch", isPreListing=True, preListingInfo=info)
    assert (found.status, found.venue_status, found.underlying_type) == (ours, "PreLaunch", "pre_market")


def test_what_must_be_asked_for_by_itself_is() -> None:
    def asked(exchange: str, market: MarketType) -> list[dict[str, str]]:
        return [dict(each.params) for each in load(exchange).catalogue_requests(market)]

    linear = {"category": "linear", "limit": "1000"}
    assert asked("bybit", PERPETUAL) == [linear, {**linear, "status": "PreLaunch"}]
    assert asked("bybit", SPOT) == [{"category": "spot", "limit": "1000"}]
    assert asked("kraken", SPOT) == [{}, {"aclass_base": "tokenized_asset"}]
    following: RestRequest | None = load("bybit").catalogue_requests(PERPETUAL)[1]
    assert following is not None
    page = {"retCode": 0, "result": {"list": [LINEAR], "nextPageCursor": "more%3D1"}}
    _, following = load("bybit").read_catalogue(following, json.dumps(page).encode())
    assert following is not None
    assert dict(following.params) == {**linear, "status": "PreLaunch", "cursor": "more=1"}


def test_bars_and_books_of_a_tokenised_share_are_asked_for_by_their_class() -> None:
    for changes, named in (({"aclass_base": "tokenized_asset"}, True), ({}, False)):
        found = one("kraken spot", **changes)
        topic, venue = Topic("kraken", SPOT, found.symbol, Channel.CANDLE, interval="1m"), load("kraken")
        book = Topic("kraken", SPOT, found.symbol, Channel.ORDER_BOOK, depth=10)
        for request in (venue.candles_request(topic, found, 10, None), venue.snapshot_request(book, found, 10)):
            assert request is not None and ("asset_class" in dict(request.params)) is named


def test_a_swap_that_settles_in_several_currencies_has_the_quote_of_its_underlying() -> None:
    found = one("okx perpetual", instId="AB-USD_UM-SWAP", uly="AB-USD", settleCcy="USDⓈ")
    assert str(found.symbol) == "AB-USD"
    assert str(one("okx perpetual", uly="").symbol) == "AB-USDT"


@pytest.mark.parametrize("where", PAGES)
def test_letters_outside_ascii_and_their_case_stay(where: str) -> None:
    names: Mapping[str, Listing] = {
        "binance spot": {"symbol": "币Ab人生USDT", "baseAsset": "币Ab人生"},
        "binance perpetual": {"symbol": "币Ab人生USDT", "baseAsset": "币Ab人生"},
        "bybit perpetual": {"symbol": "币Ab人生USDT", "baseCoin": "币Ab人生"},
        "okx perpetual": {"instId": "币Ab人生-USDT-SWAP", "ctValCcy": "币Ab人生", "uly": "币Ab人生-USDT"},
        "coinbase spot": {"product_id": "币Ab人生-USD"},
        "kraken spot": {"wsname": "币Ab人生/USD"},
    }
    found = one(where, **names[where])
    assert (found.symbol.base, "币Ab人生" in found.native) == ("币Ab人生", True)


def test_a_listing_that_is_not_listed_is_no_odd_one() -> None:
    def read_one(each: int) -> int:
        if each == 2:
            raise NotListed("two")
        if each == 3:
            raise ValueError("three")
        return each

    found = kept([1, 2, 3], read_one, lambda each: f"n{each}")
    assert (list(found), not_listed_of(found)) == ([1], (("n2", "two"),))
    assert left_out_of(found) == (("n3", "json: three"),)
    assert not_listed_of(kept([2], read_one)) == (("", "two"),), "nothing but such is no other format"
    assert list(kept([2, 3], read_one)) == []
    with pytest.raises(ValueError, match="three"):
        kept([3], read_one)

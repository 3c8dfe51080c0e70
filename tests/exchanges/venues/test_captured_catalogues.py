"""Every catalogue that was captured: each instrument that is traded is listed, and what is not listed is named with its
reason. Nothing is left out in silence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.exchanges.adapter.elements import left_out_of, not_listed_of
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.venues.registry import load

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures"
SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
Listing = Mapping[str, Any]


def is_live_swap(each: Listing) -> bool:
    return each["state"] == "live" and each["instType"] == "SWAP" and each["ctType"] == "linear"


# (venue, market, file, where the listings are, the venue's name of one, whether it is ours and traded, how many are
# listed, what is not)
CATALOGUES: list[tuple[str, MarketType, str, str, str, Callable[[Listing], bool], int, dict[str, int]]] = [
    (
        "binance",
        SPOT,
        "rest-spot-exchangeinfo-2021",
        "symbols",
        "symbol",
        lambda each: each["status"] == "TRADING" and each["isSpotTradingAllowed"],
        13,
        {},
    ),
    (
        "binance",
        PERPETUAL,
        "rest-usdm-exchangeinfo-2021",
        "symbols",
        "symbol",
        lambda each: each["status"] == "TRADING" and each["contractType"] == "PERPETUAL",
        119,
        {"no perpetual: contractType 'CURRENT_QUARTER'": 2, "no perpetual: contractType ''": 1},
    ),
    ("bybit", SPOT, "rest-instruments-spot-docexample", "result.list", "symbol", lambda each: True, 1, {}),
    ("bybit", PERPETUAL, "rest-instruments-linear-docexample", "result.list", "symbol", lambda each: True, 1, {}),
    ("okx", SPOT, "rest-instruments-spot-2022", "data", "instId", lambda each: each["state"] == "live", 6, {}),
    ("okx", SPOT, "rest-instruments-spot-2026", "data", "instId", lambda each: each["state"] == "live", 2, {}),
    ("okx", SPOT, "rest-okcoin-instruments-spot-2023", "data", "instId", lambda each: True, 4, {}),
    ("okx", PERPETUAL, "rest-instruments-swap-2022", "data", "instId", is_live_swap, 3, {"settled in its base": 2}),
    ("okx", PERPETUAL, "rest-instruments-swap-2026", "data", "instId", is_live_swap, 2, {"settled in its base": 1}),
    (
        "okx",
        PERPETUAL,
        "rest-instruments-futures-2022",
        "data",
        "instId",
        is_live_swap,
        0,
        {"another market: instType 'FUTURES'": 8},
    ),
    ("coinbase", SPOT, "rest-at-products", "products", "product_id", lambda each: each["status"] == "online", 2, {}),
    ("kraken", SPOT, "rest-spot-assetpairs", "result", "wsname", lambda each: each["status"] == "online", 1, {}),
]


def listings(document: Any, where: str) -> list[Listing]:
    for member in where.split("."):
        document = document[member]
    return list(document.values()) if isinstance(document, dict) else document


def read(exchange: str, request: RestRequest, body: bytes) -> tuple[list[Instrument], dict[str, str], dict[str, str]]:
    found, _ = load(exchange).read_catalogue(request, body)
    return list(found), dict(not_listed_of(found)), dict(left_out_of(found))


@pytest.mark.captures
@pytest.mark.parametrize("case", CATALOGUES, ids=lambda case: f"{case[0]} {case[2]}")
def test_nothing_that_is_traded_is_left_out(case: Any) -> None:
    exchange, market, file, where, name, is_traded, count, reasons = case
    path = CAPTURES / exchange / f"{file}.json"
    if not path.exists():
        pytest.skip("no captures here")
    body = path.read_bytes()
    page = listings(json.loads(body), where)
    request = load(exchange).catalogue_requests(market)[0]
    found, not_listed, odd = read(exchange, request, body)
    assert odd == {}
    by_name = {each.native: each for each in found}
    if exchange == "kraken":
        by_name = {each.native.replace("BTC", "XBT"): each for each in found}
    names = [each[name] for each in page]
    assert sorted(by_name) + sorted(not_listed) and sorted([*by_name, *not_listed]) == sorted(names)
    assert [each[name] for each in page if is_traded(each) and each[name] not in by_name] == []
    assert {by_name[each[name]].status for each in page if is_traded(each)} <= {"trading"}
    assert (len(found), dict(Counter(not_listed.values()))) == (count, reasons)
    assert [each.unknown_words for each in found if each.unknown_words] == []


@pytest.mark.captures
def test_each_pair_that_kraken_streams_has_a_status_and_a_name() -> None:
    """The ``instrument`` channel of 2024: its words are those of REST."""
    path = CAPTURES / "kraken" / "spot-v2-instrument-snapshot-2024.jsonl"
    if not path.exists():
        pytest.skip("no captures here")
    frames = [json.loads(json.loads(line)["raw"]) for line in path.read_text().splitlines()]
    pairs = [each for frame in frames if frame.get("channel") == "instrument" for each in frame["data"]["pairs"]]
    assert len(pairs) == 683
    request = load("kraken").catalogue_requests(SPOT)[0]
    result = {
        each["symbol"]: {
            "wsname": each["symbol"],
            "pair_decimals": each["price_precision"],
            "lot_decimals": each["qty_precision"],
            "status": each["status"],
        }
        for each in pairs
    }
    found, not_listed, odd = read("kraken", request, json.dumps({"error": [], "result": result}).encode())
    assert (len(found), not_listed, odd) == (683, {}, {})
    assert Counter(each.status for each in found) == {"trading": 672, "halted": 11}
    assert [each.unknown_words for each in found if each.unknown_words] == []

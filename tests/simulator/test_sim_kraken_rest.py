"""Kraken's REST side: its pair names, bars, books, trades, and the limit of requests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from cryptodash.core.instruments import MarketType

SPOT = MarketType.SPOT
START = 1_763_811_234
PATH = "/0/public/"


def _result(world: Any, method: str, **query: object) -> Any:
    answer = world.json("kraken", PATH + method, **query)
    assert answer["error"] == [], answer
    return answer["result"]


def _error(world: Any, method: str, **query: object) -> tuple[int, Any]:
    answer = world.get("kraken", PATH + method, **query)
    return answer.status, msgspec.json.decode(answer.body)


# --- names ---


@pytest.mark.parametrize(
    ("native", "key", "altname", "wsname", "base", "quote"),
    [
        ("BTC/USD", "XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD"),
        ("DOGE/USD", "XDGUSD", "XDGUSD", "XDG/USD", "XXDG", "ZUSD"),
        ("ETH/BTC", "XETHXXBT", "ETHXBT", "ETH/XBT", "XETH", "XXBT"),
        ("SOL/USD", "SOLUSD", "SOLUSD", "SOL/USD", "SOL", "ZUSD"),
        ("BTC/USDT", "XBTUSDT", "XBTUSDT", "XBT/USDT", "XXBT", "USDT"),
    ],
)
def test_a_pair_has_four_names(
    world: Any, native: str, key: str, altname: str, wsname: str, base: str, quote: str
) -> None:
    for asked in (key, altname, altname.lower(), native):
        ((found, entry),) = _result(world, "AssetPairs", pair=asked).items()
        assert found == key
        assert [entry[name] for name in ("altname", "wsname", "base", "quote")] == [altname, wsname, base, quote]
        assert list(_result(world, "Depth", pair=asked, count=1)) == [key]
    ((found, entry),) = _result(world, "AssetPairs", pair=native, assetVersion=1).items()
    assert (found, f"{entry['base']}/{entry['quote']}", entry["altname"]) == (native, native, altname)


def test_legacy_names_with_a_slash_are_refused(world: Any) -> None:
    for name in ("XBT/USD", "XDG/USD", "NOPE", "XBTUSD,NOPE"):
        assert _error(world, "AssetPairs", pair=name) == (200, {"error": ["EQuery:Unknown asset pair"]})


def test_catalogue_assets_and_tickers_agree(world: Any) -> None:
    pairs, assets = _result(world, "AssetPairs"), _result(world, "Assets")
    assert pairs["BCHXBT"]["status"] == "cancel_only"
    assert {each["status"] for key, each in pairs.items() if key != "BCHXBT"} == {"online"}
    assert {asset for each in pairs.values() for asset in (each["base"], each["quote"])} == assets.keys()
    assert assets["XXBT"]["altname"] == "XBT"
    assert _result(world, "Ticker").keys() == pairs.keys()
    assert list(_result(world, "Ticker", pair="XBTUSD,ETH/USD")) == ["XXBTZUSD", "XETHZUSD"]


@pytest.mark.parametrize(
    ("method", "query", "status", "error"),
    [
        ("Nothing", {}, 404, "EGeneral:Unknown method"),
        ("OHLC", {}, 200, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSD", "interval": 7}, 200, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSD", "interval": "x"}, 200, "EGeneral:Invalid arguments:interval"),
        ("Depth", {"pair": "XBTUSD", "count": "-1"}, 200, "EGeneral:Invalid arguments:count"),
        ("Trades", {"pair": "XBTUSD", "since": "soon"}, 200, "EGeneral:Invalid arguments:since"),
        ("Depth", {"pair": "NOPE"}, 200, "EQuery:Unknown asset pair"),
    ],
)
def test_errors_are_in_the_answer(world: Any, method: str, query: dict[str, object], status: int, error: str) -> None:
    assert _error(world, method, **query) == (status, {"error": [error]})


def test_the_time(world: Any) -> None:
    assert _result(world, "Time") == {"unixtime": START, "rfc1123": "Sat, 22 Nov 25 11:33:54 +0000"}
    assert _result(world, "SystemStatus") == {"status": "online", "timestamp": "2025-11-22T11:33:54Z"}


# --- data ---


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60, 240, 1440, 10080, 21600])
def test_bars_are_the_last_of_their_length(world: Any, minutes: int) -> None:
    result = _result(world, "OHLC", pair="XBTUSD", interval=minutes)
    rows, span = result["XXBTZUSD"], 60 * minutes
    starts = [row[0] for row in rows]
    assert starts == [START // span * span - span * each for each in reversed(range(len(rows)))]
    assert len(rows) == 720 or (minutes >= 10080 and len(rows) > 60)
    assert result["last"] == starts[-2]
    for _, open_, high, low, close, mean, _, count in rows:
        assert (
            Decimal(low) <= min(Decimal(open_), Decimal(close)) <= max(Decimal(open_), Decimal(close)) <= Decimal(high)
        )
        assert not count or Decimal(low) <= Decimal(mean) <= Decimal(high)


def test_weeks_begin_on_a_thursday_and_are_the_sum_of_their_days(world: Any) -> None:
    weeks = _result(world, "OHLC", pair="XBTUSD", interval=10080)["XXBTZUSD"]
    days = {row[0]: row for row in _result(world, "OHLC", pair="XBTUSD", interval=1440)["XXBTZUSD"]}
    start = weeks[-2][0]
    parts = [days[start + 86_400 * day] for day in range(7)]
    assert (start // 86_400) % 7 == 0  # 1970-01-01 was a Thursday
    assert weeks[-2][1] == parts[0][1] and weeks[-2][4] == parts[-1][4]
    assert Decimal(weeks[-2][6]) == sum(Decimal(row[6]) for row in parts)
    assert weeks[-2][7] == sum(row[7] for row in parts)


def test_since_gives_what_is_newer_and_never_more_than_the_last_720(world: Any) -> None:
    every = _result(world, "OHLC", pair="XBTUSD", interval=1)
    rows = every["XXBTZUSD"]
    assert _result(world, "OHLC", pair="XBTUSD", since=rows[-4][0])["XXBTZUSD"] == rows[-3:]
    assert _result(world, "OHLC", pair="XBTUSD", since=every["last"])["XXBTZUSD"] == rows[-1:]
    assert _result(world, "OHLC", pair="XBTUSD", since=START + 10**6)["XXBTZUSD"] == rows[-1:]
    assert _result(world, "OHLC", pair="XBTUSD", since=START - 10**6)["XXBTZUSD"] == rows


def test_who_polls_with_last_gets_every_bar(world: Any) -> None:
    first = _result(world, "OHLC", pair="XBTUSD", interval=1)
    seen = {row[0] for row in first["XXBTZUSD"]}
    last = first["last"]
    for _ in range(5):
        world.run(60)
        result = _result(world, "OHLC", pair="XBTUSD", interval=1, since=last)
        seen |= {row[0] for row in result["XXBTZUSD"]}
        last = result["last"]
    assert len(seen) == 725


def test_a_book_is_the_present_one(world: Any) -> None:
    world.run(1)
    result = _result(world, "Depth", pair="XBTUSD", count=20)["XXBTZUSD"]
    instrument = world.simulator.truth.instrument("kraken", SPOT, "BTC/USD")
    for name, levels in zip(("bids", "asks"), instrument.book.levels(20), strict=True):
        assert [Decimal(row[0]) for row in result[name]] == [
            Decimal(instrument.spec.price(price)) for price, _ in levels
        ]
        for (_, told, time), (_, size) in zip(result[name], levels, strict=True):
            assert time == START + 1
            assert abs(Decimal(told) - Decimal(instrument.spec.size(size))) <= Decimal("0.001")
    assert len(_result(world, "Depth", pair="XBTUSD")["XXBTZUSD"]["bids"]) == 100
    assert len(_result(world, "Depth", pair="XBTUSD", count=9999)["XXBTZUSD"]["bids"]) == 500


def test_an_old_snapshot_stays_old(world: Any) -> None:
    before = _result(world, "Depth", pair="XBTUSD", count=5)
    world.simulator.faults.start("kraken", "old-snapshot", "BTC-USD", 30)
    world.run(20)
    assert _result(world, "Depth", pair="XBTUSD", count=5) == before
    world.run(11)
    assert _result(world, "Depth", pair="XBTUSD", count=5) != before


def test_trades_come_in_pages_and_none_is_missed(world: Any) -> None:
    whole = _result(world, "Trades", pair="XBTUSD")["XXBTZUSD"]
    assert len(whole) > 100
    paged, since = [], str(int(Decimal(str(whole[0][2])) * 10**9) - 1000)
    for _ in range(30):
        page = _result(world, "Trades", pair="XBTUSD", since=since, count=40)
        paged += page["XXBTZUSD"]
        since = page["last"]
        if len(page["XXBTZUSD"]) < 40:
            break
    assert paged == whole
    assert _result(world, "Trades", pair="XBTUSD", count=3)["XXBTZUSD"] == whole[-3:]
    assert _result(world, "Trades", pair="XBTUSD", since=START - 10)["XXBTZUSD"] == [
        row for row in whole if row[2] > START - 10
    ]
    for row in whole[-10:]:
        true = world.simulator.truth.trade("kraken", SPOT, "BTC/USD", row[6])
        assert (Decimal(row[0]), row[1], row[3]) == (Decimal(true.price), true.size, true.side[0])


def test_a_pair_that_cannot_be_traded_has_a_past(world: Any) -> None:
    rows = _result(world, "OHLC", pair="BCHXBT", interval=1440)["BCHXBT"]
    assert rows[0][7] > 0 and rows[-1][7] == 0


def test_sixty_requests_a_minute(world: Any) -> None:
    for _ in range(60):
        _result(world, "Time")
    assert _error(world, "Time") == (200, {"error": ["EGeneral:Too many requests"]})
    assert world.simulator.ledger.violations == ["kraken: 61 REST requests in 60 s"]
    world.run(60)
    assert _result(world, "Time")["unixtime"] == START + 60

"""REST of the simulated OKX: paging, bars and their two alignments, errors, limits of each endpoint."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import msgspec
import pytest

HOUR, DAY = 3_600_000, 86_400_000


def _rows(world, path: str, **query: object) -> list[Any]:
    answer = world.json("okx", f"/api/v5/{path}", **query)
    assert (answer["code"], answer["msg"]) == ("0", "")
    rows: list[Any] = answer["data"]
    return rows


def _starts(rows: list[list[str]]) -> list[int]:
    return [int(row[0]) for row in rows]


def test_the_time_of_the_server(world) -> None:
    assert _rows(world, "public/time") == [{"ts": str(world.clock.wall_ms())}]


def test_candles_are_newest_first_and_page_by_after_and_before(world) -> None:
    def rows(**query: object) -> list[list[str]]:
        return _rows(world, "market/candles", instId="BTC-USDT", bar="5m", **query)

    newest = rows(limit=10)
    assert _starts(newest) == sorted(_starts(newest), reverse=True)
    assert newest[0][8] == "0" and {row[8] for row in newest[1:]} == {"1"}
    assert rows(limit=5, after=newest[4][0]) == newest[5:]
    assert rows(before=newest[4][0]) == newest[:4]
    assert rows(after=newest[2][0], before=newest[8][0]) == newest[3:8]
    assert (len(rows()), len(rows(limit=1000))) == (100, 300)


def test_candles_reach_back_1440_entries_and_history_beyond(world) -> None:
    def pages(path: str, most: int) -> list[int]:
        found: list[int] = []
        query: dict[str, object] = {}
        while len(found) < most:
            world.run(0.15)
            page = _starts(_rows(world, path, instId="BTC-USDT", limit=300, **query))
            if not page:
                break
            found += page
            query = {"after": page[-1]}
        return found

    recent, older = pages("market/candles", 3_000), pages("market/history-candles", 1_800)
    assert len(recent) == 1_440
    assert len(older) == 1_800
    assert older[:1_000] == recent[:1_000]
    assert {before - after for before, after in itertools.pairwise(older)} == {60_000}


def test_plain_days_begin_at_midnight_in_china_and_utc_days_at_midnight_utc(world) -> None:
    utc = _rows(world, "market/candles", instId="BTC-USDT-SWAP", bar="1Dutc", limit=3)
    china = _rows(world, "market/candles", instId="BTC-USDT-SWAP", bar="1D", limit=3)
    hours = {row[0]: row for row in _rows(world, "market/candles", instId="BTC-USDT-SWAP", bar="1H", limit=300)}
    assert [start % DAY for start in _starts(utc)] == [0] * 3
    assert [start % DAY for start in _starts(china)] == [16 * HOUR] * 3
    for day in (*utc[1:], *china[1:]):
        own = [hours[str(int(day[0]) + hour * HOUR)] for hour in range(24)]
        columns = list(zip(*own, strict=True))
        assert day[1] == own[0][1] and day[4] == own[-1][4]
        assert Decimal(day[2]) == max(map(Decimal, columns[2]))
        assert Decimal(day[3]) == min(map(Decimal, columns[3]))
        for column in (5, 6, 7):
            assert Decimal(day[column]) == sum(map(Decimal, columns[column]))


@pytest.mark.parametrize("bar", ["6H", "12H", "1W", "1M", "3D", "6Hutc", "12Hutc", "1Wutc", "1Mutc", "3Dutc"])
def test_long_bars_follow_each_other(world, bar: str) -> None:
    offset = 0 if bar.endswith("utc") else 8 * HOUR
    rows = _rows(world, "market/candles", instId="ETH-USDT", bar=bar, limit=5)
    assert len(rows) == 5
    assert all((start + offset) % (6 * HOUR) == 0 for start in _starts(rows))
    hours = [(newer - older) // HOUR for newer, older in itertools.pairwise(_starts(rows))]
    assert (
        set(hours)
        <= {"6": {6}, "12": {12}, "1W": {168}, "3D": {72}, "1M": {28 * 24, 29 * 24, 30 * 24, 31 * 24}}[
            bar.removesuffix("utc").removesuffix("H")
        ]
    )


def test_columns_of_a_candle_are_in_the_units_of_their_market(world) -> None:
    (spot,) = _rows(world, "market/candles", instId="BTC-USDT", bar="1H", limit=1)
    (swap,) = _rows(world, "market/candles", instId="BTC-USDT-SWAP", bar="1H", limit=1)
    assert spot[6] == spot[7]
    assert Decimal(swap[5]) * Decimal("0.01") == Decimal(swap[6])
    for low, high, base, quote in ((spot[3], spot[2], spot[5], spot[7]), (swap[3], swap[2], swap[6], swap[7])):
        # The mean price of a planned hour is that of its day.
        assert Decimal(low) * Decimal("0.97") <= Decimal(quote) / Decimal(base) <= Decimal(high) * Decimal("1.03")


def test_recent_trades_are_the_fills_of_the_stream_newest_first(world) -> None:
    wire = world.connect("okx", "/ws/v5/business")
    wire.say({"op": "subscribe", "args": [{"channel": "trades-all", "instId": "BTC-USDT"}]})
    world.run(30)
    told = [frame["data"][0] for frame in wire.take() if "data" in frame]
    recent = _rows(world, "market/trades", instId="BTC-USDT", limit=5)
    assert list(recent[0]) == ["instId", "side", "sz", "source", "px", "tradeId", "ts"]
    assert recent == told[:-6:-1]
    assert len(_rows(world, "market/trades", instId="BTC-USDT", limit=5_000)) <= 500


@pytest.mark.parametrize(("kind", "count"), [("SPOT", 23), ("SWAP", 26), ("FUTURES", 0), ("OPTION", 0), ("MARGIN", 0)])
def test_tickers_of_all_instruments_of_a_kind(world, kind: str, count: int) -> None:
    rows = _rows(world, "market/tickers", instType=kind)
    assert len(rows) == count
    for row in rows:
        assert row["instType"] == kind
        assert Decimal(row["bidPx"]) < Decimal(row["askPx"])
        assert Decimal(row["low24h"]) <= Decimal(row["last"]) <= Decimal(row["high24h"])


def test_the_catalogue_has_what_is_not_traded_too(world) -> None:
    spot = {row["instId"]: row for row in _rows(world, "public/instruments", instType="SPOT")}
    swap = {row["instId"]: row for row in _rows(world, "public/instruments", instType="SWAP")}
    assert {name: row["state"] for name, row in (spot | swap).items() if row["state"] != "live"} == {
        "BCH-BTC": "suspend",
        "BTC-USD-SWAP": "suspend",
        "ETH-USD_UM-SWAP": "preopen",
    }
    assert {swap["ETH-USD_UM-SWAP"][name] for name in ("tickSz", "lotSz", "ctVal", "uly", "ctType")} == {""}
    assert {row["baseCcy"] + row["quoteCcy"] for row in swap.values()} == {""}
    assert {(row["ctType"], row["settleCcy"]) for row in swap.values()} == {
        ("linear", "USDT"),
        ("linear", "USDC"),
        ("inverse", "BTC"),
        ("", ""),
    }
    assert _rows(world, "public/instruments", instType="FUTURES") == []


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "said"),
    [
        ("public/instruments", {}, 400, "50014", "Parameter instType cannot be empty"),
        ("public/instruments", {"instType": "spot"}, 400, "51000", "Parameter instType error"),
        ("public/instruments", {"instType": "SWAP", "instId": "BTC-USDT"}, 200, "51001", "Instrument ID, "),
        ("market/ticker", {}, 400, "50014", "Parameter instId cannot be empty"),
        ("market/ticker", {"instId": "NOPE"}, 200, "51001", "Instrument ID, "),
        ("market/books", {"instId": "BTC-USDT", "sz": "0"}, 400, "51000", "Parameter sz error"),
        ("market/books", {"instId": "BTC-USDT", "sz": "x"}, 400, "51000", "Parameter sz error"),
        ("market/candles", {"instId": "BTC-USDT", "bar": "7m"}, 400, "51000", "Parameter bar error"),
        ("market/candles", {"instId": "BTC-USDT", "bar": "1h"}, 400, "51000", "Parameter bar error"),
        ("market/candles", {"instId": "BTC-USDT", "limit": "-1"}, 400, "51000", "Parameter limit error"),
        ("market/candles", {"instId": "BTC-USDT", "after": "1e3"}, 400, "51000", "Parameter after error"),
        ("market/index-tickers", {}, 400, "50015", "Either parameter quoteCcy or instId is required"),
        ("market/index-tickers", {"instId": "NO-NO"}, 200, "51001", "Instrument ID, "),
        ("public/funding-rate", {"instId": "BTC-USDT"}, 400, "51000", "Parameter instId error"),
        ("public/open-interest", {"instType": "SPOT"}, 400, "51000", "Parameter instType error"),
    ],
)
def test_errors_have_the_codes_of_the_documents(
    world, path: str, query: dict[str, str], status: int, code: str, said: str
) -> None:
    answer = world.get("okx", f"/api/v5/{path}", **query)
    body = msgspec.json.decode(answer.body)
    assert (answer.status, list(body), body["code"], body["data"]) == (status, ["code", "data", "msg"], code, [])
    assert body["msg"].startswith(said)


def test_unknown_paths_are_404(world) -> None:
    assert world.get("okx", "/api/v5/market/nothing").status == 404


def test_the_limit_is_of_each_endpoint_and_of_two_seconds(world) -> None:
    def status(**query: object) -> int:
        return int(world.get("okx", "/api/v5/public/instruments", **query).status)

    assert [status(instType="SPOT") for _ in range(21)] == [200] * 20 + [429]
    assert status(instType="FUTURES") == 200  # this one is counted by the kind of instrument, too
    assert world.get("okx", "/api/v5/public/time").status == 200
    refused = world.get("okx", "/api/v5/public/instruments", instType="SPOT")
    assert refused.body == b'{"msg":"Too Many Requests","code":"50011"}'
    assert world.simulator.ledger.violations == [
        f"okx: {used} requests for /api/v5/public/instruments in 2 seconds" for used in (21, 22)
    ]
    world.run(2.1)
    assert status(instType="SPOT") == 200


@pytest.mark.parametrize("fault", ["429", "418"])
def test_the_faults_of_limits_are_answered_with_the_code_of_the_venue(world, fault: str) -> None:
    world.simulator.faults.start("okx", fault, seconds=5)
    answer = world.get("okx", "/api/v5/public/time")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
    assert msgspec.json.decode(answer.body)["code"] == "50011"


def test_a_fault_of_one_market_leaves_requests_for_the_other_alone(world) -> None:
    world.simulator.faults.start("okx", "429", seconds=5, market="perpetual")
    asked = [{"instId": "BTC-USDT"}, {"instId": "BTC-USDT-SWAP"}]
    assert [world.get("okx", "/api/v5/market/ticker", **query).status for query in asked] == [200, 429]
    kinds = [world.get("okx", "/api/v5/market/tickers", instType=kind).status for kind in ("SPOT", "SWAP")]
    assert kinds == [200, 429]

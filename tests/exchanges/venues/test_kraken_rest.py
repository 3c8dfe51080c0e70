"""Kraken's REST answers: catalogue, candles, the sweep, and what refusals mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryptodash.core.instruments import ANY, Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, LeftOut, Quote, Stats, SweepRow, SweepRows
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.venues.kraken.venue import VENUE

SPOT = MarketType.SPOT
CATALOGUE, TOKENIZED = VENUE.catalogue_requests(SPOT)
HOUR = 3_600_000


def pair(**members: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
        "lot_decimals": 8, "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online",
    }  # fmt: skip
    return {key: value for key, value in {**usual, **members}.items() if value is not None}


def listed(**pairs: object) -> list[Instrument]:
    body = json.dumps({"error": [], "result": pairs}).encode()
    found, following = reading(VENUE.read_catalogue, CATALOGUE, body)
    assert following is None
    return list(found)


def test_a_pair_has_its_modern_name_and_is_found_by_the_old_one() -> None:
    (found,) = listed(XXBTZUSD=pair())
    rules = [Number(text) for text in ("0.1", "0.00000001", "0.00005", "0.5")]
    expected = ("kraken", SPOT, Symbol("BTC", "USD"), "BTC/USD", *rules, "trading", "online")
    assert found == Instrument(*expected, other_names=("XXBTZUSD",))
    catalogue = Catalogue("kraken")
    catalogue.replace(SPOT, [found])
    assert catalogue.native(SPOT, "BTC/USD") is catalogue.native(SPOT, "XXBTZUSD") is found


@pytest.mark.parametrize(
    ("wsname", "native", "symbol"),
    [
        ("XDG/USDT", "DOGE/USDT", Symbol("DOGE", "USDT")),
        ("ETH/XBT", "ETH/BTC", Symbol("ETH", "BTC")),
        ("AAPLx/USD", "AAPLx/USD", Symbol("AAPLx", "USD")),
        ("币/USD", "币/USD", Symbol("币", "USD")),
    ],
)
def test_names_keep_their_case_and_letters(wsname: str, native: str, symbol: Symbol) -> None:
    (found,) = listed(KEY=pair(wsname=wsname))
    assert (found.native, found.symbol) == (native, symbol)


@pytest.mark.parametrize(
    ("venue_status", "status"),
    [
        ("online", "trading"),
        ("limit_only", "trading"),
        ("post_only", "halted"),
        ("cancel_only", "halted"),
        ("reduce_only", "halted"),
        ("maintenance", "halted"),
        ("work_in_progress", "pre_open"),
        ("delisted", "delisted"),
        ("something_new", "halted"),
    ],
)
def test_statuses(venue_status: str, status: str) -> None:
    (found,) = listed(KEY=pair(status=venue_status))
    assert (found.status, found.venue_status) == (status, venue_status)


def test_steps_are_decimal_places_where_the_venue_says_no_more() -> None:
    (found,) = listed(KEY=pair(tick_size=None, pair_decimals=5, lot_decimals=0, ordermin=None, costmin="0"))
    assert (found.tick_size, found.step_size, found.min_qty, found.min_notional) == ("0.00001", "1", None, None)


def test_pairs_that_no_stream_has_and_odd_ones_take_nothing_with_them() -> None:
    body = {"DARK.d": pair(wsname=None), "XXBTZUSD": pair(), "ODD": pair(wsname="XBT/EUR", tick_size="soon"), "NONE": 7}
    found, _ = VENUE.read_catalogue(CATALOGUE, json.dumps({"error": [], "result": body}).encode())
    assert [each.native for each in found] == ["BTC/USD"]
    assert [name for name, _ in left_out_of(found)] == ["BTC/EUR", ""]


def candles(interval: str = "1h", limit: int = 100, end: int | None = None, *others: str) -> RestRequest:
    symbol = Symbol("BTC", "USD")
    btc = Instrument("kraken", SPOT, symbol, "BTC/USD", Number("0.1"), Number("1"), other_names=others)
    return VENUE.candles_request(Topic("kraken", SPOT, symbol, Channel.CANDLE, interval=interval), btc, limit, end)


def test_candles_are_asked_for_by_the_pairs_old_name() -> None:
    assert candles().params == (("pair", "XBTUSD"), ("interval", "60"))
    assert candles("1d", 100, None, "XXBTZUSD").params == (("pair", "XXBTZUSD"), ("interval", "1440"))
    since = (1_700_000_000_000 - 101 * HOUR) // 1000
    assert candles(end=1_700_000_000_000).params[2:] == (("since", str(since)),)
    assert candles("1w", 1000, 5).params[2] == ("since", "1000000000")


def rows(*each: object, **others: object) -> bytes:
    return json.dumps({"error": [], "result": {"XXBTZUSD": each, "last": 7, **others}}).encode()


def test_candles_are_read_whatever_the_pairs_key() -> None:
    row = [1762777020, "106038.2", "106039.0", "106038.1", "106038.20", "106038.3", "1.50000000", 3]
    odd = [1762777080, "0", "1", "1", "1", "0", "1", 1]
    found = VENUE.read_candles(candles(), rows(row, odd))
    prices = [Number(text) for text in ("106038.2", "106039.0", "106038.1", "106038.20", "1.50000000")]
    assert found == [Bar("", 1762777020000, *prices)]
    assert [name for name, _ in left_out_of(found)] == ["1762777080"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":[],"result":{"last":1}}',
        rows(OTHER=[]),
        rows([253402300800, "1", "1", "1", "1", "1", "1", 1]),
        b'{"error":[]}',
    ],
)
def test_unreadable_candles(body: bytes) -> None:
    with pytest.raises(BadFrame):
        reading(VENUE.read_candles, candles(), body)


def sweep() -> RestRequest:
    (poll,) = VENUE.plan(Topic("kraken", SPOT, ANY, Channel.TICKER), None, 0).polls
    return poll.request


@pytest.mark.captures
def test_a_sweep_has_the_figures_of_24_hours_and_not_todays(captures: Path) -> None:
    body = json.loads((captures / "kraken" / "rest-spot-ticker.json").read_bytes())
    body["result"]["ODD"] = {"a": []}
    told, left_out = VENUE.read_poll(sweep(), json.dumps(body).encode())
    stream = "/0/public/Ticker"
    best = [Number(text) for text in ("105944.20000", "1.000", "105944.30000", "1.000")]
    day = {"last": "105899.40000", "high": "106613.10000", "low": "104711.00000", "volume": "163.28908096"}
    stats = Stats(stream, None, True, **{name: Number(text) for name, text in day.items()})
    assert told == SweepRows(stream, [SweepRow("XBTUSDT", Quote(stream, *best, None, None), stats, None)])
    assert isinstance(left_out, LeftOut) and [name for name, _ in left_out.elements] == ["ODD"]


def test_the_venues_time_is_told_by_pongs_alone() -> None:
    probe = VENUE.probe_request(SPOT)
    assert probe.path == "/0/public/Time"
    assert VENUE.read_probe(probe, b'{"error":[],"result":{"unixtime":1616336594}}') is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"error":[],"result":{}}', None),
        (200, '{"error": [], "result": {}}', None),
        (200, '{"error":["WGeneral:Danger"],"result":{}}', None),
        (200, '{"error":["EQuery:Unknown asset pair"]}', ("rejected", None)),
        (200, '{"error":["EGeneral:Invalid arguments"]}', ("rejected", None)),
        (200, '{"error":["EGeneral:Too many requests"]}', ("banned", 10.0)),
        (200, '{"error":["EAPI:Rate limit exceeded"]}', ("banned", 10.0)),
        (200, '{"error":["EService:Unavailable"]}', ("maintenance", None)),
        (200, '{"error":["EService:Busy"]}', ("", None)),
        (520, "<html>", ("", None)),
        (451, "", ("blocked", None)),
        (403, '{"error":["EGeneral:Permission denied"]}', ("blocked", None)),
        (403, "<html>", ("blocked", None)),
    ],
)
def test_refusals(status: int, body: str, expected: tuple[str, float | None] | None) -> None:
    found = VENUE.rest_error(status, {}, body.encode())
    assert (None if found is None else (found[0], found[2])) == expected

"""Recordings are read as they are, and whatever is wrong with one is said in one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.simulator import recorded_files as module
from cryptodash.simulator.recording import read_recording

TRADE = '{"stream":"btcusdt@trade","data":{"e":"trade","t":1,"p":"61837.63000000","q":"0.02000000"}}'
DEPTH = '{"stream":"btcusdt@depth@100ms","data":{"U":1,"u":2,"b":[["61837.60000000","1.00000000"]],"a":[]}}'
BYBIT = '{"topic":"publicTrade.BTCUSDT","ts":1,"type":"snapshot","data":[{"p":"64103.9"}]}'
BARE = '{"e":"trade","t":1,"p":"1.5"}'
SWEEP = '[{"e":"24hrMiniTicker","s":"BTCUSDT","c":"1.5"}]'


def line(raw: str, t: float | None = None, direction: str = "in") -> str:
    return json.dumps({"t": t, "dir": direction, "raw": raw})


def asking(*streams: str) -> str:
    return line(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}), direction="out")


def written(folder: Path, *lines: str, name: str = "spot-2024.jsonl") -> Path:
    path = folder / name
    text = "".join(f"{each}\n" for each in lines).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def refusal(path: Path, **options: Any) -> str:
    """The one line that refuses the file."""
    with pytest.raises(ConfigError) as caught:
        read_recording(path, **options)
    message = str(caught.value)
    assert message.startswith("replay: ") and "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize("name", ["spot-2024.jsonl", "spot-2024.jsonl.gz"])
def test_frames_keep_their_text_their_stream_and_their_time(tmp_path: Path, name: str) -> None:
    found = read_recording(written(tmp_path, line(TRADE, 100.5), line(DEPTH, 100.75), line(TRADE, 103.0), name=name))
    assert [(each.at, each.stream, each.text) for each in found.frames] == [
        (0.0, "btcusdt@trade", TRADE),
        (0.25, "btcusdt@depth@100ms", DEPTH),
        (2.5, "btcusdt@trade", TRADE),
    ]
    assert (found.exchange, found.market, found.symbols) == (
        "binance",
        MarketType.SPOT,
        {"BTCUSDT": Symbol("BTC", "USDT")},
    )
    assert found.streams == ("btcusdt@trade", "btcusdt@depth@100ms")
    assert found.samples() == {"btcusdt@trade": TRADE, "btcusdt@depth@100ms": DEPTH}


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ((None, None, None), [0.0, 0.1, 0.2]),
        ((5.0, None, 6.0), [0.0, 0.1, 1.0]),
        ((None, 5.0, 5.5), [0.0, 0.0, 0.5]),
        ((5.0, 4.0, 5.5), [0.0, 0.0, 0.5]),  # the recorder's clock was set back
    ],
)
def test_times_that_are_missing_or_run_backwards_never_make_a_frame_earlier(
    tmp_path: Path, times: tuple[float | None, ...], places: list[float]
) -> None:
    found = read_recording(written(tmp_path, *(line(TRADE, t) for t in times)))
    assert [each.at for each in found.frames] == pytest.approx(places)


def test_a_line_without_a_time_is_one_with_an_unknown_time(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path, json.dumps({"dir": "in", "raw": TRADE})))
    assert [each.at for each in found.frames] == [0.0]


def test_bare_payloads_of_a_single_stream_get_the_combined_wrapper(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path, asking("btcusdt@trade"), line('{"result":null,"id":1}'), line(BARE)))
    assert [(each.stream, each.text) for each in found.frames] == [
        ("btcusdt@trade", f'{{"stream":"btcusdt@trade","data":{BARE}}}')
    ]


def test_bare_payloads_of_several_streams_cannot_be_told_apart(tmp_path: Path) -> None:
    assert "no data frame of binance" in refusal(
        written(tmp_path, asking("btcusdt@trade", "ethusdt@trade"), line(BARE))
    )


def test_answers_to_the_recorder_are_left_out(tmp_path: Path) -> None:
    answers = [line('{"result":null,"id":1}'), line('{"code":2,"msg":"Invalid request","id":1}')]
    assert len(read_recording(written(tmp_path, asking("btcusdt@trade"), *answers, line(TRADE))).frames) == 1
    bybit = [line('{"success":true,"op":"subscribe","ret_msg":""}'), line('{"op":"pong"}'), line(BYBIT)]
    assert [each.stream for each in read_recording(written(tmp_path, *bybit)).frames] == ["publicTrade.BTCUSDT"]


@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("spot-2024.jsonl", "spot"),
        ("usdm-2024.jsonl", "perpetual"),
        ("eth-swap.jsonl", "perpetual"),
    ],
)
def test_exchange_and_market_are_told_from_frames_and_name(tmp_path: Path, name: str, market: str) -> None:
    assert read_recording(written(tmp_path, line(TRADE), name=name)).market == market
    assert read_recording(written(tmp_path, line(BYBIT), name=name)).exchange == "bybit"


def test_each_venue_has_its_own_words_for_perpetuals(tmp_path: Path) -> None:
    assert read_recording(written(tmp_path, line(BYBIT), name="linear.jsonl")).market == "perpetual"
    assert read_recording(written(tmp_path, line(TRADE), name="linear.jsonl")).market == "spot"


def test_what_the_operator_names_wins(tmp_path: Path) -> None:
    found = read_recording(
        written(tmp_path, line(TRADE)), exchange="binance", market="perpetual", symbols=["btcusdt=BT-CUSDT"]
    )
    assert (found.market, found.symbols) == (MarketType.PERPETUAL, {"BTCUSDT": Symbol("BT", "CUSDT")})
    assert "no data frame of bybit" in refusal(written(tmp_path, line(TRADE)), exchange="bybit")


def test_symbols_are_split_at_a_known_quote(tmp_path: Path) -> None:
    streams = ["nknusdt@trade", "blzeth@trade", "lrcbtc@trade", "runeeur@trade", "btcfdusd@trade"]
    found = read_recording(written(tmp_path, *(line(json.dumps({"stream": each, "data": {}})) for each in streams)))
    assert [str(each) for each in found.symbols.values()] == ["NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR", "BTC-FDUSD"]


def test_a_name_that_cannot_be_split_asks_for_the_option(tmp_path: Path) -> None:
    path = written(tmp_path, line('{"stream":"btcusd_perp@ticker","data":{}}'))
    assert "--symbol BTCUSD_PERP=BASE-QUOTE" in refusal(path)
    assert read_recording(path, symbols=["BTCUSD_PERP=BTC-USD"]).symbols == {"BTCUSD_PERP": Symbol("BTC", "USD")}


@pytest.mark.parametrize(
    "option", ["", "BTCUSDT", "BTCUSDT=", "=BTC-USDT", "BTCUSDT=BTCUSDT", "BTCUSDT=BTC-", "BTCUSDT=B TC-USDT"]
)
def test_a_bad_split_is_refused(tmp_path: Path, option: str) -> None:
    assert "NATIVE=BASE-QUOTE" in refusal(written(tmp_path, line(TRADE)), symbols=[option])


def test_the_tick_is_the_last_decimal_that_is_not_padding(tmp_path: Path) -> None:
    assert read_recording(written(tmp_path, line(TRADE), line(DEPTH))).tick_sizes == {"BTCUSDT": "0.01"}
    assert read_recording(written(tmp_path, line(BYBIT))).tick_sizes == {"BTCUSDT": "0.1"}
    whole = '{"stream":"btcusdt@trade","data":{"p":"61837.00000000"}}'
    assert read_recording(written(tmp_path, line(whole))).tick_sizes == {"BTCUSDT": "1"}


@pytest.mark.parametrize(
    ("exchange", "market", "said"),
    [
        ("mtgox", "", "--exchange 'mtgox' is not one of: binance, bybit"),
        ("Binance", "", "is not one of: binance, bybit"),
        ("x" * 1000, "", "is not one of: binance, bybit"),
        ("", "futures", "--market 'futures' is not one of: spot, perpetual"),
    ],
)
def test_unknown_venues_and_markets_are_refused_with_the_list(
    tmp_path: Path, exchange: str, market: str, said: str
) -> None:
    assert said in refusal(written(tmp_path, line(TRADE)), exchange=exchange, market=market)


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "hello",
        "[]",
        "null",
        '{"t":1,"dir":"in"}',
        '{"t":1,"dir":"sideways","raw":"{}"}',
        '{"t":"1","dir":"in","raw":"{}"}',
        '{"t":-1,"dir":"in","raw":"{}"}',
        '{"t":1e300,"dir":"in","raw":"{}"}',
        '{"t":NaN,"dir":"in","raw":"{}"}',
        '{"t":1,"dir":"in","raw":{"stream":"a"}}',
        line(TRADE)[:50],
    ],
)
def test_a_line_that_is_no_recorded_frame_is_named(tmp_path: Path, garbage: str) -> None:
    assert "line 2 of spot-2024.jsonl is not a recorded frame" in refusal(written(tmp_path, line(TRADE), garbage))


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize(
    "raw", ["pong", "{", '"text"', "null", "1", "", SWEEP, "[1]", "[]", "[" * 100_000, '{"a":' * 100_000]
)
def test_a_frame_that_is_no_object_does_not_refuse_the_recording(tmp_path: Path, raw: str, direction: str) -> None:
    path = written(tmp_path, line(TRADE, 1.0), line(raw, 1.5, direction), line(TRADE, 2.0))
    assert [each.at for each in read_recording(path).frames] == [0.0, 1.0]


def test_a_bare_sweep_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, asking("!miniTicker@arr"), line(SWEEP))
    assert [(each.stream, each.text) for each in read_recording(path).frames] == [
        ("!miniTicker@arr", f'{{"stream":"!miniTicker@arr","data":{SWEEP}}}')
    ]


def test_a_bare_sweep_beside_one_other_stream_is_told_by_its_form(tmp_path: Path) -> None:
    path = written(tmp_path, asking("btcusdt@trade", "!miniTicker@arr"), line(SWEEP), line(BARE))
    assert [each.stream for each in read_recording(path).frames] == ["!miniTicker@arr", "btcusdt@trade"]


def test_bare_sweeps_of_several_streams_cannot_be_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, asking("!miniTicker@arr", "!ticker@arr"), line(SWEEP))
    assert "no data frame of binance" in refusal(path)


@pytest.mark.parametrize("names", ['"btcusdt@trade"', "[1,2]", "{}", "null", "[[]]"])
def test_a_request_with_odd_names_names_nothing(tmp_path: Path, names: str) -> None:
    request = line(f'{{"method":"SUBSCRIBE","params":{names}}}', direction="out")
    assert len(read_recording(written(tmp_path, request, line(TRADE))).frames) == 1


def test_other_bytes_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "spot-2024.jsonl"
    for data in (b"\xff\xfe\x00{", bytes(range(256)) * 100, b'{"t":1,"dir":"in","raw":"\xff"}'):
        path.write_bytes(data)
        assert "line 1 of spot-2024.jsonl is not a recorded frame" in refusal(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spot-2024.jsonl.gz"
    whole = gzip.compress("".join(line(TRADE, float(t)) + "\n" for t in range(5000)).encode())
    for data in (whole[:-20], whole[: len(whole) // 2], whole[:30] + b"\xaa" * 40 + whole[70:], b"no archive at all"):
        path.write_bytes(data)
        assert "spot-2024.jsonl.gz" in refusal(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "nowhere.jsonl")
    assert "cannot be read" in refusal(tmp_path)
    (tmp_path / "spot-2024.jsonl").write_bytes(b"")
    assert "holds no data frame" in refusal(tmp_path / "spot-2024.jsonl")


def test_what_is_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, *[line(TRADE)] * 10)
    monkeypatch.setattr(module, "LONGEST_LINE", 100)
    assert "too large at line 1" in refusal(path)
    monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    monkeypatch.setattr(module, "MOST_BYTES", 5 * len(line(TRADE)))
    assert "too large at line 5" in refusal(path)


# -- REST snapshots beside the recording

INDEX = {
    "rest-spot-depth-btcusdt-2024.json": {
        "url": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000",
        "t": 1.0,
        "note": "",
    },
    "rest-spot-depth-btcusdt-2021.json": {
        "url": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=500",
        "t": 1.0,
    },
    "rest-usdm-depth-btcusdt-2024.json": {
        "url": "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=50",
        "t": None,
    },
    "rest-spot-depth-ethusdt-2024.json": {"url": "https://api.binance.com/api/v3/depth?symbol=ETHUSDT&limit=1000"},
    "rest-spot-exchangeinfo-2024.json": {"url": "https://api.binance.com/api/v3/exchangeInfo"},
}


@pytest.mark.parametrize(
    ("name", "body", "limit"),
    [
        ("spot-2024.jsonl", b"rest-spot-depth-btcusdt-2024.json", 1000),
        ("spot-2021.jsonl", b"rest-spot-depth-btcusdt-2021.json", 500),
        ("usdm-2024.jsonl", b"rest-usdm-depth-btcusdt-2024.json", 50),
        ("spot-2026.jsonl", None, None),
    ],
)
def test_snapshots_are_those_of_the_symbol_market_and_year(
    tmp_path: Path, name: str, body: bytes | None, limit: int | None
) -> None:
    (tmp_path / "rest-index.json").write_text(json.dumps(INDEX))
    for each in INDEX:
        (tmp_path / each).write_bytes(each.encode())
    found = read_recording(written(tmp_path, line(DEPTH), name=name))
    assert found.snapshots == ({} if body is None else {"BTCUSDT": body})
    assert found.limits == ({} if limit is None else {"BTCUSDT": limit})


@pytest.mark.parametrize(
    ("first", "second", "turned"),
    [
        ({}, {}, False),
        ({"t": 1.0}, {"t": 2.0}, False),
        ({"t": 1.0}, {"t": 2.0}, True),
        ({"t": 1.0}, {}, True),
        ({"t": 1.0}, {"t": None}, True),
    ],
)
def test_every_snapshot_beside_a_recording_is_kept_in_the_order_of_its_time(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], turned: bool
) -> None:
    url = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit="
    index = {"first-2024.json": {"url": f"{url}100", **first}, "second-2024.json": {"url": f"{url}50", **second}}
    (tmp_path / "rest-index.json").write_text(json.dumps(dict(reversed(index.items())) if turned else index))
    for number, name in enumerate(index):
        (tmp_path / name).write_text(f'{{"lastUpdateId":{number}}}')
    found = read_recording(written(tmp_path, line(TRADE)))
    assert found.snapshots == {"BTCUSDT": b'{"lastUpdateId":0}'}
    assert found.further_snapshots == {"BTCUSDT": (b'{"lastUpdateId":1}',)}
    assert found.limits == {"BTCUSDT": 50}


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        "{",
        '{"a":{}}',
        '{"a":{"url":1}}',
        '{"rest-2024.json":{"url":"https://h/api/v3/depth?symbol=BTCUSDT"}}',  # not there
        '{"../rest-2024.json":{"url":"https://h/api/v3/depth?symbol=BTCUSDT"}}',  # not beside the recording
        '{"rest-2024.json":{"url":"https://[h/api/v3/depth?symbol=BTCUSDT"}}',
        '{"spot-2024.jsonl":{"url":"https://h/api/v3/depth?symbol=BTCUSDT&limit=many"}}',
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, index: str) -> None:
    (tmp_path / "rest-index.json").write_text(index)
    assert "rest-index.json beside spot-2024.jsonl cannot be used" in refusal(written(tmp_path, line(DEPTH)))


def test_a_stream_about_a_whole_market_is_no_instrument(tmp_path: Path) -> None:
    sweep = '{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","s":"ETHUSDT","c":"1.5"}]}'
    found = read_recording(written(tmp_path, line(TRADE), line(sweep)))
    assert found.symbols.keys() == found.tick_sizes.keys() == {"BTCUSDT"}
    assert found.streams == ("btcusdt@trade", "!miniTicker@arr")

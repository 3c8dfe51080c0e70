from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core import codec
from cryptodash.core.events import (
    Bbo,
    BookDelta,
    BookSnapshot,
    Candle,
    Cause,
    Liquidation,
    Side,
    State,
    StreamStatus,
    Ticker,
    Trade,
)
from cryptodash.core.numbers import Number, admit
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import parse_topic

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

TICKER = parse_topic("binance:spot:BTC-USDT")
BOOK = parse_topic("binance:spot:BTC-USDT:order_book:2")
N = Number


def exact(payload: str) -> dict[str, object]:
    """The payload with numbers as exact decimals."""
    value = json.loads(payload, parse_float=Decimal)
    assert isinstance(value, dict)
    return value


def test_the_seed_ticker_byte_for_byte() -> None:
    event = Ticker(TICKER, 1704067200000, RECEIVED, N("43251.00"), N("43250.50"), N("43251.75"), N("1.0"), N("1.0"))
    assert codec.message("ticker", codec.ticker_payload(event)) == (
        b'{"type":"ticker","payload":{"timestamp":"2024-01-01T00:00:00.000Z","exchange":"binance","market_type":"spot",'
        b'"symbol":{"base":"BTC","quote":"USDT"},"bid":43250.50,"ask":43251.75,"last":43251.00,"bid_size":1.0,"ask_size":1.0,'
        b'"received":"2023-11-14T22:13:20.123Z"}}'
    )


def test_unknown_fields_are_left_out() -> None:
    payload = codec.ticker_payload(Ticker(TICKER, 0, RECEIVED, N("1"), next_funding_time=0))
    assert "null" not in payload
    assert set(exact(payload)) == {
        "timestamp",
        "exchange",
        "market_type",
        "symbol",
        "last",
        "next_funding_time",
        "received",
    }


ORDER = (
    "bid ask last bid_size ask_size open_24h high_24h low_24h volume_24h "
    "quote_volume_24h change_24h change_pct_24h mark_price index_price"
)
ORDER += " funding_rate open_interest"
TIMES = "next_funding_time quote_time last_time stats_time"
some_number = st.one_of(st.none(), st.sampled_from([N("0"), N("1.50"), N("-0.01"), N("63704.00000000")]))
some_time = st.one_of(st.none(), st.integers(0, 253_402_300_799_999))


@given(
    st.fixed_dictionaries({name: some_number for name in ORDER.split() if name != "last"}),
    st.fixed_dictionaries(dict.fromkeys(TIMES.split(), some_time)),
    st.integers(0, 253_402_300_799_999),
)
def test_a_ticker_has_its_known_members_in_the_contracts_order(
    numbers: dict[str, N], times: dict[str, int], timestamp: int
) -> None:
    event = Ticker(TICKER, timestamp, RECEIVED, N("7.0"), **numbers, **times)
    expected = f'{{"timestamp":"{rfc3339(timestamp)}",{TICKER.json}'
    expected += "".join(f',"{name}":{value}' for name in ORDER.split() if (value := getattr(event, name)) is not None)
    expected += "".join(
        f',"{name}":"{rfc3339(value)}"' for name in TIMES.split() if (value := getattr(event, name)) is not None
    )
    assert codec.ticker_payload(event) == expected + f',"received":"{rfc3339(RECEIVED)}"}}'


@given(st.one_of(st.text(max_size=12), st.from_regex(r"[0-9a-f-]{1,36}", fullmatch=True)))
def test_any_trade_id_comes_through(trade_id: str) -> None:
    trade = Trade(TICKER.sibling(TICKER.channel), 0, RECEIVED, trade_id, N("1"), N("2"), Side.BUY)
    assert exact(codec.trade_payload(trade))["id"] == trade_id


def test_trade_and_candle() -> None:
    trade = Trade(TICKER.sibling(TICKER.channel), 0, RECEIVED, 'id"1', N("0.00000001"), N("5.00"), Side.SELL)
    assert exact(codec.trade_payload(trade, replayed=True))["replayed"] is True
    assert '"price":0.00000001,"quantity":5.00,"side":"sell",' in codec.trade_payload(trade)
    bar = Candle(
        parse_topic("binance:spot:BTC-USDT:candle:1m"),
        0,
        RECEIVED,
        N("1"),
        N("2"),
        N("0.5"),
        N("1.5"),
        N("0.00000000"),
        True,
        corrected=True,
    )
    assert '"volume":0.00000000,"closed":true,"source":"venue","corrected":true,' in codec.candle_payload(bar)
    assert exact(codec.candle_bar(bar))["closed"] is True


def test_the_funding_interval_stands_beside_its_rate() -> None:
    payload = codec.ticker_payload(
        Ticker(TICKER, 0, RECEIVED, N("1"), funding_rate=N("0.0001"), funding_interval_h=8, open_interest=N("5"))
    )
    assert ',"funding_rate":0.0001,"funding_interval_h":8,"open_interest":5,' in payload


def test_liquidations() -> None:
    topic = parse_topic("binance:perpetual:BTC-USDT:liquidation")
    sample = Liquidation(topic, 0, RECEIVED, Side.SELL, N("9910.0"), N("0.014"), "", N("9909"), complete=False)
    assert codec.liquidation_payload(sample, replayed=True) == (
        '{"timestamp":"1970-01-01T00:00:00.000Z","exchange":"binance","market_type":"perpetual",'
        '"symbol":{"base":"BTC","quote":"USDT"},"side":"sell","price":9910.0,"quantity":0.014,"average_price":9909,'
        f'"cursor":"{topic.tag}-0-sell9910.0x0.014","received":"2023-11-14T22:13:20.123Z",'
        '"complete":false,"replayed":true}'
    )
    whole = exact(codec.liquidation_payload(Liquidation(topic, 0, RECEIVED, Side.BUY, N("1"), N("2"), 'a"b')))
    assert (whole["id"], whole["side"]) == ('a"b', "buy")
    assert {"average_price", "complete", "replayed"}.isdisjoint(whole)


def test_best_bid_and_offer() -> None:
    both = Bbo(parse_topic("binance:spot:BTC-USDT:bbo"), 0, RECEIVED, N("99.50"), N("0"), N("101.00"), N("2.5"))
    assert codec.message("bbo", codec.bbo_payload(both)) == (
        b'{"type":"bbo","payload":{"timestamp":"1970-01-01T00:00:00.000Z","exchange":"binance","market_type":"spot",'
        b'"symbol":{"base":"BTC","quote":"USDT"},"bid":99.50,"bid_size":0,"ask":101.00,"ask_size":2.5,'
        b'"received":"2023-11-14T22:13:20.123Z"}}'
    )
    empty = exact(codec.bbo_payload(Bbo(both.topic, 0, RECEIVED, ask=N("1"))))
    assert {"bid", "bid_size", "ask_size"}.isdisjoint(empty) and empty["ask"] == Decimal(1)


def test_books() -> None:
    snapshot = BookSnapshot(BOOK, 0, RECEIVED, 7, [(N("1.10"), N("2.0"))], [], complete=False)
    assert codec.snapshot_payload(snapshot).endswith(
        '"depth":2,"sequence":7,"bids":[{"price":1.10,"quantity":2.0}],"asks":[],"complete":false,'
        '"received":"2023-11-14T22:13:20.123Z"}'
    )
    delta = BookDelta(BOOK, 0, RECEIVED, 8, [], [(N("1.20"), N("1"))], [N("1.10")], [])
    assert exact(codec.delta_payload(delta))["deletes"] == {"bids": [Decimal("1.10")], "asks": []}


def test_status() -> None:
    event = StreamStatus(BOOK, State.STALE, Cause.SILENT, ("bid", "ask"), 1704067200000)
    assert exact(codec.status_payload(event, source="simulated", age_ms=12)) == {
        "channel": {
            "channel_type": "order_book",
            "exchange": "binance",
            "market_type": "spot",
            "symbol": {"base": "BTC", "quote": "USDT"},
            "depth": 2,
        },
        "state": "stale",
        "cause": "silent",
        "fields": ["bid", "ask"],
        "since": "2024-01-01T00:00:00.000Z",
        "age_ms": 12,
        "source": "simulated",
    }


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12))
def test_numbers_pass_digit_for_digit(value: Decimal) -> None:
    text = admit(format(value, "f"))
    assert codec.encode({"price": codec.number(text)}) == f'{{"price":{text}}}'.encode()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nope", b'{"a":NaN}', b"\xff\xfe", b"[" * 100_000, b'"\xed\xa0\x80"', b"{}{}", b'{"a":1e999999999}'],
)
def test_bad_json_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(codec.InvalidJSON):
        codec.decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        codec.decode(data)
    except codec.InvalidJSON as error:
        assert len(str(error)) <= 120

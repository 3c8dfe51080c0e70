"""What crosses between processes is read back equal, in frames that are not too long."""

from __future__ import annotations

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.wire import BadFrame, Beat, Confirmed, Demanded, Echo, Hold
from cryptodash.core.events import Bbo, BookView, Candle, Event, Gap, Side, StreamStatus, Sweep, Ticker, Trade
from cryptodash.core.numbers import Number
from tests.cluster.wire_samples import (
    BARS,
    EVENTS,
    FULL_TICKER,
    KNOWN,
    QUOTES,
    REPORT,
    SWEEP,
    TICKERS,
    TRADES,
    VIEW,
    N,
    contents,
    crossed,
    read,
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: type(each).__name__)
def test_every_event_is_read_as_it_was_written(event: Event) -> None:
    found = read(event_records.record_of(event))
    assert found == crossed(event) and type(found) is type(event)
    assert found.topic is event.topic
    if isinstance(found, BookView | StreamStatus):
        for name in found.__struct_fields__:
            assert type(getattr(found, name)) is type(getattr(event, name)), name


def test_the_text_of_a_tickers_figures_does_not_cross() -> None:
    bare = msgspec.structs.replace(FULL_TICKER, figures=None)
    assert read(event_records.record_of(FULL_TICKER)) == bare and FULL_TICKER.figures
    assert read(event_records.record_of(Sweep(SWEEP, [FULL_TICKER]))) == Sweep(SWEEP, [bare])
    fields = [*msgspec.structs.astuple(FULL_TICKER)[:-1], '"mark":"0"']
    for kind, content in ((0, fields), (7, [SWEEP, [fields]])):
        found = event_records.read_event(kind, msgspec.Raw(msgpack.encode(content, enc_hook=str)), KNOWN.get)
        for ticker in found.tickers if isinstance(found, Sweep) else [found]:
            assert isinstance(ticker, Ticker) and ticker.figures is None, "nor is one taken that somebody sends"


def test_no_kind_of_event_is_left_out() -> None:
    assert {type(each) for each in EVENTS} == set(Event.__args__)


numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,18})?\Z").map(Number)
levels = st.lists(st.tuples(numbers, numbers), max_size=5).map(tuple)
times = st.integers(0, 253_402_300_799_999)
texts = st.text(max_size=50)


@given(
    st.builds(Trade, st.just(TRADES), times, times, texts, numbers, numbers, st.sampled_from(Side))
    | st.builds(Bbo, st.just(QUOTES), times, times, *[st.none() | numbers] * 4)
    | st.builds(BookView, st.just(VIEW), st.integers(0, 10_000), times, times, levels, levels, st.booleans())
    | st.builds(Candle, st.just(BARS), times, times, *[numbers] * 5, st.booleans(), texts, st.booleans()),
    st.none() | times,
)
def test_whatever_an_event_holds_crosses_with_its_age(event: Event, age_ms: int | None) -> None:
    kind, content, age = contents(event_records.record_of(event, age_ms))
    assert (event_records.read_event(kind, content, KNOWN.get), age) == (event, age_ms)


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: type(each).__name__)
def test_an_event_of_a_topic_that_nobody_wants_is_none(event: Event) -> None:
    assert read(event_records.record_of(event), lambda text: None) is None


def test_a_frame_says_whose_it_is_where_it_stands_when_it_was_sent_and_for_whom() -> None:
    frame = wire.read_frame(wire.frame_of(7, 8, 9.5, [wire.ask(), wire.catalogue_of("spot")], "a process"))
    assert (frame.version, frame.fence, frame.offset, frame.sent, frame.to) == (wire.VERSION, 7, 8, 9.5, "a process")
    assert [kind for kind, _, _ in frame.records] == [wire.ASK, wire.CATALOGUE]
    assert wire.read_text(frame.records[1][1]) == "spot"


def test_what_was_told_of_a_topic_before_is_read_in_its_order() -> None:
    events = [Trade(TRADES, 1, 2, "a", N("3"), N("4"), Side.BUY), Gap(TRADES, 1, 2), EVENTS[5]]
    kind, content, _ = contents(event_records.recent_of(TRADES, events))
    assert kind == wire.RECENT
    assert event_records.read_recent(content, KNOWN.get) == (TRADES, events)
    assert event_records.read_recent(content, lambda text: None) is None


def test_what_was_told_before_holds_nothing_but_events() -> None:
    for record in (wire.ask(), msgpack.encode((-1, [], None))):
        content = msgspec.Raw(msgpack.encode((TRADES.text, [msgspec.Raw(record)])))
        with pytest.raises(BadFrame, match="kind"):
            event_records.read_recent(content, KNOWN.get)


def test_beats_reports_bars_and_wishes_are_read_as_they_were_written() -> None:
    beat = Beat([Confirmed(TICKERS.text, 5, None), Confirmed(VIEW.text, 0, 7)], [Echo("a", 1.5, 2.25)])
    assert wire.read_beat(contents(wire.beat_of(beat))[1]) == beat
    for report in (REPORT, attrs.evolve(REPORT, cause=None, last_message=None, clock_ahead_ms=None)):
        assert wire.read_report(contents(wire.report_of(report))[1]) == report
    bars = [each for each in EVENTS if isinstance(each, Candle)]
    assert event_records.read_candles(msgspec.Raw(event_records.candles_of(bars)), BARS) == bars
    wish = Demanded(wire.VERSION, "a", 3, 1.5, False, [Hold(VIEW.text, 100)], [Hold(TICKERS.text, 0)])
    assert wire.read_demanded(wire.encode_demanded(wish)) == wish


def test_the_records_of_a_turn_keep_their_order_in_frames_that_are_not_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 10)
    monkeypatch.setattr(wire, "MOST_RECORDS", 4)
    assert wire.parts_of([]) == []
    records = [b"a" * 4, b"b" * 6, b"c", b"d" * 50, b"e" * 10, *[b"f"] * 9]
    parts = wire.parts_of(records)
    assert [each for part in parts for each in part] == records
    assert [len(part) for part in parts] == [2, 1, 1, 1, 4, 4, 1], "what is too long by itself is alone"


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=60))
def test_no_part_is_empty_and_only_a_single_record_is_too_long(records: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "MOST_BYTES", 10)
        patch.setattr(wire, "MOST_RECORDS", 5)
        parts = wire.parts_of(records)
    assert [each for part in parts for each in part] == records
    for part in parts:
        assert 1 <= len(part) <= 5
        assert sum(map(len, part)) <= 10 or len(part) == 1


@pytest.mark.parametrize(
    "text",
    [
        "binance:perpetual:kPEPE-USDT:trade",
        "binance:perpetual:KPEPE-USDT:trade",
        "binance:perpetual:ß-USDT:candle:1m",
        "binance:perpetual:A-B-USDT:order_book:1000",
        "binance:perpetual:btc-usdt:order_book",
        "binance:perpetual:*:ticker",
        "composite:spot:BTC-USDT:bbo",
    ],
)
def test_a_topic_keeps_the_spelling_of_its_symbol(text: str) -> None:
    topic = event_records.topic_of(text)
    assert topic.text == text and event_records.topic_of(topic.text) is topic


def test_symbols_that_differ_in_their_case_only_are_different_topics() -> None:
    assert len({event_records.topic_of(f"binance:spot:{each}-USDT:trade") for each in ("kPEPE", "KPEPE", "kpepe")}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":::",
        "binance",
        "binance:spot:BTC-USDT",
        "binance:spot:BTC/USDT:trade",
        "binance:spot:BTCUSDT:trade",
        "Binance:spot:BTC-USDT:trade",
        "binance:SPOT:BTC-USDT:trade",
        " binance:spot:BTC-USDT:trade",
        "binance:spot:BTC-USDT:trade\n",
        "binance:spot:BTC-USDT:trade:1",
        "binance:spot:BTC-USDT:orderbook:10",
        "binance:spot:BTC-USDT:order_book:010",
        "binance:spot:BTC-USDT:order_book:1001",
        "binance:spot:BTC-USDT:candle:7m",
        "binance:spot:BTC-USDT:liquidation",
        "binance:spot:*:trade",
        "binance:spot:\ud800-USDT:trade",
    ],
)
def test_what_is_not_exactly_a_topic_is_refused(text: str) -> None:
    with pytest.raises(BadFrame):
        event_records.topic_of(text)

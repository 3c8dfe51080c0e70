"""What comes from another process and is not as it should be is refused, and nothing but refused."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import msgspec
import pytest
from msgspec import msgpack

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.wire import BadFrame, Beat, Confirmed, Demanded, Echo, Hold
from cryptodash.core.events import Bbo, BookView, Candle, Gap, Side, Sweep, Ticker, Trade
from tests.cluster.wire_samples import (
    BARS,
    EVENTS,
    KNOWN,
    OTHER,
    QUOTES,
    REPORT,
    SWEEP,
    TICKERS,
    TRADES,
    VIEW,
    N,
    contents,
    read,
)


@pytest.mark.parametrize("version", [0, wire.VERSION + 1, -1])
def test_what_is_of_another_version_is_refused(version: int) -> None:
    with pytest.raises(BadFrame, match="version"):
        wire.read_frame(msgpack.encode((version, 1, 2, 3.5, "", [])))
    with pytest.raises(BadFrame, match="version"):
        wire.read_demanded(wire.encode_demanded(Demanded(version, "a", 1, 2.5, True, [], [])))


NOT_NUMBERS = ("abc", "1e5", "NaN", "Infinity", "", "+1", "01", "1.", ".5", "1,5", "1 ", " 1", "1\n", "٣", "1" * 65)


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_a_number_that_is_none_is_refused_wherever_it_stands(text: str) -> None:
    bad, good = N(text), N("1")
    for event in (
        Trade(TRADES, 1, 2, "a", bad, good, Side.BUY),
        Bbo(QUOTES, 1, 2, good, bad),
        Ticker(TICKERS, 1, 2, good, open_interest=bad),
        Candle(BARS, 1, 2, good, good, good, good, bad, True),
        BookView(VIEW, 100, 1, 2, ((good, good), (good, bad)), ()),
        Sweep(SWEEP, [Ticker(TICKERS, 1, 2, good), Ticker(OTHER, 1, 2, bad)]),
    ):
        with pytest.raises(BadFrame):
            read(event_records.record_of(event))
    with pytest.raises(BadFrame):
        event_records.read_candles(
            msgspec.Raw(event_records.candles_of([Candle(BARS, 1, 2, good, good, bad, good, good, True)])), BARS
        )


def test_a_number_that_is_no_text_is_refused() -> None:
    for value in (1, None, b"1", ["1"]):
        with pytest.raises(BadFrame):
            event_records.read_event(
                2, msgspec.Raw(msgpack.encode([TRADES.text, 1, 2, "a", value, "1", "buy"])), KNOWN.get
            )


def test_a_sweep_with_a_ticker_of_no_topic_is_refused() -> None:
    fields = list(msgspec.structs.astuple(Ticker(TICKERS, 1, 2, N("3"))))
    for text in ("nonsense", "binance:spot:BTCUSDT:ticker", TICKERS.text.upper(), f" {TICKERS.text}"):
        with pytest.raises(BadFrame):
            event_records.read_event(7, msgspec.Raw(msgpack.encode([SWEEP.text, [[text, *fields[1:]]]])), KNOWN.get)


def everything(data: bytes) -> Any:
    """All that a frame holds, read as the one who follows a venue does."""
    found: list[Any] = []
    for kind, content, _ in wire.read_frame(data).records:
        if 0 <= kind < wire.BEAT:
            found.append(event_records.read_event(kind, content, KNOWN.get))
        elif kind == wire.RECENT:
            found.append(event_records.read_recent(content, KNOWN.get))
        elif kind in READERS:
            found.append(READERS[kind](content))
    return found


READERS: dict[int, Callable[[msgspec.Raw], Any]] = {
    wire.BEAT: wire.read_beat,
    wire.CATALOGUE: wire.read_text,
    wire.REPORT: wire.read_report,
}
RECORDS = (
    *(event_records.record_of(each, 5) for each in EVENTS[:18]),
    event_records.recent_of(TRADES, [each for each in EVENTS if isinstance(each, Trade | Gap)]),
    wire.beat_of(Beat([Confirmed(TICKERS.text, 5, None)], [Echo("a", 1.5, 2.25)])),
    wire.report_of(REPORT),
    wire.catalogue_of("spot"),
    wire.ask(),
)


def outcome(reads: Callable[[bytes], Any], data: bytes) -> str:
    """Any other exception is the test's failure."""
    try:
        reads(data)
    except BadFrame:
        return "refused"
    return "read"


def mutated(data: bytes, random: Random) -> bytes:
    """With a few bytes changed, now and then cut or doubled."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        changed[random.randrange(len(changed))] = random.randrange(256)
    cut = random.randrange(len(changed))
    return bytes(random.choice((changed, changed, changed, changed[:cut], changed[cut:], changed + changed[:cut])))


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_a_frame_whose_bytes_were_changed_is_read_or_refused(number: int) -> None:
    random = Random(number)
    data = wire.frame_of(7, 8, 9.5, [RECORDS[number]])
    assert outcome(everything, data) == "read"
    assert "refused" in {outcome(everything, mutated(data, random)) for _ in range(500)}


def test_a_record_whose_bytes_were_changed_is_read_or_refused_by_whoever_reads_it() -> None:
    random = Random(1)
    readers: list[tuple[bytes, Callable[[msgspec.Raw], Any]]] = [
        (bytes(contents(RECORDS[-5])[1]), lambda raw: event_records.read_recent(raw, KNOWN.get)),
        (bytes(contents(RECORDS[-4])[1]), wire.read_beat),
        (bytes(contents(RECORDS[-3])[1]), wire.read_report),
        (bytes(contents(RECORDS[-2])[1]), wire.read_text),
        (
            event_records.candles_of([each for each in EVENTS if isinstance(each, Candle)]),
            lambda r: event_records.read_candles(r, BARS),
        ),
    ]
    for data, reader in readers:
        assert outcome(lambda each, reader=reader: reader(msgspec.Raw(each)), data) == "read"  # type: ignore[misc]
        for _ in range(500):
            outcome(lambda each, reader=reader: reader(msgspec.Raw(each)), mutated(data, random))  # type: ignore[misc]


def test_wishes_whose_bytes_were_changed_are_read_or_refused() -> None:
    random = Random(2)
    wish = Demanded(wire.VERSION, "a", 3, 1.5, False, [Hold(VIEW.text, 100)], [Hold(TICKERS.text, 0)])
    for _ in range(500):
        outcome(wire.read_demanded, mutated(wire.encode_demanded(wish), random))


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xc1", b"{}", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\x96" * 7]
)
def test_garbage_is_refused_by_every_reader(data: bytes) -> None:
    raw = msgspec.Raw(data)
    for reads in (
        lambda: wire.read_frame(data),
        lambda: wire.read_demanded(data),
        lambda: wire.read_beat(raw),
        lambda: wire.read_report(raw),
        lambda: wire.read_text(raw),
        lambda: event_records.read_recent(raw, KNOWN.get),
        lambda: event_records.read_candles(raw, BARS),
        *(lambda kind=kind: event_records.read_event(kind, raw, KNOWN.get) for kind in range(wire.BEAT)),
    ):
        with pytest.raises(BadFrame):
            reads()


def test_what_is_nested_too_deep_is_refused() -> None:
    deep = msgspec.Raw(b"\x91" * 50_000 + b"\xc0")
    with pytest.raises(BadFrame):
        wire.read_frame(wire.frame_of(1, 2, 3.5, [msgpack.encode((wire.REPORT, deep, None))]))
    with pytest.raises(BadFrame):
        wire.read_report(msgspec.Raw(msgpack.encode({**attrs.asdict(REPORT), "rate_limits": {"a": deep}})))
    with pytest.raises(BadFrame):
        event_records.read_recent(msgspec.Raw(msgpack.encode((TRADES.text, [(2, deep, None)]))), KNOWN.get)
    with pytest.raises(BadFrame):
        wire.read_demanded(msgpack.encode((wire.VERSION, "a", 1, 2.5, True, [], [], deep)))


def test_a_frame_that_is_too_long_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    data = wire.frame_of(1, 2, 3.5, [wire.ask()])
    monkeypatch.setattr(wire, "MOST_BYTES", len(data) // 4)
    with pytest.raises(BadFrame, match="too many"):
        wire.read_frame(data)


def test_a_text_that_is_too_long_is_refused() -> None:
    assert wire.read_text(msgspec.Raw(msgpack.encode("x" * 4_000))) == "x" * 4_000
    with pytest.raises(BadFrame):
        wire.read_text(msgspec.Raw(msgpack.encode("x" * 4_001)))

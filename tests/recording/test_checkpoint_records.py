"""The records of a checkpoint: what is put on the tape and when, what is read of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from zope.interface import implementer

from cryptodash.core.checkpoints import BookImage, ICheckpointSource, TakeImage
from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.recording import records, taped_books
from cryptodash.recording.checkpoints import APART_US, MOST_WAITING, Checkpoints
from cryptodash.recording.frame_tap import INSTRUMENTS_AT_ONCE, TRIES, FrameTap
from cryptodash.recording.frames import checkpoint_before, read_frames
from cryptodash.recording.open_tape import OpenTape
from cryptodash.recording.records import Book, Figures, Instruments, Listed
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.taped_books import TapedBook, TapedInstruments
from cryptodash.simulator import recorded_files
from cryptodash.simulator.recording import read_recording
from tests.recording.tapes import SECOND, START, write_run
from tests.recording.test_frame_tap import Taped

SPOT = MarketType.SPOT
CONNECTION = "binance/binance-spot-1"
IMAGE = BookImage(
    SPOT, "BTCUSDT", "binance-spot-1", "btcusdt@depth", None, 77, 5, "9.90 1.50 9.80 2", "10.1 3", False, False
)
BOOK = Book("spot", "BTCUSDT", "s", None, 77, 5, "9.80 2 9.90 1.50 9.8 0.00", "10.2 1 10.1 3 10.20 4", False, True)


def instrument(native: str) -> Instrument:
    return Instrument("binance", SPOT, Symbol(native[:-4], "USDT"), native, Number("0.01"), Number("0.00001"))


@implementer(ICheckpointSource)
@define
class Source:
    listed: Iterable[Instrument] = (instrument("BTCUSDT"),)
    takes: Sequence[TakeImage] = (lambda: IMAGE,)

    def instruments(self) -> Iterable[Instrument]:
        return self.listed

    def images(self) -> Sequence[TakeImage]:
        return self.takes


@define
class Taps:
    """One tap, and the tape that it writes."""

    now: int = START
    waiting: int = 0
    put: list[Any] = field(factory=list)
    tap: Any = None
    checkpoints: Any = None

    def __attrs_post_init__(self) -> None:
        tape = OpenTape(lambda: self.now, lambda block: True)
        tape.put = lambda source, kind, body: self.put.append((source.name, kind, body))  # type: ignore[method-assign]
        self.tap = FrameTap("binance", tape)
        self.checkpoints = Checkpoints({"binance": self.tap}, lambda: self.waiting, lambda: self.now)
        self.tap.connecting("binance-spot-1", SPOT, "wss://h")
        self.tap.sent("binance-spot-1", b"asked")
        self.put.clear()

    def work(self, *, begun: bool = False, lost: bool = False) -> list[int]:
        """A second later: the kinds of what was put."""
        self.put.clear()
        self.now += SECOND
        for _ in self.checkpoints.work(begun=begun, lost=lost):
            pass
        return [kind for _, kind, _ in self.put]


ALL = [records.INSTRUMENTS, records.OPENED, records.STANDING, records.BOOK]


def test_a_checkpoint_is_instruments_what_stands_and_the_books() -> None:
    taps = Taps()
    taps.tap.opened_by(Source())
    assert taps.work() == []
    assert taps.work(begun=True) == ALL
    topics = [topic for topic, _, _ in taps.put]
    assert topics == ["binance/checkpoint", CONNECTION, CONNECTION, CONNECTION]
    listed = records.decode(taps.put[0][2], Instruments)
    assert listed == Instruments("spot", [Listed("BTCUSDT", "BTC", "USDT", "0.01", "0.00001")], begins=True)
    assert records.decode(taps.put[1][2], records.Opened).again
    assert records.decode(taps.put[3][2], Book) == Book(
        "spot", "BTCUSDT", "btcusdt@depth", None, 77, 5, "9.90 1.50 9.80 2", "10.1 3", False, False
    )
    assert taps.work() == []


def test_a_tap_without_a_venue_tells_what_stands() -> None:
    assert Taps().work(begun=True) == [records.OPENED, records.STANDING]


def test_many_instruments_are_told_in_several_records_of_one_checkpoint() -> None:
    taps = Taps()
    taps.tap.opened_by(Source([instrument(f"A{n}USDT") for n in range(INSTRUMENTS_AT_ONCE + 1)], ()))
    taps.work(begun=True)
    found = [records.decode(body, Instruments) for _, kind, body in taps.put if kind == records.INSTRUMENTS]
    assert [(len(each.instruments), each.begins) for each in found] == [(INSTRUMENTS_AT_ONCE, True), (1, False)]


def test_a_book_that_cannot_be_had_yet_is_asked_for_again_for_a_while() -> None:
    taps = Taps()
    answers: list[BookImage | None] = [None, None, IMAGE]
    taps.tap.opened_by(Source(takes=(lambda: answers.pop(0), lambda: None)))
    assert taps.work(begun=True) == ALL[:-1]
    assert [taps.work() for _ in range(TRIES)] == [[], [records.BOOK], *[[]] * (TRIES - 2)]
    assert answers == [] and taps.tap._due == {}


def test_a_book_of_a_connection_that_has_ended_is_left_out() -> None:
    taps = Taps()
    taps.tap.opened_by(Source(takes=(lambda: evolve(IMAGE, connection="gone"),)))
    assert taps.work(begun=True) == ALL[:-1]


def test_books_wait_while_much_waits_to_be_written() -> None:
    """They are large, and all come at once: more than the queue takes would be lost, and told again."""
    taps = Taps()

    def large() -> BookImage:
        taps.waiting += MOST_WAITING // 2
        return IMAGE

    taps.tap.opened_by(Source(takes=[_new(large) for _ in range(5)]))
    assert taps.work(begun=True) == [*ALL, records.BOOK]
    assert taps.work() == []
    taps.waiting = 0
    assert taps.work() == [records.BOOK] * 2
    taps.waiting = 0
    assert taps.work() == [records.BOOK]


def _new(take: Callable[[], BookImage]) -> TakeImage:
    return lambda: take()


def test_books_wait_until_nothing_is_lost_and_are_told_once_in_a_while() -> None:
    """Else a disk that cannot keep up would get more for it."""
    taps = Taps()
    taps.tap.opened_by(Source())
    assert taps.work(lost=True) == ALL[1:-1]
    assert taps.work(lost=True) == ALL[1:-1]
    assert taps.work() == ALL
    told = [taps.work(begun=True)] + [taps.work() for _ in range(APART_US // SECOND - 1)]
    assert told == [ALL[1:-1], *[[]] * (APART_US // SECOND - 2), ALL]


def test_a_book_that_a_tape_cannot_hold_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taps = Taps()
    taps.tap.opened_by(Source())
    monkeypatch.setattr(records, "LONGEST_BODY", 100)
    assert taps.work(begun=True) == ALL[:-1]


# -- read


def taped(root: Path, *said: tuple[int, str, int, bytes]) -> Path:
    """A frames tape of one block."""
    opened = records.encode(records.Opened("spot", "wss://h", again=True))
    write_run(root, [[(START, CONNECTION, records.OPENED, opened), *said]], tape="frames")
    return root


def frame(at: int) -> tuple[int, str, int, bytes]:
    text = b'{"stream":"btcusdt@depth@100ms","data":{"U":%d,"u":%d,"b":[["9.90","1"]],"a":[]}}' % (at, at)
    return START + at, CONNECTION, records.IN, text


def book_record(at: int, **changes: Any) -> tuple[int, str, int, bytes]:
    return START + at, CONNECTION, records.BOOK, records.encode(msgspec.structs.replace(BOOK, **changes))


def listed(at: int, *, market: str = "spot", begins: bool = True, **changes: Any) -> tuple[int, str, int, bytes]:
    row = msgspec.structs.replace(Listed("BTCUSDT", "XBT", "USDT", "0.10", "0.001"), **changes)
    return START + at, "binance/checkpoint", records.INSTRUMENTS, records.encode(Instruments(market, [row], begins))


def test_a_book_is_read_best_first_and_each_level_as_it_was_told_last(tmp_path: Path) -> None:
    taped(tmp_path, listed(1), book_record(2), frame(3))
    found = list(read_frames(tmp_path, "binance", "spot"))
    (instruments,) = [each for each in found if isinstance(each, TapedInstruments)]
    assert [(each.native, str(each.symbol), each.tick_size) for each in instruments.instruments] == [
        ("BTCUSDT", "XBT-USDT", "0.10")
    ]
    (book,) = [each for each in found if isinstance(each, TapedBook)]
    assert book.bids == (("9.90", "1.50"),) and book.asks == (("10.1", "3"), ("10.20", "4"))
    assert (book.native, book.sequence, book.time, book.is_fresh) == ("BTCUSDT", 77, 5, False)


def test_a_replay_has_its_names_and_a_snapshot_of_as_many_levels_as_are_known(tmp_path: Path) -> None:
    recording = read_recording(taped(tmp_path, listed(1), book_record(2), frame(3), frame(4)))
    assert recording.symbols == {"BTCUSDT": Symbol("XBT", "USDT")} and recording.tick_sizes == {"BTCUSDT": "0.10"}
    assert recording.limits == {"BTCUSDT": 1}  # one bid; all asks are known
    body = b'{"lastUpdateId":77,"bids":[["9.90","1.50"]],"asks":[["10.1","3"],["10.20","4"]]}'
    assert recording.snapshots == {"BTCUSDT": body}
    whole = read_recording(taped(tmp_path / "whole", listed(1), book_record(2, bids_end=True), frame(3)))
    assert whole.limits == {"BTCUSDT": 3}


def test_a_book_is_not_taken_where_its_connection_began_or_an_answer_came(tmp_path: Path) -> None:
    opened = START + 1, CONNECTION, records.OPENED, records.encode(records.Opened("spot", "wss://h"))
    assert read_recording(taped(tmp_path / "fresh", opened, frame(2), book_record(3), frame(4))).snapshots == {}
    head = records.encode(records.AnswerHead("/api/v3/depth?symbol=BTCUSDT&limit=5", "spot", "snapshot"))
    answer = START + 1, "binance", records.ANSWER, head + b"\n{}"
    found = read_recording(taped(tmp_path / "answered", answer, frame(2), book_record(3), frame(4)))
    assert found.snapshots == {"BTCUSDT": b"{}"} and found.further_snapshots == {}


def test_answers_to_audits_are_not_given_to_whoever_wants_a_book(tmp_path: Path) -> None:
    """They have as few levels as are looked at, and none of the book's proof."""
    head = records.encode(records.AnswerHead("/api/v3/depth?symbol=BTCUSDT&limit=5", "spot", "audit"))
    audit = START + 1, "binance", records.ANSWER, head + b"\n{}"
    found = read_recording(taped(tmp_path, audit, frame(2), book_record(3), frame(4)))
    assert len(found.snapshots) == 1 and found.snapshots["BTCUSDT"].startswith(b'{"lastUpdateId":77')


def test_the_last_checkpoint_before_a_time_is_found(tmp_path: Path) -> None:
    said = [listed(at * SECOND, market=market, begins=begins) for at, market, begins in MARKS]
    blocks = [[(START, CONNECTION, records.OPENED, b"{}")], *[[each, frame(each[0] - START)] for each in said]]
    write_run(tmp_path, blocks, tape="frames")

    def found(at: float) -> float | None:
        time = checkpoint_before(tmp_path, "binance", "spot", START + round(at * SECOND))
        return None if time is None else (time - START) / SECOND

    assert [found(at) for at in (0, 0.9, 1, 2.5, 4.9, 5, 9)] == [None, None, 1, 1, 1, 5, 5]


MARKS = [(1, "spot", True), (2, "spot", False), (4, "perpetual", True), (5, "spot", True)]

# -- of anybody


@pytest.mark.parametrize(
    "said",
    [
        book_record(1, bids="9.90"),
        book_record(1, bids="9.90 x"),
        book_record(1, bids="9.90  1.5"),
        book_record(1, bids="-1 1"),
        book_record(1, bids="0 1"),
        book_record(1, bids="1 -1"),
        book_record(1, bids="NaN 1"),
        book_record(1, bids="1e400 1"),
        book_record(1, bids="\u0661 1"),
        book_record(1, native=""),
        book_record(1, native='"'),
        book_record(1, native="a\n"),
        book_record(1, native="A" * 101),
        book_record(1, sequence=-1),
        book_record(1, time=2**53),
        book_record(1, depth=0),
        book_record(1, sequence=None),
        listed(1, tick="0"),
        listed(1, tick="1_0"),
        listed(1, contract="x"),
        listed(1, base=""),
        listed(1, quote='"'),
        (START + 1, CONNECTION, records.BOOK, b"{}"),
        (START + 1, CONNECTION, records.BOOK, b"[" * 10_000),
        (START + 1, "binance/checkpoint", records.INSTRUMENTS, b'{"market":"spot","instruments":[{}]}'),
    ],
)
def test_what_is_no_book_or_instrument_refuses_the_tape(tmp_path: Path, said: tuple[int, str, int, bytes]) -> None:
    taped(tmp_path, said, frame(2))
    with pytest.raises(ConfigError, match=r"^replay: .* cannot be read: [^\n]*$"):
        read_recording(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        Figures("perpetual", "", "s", 5, {}),
        Figures("perpetual", "BTCUSDT", "s", 5, {"last": "x"}),
        Figures("perpetual", "BTCUSDT", "s", 5, {"change_pct_24h": "0.000000000000000001"}),
        Figures("perpetual", "BTCUSDT", "s", 2**53, {}),
        Figures("perpetual", "BTCUSDT", "s", 5, {str(n): "1" for n in range(101)}),
    ],
)
def test_what_are_no_figures_refuses_the_tape(tmp_path: Path, said: Figures) -> None:
    connection = "bybit/bybit-linear-1"
    opened = records.encode(records.Opened("perpetual", "wss://h", again=True))
    block = [
        (START, connection, records.OPENED, opened),
        (START + 1, connection, records.FIGURES, records.encode(said)),
    ]
    write_run(tmp_path, [block], tape="frames")
    with pytest.raises(ConfigError, match=r"^replay: .* cannot be read: [^\n]*$"):
        read_recording(tmp_path)


def test_where_too_much_lies_before_the_chosen_time_it_begins_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taped(tmp_path, listed(1), book_record(2), *(frame(n) for n in range(3, 200)))
    begin = START + 150
    recording = read_recording(tmp_path, begin=begin)
    assert len(recording.frames) == 197 and recording.snapshots and recording.frames[0].at < 0
    monkeypatch.setattr(recorded_files, "MOST_BYTES", 60_000)
    with capturedLogs() as logs:
        recording = read_recording(tmp_path, begin=begin)
    assert len(recording.frames) == 50 and not recording.snapshots and recording.frames[0].at == 0
    assert [each["log_level"].name for each in logs] == ["warn"]
    with pytest.raises(ConfigError, match="too large"):
        read_recording(tmp_path)


def test_a_book_has_so_many_levels_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taped_books, "MOST_LEVELS", 2)
    many = " ".join(f"{n} 1" for n in range(1, 4))
    taped(tmp_path, book_record(1, bids=many), frame(2))
    with pytest.raises(BadTape, match="too many"):
        list(read_frames(tmp_path, "binance", "spot"))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_mutated_record_is_refused_or_what_it_says(data: st.DataObject) -> None:
    exchange, market = data.draw(st.sampled_from(VENUES))
    native = {"okx": "BTC-USDT-SWAP", "kraken": "BTC/USD"}.get(exchange, "BTCUSDT")
    row = Listed(native, "BTC", "USDT", "0.1", "0.001", "0.01" if exchange == "okx" else "")
    said = [
        (records.INSTRUMENTS, records.encode(Instruments(market, [row], begins=True))),
        (records.BOOK, records.encode(msgspec.structs.replace(BOOK, market=market, native=native, depth=50))),
        (records.FIGURES, records.encode(Figures(market, native, "s", 5, FIGURES))),
    ]
    chosen = data.draw(st.integers(0, 2))
    body = bytearray(said[chosen][1])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6) | st.sampled_from(BITS))
    said[chosen] = said[chosen][0], bytes(body)
    connection = f"{exchange}/c-1"
    opened = records.encode(records.Opened(market, "wss://h", again=True))
    first = [(START, connection, records.OPENED, opened)]
    topics = [f"{exchange}/checkpoint", connection, connection]
    rest = [(START + 1 + n, topics[n], kind, text) for n, (kind, text) in enumerate(said)]
    with TemporaryDirectory() as directory:
        write_run(Path(directory), [[*first, *rest, (START + 9, connection, records.IN, b"{}")]], tape="frames")
        with suppress(ConfigError):
            recording = read_recording(Path(directory))
            assert all(isinstance(each.text, str) for each in recording.frames)
        with suppress(BadTape):
            checkpoint_before(Path(directory), exchange, market, START + 9)


VENUES = [
    ("binance", "spot"),
    ("binance", "perpetual"),
    ("bybit", "spot"),
    ("bybit", "perpetual"),
    ("okx", "perpetual"),
    ("coinbase", "spot"),
    ("kraken", "spot"),
]
FIGURES = {"last": "9.95", "change_pct_24h": "-0.50", "next_funding_time": "1700000000000"}
BITS = [b'"', b"}", b"9" * 30, b"null", b" ", b"e99", b"-", b"\\u0000", b"true", b"["]


def test_a_large_book_is_read_whole(tmp_path: Path) -> None:
    """It goes over several records and blocks."""
    many = " ".join(f"{n}.00000001 1.00000000" for n in range(1, 60_001))
    taped = Taped(tmp_path)
    taped.tap.connecting("binance-spot-1", SPOT, "wss://h")
    taped.tap.opened_by(Source(takes=(lambda: evolve(IMAGE, bids=many),)))
    for _ in [*taped.tap.checkpoint(), *taped.tap.images(lambda: True)]:
        pass
    taped.close()
    (book,) = [each for each in read_frames(tmp_path, "binance", "spot") if isinstance(each, TapedBook)]
    assert len(book.bids) == 60_000 and book.bids[0] == ("60000.00000001", "1.00000000")

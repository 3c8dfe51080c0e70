"""The frames tape, read: what crossed between one venue and us. Knows no hub, for the simulator plays it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.layout import FRAMES
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.taped_books import (
    TapedBook,
    TapedFigures,
    TapedInstruments,
    book_of,
    figures_of,
    instruments_of,
)

STALLED = "stalled"
"""The reason of a hole in which nothing is missing: what came meanwhile is told afterwards."""


@frozen
class TapedFrame:
    """``at``: tape time in seconds. ``came_in`` False: it was sent."""

    at: float
    came_in: bool
    frame: bytes


@frozen
class TapedAnswer:
    """A REST answer; ``url`` without the host, ``purpose`` as in ``AnswerHead``."""

    at: float
    url: str
    market: str
    body: bytes
    purpose: str = ""


Taped = TapedFrame | TapedAnswer | TapedBook | TapedFigures | TapedInstruments


def checkpoint_before(path: Path, exchange: str, market: str, at: int) -> int | None:
    """When the last checkpoint of a market began before ``at`` (tape time, us), or then; None without one. Reads
    the blocks only that have some. Raises ``BadTape``."""
    topics = [f"{exchange}/{records.CHECKPOINT}"]
    with Recording(path, FRAMES) as recording:
        end = at
        for begin in reversed(recording.block_times(0, at, topics)):
            found = [
                each.time
                for each in recording.read(begin, end, topics)
                if isinstance(each, Entry) and each.kind == records.INSTRUMENTS and _begins(each.body, market)
            ]
            if found:
                return found[-1]
            end = begin
    return None


def _begins(body: bytes, market: str) -> bool:
    said = records.decode(body, records.Instruments)
    return said.begins and said.market == market


def markets_in(path: Path) -> dict[str, set[str]]:
    """The markets of which there are frames, by exchange. Raises ``BadTape``."""
    found: dict[str, set[str]] = {}
    for each in _entries(path, 0, MOST_TIME, None):
        if each.kind == records.OPENED:
            exchange, _, _ = each.topic.partition("/")
            found.setdefault(exchange, set()).add(records.decode(each.body, records.Opened).market)
    return found


def read_frames(
    path: Path, exchange: str, market: str, begin: int = 0, end: int = MOST_TIME
) -> Iterator[Taped | Missing]:
    """What crossed from ``begin`` to ``end`` (tape time, us), and what checkpoints tell, in order. Raises
    ``BadTape``."""
    markets: dict[str, str] = {}
    fresh: set[str] = set()
    for each in _all(path, begin, end, exchange):
        if isinstance(each, Missing):
            if each.reason != STALLED:
                fresh.clear()
            yield each
        elif each.kind == records.OPENED:
            opened = records.decode(each.body, records.Opened)
            markets[each.topic] = opened.market
            if not opened.again:
                fresh.add(each.topic)
        elif each.kind == records.BOOK:
            book = records.decode(each.body, records.Book)
            if book.market == market:
                yield book_of(each.time / 1e6, book, is_fresh=each.topic in fresh)
        elif each.kind == records.FIGURES:
            figures = records.decode(each.body, records.Figures)
            if figures.market == market:
                yield figures_of(each.time / 1e6, figures, is_fresh=each.topic in fresh)
        elif each.kind == records.INSTRUMENTS:
            listed = records.decode(each.body, records.Instruments)
            if listed.market == market:
                yield instruments_of(each.time / 1e6, exchange, listed)
        elif each.kind == records.ANSWER:
            head, _, body = each.body.partition(b"\n")
            said = records.decode(head, records.AnswerHead)
            if said.market == market:
                yield TapedAnswer(each.time / 1e6, said.url, said.market, body, said.purpose)
        elif each.kind in (records.IN, records.OUT, records.STANDING) and markets.get(each.topic, market) == market:
            yield TapedFrame(each.time / 1e6, each.kind == records.IN, each.body)


def _entries(path: Path, begin: int, end: int, exchange: str | None) -> Iterator[Entry]:
    return (each for each in _all(path, begin, end, exchange) if isinstance(each, Entry))


def _all(path: Path, begin: int, end: int, exchange: str | None) -> Iterator[Entry | Missing]:
    with Recording(path, FRAMES) as recording:
        if not recording.spans:
            raise BadTape("no frames are recorded there" + _why(recording))
        topics = None
        if exchange is not None:
            topics = [each for each in recording.topics(begin, end) if each.partition("/")[0] == exchange]
        yield from recording.read(begin, end, topics)


def _why(recording: Recording) -> str:
    return f" ({recording.unreadable[0].reason})" if recording.unreadable else ""

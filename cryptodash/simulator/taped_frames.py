"""Frames and REST answers of a tape of ours, for a replay. Loaded when one is played."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import define, field
from twisted.logger import Logger

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import Number
from cryptodash.core.printable import printable
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.entries import Missing
from cryptodash.recording.frames import (
    STALLED,
    Taped,
    TapedAnswer,
    TapedFrame,
    checkpoint_before,
    markets_in,
    read_frames,
)
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.taped_books import TapedBook, TapedFigures, TapedInstruments
from cryptodash.simulator import recorded_files
from cryptodash.simulator.dialect import (
    IBookSnapshots,
    IFiguresSnapshots,
    IRecordingReader,
    RecordedBook,
    RecordedFigures,
)
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.recorded_files import RecordedAnswer, RecordedFrame, one_line

_OF_ONE: Final = 512
"""Bytes that a frame or an answer takes beside its own, about: there may be millions that are empty."""

CONTAINED_S = 60.0
"""For so long before a checkpoint what came of a book is taken to be of no other use than to be contained in it."""

FIGURES = -1
"""In place of a book's depth."""
AUDIT = "audit"
"""The purpose of a REST order book that a live one was compared with."""

_log = Logger(namespace="cryptodash.replay")


@define(eq=False)
class TapeOfFrames:
    """One venue and market of a tape of ours, read whole. Raises ``ConfigError`` where there is none, several, or too
    much. ``start``: the time that was asked for (seconds), where what is read begins with a checkpoint before it."""

    exchange: str
    market: str
    start: float | None = None
    lines: list[RecordedFrame] = field(factory=list)
    answers: list[RecordedAnswer] = field(factory=list)
    instruments: dict[str, Instrument] = field(factory=dict)
    """By native name."""
    holes: list[int] = field(factory=list)
    """Places among the lines before which something is missing."""

    @classmethod
    def read(
        cls, path: Path, exchange: str, market: str, known: Collection[str], begin: int | None, end: int | None
    ) -> TapeOfFrames:
        """``known``: the venues that can be replayed. Begins at the last checkpoint before ``begin``, if there is
        one."""
        last = MOST_TIME if end is None else end
        try:
            chosen = _chosen(path, exchange, market, known)
            earlier = None if begin is None else checkpoint_before(path, *chosen, begin)
            if begin is None or earlier is None:
                return _Reading(cls(*chosen), path).all(begin or 0, last)
            try:
                return _Reading(cls(*chosen, begin / 1e6), path).all(earlier, last)
            except _TooLarge:
                _log.warn("too much lies between the checkpoint before --from and that time: order books come later")
                return _Reading(cls(*chosen), path).all(begin, last)
        except (BadTape, OSError) as error:
            raise ConfigError(f"replay: {path.name or path} cannot be read: {one_line(error)}") from None


class _TooLarge(ConfigError):
    pass


class _Reading:
    """Fills ``tape``. Of the books of checkpoints those are taken that nothing else tells: the first of each since the
    beginning, or since something is missing."""

    def __init__(self, tape: TapeOfFrames, path: Path) -> None:
        self._tape = tape
        self._path = path
        self._reader: IRecordingReader | None = registry.load(tape.exchange).recordings
        self._size = 0
        self._known: set[tuple[str, int | None]] = set()
        self._answered: set[str] = set()
        self._since: tuple[int, float] | None = None
        """Place and time (seconds) of the first line since the beginning, or since something is missing."""

    def all(self, begin: int, end: int) -> TapeOfFrames:
        tape = self._tape
        for each in read_frames(self._path, tape.exchange, tape.market, begin, end):
            if isinstance(each, Missing):
                self._missing(each)
            else:
                if self._since is None:
                    self._since = len(tape.lines), each.at
                self._take(each, self._since)
            if self._size > recorded_files.MOST_BYTES:
                raise _TooLarge(
                    f"replay: {self._path.name or self._path} is too large; allowed are {recorded_files.MOST_BYTES} "
                    "bytes: choose a time by --from and --to"
                )
        return tape

    def _missing(self, hole: Missing) -> None:
        if hole.reason != STALLED:
            self._tape.holes.append(len(self._tape.lines))
            self._since = None
            self._known.clear()
            self._answered.clear()

    def _take(self, each: Taped, since: tuple[int, float]) -> None:
        tape = self._tape
        if isinstance(each, TapedFrame):
            text = each.frame.decode("utf-8", "replace")
            self._size += len(each.frame) + _OF_ONE
            tape.lines.append(RecordedFrame(each.came_in, each.at, text))
        elif isinstance(each, TapedAnswer):
            if each.purpose == AUDIT:
                return  # nothing asks for it again, and it has few levels
            self._size += len(each.body) + _OF_ONE
            tape.answers.append(RecordedAnswer(each.url, each.body, each.at))
            self._note_answer(each.url)
        elif isinstance(each, TapedInstruments):
            tape.instruments.update((known.native, known) for known in each.instruments)
        elif isinstance(each, TapedFigures):
            if not each.is_fresh and (each.native, FIGURES) not in self._known:
                self._known.add((each.native, FIGURES))
                self._take_figures(each)
        elif not each.is_fresh and (each.native, each.depth) not in self._known:
            self._known.add((each.native, each.depth))
            self._take_book(each, since)

    def _note_answer(self, url: str) -> None:
        with suppress(ValueError):
            asked = None if self._reader is None else self._reader.read_snapshot_request(url)
            if asked is not None:
                self._answered.add(asked.native)

    def _take_figures(self, each: TapedFigures) -> None:
        if IFiguresSnapshots.providedBy(self._reader):
            figures = RecordedFigures(MarketType(each.market), each.native, each.time, each.figures)
            try:
                text = self._reader.figures_snapshot(figures)
            except ValueError as error:
                raise BadTape(f"the figures of {each.native} cannot be told: {error}"[:200]) from None
            if text is not None:
                self._size += len(text) + _OF_ONE
                self._tape.lines.append(RecordedFrame(True, each.at, text))

    def _take_book(self, each: TapedBook, since: tuple[int, float]) -> None:
        if not IBookSnapshots.providedBy(self._reader):
            return
        listed = self._tape.instruments.get(each.native)
        contract = None if listed is None else listed.contract_size
        try:
            found = self._reader.book_snapshot(_recorded(each, contract))
        except ValueError as error:
            raise BadTape(f"the book of {each.native} cannot be told: {error}"[:200]) from None
        place, began = since
        if not isinstance(found, RecordedAnswer):
            self._size += len(found) + _OF_ONE
            holds_from = place if each.at - began <= CONTAINED_S else len(self._tape.lines)
            self._tape.lines.append(RecordedFrame(True, each.at, found, holds_from))
        elif each.native not in self._answered:
            self._size += len(found.body) + _OF_ONE
            self._tape.answers.append(RecordedAnswer(found.url, found.body, each.at, is_checkpoint=True))


def _recorded(each: TapedBook, contract_size: Number | None) -> RecordedBook:
    """Of a side that goes on beyond what is known, so many levels as there are prove themselves."""
    counts = [len(side) for side, is_all in ((each.bids, each.bids_end), (each.asks, each.asks_end)) if not is_all]
    limit = max(1, min(counts)) if counts else max(len(each.bids), len(each.asks)) + 1
    return RecordedBook(
        MarketType(each.market),
        each.native,
        each.depth,
        each.sequence,
        round(each.at * 1000) if each.time is None else each.time,
        each.bids,
        each.asks,
        limit,
        contract_size,
    )


def _chosen(path: Path, exchange: str, market: str, known: Collection[str]) -> tuple[str, str]:
    found = markets_in(path)
    pairs = [
        (each, kind)
        for each, kinds in sorted(found.items())
        for kind in sorted(kinds)
        if each in known and exchange in ("", each) and market in ("", kind)
    ]
    if len(pairs) != 1:
        there = printable(
            ", ".join(f"{each} {kind}" for each, kinds in sorted(found.items()) for kind in sorted(kinds))
        )
        raise ConfigError(
            f"replay: {path.name or path} holds {there or 'no connection'}: name one by --exchange and --market"
        )
    return pairs[0]

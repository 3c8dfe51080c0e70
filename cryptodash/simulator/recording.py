"""Recorded frames of one venue, read from a file.

A recording is a tape of ours, or a file of lines ``{"t": seconds or null, "dir": "in"|"out", "raw": "<text of one
frame>"}`` (``.jsonl`` or ``.jsonl.gz``). REST snapshots that belong to a file are found through ``rest-index.json``
beside it. Whatever is wrong with a recording is one line of ``ConfigError``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from cryptodash.core.errors import ConfigError, Refused
from cryptodash.core.instruments import Instrument, MarketType, Symbol, split_symbol
from cryptodash.simulator.dialect import IRecordingReader
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.recorded_files import (
    RecordedAnswer,
    RecordedFrame,
    answers_of_index,
    file_lines,
    is_tape,
    one_line,
    said,
)
from cryptodash.simulator.recorded_streams import GAP_WITHOUT_TIMES, Frame, beginning, data_frames

__all__ = ["GAP_WITHOUT_TIMES", "Frame", "Recording", "TimedSnapshot", "answers_beside", "read_recording"]

if TYPE_CHECKING:
    from cryptodash.simulator.taped_frames import TapeOfFrames

# A recording carries no catalogue, so where the operator names no split these endings are tried, longest first.
# Nothing but a replay does this.
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "USD", "TRY", "GBP")


@frozen
class TimedSnapshot:
    """A REST order book: its body, when it came (as ``Frame.at``), and whether it was made of a checkpoint."""

    body: bytes
    at: float
    is_checkpoint: bool


@frozen
class Recording:
    """A recorded run of one venue and market."""

    exchange: str
    market: MarketType
    reader: IRecordingReader
    """What knows the venue's words."""
    frames: Sequence[Frame]
    symbols: dict[str, Symbol]
    """By native name, upper case."""
    tick_sizes: dict[str, str]
    snapshots: dict[str, bytes] = field(factory=dict)
    """REST order books by native name: the first of each."""
    limits: dict[str, int] = field(factory=dict)
    """How many levels a side they were asked for: of several the fewest, beyond which not all prove anything."""
    further_snapshots: dict[str, tuple[bytes, ...]] = field(factory=dict)
    """Those that were taken after the first, oldest first."""
    is_taped: bool = False
    taped_answers: tuple[RecordedAnswer, ...] = ()
    """All REST answers, of a tape; those of a file lie beside it."""
    timed_snapshots: Mapping[str, Sequence[TimedSnapshot]] = field(factory=dict)
    """Of a tape, by native name: the REST order books in the order in which they came, those of checkpoints among
    them."""
    instruments: Mapping[str, Instrument] = field(factory=dict)
    """Those of a tape's checkpoints, by native name."""

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(frame.stream for frame in self.frames))

    def samples(self) -> dict[str, str]:
        """One frame of each stream."""
        return {frame.stream: frame.text for frame in reversed(self.frames)}

    def answers(self, rest_path: str, params: Iterable[tuple[str, str]] = ()) -> list[bytes]:
        """Of a tape the REST answers to a request of this path and these parameters, perhaps among others, oldest
        first."""
        wanted = set(params)
        return [each.body for each in self.taped_answers if _answers(each.url, rest_path, wanted)]

    def asked(self, request: bytes) -> Sequence[str]:
        """Which streams a subscribe frame asks for."""
        message = said(request.decode())
        found = self.reader.read_request(message) if isinstance(message, dict) else None
        return () if found is None else found.subscribes


def read_recording(
    path: Path,
    *,
    exchange: str = "",
    market: str = "",
    symbols: Iterable[str] = (),
    begin: int | None = None,
    end: int | None = None,
) -> Recording:
    """Read a recording: a file, or a tape of ours. What is not named is told from the frames and the file's name; a
    tape knows itself. Raises ``ConfigError`` with the reason.

    ``symbols`` are ``NATIVE=BASE-QUOTE`` texts; ``begin`` and ``end`` (tape time, us) choose of a tape.
    """
    _check("--exchange", exchange, registry.available())
    _check("--market", market, tuple(MarketType))
    split = dict(_split(text) for text in symbols)
    tape: TapeOfFrames | None = None
    if is_tape(path):
        from cryptodash.simulator.taped_frames import TapeOfFrames  # only then: nothing else needs tapes

        tape = TapeOfFrames.read(path, exchange, market, registry.available(), begin, end)
        exchange, reader, frames = _read_frames(path, tape.lines, [tape.exchange], tape.start, tape.holes)
        kind = MarketType(tape.market)
    else:
        lines = list(file_lines(path))
        exchange, reader, frames = _read_frames(path, lines, [exchange] if exchange else registry.available())
        kind = MarketType(market) if market else _market_of(path, reader)
    by_native: dict[str, list[Frame]] = {}
    for frame in frames:
        native = reader.native_of(frame.stream)
        if native:
            by_native.setdefault(native, []).append(frame)
    listed = {} if tape is None else {native.upper(): each for native, each in tape.instruments.items()}
    known = {native: split.get(native) or _symbol_of(listed.get(native), native) for native in by_native}
    ticks = {
        native: listed[native].tick_size if native in listed else _tick(reader, own[:200])
        for native, own in by_native.items()
    }
    snapshots: dict[str, list[_Snapshot]] = {}
    for snapshot in (
        _snapshots(path, reader, known, kind) if tape is None else _taped_snapshots(tape.answers, reader, known)
    ):
        snapshots.setdefault(snapshot.native, []).append(snapshot)
    return Recording(
        exchange,
        kind,
        reader,
        frames,
        known,
        ticks,
        {native: first.body for native, (first, *_) in snapshots.items()},
        {native: min(each.limit for each in several) for native, several in snapshots.items()},
        {native: tuple(each.body for each in rest) for native, (_, *rest) in snapshots.items() if rest},
        tape is not None,
        () if tape is None else tuple(tape.answers),
        {} if tape is None else _timed(snapshots, beginning(tape.lines, tape.start)),
        {} if tape is None else tape.instruments,
    )


def _timed(snapshots: Mapping[str, Iterable[_Snapshot]], began: float) -> dict[str, list[TimedSnapshot]]:
    return {
        native: [TimedSnapshot(each.body, each.time - began, each.is_checkpoint) for each in several]
        for native, several in snapshots.items()
    }


def _market_of(path: Path, reader: IRecordingReader) -> MarketType:
    says_so = any(word in path.name for word in reader.perpetual_words)
    return MarketType.PERPETUAL if says_so else MarketType.SPOT


def _check(option: str, value: str, allowed: Sequence[str]) -> None:
    if value and value not in allowed:
        raise ConfigError(f"replay: {option} {value[:40]!r} is not one of: {', '.join(map(str, allowed))}")


# -- frames


def _read_frames(
    path: Path,
    lines: Sequence[RecordedFrame],
    exchanges: Sequence[str],
    start: float | None = None,
    holes: Sequence[int] = (),
) -> tuple[str, IRecordingReader, list[Frame]]:
    """The data frames, as the one of these venues reads them that reads most of them."""
    found: tuple[str, IRecordingReader, list[Frame]] | None = None
    for exchange in exchanges:
        reader = registry.load(exchange).recordings
        frames = [] if reader is None else list(data_frames(lines, reader, start, holes))
        if reader is not None and len(frames) > (0 if found is None else len(found[2])):
            found = exchange, reader, frames
    if found is None:
        raise ConfigError(f"replay: {path.name} holds no data frame of {', '.join(exchanges)}")
    return found


# -- what a recording does not say itself


def _split(text: str) -> tuple[str, Symbol]:
    native, _, split = text.partition("=")
    try:
        symbol = split_symbol(split)
    except Refused:
        symbol = None
    if symbol is None or not native:
        raise ConfigError(f"replay: --symbol takes NATIVE=BASE-QUOTE, not {text[:40]!r}")
    return native.upper(), symbol


def _symbol_of(listed: Instrument | None, native: str) -> Symbol:
    return _guess(native) if listed is None else listed.symbol


def _guess(native: str) -> Symbol:
    """Base and quote of a native name: apart where the venue writes them apart (``BTC-USDT``, and what comes after
    is the kind of contract), else told by the quote that it ends with."""
    base, *parts = re.split("[-/]", native)
    if base and parts and parts[0]:
        return Symbol(base, parts[0])
    for quote in QUOTES:
        if native.endswith(quote) and native != quote:
            return Symbol(native.removesuffix(quote).rstrip("-/_"), quote)
    raise ConfigError(f"replay: name base and quote of {native[:40]} with --symbol {native[:40]}=BASE-QUOTE")


def _tick(reader: IRecordingReader, frames: Iterable[Frame]) -> str:
    """One unit of the last decimal that is not padding in a price: the recording does not say more."""
    fractions = [price.partition(".")[2] for frame in frames for price in reader.prices_in(frame.text)]
    places = max((len(fraction.rstrip("0")) for fraction in fractions), default=2)
    return format(Decimal(1).scaleb(-places), "f")


def answers_beside(path: Path, rest_path: str, params: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    """REST answers kept beside a recording that are to a request of this path and these parameters, perhaps among
    others, oldest first. Raises ``ConfigError`` for an index that cannot be used."""
    wanted = set(params)
    found = []
    for name, url in answers_of_index(path):
        if _answers(url, rest_path, wanted):
            try:
                found.append(path.with_name(name).read_bytes())
            except OSError as error:
                raise ConfigError(f"replay: {name[:80]} cannot be read: {one_line(error)}") from None
    return found


def _answers(url: str, rest_path: str, wanted: set[tuple[str, str]]) -> bool:
    asked = urlsplit(url)
    return asked.path.endswith(rest_path) and wanted <= set(parse_qsl(asked.query))


class _Snapshot(NamedTuple):
    native: str
    body: bytes
    limit: int
    time: float = 0.0
    is_checkpoint: bool = False


def _snapshots(path: Path, reader: IRecordingReader, symbols: Iterable[str], market: MarketType) -> Iterator[_Snapshot]:
    """Order-book snapshots beside the recording, of its market and year, in the order in which they were taken: by
    their times, those without one last and as the index has them."""
    year = re.search(r"(?:19|20)[0-9]{2}", path.name)
    try:
        for name, url in answers_of_index(path):
            asked = reader.read_snapshot_request(url)
            if (
                asked is not None
                and asked.native in symbols
                and asked.market in (market, None)
                and (year is None or year.group() in name)
            ):
                yield _Snapshot(asked.native, path.with_name(name).read_bytes(), asked.limit)
    except (OSError, ValueError) as error:
        raise ConfigError(f"replay: rest-index.json beside {path.name} cannot be used: {one_line(error)}") from None


def _taped_snapshots(
    answers: Iterable[RecordedAnswer], reader: IRecordingReader, symbols: Iterable[str]
) -> Iterator[_Snapshot]:
    for answer in answers:
        try:
            asked = reader.read_snapshot_request(answer.url)
        except ValueError:
            continue
        if asked is not None and asked.native in symbols:
            yield _Snapshot(asked.native, answer.body, asked.limit, answer.time or 0.0, answer.is_checkpoint)

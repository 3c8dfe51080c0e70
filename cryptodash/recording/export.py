"""Recorded messages as a file for other programs: CSV by the standard library, Parquet and Arrow by pyarrow, in the
process of the command and never in a server."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Protocol

from attrs import define, field

from cryptodash.core.errors import Refused
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Channel, Topic, parse_topic
from cryptodash.recording import records
from cryptodash.recording.columns import COLUMNS, Column, Kind, Row, rows_of
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.layout import MESSAGES
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape

BATCH: Final = 20_000
"""Rows in memory."""


class RowWriter(Protocol):
    """Takes rows in batches."""

    def write(self, rows: Sequence[Row]) -> None: ...

    def close(self, holes: Sequence[Missing]) -> None: ...


@define
class Exported:
    """``text_columns``: numbers that are written as text, because one of them is no decimal128(38, 18)."""

    topics: Sequence[str]
    rows: int = 0
    holes: list[Missing] = field(factory=list)
    text_columns: Sequence[str] = ()


def chosen_topics(recording: Recording, patterns: Sequence[str], begin: int, end: int) -> tuple[Channel, list[str]]:
    """The recorded topics that are meant, ``*`` for any, all of one channel. Raises ``BadTape``."""
    there = recording.topics(begin, end)
    found = [topic for topic in sorted(there) if any(fnmatchcase(topic, each) for each in patterns)]
    if not found:
        raise BadTape(f"not recorded then: {', '.join(patterns)[:200]}; `tape ls` lists what is")
    channels = {_topic(each).channel for each in found}
    if len(channels) > 1:
        raise BadTape(f"one channel at a time, not {', '.join(sorted(each.value for each in channels))}")
    return channels.pop(), found


def _topic(text: str) -> Topic:
    try:
        return parse_topic(text)
    except Refused as error:
        raise BadTape(error.message) from None


def batches(
    recording: Recording, channel: Channel, topics: Sequence[str], begin: int, end: int, exported: Exported
) -> Iterator[list[Row]]:
    """Rows, a batch at a time; keyframes are left out, for they say again what was said."""
    batch: list[Row] = []
    for each in recording.read(begin, end, topics, keyframes=False):
        if isinstance(each, Missing):
            exported.holes.append(each)
        elif isinstance(each, Entry) and each.kind == records.MESSAGE:
            batch += rows_of(each, channel)
            if len(batch) >= BATCH:
                exported.rows += len(batch)
                yield batch
                batch = []
    exported.rows += len(batch)
    yield batch


def export(
    path: Path, output: Path, form: str, patterns: Sequence[str], begin: int, end: int, *, text: bool = False
) -> Exported:
    """Write what was recorded into a new file, of which nothing is left where that fails. ``text``: numbers as text, in
    Parquet and Arrow as well. Raises ``BadTape`` and ``OSError``."""
    with Recording(path, MESSAGES) as recording:
        channel, topics = chosen_topics(recording, patterns, begin, end)
        exported = Exported(topics)
        as_text = frozenset[str]()
        if form != "csv":
            as_text = _too_long(recording, channel, topics, begin, end, everything=text)
            exported.text_columns = sorted(as_text)
        writer = _writer(form, output, COLUMNS[channel], as_text)
        try:
            for batch in batches(recording, channel, topics, begin, end, exported):
                writer.write(batch)
        except BaseException:
            with suppress(Exception):
                writer.close([])
            output.unlink(missing_ok=True)  # nobody is to take it for the whole
            raise
        writer.close(exported.holes)
    return exported


def _too_long(
    recording: Recording, channel: Channel, topics: Sequence[str], begin: int, end: int, *, everything: bool
) -> frozenset[str]:
    """Columns of numbers that cannot all be a decimal128(38, 18): they are looked through first."""
    from cryptodash.recording.columns import fits_decimal

    numbers = [column.name for column in COLUMNS[channel] if column.kind is Kind.NUMBER]
    if everything:
        return frozenset(numbers)
    found: set[str] = set()
    for batch in batches(recording, channel, topics, begin, end, Exported(topics)):
        for row in batch:
            for name in numbers:
                value = row[name]
                if isinstance(value, str) and name not in found and not fits_decimal(value):
                    found.add(name)
    return frozenset(found)


def _writer(form: str, output: Path, columns: Sequence[Column], as_text: frozenset[str]) -> RowWriter:
    if form == "csv":
        return CsvWriter(output, columns)
    try:
        from cryptodash.recording.export_arrow import ArrowWriter
    except ImportError:
        raise BadTape(f"{form} needs pyarrow: pip install cryptodash[export]") from None
    return ArrowWriter(output, form, columns, as_text)


class CsvWriter:
    """A line of names, then a line for each row; what is not known is empty. Numbers as the venue wrote them."""

    def __init__(self, output: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._file = output.open("x", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([column.name for column in columns])

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._csv.writerow([_said(column, row) for column in self._columns])

    def close(self, holes: Sequence[Missing]) -> None:
        self._file.close()


def _said(column: Column, row: Row) -> str:
    value = row[column.name]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.kind is Kind.TIME and isinstance(value, int):
        return rfc3339(value)
    return str(value)

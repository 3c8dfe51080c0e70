"""History as an Arrow stream, by pyarrow; in the process that reads the tape, never in a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from cryptodash.core import codec
from cryptodash.core.recorded import Entry, Missing
from cryptodash.core.time import parse_time, rfc3339
from cryptodash.core.topics import Channel
from cryptodash.recording.columns import COLUMNS, Column, Kind, Row, fits_decimal, rows_of
from cryptodash.recording.export_arrow import array_of, field_of, pa
from cryptodash.recording.history import Reading
from cryptodash.recording.history_book import BookThen
from cryptodash.recording.tape_errors import BadTape

BATCH: Final = 2_000
"""Rows in memory."""
_GAP: Final = b'{"type":"gap"'
_OF_A_HOLE: Final = (Column("gap_from", Kind.TIME), Column("gap_to", Kind.TIME), Column("gap_reason", Kind.TEXT))
"""Of the row behind a hole: nothing, or not all, is known of the time between."""


class _Gap(msgspec.Struct):
    reason: str
    begin: str = msgspec.field(default="", name="from")
    end: str = msgspec.field(default="", name="to")


class _GapMessage(msgspec.Struct):
    payload: _Gap


_gap = msgspec.json.Decoder(_GapMessage).decode


def arrow_stream(items: Callable[[], Iterable[Entry | Missing]], reading: Reading, channel: Channel) -> Iterator[bytes]:
    """The bytes of a stream. It is read twice: which numbers are no decimal128(38, 18) and are written as text, and
    what is missing, stands in the schema, which comes first. Raises ``BadTape``."""
    columns = (*COLUMNS[channel], *_OF_A_HOLE)
    as_text, holes = _looked_through(items(), channel)
    outcome = reading.outcome
    said = {"source": "recorded", "rows": outcome.rows, "complete": not outcome.after, "holes": holes}
    said |= {"until": rfc3339(outcome.until // 1000), **({"next": outcome.after} if outcome.after else {})}
    yield from _stream(columns, as_text, {"cryptodash": codec.text(said)}, _rows(items(), channel))


def arrow_book(book: BookThen) -> Iterator[bytes]:
    """A row for each level; status and time stand in the schema's metadata."""
    entry = book.message()
    rows = [] if entry is None else list(rows_of(entry, Channel.ORDER_BOOK))
    columns = COLUMNS[Channel.ORDER_BOOK]
    said: dict[str, object] = {"source": "recorded", "at": rfc3339(book.at // 1000)}
    if book.status is not None:
        said["status"] = book.status
    yield from _stream(columns, _too_long(columns, rows), {"cryptodash": codec.text(said)}, rows)


def _looked_through(items: Iterable[Entry | Missing], channel: Channel) -> tuple[frozenset[str], list[dict[str, str]]]:
    as_text: set[str] = set()
    holes: list[dict[str, str]] = []
    for each in items:
        if isinstance(each, Entry) and not each.body.startswith(_GAP):
            as_text |= _too_long(COLUMNS[channel], rows_of(each, channel))
        else:
            begin, end, reason = _hole(each)
            holes.append({"from": rfc3339(begin), "to": rfc3339(end), "reason": reason})
    return frozenset(as_text), holes


def _too_long(columns: Sequence[Column], rows: Iterable[Row]) -> frozenset[str]:
    numbers = [column.name for column in columns if column.kind is Kind.NUMBER]
    return frozenset(
        name for row in rows for name in numbers if isinstance(text := row[name], str) and not fits_decimal(text)
    )


def _hole(each: Entry | Missing) -> tuple[int, int, str]:
    """Of a hole, or of a gap that was told when it was recorded: times in ms and why. Raises ``BadTape``."""
    if isinstance(each, Missing):
        return each.begin // 1000, -(-each.end // 1000), each.reason
    told = each.time // 1000
    try:
        gap = _gap(each.body).payload
        return parse_time(gap.begin) if gap.begin else told, parse_time(gap.end) if gap.end else told, gap.reason
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise BadTape(f"a gap of {each.topic[:100]} cannot be read: {error}"[:300]) from None


def _rows(items: Iterable[Entry | Missing], channel: Channel) -> Iterator[Row]:
    holes: list[tuple[int, int, str]] = []
    for each in items:
        if isinstance(each, Missing) or each.body.startswith(_GAP):
            holes.append(_hole(each))
            continue
        for row in rows_of(each, channel):
            row["gap_from"] = min((begin for begin, _, _ in holes), default=None)
            row["gap_to"] = max((end for _, end, _ in holes), default=None)
            row["gap_reason"] = ",".join(dict.fromkeys(reason for _, _, reason in holes)) or None
            holes.clear()
            yield row


class _Sink:
    """What pyarrow writes, until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _stream(
    columns: Sequence[Column], as_text: frozenset[str], metadata: dict[str, str], rows: Iterable[Row]
) -> Iterator[bytes]:
    schema = pa.schema([field_of(column, as_text) for column in columns], metadata=metadata)
    sink = _Sink()
    writer = pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema)
    batch: list[Row] = []

    def write() -> None:
        arrays = [array_of(column, [row[column.name] for row in batch], as_text) for column in columns]
        writer.write_batch(pa.record_batch(arrays, schema=schema))
        batch.clear()

    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            write()
            yield sink.taken()
    if batch:
        write()
    writer.close()
    yield sink.taken()

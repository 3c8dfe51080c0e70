"""Rows into a file of Parquet or Arrow, and how columns are said in Arrow. The one module that imports pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from cryptodash.recording.columns import PRECISION, SCALE, Column, Kind, Row, as_decimal
from cryptodash.recording.entries import Missing

pa: Any = import_module("pyarrow")

_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.TIME: pa.timestamp("ms", tz="UTC"),
    Kind.NUMBER: pa.decimal128(PRECISION, SCALE),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
}


def field_of(column: Column, as_text: frozenset[str]) -> Any:
    """``as_text``: names of numbers that are written as text; the field's metadata says so."""
    if column.name in as_text:
        return pa.field(column.name, pa.string(), metadata={"digits": "exact text"})
    return pa.field(column.name, _TYPES[column.kind])


def array_of(column: Column, values: list[Any], as_text: frozenset[str]) -> Any:
    if column.kind is Kind.NUMBER and column.name not in as_text:
        values = [None if value is None else as_decimal(value) for value in values]
    return pa.array(values, field_of(column, as_text).type)


class ArrowWriter:
    """``as_text``: numbers that are written as text; the field's metadata says so (``digits``: ``exact text``). The
    holes stand beside the file, in ``<name>.holes.json``, for the schema is written first."""

    def __init__(self, output: Path, form: str, columns: Sequence[Column], as_text: frozenset[str]) -> None:
        self._output = output
        self._columns = columns
        self._as_text = as_text
        self._schema = pa.schema([field_of(column, as_text) for column in columns])
        output.open("xb").close()  # never over a file that is there
        if form == "parquet":
            self._writer = import_module("pyarrow.parquet").ParquetWriter(str(output), self._schema, compression="zstd")
        else:
            self._writer = pa.ipc.new_file(str(output), self._schema)

    def write(self, rows: Sequence[Row]) -> None:
        if rows:
            arrays = [array_of(column, [row[column.name] for row in rows], self._as_text) for column in self._columns]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self, holes: Sequence[Missing]) -> None:
        self._writer.close()
        if holes:
            self._output.with_name(f"{self._output.name}.holes.json").write_bytes(
                msgspec.json.encode([msgspec.structs.asdict(each) for each in holes])
            )

"""What is exported says the tape's digits, as other programs read it."""

from __future__ import annotations

import csv
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cryptodash.recording import records
from cryptodash.recording.columns import fits_decimal
from cryptodash.recording.export import export
from cryptodash.recording.tape_errors import BadTape
from tests.recording.tapes import BOOK, SECOND, START, TICKER, TRADES, Said, write_run

ALL = 2 * START
DIGITS = ["43250.50000000", "0.000000000000000001", "99999999999999999999.123456789012345678", "1", "0.10", "-0.5"]
TOO_LONG = ["1" * 21, "123456789012345678901.5", "1" * 40]


def trade(number: int, price: str) -> Said:
    at = START + number * SECOND
    symbol = '"symbol":{"base":"BTC","quote":"USDT"}'
    seen = '"received":"2023-11-14T22:13:21.000Z"'
    head = f'"timestamp":"2023-11-14T22:13:20.{number:03d}Z","exchange":"binance","market_type":"spot",{symbol}'
    text = f'{head},"id":"{number}","price":{price},"quantity":{price},"side":"buy",{seen}'
    return at, TRADES, records.MESSAGE, f'{{"type":"trade","payload":{{{text}}}}}'.encode()


def written(root: Path, prices: list[str]) -> list[str]:
    said = [trade(number, price) for number, price in enumerate(prices)]
    said.append((said[-1][0], TRADES, records.MESSAGE, b'{"type":"status","payload":{"state":"live"}}'))
    said.append((said[-1][0], TRADES, records.KEYFRAME, said[0][3]))
    write_run(root, [said])
    return prices


def test_csv_has_the_digits_and_every_column(tmp_path: Path) -> None:
    prices = written(tmp_path / "rec", [*DIGITS, *TOO_LONG])
    done = export(tmp_path / "rec", tmp_path / "out.csv", "csv", ["binance:spot:*:trade"], 0, ALL)
    assert (done.rows, done.holes, done.topics) == (len(prices), [], [TRADES])
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [each["price"] for each in rows] == prices == [each["quantity"] for each in rows]
    assert rows[1] | {"price": "", "quantity": ""} == {
        "recorded": "2023-11-14T22:13:21.000Z",
        "timestamp": "2023-11-14T22:13:20.001Z",
        "received": "2023-11-14T22:13:21.000Z",
        "exchange": "binance",
        "market_type": "spot",
        "symbol": "BTC-USDT",
        "id": "1",
        "price": "",
        "quantity": "",
        "side": "buy",
    }


def test_a_book_has_a_row_for_each_level(tmp_path: Path) -> None:
    head = '"sequence":7,"depth":5'
    level = '{"price":1.50,"quantity":2.0}'
    said = [
        f'{{"type":"order_book_snapshot","payload":{{{head},"bids":[{level}],"asks":[]}}}}',
        f'{{"type":"order_book_delta","payload":{{{head},"bids_upserts":[],"asks_upserts":[{level}],'
        '"deletes":{"bids":[1.50],"asks":[]}}}',
    ]
    rows = [(START + at, BOOK, records.MESSAGE, body.encode()) for at, body in enumerate(said)]
    write_run(tmp_path / "rec", [rows])
    export(tmp_path / "rec", tmp_path / "out.csv", "csv", ["*:order_book:*"], 0, ALL)
    with (tmp_path / "out.csv").open(newline="") as file:
        found = [(each["action"], each["side"], each["price"], each["quantity"]) for each in csv.DictReader(file)]
    assert found == [("snapshot", "bid", "1.50", "2.0"), ("set", "ask", "1.50", "2.0"), ("delete", "bid", "1.50", "")]


def test_what_cannot_be_exported_is_refused_in_a_line(tmp_path: Path) -> None:
    written(tmp_path / "rec", ["1"])
    write_run(tmp_path / "rec", [[(START + 90 * SECOND, TICKER, records.MESSAGE, b"{}")]])
    with pytest.raises(BadTape, match="not recorded then: binance:spot:NO-NO:trade"):
        export(tmp_path / "rec", tmp_path / "out.csv", "csv", ["binance:spot:NO-NO:trade"], 0, ALL)
    with pytest.raises(BadTape, match="one channel at a time, not ticker, trade"):
        export(tmp_path / "rec", tmp_path / "out.csv", "csv", ["*"], 0, ALL)
    (tmp_path / "there").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        export(tmp_path / "rec", tmp_path / "there", "csv", [TRADES], 0, ALL)
    assert (tmp_path / "there").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("text", "fits"),
    [*((each, True) for each in DIGITS), *((each, False) for each in TOO_LONG), ("0" * 30 + "1", True)],
)
def test_a_decimal_holds_what_it_holds_exactly(text: str, fits: bool) -> None:
    assert fits_decimal(text) is fits


# -- read by others


def imported(name: str) -> Any:
    if os.environ.get("CRYPTODASH_REQUIRE_EXPORT"):
        __import__(name)
    return pytest.importorskip(name, reason=f"{name} is not installed (extras export and readers)")


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("case", ["decimal", "too long", "text"])
def test_pyarrow_reads_the_digits_of_the_tape(tmp_path: Path, form: str, case: str) -> None:
    pyarrow = imported("pyarrow")
    prices = written(tmp_path / "rec", DIGITS + (TOO_LONG if case == "too long" else []))
    output = tmp_path / f"out.{form}"
    done = export(tmp_path / "rec", output, form, [TRADES], 0, ALL, text=case == "text")
    if form == "parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(output)
    else:
        table = pyarrow.ipc.open_file(output).read_all()
    assert table.num_rows == len(prices) == done.rows
    field = table.schema.field("price")
    if case == "decimal":
        assert str(field.type) == "decimal128(38, 18)" and not done.text_columns
        assert [Decimal(each) for each in prices] == table.column("price").to_pylist()
    else:
        assert str(field.type) == "string" and list(done.text_columns) == ["price", "quantity"]
        assert field.metadata == {b"digits": b"exact text"}
        assert table.column("price").to_pylist() == prices
    times = [each.isoformat() for each in table.column("recorded").to_pylist()]
    assert times[:2] == ["2023-11-14T22:13:20+00:00", "2023-11-14T22:13:21+00:00"]
    assert table.column("id").to_pylist() == [str(number) for number in range(len(prices))]


def test_duckdb_and_pandas_read_the_digits_of_the_tape(tmp_path: Path) -> None:
    imported("pyarrow")
    duckdb, pandas = imported("duckdb"), imported("pandas")
    prices = written(tmp_path / "rec", DIGITS)
    output = tmp_path / "out.parquet"
    export(tmp_path / "rec", output, "parquet", [TRADES], 0, ALL)
    wanted = [Decimal(each) for each in prices]
    rows = duckdb.sql(f"select price, quantity from read_parquet('{output}') order by id::int").fetchall()
    assert rows == [(each, each) for each in wanted]
    frame = pandas.read_parquet(output)
    assert list(frame["price"]) == wanted and str(frame["recorded"].dtype).startswith("datetime64[ms, UTC")
    (total,) = duckdb.sql(f"select sum(price)::varchar from read_parquet('{output}') where price < 100000").fetchall()
    assert Decimal(total[0]) == sum(each for each in wanted if each < 100000)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_of_an_export_that_fails_nothing_is_left(tmp_path: Path, form: str) -> None:
    """It would be taken for the whole: a file of Parquet that ends early has its end all the same."""
    rows = [trade(number, "1.50") for number in range(30)]
    write_run(tmp_path / "rec", [[*rows, (START + 40 * SECOND, TRADES, records.MESSAGE, trade(1, "1e5")[3])]])
    for text in (False, True):
        with pytest.raises(BadTape, match="no number of ours"):
            export(tmp_path / "rec", tmp_path / "out", form, ["*:trade"], 0, ALL, text=text)
        assert not (tmp_path / "out").exists()


def test_an_export_never_takes_away_what_was_there(tmp_path: Path) -> None:
    written(tmp_path / "rec", ["1"])
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError):
        export(tmp_path / "rec", tmp_path / "out", "csv", ["*:trade"], 0, ALL)
    assert (tmp_path / "out").read_text() == "mine"


def test_zeros_behind_the_last_place_are_a_decimal_as_well(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    prices = ["1." + "0" * 39, "0." + "0" * 40, "1" + "0" * 19 + "." + "0" * 30, "-0.50" + "0" * 30]
    written(tmp_path / "rec", prices)
    done = export(tmp_path / "rec", tmp_path / "out", "parquet", ["*:trade"], 0, ALL)
    assert done.text_columns == []
    found = pyarrow.read_table(tmp_path / "out")["price"].to_pylist()
    assert found == [Decimal(each) for each in prices]


def test_a_whole_number_that_no_column_holds_is_an_error(tmp_path: Path) -> None:
    body = b'{"type":"order_book_snapshot","payload":{"sequence":%d,"depth":5,"bids":[],"asks":[]}}' % 2**63
    level = body.replace(b'"bids":[]', b'"bids":[{"price":1,"quantity":1}]')
    write_run(tmp_path / "rec", [[(START, BOOK, records.MESSAGE, level)]])
    with pytest.raises(BadTape):
        export(tmp_path / "rec", tmp_path / "out", "arrow", ["*:order_book:*"], 0, ALL)


def test_holes_stand_beside_what_has_no_place_for_them(tmp_path: Path) -> None:
    imported("pyarrow")
    written(tmp_path / "rec", ["1.5"])
    second = [(START + 100 * SECOND, TRADES, records.MESSAGE, trade(1, "2.5")[3])]
    write_run(tmp_path / "rec", [second])
    done = export(tmp_path / "rec", tmp_path / "out.parquet", "parquet", [TRADES], 0, ALL)
    assert [each.reason for each in done.holes] == ["stopped"]
    (hole,) = json.loads((tmp_path / "out.parquet.holes.json").read_text())
    assert hole["reason"] == "stopped" and hole["begin"] == START and hole["end"] == START + 100 * SECOND


def test_every_number_of_a_message_has_its_column() -> None:
    """A member that is added to a message is exported too, or this list says why not."""
    from cryptodash.core.codec import _FIGURES
    from cryptodash.core.topics import Channel
    from cryptodash.recording.columns import COLUMNS

    names = {column.name for column in COLUMNS[Channel.TICKER]}
    assert set(_FIGURES) <= names

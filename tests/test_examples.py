"""The example client's book, which people copy."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parent.parent / "examples" / "book_client.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("book_client", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def payload(text: str) -> dict[str, Any]:
    value = json.loads(text, parse_float=Decimal)
    assert isinstance(value, dict)
    return value


SNAPSHOT = (
    '{"sequence":4,"bids":[{"price":1.10,"quantity":5},{"price":1.00,'
    '"quantity":2.50}],"asks":[{"price":1.20,"quantity":1}]}'
)
DELTA = (
    '{"sequence":5,"bids_upserts":[{"price":1.15,"quantity":3}],'
    '"asks_upserts":[],"deletes":{"bids":[1.10],"asks":[1.20]}}'
)


def test_a_delta_turns_the_snapshot_into_the_next_state(example: Any) -> None:
    book = example.Book()
    book.snapshot(payload(SNAPSHOT))
    assert book.delta(payload(DELTA)) is True
    assert book.bids == {Decimal("1.15"): 3, Decimal("1.00"): Decimal("2.50")}
    assert book.best() == (Decimal("1.15"), None)
    assert book.sequence == 5


def test_a_delta_that_does_not_fit_changes_nothing(example: Any) -> None:
    book = example.Book()
    book.snapshot(payload(SNAPSHOT))
    assert book.delta(payload(DELTA.replace('"sequence":5', '"sequence":6'))) is False
    assert book.sequence == 4
    assert book.best() == (Decimal("1.10"), Decimal("1.20"))


def test_a_snapshot_replaces_everything(example: Any) -> None:
    book = example.Book()
    book.snapshot(payload(SNAPSHOT))
    book.snapshot(payload('{"sequence":9,"bids":[],"asks":[{"price":2,"quantity":1}]}'))
    assert (book.bids, book.asks, book.sequence) == ({}, {Decimal(2): Decimal(1)}, 9)

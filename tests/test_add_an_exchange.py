"""The walk through for authors of venues shows code of the example, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryptodash.exchanges.adapter import Chaining, SnapshotSource

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "add-an-exchange.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"<!-- (examples/\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("file", "code"), SHOWN, ids=[f"{number} {file}" for number, (file, _) in enumerate(SHOWN)])
def test_code_on_the_page_is_the_code_of_the_example(file: str, code: str) -> None:
    assert code in (ROOT / file).read_text(encoding="utf-8")


def test_no_code_stands_there_without_its_file() -> None:
    assert len(SHOWN) == PAGE.count("```") / 2
    assert len(SHOWN) > 8


WORDS = ("promise", "required", "standing", "Sequenced", "exclusive", "argument", "batch", "rest_limits", "data_prefix")


@pytest.mark.parametrize("word", WORDS)
def test_what_an_author_must_understand_is_explained(word: str) -> None:
    assert f"`{word}" in PAGE or f".{word}" in PAGE or f"{word}`" in PAGE


def test_every_kind_of_book_is_explained() -> None:
    for rule in (*SnapshotSource, *Chaining):
        assert f"| `{rule.name}` |" in PAGE


def test_every_recording_of_the_example_is_named_in_the_table() -> None:
    recordings = (ROOT / "examples" / "acme_exchange" / "tests" / "recordings").glob("*.jsonl")
    assert [path.name for path in recordings if f"`{path.name}`" not in PAGE] == []

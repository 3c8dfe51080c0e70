"""Levels of an order book, compared by value."""

from __future__ import annotations

import pytest

from cryptodash.core.events import is_crossed
from cryptodash.core.numbers import admit


@pytest.mark.parametrize(
    ("bid", "ask", "crossed"), [("1", "2", False), ("2", "2.0", True), ("10", "9", True), ("9", "10", False)]
)
def test_crossed_is_a_matter_of_value_not_of_text(bid, ask, crossed):
    assert is_crossed([(admit(bid), admit("1"))], [(admit(ask), admit("1"))]) is crossed


def test_a_one_sided_book_is_not_crossed():
    assert not is_crossed([], [(admit("1"), admit("1"))])

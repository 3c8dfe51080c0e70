"""When bars begin and end."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from cryptodash.core.intervals import INTERVALS, LENGTH_MS, next_open, open_of


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=timezone.utc).timestamp()) * 1000  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("interval", "opened", "ends"),
    [
        ("1m", ms(2026, 1, 1), ms(2026, 1, 1, 0, 1)),
        ("12h", ms(2026, 1, 1), ms(2026, 1, 1, 12)),
        ("1d", ms(2026, 2, 28), ms(2026, 3, 1)),
        ("1w", ms(2026, 1, 5), ms(2026, 1, 12)),
        ("1M", ms(2026, 2, 1), ms(2026, 3, 1)),
        ("1M", ms(2026, 12, 1), ms(2027, 1, 1)),
    ],
)
def test_a_bar_ends_where_the_next_begins(interval: str, opened: int, ends: int) -> None:
    assert next_open(interval, opened) == ends


def test_every_interval_but_the_month_has_a_length() -> None:
    assert set(LENGTH_MS) == set(INTERVALS) - {"1M"}


def test_the_bar_that_holds_an_instant() -> None:
    assert open_of("5m", ms(2026, 1, 1, 0, 9) + 59_999) == ms(2026, 1, 1, 0, 5)
    assert open_of("1w", ms(2026, 1, 7)) is None, "weeks do not begin where 1970 did"
    assert open_of("1M", ms(2026, 1, 7)) is None

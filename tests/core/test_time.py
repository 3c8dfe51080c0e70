from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.time import ManualClock, SystemClock, parse_time, rfc3339


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1704067200000, "2024-01-01T00:00:00.000Z"),
        (1723161255343, "2024-08-08T23:54:15.343Z"),
    ],
)
def test_rfc3339(ms: int, text: str) -> None:
    assert rfc3339(ms) == text
    assert parse_time(text) == ms


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_round_trip(ms: int) -> None:
    assert parse_time(rfc3339(ms)) == ms


@pytest.mark.parametrize("ms", [-1, 253_402_300_800_000, 10**30])
def test_times_that_cannot_be_written_are_refused_every_time(ms: int) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="not a time"):
            rfc3339(ms)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1704067200000", 1704067200000),
        ("2024-01-01T01:00:00+01:00", 1704067200000),
        ("2024-01-01t00:00:00.5z", 1704067200500),
    ],
)
def test_spellings(text: str, ms: int) -> None:
    assert parse_time(text) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "2024-01-01", "-5", "9" * 30, "١٧", "2024-13-01T00:00:00Z", "1e3"])
def test_bad_times_are_value_errors(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00-23:59",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59-23:59",
        "253402300800000",
        "0000-01-01T00:00:00Z",
    ],
)
def test_times_that_no_bar_can_have_are_value_errors(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_clocks() -> None:
    clock = ManualClock(wall_ms=5, monotonic=1.0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.wall_ms()) == (3.5, 2505)
    system = SystemClock()
    assert system.wall_ms() > 1_600_000_000_000
    assert system.monotonic() <= system.monotonic()

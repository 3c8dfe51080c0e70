"""Members of a frame made higher, whatever way a venue writes its ids and times."""

from __future__ import annotations

import pytest

from cryptodash.simulator.raised import raised


@pytest.mark.parametrize(
    ("payload", "higher"),
    [
        ('{"u":7,"x":7}', '{"u":3600007,"x":7}'),
        ('{"ts":"1763811234567"}', '{"ts":"1763814834567"}'),
        ('{"t":"2026-08-12T23:29:00.921195Z"}', '{"t":"2026-08-13T00:29:00.921195Z"}'),
        ('{"t":"2026-08-12T19:28:00.000000000Z"}', '{"t":"2026-08-12T20:28:00.000000000Z"}'),
        ('{"t":"2026-12-31T23:30:00Z"}', '{"t":"2027-01-01T00:30:00Z"}'),
        ('{"t":"yesterday","u":"x7","ts":-1}', '{"t":"yesterday","u":"x7","ts":-1}'),
    ],
)
def test_only_the_named_members_are_higher(payload: str, higher: str) -> None:
    assert raised(payload, ("u", "ts", "t"), 3_600_000) == higher

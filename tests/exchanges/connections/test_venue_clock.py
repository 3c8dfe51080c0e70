"""How far the venue's clock is from ours."""

from __future__ import annotations

from cryptodash.core.time import ManualClock
from cryptodash.exchanges.connections.venue_clock import DATE_GRAIN_MS, VenueClock


def test_the_median_of_what_frames_say() -> None:
    clock = ManualClock(wall_ms=1_000_000)
    skew = VenueClock(clock)
    for number, late in enumerate((40, 35, 900, 38, 36)):
        skew.sample(1_000_000 - late, 1_000_000, float(number))
    assert skew.ahead_ms == -38


def test_a_date_counts_until_a_frame_has_told_the_time() -> None:
    clock = ManualClock(wall_ms=1_000_000)
    skew = VenueClock(clock)
    skew.dated(1_000_000 - DATE_GRAIN_MS)
    assert skew.ahead_ms == 0, "whole seconds and the journey explain so much"
    skew.dated(4_600_000)
    assert (skew.ahead_ms, skew.now_ms()) == (3_600_000, 4_600_000)
    skew.dated(1_000_300)
    assert skew.ahead_ms == 0, "our clock was corrected"
    skew.sample(999_970, 1_000_000, clock.monotonic())
    skew.dated(4_600_000)
    assert skew.ahead_ms == -30


def test_what_frames_said_more_than_a_minute_ago_counts_no_more() -> None:
    clock = ManualClock(wall_ms=1_000_000)
    skew = VenueClock(clock)
    skew.sample(1_000_000, 1_000_000, clock.monotonic())
    clock.advance(3600.0)
    skew.dated(clock.wall_ms() + 3_600_000)
    assert skew.ahead_ms == 3_600_000, "nobody has wanted anything for an hour, and a clock was set meanwhile"
    skew.sample(1_000_040, 1_000_000, clock.monotonic())
    assert skew.ahead_ms == 40

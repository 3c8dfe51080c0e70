"""What time it is at a venue."""

from __future__ import annotations

from cryptodash.core.time import ManualClock
from cryptodash.exchanges.connections.lateness import sample_of
from cryptodash.exchanges.connections.venue_clock import DATE_GRAIN_MS, VenueClock


def test_the_quickest_frame_tells_the_time() -> None:
    clock = ManualClock(wall_ms=1_000_000, monotonic=50.0)
    venue = VenueClock(clock)
    for late in (40, 35, 900, 38, 36):
        venue.offset.sample(sample_of(1_000_000 - late, 50.0), 50.0)
    assert (venue.ahead_ms, venue.now_ms(), venue.at(49.0, 1)) == (-35, 999_965, 998_965)


def test_a_step_of_our_wall_clock_is_none_of_the_venues() -> None:
    clock = ManualClock(wall_ms=1_000_000, monotonic=50.0)
    venue = VenueClock(clock)
    venue.offset.sample(sample_of(1_000_000, 50.0), 50.0)
    clock.step(-3600.0)
    assert (venue.now_ms(), venue.ahead_ms) == (1_000_000, 3_600_000)


def test_a_date_counts_until_a_frame_has_told_the_time() -> None:
    clock = ManualClock(wall_ms=1_000_000, monotonic=50.0)
    venue = VenueClock(clock)
    venue.dated(1_000_000 - DATE_GRAIN_MS)
    assert venue.ahead_ms == 0, "whole seconds and the journey explain so much"
    venue.dated(4_600_000)
    assert (venue.ahead_ms, venue.now_ms(), venue.at(49.0, 999_000)) == (3_600_000, 4_600_000, 4_599_000)
    venue.dated(1_000_300)
    assert venue.ahead_ms == 0, "our clock was corrected"
    venue.offset.sample(sample_of(999_970, 50.0), 50.0)
    venue.dated(4_600_000)
    assert venue.ahead_ms == -30


def test_what_frames_said_long_ago_counts_no_more() -> None:
    clock = ManualClock(wall_ms=1_000_000, monotonic=50.0)
    venue = VenueClock(clock)
    venue.offset.sample(sample_of(1_000_000, 50.0), 50.0)
    clock.advance(3600.0)
    venue.dated(clock.wall_ms() + 3_600_000)
    assert venue.ahead_ms == 3_600_000, "nobody has wanted anything for an hour, and a clock was set meanwhile"


def test_probes_prove_how_far_a_clock_is_ahead_of_ours_at_least() -> None:
    """Asked at 50 s and answered at 50.2 s, a second probe within 0.02 s."""
    clock = ManualClock(wall_ms=1_000_000, monotonic=50.2)
    venue = VenueClock(clock)
    assert venue.proven_ahead_ms() is None
    venue.offset.sample(sample_of(1_003_000, 50.0), 50.0)
    assert venue.proven_ahead_ms() is None, "a frame's time is that of one stream"
    venue.offset.probe(50.0, 1_000_000, 50.2, 0)
    assert venue.proven_ahead_ms() == 0, "anything from 0 to 0.2 s ahead"
    clock.step(-60.0)
    assert venue.proven_ahead_ms() == 60_000
    clock.step(120.0)
    assert venue.proven_ahead_ms() == -59_800
    clock.advance(1.0)
    venue.offset.probe(51.18, 1_001_150, 51.2, 0)
    assert venue.proven_ahead_ms() == -59_830, "the best of them"
    clock.advance(3600.0)
    venue.offset.settle(clock.monotonic())
    assert venue.proven_ahead_ms() is None

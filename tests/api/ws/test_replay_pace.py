"""When a recorded moment is due."""

from __future__ import annotations

import pytest

from cryptodash.api.ws.replay_pace import MOST_BEHIND_S, ReplayPace

SECOND = 1_000_000


@pytest.mark.parametrize(("speed", "wait"), [(1, 10.0), (0.1, 100.0), (1000, 0.01)])
def test_a_time_is_due_as_the_speed_says(speed: float, wait: float) -> None:
    pace = ReplayPace(speed, 5 * SECOND, 100.0)
    assert pace.wait(15 * SECOND, 100.0) == pytest.approx(wait)
    assert pace.wait(15 * SECOND, 100.0 + wait) == pytest.approx(0, abs=1e-9)


def test_with_speed_0_everything_is_due() -> None:
    assert ReplayPace(0, 0, 7.0).wait(10**15, 7.0) == 0


def test_who_is_far_behind_is_not_hurried() -> None:
    pace = ReplayPace(1, 0, 0.0)
    assert pace.wait(SECOND, 1.0 + MOST_BEHIND_S / 2) < 0
    assert pace.wait(2 * SECOND, 2.0) == 0, "a little is made up for"
    assert pace.wait(3 * SECOND, 60.0) < 0
    assert pace.wait(4 * SECOND, 60.0) == pytest.approx(1.0)


def test_a_hole_takes_no_time_but_what_was_told_meanwhile_took_its_own() -> None:
    pace = ReplayPace(1, 0, 0.0)
    pace.skip(SECOND, 100 * SECOND)
    pace.skip(SECOND, 100 * SECOND)
    assert pace.wait(100 * SECOND, 0.0) == pytest.approx(1.0)
    assert pace.wait(101 * SECOND, 0.0) == pytest.approx(2.0)
    pace.skip(50 * SECOND, 101 * SECOND)
    assert pace.wait(102 * SECOND, 0.0) == pytest.approx(3.0)

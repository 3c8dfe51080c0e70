"""Rates that hold at once."""

from __future__ import annotations

from itertools import pairwise

from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.connections.allowance import Allowance


def test_every_rate_holds_in_every_window() -> None:
    allowance = Allowance((Rate(3, 300.0), Rate(1, 0.1)))
    now, taken = 0.0, []
    for _ in range(10):
        now = max(now, allowance.free_at())
        allowance.take(now)
        taken.append(now)
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(taken))
    assert all(taken[index + 3] - taken[index] >= 300.0 for index in range(len(taken) - 3))


def test_no_rate_is_no_limit() -> None:
    allowance = Allowance(())
    allowance.take(1.0)
    assert allowance.free_at() == 0.0

"""Memory is bounded: what waits for one client, and nothing is left of clients that have gone."""

from __future__ import annotations

from tests.chaos.history import History
from tests.chaos.subscriptions import Violation

MOST_QUEUED = 2 * 2**20 + 128 * 1024
"""Bytes for one client: 2 MiB, and what its transport holds."""
MOST_CALLS = 2_000
GONE = ("sessions", "subscriptions", "queued", "cohorts", "groups", "topics", "cached", "streams")

HELD_FOR_RECORDING = ("topics", "cached", "streams")
"""What of these stays where topics are recorded."""


def check(history: History) -> list[Violation]:
    found = []
    for at, held in history.holdings.samples:
        if held["queued_most"] > MOST_QUEUED:
            found.append(Violation("memory", "", "", at, f"{held['queued_most']} bytes wait for one client"))
        if held["calls"] > MOST_CALLS:
            found.append(Violation("memory", "", "", at, f"{held['calls']} timers"))
    end = history.plan.seconds
    for name in GONE:
        if history.plan.recorded and name in HELD_FOR_RECORDING:
            continue
        if history.holdings.after.get(name):
            found.append(
                Violation("memory", "", "", end, f"{history.holdings.after[name]} {name} left when nobody is there")
            )
    found += [
        Violation("memory", "", "", end, f"a timer left after the stop: {each}") for each in history.holdings.calls
    ]
    found += [Violation("memory", "", "", end, f"the server failed: {each}") for each in history.errors]
    return found

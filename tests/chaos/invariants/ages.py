"""Ages are never too small by more than one frame: a status that says how old a value is says no less than the time
since the last frame that can have confirmed it."""

from __future__ import annotations

from bisect import bisect_right

from tests.chaos.history import History
from tests.chaos.invariants.values import Excuses
from tests.chaos.subscriptions import Subscription, Violation
from tests.chaos.venues import WORDS

SLACK = 0.15
"""Seconds: frames come ten times a second."""


def check(subscription: Subscription, history: History, excuses: Excuses) -> list[Violation]:
    client = subscription.connection.client
    if client.kind not in ("fast", "changing") or client.jitter or client.split:
        return []
    arrivals = _arrivals(subscription, history)
    found: list[Violation] = []
    for told in subscription.told:
        if told.kind != "status" or "age_ms" not in told.payload:
            continue
        said_at = told.at - client.delay
        index = bisect_right(arrivals, said_at + 1e-6) - 1
        if index < 0:
            continue
        true, said = said_at - arrivals[index], int(told.payload["age_ms"]) / 1000
        if said < true - SLACK:
            found.append(
                subscription.blame(
                    "ages", told.at, f"{told.payload['state']}: age {said:.3f} s, the last frame came {true:.3f} s ago"
                )
            )
    return found


def _arrivals(subscription: Subscription, history: History) -> list[float]:
    """When anything came that can have confirmed the channel's value."""
    exchange, market, symbol = subscription.place
    native = symbol.replace("-", "")
    found = list(history.arrivals.answers.get(exchange, []))
    for name, times in history.arrivals.frames.get((exchange, market), {}).items():
        if native in name.upper() and any(word in name for word in WORDS[subscription.kind]):
            found += times
    return sorted(found)

"""The ten promises, judged from the history of a run alone."""

from __future__ import annotations

from tests.chaos.history import History
from tests.chaos.invariants import ages, books, candles, client, composite, memory, recovery, resumed, trades, values
from tests.chaos.subscriptions import Violation, sorted_out
from tests.chaos.venues import COMPOSITE

ALL = ("live", "asked", "deltas", "trades", "candles", "ages", "memory", "recovery", "client", "resumed")


def violations(history: History) -> list[Violation]:
    """Everything that broke a promise, in order of time."""
    subscriptions, found = sorted_out(history)
    for subscription in subscriptions:
        excuses = values.Excuses(history.plan)
        if subscription.place[0] == COMPOSITE:
            found += composite.check(subscription, history.tapes, excuses)
        tape = history.tapes.get(subscription.place)
        if tape is None:
            continue
        if subscription.kind in ("ticker", "bbo"):
            found += values.check_ticker(subscription, tape, excuses)
        elif subscription.kind == "order_book":
            found += books.check(subscription, tape, excuses)
        elif subscription.kind == "candle":
            found += candles.check(subscription, tape, excuses)
        else:
            found += trades.check(subscription, tape, excuses)
        found += ages.check(subscription, history, excuses)
    found += memory.check(history)
    found += recovery.check(history, subscriptions)
    found += client.check(history)
    found += resumed.check(history)
    return sorted(found, key=lambda each: (each.at, each.invariant, each.client, each.channel))

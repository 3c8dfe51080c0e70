"""Every fault is over within its time: channels are good again, and who never reads or was cut off is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.chaos.history import Connection, History
from tests.chaos.subscriptions import GOOD, Subscription, Violation

RECOVERS = 50.0
"""Seconds from the end of the last trouble until everything is good: ten to find a connection dead, a reconnect that
waits, and a snapshot that is asked for on a REST connection that is as dead."""
SETTLES = 12.0
"""Seconds from a subscription in calm until its channel is good."""
STALLED = 60.0
"""Seconds in which one that stops reading has to be gone: until what the kernel holds is full, the timeout of ten, and
two for the 1013."""
CUT_OFF = 42.0
"""Seconds in which one whose cable was pulled has to be gone: a ping every 20, and 20 for its answer."""


def check(history: History, subscriptions: Sequence[Subscription]) -> list[Violation]:
    return [*_good_again(history, subscriptions), *_gone(history)]


def _good_again(history: History, subscriptions: Sequence[Subscription]) -> Iterator[Violation]:
    over = max((each.end for each in history.plan.troubles), default=0.0) + RECOVERS
    end = history.plan.seconds
    for subscription in subscriptions:
        if not subscription.is_prompt:
            continue
        due = max(over, subscription.begin + SETTLES)
        if due >= min(subscription.end, end):
            continue
        yield from _good_from(subscription, due)


def _good_from(subscription: Subscription, due: float) -> Iterator[Violation]:
    """The channel is good at that time, and stays so."""
    state, since = "", subscription.begin
    for told in [each for each in subscription.told if each.kind == "status"]:
        if told.at > due >= since and state not in GOOD:
            break
        if (told.payload["state"] in GOOD) is not (state in GOOD):
            since = told.at
        state = told.payload["state"]
        if told.at > due and state not in GOOD:
            break
    if state not in GOOD:
        yield subscription.blame("recovery", max(due, since), f"{state} since {since:.3f}, with all troubles over")


def _gone(history: History) -> Iterator[Violation]:
    for connection in history.connections:
        yield from _gone_in_time(connection, history)


def _gone_in_time(connection: Connection, history: History) -> Iterator[Violation]:
    for since, within, what in (
        (connection.frozen, CUT_OFF, "a dead connection is still held"),
        (connection.stopped_reading, STALLED, "one that reads nothing is still held"),
    ):
        if since is None or since + within >= history.plan.seconds:
            continue
        if connection.gone is None or connection.gone > since + within:
            yield Violation("recovery", connection.client.name, "", since + within, what)

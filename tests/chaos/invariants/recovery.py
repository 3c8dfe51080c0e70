"""Every fault is over within its time: channels are good again, and who never reads or was cut off is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.chaos.history import Connection, History, Tape, WireTrade
from tests.chaos.subscriptions import GOOD, Subscription, Told, Violation

RECOVERS = 50.0
"""Seconds from the end of the last trouble until everything is good: ten to find a connection dead, a reconnect that
waits, and a snapshot that is asked for on a REST connection that is as dead."""
SETTLES = 12.0
"""Seconds from a subscription in calm until its channel is good."""
LEAP_SEEN = 1.0
"""Seconds from a leap of the price until clients hear what has become of the book."""
LEAP_OVER = 6.0
"""Seconds from then until the book is good again: five between two of its snapshots, and the answer's way."""
LULL = 2.4
"""Seconds without a trade in the market after which a stream of trades may be called silent: ``STALE_AFTER_S`` of the
runs, but for the way of the trade before."""
LULL_OVER = 1.0
"""Seconds from the trade that ends it until the channel is good again."""
STALLED = 60.0
"""Seconds in which one that stops reading has to be gone: until what the kernel holds is full, the timeout of ten, and
two for the 1013."""
CUT_OFF = 42.0
"""Seconds in which one whose cable was pulled has to be gone: a ping every 20, and 20 for its answer."""


def check(history: History, subscriptions: Sequence[Subscription]) -> list[Violation]:
    return [*_good_again(history, subscriptions), *_gone(history)]


def _good_again(history: History, subscriptions: Sequence[Subscription]) -> Iterator[Violation]:
    over = max((each.end for each in history.plan.troubles), default=0.0) + RECOVERS
    for subscription in subscriptions:
        if not subscription.is_prompt:
            continue
        due = max(over, subscription.begin + SETTLES)
        end = min(subscription.end, history.plan.seconds)
        tape = history.tapes.get(subscription.place)
        yield from _good_from(subscription, due, end, tape)


def _good_from(subscription: Subscription, due: float, end: float, tape: Tape | None) -> Iterator[Violation]:
    """The channel is good at that time, and stays so."""
    leaps = tape.leaps if tape is not None and _needs_snapshots(subscription) else ()
    trades = tape.trades if tape is not None and subscription.kind == "trade" else ()
    for begin, until, told in _spells(subscription, end):
        if until > due and not _is_leap(begin, until, told, leaps) and not _is_lull(begin, until, told, trades):
            state = told[-1].payload["state"] if told else ""
            yield subscription.blame("recovery", max(due, begin), f"{state} since {begin:.3f}, with all troubles over")
            return


def _spells(subscription: Subscription, end: float) -> Iterator[tuple[float, float, list[Told]]]:
    """When the channel was not good: from, to, and what its clients were told meanwhile."""
    begin: float | None = subscription.begin
    told: list[Told] = []
    for each in subscription.told:
        if each.kind != "status":
            continue
        if each.payload["state"] not in GOOD:
            begin = each.at if begin is None else begin
            told.append(each)
        elif begin is not None:
            yield begin, each.at, told
            begin, told = None, []
    if begin is not None and begin < end:
        yield begin, end, told


def _needs_snapshots(subscription: Subscription) -> bool:
    """Whether it is a book that is made from REST snapshots; where the stream brings it, all its levels are proven."""
    return subscription.kind == "order_book" and subscription.place[0] == "binance"


def _is_leap(begin: float, until: float, told: Sequence[Told], leaps: Sequence[float]) -> bool:
    """Whether the price leapt past every level of a side that was proven, so that nobody could know the best one, and
    the next snapshot came in time."""
    if not told or until - begin > LEAP_OVER or not any(leap <= begin <= leap + LEAP_SEEN for leap in leaps):
        return False
    return all((each.payload["state"], each.payload.get("cause")) == ("resyncing", "gap") for each in told)


def _is_lull(begin: float, until: float, told: Sequence[Told], trades: Sequence[WireTrade]) -> bool:
    """Whether the market had no trade for so long that their stream could not be told from one that has failed."""
    if not told or any((each.payload["state"], each.payload.get("cause")) != ("stale", "silent") for each in told):
        return False
    before = max((each.at for each in trades if each.at <= begin - LULL), default=None)
    if before is None:
        return False
    after = min((each.at for each in trades if each.at > before), default=None)
    return after is not None and after - before >= LULL and until - after <= LULL_OVER


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

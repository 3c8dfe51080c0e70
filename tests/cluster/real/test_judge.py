"""What is planted in what clients of real processes got is found: else that nothing is found means nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import pytest
import pytest_twisted

from tests.chaos.history import Event
from tests.cluster.real.judge import Judgement
from tests.cluster.real.world import World

LEFT_OUT_S: Final = 4.0
STANDING_S: Final = 2.6
"""Longer than anything that is shown as live may be old."""
CALM_S: Final = 1.0
"""A stall that is shorter excuses nothing that is planted ``LEFT_OUT_S`` before the end."""
TRIES: Final = 5


def is_of(event: Event, kind: str) -> bool:
    return event.kind == "got" and str(event.value["type"]).startswith(kind)


def nothing_more(kind: str) -> Callable[[list[Event]], Sequence[Event]]:
    """No message of that kind comes any more, and the status stays as it is."""

    def change(events: list[Event]) -> Sequence[Event]:
        limit = events[-1].at - LEFT_OUT_S
        return [each for each in events if each.at < limit or not is_of(each, kind)]

    return change


def one(kind: str, times: int, way: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Callable[[list[Event]], Any]:
    """One live message of that kind, two seconds before the end, comes so many times, changed."""

    def change(events: list[Event]) -> Sequence[Event]:
        limit = events[-1].at - LEFT_OUT_S
        at = next(index for index, each in enumerate(events) if each.at > limit and is_of(each, kind))
        found = events[at]
        message = {**found.value, "payload": way(found.value["payload"])}
        return [*events[:at], *[found._replace(value=message)] * times, *events[at + 1 :]]

    return change


def dearer(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The same with a digit more in front."""
    return lambda payload: {**payload, name: f"9{payload[name]}"}


def stood_still(events: list[Event]) -> Sequence[Event]:
    """The client read and sent nothing for a while, and all that had come meanwhile at once."""
    begin = events[-1].at - LEFT_OUT_S
    end = begin + STANDING_S
    return [each._replace(at=end) if begin < each.at < end else each for each in events]


PLANTED: Final = (
    ("a ticker that stands still", nothing_more("ticker"), "live"),
    ("a book that stands still", nothing_more("order_book_delta"), "live"),
    ("a trade left out", one("trade", 0), "trades"),
    ("a trade told twice", one("trade", 2), "trades"),
    ("a wrong price of a trade", one("trade", 1, dearer("price")), "trades"),
    ("a wrong bid", one("ticker", 1, dearer("bid")), "live"),
    ("a delta left out", one("order_book_delta", 0), "deltas"),
    ("a wrong bar", one("candle", 1, dearer("high")), "live"),
)


def excuses_of(judgement: Judgement, states: Collection[str]) -> list[str]:
    """What of the time before may excuse an error that is planted, so that it need not be found: a long stall makes
    all that is shown old, a gap may have missed one trade more, and of a channel that is quiet at the end the last
    trades may still be lost. ``states`` are those of the channels at the end."""
    found = [f"a gap: {reason}" for reason in judgement.gaps]
    if judgement.stalled >= CALM_S:
        found.append(f"a stall of {judgement.stalled:.2f} s")
    return found + [f"a channel is {state}" for state in set(states) - {"live"}]


async def watch_calmly(world: World) -> None:
    """Watch until nothing excuses what is planted: the machine may do other things as well. What clients were shown is
    right each time."""
    excuses: list[list[str]] = []
    while len(excuses) < TRIES:
        await world.watch()
        await world.sleep(2 * LEFT_OUT_S)
        judgement = world.judged()
        assert judgement.violations == []
        excuses.append(excuses_of(judgement, [state for each in world.watchers for state in each.states.values()]))
        if not excuses[-1]:
            return
    pytest.fail(f"each time something would have excused what is planted: {excuses}")


@pytest.mark.parametrize(
    ("stalled", "gaps", "states", "excuses"),
    [
        (0.9, {}, {"live"}, []),
        (1.2, {}, {"live"}, ["a stall of 1.20 s"]),
        (0.0, {"upstream": 1}, {"live"}, ["a gap: upstream"]),
        (0.0, {}, {"live", "quiet"}, ["a channel is quiet"]),
    ],
)
def test_an_error_is_planted_where_nothing_excuses_it(
    stalled: float, gaps: dict[str, int], states: set[str], excuses: list[str]
) -> None:
    judgement = Judgement([], [], 0.5, Counter(), Counter(gaps), stalled)
    assert excuses_of(judgement, states) == excuses


@pytest_twisted.ensureDeferred
async def test_every_planted_error_is_found(world: World) -> None:
    await world.repair()
    await watch_calmly(world)
    for watcher in world.watchers:
        watcher.stop()
    connection = world.watchers[-1].connections()[-1]
    as_it_was = connection.events
    for name, change, invariant in PLANTED:
        connection.events = list(change(as_it_was))
        found = {(each.invariant, each.client) for each in world.judged().violations}
        client = world.watchers[-1].plan.name
        assert (invariant, client) in found, (name, found)
        assert {whose for _, whose in found} == {client}, (name, found)
    connection.events = list(stood_still(as_it_was))
    judgement = world.judged()
    assert judgement.violations == []
    assert judgement.stalled > STANDING_S - 0.3
    connection.events = as_it_was

"""A real Redis, real processes and the line between them are broken: nothing wrong is shown as live by any process, no
trade is missing without a gap, everything is good again in time, and what happened is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
import pytest_twisted

from cryptodash.core.time import parse_time
from tests.cluster.real.faults import FAULTS, Fault
from tests.cluster.real.world import EXCHANGES, World

CALM_S: Final = 2.0
"""Before a fault, and after everything is good again."""
LOSSY_S: Final = 6.0
"""The same where words that processes send each other may be lost: they say them again after two seconds."""
BACK_S: Final = 10.0
"""Everything is good again so long after the end of a fault; after a SIGKILL, so long after that."""
LONGEST_S: Final = 40.0
"""So long is waited to learn how long it takes."""
BEFORE_CLOSE_S: Final = 1.5
"""So long before a minute's end a fault begins in a run in full."""
STORM_TIMES: Final = 10.0
"""As many times as much is published while publications go wrong, and it is a fault of its own."""


async def moved(world: World, since: float) -> None:
    """The ledger of who has an exchange now says that all is good there, and not since before."""
    for exchange, holder in zip(EXCHANGES, world.holders(), strict=True):
        assert holder is not None
        streams = [each for each in await world.streams(holder, exchange) if each["in_use"]]
        assert streams and {each["state"] for each in streams} <= {"live", "quiet"}, streams[:3]
        began = [parse_time(each["history"][-1]["from"]) / 1000 for each in streams]
        assert exchange != EXCHANGES[0] or min(began) >= since, (min(began), since)


async def broken(world: World, fault: Fault) -> tuple[float, str]:
    """Do it, and wait until all is good: how long that took, and what can be told of it."""
    world.notes.clear()
    world.storm = 0.0
    await world.repair()
    await world.watch()
    await world.sleep(CALM_S)
    before = [await world.metrics(each) for each in world.processes]
    lines = {each.number: len(each.all_lines()) for each in world.processes}
    begun = world.reactor.seconds()
    over = await fault.do(world)
    await world.until(lambda: not world.bad(), LONGEST_S, lambda: world.bad()[:10])
    await world.sleep(LOSSY_S if fault.is_lossy else CALM_S + 0.5)
    await world.until(lambda: not world.bad(), LONGEST_S, lambda: world.bad()[:10])
    took = max(0.0, world.good_since() - over)
    books = max(0.0, world.good_since("order_book") - over)
    # Before the judgement: it takes seconds, in which the proxies to Redis stand still as well.
    after = [await world.metrics(each) for each in world.running]
    judgement = world.judged()
    words = f"all good again {took:.1f} s after it was over (books {books:.1f}); {judgement.words()}"
    words = "; ".join([words, *world.notes])
    assert not judgement.violations, f"{words}\n" + "\n".join(map(str, judgement.violations[:30]))
    assert not judgement.backwards, f"{words}\n" + "\n".join(map(str, judgement.backwards[:30]))
    assert world.storm < STORM_TIMES, words
    assert world.exceptions() == []
    if fault.moves:
        await moved(world, begun)
    told = [what for each in world.watchers for found in each.bad_after(begun).values() for what in found]
    assert not fault.backend or "stale(backend)" in told, told
    said = [line for each in world.processes for line in each.all_lines()[lines[each.number] :]]
    if fault.told:
        assert any(fault.told in line for line in said), said
    for name in fault.grown:
        assert sum(each.get(name, 0) for each in after) > sum(each.get(name, 0) for each in before), name
    assert [each["failures_total"] for each in after] == [0.0] * len(after)
    up = [each["redis_connections"] for each in after]
    assert up == [3.0] * len(after), (up, [line for line in said if "Redis" in line])
    assert sum(each["leases"] for each in after) == 2.0, "each exchange is open in one process"
    return took, words


@pytest.mark.parametrize("name", FAULTS)
@pytest_twisted.ensureDeferred
async def test_nothing_wrong_is_shown_and_all_is_good_again(
    name: str, world: World, long: bool, record_property: Callable[[str, object], None]
) -> None:
    fault = FAULTS[name]
    if not (long or fault.is_sampled):
        pytest.skip("only with --long")
    if long:  # bars close in it
        await world.sleep((-CALM_S - BEFORE_CLOSE_S - world.reactor.seconds()) % 60)
    took, words = await broken(world, fault)
    record_property("measured", f"{name}: {words}")
    assert took <= BACK_S, words

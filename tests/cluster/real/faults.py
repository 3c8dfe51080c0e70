"""What is done to a cluster of real processes. Each fault is a coroutine that returns when it is over: at what time."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final

from attrs import frozen
from twisted.internet.threads import deferToThread

from tests.cluster.real.resp_frames import Both, Change, Drop, Duplicate, Reorder
from tests.cluster.real.world import EXCHANGES, ServerProcess, World

OUTAGE_S: Final = 10.0
"""So long Redis is paused, slow, read-only or full: longer than a lease and the deadline of a reply."""
DEAD_S: Final = 3.0
BAD_LINE_S: Final = 6.0
"""So long publications are changed on their way."""
ASLEEP_S: Final = 9.0
TAKEN_OVER_S: Final = 20.0


def holder_of(world: World) -> ServerProcess:
    """Who has the first exchange open."""
    holder = world.holders()[0]
    assert holder is not None
    return holder


async def _taken_over(world: World, before: ServerProcess) -> None:
    await world.until(lambda: not {None, before} & set(world.holders()), TAKEN_OVER_S)


async def kill_holder(world: World) -> float:
    holder, fences = holder_of(world), world.fences()
    at = float(world.reactor.seconds())
    holder.signal(signal.SIGKILL)
    assert holder.ended(5) == -signal.SIGKILL
    await _taken_over(world, holder)
    taken = world.fences()
    assert taken[0] > fences[0], (taken, fences, holder.name)
    return at


async def terminate_holder(world: World) -> float:
    holder = holder_of(world)
    at = float(world.reactor.seconds())
    holder.signal(signal.SIGTERM)
    await _taken_over(world, holder)
    assert world.reactor.seconds() - at < 5.0, "a lease that is given back is had at once"
    assert holder.ended(10) == 0
    return at


async def stop_holder(world: World) -> float:
    """It sleeps until its leases are others', and wakes believing that they are its own."""
    holder, fences = holder_of(world), world.fences()
    at = world.reactor.seconds()
    holder.signal(signal.SIGSTOP)
    await _taken_over(world, holder)
    taken = world.fences()
    assert taken[0] > fences[0]
    await world.until(lambda: not world.bad(holder), 10.0, lambda: world.bad(holder)[:5])
    world.notes.append(f"the others were good {world.good_since(without=holder) - at:.1f} s after it had stopped")
    await world.sleep(max(0.0, at + ASLEEP_S - world.reactor.seconds()))
    woke = float(world.reactor.seconds())
    holder.signal(signal.SIGCONT)
    said = "is held by this process no more"
    await world.until(
        lambda: any(said in line for line in holder.process.lines), 5.0, lambda: holder.process.lines[-5:]
    )
    cache: Any = {}
    while cache.get("holds") != []:
        assert world.reactor.seconds() - woke < 5.0, cache
        cache = (await world.ready(holder))[1]["dependencies"]["cache"]
    assert world.fences() == taken, "it got its lease back from who has it"
    return woke


async def kill_redis(world: World) -> float:
    world.redis.kill()
    await world.sleep(DEAD_S)
    world.redis.start()
    assert world.redis.command("DBSIZE") <= 3, "it is empty but for what has come since"
    return float(world.reactor.seconds())


async def pause_redis(world: World) -> float:
    """What ``/ready`` says meanwhile is looked at as well."""
    holders = world.holders()
    world.redis.pause()
    await world.sleep(OUTAGE_S - 2.0)
    for process in world.running:
        status, ready = await world.ready(process)
        exchanges = ready["dependencies"]["exchanges"]
        lost = {name: each["cause"] for name, each in exchanges.items() if each["status"] == "offline"}
        afar = [name for name, holder in zip(exchanges, holders, strict=True) if holder is not process]
        assert lost == dict.fromkeys(afar, "backend"), (process.number, lost, afar)
        assert status == (503 if len(afar) == len(exchanges) else 200), (process.number, status, ready)
    await world.sleep(2.0)
    world.redis.go_on()
    return float(world.reactor.seconds())


async def slow_redis(world: World) -> float:
    """It runs for 30 ms, and then not for 300."""
    end = world.reactor.seconds() + OUTAGE_S
    while world.reactor.seconds() < end:
        world.redis.pause()
        await world.sleep(0.3)
        world.redis.go_on()
        await world.sleep(0.03)
    return float(world.reactor.seconds())


async def read_only_redis(world: World) -> float:
    """It has become the replica of one that is not there."""
    world.redis.command("REPLICAOF", "127.0.0.1", 9)
    await world.sleep(OUTAGE_S)
    world.redis.command("REPLICAOF", "NO", "ONE")
    return float(world.reactor.seconds())


async def fill_redis(world: World) -> float:
    world.redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    world.redis.command("CONFIG", "SET", "maxmemory", 1)
    await world.sleep(OUTAGE_S)
    world.redis.command("CONFIG", "SET", "maxmemory", 0)
    return float(world.reactor.seconds())


async def empty_redis(world: World) -> float:
    world.redis.command("FLUSHALL")
    return float(world.reactor.seconds())


async def cut(world: World) -> float:
    """The connections by which publications come are closed again and again."""
    count, end = 0, world.reactor.seconds() + BAD_LINE_S
    while world.reactor.seconds() < end:
        count += sum(each.proxy.cut() for each in world.processes)
        await world.sleep(0.4)
    assert count > len(world.processes), count
    return float(world.reactor.seconds())


async def delay(world: World, seconds: float = 3.0) -> float:
    for each in world.processes:
        each.proxy.delay = seconds
    await world.sleep(BAD_LINE_S)
    for each in world.processes:
        each.proxy.delay = 0.0
    await world.sleep(seconds)
    return float(world.reactor.seconds())


def changed(make: Callable[[Random], Change]) -> Callable[[World], Awaitable[float]]:
    """Publications are changed on the way to every process."""

    async def change(world: World) -> float:
        random = Random(7)
        before = world.processes[0].proxy.pushed
        await world.sleep(2.0)
        usual = (world.processes[0].proxy.pushed - before) / 2.0
        pushed = [each.proxy.pushed for each in world.processes]
        for each in world.processes:
            each.proxy.change(lambda: make(random))
        await world.sleep(BAD_LINE_S)
        for each in world.processes:
            each.proxy.change(None)
        over = float(world.reactor.seconds())
        followed = [each.proxy.pushed - before for each, before in zip(world.processes, pushed, strict=True)]
        assert all(count > 20 for count in followed), followed
        meanwhile = max(followed) / BAD_LINE_S
        world.storm = meanwhile / usual
        world.notes.append(f"{meanwhile:.0f} publications a second meanwhile, {usual:.0f} before")
        return over

    return change


async def foreign_payloads(world: World) -> float:
    """Somebody publishes garbage on channels that all processes listen to, and a hundred megabytes at once."""
    channels = [f"cryptodash:bus:{each}" for each in EXCHANGES]
    for channel in (*channels, "cryptodash:members", "cryptodash:reports"):
        await deferToThread(world.redis.command, "PUBLISH", channel, b"\x93garbage")
    await deferToThread(world.redis.command, "PUBLISH", channels[0], bytes(100_000_000), seconds=30.0)
    return float(world.reactor.seconds())


@frozen
class Fault:
    """``grown`` are metrics (of all processes) that tell of it, ``told`` a line of the log that somebody writes;
    ``backend`` says whether clients are told ``stale(backend)``, ``moves`` whether an exchange is another's then."""

    do: Callable[[World], Awaitable[float]]
    grown: tuple[str, ...] = ()
    told: str = ""
    backend: bool = True
    moves: bool = False
    is_lossy: bool = False
    is_sampled: bool = False


FAULTS: Final[Mapping[str, Fault]] = {
    "publications reordered and dropped": Fault(
        changed(lambda random: Both(Reorder(), Drop(random))),
        ("gaps_total",),
        backend=False,
        is_lossy=True,
        is_sampled=True,
    ),
    "Redis paused": Fault(pause_redis, ("unpublished_total",), "lost Redis", is_sampled=True),
    "holder killed": Fault(kill_holder, (), "is held by this process", moves=True, is_sampled=True),
    "holder stopped until others have its leases": Fault(
        stop_holder, (), "is held by this process no more", moves=True
    ),
    "holder terminated": Fault(terminate_holder, (), "is held by this process", backend=False, moves=True),
    "Redis killed and started empty": Fault(kill_redis, ("unpublished_total",), "lost Redis"),
    "Redis slow": Fault(slow_redis, (), backend=False),
    "Redis read-only": Fault(read_only_redis, ("unpublished_total",)),
    "Redis full": Fault(fill_redis, (), backend=False),
    "Redis emptied": Fault(empty_redis, (), "is held by this process", backend=False),
    "publications cut": Fault(cut, (), "lost Redis"),
    "foreign payloads": Fault(foreign_payloads, ("refused_total", "redis_lost_total"), "lost Redis"),
    "publications delayed": Fault(delay),
    "publications dropped": Fault(changed(Drop), ("gaps_total",), backend=False, is_lossy=True),
    "publications duplicated": Fault(changed(lambda random: Duplicate()), backend=False),
    "publications reordered": Fault(changed(lambda random: Reorder()), ("gaps_total",), backend=False),
}

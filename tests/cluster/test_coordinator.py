"""Who has a venue open: the process that Redis has given the lease to, also where it did not hear so at once."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest

from cryptodash.cluster.channels import RedisServer
from cryptodash.cluster.lease import TTL_S, Standing
from cryptodash.cluster.redis_link import LONGEST_WAIT_S, address_of, endpoint_of
from cryptodash.cluster.service import RETURN_S, Cluster, Membership
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.quality import UNRECORDED
from cryptodash.core.tally import Tally
from cryptodash.testing.network import MemoryNetwork
from tests.cluster.hub_fakes import Demand, Inlet, States
from tests.cluster.simulated_redis import SimulatedRedis
from tests.cluster.wire_samples import REPORT

LEASE = b"test:lease:binance"


class Venue:
    """One that has no streams."""

    exchange, source, markets = "binance", "simulated", (MarketType.SPOT,)

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.is_open = False

    def startService(self) -> None:
        self.is_open = True

    async def stopService(self) -> None:
        self.is_open = False

    def report(self) -> Any:
        return REPORT


class Process:
    def __init__(self, world: World, name: str) -> None:
        address = address_of("redis://redis.example")
        redis = RedisServer(address, endpoint_of(world.network, address), "test")
        self.tally = Tally()
        self.cluster = Cluster(
            Membership(name, "host", "wire 1"), redis, Inlet(), Demand(), States(), lambda exchange: UNRECORDED,
            world.network, world.network, Random(name), self.tally,
        )  # fmt: skip
        self.venue = self.cluster.add("binance", cast(Any, lambda inlet, catalogue: Venue(catalogue)))
        self.cluster.startService()

    @property
    def standing(self) -> Standing:
        return self.cluster.standing("binance")


class World:
    def __init__(self, *names: str) -> None:
        self.network = MemoryNetwork()
        self.redis_us = 1_700_000_000_000_000
        self.redis = SimulatedRedis(self.network, lambda: self.redis_us + round(self.network.seconds() * 1e6))
        self.network.listen(6379, self.redis)
        self.processes = [Process(self, name) for name in names]

    def passes(self, seconds: float) -> None:
        self.network.pass_time(seconds, step=0.05)

    def takes(self, true: Callable[[], bool]) -> float:
        """Seconds until that is so."""
        begun = self.network.seconds()
        while not true():
            self.passes(0.05)
            assert self.network.seconds() - begun < 60, "never"
        return self.network.seconds() - begun

    def holders(self) -> list[str]:
        return [each.cluster.membership.process for each in self.processes if each.standing is Standing.HOLDER]


def test_a_free_venue_is_had_at_once_and_by_one_process() -> None:
    world = World("a", "b", "c")
    assert world.takes(lambda: bool(world.holders())) <= 1.0
    world.passes(10.0)
    assert len(world.holders()) == 1
    assert [each.venue.is_local for each in world.processes].count(True) == 1


def test_a_process_that_ends_gives_it_back() -> None:
    world = World("a", "b")
    world.passes(2.0)
    (holder,) = [each for each in world.processes if each.standing is Standing.HOLDER]
    holder.cluster.stopService()
    assert world.takes(lambda: len(world.holders()) == 1 and holder.standing is not Standing.HOLDER) <= 2.0


def test_what_redis_gave_when_nobody_heard_it_is_claimed() -> None:
    """A try that waits in the buffers of a connection that was given up is carried out when Redis goes on."""
    world = World("a")
    world.passes(2.0)
    world.redis.put(LEASE, b"a:1700000099000000", 60_000)
    assert world.takes(lambda: world.holders() == ["a"] and world.redis.held(LEASE) == b"a:1700000099000000") < 5.0
    world.passes(10.0)
    assert world.holders() == ["a"] and world.redis.held(LEASE) == b"a:1700000099000000", "and renewed"


def test_one_that_was_given_to_us_before_we_had_it_is_claimed_without_waiting_for_its_end() -> None:
    world = World()
    world.redis.put(LEASE, b"a:1700000099000000", round(TTL_S * 1000))
    world.processes = [Process(world, "a")]
    assert world.takes(lambda: world.holders() == ["a"]) < 1.5
    assert world.redis.held(LEASE) == b"a:1700000099000000"


@pytest.mark.parametrize("found", [b"garbage", b"", b"a:x", b"\xff\xfe", b"b:1700000000000000"])
def test_what_is_not_ours_is_left_to_whoever_has_it(found: bytes) -> None:
    world = World()
    world.redis.put(LEASE, found, 60_000)
    world.processes = [Process(world, "a")]
    world.passes(5.0)
    assert world.holders() == [] and world.redis.held(LEASE) == found


def test_after_an_outage_whoever_had_the_venue_has_it_again() -> None:
    for seed in range(5):
        world = World(*(f"{name}{seed}" for name in "abc"))
        world.passes(2.0)
        before = world.holders()
        del world.network.servers[6379]
        world.redis.crash()
        world.passes(10.0)
        world.network.listen(6379, world.redis)
        assert world.takes(lambda world=world: bool(world.holders())) <= LONGEST_WAIT_S + 1.0
        world.passes(10.0)
        assert world.holders() == before


def test_after_redis_has_stood_still_as_well() -> None:
    """What the others had asked for meanwhile, on connections that they have given up, comes too late."""
    for seed in range(5):
        world = World(*(f"{name}{seed}" for name in "abc"))
        world.passes(2.0)
        before = world.holders()
        world.redis.pause()
        world.passes(10.0)
        world.redis.go_on()
        assert world.takes(lambda world=world: bool(world.holders())) <= LONGEST_WAIT_S + 1.0
        world.passes(10.0)
        assert world.holders() == before


def test_the_clock_of_redis_may_be_set_forward() -> None:
    """Once it is too late; then its time is known again."""
    world = World("a")
    world.passes(2.0)
    world.redis_us += 3_600_000_000
    world.redis.flush()
    world.passes(3.0)
    assert world.holders() == ["a"]


def test_where_that_one_has_gone_as_well_another_has_it_soon() -> None:
    world = World("a", "b", "c")
    world.passes(2.0)
    (gone,) = [each for each in world.processes if each.standing is Standing.HOLDER]
    del world.network.servers[6379]
    world.redis.crash()
    gone.cluster.stopService()
    world.processes.remove(gone)
    world.passes(10.0)
    world.network.listen(6379, world.redis)
    assert world.takes(lambda: len(world.holders()) == 1) <= LONGEST_WAIT_S + RETURN_S + 2.0


def test_what_is_granted_after_the_end_is_given_back_and_nothing_is_opened() -> None:
    world = World("a")
    world.redis.pause()
    world.passes(1.0)
    (process,) = world.processes
    process.cluster.stopService()
    world.redis.go_on()
    world.passes(3.0)
    assert not process.venue.is_local and world.redis.held(LEASE) is None

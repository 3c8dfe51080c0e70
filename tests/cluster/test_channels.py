"""What processes tell each other by Redis comes to whoever listens, signed where there is a key, and whatever else
comes is counted and goes to nobody."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.logger import capturedLogs

from cryptodash.cluster.channels import Channels, RedisServer
from cryptodash.cluster.redis_link import address_of, endpoint_of
from cryptodash.core.tally import Counter, Tally
from cryptodash.testing.network import MemoryNetwork
from tests.cluster.simulated_redis import SimulatedRedis

KEY = "sixteen characters at least"
LEASE, TOKEN = b"test:lease:binance", "me:7"


class World:
    """A Redis in memory, and processes on it."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.redis = SimulatedRedis(self.network, lambda: 1_700_000_000_000_000)
        self.network.listen(6379, self.redis)

    def process(self, key: str = "") -> Process:
        return Process(self, key)


class Process:
    def __init__(self, world: World, key: str) -> None:
        self.tally = Tally()
        self.calls: list[str] = []
        self.taken: list[bytes] = []
        self.network = world.network
        address = address_of("redis://redis.example")
        redis = RedisServer(address, endpoint_of(world.network, address), "test", key)
        up, hears = (lambda: self.calls.append("up")), (lambda: self.calls.append("hears"))
        self.channels = Channels(redis, world.network, Random(1), self.tally, up, hears)
        self.bus = self.channels.key("bus", "binance")
        self.channels.listen(self.bus, self.taken.append)
        self.channels.is_open = True
        self.channels.startService()
        world.network.settle()

    def counted(self, name: str) -> int:
        counter = self.tally.metrics[name]
        assert isinstance(counter, Counter)
        return counter.values[()]

    def outcome(self, deferred: Any) -> Any:
        found: list[Any] = []
        deferred.addBoth(found.append)
        self.network.settle()
        return found[0]


@pytest.mark.parametrize("key", ["", KEY])
def test_what_one_publishes_the_others_hear(key: str) -> None:
    world = World()
    one, other = world.process(key), world.process(key)
    assert one.calls == ["up", "hears"] and one.channels.is_up and one.channels.trouble == ""
    one.channels.publish(one.bus, b"\x01payload")
    world.network.settle()
    assert other.taken == [b"\x01payload"]
    assert one.taken == other.taken, "its own as well"


@pytest.mark.parametrize("key", ["", KEY])
def test_what_is_published_under_a_lease_comes_in_order_and_only_as_long_as_it_is_ours(key: str) -> None:
    world = World()
    one, other = world.process(key), world.process(key)
    one.outcome(one.channels.call("SET", LEASE, TOKEN))
    assert one.outcome(one.channels.publish_fenced(LEASE, TOKEN, one.bus, [b"1", b"2"])) == 1
    assert one.outcome(one.channels.publish_fenced(LEASE, "me:6", one.bus, [b"3"])) == 0
    assert other.taken == [b"1", b"2"]


@pytest.mark.parametrize(("mine", "theirs"), [(KEY, ""), (KEY, "another key of the same length")])
def test_what_is_not_signed_with_our_key_is_counted_and_goes_to_nobody(mine: str, theirs: str) -> None:
    world = World()
    one, other = world.process(mine), world.process(theirs)
    for _ in range(3):
        other.channels.publish(other.bus, b"a price that is not true")
    world.network.settle()
    assert one.taken == [] and one.counted("cryptodash_cluster_unsigned_total") == 3
    assert one.channels.is_up, "and the connection stays"


def test_what_is_stored_is_signed_as_well() -> None:
    world = World()
    one, other, stranger = world.process(KEY), world.process(KEY), world.process()
    key = one.channels.key("catalogue", "binance", "spot")
    one.outcome(one.channels.call("SET", LEASE, TOKEN))
    assert one.outcome(one.channels.store_fenced(LEASE, "me:6", key, b"not ours any more")) == 0
    assert other.outcome(other.channels.stored(key)) is None
    assert one.outcome(one.channels.store_fenced(LEASE, TOKEN, key, b"listed")) == 1
    assert other.outcome(other.channels.stored(key)) == b"listed"
    stranger.outcome(stranger.channels.call("SET", key, b"other sizes"))
    assert other.outcome(other.channels.stored(key)) is None
    assert other.counted("cryptodash_cluster_unsigned_total") == 1


def test_nothing_comes_to_a_process_that_does_not_take_part() -> None:
    world = World()
    one, other = world.process(), world.process()
    other.channels.is_open = False
    one.channels.publish(one.bus, b"payload")
    world.network.settle()
    assert other.taken == []


def test_a_fault_of_ours_is_counted_and_the_next_message_comes() -> None:
    world = World()
    one = world.process()

    def fail(payload: bytes) -> None:
        one.taken.append(payload)
        raise ZeroDivisionError

    one.channels.listen(one.bus, fail)
    for payload in (b"1", b"2"):
        one.channels.publish(one.bus, payload)
    world.network.settle()
    assert one.taken == [b"1", b"2"] and one.counted("cryptodash_cluster_failures_total") == 2


def test_trouble_names_the_address_and_why() -> None:
    world = World()
    one = world.process()
    del world.network.servers[6379]
    world.redis.crash()
    world.network.settle()
    assert not one.channels.is_up and one.counted("cryptodash_cluster_redis_lost_total") == 3
    assert one.channels.trouble.startswith("Redis at redis.example:6379/0 is out of reach: ")


def test_a_redis_that_is_no_use_is_named_once_and_nothing_is_done_with_it() -> None:
    world = World()
    world.redis.mode = b"cluster"
    with capturedLogs() as logs:
        one = world.process()
    assert one.calls == ["hears"] and not one.channels.is_up
    assert "it is in cluster mode" in one.channels.trouble
    assert len([each for each in logs if "refuses us" in each.get("log_format", "")]) == 1

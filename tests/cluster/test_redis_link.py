"""The connection to Redis that is made again: addresses, letting in, refusals and losses, over a network in memory."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from twisted.internet.protocol import Protocol

from cryptodash.cluster.redis_link import LONGEST_WAIT_S, RedisAddress, RedisLink, address_of, endpoint_of, unfit
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.testing.network import MemoryNetwork
from tests.cluster.simulated_redis import OK, Fault, Reply, SimulatedRedis

HERE = address_of("redis://redis.example")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://redis.example", RedisAddress("redis.example", 6379)),
        ("redis://redis.example/", RedisAddress("redis.example", 6379)),
        ("redis://redis.example:6380/3", RedisAddress("redis.example", 6380, 3)),
        ("rediss://redis.example", RedisAddress("redis.example", 6379, is_tls=True)),
        ("redis://[::1]:7000", RedisAddress("::1", 7000)),
        ("redis://:s%40crt%2F%25@h", RedisAddress("h", 6379, login=("s@crt/%",))),
        ("rediss://a%3Ab:c%20d@h:1/2", RedisAddress("h", 1, 2, True, ("a:b", "c d"))),
        ("redis://user@h", RedisAddress("h", 6379)),
    ],
)
def test_a_url_says_where_redis_is_and_who_we_are_there(url: str, address: RedisAddress) -> None:
    assert address_of(url) == address


def test_an_address_shows_no_password_whatever_way_it_is_written() -> None:
    address = address_of("rediss://somebody:hunter2@h:1/2")
    assert str(address) == "h:1/2"
    for shown in (str(address), repr(address), f"{[address]}"):
        assert "hunter2" not in shown


class GuardedRedis(SimulatedRedis):
    """Knows a password, once it is set; remembers what it was told at the beginning of each connection."""

    def __init__(self, network: MemoryNetwork, refusals: int = 0) -> None:
        super().__init__(network, lambda: 1)
        self.refusals = refusals
        self.commands: list[tuple[bytes, ...]] = []

    def carry_out(self, connection: Any, command: Sequence[bytes]) -> Reply | list[Reply]:
        self.commands.append(tuple(command))
        return super().carry_out(connection, command)

    def _do_auth(self, connection: Any, *login: bytes) -> Reply:
        if self.refusals:
            self.refusals -= 1
            return Fault("WRONGPASS invalid username-password pair or user is disabled.")
        return OK

    def _do_select(self, connection: Any, database: bytes) -> Reply:
        return OK


class Mute:
    """Its connections say nothing."""

    def buildProtocol(self, address: object) -> Protocol:
        return Protocol()


class Linked:
    """A link, what it calls, and the network under it."""

    def __init__(self, address: RedisAddress = HERE, refusals: int = 0, channels: Sequence[bytes] = ()) -> None:
        self.network = MemoryNetwork()
        self.redis = GuardedRedis(self.network, refusals)
        self.network.listen(6379, self.redis)
        self.calls: list[Any] = []
        self.link = RedisLink(
            address,
            endpoint_of(self.network, address),
            self.network,
            Random(1),
            push=lambda *push: self.calls.append(push),
            channels=channels,
            up=lambda: self.calls.append("up"),
            down=lambda: self.calls.append("down"),
        )

    def start(self) -> None:
        self.link.startService()
        self.network.settle()

    def ask(self, *command: bytes | str | int) -> list[Any]:
        """What a call has come to so far."""
        found: list[Any] = []
        self.link.call(*command).addCallbacks(found.append, lambda failure: found.append(failure.value))
        self.network.settle()
        return found


def test_it_connects_and_says_that_it_is_up_once_redis_has_answered() -> None:
    linked = Linked()
    linked.redis.pause()
    linked.start()
    assert not linked.link.is_up and linked.calls == []
    linked.redis.go_on()
    linked.network.settle()
    assert linked.link.is_up and linked.calls == ["up"] and linked.link.trouble == ""
    assert linked.redis.commands == [(b"INFO", b"server")]
    assert linked.ask("SET", "key", "value") == [b"OK"]
    assert linked.ask("GET", "key") == [b"value"]


def test_a_login_and_a_database_are_told_before_anything_else() -> None:
    linked = Linked(address_of("redis://me:pass%20word@redis.example/4"))
    linked.start()
    assert linked.redis.commands == [(b"AUTH", b"me", b"pass word"), (b"INFO", b"server"), (b"SELECT", b"4")]
    assert linked.link.is_up


def test_a_refused_login_is_tried_again_until_it_gets_in() -> None:
    linked = Linked(address_of("redis://:secret@redis.example"), refusals=2)
    linked.start()
    assert not linked.link.is_up and linked.calls == []
    assert linked.link.trouble.startswith("WRONGPASS")
    (error,) = linked.ask("GET", "key")
    assert isinstance(error, RedisError)
    assert str(error).startswith("Redis at redis.example:6379/0 is out of reach: WRONGPASS")
    linked.network.pass_time(2 * LONGEST_WAIT_S)
    assert linked.link.is_up and linked.calls == ["up"] and linked.link.trouble == ""
    assert linked.redis.commands.count((b"AUTH", b"secret")) == 3
    assert len(linked.redis.connections) == 1


def test_a_redis_that_refuses_for_long_is_not_asked_more_often_than_every_fifth_of_a_second() -> None:
    linked = Linked(address_of("redis://:secret@redis.example"), refusals=1_000)
    linked.start()
    linked.network.pass_time(20.0, step=0.1)
    assert 10 <= len(linked.redis.commands) <= 100


def test_channels_are_subscribed_to_and_what_is_published_is_pushed() -> None:
    linked = Linked(channels=(b"a", b"b"))
    linked.start()
    assert linked.redis.commands == [(b"INFO", b"server"), (b"SUBSCRIBE", b"a"), (b"SUBSCRIBE", b"b")]
    linked.redis.publish(b"b", b"payload")
    linked.redis.publish(b"c", b"another's")
    linked.network.settle()
    assert linked.calls == ["up", (b"b", b"payload")]


def test_a_lost_connection_is_made_again_with_all_that_it_was_subscribed_to() -> None:
    linked = Linked(channels=(b"a",))
    linked.start()
    linked.redis.crash()
    linked.network.settle()
    assert linked.calls == ["up", "down"] and not linked.link.is_up
    linked.network.pass_time(2 * LONGEST_WAIT_S)
    assert linked.calls == ["up", "down", "up"] and linked.link.is_up
    linked.redis.publish(b"a", b"payload")
    linked.network.settle()
    assert linked.calls[-1] == (b"a", b"payload")


def test_a_redis_that_was_away_for_long_is_found_soon_after_it_is_back() -> None:
    linked = Linked()
    linked.start()
    del linked.network.servers[6379]
    linked.redis.crash()
    linked.network.pass_time(300.0)
    assert linked.calls == ["up", "down"]
    linked.network.listen(6379, linked.redis)
    linked.network.pass_time(LONGEST_WAIT_S)
    assert linked.link.is_up


def test_a_call_fails_at_once_while_there_is_no_connection_and_says_why() -> None:
    linked = Linked()
    (error,) = linked.ask("GET", "key")
    assert isinstance(error, RedisError)
    assert str(error) == "Redis at redis.example:6379/0 is out of reach: not connected yet"
    linked.start()
    linked.redis.crash()
    linked.network.settle()
    (error,) = linked.ask("GET", "key")
    assert isinstance(error, RedisError)
    assert str(error).startswith("Redis at redis.example:6379/0 is out of reach: Connection to the other side was lost")


def test_a_silent_redis_is_left_after_the_deadline_and_what_waited_fails() -> None:
    linked = Linked()
    linked.start()
    linked.redis.pause()
    found = linked.ask("GET", "key")
    linked.network.pass_time(5.0)
    assert [str(each) for each in found] == ["Redis did not answer for 5 s"]
    assert linked.calls == ["up", "down"]
    assert linked.link.trouble == "Redis did not answer for 5 s", "and not only that we have closed it"


def test_a_redis_that_falls_silent_while_it_lets_us_in_is_tried_again() -> None:
    linked = Linked()
    linked.redis.pause()
    linked.start()
    linked.network.pass_time(5.0)
    assert linked.calls == [] and linked.link.trouble == "Redis did not answer for 5 s"
    linked.redis.go_on()
    linked.network.pass_time(2 * LONGEST_WAIT_S)
    assert linked.calls == ["up"] and linked.link.is_up


def test_a_server_that_accepts_connections_and_says_nothing_is_given_up_again_and_again() -> None:
    linked = Linked()
    linked.network.listen(6379, Mute())
    linked.start()
    linked.network.pass_time(30.0)
    assert not linked.link.is_up and linked.calls == [] and 4 <= len(linked.network.wires) <= 6


def test_a_stopped_link_ends_its_connection_and_makes_no_other() -> None:
    linked = Linked()
    linked.start()
    ended: list[object] = []
    linked.link.stopService().addCallback(ended.append)
    linked.network.pass_time(60.0)
    assert ended == [None] and not linked.redis.connections and not linked.link.is_up
    assert len(linked.network.wires) == 1 and not linked.network.getDelayedCalls()


def test_a_link_that_is_stopped_while_it_is_let_in_ends_as_well() -> None:
    linked = Linked()
    linked.redis.pause()
    linked.start()
    ended: list[object] = []
    linked.link.stopService().addCallback(ended.append)
    linked.network.pass_time(60.0)
    assert ended == [None] and linked.calls == []
    assert len(linked.network.wires) == 1 and not linked.network.getDelayedCalls()


@pytest.mark.parametrize(
    ("version", "mode", "why"),
    [
        (b"7.0.15", b"sentinel", "it is in sentinel mode, where a lease can be lost: allowed is one plain instance"),
        (b"7.0.15", b"cluster", "it is in cluster mode, where a lease can be lost: allowed is one plain instance"),
        (b"6.0.20", b"standalone", "it is version 6.0.20: needed is 6.2 or newer"),
    ],
)
def test_a_redis_that_is_no_use_to_a_cluster_is_refused_and_looked_at_again(
    version: bytes, mode: bytes, why: str
) -> None:
    linked = Linked()
    linked.redis.version, linked.redis.mode = version, mode
    linked.start()
    assert not linked.link.is_up and linked.calls == [] and linked.link.trouble == why
    linked.redis.version, linked.redis.mode = b"7.2.4", b"standalone"
    linked.network.pass_time(2 * LONGEST_WAIT_S)
    assert linked.link.is_up


@pytest.mark.parametrize("text", [b"", None, b"redis_version:\r\n", b"redis_version:six\r\nredis_mode:standalone"])
def test_what_does_not_say_its_version_is_refused(text: bytes | None) -> None:
    assert unfit(text).endswith("needed is 6.2 or newer")


@pytest.mark.parametrize("version", [b"6.2.0", b"6.10.1", b"7.0.15", b"255.255.255"])
def test_versions_are_compared_as_numbers(version: bytes) -> None:
    assert unfit(b"redis_version:%s\r\nredis_mode:standalone\r\n" % version) == ""

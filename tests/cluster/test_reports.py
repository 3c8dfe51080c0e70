"""What processes say of themselves, asked of all: it comes whole or not at all, and nobody waits for long."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as Scheduler

from cryptodash.cluster import wire
from cryptodash.cluster.members import Members
from cryptodash.cluster.reports import MOST_OPEN, MOST_PARTS, PART_BYTES, PATIENCE_S, Part, Reports
from cryptodash.core.interfaces import PeerReports
from cryptodash.core.time import ManualClock


class World:
    """Processes, and what goes between them: ``lost`` is told to nobody."""

    def __init__(self, **hosts: str) -> None:
        self.reactor: Any = Scheduler()
        self.clock = ManualClock()
        self.lost: set[str] = set()
        self.answers = 0
        self.members: dict[str, Members] = {}
        self.reports: dict[str, Reports] = {}
        for name, host in hosts.items():
            self.members[name] = Members(name, host, self.here, self.clock)
            self.reports[name] = Reports(self.members[name], self.asked, self.answered, self.reactor)
        for each in self.members.values():
            each.tick()

    def here(self, data: bytes) -> None:
        for each in self.members.values():
            each.took(data)

    def asked(self, data: bytes) -> None:
        for name, each in self.reports.items():
            if name not in self.lost:
                each.took_question(data)

    def answered(self, process: str, data: bytes) -> None:
        self.answers += 1
        self.reports[process].took_part(data)

    def says(self, name: str, what: str, said: bytes) -> None:
        async def make(about: str) -> bytes:
            return said + about.encode()

        self.reports[name].answer_with(what, make)

    def gather(self, name: str, what: str, about: str = "", *, on_this_host: bool = False) -> list[PeerReports]:
        found: list[PeerReports] = []
        gathering = self.reports[name].gather(what, about, on_this_host=on_this_host)
        Deferred.fromCoroutine(gathering).addCallback(found.append)
        return found


@pytest.fixture
def world() -> World:
    world = World(a="one", b="one", c="two")
    for name in "abc":
        world.says(name, "streams", name.encode())
    return world


def test_all_others_answer_what_they_are_asked(world: World) -> None:
    assert world.gather("a", "streams", "!") == [PeerReports({"b": b"b!", "c": b"c!"})]
    assert world.gather("c", "streams") == [PeerReports({"a": b"a", "b": b"b"})]
    assert not world.reactor.getDelayedCalls()


def test_those_on_other_machines_are_left_out_where_only_this_one_is_asked_for(world: World) -> None:
    assert world.gather("a", "streams", on_this_host=True) == [PeerReports({"b": b"b"})]
    assert world.gather("c", "streams", on_this_host=True) == [PeerReports({})]


def test_who_does_not_answer_is_named_after_a_second(world: World) -> None:
    world.lost.add("c")
    found = world.gather("a", "streams")
    assert found == []
    world.reactor.advance(PATIENCE_S)
    assert found == [PeerReports({"b": b"b"}, ("c",))]
    assert world.gather("a", "nothing that anybody knows") == []


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, MOST_PARTS * PART_BYTES])
def test_long_ones_come_in_parts(size: int) -> None:
    world = World(a="one", b="one")
    world.says("b", "streams", b"x" * size)
    assert world.gather("a", "streams") == [PeerReports({"b": b"x" * size})]
    assert world.answers == max(1, -(-size // PART_BYTES))


def test_one_that_is_too_long_counts_as_none() -> None:
    world = World(a="one", b="one")
    world.says("b", "streams", b"x" * (MOST_PARTS * PART_BYTES + 1))
    found = world.gather("a", "streams")
    world.reactor.advance(PATIENCE_S)
    assert found == [PeerReports({}, ("b",))] and world.answers <= MOST_PARTS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\x91" * 5_000,
        msgpack.encode(Part(wire.VERSION + 1, 1, "b", 0, 1, b"forged")),
        msgpack.encode(Part(wire.VERSION, 2, "b", 0, 1, b"of another question")),
        msgpack.encode(Part(wire.VERSION, 1, "stranger", 0, 1, b"forged")),
        msgpack.encode(Part(wire.VERSION, 1, "b", 1, 1, b"behind the last")),
        msgpack.encode(Part(wire.VERSION, 1, "b", 0, 0, b"of none")),
        msgpack.encode(Part(wire.VERSION, 1, "b", 0, MOST_PARTS + 1, b"of too many")),
        msgpack.encode(Part(wire.VERSION, 1, "b", 0, 1, b"x" * (PART_BYTES + 1))),
    ],
)
def test_what_is_no_answer_to_our_question_is_ignored(data: bytes) -> None:
    world = World(a="one", b="one")
    found = world.gather("a", "streams")
    world.reports["a"].took_part(data)
    world.reports["b"].took_question(data)
    world.reactor.advance(PATIENCE_S)
    assert found == [PeerReports({}, ("b",))]


def test_parts_may_come_twice_and_in_any_order() -> None:
    world = World(a="one", b="one")
    found = world.gather("a", "streams")
    for at, content in ((1, b"2"), (1, b"2"), (0, b"1"), (0, b"late")):
        world.reports["a"].took_part(msgpack.encode(Part(wire.VERSION, 1, "b", at, 2, content)))
    assert found == [PeerReports({"b": b"12"})]


def test_questions_that_wait_are_bounded_on_both_sides() -> None:
    world = World(a="one", b="one")
    waiting: list[Deferred[bytes]] = []

    async def make(about: str) -> bytes:
        waiting.append(Deferred())
        return await waiting[-1]

    world.reports["b"].answer_with("streams", make)
    found = [world.gather("a", "streams") for _ in range(MOST_OPEN + 5)]
    assert len(waiting) == MOST_OPEN
    assert [each for each in found if each] == 5 * [[PeerReports({}, ("b",))]], "said at once"
    for each in waiting:
        each.callback(b"at last")
    assert all(found)
    world.says("b", "streams", b"again")
    assert world.gather("a", "streams") == [PeerReports({"b": b"again"})]


def test_a_report_that_fails_is_missing_and_the_next_one_comes() -> None:
    world = World(a="one", b="one")

    async def make(about: str) -> bytes:
        raise ZeroDivisionError

    world.reports["b"].answer_with("streams", make)
    found = world.gather("a", "streams")
    world.reactor.advance(PATIENCE_S)
    assert found == [PeerReports({}, ("b",))]
    world.says("b", "streams", b"well")
    assert world.gather("a", "streams") == [PeerReports({"b": b"well"})]

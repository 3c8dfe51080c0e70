"""Which processes there are, as each of them knows it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import msgpack

from cryptodash.cluster import wire
from cryptodash.cluster.members import MOST_MEMBERS, SILENT_S, Here, Members
from cryptodash.core.time import ManualClock


class Crowd:
    """Processes that hear each other, and themselves."""

    def __init__(self, **hosts: str) -> None:
        self.clock = ManualClock()
        self.members = {name: Members(name, host, self.tell, self.clock) for name, host in hosts.items()}

    def tell(self, data: bytes) -> None:
        for each in self.members.values():
            each.took(data)

    def tick(self) -> None:
        for each in self.members.values():
            each.tick()


def test_each_knows_the_others_and_which_of_them_are_on_its_machine() -> None:
    crowd = Crowd(a="one", b="one", c="two")
    assert crowd.members["a"].others() == []
    crowd.tick()
    assert sorted(crowd.members["a"].others()) == ["b", "c"]
    assert crowd.members["a"].others(on_this_host=True) == ["b"]
    assert crowd.members["c"].others(on_this_host=True) == []


def test_who_is_silent_has_gone_and_may_come_back() -> None:
    crowd = Crowd(a="one", b="one")
    crowd.tick()
    crowd.clock.advance(SILENT_S)
    assert crowd.members["a"].others() == []
    crowd.tick()
    assert crowd.members["a"].others() == ["b"]


def test_who_ends_has_gone_at_once() -> None:
    crowd = Crowd(a="one", b="one")
    crowd.tick()
    crowd.members["b"].end()
    assert crowd.members["a"].others() == []


def test_there_is_room_for_so_many_and_those_who_are_known_stay() -> None:
    crowd = Crowd(a="one", b="one")
    crowd.tick()
    for number in range(2 * MOST_MEMBERS):
        crowd.tell(msgpack.encode(Here(wire.VERSION, f"made up {number}", "one")))
    crowd.tick()
    others = crowd.members["a"].others()
    assert len(others) == MOST_MEMBERS and "b" in others


@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", msgpack.encode([]), msgpack.encode([wire.VERSION + 1, "x", "one", False]), b"\x91" * 5_000]
    + [msgpack.encode([wire.VERSION, name, "one"]) for name in ("", 7, "x" * 1_000)],
)
def test_what_is_none_of_ours_is_ignored(data: bytes) -> None:
    crowd = Crowd(a="one")
    crowd.tell(data)
    assert crowd.members["a"].others() == []


def test_what_a_later_version_adds_is_ignored() -> None:
    crowd = Crowd(a="one")
    crowd.tell(msgpack.encode([*msgspec.structs.astuple(Here(wire.VERSION, "b", "one")), "new"]))
    assert crowd.members["a"].others() == ["b"]

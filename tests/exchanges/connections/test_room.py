"""Placing streams on connections."""

from __future__ import annotations

from itertools import pairwise

from attrs import define, evolve, field

from cryptodash.exchanges.connections.room import Connects, choose
from cryptodash.testing.venue import LIMITS


@define
class Slot:
    names: list[str] = field(factory=list)
    leaving: list[str] = field(factory=list)

    def carries(self, name: str) -> bool:
        return name in self.leaving

    def load(self) -> tuple[int, int]:
        names = self.names + self.leaving
        return len(names), sum(map(len, names))


def test_the_first_connection_with_room_is_taken() -> None:
    full, free = Slot(list("abcdef")), Slot(["g"])
    assert choose([full, free, Slot()], "h", LIMITS) is free


def test_streams_being_ended_take_room() -> None:
    assert choose([Slot(list("abc"), list("def"))], "h", LIMITS) is None


def test_a_stream_returns_to_the_connection_that_still_carries_it() -> None:
    still = Slot(list("abcde"), ["h"])
    assert choose([Slot(), still], "h", LIMITS) is still


def test_the_length_of_all_names_counts_where_the_venue_limits_it() -> None:
    limits = evolve(LIMITS, args_chars=10)
    slot = Slot(["12345678"])
    assert choose([slot], "12", limits) is slot
    assert choose([slot], "123", limits) is None


def test_connects_are_spaced_and_never_more_than_allowed_in_five_minutes() -> None:
    connects = Connects(3)
    now, made = 0.0, []
    for _ in range(10):
        now = max(now, connects.free_at())
        connects.made(now)
        made.append(now)
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(made))
    assert all(made[index + 3] - made[index] >= 300.0 for index in range(len(made) - 3))

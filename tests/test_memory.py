"""When freed memory is given back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.task import Clock

from cryptodash.core.tally import Tally
from cryptodash.memory import CHECK_S, LargeDrop, MemoryTrim, find_trim, keep_large_blocks_apart


def looks(amounts: list[int], quiet: int = 2) -> list[int]:
    """After which of these amounts it is time."""
    drop = LargeDrop({"clients": 100}, quiet)
    return [index for index, amount in enumerate(amounts) if drop.look({"clients": amount})]


@pytest.mark.parametrize(
    ("amounts", "times"),
    [
        ([0, 0, 0, 0, 0], []),
        ([2000, 2000, 2000, 2000], []),
        ([2000, 0, 0, 0, 0, 0], [3]),
        ([2000, 1950, 1901, 1901, 1901], []),
        ([2000, 1900, 1900, 1900, 1900], [3]),
        ([2000, 1000, 500, 200, 0, 0, 0], [6]),
        ([2000, 0, 2000, 0, 2000, 0], []),
        ([2000, 0, 0, 0, 2000, 5, 5, 5, 5], [3, 7]),
        ([2000, 100, 95, 90, 90], [3]),
    ],
)
def test_it_is_time_some_checks_after_a_large_drop_once(amounts: list[int], times: list[int]) -> None:
    assert looks(amounts) == times


class House:
    """The service, and what it did."""

    def __init__(self, *, trims: bool = True) -> None:
        self.clock = Clock()
        self.amounts = {"clients": 0, "bytes": 0}
        self.done: list[str] = []
        self.service = MemoryTrim(
            lambda: dict(self.amounts),
            {"clients": 100, "bytes": 1000},
            50.0,
            (lambda: self.done.append("trim")) if trims else None,
            lambda: self.done.append("collect"),
            self.clock,
            Tally(),
        )
        self.service.startService()

    def checks(self, count: int, **amounts: int) -> None:
        self.amounts.update(amounts)
        self.clock.pump([CHECK_S] * count)


def test_a_whole_collection_is_made_only_while_nobody_is_there() -> None:
    house = House()
    house.checks(1, clients=500)
    house.checks(10, clients=200)
    assert house.done == ["trim"]
    house.checks(10, clients=0)
    assert house.done == ["trim", "collect", "trim"]
    house.checks(1, bytes=5000)
    house.checks(5, bytes=0)
    assert house.done == ["trim", "collect", "trim"]
    house.checks(1)
    assert house.done == ["trim", "collect", "trim", "collect", "trim"]


def test_nothing_is_left_of_a_service_that_stopped() -> None:
    house = House()
    house.service.stopService()
    assert not house.clock.getDelayedCalls()


def test_where_there_is_nothing_to_call_nothing_is_looked_at() -> None:
    assert not House(trims=False).clock.getDelayedCalls()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has malloc_trim")
def test_the_real_one_can_be_called() -> None:
    trim = find_trim()
    if trim is None:
        pytest.skip("this C library has no malloc_trim")
    assert trim() in (0, 1)


HEAP = """
import os, sys
from cryptodash.memory import keep_large_blocks_apart

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "apart":
    assert keep_large_blocks_apart()
bytes(16 * 2**20)  # given back: from here on glibc takes smaller ones out of the heap
before, stays = resident(), []
large = []
for _ in range(60):
    large.append(b"x" * (2**20))
    stays.append(b"y" * 1_000)  # small ones between them, which are in use on
large.clear()
print(resident() - before)
"""


@pytest.mark.skipif(find_trim() is None, reason="not glibc: memory is not ours to settle")
def test_large_blocks_go_back_although_small_ones_between_them_stay() -> None:
    def left(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", HEAP, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert left("apart") < 5 * 2**20
    assert left("as glibc does") > 20 * 2**20, "else the test shows nothing"


def test_where_malloc_is_not_glibcs_nothing_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: object) -> object:
        raise OSError

    monkeypatch.setattr("ctypes.CDLL", no_library)
    assert not keep_large_blocks_apart()

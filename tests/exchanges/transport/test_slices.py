"""The work of one large read: a slice a turn, nothing read meanwhile, and all of it done before an end is told."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from cryptodash.exchanges.transport.slices import Slices


class Desk:
    """Work in slices, and what was done."""

    def __init__(self) -> None:
        self.reactor, self.reading, self.failures = Clock(), list[bool](), 0
        self.done: list[str] = []
        self.slices = Slices(self.reactor, self.reading.append, self.failed)

    def failed(self) -> None:
        self.failures += 1

    def work(self, name: str, pieces: int, *, bad: int = 0) -> Callable[[], bool]:
        left = iter(range(1, pieces + 1))

        def work() -> bool:
            piece = next(left)
            if piece == bad:
                raise ValueError
            self.done.append(f"{name}{piece}")
            return piece < pieces

        return work


def test_what_fits_into_one_slice_is_done_at_once_and_reading_goes_on() -> None:
    desk = Desk()
    desk.slices.add(desk.work("a", 1))
    assert desk.done == ["a1"] and desk.reading == [] and not desk.slices.waiting


def test_a_slice_a_turn_and_no_reading_in_between() -> None:
    desk = Desk()
    desk.slices.add(desk.work("a", 3))
    assert desk.done == ["a1"] and desk.reading == [False]
    desk.slices.add(desk.work("b", 1))
    assert desk.done == ["a1"], "in order"
    for _ in range(5):
        desk.reactor.advance(0)
    assert desk.done == ["a1", "a2", "a3", "b1"] and desk.reading == [False, True]
    assert desk.reactor.getDelayedCalls() == []


def test_the_rest_can_be_done_now() -> None:
    desk = Desk()
    desk.slices.add(desk.work("a", 3))
    desk.slices.finish()
    assert desk.done == ["a1", "a2", "a3"] and desk.reading == [False, True]
    assert desk.reactor.getDelayedCalls() == []


def test_the_rest_can_be_dropped() -> None:
    desk = Desk()
    desk.slices.add(desk.work("a", 3))
    desk.slices.drop()
    assert desk.done == ["a1"] and desk.reading == [False, True] and not desk.slices.waiting
    assert desk.reactor.getDelayedCalls() == []


def test_work_that_fails_is_told_and_what_waits_is_dropped() -> None:
    for bad in (1, 2):
        desk = Desk()
        desk.slices.add(desk.work("a", 3, bad=bad))
        desk.reactor.advance(0)
        assert desk.failures == 1 and not desk.slices.waiting
        assert desk.reading == [False, True][: 2 * (bad - 1)]
        assert desk.reactor.getDelayedCalls() == []


def test_work_may_end_itself() -> None:
    desk = Desk()

    def work() -> bool:
        desk.done.append("x")
        desk.slices.finish() if len(desk.done) < 3 else desk.slices.drop()
        return True

    desk.slices.add(work)
    assert desk.done == ["x", "x", "x"] and not desk.slices.waiting
    assert desk.reactor.getDelayedCalls() == []

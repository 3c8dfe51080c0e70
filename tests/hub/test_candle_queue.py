"""Whose request for candles is next: in turn by address, a fifth of the budget each."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.errors import TryLater, UpstreamError
from cryptodash.core.time import ManualClock
from cryptodash.hub.candle_queue import (
    AT_ONCE,
    OVER_SHARE_S,
    PATIENCE_S,
    WAITING,
    WAITING_PER_ADDRESS,
    CandleQueue,
    Place,
)


def drain(queue: CandleQueue) -> list[Place]:
    """Everything whose turn comes while each request ends at once."""
    found = []
    while (place := queue.take()) is not None:
        queue.charge(place)
        queue.finish(place)
        found.append(place)
    return found


def test_an_address_uses_a_fifth_of_the_budget_in_any_window():
    clock = ManualClock()
    queue = CandleQueue(4800, 60.0, clock)
    served = 0
    for burst in range(5):
        for number in range(100):
            queue.enqueue("a", 2, (burst, number))
        served += len(drain(queue))
    assert served * 2 == 4800 // 5
    clock.advance(60)
    assert len(drain(queue)) == 20, "those that were left"


@pytest.mark.parametrize(("budget", "weight"), [(4800, 2), (1920, 5), (480, 1)])
def test_forty_charts_opened_twice_find_room_with_every_venue(budget, weight):
    """The heaviest of each: Binance spot and perpetual, Bybit."""
    queue = CandleQueue(budget, 60.0, ManualClock())
    for number in range(80):
        queue.enqueue("a", weight, number)
    assert len(drain(queue)) == 80


def test_each_address_has_its_turn():
    queue = CandleQueue(4800, 60.0, ManualClock())
    for number in range(100):
        queue.enqueue("greedy", 2, number)
    queue.enqueue("modest", 2, "one")
    order = [place.client for place in drain(queue)]
    assert order.index("modest") == 1


def test_some_are_under_way_at_once_and_no_more():
    queue = CandleQueue(4800, 60.0, ManualClock())
    for number in range(AT_ONCE + 1):
        queue.enqueue("a", 2, number)
    taken = [queue.take() for _ in range(AT_ONCE)]
    assert None not in taken and queue.take() is None
    queue.finish(taken[0])
    assert queue.take() is not None


def test_over_its_share_an_address_is_sent_away_after_five_seconds_and_told_when_to_come_back():
    clock = ManualClock()
    queue = CandleQueue(100, 60.0, clock)
    for number in range(22):
        queue.enqueue("a", 1, number)
    assert len(drain(queue)) == 21
    clock.advance(OVER_SHARE_S - 0.1)
    assert queue.expire() == []
    assert queue.next_event() == pytest.approx(clock.monotonic() + 0.1)
    clock.advance(0.1)
    ((place, error),) = queue.expire()
    assert place.what == 21 and isinstance(error, TryLater)
    assert error.code == "rate_limited" and error.status == 429 and error.retry_after == 55
    assert queue.next_event() is None


def test_room_that_comes_within_five_seconds_is_taken():
    clock = ManualClock()
    queue = CandleQueue(500, 5.0, clock)
    for number in range(101):
        queue.enqueue("a", 1, number)
    assert len(drain(queue)) == 100
    assert queue.next_event() == pytest.approx(clock.monotonic() + 5.0)
    clock.advance(5.0)
    assert [place.what for place in drain(queue)] == [100]


def test_without_a_turn_everybody_is_sent_away_after_ten_seconds():
    clock = ManualClock()
    queue = CandleQueue(4800, 60.0, clock)
    for number in range(AT_ONCE + 1):
        queue.enqueue("a", 2, number)
    for _ in range(AT_ONCE):
        assert queue.take() is not None
    clock.advance(PATIENCE_S)
    ((_, error),) = queue.expire()
    assert isinstance(error, UpstreamError) and error.cause == "capacity"


def test_the_places_of_one_address_and_of_all_are_bounded():
    queue = CandleQueue(1, 60.0, ManualClock())
    for number in range(WAITING_PER_ADDRESS):
        queue.enqueue("a", 1, number)
    with pytest.raises(TryLater):
        queue.enqueue("a", 1, "more")
    for number in range(WAITING - WAITING_PER_ADDRESS):
        queue.enqueue(f"b{number}", 1, number)
    with pytest.raises(UpstreamError) as refused:
        queue.enqueue("c", 1, "more")
    assert refused.value.cause == "capacity"


def test_addresses_are_forgotten_once_nothing_counts():
    clock = ManualClock()
    queue = CandleQueue(4800, 60.0, clock)
    for number in range(500):
        queue.enqueue(f"a{number}", 2, number)
    drain(queue)
    assert len(queue) == 500
    clock.advance(60)
    assert queue.take() is None and len(queue) == 0


def test_an_address_that_leaves_the_queue_uncharged_is_forgotten_at_once():
    queue = CandleQueue(4800, 60.0, ManualClock())
    place, other = queue.enqueue("a", 2, "x"), queue.enqueue("b", 2, "x")
    assert queue.withdraw(place) and not queue.withdraw(place)
    assert queue.same("x") == [other]
    assert len(queue) == 0


def test_a_request_dearer_than_a_share_is_made_when_nothing_else_counts():
    clock = ManualClock()
    queue = CandleQueue(10, 60.0, clock)
    queue.enqueue("a", 5, 1)
    queue.enqueue("a", 5, 2)
    assert len(drain(queue)) == 1
    clock.advance(60)
    assert len(drain(queue)) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "take", "wait"]), st.sampled_from("abc"), st.integers(1, 5)), max_size=200
    )
)
def test_no_window_ever_holds_more_than_a_share(steps):
    clock = ManualClock()
    queue = CandleQueue(100, 10.0, clock)
    charged: list[tuple[float, str, int]] = []
    for number, (step, client, amount) in enumerate(steps):
        if step == "ask":
            queue.enqueue(client, amount, number)
        elif step == "wait":
            clock.advance(amount)
            queue.expire()
        elif (place := queue.take()) is not None:
            queue.charge(place)
            queue.finish(place)
            charged.append((clock.monotonic(), place.client, place.weight))
        now = clock.monotonic()
        used = Counter[str]()
        for when, name, weight in charged:
            if when > now - 10.0:
                used[name] += weight
        assert all(each <= 21 for each in used.values())

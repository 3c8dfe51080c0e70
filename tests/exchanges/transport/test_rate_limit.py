"""The weight budget: no window over the limit, urgent first, silence after a ban."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.errors import UpstreamError
from cryptodash.core.time import ManualClock
from cryptodash.exchanges.adapter.plan import Purpose
from cryptodash.exchanges.transport.rate_limit import RateLimit, Ticket


def _take(budget: RateLimit, weight: int, purpose: Purpose = Purpose.POLL) -> Ticket:
    return budget.enqueue(weight, purpose)


def test_starts_what_fits_and_waits_for_the_rest() -> None:
    clock = ManualClock()
    budget = RateLimit(100, 60, clock)
    first, second = _take(budget, 60), _take(budget, 50)
    assert budget.start() == [first]
    assert budget.next_start() is None, "only the end of the running request can free weight"
    clock.advance(5)
    budget.finish(first)
    assert budget.start() == []
    assert budget.next_start() == pytest.approx(clock.monotonic() + 60)
    clock.advance(60)
    assert budget.start() == [second]
    assert budget.used == 50


def test_a_request_counts_from_its_start_until_a_window_after_its_end() -> None:
    clock = ManualClock()
    budget = RateLimit(10, 60, clock)
    ticket = _take(budget, 10)
    budget.start()
    clock.advance(59)
    budget.finish(ticket)
    clock.advance(59)
    assert budget.used == 10
    clock.advance(1)
    assert budget.used == 0


def test_urgent_purposes_go_first_and_equals_in_order() -> None:
    budget = RateLimit(1000, 60, ManualClock(), in_flight=10)
    order = [Purpose.PROBE, Purpose.POLL, Purpose.CANDLES, Purpose.SNAPSHOT, Purpose.CATALOGUE, Purpose.SNAPSHOT]
    tickets = [_take(budget, 1, purpose) for purpose in order]
    assert [tickets.index(each) for each in budget.start()] == [3, 5, 2, 4, 1, 0]


def test_a_light_request_never_overtakes_a_heavy_urgent_one() -> None:
    budget = RateLimit(100, 60, ManualClock())
    running = _take(budget, 60)
    assert budget.start() == [running]
    _take(budget, 50, Purpose.SNAPSHOT)
    _take(budget, 1, Purpose.PROBE)
    assert budget.start() == []


def test_at_most_four_run_at_once() -> None:
    budget = RateLimit(1000, 60, ManualClock())
    tickets = [_take(budget, 1) for _ in range(6)]
    assert budget.start() == tickets[:4]
    assert budget.next_start() is None
    budget.finish(tickets[0])
    assert budget.start() == [tickets[4]]


def test_a_ban_stops_everything_and_empties_the_queue() -> None:
    clock = ManualClock()
    budget = RateLimit(10, 60, clock)
    running, waiting = _take(budget, 10), _take(budget, 1)
    assert budget.start() == [running]
    assert budget.block(7) == [waiting]
    budget.finish(running)
    with pytest.raises(UpstreamError) as caught:
        _take(budget, 1)
    assert caught.value.cause == "banned" and caught.value.retry_after == pytest.approx(7)
    budget.block(2)
    clock.advance(6.9)
    assert budget.blocked_for == pytest.approx(0.1), "a shorter ban does not end a longer one"
    clock.advance(0.2)
    assert budget.blocked_for == 0
    later = _take(budget, 1)
    clock.advance(60)
    assert budget.start() == [later]


def test_a_full_queue_and_an_impossible_weight_are_refused() -> None:
    budget = RateLimit(10, 60, ManualClock(), queue=2)
    with pytest.raises(UpstreamError) as caught:
        _take(budget, 11)
    assert caught.value.cause == "capacity"
    _take(budget, 1), _take(budget, 1)
    with pytest.raises(UpstreamError) as caught:
        _take(budget, 1)
    assert caught.value.cause == "capacity"


def test_withdrawn_requests_leave_room_and_never_start() -> None:
    budget = RateLimit(10, 60, ManualClock(), queue=3)
    for _ in range(50):
        budget.withdraw(_take(budget, 1))
    kept = _take(budget, 1)
    assert budget.start() == [kept]
    assert sum(map(len, budget._queues.values())) <= 7


def test_what_others_used_is_adopted_for_one_window() -> None:
    clock = ManualClock()
    budget = RateLimit(100, 60, clock)
    ticket = _take(budget, 20)
    budget.start()
    budget.adopt(15)
    assert budget.used == 20, "less than we know of teaches nothing"
    budget.adopt(90)
    budget.finish(ticket)
    assert budget.used == 90
    waiting = _take(budget, 20)
    assert budget.start() == []
    assert budget.next_start() == pytest.approx(clock.monotonic() + 60)
    clock.advance(60)
    assert budget.start() == [waiting]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 40)),
        st.tuples(st.just("wait"), st.integers(1, 30)),
        st.tuples(st.just("end"), st.integers(0, 3)),
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_no_window_of_the_venue_ever_holds_more_than_the_limit(steps: list[tuple[str, int]], random: object) -> None:
    clock = ManualClock()
    budget = RateLimit(100, 60, clock)
    running: list[tuple[float, Ticket]] = []
    counted: list[tuple[float, int]] = []
    for what, number in steps:
        if what == "ask":
            budget.enqueue(number, Purpose.POLL)
        elif what == "wait":
            clock.advance(number)
        elif running:
            began, ticket = running.pop(number % len(running))
            counted.append((random.uniform(began, clock.monotonic()), ticket.weight))  # type: ignore[attr-defined]
            budget.finish(ticket)
        running += [(clock.monotonic(), ticket) for ticket in budget.start()]
        assert len(running) <= 4
    for end, _ in counted:
        assert sum(weight for when, weight in counted if end - 60 < when <= end) <= 100


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_following_next_start_everything_starts_in_the_end(weights: list[int]) -> None:
    clock = ManualClock()
    budget = RateLimit(60, 10, clock)
    expected = [budget.enqueue(weight, Purpose.POLL) for weight in weights]
    started: list[Ticket] = []
    for _ in range(200):
        for ticket in budget.start():
            started.append(ticket)
            budget.finish(ticket)
        when = budget.next_start()
        if when is None:
            break
        clock.advance(max(0.0, when - clock.monotonic()))
    assert started == expected


def test_requests_of_clients_leave_a_reserve_that_snapshots_and_the_catalogue_find() -> None:
    budget = RateLimit(100, 60, ManualClock(), in_flight=10)
    for _ in range(9):
        budget.enqueue(10, Purpose.CANDLES, for_client=True)
    assert len(budget.start()) == 8, "a fifth is kept"
    snapshot, catalogue = _take(budget, 10, Purpose.SNAPSHOT), _take(budget, 10, Purpose.CATALOGUE)
    assert budget.start() == [snapshot, catalogue], "the client's request that waits keeps neither back"


def test_our_own_requests_that_wait_for_room_go_before_a_clients() -> None:
    clock = ManualClock()
    budget = RateLimit(100, 60, clock, in_flight=10)
    running = _take(budget, 60, Purpose.SNAPSHOT)
    assert budget.start() == [running]
    heavy = _take(budget, 50, Purpose.SNAPSHOT)
    light = budget.enqueue(1, Purpose.CANDLES, for_client=True)
    assert budget.start() == []
    budget.finish(running)
    assert budget.next_start() == pytest.approx(clock.monotonic())
    clock.advance(60)
    assert budget.start() == [heavy, light]


def test_a_request_of_a_client_that_the_reserve_leaves_no_room_for_is_refused() -> None:
    budget = RateLimit(10, 60, ManualClock())
    with pytest.raises(UpstreamError) as refused:
        budget.enqueue(9, Purpose.CANDLES, for_client=True)
    assert refused.value.cause == "capacity"
    assert budget.start() == [] and _take(budget, 9).weight == 9

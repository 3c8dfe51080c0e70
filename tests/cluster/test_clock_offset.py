"""Another machine's clock: whatever the network does, nothing is taken for younger than it is."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptodash.cluster.clock_offset import SLOT_S, SLOTS, ClockOffset

TICK = 1 / 1024
"""Times are multiples of it, so that sums are exact."""


class Message(NamedTuple):
    """In ticks: ``pause`` before it is sent, how long it was under way; of an echo that it carries how long what is
    echoed was under way to there, and how long it lay there; None: it carries none."""

    pause: int
    way: int
    echo: tuple[int, int] | None


ways = st.integers(0, 1024) | st.integers(0, 30 * 1024)
messages = st.builds(
    Message, st.integers(0, 2048) | st.integers(0, 120 * 1024), ways, st.none() | st.tuples(ways, ways)
)
QUICK, SLOW = Message(0, 1, (1, 0)), Message(61 * 1024, 2048, None)


@given(st.integers(-(2**30), 2**30), st.lists(messages, min_size=1, max_size=40))
@example(0, [QUICK, SLOW])
@example(0, [QUICK, SLOW._replace(echo=(0, 0))])
def test_nothing_is_taken_for_younger_than_it_is_whatever_the_delays_are(ahead: int, told: list[Message]) -> None:
    """``ahead``: by how much their clock is ahead of ours."""
    offset = ClockOffset()
    sent = before = 0
    for message in told:
        sent += message.pause
        received = max(before, sent + message.way)  # one connection: nothing overtakes
        before = received
        way = received - sent
        lag = offset.took((sent + ahead) * TICK, received * TICK)
        assert 0 <= lag <= way * TICK
        if offset.is_known:
            assert offset.ours((sent + ahead) * TICK) <= sent * TICK, "between the message and the echo in it"
        if message.echo is not None:
            there, held = message.echo
            offset.echoed((sent - held - there) * TICK, held * TICK, received * TICK)
        if offset.is_known:
            assert offset.ours((sent + ahead) * TICK) <= sent * TICK


def test_what_is_told_of_quick_messages_is_wrong_by_no_more_than_their_way_there_and_back() -> None:
    offset = ClockOffset()
    for second in range(100):
        offset.took(5_000.0 + second, second + 0.25)
        offset.echoed(second - 0.5, 0.25, second + 0.25)
    assert offset.ours(5_099.0) == pytest.approx(99.0 + 0.25 - 0.5)


def test_nothing_is_known_before_a_message_and_an_echo_have_come() -> None:
    offset = ClockOffset()
    assert not offset.is_known
    offset.took(1.0, 2.0)
    assert not offset.is_known
    offset.echoed(1.0, 0.5, 2.0)
    assert offset.is_known


def test_a_slow_message_is_told_by_how_much_it_was_slower_than_the_quickest_of_the_last_minute() -> None:
    offset = ClockOffset()
    assert offset.took(100.0, 0.5) == 0.0
    assert offset.took(101.0, 4.5) == 3.0
    assert offset.took(105.0, 5.25) == 0.0, "quicker than any before"
    assert offset.took(106.0, 6.75) == 0.5


def test_a_network_that_has_become_slower_for_good_is_not_late_any_more_after_a_minute() -> None:
    offset = ClockOffset()
    offset.took(0.0, 0.0)
    lags = [offset.took(float(second), second + 3.0) for second in range(1, round((SLOTS + 1) * SLOT_S) + 1)]
    assert lags[0] == 3.0 and lags[round((SLOTS - 1) * SLOT_S)] == 3.0 and lags[-1] == 0.0


def test_an_echo_that_lay_longer_than_it_was_away_counts_as_one_that_took_no_time() -> None:
    offset = ClockOffset()
    offset.took(10.0, 1.0)
    offset.echoed(0.5, 5.0, 1.0)
    assert offset.ours(10.0) == 1.0

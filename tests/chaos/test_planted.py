"""Each planted error is found, and by the promise that it breaks: one of each in every run, all with ``--long``."""

from __future__ import annotations

import pytest

from tests.chaos.invariants import ALL as INVARIANTS
from tests.chaos.planted import ALL, Planted
from tests.chaos.seeds import found_by

EVERY_DAY = (
    "a book lacks its best bid",
    "ages are a second too small",
    "topics linger for ten minutes",
    "the client library applies a delta over a gap",
    "between the recording and what is kept a message is lost",
    "the last message of the recording comes again",
    "a hole of the recording is glued over",
)


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.name)
def test_a_planted_error_is_found(planted: Planted, long: bool) -> None:
    if not long and planted.name not in EVERY_DAY:
        pytest.skip("only with --long")
    assert found_by(planted) is not None


def test_there_are_twenty_at_least_for_every_promise_and_half_of_them_are_of_timing() -> None:
    assert len(ALL) >= 20
    assert {each.invariant for each in ALL} == set(INVARIANTS)
    assert 2 * sum(each.timed for each in ALL) >= len(ALL)
    assert len({each.name for each in ALL}) == len(ALL)


def test_a_planted_error_is_taken_out_again() -> None:
    for planted in ALL:
        owners = [(owner, member) for owner, member, _ in planted.changes()]
        before = [_member(owner, member) for owner, member in owners]
        with planted.applied():
            assert [_member(owner, member) for owner, member in owners] != before, planted.name
        assert [_member(owner, member) for owner, member in owners] == before, planted.name


def _member(owner: object, member: object) -> object:
    return owner[member] if isinstance(owner, dict) else vars(owner)[member]

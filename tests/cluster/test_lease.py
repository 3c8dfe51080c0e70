"""Who may speak of a venue, and until when."""

from __future__ import annotations

import pytest

from cryptodash.cluster.lease import MARGIN_S, RENEW_S, TTL_S, Lease, Standing, read_token

HELD_S = TTL_S - MARGIN_S


def test_a_process_follows_until_the_lease_is_given_to_it() -> None:
    lease = Lease("a")
    assert lease.fence is None and lease.standing(0.0) is Standing.FOLLOWER
    lease.granted(7, 100.0)
    assert (lease.fence, lease.token, lease.standing(100.0)) == (7, "a:7", Standing.HOLDER)


def test_a_holder_is_unsure_from_the_margin_before_redis_gives_the_lease_away() -> None:
    lease = Lease("a")
    lease.granted(7, 100.0)
    assert lease.standing(100.0 + HELD_S - 0.001) is Standing.HOLDER
    assert lease.standing(100.0 + HELD_S) is Standing.UNSURE
    assert lease.standing(1e9) is Standing.UNSURE and lease.fence == 7


def test_a_renewal_counts_from_when_it_was_asked_for_not_from_when_it_was_answered() -> None:
    lease = Lease("a")
    lease.granted(7, 100.0)
    lease.renewed(102.0)
    assert lease.standing(102.0 + HELD_S - 0.001) is Standing.HOLDER
    assert lease.standing(102.0 + HELD_S) is Standing.UNSURE


def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    lease = Lease("a")
    lease.granted(7, 100.0)
    lease.renewed(102.0)
    lease.renewed(101.0)
    assert lease.standing(102.0 + HELD_S - 0.001) is Standing.HOLDER


def test_who_is_unsure_holds_again_once_redis_has_said_so() -> None:
    lease = Lease("a")
    lease.granted(7, 100.0)
    assert lease.standing(110.0) is Standing.UNSURE
    lease.renewed(110.0)
    assert lease.standing(110.0) is Standing.HOLDER


def test_a_lost_lease_is_renewed_by_no_answer_that_is_still_under_way() -> None:
    lease = Lease("a")
    lease.granted(7, 100.0)
    lease.lost()
    lease.renewed(101.0)
    assert lease.fence is None and lease.standing(101.0) is Standing.FOLLOWER


def test_a_lease_that_is_given_anew_has_its_own_fence_and_time() -> None:
    lease = Lease("a")
    lease.granted(7, 100.0)
    lease.renewed(500.0)
    lease.lost()
    lease.granted(9, 200.0)
    assert (lease.token, lease.standing(200.0 + HELD_S)) == ("a:9", Standing.UNSURE)


def test_a_holder_may_miss_one_renewal_before_it_is_unsure() -> None:
    assert 2 * RENEW_S < HELD_S


@pytest.mark.parametrize(
    ("token", "read"), [(b"a:7", ("a", 7)), (b"host:1234:x:1700000000000000", ("host:1234:x", 1_700_000_000_000_000))]
)
def test_a_token_says_who_and_under_which_fence(token: bytes, read: tuple[str, int]) -> None:
    assert read_token(token) == read


def test_what_a_lease_writes_it_reads() -> None:
    lease = Lease("a process: of mine")
    lease.granted(12, 0.0)
    assert read_token(lease.token.encode()) == ("a process: of mine", 12)


@pytest.mark.parametrize("token", [b"", b"a", b"7", b":7", b"a:", b"a:x", b"a:None", b"a:1.5", b"\xff:7"])
def test_what_is_no_token_is_refused(token: bytes) -> None:
    with pytest.raises(ValueError):
        read_token(token)

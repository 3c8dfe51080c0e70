"""When to connect again: the whole decision as a list."""

from __future__ import annotations

from random import Random

import pytest

from cryptodash.core.events import Cause
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.connections.reconnect import Backoff, decide

DECISIONS = [
    # how it ended, attempt, least wait, cause
    (Closed("http", status=401), 0, 300.0, Cause.BLOCKED),
    (Closed("http", status=403), 0, 300.0, Cause.BLOCKED),
    (Closed("http", status=451), 3, 300.0, Cause.BLOCKED),
    (Closed("http", status=429), 0, 60.0, Cause.BANNED),
    (Closed("http", status=429, retry_after=7.0), 0, 7.0, Cause.BANNED),
    (Closed("http", status=418), 0, 0.0, Cause.DISCONNECTED),  # no venue's word for a ban, in general
    (Closed("http", status=429, retry_after=-5.0), 0, 0.0, Cause.BANNED),
    (Closed("http", status=429, retry_after=1e12), 0, 86_400.0, Cause.BANNED),
    (Closed("http", status=503), 0, 0.0, Cause.MAINTENANCE),
    (Closed("http", status=503, retry_after=30.0), 0, 30.0, Cause.MAINTENANCE),
    (Closed("http", status=404), 0, 60.0, Cause.DISCONNECTED),
    (Closed("http", status=400), 0, 60.0, Cause.DISCONNECTED),
    (Closed("http", status=410), 0, 60.0, Cause.DISCONNECTED),
    (Closed("http", status=500), 0, 0.0, Cause.DISCONNECTED),
    (Closed("http", status=500, retry_after=9.0), 0, 9.0, Cause.DISCONNECTED),
    (Closed("http", status=451, retry_after=9.0), 0, 300.0, Cause.BLOCKED),
    (Closed("http"), 0, 0.0, Cause.DISCONNECTED),  # no status: what answered was no HTTP
    (Closed("http", status=302), 0, 0.0, Cause.DISCONNECTED),
    (Closed("remote", code=1008), 0, 10.0, Cause.BANNED),
    (Closed("remote", code=1001), 0, 0.0, Cause.MAINTENANCE),
    (Closed("remote", code=1012), 0, 0.0, Cause.MAINTENANCE),
    (Closed("remote", code=1013), 0, 0.0, Cause.MAINTENANCE),
    (Closed("remote", code=1000), 0, 0.0, Cause.DISCONNECTED),
    (Closed("remote", code=1006), 9, 0.0, Cause.DISCONNECTED),
    (Closed("tls"), 0, 60.0, Cause.DISCONNECTED),
    (Closed("tls"), 1, 120.0, Cause.DISCONNECTED),
    (Closed("tls"), 50, 600.0, Cause.DISCONNECTED),
    (Closed("gap"), 0, 0.0, Cause.GAP),
    (Closed("gap", reason="gap"), 9, 0.0, Cause.GAP),
    (Closed("local", code=1000, reason="our own error"), 0, 0.0, Cause.DISCONNECTED),
    (Closed("dns"), 0, 0.0, Cause.DISCONNECTED),
    (Closed("tcp"), 0, 0.0, Cause.DISCONNECTED),
    (Closed("timeout"), 0, 0.0, Cause.DISCONNECTED),
    (Closed("local"), 0, 0.0, Cause.DISCONNECTED),
]


@pytest.mark.parametrize(("how", "attempt", "floor", "cause"), DECISIONS, ids=lambda value: str(value)[:50])
def test_each_ending_has_its_wait_and_cause(how: Closed, attempt: int, floor: float, cause: Cause) -> None:
    retry = decide(how, attempt)
    assert (retry.floor, retry.cause) == (floor, cause)
    assert retry.reason


@pytest.mark.parametrize(("attempt", "spread"), [(0, 1.0), (1, 2.0), (4, 16.0), (5, 30.0), (10_000, 30.0)])
def test_the_random_part_doubles_up_to_thirty_seconds(attempt: int, spread: float) -> None:
    retry = decide(Closed("tcp"), attempt)
    assert retry.spread == spread
    delays = [retry.delay(Random(seed)) for seed in range(300)]
    assert 0.0 <= min(delays) < 0.1 * spread
    assert 0.9 * spread < max(delays) <= spread


@pytest.mark.parametrize(
    ("how", "floor"),
    [
        (Closed("http", status=418), 600.0),
        (Closed("http", status=418, retry_after=120.0), 120.0),
        (Closed("http", status=403), 600.0),  # "access too frequent", as one venue has it
        (Closed("http", status=429), 600.0),
    ],
)
def test_a_status_that_the_venue_calls_a_ban_is_one(how: Closed, floor: float) -> None:
    retry = decide(how, 0, ban=600.0)
    assert (retry.floor, retry.cause) == (floor, Cause.BANNED)


def test_a_firewalls_refusals_are_waited_out_longer_each_time() -> None:
    backoff, refused = Backoff(), Closed("http", status=403)
    assert [backoff.ended(refused, 0.0, False).floor for _ in range(6)] == [
        300.0,
        600.0,
        1200.0,
        2400.0,
        3600.0,
        3600.0,
    ]
    backoff.ended(Closed("tcp"), 0.0, False)
    assert backoff.ended(refused, 0.0, False).floor == 300.0
    reason = backoff.ended(refused, 0.0, False, "data.example").reason
    assert "place is not served" in reason and "too many requests" in reason and "data.example" in reason
    assert "too many requests" not in decide(Closed("http", status=451), 0).reason


def test_a_block_names_the_other_host() -> None:
    assert "data.example" in decide(Closed("http", status=451), 0, "data.example").reason


def test_what_a_peer_says_is_shortened() -> None:
    assert len(decide(Closed("remote", code=1008, reason="x" * 9999), 0).reason) == 200


@pytest.mark.parametrize(
    ("lived", "good", "reset"), [(0.0, False, False), (29.0, True, False), (60.0, False, False), (30.0, True, True)]
)
def test_only_a_healthy_connection_makes_failures_forgotten(lived: float, good: bool, reset: bool) -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.ended(Closed("tcp"), 0.0, False)
    assert backoff.ended(Closed("remote"), lived, good).spread == (1.0 if reset else 30.0)

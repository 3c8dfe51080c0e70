"""Wrong tokens are rationed by address, in little memory, and cost nobody else anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cryptodash.api.access import access as judging
from cryptodash.api.access.failures import BURST, EVERY_S, MOST, MOST_GOOD, Failures
from cryptodash.core.errors import Refused, TryLater

GOOD = "a-token-of-page-0123456789"


def outcome(access: Any, token: str, address: str) -> str:
    try:
        return str(access.check(token, address).name)
    except Refused as refused:
        return refused.code


def test_ten_thousand_wrong_ones_in_a_minute_are_hardly_looked_at_and_lock_nobody_else_out(
    make_rules: Any, token_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = make_rules(token_line("page", GOOD))
    looked: list[bytes] = []
    find = judging.find
    monkeypatch.setattr(judging, "find", lambda tokens, digest: looked.append(digest) or find(tokens, digest))
    seen = set()
    for at in range(10_000):
        rules.time.advance(60 / 10_000)
        assert outcome(rules.access, f"wrong-{at}", "192.0.2.1") in ("unauthorized", "rate_limited")
        if at % 1000 == 999:
            seen.add(outcome(rules.access, GOOD, "192.0.2.2"))
    assert seen == {"page"}
    assert len(looked) - 10 <= BURST + 60 / EVERY_S
    assert rules.refused() == {"wrong": len(looked) - 10, "limited": 10_000 - len(looked) + 10}
    assert len(rules.access._failures) == 1


def test_a_good_token_that_was_seen_here_before_does_not_pay_for_its_neighbour(
    make_rules: Any, token_line: Callable[..., str]
) -> None:
    rules = make_rules(token_line("page", GOOD) + token_line("new", GOOD + "2"))
    assert outcome(rules.access, GOOD, "192.0.2.1") == "page"
    for at in range(BURST + 5):
        outcome(rules.access, f"wrong-{at}", "192.0.2.1")
    assert outcome(rules.access, GOOD, "192.0.2.1") == "page"
    assert outcome(rules.access, GOOD + "2", "192.0.2.1") == "rate_limited", "as one that might be a guess"
    with pytest.raises(TryLater) as caught:
        rules.access.check("wrong", "192.0.2.1")
    assert 1 <= caught.value.retry_after <= EVERY_S
    rules.time.advance(EVERY_S)
    assert outcome(rules.access, GOOD + "2", "192.0.2.1") == "new"


def test_the_same_wrong_token_again_is_no_further_guess(make_rules: Any, token_line: Callable[..., str]) -> None:
    """A page whose token was taken away asks for ten things at once."""
    rules = make_rules(token_line("page", GOOD))
    assert {outcome(rules.access, "an-old-token", "192.0.2.1") for _ in range(1000)} == {"unauthorized"}


def test_memory_is_bounded_over_all_addresses(make_rules: Any) -> None:
    time = make_rules().time
    failures = Failures(time)
    for at in range(3 * MOST):
        failures.add(f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}", b"x")
    assert len(failures) == MOST
    assert failures.wait("10.0.0.0", b"y") == 0.0, "the first ones have given way"
    time.advance(BURST * EVERY_S)
    failures.add("192.0.2.1", b"x")
    assert len(failures) == 1, "who has waited long enough is forgotten"
    for at in range(3 * MOST_GOOD):
        failures.good(f"a{at}", b"x")
    assert len(failures._good) == MOST_GOOD

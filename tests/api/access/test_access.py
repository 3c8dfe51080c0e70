"""The rules in force: who is let in, and what another file makes of those who are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from cryptodash.api.access.grant import EVERYTHING
from cryptodash.api.access.tokens import MAX_TOKEN
from cryptodash.core.errors import ConfigError, Refused

GOOD = "a-token-of-page-0123456789"
OTHER = "a-token-of-desk-0123456789"


@pytest.fixture
def logged() -> Any:
    """Lines of the log."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(f"{event['log_level'].name} {event['log_format'].format(**event)}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_without_a_rule_everybody_may_do_everything(make_rules: Any) -> None:
    access = make_rules().access
    assert not access.is_on
    assert access.check("whatever", "192.0.2.1") is EVERYTHING


def test_one_token_for_all_reads_and_is_no_admin(make_rules: Any) -> None:
    access = make_rules(auth_token=GOOD).access
    grant = access.check(GOOD, "192.0.2.1")
    assert access.is_on and grant.reads_all and not grant.is_admin
    with pytest.raises(Refused) as caught:
        access.check(GOOD + "x", "192.0.2.1")
    assert (caught.value.code, caught.value.status) == ("unauthorized", 401)


def test_a_file_that_lets_nobody_in_is_a_rule(make_rules: Any) -> None:
    access = make_rules("# nobody yet\n").access
    assert access.is_on
    with pytest.raises(Refused):
        access.check(GOOD, "192.0.2.1")


def test_a_token_that_is_too_long_is_none(make_rules: Any) -> None:
    access = make_rules(auth_token=GOOD).access
    for token in ("x" * MAX_TOKEN, "x" * (MAX_TOKEN + 1), "x" * 10**6):
        with pytest.raises(Refused):
            access.check(token, "192.0.2.1")


def test_a_start_with_broken_rules_is_refused(make_rules: Any) -> None:
    for text, settings in (("nonsense", {}), (None, {"auth_tokens_file": "gone"}), (None, {"auth_jwt_keys": "x"})):
        with pytest.raises(ConfigError, match="AUTH_"):
            make_rules(text, **settings)


def test_replaced_rules_count_at_once_and_their_holders_are_told(
    make_rules: Any, token_line: Callable[..., str], logged: list[str]
) -> None:
    rules = make_rules(token_line("page", GOOD) + token_line("desk", OTHER))
    page, desk = (rules.access.check(token, "192.0.2.1") for token in (GOOD, OTHER))
    told: list[object] = []
    rules.access.on_replaced.append(lambda: told.append((rules.access.still(page), rules.access.still(desk))))
    rules.files["tokens"] = token_line("page", GOOD, "read:ticker max_rate=2").encode()
    assert rules.access.replace(rules.config)
    [(now, gone)] = told
    assert (now.max_rate, gone) == (2.0, None)
    with pytest.raises(Refused):
        rules.access.check(OTHER, "192.0.2.1")
    assert logged[-2:][0] == "info rules of access: 1 tokens, 0 keys"


def test_a_broken_file_keeps_the_rules_and_says_so_in_one_line_without_its_content(
    make_rules: Any, token_line: Callable[..., str], logged: list[str]
) -> None:
    rules = make_rules(token_line("page", GOOD))
    told: list[object] = []
    rules.access.on_replaced.append(lambda: told.append("told"))
    rules.files["tokens"] = (token_line("page", GOOD) + "desk:S3CRET:read\n").encode()
    assert not rules.access.replace(rules.config)
    del rules.files["tokens"]
    assert not rules.access.replace(rules.config)
    assert rules.access.check(GOOD, "192.0.2.1").name == "page"
    assert told == []
    said = "error AUTH_TOKENS_FILE: tokens {}; the rules of access stay as they are"
    assert logged == [
        said.format("line 2: the hash is not 64 hexadecimal digits (of SHA-256)"),
        said.format("cannot be read (No such file or directory)"),
    ]


def test_a_key_that_is_taken_away_takes_its_tokens_with_it(make_rules: Any, encoded: Callable[[object], str]) -> None:
    import jwt

    old, new = bytes(range(32)), bytes(range(1, 33))
    rules = make_rules(auth_jwt_keys=f"HS256:{encoded(old)},HS256:{encoded(new)}")
    exp = rules.time.wall_ms() // 1000 + 300
    grants = [
        rules.access.check(jwt.encode({"exp": exp, "scope": "read"}, key, "HS256"), "192.0.2.1") for key in (old, new)
    ]
    later = type(rules.config)(auth_jwt_keys=f"HS256:{encoded(new)}")
    assert rules.access.replace(later)
    assert [rules.access.still(each) is not None for each in grants] == [False, True]


def test_rules_that_come_and_go(make_rules: Any) -> None:
    rules = make_rules()
    everyone = rules.access.check("", "192.0.2.1")
    assert rules.access.replace(type(rules.config)(auth_token=GOOD))
    assert rules.access.is_on and rules.access.still(everyone) is None
    grant = rules.access.check(GOOD, "192.0.2.1")
    assert rules.access.replace(rules.config)
    assert rules.access.still(grant) is EVERYTHING


def test_an_expired_token_is_told_so_and_is_no_guess(make_rules: Any, encoded: Callable[[object], str]) -> None:
    import jwt

    key = bytes(range(32))
    rules = make_rules(auth_jwt_keys=f"HS256:{encoded(key)}")
    token = jwt.encode({"exp": rules.time.wall_ms() // 1000 - 300, "scope": "read"}, key, "HS256")
    for _ in range(100):
        with pytest.raises(Refused, match="has ended"):
            rules.access.check(token, "192.0.2.1")
    assert rules.refused() == {"expired": 100}

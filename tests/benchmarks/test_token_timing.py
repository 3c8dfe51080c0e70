"""The command that measures the time of judging tokens: it judges what it says; how long that takes matters to nobody
here."""

from __future__ import annotations

import pytest

from benchmarks import token_timing
from cryptodash.api.access.jwt_keys import read_signed
from cryptodash.api.access.tokens import find, hash_of


def test_a_line_for_each_kind_of_token(capsys: pytest.CaptureFixture[str]) -> None:
    token_timing.main(["--times", "3"])
    lines = capsys.readouterr().out.splitlines()
    for title, make in token_timing.KINDS.items():
        at = lines.index(title)
        _, tokens = make()
        assert [line[:44].strip() for line in lines[at + 2 : at + 2 + len(tokens)]] == list(tokens)


@pytest.mark.parametrize("title", token_timing.KINDS)
def test_the_right_one_is_right_and_no_other(title: str) -> None:
    rules, tokens = token_timing.KINDS[title]()
    good = {
        name
        for name, token in tokens.items()
        if find(rules.tokens, hash_of(token)) or (rules.keys and read_signed(rules.keys, token, token_timing.NOW_MS))
    }
    assert good == {"right"}

"""The file of tokens: what it may hold, what is said of a broken one, and who is found in it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from cryptodash.api.access.tokens import MAX_FILE, MOST, find, hash_of, new_token, read_tokens, token_line
from cryptodash.core.errors import ConfigError

HASH = "ab" * 32
GOOD = "a-token-of-page-0123456789"


def test_a_file_with_comments_blank_lines_and_any_line_end(token_line: Callable[..., str]) -> None:
    text = "\ufeff# tokens\r\n\r\n" + token_line("page", GOOD, "read:ticker:binance:*  max_rate=5") + "  \n"
    found = read_tokens(text.encode(), "tokens")
    assert [(each.name, each.words) for each in found.values()] == [("page", ("read:ticker:binance:*", "max_rate=5"))]
    grant = find(found, hash_of(GOOD))
    assert grant is not None and grant.name == "page"
    assert [find(found, hash_of(wrong)) for wrong in (GOOD + "x", GOOD[:-1], GOOD.upper(), "", "\udc80")] == [None] * 5
    assert find(found, bytes(32)) is None, "what stands for nobody is nobody's hash"
    assert GOOD not in repr(found) and HASH not in repr(grant)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("page", "line 1: it is not name:sha256hex:scope"),
        (f"page:{HASH}", "line 1: it is not name:sha256hex:scope"),
        (f"page:{HASH}:", "line 1: the scopes are not understood"),
        (f"pa ge:{HASH}:read", "line 1: the name"),
        (f":{HASH}:read", "line 1: the name"),
        ("page:S3CRET:read", "line 1: the hash is not 64"),
        (f"# fine\n\npage:{HASH}:S3CRET", "line 3: the scopes are not understood"),
        (f"page:{HASH}:read\npage:{'cd' * 32}:read", "line 2: the name stands in an earlier line"),
        (f"page:{HASH}:read\ndesk:{HASH.upper()}:read", "line 2: the hash stands in an earlier line"),
        ("\n".join(f"n{at}:{at:064x}:read" for at in range(1, MOST + 2)), f"line {MOST + 1}: more than {MOST}"),
    ],
)
def test_what_is_broken_is_named_by_its_line_and_never_shown(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_tokens(text.encode(), "AUTH_TOKENS_FILE: tokens")
    assert says in str(caught.value) and str(caught.value).startswith("AUTH_TOKENS_FILE: tokens")
    assert "S3CRET" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_none() -> None:
    for data, says in ((b"\xff\xfe", "UTF-8"), (b"#" * (MAX_FILE + 1), "larger")):
        with pytest.raises(ConfigError, match=says):
            read_tokens(data, "tokens")


def test_a_new_token_is_of_the_randomness_that_is_given_and_its_line_lets_it_in() -> None:
    token = new_token(Random(7))
    assert token == new_token(Random(7)) != new_token(Random(8))
    assert token.startswith("cdt_"), "never like an option of a command"
    assert len(token) == 47 and token.replace("-", "").replace("_", "").isalnum()
    line = token_line("page", token, ("read", "max_rate=5"))
    assert token not in line
    grant = find(read_tokens(line.encode(), "tokens"), hash_of(token))
    assert grant is not None and (grant.name, grant.max_rate, grant.reads_all) == ("page", 5.0, True)
    for name, scopes in (("a b", ("read",)), ("page", ("write",)), ("page", ())):
        with pytest.raises(ValueError):
            token_line(name, token, scopes)

"""Rules of access over files that are dicts, and a clock that a test moves."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from cryptodash.api.access.access import Access
from cryptodash.api.access.tokens import hash_of
from cryptodash.core.config import Config
from cryptodash.core.tally import Tally

WALL = 1_704_067_200_000
GOOD = "a-token-of-page-0123456789"
OTHER = "a-token-of-desk-0123456789"


class Time(Clock):
    """Both clocks in one; ``wall_step`` is what somebody set the wall clock by."""

    wall_step = 0

    def monotonic(self) -> float:
        return self.seconds()

    def wall_ms(self) -> int:
        return WALL + self.wall_step + round(self.seconds() * 1000)


def line(name: str, token: str, scopes: str = "read") -> str:
    return f"{name}:{hash_of(token).hex()}:{scopes}\n"


class Rules:
    """An ``Access`` with one file of tokens."""

    def __init__(self, text: str | None = None, **settings: Any) -> None:
        self.time = Time()
        self.tally = Tally()
        self.files: dict[str, bytes] = {}
        if text is not None:
            self.files["tokens"] = text.encode()
            settings["auth_tokens_file"] = "tokens"
        self.config = Config(**settings)
        self.access = Access(self.config, self.time, self.tally, self.read)

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    def refused(self) -> dict[str, int]:
        counter: Any = self.tally.metrics["cryptodash_auth_refused_total"]
        return {labels[0]: count for labels, count in counter.values.items()}


@pytest.fixture(scope="session")
def make_rules() -> type[Rules]:
    return Rules


@pytest.fixture(scope="session")
def token_line() -> Callable[..., str]:
    """``token_line(name, token, scopes)``: a line of the file."""
    return line


@pytest.fixture(scope="session")
def encoded() -> Callable[[object], str]:
    """Base64url without padding, of bytes or of a JSON value."""

    def encode(value: object) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return encode

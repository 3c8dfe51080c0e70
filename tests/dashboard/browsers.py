"""Which browser a test gets, or why it has none."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from tests.dashboard.remote import find_browser


def browser_or_skip(kind: str, names: Sequence[str]) -> str:
    """The same; skips where there is none, unless ``CRYPTODASH_REQUIRE_...`` is set (as CI does)."""
    program = find_browser(kind, names)
    if program is None:
        reason = f"no browser: none of {', '.join(names)} is installed, and $CRYPTODASH_{kind} names none"
        if os.environ.get(f"CRYPTODASH_REQUIRE_{kind}"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program

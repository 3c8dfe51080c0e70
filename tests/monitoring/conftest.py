"""Where Prometheus and its checker are installed; tests that need them are skipped elsewhere."""

from __future__ import annotations

import os
import shutil

import pytest


def find(program: str) -> str:
    """Its path. Skips where it is not, unless ``CRYPTODASH_REQUIRE_PROMETHEUS`` is set."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed"
        if os.environ.get("CRYPTODASH_REQUIRE_PROMETHEUS"):
            pytest.fail(f"{reason}, and CRYPTODASH_REQUIRE_PROMETHEUS is set")
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return find("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return find("prometheus")

"""Shared by all tests: where the recorded frames are."""

from __future__ import annotations

from pathlib import Path

import pytest

CAPTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "captures"


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of recorded frames; the test is skipped where it is absent."""
    if not CAPTURES.is_dir():
        pytest.skip("recorded frames (../shared/captures) are not here")
    return CAPTURES

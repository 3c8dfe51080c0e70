"""Shared by all tests: where the recorded frames are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

CAPTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "captures"


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of recorded frames; the test is skipped where it is absent."""
    if not CAPTURES.is_dir():
        pytest.skip("recorded frames (../shared/captures) are not here")
    return CAPTURES


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured (``record_property("measured", text)``): said also when nothing failed,
    and from every process."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(text)

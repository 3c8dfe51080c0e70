"""What a client of ``/ws`` gets of each short recording is what it got when ``expected.json`` was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import expected
from tests.golden.captures import ALL, LONG, SHORT, SHORT_RUNS, Capture, recorded

pytestmark = pytest.mark.captures


@pytest.mark.parametrize("capture", SHORT_RUNS, ids=lambda capture: capture.name)
def test_clients_get_what_they_got_before(captures: Path, capture: Capture) -> None:
    found = expected.differences(capture, expected.load()[capture.name], expected.played(capture, captures))
    assert not found, "\n".join(found)


def test_every_recording_is_played(captures: Path) -> None:
    assert recorded(captures) == {*SHORT, *LONG}


def test_every_run_has_a_result_and_no_result_is_left_over() -> None:
    assert expected.load().keys() == {capture.name for capture in ALL}

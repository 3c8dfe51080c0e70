"""The same of the long recordings, in a file of its own: a file is what is given to one process when tests run in
several."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import expected
from tests.golden.captures import LONG_RUNS, Capture

pytestmark = pytest.mark.captures


@pytest.mark.sampled(2)
@pytest.mark.parametrize("capture", LONG_RUNS, ids=lambda capture: capture.name)
def test_clients_get_what_they_got_before(captures: Path, capture: Capture) -> None:
    found = expected.differences(capture, expected.load()[capture.name], expected.played(capture, captures))
    assert not found, "\n".join(found)

"""Together with the ``websockets`` library, in both directions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="the websockets library is not installed")


@pytest.mark.parametrize("side", ["server", "client"])
def test_messages_pings_and_goodbyes_pass_both_ways(side: str) -> None:
    script = Path(__file__).with_name("interop.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), side], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

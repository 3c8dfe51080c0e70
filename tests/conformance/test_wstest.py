"""The quick set of the Autobahn testsuite, where it is installed (it needs Python 2.7): see ``run_wstest.py``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WSTEST = os.environ.get("WSTEST") or shutil.which("wstest")


@pytest.mark.skipif(
    WSTEST is None, reason="the Autobahn testsuite is not here: put wstest on PATH or name it in WSTEST"
)
def test_no_case_is_lost_that_stock_autobahn_passes() -> None:
    script = Path(__file__).with_name("run_wstest.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0 and "nothing lost" in done.stdout, done.stdout + done.stderr

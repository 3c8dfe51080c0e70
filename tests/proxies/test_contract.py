"""The contract's end-to-end tests, unchanged, through each proxy: a sample, with ``--long`` all (as CI runs them)."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.sampled(3)

SAMPLE = "compact or seed_s_frontend_gets or close_code_comes_back or stop_says_1012"


def test_the_contract_holds_through_the_proxy(name: str, long: bool, record_property: Any) -> None:
    tests = ["tests/end_to_end/test_contract.py", *(() if long else ("-k", SAMPLE))]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "--proxy", name, "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= (18 if long else 6), done.stdout[-1000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
    record_property("measured", f"{name}: {done.stdout.splitlines()[-1]}")

"""A server that records nothing has nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OFF = """
import sys
import cryptodash.tap
from cryptodash.core.config import Config
from cryptodash.core.time import SystemClock
from cryptodash.service import build
from random import Random
from twisted.internet.task import Clock
server = build(Config(), Clock(), clock=SystemClock(), random=Random(1))
found = [name for name in sys.modules if name.startswith("cryptodash.recording") or name in ("zstandard", "pyarrow")]
sys.exit(f"imported: {found}" if found else 0)
"""
READS = """
import sys
import MODULE
found = [name for name in sys.modules if name.startswith(("cryptodash.hub", "cryptodash.api", "twisted.internet"))]
sys.exit(f"imported: {found}" if found else 0)
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_without_a_directory_nothing_of_it_is_imported() -> None:
    done = ended(OFF)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["frames", "recording", "playback", "verify", "export", "continuation"])
def test_a_reader_of_tapes_knows_no_hub_and_no_reactor(module: str) -> None:
    done = ended(READS.replace("MODULE", f"cryptodash.recording.{module}"))
    assert done.returncode == 0, done.stderr

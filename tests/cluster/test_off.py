"""A server that works alone has nothing of the cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALONE = """
import sys
import cryptodash.tap
found = [name for name in sys.modules if name.startswith("cryptodash.cluster") or name == "hiredis"]
sys.exit(f"imported: {found}" if found else 0)
"""
WITHOUT = """
import sys
sys.modules["hiredis"] = None
import cryptodash.tap
from cryptodash.core.layers import Layer, load
from cryptodash.core.time import SystemClock
from cryptodash.service import build
from random import Random
from twisted.internet.task import Clock
config = load([Layer("test", {"ENABLE_REDIS": "true"})], ("binance", "bybit"))
build(config, Clock(), clock=SystemClock(), random=Random(1))
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_without_redis_nothing_of_it_is_imported() -> None:
    done = ended(ALONE)
    assert done.returncode == 0, done.stderr


def test_where_hiredis_is_absent_one_line_says_what_to_install() -> None:
    done = ended(WITHOUT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("ENABLE_REDIS needs hiredis: pip install cryptodash[redis]")


@pytest.mark.parametrize("url", ["http://h", "redis://", "redis://h:0x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    layer = f"Layer('test', {{'REDIS_URL': {url!r}}})"
    done = ended(f"from cryptodash.core.layers import Layer, load\nload([{layer}], ('binance',))")
    assert done.returncode == 1 and "REDIS_URL" in done.stderr.splitlines()[-1]

"""A real process that is killed while it records: each tape opens, verifies, and lacks five seconds at most."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.recording import Recording
from cryptodash.recording.verify import verify

ROOT = Path(__file__).resolve().parents[2]
KILLS = (10, 100)
SECOND = 1_000_000


def kill_one(root: Path, after: float) -> tuple[int, int]:
    """When the first and the last record were made (tape time, us) of a recorder that was killed ``after`` seconds."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("recorder_process.py")), str(root)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = line = process.stdout.readline()
    assert line, process.communicate()[1]
    end = time.monotonic() + after
    while time.monotonic() < end:
        line = process.stdout.readline() or line
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=30)
    whole = [each for each in (line + rest).splitlines() if re.fullmatch(r"\d+ \d{16}", each)]
    return int(first.split()[1]), int(whole[-1].split()[1])


def test_a_kill_at_any_moment_costs_five_seconds_at_most(
    tmp_path: Path, long: bool, record_property: pytest.RecordProperty
) -> None:
    random = Random(7)
    most = 0.0
    for number in range(KILLS[long]):
        root = tmp_path / str(number % 5)  # some come back into the tape of one that was killed
        begun, killed_at = kill_one(root, random.uniform(0.2, 4.0))
        with Recording(root) as recording:
            spans = [each for each in recording.spans if each.end > begun - SECOND]
            if not spans:  # killed before its first block
                assert killed_at - begun <= 5 * SECOND
                continue
            found = list(recording.read(spans[0].begin, 2 * killed_at))
        verdict = verify(root)
        assert verdict.errors == [] and verdict.torn >= 1
        said = [each for each in found if isinstance(each, Entry)]
        numbers = [int(each.body.split(b'"id":"')[1].split(b'"')[0]) for each in said]
        assert numbers == list(range(1, len(numbers) + 1)), "what is there is whole, from the beginning"
        lost = (killed_at - (said[-1].time if said else begun)) / SECOND
        most = max(most, lost)
        assert lost <= 5.0
    for root in tmp_path.iterdir():  # those that went on: each kill is told
        with Recording(root) as recording:
            if not recording.spans:
                continue
            runs = len(recording.spans)
            told = [each for each in recording.read(0, 2 * killed_at) if isinstance(each, Missing)]
        assert len([each for each in told if each.reason == "torn"]) >= runs - 1
        assert all(each.end - each.begin <= 5 * SECOND for each in told if each.reason == "torn")
    record_property("measured", f"{KILLS[long]} kills: {most:.2f} s lost at most")

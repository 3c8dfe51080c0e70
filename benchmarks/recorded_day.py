"""What a day of five venues takes on the disk, estimated from some minutes of the simulator: every market that it
lists, about 50 of each venue, with all channels."""

from __future__ import annotations

import json
import re
import tempfile
import time
import urllib.request
from pathlib import Path

from attrs import frozen

from benchmarks.contestants import OURS
from benchmarks.demo import demo
from benchmarks.processes import BenchError
from benchmarks.results import Results

VENUES = "binance,bybit,okx,coinbase,kraken"
DAY_S = 86_400.0


@frozen
class Day:
    """``warm`` seconds until (nearly) everything is held, which order books take, and so many that are measured."""

    warm: float
    seconds: float
    venues: str = VENUES
    record: str = "*:*:*:*"
    row: str = "day"


def run(row: Day, results: Results) -> None:
    """Once: what is long is no chance any more."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            _run(row, Path(directory), results)
        except BenchError as error:
            results.fail(row.row, OURS, str(error))


def _run(row: Day, directory: Path, results: Results) -> None:
    options = ["--exchanges", row.venues, "--record-dir", str(directory / "tapes"), "--record", row.record]
    with demo("record", options, directory) as (server, port):
        time.sleep(row.warm)
        before, begun, cpu = _metrics(port), time.monotonic(), server.cpu_seconds()
        time.sleep(row.seconds)
        after, took, share = _metrics(port), time.monotonic() - begun, server.cpu_seconds() - cpu
        ready = json.loads(_get(port, "/ready"))
    topics = float(ready["dependencies"]["recording"]["topics"])
    lost = sum(value for name, value in after.items() if name.startswith("lost_blocks"))
    if lost:
        raise BenchError(f"{lost:.0f} blocks were lost")
    total = 0.0
    for tape in ("messages", "frames"):
        size = after[f"written_bytes {tape}"] - before[f"written_bytes {tape}"]
        count = after[f"records {tape}"] - before[f"records {tape}"]
        total += size
        results.add(f"{row.row}/{tape} a second", OURS, count / took)
        results.add(f"{row.row}/GB of {tape}", OURS, size / took * DAY_S / 1e9)
    results.add(f"{row.row}/GB together", OURS, total / took * DAY_S / 1e9)
    results.add(f"{row.row}/topics", OURS, topics)
    results.add(f"{row.row}/CPU cores, simulator included", OURS, share / took)


def _metrics(port: int) -> dict[str, float]:
    """The recording's, by name and tape."""
    text = _get(port, "/metrics")
    found = re.findall(r'^cryptodash_recording_(\w+)\{tape="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {f"{name} {tape}": float(value) for name, tape, value in found}


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        text: str = answer.read().decode()
    return text

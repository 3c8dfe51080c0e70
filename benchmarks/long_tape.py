"""A long tape, made by repetition of a recorded flood: how fast it is replayed, and how soon its first message comes
when none of it is in the page cache."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from attrs import frozen

from benchmarks.contestants import OURS
from benchmarks.demo import demo
from benchmarks.frames import NAMES
from benchmarks.processes import ROOT, BenchError, python
from benchmarks.recording import Recorded, blocks_of, cost, draft_of
from benchmarks.replay_client import ReplayClient
from benchmarks.results import Results
from cryptodash.recording.draft import ITEMS, Draft
from cryptodash.recording.entries import Entry
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import Run
from cryptodash.recording.tape_writer import Block, TapeWriter

READER, SOCKET = f"{OURS} read", f"{OURS} /ws"
AGO = 30 * 86_400_000_000
"""us before now at which the tape begins: nobody replays what is to come."""
SPARE = 5 * 2**30
"""Bytes that stay free on the disk."""
_READ = """
import json, sys, time
from pathlib import Path
from cryptodash.recording.entries import Missing
from cryptodash.recording.playback import play
from cryptodash.recording.recording import Recording
begin, end, topics = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
begun = time.perf_counter()
count, first = 0, None
with Recording(Path(sys.argv[1])) as recording:
    for each in play(recording, begin, end, topics):
        count += 1
        if first is None:
            first = time.perf_counter() - begun
print(json.dumps({"first": first, "count": count, "seconds": time.perf_counter() - begun}))
"""


@frozen
class LongTape:
    """``size``: bytes; ``frames`` of the flood that is repeated; ``events``: so many are replayed for the speed;
    ``moments`` at which a replay begins, each with a cold cache."""

    size: int
    frames: int
    events: int
    moments: int = 5
    row: str = "tape"


def run(row: LongTape, rounds: int, results: Results) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < row.size + SPARE:
        results.leave_out(
            f"a tape of {row.size / 1e9:g} GB",
            f"{free / 1e9:.0f} GB are free in {tempfile.gettempdir()}, and {SPARE / 1e9:.0f} GB have to stay free",
        )
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "long"
        span, events = _make(row, Path(name), root)
        paths = sorted(root.glob("writer-*/messages/*.tape"))
        results.add(f"{row.row}/GB", OURS, sum(each.stat().st_size for each in paths) / 1e9)
        topics = [f"binance:spot:{each}:{channel}" for each in NAMES for channel in ("ticker", "trade")]
        random = Random(1)
        length = max(1_000_000, int((span[1] - span[0]) * row.events / events))
        for _ in range(rounds):
            at = [random.randint(span[0], span[1] - length) for _ in range(row.moments)]
            for moment in at:
                _drop(paths)
                said = _read(root, moment, moment, topics)
                results.add(f"{row.row}/ms to the first message, cold", READER, said["first"] * 1e3)
            said = _read(root, at[0], at[0] + length, topics)
            results.add(f"{row.row}/events a second", READER, said["count"] / said["seconds"])
            try:
                _by_socket(row, root, paths, at, length, results)
            except BenchError as error:
                results.fail(row.row, SOCKET, str(error))


def _make(row: LongTape, directory: Path, root: Path) -> tuple[tuple[int, int], int]:
    """(first and last tape time, events) of a tape of that size."""
    cost(Recorded(row.frames, 10_000, 0), directory / "flood")
    with Recording(directory / "flood") as recording:
        entries = [each for each in recording.read(0, 2**62) if isinstance(each, Entry)]
    made = [(each[0].time, each[-1].time, draft_of(each)) for each in blocks_of(entries)]
    begin, length = entries[0].time, entries[-1].time - entries[0].time + 1000
    place = WriterPlace(root, least_free=0)
    writer = TapeWriter(place.tape("messages", 2**60, 2**26), Run("ab" * 16, begin // 1000, ""), time.monotonic)
    number, shift = 0, -AGO
    while writer.state.bytes < row.size:
        for first, last, draft in made:
            block = Block(number, first + shift, first + shift, last + shift, [], _shifted(draft, shift), 0)
            writer.write(block)
            number += 1
        shift += length
    writer.close()
    place.release()
    if writer.state.lost_blocks:
        raise BenchError(f"the tape could not be written: {writer.state.error}")
    os.sync()
    return (begin - AGO, begin + shift), len(entries) * ((shift + AGO) // length)


def _shifted(draft: Draft, by: int) -> Draft:
    made = Draft(draft.bodies)
    made.items, made.size = draft.items.copy(), draft.size
    made.items[1::ITEMS] = [each + by for each in draft.items[1::ITEMS]]
    return made


def _drop(paths: Sequence[Path]) -> None:
    """Their pages out of the cache: they are on the disk already."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _read(root: Path, begin: int, end: int, topics: Sequence[str]) -> dict[str, float]:
    """By a process of its own, as a server reads."""
    done = subprocess.run(
        [python(), "-c", _READ, str(root), str(begin), str(end), *topics],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise BenchError(done.stderr.strip().splitlines()[-1])
    said: dict[str, float] = json.loads(done.stdout)
    return said


def _by_socket(
    row: LongTape, root: Path, paths: Sequence[Path], at: Sequence[int], length: int, results: Results
) -> None:
    channels = [
        {"channel_type": channel, "exchange": "binance", "symbol": each}
        for each in NAMES
        for channel in ("ticker", "trade")
    ]
    options = ["--exchanges", "binance", "--record-dir", str(root), "--record-keep-gb", "0"]
    with demo("run", [*options, "--record-keep-messages-gb", "1000000"], root.parent) as (_, port):
        for moment in at:
            _drop(paths)
            with contextlib.closing(ReplayClient(port)) as client:
                seconds = client.ask(moment // 1000, moment // 1000 + 60_000, channels)
                results.add(f"{row.row}/ms to the first message, cold", SOCKET, seconds * 1e3)
        with contextlib.closing(ReplayClient(port)) as client:
            client.ask(at[0] // 1000, (at[0] + length) // 1000, channels)
            count, seconds = client.rest()
            results.add(f"{row.row}/events a second", SOCKET, count / seconds)

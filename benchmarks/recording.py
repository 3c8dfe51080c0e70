"""What recording costs: CPU time of the server per frame with and without, bytes of tape per event, and how fast a tape
is written."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from benchmarks.contestants import OURS
from benchmarks.feeds import subscribe_all, venue
from benchmarks.frames import NAMES
from benchmarks.loadgen import Load, Plan, wrong
from benchmarks.payload import KINDS
from benchmarks.processes import SERVER_CORE, BenchError, Child, python
from benchmarks.results import Results
from cryptodash.core.topics import parse_topic
from cryptodash.recording import compression
from cryptodash.recording.blocks import encode_block
from cryptodash.recording.draft import Draft, Source
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.open_tape import BLOCK_BYTES
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import MESSAGE, Run
from cryptodash.recording.tape_writer import Block, TapeWriter
from cryptodash.recording.verify import verify

RECORDED = f"{OURS} recording"
ENDS = 2**62
BYTES_A_RECORD = 16
"""Beside its body, before packing: 4 of kind and place, 8 of time, 4 of length."""
REST_S = 3.5
"""Seconds after the last frame in which all of it is written: a second of a block, two in the queue."""


@frozen
class Recorded:
    """``frames`` of the mix at ``rate`` a second, wanted by one client; ``written``: bytes for the speed of writing."""

    frames: int
    rate: int
    written: int
    rest: float = REST_S
    row: str = "recording"


def run(row: Recorded, rounds: int, results: Results) -> None:
    """On and off in turn, and the tape of the last round taken apart."""
    with tempfile.TemporaryDirectory() as directory:
        for number in range(rounds):
            for name in (OURS, RECORDED) if number % 2 else (RECORDED, OURS):
                tapes = Path(directory) / str(number) if name == RECORDED else None
                try:
                    results.add(f"{row.row}/CPU us per frame", name, cost(row, tapes))
                except BenchError as error:
                    results.fail(row.row, name, str(error))
            made = Path(directory) / str(number)
            if made.is_dir():
                _sizes(row, made, results)
        _speed(row, Path(directory), results)


def cost(row: Recorded, tapes: Path | None) -> float:
    """CPU us of the server per frame, recording into ``tapes`` if any. Raises ``BenchError``."""
    request, channels = subscribe_all(NAMES)
    with contextlib.ExitStack() as stack:
        source, said = stack.enter_context(venue(row.frames, "overload"))
        server, port = stack.enter_context(_server(said["port"], tapes))
        # greeting, answer, and a status and a value for each
        load = Load("recording", port, Plan(1, [request], 2 + 2 * channels, *KINDS["trade"], '"quantity":'))
        stack.callback(load.end)
        load.begin()
        before = server.cpu_seconds()
        source.tell(f"flood {row.rate}")
        sent = source.hear(row.frames / row.rate * 20 + 60)
        if fault := wrong(load.expect(sent["trades"]), sent["trades"]):
            raise BenchError(fault)
        time.sleep(row.rest)
        used = server.cpu_seconds() - before
    if tapes is not None:
        _check(tapes, sent["trades"])
    return used / sent["sent"] * 1e6


@contextlib.contextmanager
def _server(port: int, tapes: Path | None) -> Iterator[tuple[Child, int]]:
    """Ours on a venue, pinned as in the other rows."""
    urls = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
    command = [python(), "-m", "benchmarks.ours", "venue-every-frame", *urls, ",".join(NAMES)]
    child = Child("recording", command, SERVER_CORE, {} if tapes is None else {"BENCH_RECORD_DIR": str(tapes)})
    try:
        own_port = child.hear(60)["port"]
        child.hear(60)  # it holds everything
        yield child, own_port
    finally:
        child.end()


def _check(tapes: Path, trades: int) -> None:
    """All of it is on the tape, and nothing was dropped."""
    verdict = verify(tapes)
    if verdict.errors:
        raise BenchError(verdict.errors[0])
    with Recording(tapes) as recording:
        found = list(recording.read(0, ENDS, keyframes=False))
    holes = [each for each in found if isinstance(each, Missing)]
    said = sum(1 for each in found if isinstance(each, Entry) and each.body.startswith(b'{"type":"trade"'))
    if holes or said < trades:
        raise BenchError(f"{said} of {trades} trades are on the tape, {len(holes)} holes")


def _sizes(row: Recorded, tapes: Path, results: Results) -> None:
    """Bytes of tape per event: of all, and of each channel as if it were alone on the tape."""
    by_channel: dict[str, list[Entry]] = defaultdict(list)
    with Recording(tapes) as recording:
        for each in recording.read(0, ENDS, keyframes=False):
            if isinstance(each, Entry) and each.kind == MESSAGE:
                by_channel[parse_topic(each.topic).channel.value].append(each)
    for channel, entries in sorted(by_channel.items()):
        packed = sum(len(_packed(each)) for each in blocks_of(entries))
        results.add(f"{row.row}/bytes per {channel} event", RECORDED, packed / len(entries))
    for tape, what in (("messages", "message"), ("frames", "frame")):
        files = sum(each.stat().st_size for each in tapes.glob(f"writer-*/{tape}/*.tape"))
        with Recording(tapes, tape) as recording:
            count = sum(1 for _ in recording.read(0, ENDS))
        results.add(f"{row.row}/bytes per {what}", RECORDED, files / max(1, count))


def blocks_of(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """As large, or as long, as the recorder makes them."""
    block: list[Entry] = []
    size = 0
    for entry in entries:
        block.append(entry)
        size += len(entry.body)
        if size >= BLOCK_BYTES or entry.time - block[0].time >= 1_000_000:
            yield block
            block, size = [], 0
    if block:
        yield block


def _packed(entries: Sequence[Entry]) -> bytes:
    rows, columns = draft_of(entries).columns()
    return encode_block(bytes(16), 0, entries[0].time, entries[-1].time, rows, columns)


def draft_of(entries: Sequence[Entry]) -> Draft:
    """A block of them, as the recorder has it."""
    draft, sources = Draft(), dict[tuple[str, int], Source]()
    for each in entries:
        source = sources.setdefault((each.topic, each.kind), Source(each.topic, each.kind))
        draft.put(source, each.time, each.body)
    return draft


def _speed(row: Recorded, directory: Path, results: Results) -> None:
    """MB a second that one thread packs and writes, syncs included; the MB are those before packing."""
    kept = sorted(each for each in directory.iterdir() if each.is_dir())
    if not kept:
        return
    with Recording(kept[-1]) as recording:
        entries = [each for each in recording.read(0, ENDS) if isinstance(each, Entry)]
    made = []
    for number, block in enumerate(blocks_of(entries)):
        size = sum(len(each.body) + BYTES_A_RECORD for each in block)
        made.append(Block(number, block[0].time, block[0].time, block[-1].time, [], draft_of(block), size))
    place = WriterPlace(directory / "speed", least_free=0)
    writer = TapeWriter(place.tape("messages", 2**40, 2**26), Run("00" * 16, 0, ""), time.monotonic)
    begun, done = time.monotonic(), 0
    while done < row.written:
        for each in made:
            writer.write(each)
            done += each.size
    writer.close()
    seconds = time.monotonic() - begun
    if writer.state.lost_blocks:
        results.fail(row.row, RECORDED, f"the disk took {writer.state.blocks} blocks only: {writer.state.error}")
        return
    codec = compression.NAMES[compression.BEST]
    results.add(f"{row.row}/MB a second written ({codec})", RECORDED, done / seconds / 1e6)
    os.sync()

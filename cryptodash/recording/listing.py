"""What tapes there are, in a table for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptodash.core.time import rfc3339
from cryptodash.recording.layout import TAPES, SegmentFile, find_segments
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape


def listing(path: Path) -> Iterator[str]:
    """A line for each tape of each writer, each run, and each topic. Raises ``BadTape`` where there can be no tape."""
    count = size = 0
    for tape in TAPES if path.is_dir() else (path.parent.name,):
        by_writer: dict[str, list[SegmentFile]] = {}
        for each in find_segments(path, tape):
            by_writer.setdefault(each.writer, []).append(each)
        for writer, files in by_writer.items():
            own = sum(each.path.stat().st_size for each in files)
            count, size = count + len(files), size + own
            yield f"{writer or path.name} {tape}: {len(files)} segments, {_size(own)}"
        if by_writer:
            yield from _recorded(path, tape)
    if not count:
        raise BadTape("nothing is recorded there")
    yield f"{count} segments, {_size(size)}"


def _recorded(path: Path, tape: str) -> Iterator[str]:
    with Recording(path, tape) as recording:
        for bad in recording.unreadable:
            yield f"  cannot be read: {bad.path.name}: {bad.reason}"
        for span in recording.spans:
            yield f"  run {_time(span.begin)} to {_time(span.end)}"
        for topic, spans in sorted(recording.topics().items()):
            times = ", ".join(f"{_time(each.begin)} to {_time(each.end)}" for each in spans[:3])
            more = f", and {len(spans) - 3} times more" if len(spans) > 3 else ""
            yield f"  {topic}: {times}{more}"


def _time(us: int) -> str:
    return rfc3339(us // 1000)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.1f} KiB"

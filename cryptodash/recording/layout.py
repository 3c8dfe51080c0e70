"""Where tapes lie below ``RECORD_DIR``: ``writer-<n>/messages`` and ``writer-<n>/frames``, a file per segment."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from cryptodash.recording.segment import Segment
from cryptodash.recording.tape_errors import BadTape

MESSAGES: Final = "messages"
FRAMES: Final = "frames"
TAPES: Final = (MESSAGES, FRAMES)
LOCK: Final = "lock"
"""In a writer's directory: locked (``flock``) while it writes."""
SORTING: Final = ".sorting"
"""Ends the name of a segment that is being made of another one."""
MOST_WRITERS: Final = 64
MOST_SEGMENTS: Final = 200_000

_writer = re.compile(r"writer-[0-9]{2}").fullmatch
_segment = re.compile(r"([0-9]{10})\.tape").fullmatch


def writer_name(number: int) -> str:
    return f"writer-{number:02d}"


def segment_name(number: int) -> str:
    return f"{number:010d}.tape"


def segment_number(name: str) -> int | None:
    """None for what is no segment."""
    found = _segment(name)
    return None if found is None else int(found[1])


@frozen
class SegmentFile:
    """A segment that can be opened. ``writer`` is empty where a file was named alone."""

    path: Path
    tape: str
    writer: str

    def open(self) -> Segment:
        """Raises ``BadTape`` and ``OSError``."""
        return Segment.open(self.path)


def find_segments(path: Path, tape: str) -> list[SegmentFile]:
    """Every segment of a tape below a ``RECORD_DIR``, a writer's directory, a tape's, or the one file, in the order of
    their numbers. Raises ``BadTape`` where there can be none."""
    if path.is_file():
        return [SegmentFile(path, tape, "")]
    if not path.is_dir():
        raise BadTape(f"{str(path)[:200]!r} is neither a directory nor a file")
    if path.name in TAPES and any(segment_number(each.name) is not None for each in path.iterdir()):
        return _in_tape(path, path.name, path.parent.name) if path.name == tape else []
    if (path / tape).is_dir():
        return _in_tape(path / tape, tape, path.name)
    found = []
    for each in sorted(path.iterdir()):
        if _writer(each.name) and (each / tape).is_dir():
            found += _in_tape(each / tape, tape, each.name)
    return found


def _in_tape(directory: Path, tape: str, writer: str) -> list[SegmentFile]:
    names = sorted(name for name in os.listdir(directory) if segment_number(name) is not None)
    if len(names) > MOST_SEGMENTS:
        raise BadTape(f"{directory.name}: {len(names)} segments are more than can be read")
    return [SegmentFile(directory / name, tape, writer) for name in names]


def is_being_written(file: SegmentFile) -> bool:
    """Whether a living process has the lock of the directory that it lies in."""
    with suppress(OSError):
        descriptor = os.open(file.path.parent.parent / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False

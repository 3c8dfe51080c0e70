"""Sorts closed segments of messages by topic, so that the history of one topic is read without the others: a process of
its own, at background priority, one at a time below a ``RECORD_DIR``. ``python -m cryptodash.recording.sorting DIR``.

A segment is replaced only once the new one is on the disk, and was read and found to be the same; whenever it is
killed, one or the other is there.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptodash.recording import blocks, segment_index
from cryptodash.recording.blocks import THE_TAPE
from cryptodash.recording.files import LEAST_FREE
from cryptodash.recording.layout import MESSAGES, SORTING, SegmentFile, find_segments, is_being_written
from cryptodash.recording.record_columns import Record
from cryptodash.recording.records import MADE_OF
from cryptodash.recording.segment import Segment
from cryptodash.recording.segment_index import IndexMaker
from cryptodash.recording.stripes import Stripe, read_stripe, stripes_of
from cryptodash.recording.tape_errors import BadTape

OWN_LOCK: Final = "sorting.lock"
"""Below ``RECORD_DIR``: locked by the process that sorts."""
NICE: Final = 19


def sort_all(root: Path, *, least_free: int = LEAST_FREE) -> int:
    """Sort whatever is closed, of all writers; how many that were. 0 as well where another process does it."""
    if not root.is_dir():
        return 0
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(root / OWN_LOCK, flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        for left in root.glob(f"writer-*/{MESSAGES}/*{SORTING}"):
            left.unlink()
        return sum(_sorted_now(each, least_free) for each in _closed(root))
    finally:
        os.close(descriptor)


def _closed(root: Path) -> Iterator[SegmentFile]:
    """All but the one that a living process writes to."""
    found = find_segments(root, MESSAGES)
    for each, after in zip(found, [*found[1:], None], strict=True):
        is_newest = after is None or after.writer != each.writer
        if not is_newest or not is_being_written(each):
            yield each


def _sorted_now(file: SegmentFile, least_free: int) -> bool:
    try:
        return sort_segment(file.path, least_free=least_free)
    except (BadTape, OSError):  # it stays as it is
        return False


def sort_segment(path: Path, *, least_free: int = 0) -> bool:
    """Put a sorted one in the segment's place; False where it is sorted, was not closed in order, has a fault, or there
    is no room for both. Raises ``BadTape`` and ``OSError``, and leaves it as it was."""
    segment = Segment.open(path)
    try:
        scan = segment.scan_headers()
        if segment.is_sorted or scan.is_torn or scan.faults:
            return False
        space = os.statvfs(path.parent)
        if space.f_bavail * space.f_frsize < least_free + segment.size:
            return False
        made = path.with_name(f"{path.name}{SORTING}")
        try:
            _write(segment, made)
            _check(segment, made)
            _put_in_place(path, made)
        finally:
            made.unlink(missing_ok=True)
    finally:
        segment.close()
    return True


def _put_in_place(path: Path, made: Path) -> None:
    """As old as what it replaces, for the oldest are the first that a quota takes."""
    was = path.stat(follow_symlinks=False)  # raises where the quota has taken it meanwhile
    os.utime(made, ns=(was.st_atime_ns, was.st_mtime_ns))
    made.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _stripes(segment: Segment) -> Iterator[Stripe]:
    stripe = Stripe()
    for block in segment.index.blocks:
        table, found = segment.records(block)
        if not stripe.fits(block, sum(len(body) for *_, body in found)):
            yield stripe
            stripe = Stripe()
        stripe.take(block, table, found)
    yield stripe


def _write(segment: Segment, path: Path) -> None:
    index, run, number = IndexMaker(segment.run), segment.run, segment.head.number
    at = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for stripe in _stripes(segment):
            for block in stripe.sorted_blocks():
                count = len(block.records)
                data = blocks.encode_sorted(
                    run, number, block.first, block.last, block.topics, block.records, block.orders
                )
                file.write(data)
                names = [name for name, _, _ in block.topics]
                index.add(at, len(data), number, block.first, block.last, count, names)
                at += len(data)
                number += 1
                if index.is_full:
                    raise BadTape("more blocks than a segment may have")
        assert segment.next_number is not None  # it was closed in order
        packed = segment_index.encode_index(index.made())
        file.write(blocks.encode_index(run, segment.next_number, segment.first, segment.last, packed))
        file.write(segment_index.encode_trailer(at))
        file.flush()
        os.fsync(file.fileno())


def _check(segment: Segment, path: Path) -> None:
    """Raises ``BadTape`` unless both say the same."""
    made = Segment.open(path)
    try:
        was, now = blake2b(), blake2b()
        for block in segment.index.blocks:
            _add(was, *segment.records(block))
        for stripe in stripes_of(made):
            table, found, damaged = read_stripe(made, stripe)
            if damaged:
                raise BadTape(f"what was sorted cannot be read: {damaged[0][1]}")
            _add(now, table, [each for each in found if each[0] != MADE_OF])
        if was.digest() != now.digest():
            raise BadTape("what was sorted is not what it was made of")
    finally:
        made.close()


def _add(digest: blake2b, table: list[str], found: list[Record]) -> None:
    for kind, time, place, body in found:
        topic = table[place] if place >= 0 else THE_TAPE
        digest.update(f"{kind} {time} {topic} {len(body)} ".encode())
        digest.update(body)


def main(arguments: list[str]) -> int:
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(NICE)
    sort_all(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

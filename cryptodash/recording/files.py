"""The disk below a tape: a directory of segments and the one that is written. A small layer, so that a test can stand
in for a disk that fails or forgets."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from attrs import define, frozen

from cryptodash.recording import layout
from cryptodash.recording.segment import Segment
from cryptodash.recording.tape_errors import BadTape

LEAST_FREE: Final = 2**30
"""Bytes that stay free on the disk."""


class NoRoom(OSError):
    """The disk is (nearly) full, or no writer's place is free."""


@frozen
class Ending:
    """How the newest segment of earlier runs ends: tape time of its last whole block (us), and whether it was not
    closed in order."""

    last: int
    is_torn: bool


class TapeFile(Protocol):
    """The segment that is written. All raise ``OSError`` but ``cut``, ``discard`` and ``close``."""

    def write(self, data: bytes) -> None:
        """All of it, at the end."""

    def sync(self) -> None:
        """Not before it is on the disk."""

    def check(self) -> None:
        """Raises if the file is not where it was made any more, or the disk is nearly full."""

    def cut(self, size: int) -> None:
        """Back to so many bytes, if possible."""

    def discard(self) -> None:
        """It has no whole block: it may go, if possible."""

    def close(self) -> None:
        """Never raises."""


class TapeDirectory(Protocol):
    """Where the segments of one tape go. All raise ``OSError``."""

    def create(self) -> TapeFile:
        """The next segment, its name on the disk; the oldest ones go, where the quota wants it."""

    def ending(self) -> Ending | None:
        """How the tape ends that is there already, its torn end cut off; None where there is none."""


@define(eq=False)
class _File:
    _descriptor: int
    _path: Path
    _least_free: int

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def check(self) -> None:
        own = os.fstat(self._descriptor)
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            raise OSError(errno.ENOENT, "the directory was deleted or replaced") from None
        if not own.st_nlink or (own.st_dev, own.st_ino) != (there.st_dev, there.st_ino):
            raise OSError(errno.ENOENT, "the directory was deleted or replaced")
        _check_free(self._descriptor, self._least_free)

    def cut(self, size: int) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, size)

    def discard(self) -> None:
        with suppress(OSError):
            own, there = os.fstat(self._descriptor), os.stat(self._path, follow_symlinks=False)
            if (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino):
                self._path.unlink()

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)


def _check_free(descriptor: int, least: int) -> None:
    if least:
        space = os.fstatvfs(descriptor)
        if space.f_bavail * space.f_frsize < least:
            raise NoRoom(errno.ENOSPC, f"less than {least // 2**20} MiB are free on the disk")


class WriterPlace:
    """This process's place below ``RECORD_DIR``: ``writer-<n>``, the first that no living process has locked. Taken
    when it is first needed, and again where it has gone. ``process`` is written into the lock, for a person."""

    def __init__(self, root: Path, process: str = "", *, least_free: int = LEAST_FREE) -> None:
        self._root = root.absolute()
        self._process = process
        self._least_free = least_free
        self._lock: int | None = None
        self._path: Path | None = None

    @property
    def path(self) -> Path | None:
        """The directory that is taken."""
        return self._path

    def tape(self, name: str, keep: int, segment_bytes: int) -> Callable[[], DiskDirectory]:
        """Opens the directory of a tape, of which all writers together keep so many bytes."""
        return lambda: DiskDirectory(self._taken() / name, self._root, keep, segment_bytes, self._least_free)

    def release(self) -> None:
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
        self._lock = self._path = None

    def _taken(self) -> Path:
        if self._path is not None and self._lock is not None:
            own = os.fstat(self._lock)
            with suppress(FileNotFoundError):
                there = os.stat(self._path / layout.LOCK, follow_symlinks=False)
                if own.st_nlink and (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino):
                    return self._path
            self.release()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(layout.MOST_WRITERS):
            path = self._root / layout.writer_name(number)
            if self._take(path):
                return path
        raise NoRoom(errno.EBUSY, f"{layout.MOST_WRITERS} processes record there already")

    def _take(self, path: Path) -> bool:
        path.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path / layout.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{self._process}\n".encode()[:200])
        self._lock, self._path = descriptor, path
        return True


class DiskDirectory:
    """One tape's directory, made where it is missing."""

    def __init__(self, path: Path, root: Path, keep: int, segment_bytes: int, least_free: int) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        self._path = path
        self._root = root
        self._keep = keep
        self._segment_bytes = segment_bytes
        self._least_free = least_free

    def create(self) -> TapeFile:
        self._make_room()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        directory = os.open(self._path, flags)
        try:
            _check_free(directory, self._least_free)
            name = layout.segment_name(1 + max(self._numbers(), default=0))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(name, flags, 0o600, dir_fd=directory)
            try:
                os.fsync(directory)
            except OSError:
                os.close(descriptor)
                raise
        finally:
            os.close(directory)
        return _File(descriptor, self._path / name, self._least_free)

    def ending(self) -> Ending | None:
        for number in sorted(self._numbers(), reverse=True):
            path = self._path / layout.segment_name(number)
            try:
                segment = Segment.open(path)
            except BadTape:
                path.unlink()  # it ended before its first block was whole
                continue
            try:
                scan = segment.scan()
                if scan.is_torn and scan.end < segment.size and not scan.faults[:-1]:
                    _cut(path, scan.end)
                return Ending(segment.last, scan.is_torn)
            finally:
                segment.close()
        return None

    def _numbers(self) -> list[int]:
        found = (layout.segment_number(name) for name in os.listdir(self._path))
        return [number for number in found if number is not None]

    def _make_room(self) -> None:
        """The oldest segments of all writers go until another one fits into the quota; what is being written stays."""
        closed: list[tuple[int, int, Path]] = []
        total = self._segment_bytes + self._segment_bytes // 8  # its last block and its index come on top
        for tape in self._root.glob(f"writer-*/{self._path.name}"):
            there = list(tape.iterdir())
            for each in there:
                if each.suffix == layout.SORTING:
                    with suppress(FileNotFoundError):
                        total += each.stat(follow_symlinks=False).st_size
            files = sorted(each for each in there if layout.segment_number(each.name) is not None)
            for each in files:
                with suppress(FileNotFoundError):
                    status = each.stat(follow_symlinks=False)
                    total += status.st_size
                    if each != files[-1] or tape == self._path:
                        closed.append((status.st_mtime_ns, status.st_size, each))
        for _, size, path in sorted(closed):
            if total <= self._keep:
                return
            with suppress(FileNotFoundError):
                path.unlink()
            total -= size


def _cut(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(descriptor, size)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)

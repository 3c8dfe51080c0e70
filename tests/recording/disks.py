"""Disks for tests: one that fails when it is told to, and one that forgets what was not synced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from attrs import define, field

from cryptodash.recording.files import DiskDirectory, Ending, TapeDirectory, TapeFile


@define(eq=False)
class FailingDisk:
    """``fails``: errno by what is done (``create``, ``write``, ``sync``, ``check``)."""

    real: Callable[[], TapeDirectory]
    fails: dict[str, int] = field(factory=dict)
    half_written: bool = False
    """Whether half of what fails to be written is written all the same."""

    def __call__(self) -> TapeDirectory:
        return _FailingDirectory(self, self.real())

    def may(self, what: str) -> None:
        if what in self.fails:
            raise OSError(self.fails[what], os.strerror(self.fails[what]))


@define(eq=False)
class _FailingDirectory:
    disk: FailingDisk
    real: TapeDirectory

    def create(self) -> TapeFile:
        self.disk.may("create")
        return _FailingFile(self.disk, self.real.create())

    def ending(self) -> Ending | None:
        return self.real.ending()


@define(eq=False)
class _FailingFile:
    disk: FailingDisk
    real: TapeFile

    def write(self, data: bytes) -> None:
        if "write" in self.disk.fails and self.disk.half_written:
            self.real.write(data[: len(data) // 2])
        self.disk.may("write")
        self.real.write(data)

    def sync(self) -> None:
        self.disk.may("sync")
        self.real.sync()

    def check(self) -> None:
        self.disk.may("check")
        self.real.check()

    def cut(self, size: int) -> None:
        self.real.cut(size)

    def discard(self) -> None:
        self.real.discard()

    def close(self) -> None:
        self.real.close()


class ForgetfulDisk:
    """After ``lose_power`` a file has what was synced, and of the rest as much as chance left: some, none, or zeros in
    place of it (a file system that made the file longer, and wrote nothing)."""

    def __init__(self, path: Path, random: Random) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._random = random
        self.files: list[_ForgetfulFile] = []

    def __call__(self) -> TapeDirectory:
        return self

    def create(self) -> TapeFile:
        made = _ForgetfulFile(self._path / f"{len(self.files) + 1:010d}.tape")
        self.files.append(made)
        return made

    def ending(self) -> Ending | None:
        return DiskDirectory(self._path, self._path.parent.parent, 2**40, 2**20, 0).ending()

    def lose_power(self) -> None:
        for file in self.files:
            rest = bytes(file.unsynced)
            kept = rest[: self._random.randrange(len(rest) + 1)]
            if self._random.random() < 0.3:
                kept = bytes(len(kept))
            elif self._random.random() < 0.3 and kept:
                at = self._random.randrange(len(kept))  # a page that was not written
                kept = kept[:at] + bytes(len(kept[at : at + 4096])) + kept[at + 4096 :]
            file.path.write_bytes(bytes(file.synced) + kept)


@define(eq=False)
class _ForgetfulFile:
    path: Path
    synced: bytearray = field(factory=bytearray)
    unsynced: bytearray = field(factory=bytearray)

    def write(self, data: bytes) -> None:
        self.unsynced += data

    def sync(self) -> None:
        self.synced += self.unsynced
        self.unsynced.clear()

    def check(self) -> None:
        pass

    def cut(self, size: int) -> None:
        del self.unsynced[max(0, size - len(self.synced)) :]

    def discard(self) -> None:
        pass

    def close(self) -> None:
        pass


EIO, ENOSPC, EROFS = errno.EIO, errno.ENOSPC, errno.EROFS

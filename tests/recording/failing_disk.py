"""``failing_disk.c``, compiled: a disk that fails below a real process."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
from attrs import define

SOURCE = Path(__file__).with_suffix(".c")


def compiled(directory: Path) -> Path:
    """The library; the test is skipped where there is no compiler for it."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    made = directory / "failing_disk.so"
    why = "no C compiler is installed"
    if compiler is not None:
        command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode:
            return made
        why = f"the compiler cannot: {done.stderr.strip()[:200]}"
    if os.environ.get("CRYPTODASH_REQUIRE_COMPILER"):
        pytest.fail(f"CRYPTODASH_REQUIRE_COMPILER is set, and {why}")
    pytest.skip(why)


@define
class Shim:
    """For one process; ``faults`` are lines as the source says."""

    library: Path
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAULT_FILE": str(self.directory / "faults"),
            "SYNCED_FILE": str(self.directory / "synced"),
        }

    def set(self, *faults: str) -> None:
        made = self.directory / "faults.new"
        made.write_text("".join(f"{each}\n" for each in faults))
        made.rename(self.directory / "faults")

    def lose_power(self, root: Path, random: Random) -> int:
        """The process is dead: take what it has not synced, or a part, or leave zeros in its place. How many bytes were
        not synced."""
        synced: dict[str, int] = {}
        told = self.directory / "synced"
        for line in told.read_text().splitlines() if told.exists() else ():
            path, _, size = line.rpartition(" ")
            synced[path] = int(size)
        taken = 0
        for path in root.glob("writer-*/*/*.tape"):
            data = path.read_bytes()
            safe, rest = data[: synced.get(str(path), 0)], data[synced.get(str(path), 0) :]
            taken += len(rest)
            kept = rest[: random.randrange(len(rest) + 1)]
            if random.random() < 0.3:
                kept = bytes(len(kept))
            path.write_bytes(safe + kept)
        return taken

"""Child processes of a benchmark: pinned to a core, spoken to by lines of JSON, stopped while others are measured."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SERVER_CORE, LOAD_CORE = 0, 1
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = HERE / ".cache"
CPU_TIME = 2
"""Of the clocks that Linux has for each process: the one that counts what the scheduler gave it."""


class BenchError(Exception):
    """A measurement that could not be made, with the reason."""


def raise_file_limit() -> int:
    """As many open files as this user may have; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pin(core: int) -> None:
    """This process to one core, where there is more than one."""
    if (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, for who does not tell which one it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """One process. ``hear`` returns what it says next; ``pause`` and ``resume`` take it off its core."""

    def __init__(
        self, name: str, command: Sequence[str], core: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        CACHE.mkdir(exist_ok=True)
        self._errors = (CACHE / f"{name}.stderr").open("w+b")
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            preexec_fn=lambda: pin(core),
        )
        self._said: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put(b"")

    def hear(self, timeout: float) -> dict[str, Any]:
        """Its next line. Raises ``BenchError`` when it ends, fails or says nothing for ``timeout`` seconds."""
        while True:
            try:
                line = self._said.get(timeout=timeout)
            except queue.Empty:
                raise BenchError(f"{self.name} says nothing for {timeout:.0f} s") from None
            if not line:
                raise BenchError(f"{self.name} ended: {self._last_error()}")
            if line.startswith(b"{"):
                said: dict[str, Any] = json.loads(line)
                if "failed" in said:
                    raise BenchError(f"{self.name}: {said['failed']}")
                return said

    def latest(self) -> dict[str, Any]:
        """The last it has said until now, without waiting; empty if it said nothing since the last call."""
        said: dict[str, Any] = {}
        while not self._said.empty():
            line = self._said.get_nowait()
            if not line:
                raise BenchError(f"{self.name} ended: {self._last_error()}")
            if line.startswith(b"{"):
                said = json.loads(line)
        if "failed" in said:
            raise BenchError(f"{self.name}: {said['failed']}")
        return said

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else "without a word"

    def tell(self, line: str) -> None:
        """One line on its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def resident_kib(self) -> int:
        """Its resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def cpu_seconds(self) -> float:
        """User and system time of all its threads until now, those that have ended as well."""
        return time.clock_gettime(~self.pid << 3 | CPU_TIME)

    def end(self) -> None:
        """Kill it; what it holds is nothing of worth."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()


def python() -> str:
    """The interpreter that has cryptodash."""
    return sys.executable

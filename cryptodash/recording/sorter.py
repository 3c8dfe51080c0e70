"""Starts the process that sorts closed segments of messages: after each segment, and once after the start for those of
earlier runs. One at a time; the process has background priority, and may be killed at any moment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.recording.reader_processes import environment

FIRST_AFTER_S: Final = 60.0
"""Seconds after the start in which nothing is sorted: clients come back then."""

Spawn = Callable[[ProcessProtocol, Path], Any]
"""Starts the process for a ``RECORD_DIR``; returns its ``IProcessTransport``."""

_log = Logger(namespace="cryptodash.recording.sorter")


def spawning(reactor: Any) -> Spawn:
    """By ``spawnProcess``."""

    def spawn(protocol: ProcessProtocol, root: Path) -> Any:
        command = [sys.executable, "-P", "-m", "cryptodash.recording.sorting", str(root)]
        return reactor.spawnProcess(protocol, sys.executable, command, environment())

    return spawn


class Sorter(ProcessProtocol):
    """``monotonic`` tells seconds. ``look`` is to be called each second, with the number of the segment that is being
    written."""

    def __init__(self, root: Path, spawn: Spawn, monotonic: Callable[[], float]) -> None:
        self._root = root
        self._spawn = spawn
        self._monotonic = monotonic
        self._first_at = monotonic() + FIRST_AFTER_S
        self._segment = 0
        self._process: Any = None
        self._is_over = False
        self._said = b""

    def look(self, segment: int) -> None:
        if self._is_over or self._process is not None or self._monotonic() < self._first_at or segment == self._segment:
            return
        self._segment = segment
        self._said = b""
        try:
            self._process = self._spawn(self, self._root)
        except OSError as error:
            _log.error("closed segments are not sorted: {error}", error=str(error)[:200])

    def stop(self) -> None:
        """What it does is nothing to wait for: the next run does it."""
        self._is_over = True
        if self._process is not None:
            try:
                self._process.signalProcess("KILL")
            except ProcessExitedAlready:
                self._process = None

    # -- ProcessProtocol

    def errReceived(self, data: bytes) -> None:
        self._said = (self._said + data)[-500:]

    def processEnded(self, reason: Failure) -> None:
        self._process = None
        if getattr(reason.value, "exitCode", 0) and not self._is_over:
            last = self._said.decode("utf-8", "replace").strip().splitlines()[-1:]
            _log.error("sorting closed segments failed: {why}", why=last[0][:200] if last else "without a word")

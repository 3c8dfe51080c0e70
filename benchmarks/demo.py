"""A demo as an operator starts it, as a server under test."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import CACHE, SERVER_CORE, BenchError, Child, python

TWISTD = "from twisted.scripts.twistd import run; run()"
START_S = 60.0


@contextmanager
def demo(command: str, options: Sequence[str], directory: Path) -> Iterator[tuple[Child, int]]:
    """``twistd cryptodash COMMAND --demo``, pinned as all servers are, and its port. What it logs is in a file of
    ``directory``."""
    log = directory / "demo.log"
    log.unlink(missing_ok=True)  # of the demo before it, at another port
    twistd = [python(), "-c", TWISTD, "-n", "--pidfile=", "--logfile", str(log), "cryptodash"]
    child = Child("demo", [*twistd, command, "--demo", "--bind-addr", "127.0.0.1:0", *options], SERVER_CORE)
    try:
        yield child, _port(log)
    finally:
        child.end()


def _port(log: Path) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        text = log.read_text("utf-8", "replace") if log.exists() else ""
        if found := re.search(r"listening on .*:(\d+)", text):
            return int(found[1])
        time.sleep(0.1)
    raise BenchError(f"a demo did not start within {START_S:.0f} s: see {CACHE / 'demo.stderr'}")

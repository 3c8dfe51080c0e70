"""The load generator: ``load.c``, compiled at first need, or ``load.py`` where there is no C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.processes import CACHE, HERE, LOAD_CORE, BenchError, Child, python

SAMPLED_CLIENTS = 8
"""So many clients check the order of what they get; all count."""


@lru_cache
def program() -> tuple[str, ...]:
    """The load generator's command. ``BENCH_LOAD=python`` asks for the fallback."""
    compiler = shutil.which("cc")
    if compiler is None or os.environ.get("BENCH_LOAD") == "python":
        return (python(), str(HERE / "load.py"))
    source, binary = HERE / "load.c", CACHE / "load"
    CACHE.mkdir(exist_ok=True)
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-o", f"{binary}.{os.getpid()}", str(source)], check=True)
        os.replace(f"{binary}.{os.getpid()}", binary)
    return (str(binary),)


@frozen
class Plan:
    """Who the clients are: ``subscriptions`` by client (again from the first when there are fewer),
    ``setup`` messages until one is ready."""

    clients: int
    subscriptions: Sequence[str]
    setup: int
    kind: str
    number: str
    stamp: str = "-"
    stalled: int = 0


class Load:
    """One load generator and its clients, connected."""

    def __init__(self, name: str, port: int, plan: Plan, credit_port: int = 0, path: str = "/ws") -> None:
        CACHE.mkdir(exist_ok=True)
        handle, file = tempfile.mkstemp(dir=CACHE, suffix=".subscriptions")
        with os.fdopen(handle, "w") as lines:
            lines.writelines(line.replace("\n", "\r") + "\n" for line in plan.subscriptions)
        sample = max(1, plan.clients // SAMPLED_CLIENTS)
        arguments = (
            port,
            path,
            plan.clients,
            file if plan.subscriptions else "-",
            plan.setup,
            plan.kind,
            plan.number,
            plan.stamp,
            credit_port,
        )
        self.plan = plan
        self._child = Child(
            f"load-{name}", [*program(), "127.0.0.1", *map(str, (*arguments, sample, plan.stalled))], LOAD_CORE
        )
        try:
            said = self._child.hear(120)
            if said["ready"] != plan.clients or said["dead"]:
                raise BenchError(
                    f"{name}: only {said['ready']} of {plan.clients} "
                    f"clients got their answers, {said['dead']} were dropped"
                )
        except BenchError:
            self.end()
            raise
        finally:
            Path(file).unlink()

    def begin(self) -> None:
        """Count from now on."""
        self._child.tell("begin")
        self._child.hear(10)

    def expect(self, frames: int, timeout: float = 60) -> dict[str, Any]:
        """Wait until so many frames came, or nothing comes any more; what was counted."""
        self._child.tell(f"expect {frames}")
        return self._child.hear(timeout)

    def handshakes(self, count: int, at_once: int) -> dict[str, Any]:
        """Open and close so many connections."""
        self._child.tell(f"handshakes {count} {at_once}")
        return self._child.hear(120)

    def end(self) -> None:
        self._child.end()


def wrong(counted: dict[str, Any], expected: int, *, even: bool = True) -> str:
    """What is wrong with what arrived; empty when all is right."""
    faults = []
    if counted["frames"] != expected:
        faults.append(f"{counted['frames']} of {expected} messages arrived")
    if counted["disorder"]:
        faults.append(f"{counted['disorder']} out of order")
    if even and counted["least"] != counted["most"]:
        faults.append(f"clients got between {counted['least']} and {counted['most']}")
    if counted["dead"]:
        faults.append(f"{counted['dead']} connections lost")
    return ", ".join(faults)

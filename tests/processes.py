"""Real processes of the command line, for the tests that need one."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

ROOT = Path(__file__).resolve().parent.parent
TWISTD = "from twisted.scripts.twistd import run; run()"
NO_WAY_OUT = "http://127.0.0.1:9"
"""A proxy that is not there: tests must not reach the real venues."""

direct = build_opener(ProxyHandler({})).open


def environment(*paths: Path, **values: str) -> dict[str, str]:
    """Of a process that finds cryptodash as it is here, and what is installed in these folders."""
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START")
    }
    found = os.pathsep.join(map(str, (ROOT, *paths)))
    return {**kept, "PYTHONPATH": found, "PYTHONUNBUFFERED": "1", "HTTPS_PROXY": NO_WAY_OUT, **values}


def command(*arguments: str, first: str = "") -> list[str]:
    """twistd with these arguments; ``first`` is a line of Python that runs in the process before it."""
    return [sys.executable, "-c", "\n".join((first, TWISTD)), *arguments]


def run(
    *arguments: str, cwd: Path, first: str = "", paths: Sequence[Path] = (), **values: str
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*arguments, first=first),
        cwd=cwd,
        env=environment(*paths, **values),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class Process:
    """A running twistd, or ``program`` in Python: its lines as they come, and its end. ``paths`` as in
    ``environment``; ``descriptors`` are open in it too. It is in a session of its own."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        first: str = "",
        paths: Sequence[Path] = (),
        program: Path | None = None,
        descriptors: Sequence[int] = (),
        **values: str,
    ) -> None:
        self.cwd = cwd
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, str(program), *arguments] if program else command(*arguments, first=first),
            cwd=cwd,
            env=environment(*paths, **values),
            start_new_session=True,
            pass_fds=descriptors,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Whoever runs the tests in a shell's background has it ignored, and would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def line(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """The first line that matches, waited for."""

        def found() -> re.Match[str] | None:
            return next((match for each in self.lines if (match := re.search(pattern, each))), None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, seconds), f"no line {pattern!r} in:\n" + "\n".join(
                self.lines
            )
            match = found()
        assert match is not None
        return match

    def port(self) -> int:
        return int(self.line(r"cryptodash.service#info. listening on .*:(\d+)").group(1))

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """Ctrl-C: a terminal tells everybody in the foreground."""
        os.killpg(self._process.pid, signal.SIGINT)

    def ended(self, seconds: float) -> int:
        """The exit code; fails after the time."""
        code = self._process.wait(seconds)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """The end of it and of what it has started, whatever they do."""
        family = descendants(self._process.pid)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(5)
        for each in family:
            kill_stranger(each)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def all_ended() -> Iterator[list[Any]]:
    """A list for what a test starts: when the test is over, passed or failed, everything in it is killed, although one
    of them cannot be."""
    started: list[Any] = []
    try:
        yield started
    finally:
        with ExitStack() as stack:
            for each in started:
                stack.callback(each.kill)


@contextmanager
def no_daemon_left(pid_file: Path) -> Iterator[None]:
    """Kills the daemon of this pid file, if there is one in the end that should not be."""
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            kill_stranger(int(pid_file.read_text()))


def kill_stranger(process: int) -> None:
    """Kill a process that is no child of ours, and wait for its end; nothing where it is gone."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process)
        try:
            os.kill(process, signal.SIGKILL)
            select.select([handle], [], [], 5)
        finally:
            os.close(handle)


def descendants(process: int) -> list[int]:
    """The processes that this one has started, theirs included; empty where it is gone."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def get_text(port: int, path: str) -> str:
    with direct(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def get(port: int, path: str) -> tuple[int, Mapping[str, object]]:
    try:
        with direct(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)

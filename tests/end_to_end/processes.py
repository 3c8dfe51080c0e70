"""Real processes of the command line, for the tests that need one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

ROOT = Path(__file__).resolve().parent.parent.parent
TWISTD = "from twisted.scripts.twistd import run; run()"
NO_WAY_OUT = "http://127.0.0.1:9"
"""A proxy that is not there: tests must not reach the real venues."""

direct = build_opener(ProxyHandler({})).open


def environment(**values: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "HTTPS_PROXY": NO_WAY_OUT, **values}


def command(*arguments: str, first: str = "") -> list[str]:
    """twistd with these arguments; ``first`` is a line of Python that runs in the process before it."""
    return [sys.executable, "-c", "\n".join((first, TWISTD)), *arguments]


def run(*arguments: str, cwd: Path, first: str = "", **values: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*arguments, first=first),
        cwd=cwd,
        env=environment(**values),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class Process:
    """A running twistd: its log lines as they come, and its end."""

    def __init__(self, *arguments: str, cwd: Path, first: str = "", **values: str) -> None:
        self.cwd = cwd
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command(*arguments, first=first),
            cwd=cwd,
            env=environment(**values),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
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

    def line(self, pattern: str, seconds: float = 15.0) -> re.Match[str]:
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

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """The exit code; fails after the time."""
        code = self._process.wait(seconds)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(5)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()


def get(port: int, path: str) -> tuple[int, Mapping[str, object]]:
    try:
        with direct(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)

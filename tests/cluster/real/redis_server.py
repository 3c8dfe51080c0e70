"""A ``redis-server`` of a test's own, that can be killed, stopped and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import hiredis


class RedisServer:
    """Writes nothing to disk: started again it is empty. Always on the same port."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Ready to accept connections when this returns."""
        options = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", str(self.port))
        started = self._process = subprocess.Popen(
            [self._program, *options, "--dir", str(self._folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert started.stdout is not None
        said = []
        while "Ready to accept connections" not in (line := started.stdout.readline()):
            said.append(line)
            assert line, f"redis-server has ended: {''.join(said)}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; nothing of what it knew is left."""
        ended, self._process = self._process, None
        if ended is not None:
            ended.kill()
            ended.communicate(timeout=10)

    def command(self, *words: bytes | str | int, seconds: float = 5.0) -> Any:
        """The reply, on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as line:
            # hiredis declares a tuple of exactly one; it takes any number, as a command needs (its own documentation).
            line.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
            reader = hiredis.Reader()
            while (reply := reader.gets()) is False:
                data = line.recv(65536)
                assert data, "Redis has closed the connection"
                reader.feed(data)
        assert not isinstance(reply, hiredis.ReplyError), f"{words[:2]}: {reply}"
        return reply

    def _signal(self, number: int) -> None:
        assert self._process is not None, "redis-server is not running"
        self._process.send_signal(number)

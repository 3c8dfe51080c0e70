"""A Redis for one measurement: the system's ``redis-server``, which writes nothing to disk."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator

from benchmarks.processes import SERVER_CORE, BenchError, Child, free_port

USED = ("used_cpu_sys", "used_cpu_user")


def program() -> str:
    """The server's program. Raises ``BenchError``."""
    found = shutil.which("redis-server")
    if found is None:
        raise BenchError("there is no redis-server on this machine (Debian: `apt-get install redis-server`)")
    return found


class Redis:
    """One that runs."""

    def __init__(self, child: Child, port: int) -> None:
        self.child, self.port = child, port
        self.url = f"redis://127.0.0.1:{port}"

    def cpu_seconds(self) -> float:
        """What it says that it has used: all of its threads. Its background processes have nothing to do here."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asked, asked.makefile("rb") as answers:
            asked.sendall(b"INFO cpu\r\n")
            text = answers.read(int(answers.readline()[1:])).decode()
        found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return sum(float(found[name]) for name in USED)


@contextlib.contextmanager
def redis_server(core: int = SERVER_CORE) -> Iterator[Redis]:
    """It answers, and ends with this. Raises ``BenchError`` where there is none."""
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    child = Child("redis", [program(), *options], core)
    try:
        redis, until = Redis(child, port), time.monotonic() + 20
        while True:
            try:
                redis.cpu_seconds()
                break
            except (OSError, ValueError) as error:
                if time.monotonic() > until:
                    raise BenchError(f"redis-server does not answer: {error}") from None
                time.sleep(0.05)
        yield redis
    finally:
        child.end()

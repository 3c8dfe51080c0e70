"""The server processes of the row ``cluster``: the first one has the venue open, the others do not open any."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError

from attrs import frozen

from benchmarks.abuse.wire import TEXT, Reader, connect, frame
from benchmarks.processes import SERVER_CORE, BenchError, Child, python
from benchmarks.redis_server import Redis, redis_server
from benchmarks.soak import fetch

PATIENCE_S = 30.0
BELIEVED = ("live", "quiet")


@frozen
class Members:
    """Server processes that are measured as one, and their Redis if there is one."""

    children: Sequence[Child]
    ports: Sequence[int]
    redis: Redis | None

    def cpu_seconds(self) -> float:
        """Of all of them, without Redis."""
        return sum(each.cpu_seconds() for each in self.children)

    def redis_cpu_seconds(self) -> float | None:
        return None if self.redis is None else self.redis.cpu_seconds()

    def settle(self, request: str, indices: Sequence[int]) -> None:
        """Ask these processes for the channels, until each has a status one can believe and a value; the topics stay
        open for a while. Raises ``BenchError``."""
        for index in indices:
            _settle(self.ports[index], request)


@contextlib.contextmanager
def started(venue_port: int, processes: int) -> Iterator[Members]:
    """So many processes on a venue, or, with 0, one without Redis."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server()) if processes else None
        urls = [f"ws://127.0.0.1:{venue_port}", f"http://127.0.0.1:{venue_port}", redis.url if redis else "-"]
        children: list[Child] = []
        ports: list[int] = []
        for index in range(max(1, processes)):
            role = "all" if index == 0 else "edge"
            child = Child(f"member-{index}", [python(), "-m", "benchmarks.member", *urls, role], SERVER_CORE)
            stack.callback(child.end)
            children.append(child)
            ports.append(int(child.hear(30)["port"]))
            if redis is not None and index == 0:
                _holds(ports[0])
        yield Members(children, ports, redis)


def _holds(port: int) -> None:
    """Wait until this process has the venue open."""
    until = time.monotonic() + PATIENCE_S
    while "binance" not in json.loads(_ready(port))["dependencies"]["cache"].get("holds", ()):
        if time.monotonic() > until:
            raise BenchError("the first process has not opened the venue")
        time.sleep(0.05)


def _ready(port: int) -> str:
    """What it says of itself, ready or not."""
    try:
        return fetch(port, "/ready")
    except HTTPError as error:
        with error:
            return error.read().decode()


def _settle(port: int, request: str) -> None:
    channels = len(json.loads(request)["channels"])
    states: dict[str, str] = {}
    values: set[str] = set()
    reader, until = Reader(), time.monotonic() + PATIENCE_S
    with connect(port) as connection:
        connection.sendall(frame(TEXT, request.encode()))
        connection.settimeout(1.0)
        while len(values) < channels or sum(state in BELIEVED for state in states.values()) < channels:
            if time.monotonic() > until:
                raise BenchError(f"of {channels} topics {len(values)} have a value, the states are {states}")
            with contextlib.suppress(TimeoutError):
                for _, body in reader.feed(connection.recv(1 << 20)):
                    _note(json.loads(body), states, values)


def _note(message: Mapping[str, Any], states: dict[str, str], values: set[str]) -> None:
    kind, payload = str(message["type"]), message["payload"]
    if kind == "status":
        states[json.dumps(payload["channel"], sort_keys=True)] = str(payload["state"])
    elif kind in ("ticker", "trade") or kind.startswith("order_book"):
        values.add(f"{kind[:6]} {payload['symbol']}")

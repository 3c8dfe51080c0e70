"""The other clients: each asks for a ``ping`` so many times a second, whether the last was answered or not, and takes
the time until its answer.

    python -m benchmarks.abuse.probe PORT CLIENTS RATE

On stdin ``measure SECONDS``: the percentiles in ms, how many answers they are of, how many never came.
"""

from __future__ import annotations

import gc
import json
import re
import select
import socket
import sys
import time
from collections.abc import Sequence

from benchmarks.abuse.wire import PING, PONG, Reader, connect, frame, request
from benchmarks.peers.work import say

_pong = re.compile(rb'"id":(\d+)\},"message":"pong"\}$').search
GRACE_S = 2.0
"""How long answers are waited for after the last ping."""


class Probe:
    """``clients`` connections. ``measure`` sends and reads in one loop, so that an answer's time is that of its
    arrival."""

    def __init__(self, port: int, clients: int, rate: float) -> None:
        self._every = 1 / rate
        self._readers: dict[int, tuple[socket.socket, Reader]] = {}
        self._poll = select.epoll()
        for _ in range(clients):
            connection = connect(port)
            self._readers[connection.fileno()] = connection, Reader()
            self._poll.register(connection.fileno(), select.EPOLLIN)
        self._sockets = [connection for connection, _ in self._readers.values()]
        self._times: list[int] = []

    def measure(self, seconds: float) -> dict[str, float]:
        """Everybody in turn, evenly spread over time."""
        self.read(0)
        self._times.clear()
        step = self._every / len(self._sockets)
        begun = time.monotonic()
        sent, count = 0, max(1, round(seconds / step))
        while sent < count:
            wait = begun + sent * step - time.monotonic()
            if wait > 0:
                self.read(wait)
                continue
            self._sockets[sent % len(self._sockets)].sendall(request("ping", id=time.monotonic_ns()))
            sent += 1
        until = time.monotonic() + GRACE_S
        while len(self._times) < sent and time.monotonic() < until:
            self.read(0.05)
        took = sorted(self._times)
        lost = sent - len(took)
        took += [round(GRACE_S * 1e9)] * lost
        return {"p50": at(took, 0.5) / 1e6, "p99": at(took, 0.99) / 1e6, "samples": sent, "lost": lost}

    def read(self, seconds: float) -> None:
        """Wait so long at most for what comes, and take it."""
        for number, _ in self._poll.poll(seconds):
            connection, reader = self._readers[number]
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection that did nothing wrong")
            now = time.monotonic_ns()
            for opcode, payload in reader.feed(data):
                if opcode == PING:
                    connection.sendall(frame(PONG, payload))
                elif found := _pong(payload):
                    self._times.append(now - int(found[1]))


def at(values: Sequence[int], share: float) -> int:
    """The value that so many of the sorted values do not exceed."""
    return values[min(len(values) - 1, int(share * len(values)))]


def main(arguments: Sequence[str]) -> None:
    probe = Probe(int(arguments[0]), int(arguments[1]), float(arguments[2]))
    gc.disable()
    say(ready=True)
    control = select.epoll()
    control.register(sys.stdin.fileno(), select.EPOLLIN)
    while True:
        probe.read(0.01)  # pings of the server come at any time
        if control.poll(0):
            words = sys.stdin.readline().split()
            if not words:
                return
            sys.stdout.write(json.dumps(probe.measure(float(words[1]))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])

"""What a server under test is told to do: publish as fast as its clients read, or at a fixed rate. Standard library
only: every peer runs this.

Orders come as UDP datagrams. ``c 1234``: so many frames have arrived at the clients in all. Else JSON: ``{"do":
"quit"}`` ends the process, and these start a job, whose report is one line of JSON on stdout:

``saturate``: for ``seconds``, ``per_turn`` events in each turn of the loop, at most ``window`` frames ahead of the
clients (an event is ``fan`` frames). ``pace``: ``rate`` events a second, looking at the clock every ``tick`` seconds;
``grace`` seconds later the report. Events are of ``topics`` topics, at random or, with ``cycle``, one after the other.
"""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import sys
import time
from collections.abc import Callable
from typing import Any


def say(**members: object) -> None:
    """One line of JSON for the one who started us."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_bodies(path: str) -> list[list[bytes]]:
    """Per topic what stands before and after the running number of its messages."""
    with open(path, encoding="utf-8") as file:
        return [[before.encode(), after.encode()] for before, after in json.load(file)]


class Work:
    """One server's orders. ``emit(topic, number)`` publishes one event; the server calls ``turn`` whenever it says."""

    def __init__(self, emit: Callable[[int, int], object], counted: Callable[[], list[int]] | None = None) -> None:
        """``counted`` gives the messages published so far per topic, where that is not what was emitted."""
        self._emit = emit
        self._counted = counted
        self._job: Any = None
        self._credit = 0
        self._numbers: list[int] = []

    def order(self, text: bytes) -> None:
        """Take one datagram."""
        if text.startswith(b"c "):
            self._credit = int(text[2:])
            return
        order = json.loads(text)
        if order["do"] == "quit":
            os._exit(0)
        self._begin(order)

    def _begin(self, order: Any) -> None:
        topics = order["topics"]
        self._numbers += [0] * (topics - len(self._numbers))
        chance = random.Random(7)
        self._picks = list(range(topics)) if order.get("cycle") else [chance.randrange(topics) for _ in range(65536)]
        self._counts = [0] * topics
        self._before = self._counted() if self._counted else []
        self._over = False
        self._events = self._turns = 0
        self._credit = 0
        self._cpu, self._begun = cpu_seconds(), time.perf_counter()
        self._job = order

    @property
    def saturating(self) -> bool:
        """Whether the job at hand wants every turn of the loop."""
        return self._job is not None and self._job["do"] == "saturate"

    def turn(self) -> float | None:
        """Do what is due; returns the seconds until the next turn (0: at once), None while there is
        nothing to do until the next order."""
        job = self._job
        if job is None:
            return None
        now = time.perf_counter() - self._begun
        if now >= job["seconds"]:
            if not self._over:
                self._over = True
                return float(job.get("grace", 0.0))
            self._report(now)
            return None
        if job["do"] == "pace":
            self._publish(int(now / job["tick"] + 1) * round(job["rate"] * job["tick"]) - self._events)
            return float(job["tick"] - now % job["tick"])
        if self._events * job["fan"] - self._credit < job["window"]:
            self._publish(job["per_turn"])
            return 0.0
        return None

    def _publish(self, count: int) -> None:
        self._turns += count > 0
        emit, numbers, counts, picks = self._emit, self._numbers, self._counts, self._picks
        size = len(picks)
        for event in range(self._events, self._events + count):
            topic = picks[event % size]
            numbers[topic] += 1
            counts[topic] += 1
            emit(topic, numbers[topic])
        self._events += count

    def _report(self, wall: float) -> None:
        self._job = None
        if self._counted:
            self._counts = [now - before for now, before in zip(self._counted(), self._before, strict=True)]
        say(events=self._events, turns=self._turns, counts=self._counts, wall=wall, cpu=cpu_seconds() - self._cpu)


def control_socket(port: int = 0) -> socket.socket:
    """Where orders come in."""
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    control.bind(("127.0.0.1", port))
    control.setblocking(False)
    return control


def drain(control: socket.socket, work: Work) -> bool:
    """Take every datagram that waits; whether there was one."""
    some = False
    while True:
        try:
            text = control.recv(65536)
        except BlockingIOError:
            return some
        some = True
        work.order(text)


class AsyncioDriver:
    """Runs ``Work`` on an asyncio loop. ``flush`` is called at the end of each turn."""

    def __init__(self, work: Work, loop: Any, flush: Callable[[], object] = lambda: None) -> None:
        self._work, self._loop, self._flush = work, loop, flush
        self._call: Any = None
        self.control = control_socket()
        loop.add_reader(self.control.fileno(), self._order)

    def _order(self) -> None:
        drain(self.control, self._work)
        if self._call is None:
            self._call = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        wait = self._work.turn()
        self._flush()
        self._call = None
        if wait is not None:
            self._call = self._loop.call_later(wait, self._turn) if wait else self._loop.call_soon(self._turn)


def announce(port: int, control: socket.socket) -> None:
    """Tell the one who started us where we listen."""
    say(port=port, control=control.getsockname()[1], pid=os.getpid())

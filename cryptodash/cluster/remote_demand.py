"""What other processes want of a venue that this one holds: held in this one's hub as what the server itself wants.
Each process has rationed its own clients; linger and the venue's limits are this one's."""

from __future__ import annotations

from itertools import islice
from typing import Final, Protocol

from attrs import define, field
from twisted.logger import Logger

from cryptodash.cluster import event_records
from cryptodash.cluster.wire import BadFrame, Demanded, Echo, Hold
from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDemand

SILENT_S: Final = 10.0
"""A process that says nothing for so long wants nothing any more."""
MOST_PROCESSES: Final = 64
TRIED_AT_ONCE: Final = 20

_log = Logger(namespace="cryptodash.cluster.remote_demand")

TopicAt = tuple[Topic, int]


class Wanted(Protocol):
    """Who is told what is wanted of now."""

    def added(self, process: str, topic: Topic, interval: int, since: Cursor | None) -> None:
        """The process wants this as well (or asks again), and is to be told its state, of its events those from
        ``since`` on: it is held by now."""

    def refused(self, process: str, topic: Topic, error: Refused) -> None:
        """It cannot have this now."""

    def ask(self, process: str) -> None:
        """Let the process say all that it wants, and let it have an echo."""


@define(eq=False)
class _Process:
    number: int
    heard: float
    sent: float
    holds: dict[TopicAt, None] = field(factory=dict)
    refused: dict[TopicAt, None] = field(factory=dict)
    """What it could not have yet; tried again."""


class RemoteDemand:
    """All processes' demand for one venue."""

    def __init__(self, exchange: str, demand: IDemand, clock: Clock, told: Wanted) -> None:
        self.topics: dict[Topic, dict[int, int]] = {}
        """What is wanted by anybody: of each topic, and of the book of each book topic, by interval how many want
        it."""
        self._exchange = exchange
        self._demand = demand
        self._clock = clock
        self._told = told
        self._processes: dict[str, _Process] = {}

    def took(self, demanded: Demanded) -> None:
        """A process has said what it wants."""
        process = self._processes.get(demanded.process)
        if process is None:
            if len(self._processes) >= MOST_PROCESSES:
                return
            process = self._processes[demanded.process] = _Process(-1, 0.0, 0.0)
        process.heard, process.sent = self._clock.monotonic(), demanded.sent
        if demanded.is_all:
            process.number = demanded.number
            asked = self._read(demanded.holds)
            for each in [each for each in (*process.holds, *process.refused) if each not in asked]:
                self._release(process, each)
            for each, since in asked.items():
                self._hold(demanded.process, process, each, since)
            return
        if demanded.number != process.number + bool(demanded.holds or demanded.releases):
            self._told.ask(demanded.process)
            return
        process.number = demanded.number
        for each in self._read(demanded.releases):
            self._release(process, each)
        for each, since in self._read(demanded.holds).items():
            self._hold(demanded.process, process, each, since)

    def tick(self) -> None:
        """Now and then: who is silent has gone."""
        now = self._clock.monotonic()
        for name in [name for name, each in self._processes.items() if now - each.heard > SILENT_S]:
            _log.info(
                "process {name} is silent: {exchange} is not held for it any more", name=name, exchange=self._exchange
            )
            self._end(name)
        for name, process in self._processes.items():
            for each in list(islice(process.refused, TRIED_AT_ONCE)):
                self._hold(name, process, each)

    def end(self) -> None:
        """Nothing is held for anybody any more."""
        for name in list(self._processes):
            self._end(name)

    @property
    def is_followed(self) -> bool:
        """Whether any other process is heard of."""
        return bool(self._processes)

    def has(self, process: str, topic: Topic, interval: int) -> bool:
        """Whether the process wants it still."""
        known = self._processes.get(process)
        return known is not None and (topic, interval) in known.holds

    def echoes(self, process: str = "") -> list[Echo]:
        """For that process, or for all."""
        now = self._clock.monotonic()
        names = [process] if process else list(self._processes)
        known = [(name, self._processes[name]) for name in names if name in self._processes]
        return [Echo(name, each.sent, (now - each.heard) * 1000) for name, each in known]

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        for each in list(process.holds):
            self._release(process, each)

    def _read(self, holds: list[Hold]) -> dict[TopicAt, Cursor | None]:
        found: dict[TopicAt, Cursor | None] = {}
        for each in holds:
            try:
                topic = event_records.topic_of(each.topic)
            except BadFrame:
                continue
            if topic.exchange == self._exchange and 0 <= each.interval <= 10_000:
                found[topic, each.interval] = None if each.since is None else Cursor(*each.since)
        return found

    def _hold(self, name: str, process: _Process, wanted: TopicAt, since: Cursor | None = None) -> None:
        topic, interval = wanted
        if wanted not in process.holds:
            self._count(topic, interval, 1)  # before it is held: what comes at once is wanted by then
            try:
                self._demand.hold(topic, interval)
            except Refused as error:
                self._count(topic, interval, -1)
                self._told.refused(name, topic, error)
                process.refused.pop(wanted, None)
                process.refused[wanted] = None  # behind the others, which are tried before it comes to this one again
                return
            process.holds[wanted] = None
            process.refused.pop(wanted, None)
        self._told.added(name, topic, interval, since)

    def _release(self, process: _Process, wanted: TopicAt) -> None:
        process.refused.pop(wanted, None)
        if wanted in process.holds:
            del process.holds[wanted]
            self._count(*wanted, -1)
            self._demand.release(*wanted)

    def _count(self, topic: Topic, interval: int, by: int) -> None:
        for each in dict.fromkeys((topic, topic.upstream)):
            held = self.topics.setdefault(each, {})
            held[interval] = held.get(interval, 0) + by
            if not held[interval]:
                del held[interval]
            if not held:
                del self.topics[each]

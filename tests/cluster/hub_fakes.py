"""A hub as the cluster sees it: it holds, remembers and is told, and does nothing by itself."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused
from cryptodash.core.events import Event, State, StreamStatus
from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import IRemoteInlet
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDemand, IStates


@implementer(IDemand)
class Demand:
    """What is held, in order. ``full``: topics that it refuses."""

    def __init__(self) -> None:
        self.held: list[tuple[str, int]] = []
        self.full: set[Topic] = set()
        self.tried = 0

    def hold(self, topic: Topic, interval: int) -> None:
        self.tried += 1
        if topic in self.full:
            raise Refused("rate_limited", "too much waits already", 429)
        self.held.append((topic.text, interval))

    def release(self, topic: Topic, interval: int) -> None:
        self.held.remove((topic.text, interval))

    def for_client(self, client: str, address: str) -> IDemand:
        raise AssertionError("each process has rationed its own clients: here they are the server itself")

    def view_interval(self, topic: Topic, max_rate: float | None) -> int:
        raise AssertionError("nobody asks for it")

    def clients_of(self, topic: Topic) -> int:
        raise AssertionError("nobody asks for it")


@implementer(IStates)
class States:
    """``told``: of each topic what was told before, oldest first; ``present``: its values, the status behind them."""

    def __init__(self) -> None:
        self.told: dict[Topic, list[Event]] = {}
        self.present: dict[tuple[Topic, int], list[Event]] = {}
        self.asked: list[Cursor | None] = []
        """From where on events were asked for, with each state."""

    def last_events(self, topic: Topic, limit: int) -> Sequence[Event]:
        return self.told.get(topic, [])[-limit:]

    def state(
        self, topic: Topic, interval: int, since: Cursor | None = None
    ) -> tuple[Sequence[Event], Sequence[Event]]:
        status = StreamStatus(topic.upstream, State.CONNECTING)
        self.asked.append(since)
        return self.told.get(topic, []), self.present.get((topic, interval), [status])


@implementer(IRemoteInlet)
class Inlet:
    """What has come, in order; of what was told before as a pair of its topic and events."""

    def __init__(self) -> None:
        self.came: list[Event | tuple[Topic, list[Event]]] = []

    def publish(self, event: Event) -> None:
        self.came.append(event)

    def recent(self, topic: Topic, events: Sequence[Event]) -> None:
        self.came.append((topic, list(events)))

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        raise AssertionError("nobody says so")

    def new(self) -> list[Event | tuple[Topic, list[Event]]]:
        """What has come since this was asked last."""
        came, self.came = self.came, []
        return came

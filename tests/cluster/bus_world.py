"""A process that holds a venue, between its hub and Redis, both made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.lease import MARGIN_S, TTL_S, Lease
from cryptodash.cluster.venue_bus import VenueBus
from cryptodash.cluster.wire import Demanded, Frame, Hold
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import Topic
from tests.cluster.hub_fakes import Demand, Inlet, States
from tests.cluster.remote_world import BOOK, TICKERS, TRADES, VIEW
from tests.cluster.wire_samples import REPORT

KNOWN = {each.text: each for each in (TICKERS, TRADES, VIEW, BOOK)}
LEASE_S = TTL_S - MARGIN_S


class Venue:
    """How fresh its values are."""

    def __init__(self) -> None:
        self.confirmed: dict[Topic, float] = {}
        self.holds_for: dict[Topic, float] = {}

    def confirmed_at(self, topic: Topic) -> float | None:
        return self.confirmed.get(topic)

    def as_of(self, topic: Topic) -> float | None:
        return self.holds_for.get(topic)


class World:
    """The one that holds. ``answer`` is what Redis says, at once; None: nothing yet."""

    def __init__(self) -> None:
        self.reactor, self.clock, self.tally = Clock(), ManualClock(), Tally()
        self.lease = Lease("us")
        self.inlet, self.hub, self.states, self.venue = Inlet(), Demand(), States(), Venue()
        self.answer: int | Exception | None = 1
        self.open: list[Deferred[Any]] = []
        self.sent: list[list[Frame]] = []
        self.losses = 0
        self.bus = VenueBus(
            "binance", self.lease, self.inlet, self.hub, self.states, lambda: cast(Any, self.venue), lambda: REPORT,
            self._send, self._lost, self.reactor, self.clock, self.tally,
        )  # fmt: skip
        self.lease.granted(7, self.clock.monotonic())

    def _send(self, frames: Sequence[bytes]) -> Deferred[Any]:
        self.sent.append([wire.read_frame(each) for each in frames])
        done: Deferred[Any] = Deferred()
        if isinstance(self.answer, Exception):
            done.errback(Failure(self.answer))
        elif self.answer is not None:
            done.callback(self.answer)
        else:
            self.open.append(done)
        return done

    def _lost(self) -> None:
        self.losses += 1

    def turn(self) -> list[Frame]:
        """The frames of this turn, which go by one call."""
        self.sent.clear()
        self.reactor.advance(0)
        assert len(self.sent) <= 1
        return self.sent[0] if self.sent else []

    def wants(self, process: str, *holds: tuple[Topic, int]) -> None:
        """All that the process wants; what it is told of it has gone out."""
        self.says(process, *holds)
        self.turn()

    def says(self, process: str, *holds: tuple[Topic, int]) -> None:
        wanted = [Hold(topic.text, interval) for topic, interval in holds]
        self.bus.demand.took(Demanded(wire.VERSION, process, 1, 2.5, True, wanted, []))

    def dropped(self) -> int:
        return self.tally.counter("cryptodash_cluster_unpublished_total", "", "exchange").values["binance",]


def told(frames: Sequence[Frame]) -> list[tuple[str, Any]]:
    """To whom, and what: events as they are, of the rest their content."""
    return [(frame.to, read(kind, content)) for frame in frames for kind, content, _ in frame.records]


def read(kind: int, content: Any) -> Any:
    if kind < wire.BEAT:
        return event_records.read_event(kind, content, KNOWN.get)
    readers: dict[int, Callable[[Any], Any]] = {
        wire.BEAT: wire.read_beat,
        wire.RECENT: lambda raw: event_records.read_recent(raw, KNOWN.get),
        wire.CATALOGUE: wire.read_text,
        wire.REPORT: wire.read_report,
        wire.ASK: lambda raw: "ask",
    }
    return readers[kind](content)

"""A recording through the real engine: no socket, a manual clock, every subscription accepted."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from random import Random
from typing import Any

from attrs import evolve
from zope.interface import directlyProvides

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, StreamStatus
from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import reaches
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.exchanges.adapter.decode import check_text, reading
from cryptodash.exchanges.adapter.messages import Ack, BadFrame, Message, Reader, Readers, Sequenced
from cryptodash.exchanges.adapter.plan import Plan, Purpose, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import (
    BookChanged,
    Closed,
    Connect,
    Disconnect,
    Fetch,
    Output,
    Publication,
    Send,
)
from cryptodash.exchanges.engine import Engine
from cryptodash.testing.conformance.evidence import Evidence, RecordedFrame, Recording, text_of
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.known import KnownReaders, known_streams
from cryptodash.testing.conformance.plain import rows_of, topic_of
from cryptodash.testing.conformance.values import times_of

ACCEPTED = b"\x00accepted "
"""How an answer begins that the kit gives in the venue's place. No venue's frame begins so."""
BETWEEN_FRAMES = 0.01
"""Seconds from a frame to the next where the recording does not say."""
LONGEST_PAUSE = 600.0


class Obliging:
    """The venue itself, but that whatever is subscribed to is accepted; and that recorded streams may have other names
    than today's (``Recording.instead``)."""

    def __init__(self, venue: IVenue, recording: Recording) -> None:
        self._venue: Any = venue
        self._instead = recording.instead
        directlyProvides(self, IVenue)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        plan: Plan = self._venue.plan(topic, instrument, depth)
        return evolve(plan, streams=tuple(self._recorded(spec) for spec in plan.streams))

    def _recorded(self, spec: StreamSpec) -> StreamSpec:
        name = self._instead.get(spec.name)
        return spec if name is None else evolve(spec, name=name, promise=None, depth=None)

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        self._venue.subscribe(endpoint, names, request_id)
        return _accepted(request_id, names, True)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        self._venue.unsubscribe(endpoint, names, request_id)
        return _accepted(request_id, names, False)

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        if frame.startswith(ACCEPTED):
            return [Ack(str(json.loads(frame.removeprefix(ACCEPTED))["id"]))]
        messages: Sequence[Message] = self._venue.read(endpoint, frame, readers)
        return messages


def _accepted(request_id: str, names: Sequence[str], on: bool) -> bytes:
    return ACCEPTED + json.dumps({"id": request_id, "names": list(names), "on": on}).encode()


class Playback:
    """Plays a recording once. ``rows`` is what came of it, statuses left out; ``faults`` what never must."""

    def __init__(self, evidence: Evidence, recording: Recording) -> None:
        self._evidence = evidence
        self._recording = recording
        self._frames = recording.frames()
        require(self._frames, f"recording {recording.name} has no frame")
        self._readers = KnownReaders(evidence, recording.endpoint, self._streams())
        self._clock = ManualClock(self._begin())
        self.tally = Tally()
        venue: Any = Obliging(evidence.venue, recording)
        catalogue = evidence.catalogue()
        self.engine = Engine(venue, evidence.venue.hosts, catalogue, self._clock, Random(1), self.tally)
        self._carriers: dict[str, str] = {}
        self._carried: dict[str, Reader] = {}
        """Readers of the streams that are subscribed to: which of several a frame is of, it need not say by itself."""
        self._connections: set[str] = set()
        self._given: set[str] = set()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self.rows: list[dict[str, Any]] = []
        self.statuses: dict[Topic, StreamStatus] = {}
        self.faults: list[str] = []
        self._closed: dict[Topic, int] = {}

    def _streams(self) -> dict[tuple[str, str], StreamSpec]:
        """Those of the plans, under the names that they have in the recording."""
        instead = self._recording.instead
        return {
            (endpoint, instead.get(name, name)): spec
            for (endpoint, name), spec in known_streams(self._evidence).items()
        }

    def _begin(self) -> int:
        """The wall clock at the beginning: the recorder's, else the first time that a frame tells."""
        first = next((frame.time for frame in self._frames if frame.time is not None), None)
        if first is not None:
            return first
        for frame in self._frames:
            times = [time for message in self.read(frame) for _, time in times_of(message)]
            if times:
                return max(times)
        return 1_700_000_000_000

    def read(self, frame: RecordedFrame, readers: Readers | None = None) -> Sequence[Message]:
        """What a frame says, to these readers or to those of every stream. Fails where it cannot be read."""
        among = self._readers if readers is None else readers
        try:
            reading(check_text, frame.raw)
            return reading(self._evidence.venue.read, self._recording.endpoint, frame.raw, among)
        except BadFrame as error:
            fail(f"recorded frame {shown(frame.raw)} cannot be read: {error}")

    # -- playing

    def play(self) -> None:
        """Subscribe to the topics, then every frame at its time."""
        exchange = self._evidence.venue.id
        topics = [parse_topic(f"{exchange}:{each}", default_depth=20) for each in self._recording.topics]
        self._carry_out(self.engine.want(topics))
        self._pass(30.0, until_subscribed=True)
        before: int | None = None
        for frame in self._frames:
            pause = BETWEEN_FRAMES
            if frame.time is not None:
                pause = 0.0 if before is None else max(0.0, (frame.time - before) / 1000)
                before = frame.time
            self._pass(min(pause, LONGEST_PAUSE))
            self._send(frame)
        require(
            self._carriers or not topics,
            f"recording {self._recording.name}: nothing was subscribed to for {', '.join(self._recording.topics)}",
        )

    def _send(self, frame: RecordedFrame) -> None:
        """Give the frame to the connection that carries its stream; one of no stream to each."""
        messages = self.read(frame, self._carried)
        names = {name for message in messages if (name := getattr(message, "stream", None)) is not None}
        counted = any(isinstance(message, Sequenced) for message in messages)
        carriers = {self._carriers[name] for name in names if name in self._carriers}
        if names and not carriers and not counted:
            return  # of a stream that none of the topics has
        for key in carriers or set(self._connections):
            if key in self._connections:
                self._carry_out(self.engine.received(key, frame.raw, self._clock.wall_ms()))

    def _pass(self, seconds: float, *, until_subscribed: bool = False) -> None:
        """Let time pass; the venue never seems dead meanwhile."""
        end = self._clock.monotonic() + seconds
        while True:
            now = self._clock.monotonic()
            due = self.engine.deadline()
            if until_subscribed and self._carriers and not self.engine.is_idle and self._is_settled():
                return
            if due is None or due > end:
                self._clock.advance(max(end - now, 0.0))
                return
            self._clock.advance(max(due - now, 0.001))
            for key in self._connections:
                self.engine.heard(key)
            self._carry_out(self.engine.tick())

    def _is_settled(self) -> bool:
        """Whether every stream has a connection that carries it."""
        return all(
            report.name in self._carriers or not report.connection
            for report in chain.from_iterable(self.engine.streams())
        )

    # -- the venue's side

    def _carry_out(self, outputs: Iterable[Output]) -> None:
        waiting = deque(outputs)
        while waiting:
            waiting.extend(self._answered(waiting.popleft()))

    def _answered(self, output: Output) -> Sequence[Output]:
        """Do what the engine says, and give back what follows from it."""
        if isinstance(output, Connect):
            self._connections.add(output.connection)
            return self.engine.opened(output.connection)
        if isinstance(output, Send):
            return [*self._accept(output), *self.engine.may_send(output.connection)]
        if isinstance(output, Disconnect):
            self._connections.discard(output.connection)
            if output.why in ("gap", "poison"):
                self.faults.append(f"a connection was given up: {output.why}")
            return self.engine.closed(output.connection, Closed("local"))
        if isinstance(output, Fetch):
            return self._fetched(output.request)
        self._publish(output)
        return ()

    def _accept(self, output: Send) -> Sequence[Output]:
        if not output.payload.startswith(ACCEPTED) or output.connection not in self._connections:
            return ()
        request = json.loads(output.payload.removeprefix(ACCEPTED))
        for name in request["names"]:
            if request["on"]:
                self._carriers[name], self._carried[name] = output.connection, self._readers[name]
            elif self._carriers.get(name) == output.connection:
                del self._carriers[name], self._carried[name]
        return self.engine.received(output.connection, output.payload, self._clock.wall_ms())

    def _fetched(self, request: RestRequest) -> Sequence[Output]:
        """A recording has one snapshot of a book, and an answer to a poll is good as often as it is asked for."""
        recording = self._recording
        if request.purpose is Purpose.CATALOGUE:
            return ()
        body = None
        if request.purpose is Purpose.SNAPSHOT and request.native not in self._given:
            body = recording.snapshots.get(request.native)
            self._given.add(request.native)
        elif request.purpose is Purpose.POLL:
            body = recording.polls.get(request.path)
        if body is None:
            return self.engine.rest_failed(request, UpstreamError("disconnected", "not in the recording"))
        return self.engine.rest_answer(request, text_of(body))

    # -- what is published

    def _publish(self, event: Publication) -> None:
        if isinstance(event, StreamStatus):
            self.statuses[event.topic] = event
            return
        if isinstance(event, BookChanged):
            self._check_book(event)
        elif isinstance(event, Candle):
            self._check_candle(event)
        self.rows += rows_of(event)

    def _check_book(self, event: BookChanged) -> None:
        bids, asks = event.book.top(1)
        if bids and asks and reaches(bids[0][0], asks[0][0]):
            self.faults.append(f"the book of {topic_of(event)} is crossed: {bids[0][0]} >= {asks[0][0]}")

    def _check_candle(self, event: Candle) -> None:
        if not event.closed or event.corrected:
            return
        if event.timestamp <= self._closed.get(event.topic, -1):
            self.faults.append(f"{topic_of(event)}: the bar of {event.timestamp} was closed twice, or out of order")
        self._closed[event.topic] = event.timestamp

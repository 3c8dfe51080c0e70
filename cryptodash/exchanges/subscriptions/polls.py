"""Polls: REST requests that stand in for streams, each with the state of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import cause_of
from cryptodash.core.quality import UNRECORDED, StreamRecords
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.plan import Poll, RestRequest, StreamSpec
from cryptodash.exchanges.connections.commands import Fetch, Output
from cryptodash.exchanges.connections.silence import PROMISES
from cryptodash.exchanges.connections.stream import Stream, TakeMessage

REST = "rest"
"""What stands for the endpoint in a poll's stream."""


@define(eq=False)
class Polled:
    """One repeated request."""

    poll: Poll
    stream: Stream
    due: float
    flying: bool = False
    said: Sequence[Message] = ()
    """The last answer, where the poll is kept."""
    received: int = 0
    """When that came: our wall clock, ms."""


class Polls:
    """All polls of one venue, by request."""

    def __init__(self, records: StreamRecords = UNRECORDED) -> None:
        self._records = records
        self._polled: dict[RestRequest, Polled] = {}

    def get(self, poll: Poll, now: float) -> Stream:
        """The poll's stream; a new poll is due at once."""
        found = self._polled.get(poll.request)
        if found is None:
            query = "&".join(f"{name}={value}" for name, value in poll.request.params)
            spec = StreamSpec(
                REST, f"{poll.request.path}?{query}" if query else poll.request.path, poll.parts, poll.every
            )
            stream = Stream(spec, now, self._records.open(REST, spec.name))
            found = self._polled[poll.request] = Polled(poll, stream, now)
        return found.stream

    def tell_last(self, poll: Poll, take: TakeMessage, now: float, out: list[Output]) -> None:
        """Give somebody who comes later the last answer of a kept poll."""
        polled = self._polled[poll.request]
        for message in polled.said:
            take(message, now, polled.received, out)

    def remove(self, stream: Stream) -> None:
        """Nobody wants it any more."""
        for request, polled in list(self._polled.items()):
            if polled.stream is stream:
                del self._polled[request]

    def streams(self) -> list[Stream]:
        """The polls as streams."""
        return [each.stream for each in self._polled.values()]

    def advance(self, now: float, out: list[Output]) -> None:
        """Ask again where it is time; never a second time before the first is answered."""
        for polled in self._polled.values():
            if not polled.flying and now >= polled.due:
                polled.flying = True
                polled.due = now + polled.poll.every
                out.append(Fetch(polled.poll.request))

    def answered(
        self, request: RestRequest, messages: Sequence[Message], now: float, received: int, out: list[Output]
    ) -> None:
        """The answer, read."""
        polled = self._polled.get(request)
        if polled is not None:
            polled.flying = False
            polled.stream.blame(None)
            if polled.poll.kept:
                polled.said, polled.received = messages, received
            for message in messages:
                polled.stream.deliver(message, now, received, out)

    def failed(self, request: RestRequest, error: UpstreamError | None, now: float, out: list[Output]) -> None:
        """No answer, or one that cannot be read: the next try comes in its time. Two in a row are a loss."""
        polled = self._polled.get(request)
        if polled is None:
            return
        polled.flying = False
        stream = polled.stream
        if error is not None and error.retry_after is not None:
            polled.due = max(polled.due, now + error.retry_after)
        overdue = stream.last is None or now - stream.last > PROMISES * polled.poll.every
        if overdue and stream.lost(cause_of(error.cause if error is not None else ""), now):
            stream.tell(out)

    def due(self) -> float:
        """When ``advance`` has something to do."""
        return min((each.due for each in self._polled.values() if not each.flying), default=float("inf"))

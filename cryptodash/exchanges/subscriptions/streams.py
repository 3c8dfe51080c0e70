"""All streams of a venue by name: made for their first user, shared by all, ended with their last one."""

from __future__ import annotations

from cryptodash.core.quality import UNRECORDED, StreamRecords
from cryptodash.exchanges.adapter.plan import Part, Poll, StreamSpec
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Carrier, Consumer, Stream
from cryptodash.exchanges.connections.stream_phase import Phase, Signal
from cryptodash.exchanges.subscriptions.polls import Polls

ASK_AGAIN = 30.0
"""Seconds after which a stream is asked for again that the venue has not answered about. A refusal stands."""
Kind = tuple[str, frozenset[Part]]
"""Endpoint and parts: streams of one kind come by the same way."""


class Streams:
    """The streams that are wanted now. Whoever uses one is its consumer; its owners keep it alive."""

    def __init__(self, allocation: Allocation, polls: Polls, records: StreamRecords = UNRECORDED) -> None:
        self._allocation = allocation
        self._records = records
        self._polls = polls
        self._subscribed: dict[tuple[str, str], Stream] = {}

    def everything(self) -> list[Stream]:
        """Streams and polls."""
        return [*self._subscribed.values(), *self._polls.streams()]

    def subscribed(self) -> list[Stream]:
        """Streams without the polls."""
        return list(self._subscribed.values())

    def open(self, spec: StreamSpec, consumer: Consumer, now: float, out: list[Output]) -> Stream:
        """Use a stream; the first user starts it."""
        key = (spec.endpoint, spec.name)
        stream = self._subscribed.get(key)
        if stream is not None:
            stream.widen(spec)
            stream.add(consumer, owns=True)
            return stream
        stream = self._subscribed[key] = Stream(spec, now, self._records.open(*key))
        stream.add(consumer, owns=True)
        self._allocation.place(stream, now, out)
        return stream

    def open_poll(self, poll: Poll, consumer: Consumer, now: float, out: list[Output]) -> Stream:
        """Use a poll; the first user starts it."""
        stream = self._polls.get(poll, now)
        stream.add(consumer, owns=True)
        self._polls.tell_last(poll, consumer.take, now, out)
        return stream

    def leave(self, stream: Stream, consumer: Consumer, now: float) -> None:
        """Use it no more; the last owner's leaving ends it."""
        stream.remove(consumer, owns=True)
        if stream.is_wanted:
            return
        stream.record.closed()
        if self._subscribed.get((stream.endpoint, stream.name)) is stream:
            del self._subscribed[stream.endpoint, stream.name]
            self._allocation.remove(stream, now)
        else:
            self._polls.remove(stream)

    def resubscribe(self, stream: Stream, now: float, out: list[Output]) -> None:
        """End and begin it, because what it says can only be mended by a new beginning."""
        self._allocation.resubscribe(stream, now, out)

    def slept(self, seconds: float, now: float, out: list[Output]) -> None:
        """The machine slept: what was known is as much older, and holds once something has confirmed it."""
        for stream in self.everything():
            stream.age(seconds)
            stream.signal(Signal.SILENCE, now, out)

    def touched(self) -> None:
        """Something may be due earlier than it was."""
        self._allocation.touched = True

    def retry(self, stream: Stream, now: float, out: list[Output]) -> None:
        """Give a rejected stream another chance."""
        if stream.phase is Phase.REJECTED:
            stream.is_unanswered = False
            stream.signal(Signal.RETRY, now, out)
            self._allocation.place(stream, now, out)

    def beat(self, now: float, stale_after: float, out: list[Output]) -> None:
        """Twice a second: let every stream look at its clock, and subscribe anew what has been silent for long."""
        everything = self.everything()
        proven: set[Kind] = {(each.endpoint, each.parts) for each in everything if each.last is not None}
        moved = [each for each in everything if each.beat(now, stale_after, (each.endpoint, each.parts) in proven)]
        silent: set[Carrier | None] = {each.source for each in everything if each.proves_silent(now, stale_after)}
        moved += [each for each in everything if each.judge_connection(silent, now, stale_after)]
        Stream.tell_all(moved, out)
        for stream in everything:
            if stream.needs_resubscribing(now, stale_after):
                self._allocation.resubscribe(stream, now, out, silent=True)
            if stream.is_unanswered and now - stream.since >= ASK_AGAIN:
                self.retry(stream, now, out)

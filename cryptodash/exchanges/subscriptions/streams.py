"""All streams of a venue by name, and who uses each: one upstream stream serves every topic that needs it."""

from __future__ import annotations

from attrs import frozen

from cryptodash.exchanges.adapter.venue import Part, Poll, StreamSpec
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Feed, Listener, Phase, Signal, Stream
from cryptodash.exchanges.subscriptions.polls import Polls

Kind = tuple[str, frozenset[Part]]
"""Endpoint and parts: streams of one kind come by the same way."""


@frozen(eq=False)
class User:
    """Somebody who uses a stream: where its messages go, and who hears of its state."""

    feed: Feed
    listener: Listener


class Streams:
    """The streams that are wanted now."""

    def __init__(self, lines: Allocation, polls: Polls) -> None:
        self.streams: dict[tuple[str, str], Stream] = {}
        self._lines = lines
        self._polls = polls

    def everything(self) -> list[Stream]:
        """Streams and polls."""
        return [*self.streams.values(), *self._polls.streams()]

    def open(self, spec: StreamSpec, user: User, now: float, out: list[Output]) -> Stream:
        """Use a stream; the first user starts it."""
        key = (spec.endpoint, spec.name)
        stream = self.streams.get(key)
        if stream is None:
            stream = self.streams[key] = Stream(spec, now)
            self.lend(stream, user)
            stream.owners.add(user)
            self._lines.place(stream, now, out)
            return stream
        if not stream.parts >= spec.parts:
            stream.parts |= spec.parts
        if stream.promise is None:
            stream.promise = spec.promise
        self.lend(stream, user)
        stream.owners.add(user)
        return stream

    def open_poll(self, poll: Poll, user: User, now: float) -> Stream:
        """Use a poll; the first user starts it."""
        stream = self._polls.get(poll, now)
        self.lend(stream, user)
        stream.owners.add(user)
        return stream

    def lend(self, stream: Stream, user: User) -> None:
        """Let somebody hear a stream without keeping it alive."""
        if user.feed not in stream.feeds:
            stream.feeds = (*stream.feeds, user.feed)
            stream.listeners = (*stream.listeners, user.listener)

    def unlend(self, stream: Stream, user: User) -> None:
        """No more."""
        if user not in stream.owners:
            stream.feeds = tuple(each for each in stream.feeds if each != user.feed)
            stream.listeners = tuple(each for each in stream.listeners if each != user.listener)

    def leave(self, stream: Stream, user: User, now: float) -> None:
        """Use it no more; the last owner's leaving ends it."""
        stream.owners.discard(user)
        self.unlend(stream, user)
        if stream.owners:
            return
        if self.streams.get((stream.endpoint, stream.name)) is stream:
            del self.streams[stream.endpoint, stream.name]
            self._lines.remove(stream, now)
        else:
            self._polls.remove(stream)

    def retry(self, stream: Stream, now: float, out: list[Output]) -> None:
        """Give a rejected stream another chance."""
        if stream.phase is Phase.REJECTED:
            stream.signal(Signal.RETRY, now, out)
            self._lines.place(stream, now, out)

    def beat(self, now: float, stale_after: float, out: list[Output]) -> list[Stream]:
        """Twice a second: let every stream look at its clock. Returns those to subscribe anew."""
        everything = self.everything()
        proven: set[Kind] = {(each.endpoint, each.parts) for each in everything if each.last is not None}
        Stream.tell_all(
            [each for each in everything if each.beat(now, stale_after, (each.endpoint, each.parts) in proven)], out
        )
        again = []
        for stream in everything:
            if stream.needs_resubscribing(now):
                stream.resubscribed = now
                again.append(stream)
        for stream in again:
            self._lines.resubscribe(stream)
        return again

"""Every frame that is not plain news of a live stream: answers, heartbeats, first frames, what two connections
bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from cryptodash.core.errors import ZeroRejected
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.decode import MAX_NAME
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Heartbeat,
    LeftOut,
    Message,
    Pong,
    Reader,
    Readers,
    Restarting,
    Sequenced,
    Subscribed,
    Unwanted,
)
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.decode_errors import DecodeErrors
from cryptodash.exchanges.connections.delays import Delays
from cryptodash.exchanges.connections.frame_counts import FrameCells, FrameCounts
from cryptodash.exchanges.connections.left_out import LeftOutElements, kind_of
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase


class _FramesMissing(Exception):
    """The venue counts the frames of the connection, and some have not come."""


def _read_nothing(stream: str, frame: bytes) -> Sequence[Message]:
    return ()


class _LastAsked(Mapping[str, Reader]):
    """Readers, and the name of the stream whose reader was asked for last."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self.name = ""

    def __getitem__(self, name: str) -> Reader:
        self.name = name
        return self._readers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


class RareFrames:
    """Reads them with the venue's own ``read`` and takes the messages, in order."""

    def __init__(
        self,
        venue: IVenue,
        allocation: Allocation,
        errors: DecodeErrors,
        left_out: LeftOutElements,
        counts: FrameCounts,
        delays: Delays,
        tally: Tally,
    ) -> None:
        self._venue = venue
        self._allocation = allocation
        self._errors = errors
        self._left_out = left_out
        self._counts = counts
        self._delays = delays
        self._moved: list[Stream] = []
        """Streams that the frame at hand has made live."""
        self._duplicates = tally.counter(
            "cryptodash_duplicates_dropped_total", "Messages two connections brought", "exchange"
        )
        self._unasked = tally.counter(
            "cryptodash_upstream_unasked_total",
            "Messages of streams that their connection had never asked for",
            "exchange",
        )

    def read(self, connection: Connection, frame: bytes, now: float, received: int, out: list[Output]) -> None:
        """Take one frame."""
        last: Message | None = None
        counted = False
        try:
            for message in self._venue.read(connection.endpoint.key, frame, connection.readers):
                counted = counted or isinstance(message, Sequenced)
                self._take(connection, message, frame, now, received, out)
                last = last if isinstance(message, LeftOut) else message
        except _FramesMissing:
            self._gap(connection, now, out)
        except Exception as error:  # whatever a venue sends, nothing may escape into the socket's callback
            stream = self._stream_of(connection, frame)
            if not counted and stream is not None and Part.BOOK not in stream.parts:
                self._count(connection, frame, now, out)
            self.unreadable(connection, stream, error, frame, now, out)
        self._counts.count(last, frame)
        if self._moved:
            # After the last message of a frame: several may make one value.
            moved, self._moved = self._moved, []
            Stream.tell_all(moved, out)

    def _stream_of(self, connection: Connection, frame: bytes) -> Stream | None:
        """Whose frame this is, which cannot be read: the venue's ``read`` says so by the reader that it asks for."""
        readers = _LastAsked(connection.readers)
        with suppress(Exception):  # whatever it raised the first time
            self._venue.read(connection.endpoint.key, frame, readers)
        return connection.routes.get(readers.name)

    def _count(self, connection: Connection, frame: bytes, now: float, out: list[Output]) -> None:
        """Take the number of a frame whose data cannot be read, where frames are counted: what it would have said is
        its stream's loss alone. One of a book leaves a hole instead, for nothing else shows that the book lacks a
        change."""
        readers = dict.fromkeys(connection.readers, _read_nothing)
        with suppress(Exception):  # what cannot be read even so leaves a hole
            for message in self._venue.read(connection.endpoint.key, frame, readers):
                if isinstance(message, Sequenced) and not connection.follows(message.number):
                    self._gap(connection, now, out)

    def _gap(self, connection: Connection, now: float, out: list[Output]) -> None:
        """Frames of the connection are missing."""
        self._errors.missing()
        self._allocation.replace(connection, "gap", now, out, kind="gap")
        self._allocation.touched = True

    def unreadable(
        self,
        connection: Connection,
        stream: Stream | None,
        error: Exception,
        frame: bytes,
        now: float,
        out: list[Output],
    ) -> None:
        """A frame (of this stream, where it is of one) that cannot be read, or a number in it that cannot be computed
        with. The connection survives unless there are too many; zeros, by which a venue says that there is no price,
        are none of them."""
        if stream is not None:
            stream.unreadable_at = now
            if isinstance(error, ZeroRejected) and Part.BOOK not in stream.parts:
                self._left_out.add(kind_of(stream.parts), ((stream.name, str(error)),))
                return
            stream.unread(now)
        too_many = self._errors.bad_frame(connection, stream, error, frame, now)
        if too_many:
            self._allocation.replace(connection, "poison", now, out)
            self._allocation.touched = True

    def left_out(self, stream: Stream, message: Message | None) -> FrameCells:
        """The last message of a frame is none that frames are counted by: elements that were left out are counted.
        Gives where to count the frame."""
        if not isinstance(message, LeftOut):
            return self._counts.unread
        kind = kind_of(stream.parts)
        self._left_out.add(kind, message.elements, stream.name)
        return self._counts.of(kind)

    def _take(
        self, connection: Connection, message: Message, frame: bytes, now: float, received: int, out: list[Output]
    ) -> None:
        name = getattr(message, "stream", None)
        if name is None or isinstance(message, Unwanted):
            self._control(connection, message, now, out)
            return
        stream = connection.routes.get(name)
        if stream is None:
            self._delays.timed(connection, name, frame, now)
            return
        if isinstance(message, LeftOut):
            if stream.source is connection:
                self._left_out.add(kind_of(stream.parts), message.elements, stream.name)
            return
        if stream.source is not connection or stream.phase is not Phase.LIVE:
            self._unusual(connection, stream, message, now, received, out)
            return
        stream.deliver(message, now, received, out)
        if now >= stream.sample_due:
            self._delays.sample(stream, connection, frame, now)

    def _unusual(
        self, connection: Connection, stream: Stream, message: Message, now: float, received: int, out: list[Output]
    ) -> None:
        """A message that changes the stream's phase, or comes by a connection that does not count (yet) for the
        stream."""
        if not connection.good:
            self._allocation.proved(connection, out)
        if not connection.subscriptions.has(stream.name):
            self._unasked.add(self._venue.id)
        if stream.source is connection:
            connection.subscriptions.delivered(stream.name)
            if stream.take(message, now, received, out):
                self._moved.append(stream)
        elif not self._allocation.overlapping(connection, stream, message, now, received, out):
            self._duplicates.add(self._venue.id)

    def _control(self, connection: Connection, message: Message, now: float, out: list[Output]) -> None:
        if isinstance(message, Ack | Subscribed):
            self._allocation.touched = True
        if isinstance(message, Ack):
            self._allocation.answers.acked(connection, message, now, out)
        elif isinstance(message, Subscribed):
            self._allocation.answers.listed(connection, message.streams, now, out)
        elif isinstance(message, Sequenced):
            if not connection.follows(message.number):
                raise _FramesMissing
        elif isinstance(message, Pong):
            seconds = self._allocation.answers.ponged(connection, message, now)
            if seconds is not None and message.time is not None:
                self._delays.ponged(connection, now - seconds, message.time, now)
        elif isinstance(message, Restarting):
            self._allocation.restarting(connection, now)
        elif isinstance(message, Unwanted):
            # Of a stream that was ended a moment ago, of which the venue has yet to hear; else of one nobody asked for.
            subscriptions = connection.subscriptions
            if not subscriptions.has(message.stream):
                self._unasked.add(self._venue.id)
                if subscriptions.is_unending(message.stream):
                    return  # the venue's doing, and nothing wrong with the frame: the connection's other streams go on
                raise BadFrame("unknown", f"stream {message.stream[:MAX_NAME]}")
        elif isinstance(message, Heartbeat):
            if message.time is not None:
                self._delays.sent(connection, message.time, now)
        else:
            self._errors.ignored()

"""Which stream group has room for which stream, within the venue's limits of connections, streams and bytes."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from cryptodash.core.events import Cause
from cryptodash.exchanges.adapter.decode import MAX_NAME
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import Routes
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_group import StreamGroup
from cryptodash.exchanges.connections.stream_phase import Signal

LONGEST_ID = "9" * 10
"""A request's id as long as one will be."""

_log = Logger(namespace="cryptodash.exchanges.connections.placement")


class Placement:
    """The stream groups of one venue, and the streams that wait for one."""

    def __init__(self, venue: IVenue) -> None:
        self.groups: list[StreamGroup] = []
        self._crowded: dict[Stream, None] = {}
        """Streams for which the venue allows no further connection."""
        self._group_of: dict[Stream, StreamGroup] = {}
        self._venue = venue

    def group_of(self, stream: Stream) -> StreamGroup | None:
        """The group whose connections carry the stream; None for one that waits, or was refused."""
        return self._group_of.get(stream)

    def place(self, stream: Stream, now: float, out: list[Output]) -> None:
        """Give the stream a connection to come by: one with room, a new one, or a place in the queue."""
        limits = self._venue.limits[stream.endpoint]
        if self._bytes_of(stream) > limits.max_request:
            self._refuse(stream, limits.max_request, now, out)
            return
        groups = [each for each in self.groups if each.endpoint.key == stream.endpoint]
        group = _choose(groups, stream)
        if group is None and len(groups) < limits.max_connections:
            endpoint = self._venue.endpoints[stream.endpoint]
            group = StreamGroup(endpoint, limits, Routes.of(endpoint, self._venue), now)
            self.groups.append(group)
        if group is None:
            self._crowded[stream] = None
            if stream.blame(Cause.CAPACITY):
                stream.tell(out)
            return
        self._group_of[stream] = group
        if group.add(stream, self._venue.reader(stream.spec), self._venue.sending_time(stream.spec)):
            stream.tell(out)

    def place_waiting(self, now: float, out: list[Output]) -> None:
        """Once more for each stream that has no place yet."""
        for stream in list(self._crowded):
            del self._crowded[stream]
            self.place(stream, now, out)

    def remove(self, stream: Stream, now: float) -> None:
        """The stream is wanted no more, or was rejected."""
        self._crowded.pop(stream, None)
        group = self._group_of.pop(stream, None)
        if group is not None:
            group.remove(stream, now)

    def _bytes_of(self, stream: Stream) -> int:
        """Bytes of the longest request about the stream alone."""
        writes = self._venue.subscribe, self._venue.unsubscribe
        return max(len(write(stream.endpoint, (stream.name,), LONGEST_ID)) for write in writes)

    def _refuse(self, stream: Stream, most: int, now: float, out: list[Output]) -> None:
        """What cannot be asked for is not sent again and again: as if the venue had refused it."""
        _log.warn(
            "{exchange}: {name!r} is rejected: a request about it alone is longer than the {most} bytes that a frame "
            "to the venue may have",
            exchange=self._venue.id,
            name=stream.name[:MAX_NAME],
            most=most,
        )
        stream.signal(Signal.REFUSAL, now, out)


def _choose(groups: Iterable[StreamGroup], stream: Stream) -> StreamGroup | None:
    """The group for a further stream: the one that carries it still, else the first with room; None if a new connection
    is needed."""
    fitting = None
    for group in groups:
        if group.carries(stream.name):
            return group
        if fitting is None and group.has_room(stream.spec):
            fitting = group
    return fitting

"""Which frames of a read need not be looked at, while their connection is behind.

A connection is behind when its venue sends more than we can take: what waits in the socket would then be older each
second. Of a stream of quotes (``StreamSpec.conflate_by``) the newest frame of a read says all that those before it
said, where its number is above theirs. They are known by the name that they begin with, and skipped without being
decoded: 1 us, where a quote costs 10.

Nothing may be lost by it but what is superseded. So a crossed or unreadable frame takes nobody's place, and where the
newest turns out to be old or is held (``builders/plausibility.py``), or what came before them was, all of them are read
as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import frozen

from cryptodash.core.numbers import reaches
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.decode import UNREADABLE, NumberSearch
from cryptodash.exchanges.adapter.messages import Quote
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.frame_counts import FrameCounts
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase


@frozen(eq=False)
class Quotes:
    """Frames of one stream, by ``name`` as it stands in them, with numbers that fall from one to the next, and not so
    far that one of them is to be doubted."""

    name: bytes
    newest_first: list[bytes]

    def first_needed(self, stream: Stream) -> int:
        """The place of the newest that is a sound quote, so that those after it are not needed; the last, if none
        is."""
        for place, frame in enumerate(self.newest_first):
            with suppress(*UNREADABLE):
                (quote,) = stream.read(stream.name, frame)
                if isinstance(quote, Quote) and not (quote.bid and quote.ask and reaches(quote.bid, quote.ask)):
                    return place
        return len(self.newest_first) - 1


class _OpenGroup:
    """Quotes of one stream as they are gathered, from the newest on."""

    __slots__ = ("frames", "lowest", "search")

    def __init__(self, search: NumberSearch) -> None:
        self.search = search
        self.lowest = -1
        self.frames: list[bytes] = []


Conflated = bytes | Quotes
"""A frame, or some of which one may stand for the others."""


class Conflation:
    """One venue's. ``far_ahead``: by how much a number may be above the one before it without being doubted. Recorded
    time can wait: nothing is skipped where ``is_recorded``."""

    def __init__(
        self, venue: IVenue, counts: FrameCounts, tally: Tally, far_ahead: int, *, is_recorded: bool = False
    ) -> None:
        self._far_ahead = far_ahead
        self._exchange = venue.id
        self._prefix = b"" if is_recorded else venue.data_prefix
        self._name_at = len(venue.data_prefix)
        self._name_end = venue.name_end
        self._counts = counts
        self._skipped = tally.counter(
            "cryptodash_quotes_skipped_total",
            "Quotes not read because their connection was behind and a later one of the same read replaced them",
            "exchange",
        )

    def of(self, connection: Connection, frames: Sequence[bytes]) -> list[Conflated]:
        """The frames of one read in order; quotes of one stream stand together in the place of the newest.

        A stream that is not live, or comes by another connection, is left alone: each of its frames may mean something
        beyond its quote.
        """
        if not self._prefix:
            return list(frames)  # frames do not begin with the stream's name, or the venue counts all of them
        name_at, name_end, far_ahead = self._name_at, self._name_end, self._far_ahead
        open_by_head: dict[bytes, _OpenGroup | None] = {}
        kept: list[Conflated] = []
        for frame in reversed(frames):
            head = frame[: frame.find(name_end, name_at)]  # up to the end of the name
            if head in open_by_head:
                group = open_by_head[head]
            else:
                group = open_by_head[head] = self._group_of(connection, head)
            found = None if group is None else group.search(frame, name_at)
            if group is None or found is None:
                kept.append(frame)
                continue
            number = int(found[1])
            if number < group.lowest <= number + far_ahead:
                group.frames.append(frame)
            else:
                group.frames = [frame]
                kept.append(Quotes(head[name_at:], group.frames))
            group.lowest = number
        kept.reverse()
        return kept

    def _group_of(self, connection: Connection, head: bytes) -> _OpenGroup | None:
        """Where to gather the frames that begin so, if they may be skipped."""
        stream = connection.wired.get(head[self._name_at :]) if head.startswith(self._prefix) else None
        if stream is None or stream.phase is not Phase.LIVE or stream.source is not connection:
            return None
        search = stream.conflated_by
        return None if search is None else _OpenGroup(search)

    def newest(
        self, connection: Connection, frames: Quotes, receive: Callable[[bytes], Sequence[Output]]
    ) -> Sequence[Output]:
        """Let ``receive`` have the newest of these if it is taken, and what else has to be seen; what follows."""
        stream = connection.wired.get(frames.name)
        if stream is None:
            return ()  # it has ended since the frames came
        quotes, dropped = frames.newest_first, stream.dropped_frames
        if stream.is_in_doubt:
            return [output for frame in reversed(quotes) for output in receive(frame)]
        first = frames.first_needed(stream)
        out = list(receive(quotes[first]))
        if stream.dropped_frames == dropped:
            self._skip(connection, stream, quotes[first + 1 :])
            quotes = quotes[:first]
        for frame in reversed(quotes):  # what cannot stand for others is read as well; all, where none was taken
            out += receive(frame)
        return out

    def _skip(self, connection: Connection, stream: Stream, frames: Sequence[bytes]) -> None:
        """They came none the less, and count as frames like any."""
        count, (messages, size) = len(frames), self._counts.cells[Quote]
        connection.frames += count
        stream.frames += count
        messages.count += count
        size.count += sum(map(len, frames))
        self._skipped.add(self._exchange, by=count)

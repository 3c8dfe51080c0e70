"""The server's own engine and a venue's own adapter, watched: what goes through them is told to ``IWatch``, and
nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve
from zope.interface import directlyProvides

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import MarketType
from cryptodash.exchanges.adapter.book_rules import BookRules, Checksum
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Fetch, Output, Send
from cryptodash.exchanges.connections.conflation import Conflated
from cryptodash.exchanges.engine import Engine


class IWatch(Protocol):
    """Who is told. Connections are known by their names."""

    def connecting(self, order: Connect) -> None: ...

    def opened(self, connection: str) -> None: ...

    def sent(self, connection: str, frame: bytes) -> None: ...

    def frame(self, connection: str, frame: bytes) -> None:
        """A frame came; what ``unreadable`` and ``left_out`` tell next is of it."""

    def ending(self, connection: str, why: str) -> None:
        """We end a connection."""

    def closed(self, connection: str, how: Closed) -> None: ...

    def asked(self, request: RestRequest) -> None: ...

    def body(self, request: RestRequest, body: bytes) -> None:
        """An answer came, and is read next."""

    def answered(self, request: RestRequest) -> None:
        """An answer that the engine asked for has been read."""

    def failed(self, request: RestRequest, error: UpstreamError) -> None: ...

    def unreadable(self, error: Exception, data: bytes) -> None: ...

    def left_out(self, kind: str, name: str, why: str) -> None: ...

    def checksum(self, market: MarketType) -> None:
        """The checksum of a book is compared."""


class ObservedEngine(Engine):
    """An engine whose inputs and outputs are told."""

    def __init__(self, watch: IWatch, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch
        self._is_told = False
        """Whether the frame that is received now was told already."""
        self._errors.found = watch.unreadable
        self._left_out.found = watch.left_out

    def received(self, connection: str, frame: bytes, received: int) -> Sequence[Output]:
        if not self._is_told:
            self._watch.frame(connection, frame)
        return self._told(super().received(connection, frame, received))

    def conflated(self, connection: str, frames: Sequence[bytes]) -> Sequence[Conflated]:
        for frame in frames:
            self._watch.frame(connection, frame)
        return super().conflated(connection, frames)

    def received_newest(self, connection: str, frames: Conflated, received: int) -> Sequence[Output]:
        self._is_told = True
        try:
            return super().received_newest(connection, frames, received)
        finally:
            self._is_told = False

    def opened(self, connection: str) -> list[Output]:
        self._watch.opened(connection)
        return super().opened(connection)

    def closed(self, connection: str, how: Closed) -> list[Output]:
        self._watch.closed(connection, how)
        return super().closed(connection, how)

    def rest_answer(self, request: RestRequest, body: bytes) -> list[Output]:
        out = super().rest_answer(request, body)
        self._watch.answered(request)
        return out

    def rest_failed(self, request: RestRequest, error: UpstreamError) -> list[Output]:
        self._watch.failed(request, error)
        return super().rest_failed(request, error)

    def _finish(self, now: float, out: list[Output]) -> list[Output]:
        self._told(super()._finish(now, out))
        return out

    def _told(self, outputs: Sequence[Output]) -> Sequence[Output]:
        """Tell of the commands among these."""
        for output in outputs:
            if isinstance(output, Send):
                self._watch.sent(output.connection, output.payload)
            elif isinstance(output, Connect):
                self._watch.connecting(output)
            elif isinstance(output, Disconnect):
                self._watch.ending(output.connection, output.why)
            elif isinstance(output, Fetch):
                self._watch.asked(output.request)
        return outputs


_READERS_OF_ANSWERS = frozenset(
    ("read_catalogue", "read_snapshot", "read_candles", "read_poll", "read_seed", "read_probe")
)


class ObservedVenue:
    """A venue, with every REST answer told before it is read, and every comparison of a checksum."""

    def __init__(self, venue: IVenue, watch: IWatch) -> None:
        self._venue = venue
        self._watch = watch
        self.book_rules: Mapping[MarketType, BookRules] = {
            market: rules if rules.checksum is None else evolve(rules, checksum=self._counted(market, rules.checksum))
            for market, rules in venue.book_rules.items()
        }
        directlyProvides(self, IVenue)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._venue, name)
        return self._told(found) if name in _READERS_OF_ANSWERS else found

    def _told(self, read: Callable[[RestRequest, bytes], Any]) -> Callable[[RestRequest, bytes], Any]:
        def reading(request: RestRequest, body: bytes) -> Any:
            self._watch.body(request, body)
            return read(request, body)

        return reading

    def _counted(self, market: MarketType, checksum: Checksum) -> Checksum:
        def counted(*sides: Any) -> int:
            self._watch.checksum(market)
            return checksum(*sides)

        return counted

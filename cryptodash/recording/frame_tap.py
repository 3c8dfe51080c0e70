"""The frames tape: what crosses between a venue and us, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from attrs import define, field
from zope.interface import implementer

from cryptodash.core.checkpoints import BookImage, FiguresImage, ICheckpointSource, TakeImage
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.interfaces import IFrameTap
from cryptodash.recording import records
from cryptodash.recording.draft import Source
from cryptodash.recording.open_tape import OpenTape

MOST_STANDING: Final = 1_000
"""Frames of ours that are told again for a connection."""
INSTRUMENTS_AT_ONCE: Final = 200
TRIES: Final = 10
"""Looks, of a second each, until a book is given up that lacks something each time."""


@define(eq=False)
class _Connection:
    source: Source
    again: bytes
    """That it was opened, told again."""
    sent: dict[bytes, None] = field(factory=dict)


@implementer(IFrameTap)
class FrameTap:
    """Of one venue."""

    def __init__(self, exchange: str, tape: OpenTape) -> None:
        self._exchange = exchange
        self._tape = tape
        self._turn = tape.turn
        self._put = tape.put
        self._put_all = tape.put_all
        self._now = tape.now
        self._rest = Source(exchange)
        self._checkpoint = Source(f"{exchange}/{records.CHECKPOINT}")
        self._asked: ICheckpointSource | None = None
        self._due: dict[TakeImage, int] = {}
        """What a checkpoint still lacks, and how often each was asked for."""
        self._connections: dict[str, _Connection] = {}

    def connecting(self, connection: str, market: MarketType, origin: str) -> None:
        source = Source(f"{self._exchange}/{connection}", records.IN)
        again = records.encode(records.Opened(market.value, origin, again=True))
        self._connections[connection] = _Connection(source, again)
        self._put(source, records.OPENED, records.encode(records.Opened(market.value, origin)))

    def received(self, connection: str, frames: Sequence[bytes]) -> None:
        self._put_all(self._connections[connection].source, frames)

    def dealing_with(self, take: Callable[[str, Sequence[bytes]], None]) -> Callable[[str, Sequence[bytes]], None]:
        connections, turn, now, put_all = self._connections, self._turn, self._now, self._put_all

        def taken(connection: str, frames: Sequence[bytes]) -> None:
            turn.at = now()
            put_all(connections[connection].source, frames)
            try:
                take(connection, frames)
            finally:
                turn.at = 0

        return taken

    def sent(self, connection: str, frame: bytes) -> None:
        found = self._connections.get(connection)
        if found is not None:
            self._put(found.source, records.OUT, frame)
            if len(found.sent) < MOST_STANDING:
                found.sent[frame] = None

    def closed(self, connection: str, why: str) -> None:
        found = self._connections.pop(connection, None)
        if found is not None:
            self._put(found.source, records.CLOSED, why.encode()[:500])

    def answered(self, market: MarketType, purpose: str, url: str, body: bytes) -> None:
        head = records.encode(records.AnswerHead(url, market.value, purpose))
        self._put(self._rest, records.ANSWER, head + b"\n" + body)

    def opened_by(self, source: ICheckpointSource) -> None:
        self._asked = source

    def checkpoint(self) -> Iterator[None]:
        """Tell what has to be known to read from here on, but for books and tickers, which are due from then on: a
        segment has begun. A step after each record."""
        source = self._asked
        listed: dict[MarketType, list[Instrument]] = {}
        for each in () if source is None else source.instruments():
            listed.setdefault(each.market, []).append(each)
        for market, known in listed.items():
            for at in range(0, len(known), INSTRUMENTS_AT_ONCE):
                rows = [_listed(each) for each in known[at : at + INSTRUMENTS_AT_ONCE]]
                said = records.Instruments(market.value, rows, begins=not at)
                self._put(self._checkpoint, records.INSTRUMENTS, records.encode(said))
                yield
        yield from self.standing()
        self._due = {} if source is None else dict.fromkeys(source.images(), 0)

    def images(self, has_room: Callable[[], bool]) -> Iterator[None]:
        """Tell the books and tickers that are due, as long as there is room for them; a step after each. One that
        cannot be had now is due again."""
        for take in list(self._due):
            if not has_room():
                return
            image = take()
            tries = self._due.pop(take, TRIES) + 1
            if image is not None:
                self._put_image(image)
            elif tries < TRIES:
                self._due[take] = tries
            yield

    def _put_image(self, image: BookImage | FiguresImage) -> None:
        found = self._connections.get(image.connection)
        kind, said = (
            (records.BOOK, _book(image)) if isinstance(image, BookImage) else (records.FIGURES, _figures(image))
        )
        body = records.encode(said)
        if found is not None and len(body) <= records.LONGEST_BODY:
            self._put(found.source, kind, body)

    def standing(self) -> Iterator[None]:
        """Tell again what is open, and what was asked for there. A step after each frame."""
        for found in list(self._connections.values()):
            self._put(found.source, records.OPENED, found.again)
            for frame in list(found.sent):
                self._put(found.source, records.STANDING, frame)
                yield


def _listed(each: Instrument) -> records.Listed:
    symbol = each.symbol
    return records.Listed(
        each.native, symbol.base, symbol.quote, each.tick_size, each.step_size, each.contract_size or ""
    )


def _book(image: BookImage) -> records.Book:
    return records.Book(
        image.market.value,
        image.native,
        image.stream,
        image.depth,
        image.sequence,
        image.time,
        image.bids,
        image.asks,
        image.bids_end,
        image.asks_end,
    )


def _figures(image: FiguresImage) -> records.Figures:
    return records.Figures(image.market.value, image.native, image.stream, image.time, dict(image.figures))

"""The frames tape: what crosses between a venue and us, as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from attrs import define, field
from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import IFrameTap
from cryptodash.recording import records
from cryptodash.recording.draft import Source
from cryptodash.recording.open_tape import OpenTape

MOST_STANDING: Final = 1_000
"""Frames of ours that are told again for a connection."""


@define(eq=False)
class _Connection:
    source: Source
    opened: bytes
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
        self._connections: dict[str, _Connection] = {}

    def connecting(self, connection: str, market: MarketType, origin: str) -> None:
        source = Source(f"{self._exchange}/{connection}", records.IN)
        opened = records.encode(records.Opened(market.value, origin))
        self._connections[connection] = _Connection(source, opened)
        self._put(source, records.OPENED, opened)

    def received(self, connection: str, frames: Sequence[bytes]) -> None:
        self._put_all(self._connections[connection].source, frames)

    def dealing(self, connection: str, frames: Sequence[bytes]) -> None:
        self._turn.at = self._now()
        self._put_all(self._connections[connection].source, frames)

    def dealt(self) -> None:
        self._turn.at = 0

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

    def standing(self) -> Iterator[None]:
        """Tell again what is open, and what was asked for there: a segment has begun. A step after each frame."""
        for found in list(self._connections.values()):
            self._put(found.source, records.OPENED, found.opened)
            for frame in list(found.sent):
                self._put(found.source, records.STANDING, frame)
                yield

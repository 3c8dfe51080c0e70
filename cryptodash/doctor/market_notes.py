"""What is taken down of connections, topics, requests and markets while a venue is examined, and what it becomes."""

from __future__ import annotations

from decimal import Decimal

from attrs import define, field

from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.settings import origin_of
from cryptodash.core.topics import Topic
from cryptodash.doctor.facts import (
    ConnectionFacts,
    EndFacts,
    RequestFacts,
    StateFacts,
    TopicFacts,
    UnreadableFacts,
)
from cryptodash.doctor.signal import Signal
from cryptodash.exchanges.connections.commands import Connect

SHOWN = 200
"""Characters of a frame or an error that are shown."""


@define(eq=False)
class ConnectionNotes:
    """A connection. Times are those of ``Notes.ms``."""

    order: Connect
    market: MarketType
    began: int
    proxy: str
    opened: int | None = None
    first: int | None = None
    frames: int = 0
    bytes: int = 0
    asked: str = ""
    end: EndFacts | None = None

    def facts(self) -> ConnectionFacts:
        opened, first = self.opened, self.first
        return ConnectionFacts(
            name=self.order.connection,
            endpoint=self.order.endpoint,
            origin=origin_of(self.order.url),
            proxy=self.proxy,
            open_ms=None if opened is None else opened - self.began,
            first_frame_ms=None if opened is None or first is None else first - opened,
            frames=self.frames,
            bytes=self.bytes,
            end=self.end,
        )


@define(eq=False)
class TopicNotes:
    """A topic that is looked at."""

    topic: Topic
    role: str
    began: int
    states: list[StateFacts] = field(factory=list)
    values: int = 0
    first: int | None = None
    crossed: int = 0
    missed: int = 0

    def facts(self) -> TopicFacts:
        return TopicFacts(
            text=self.topic.text,
            channel=str(self.topic.channel),
            role=self.role,
            states=tuple(self.states),
            values=self.values,
            first_value_ms=None if self.first is None else self.first - self.began,
            crossed=self.crossed,
            missed=self.missed,
        )


@define(eq=False)
class RequestNotes:
    """REST requests of one purpose."""

    purpose: str
    began: int
    answered: int = 0
    failed: int = 0
    first_ms: int | None = None
    least_ms: int | None = None
    holds: str = ""
    cause: str = ""
    error: str = ""

    def facts(self) -> RequestFacts:
        return RequestFacts(
            purpose=self.purpose,
            answered=self.answered,
            failed=self.failed,
            first_ms=self.first_ms,
            least_ms=self.least_ms,
            holds=self.holds,
            cause=self.cause,
            error=self.error[:SHOWN],
        )


@define(eq=False)
class MarketNotes:
    """A market."""

    market: MarketType
    rest_proxy: str = ""
    requests: dict[str, RequestNotes] = field(factory=dict)
    unreadable: UnreadableFacts = field(factory=UnreadableFacts)
    unknown: list[str] = field(factory=list)
    wrong_contracts: list[str] = field(factory=list)
    checksums: int = 0
    checksums_wrong: int = 0
    turnovers: dict[Symbol, Decimal] = field(factory=dict)
    swept: Signal = field(factory=Signal)
    """Turnovers have come."""
    listed: Signal = field(factory=Signal)
    """The catalogue has come."""

"""The connections to a stand-in that plays recorded frames."""

from __future__ import annotations

import json
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from cryptodash.simulator.dialect import INumberedFrames, ITextHeartbeats, StreamRequest
from cryptodash.simulator.recording import Recording


class StandIn(Protocol):
    """What plays the recording, as its connections need it."""

    recording: Recording

    def subscribed(self) -> None:
        """Somebody has subscribed to something."""

    def resume(self) -> None:
        """A connection has room again (or is gone)."""


@implementer(IPushProducer)
class ReplayProtocol(WebSocketServerProtocol):
    """One connection of the server under test: acknowledges everything, gets the frames of its streams.

    ``full``: it has not taken yet what was sent.
    """

    factory: ReplayFactory

    def __init__(self) -> None:
        super().__init__()
        self.streams: set[str] = set()
        self.full = False
        self._given = 0
        """How many frames it has been given."""

    def give(self, text: str) -> None:
        """One frame more."""
        reader = self.factory.stand_in.recording.reader
        if INumberedFrames.providedBy(reader):
            text = reader.numbered(text, self._given)
        self._given += 1
        self.sendMessage(text.encode())

    def end(self) -> None:
        """Close once all that was given is sent; nothing more is."""
        self.factory.protocols.remove(self)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        request = self._read(payload)
        if request is None:
            self.sendClose(3000, "not a request")
            return
        self.streams.update(request.subscribes)
        self.streams.difference_update(request.unsubscribes)
        for answer in (request.answer, *request.further_answers):
            self.give(answer)
        if request.subscribes:
            self.factory.stand_in.subscribed()

    def _read(self, payload: bytes) -> StreamRequest | None:
        reader = self.factory.stand_in.recording.reader
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            return reader.read_request(message)
        answer = reader.answer_text(payload.decode()) if ITextHeartbeats.providedBy(reader) else None
        return None if answer is None else StreamRequest((), (), answer)

    def onOpen(self) -> None:
        self.transport.unregisterProducer()  # twisted.web's, below which we are mounted
        self.transport.registerProducer(self, True)
        self.factory.protocols.append(self)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self in self.factory.protocols:
            self.factory.protocols.remove(self)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self.full = True

    def resumeProducing(self) -> None:
        self.full = False
        self.factory.stand_in.resume()

    def stopProducing(self) -> None:
        """The connection is gone; ``onClose`` comes."""


class ReplayFactory(WebSocketServerFactory):
    protocol = ReplayProtocol

    def __init__(self, stand_in: StandIn, reactor: Any) -> None:
        super().__init__(reactor=reactor)
        self.stand_in = stand_in
        self.protocols: list[ReplayProtocol] = []

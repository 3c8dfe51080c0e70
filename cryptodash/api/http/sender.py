"""How the body of an answer leaves: in pieces, at the pace of its peer, and never too much of all of them at once."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import Request
from zope.interface import implementer

from cryptodash.api.http.answers import Answer, packed_answer, prepare
from cryptodash.api.private_names import is_producer_of
from cryptodash.api.slices import Slices

PIECE: Final = 64 * 1024
BODIES: Final = 64 * 2**20
"""Bytes of all bodies together that peers have not read to their end; one that many read counts once."""


class Sender:
    """Sends the answers of one server. Peers that read slowly keep bodies in memory: where these are too many, the
    connections that took longest are cut."""

    def __init__(self, slices: Slices) -> None:
        self._slices = slices
        self._sending: dict[_Sending, None] = {}
        """The one that began first stands first."""
        self._bodies: Counter[int] = Counter()
        """How many send each body, by its identity."""
        self._bytes = 0

    @property
    def held(self) -> int:
        """Bytes of bodies that are being sent."""
        return self._bytes

    async def send(self, request: Request, answer: Answer) -> None:
        """Write the answer; the caller finishes the request. Large bodies wait for the peer to read."""
        body = prepare(request, await packed_answer(request, answer, self._slices))
        if len(body) <= PIECE or request.method == b"HEAD":
            request.write(body)
            return
        sending = _Sending(request, body)
        self._begin(sending)
        try:
            await sending.start()
        finally:
            self._end(sending)

    def _begin(self, sending: _Sending) -> None:
        self._sending[sending] = None
        self._bodies[id(sending.body)] += 1
        if self._bodies[id(sending.body)] == 1:
            self._bytes += len(sending.body)
        while self._bytes > BODIES and len(self._sending) > 1:
            oldest = next(iter(self._sending))
            self._end(oldest)
            oldest.abort()

    def _end(self, sending: _Sending) -> None:
        if sending not in self._sending:
            return
        del self._sending[sending]
        key = id(sending.body)
        self._bodies[key] -= 1
        if not self._bodies[key]:
            del self._bodies[key]
            self._bytes -= len(sending.body)


@implementer(IPushProducer)
@define(eq=False)
class _Sending:
    """Writes a body piece by piece, so that a pause shows whether the peer reads at all and memory holds one piece per
    peer beside the body."""

    _request: Any
    body: bytes
    _at: int = field(default=0, init=False)
    _paused: bool = field(default=False, init=False)
    _done: Deferred[None] = field(init=False)

    def start(self) -> Deferred[None]:
        """Fires when all is handed to the transport; cancelling it stops."""
        self._done = Deferred(lambda _: self._end())
        self._request.registerProducer(self, True)
        self._write()
        return self._done

    def abort(self) -> None:
        """Cut the connection."""
        if self._request.channel is not None:
            self._request.channel.abort()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._write()

    def stopProducing(self) -> None:
        self._at = len(self.body)

    def _write(self) -> None:
        while not self._paused and self._at < len(self.body):
            part = self.body[self._at : self._at + PIECE]
            self._at += len(part)
            self._request.write(part)
        if self._at >= len(self.body) and not self._done.called:
            self._end()
            self._done.callback(None)

    def _end(self) -> None:
        self._at = len(self.body)
        if is_producer_of(self._request, self):
            self._request.unregisterProducer()

"""What only the holder of a venue can answer, asked of it by Redis: bars, and to read the catalogue again."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Final

import msgspec
from msgspec import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from cryptodash.cluster import event_records, wire
from cryptodash.core.errors import CryptodashError, UpstreamError
from cryptodash.core.events import Candle, Cause
from cryptodash.core.interfaces import IUpstream
from cryptodash.core.topics import Channel, Topic

PATIENCE_S: Final = 5.0
MOST_OPEN: Final = 200
"""Questions that wait for an answer, of one process; and that one holder answers at a time."""


class Question(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """``what`` is ``candles`` or ``refresh``."""

    version: int
    number: int
    process: wire.Text
    what: wire.Text
    topic: wire.Text = ""
    limit: int = 0
    end_ms: int | None = None


class Answer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """``cause`` empty: it went well, and ``content`` is what was asked for; else why not, and ``said`` for a person.
    ``retry_after``: seconds, if the venue named them."""

    version: int
    number: int
    cause: wire.Text = ""
    said: wire.Text = ""
    content: msgspec.Raw = msgspec.Raw(b"\xc0")
    retry_after: float | None = None


encode = msgpack.Encoder().encode
_decode_question = msgpack.Decoder(Question).decode
_decode_answer = msgpack.Decoder(Answer).decode
_decode_count = msgpack.Decoder(int).decode

Send = Callable[[str, bytes], object]
"""Publish to whom: the exchange whose holder is asked, or the process that has asked."""


class Asking:
    """The questions of one process."""

    def __init__(self, process: str, send: Send, reactor: IReactorTime) -> None:
        self._process = process
        self._send = send
        self._reactor = reactor
        self._number = 0
        self._open: dict[int, Deferred[Answer]] = {}

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> list[Candle]:
        """As of ``IUpstream``. Raises ``UpstreamError``, ``backend`` where nobody answers."""
        answer = await self._ask(topic.exchange, "candles", topic.text, limit, end_ms)
        try:
            return event_records.read_candles(answer.content, topic)
        except wire.BadFrame as error:
            raise _unreadable(topic.exchange, error) from None

    async def refresh(self, exchange: str) -> int:
        """The same."""
        answer = await self._ask(exchange, "refresh")
        try:
            return _decode_count(answer.content)
        except wire.UNREADABLE as error:
            raise _unreadable(exchange, error) from None

    def took(self, data: bytes) -> None:
        """An answer has come."""
        try:
            answer = _decode_answer(data)
        except wire.UNREADABLE:
            return
        waiting = self._open.pop(answer.number, None) if answer.version == wire.VERSION else None
        if waiting is not None:
            waiting.callback(answer)

    async def _ask(
        self, exchange: str, what: str, topic: str = "", limit: int = 0, end_ms: int | None = None
    ) -> Answer:
        if len(self._open) >= MOST_OPEN:
            raise UpstreamError(Cause.BACKEND.value, "too many questions wait for other processes")
        self._number += 1
        number = self._number
        waiting: Deferred[Answer] = Deferred()
        self._open[number] = waiting
        waiting.addTimeout(PATIENCE_S, self._reactor, onTimeoutCancel=lambda *_: _unanswered(number, exchange))
        self._send(exchange, encode(Question(wire.VERSION, number, self._process, what, topic, limit, end_ms)))
        try:
            answer = await waiting
        finally:
            self._open.pop(number, None)
        if answer.cause:
            wait = answer.retry_after
            is_a_wait = wait is not None and isfinite(wait) and wait >= 0
            raise UpstreamError(answer.cause, answer.said, wait if is_a_wait else None)
        return answer


def _unanswered(number: int, exchange: str) -> Answer:
    return Answer(wire.VERSION, number, Cause.BACKEND.value, f"the process that holds {exchange} did not answer")


def _unreadable(exchange: str, error: Exception) -> UpstreamError:
    return UpstreamError(Cause.BACKEND.value, f"what the process that holds {exchange} answered is no answer: {error}")


class Answering:
    """Answers what is asked of a venue that this process holds."""

    def __init__(self, venue: IUpstream, send: Send) -> None:
        self._venue = venue
        self._send = send
        self._open = 0

    async def took(self, data: bytes) -> None:
        """A question has come."""
        try:
            question = _decode_question(data)
        except wire.UNREADABLE:
            return
        if question.version != wire.VERSION or self._open >= MOST_OPEN:
            return
        self._open += 1
        try:
            answer = Answer(wire.VERSION, question.number, content=msgspec.Raw(await self._content(question)))
        except UpstreamError as error:
            answer = Answer(wire.VERSION, question.number, error.cause, str(error), retry_after=error.retry_after)
        except CryptodashError as error:
            answer = Answer(wire.VERSION, question.number, Cause.BACKEND.value, str(error))
        finally:
            self._open -= 1
        self._send(question.process, encode(answer))

    async def _content(self, question: Question) -> bytes:
        if question.what == "candles":
            topic = event_records.topic_of(question.topic)
            if topic.exchange != self._venue.exchange or topic.channel is not Channel.CANDLE:
                raise UpstreamError(Cause.BACKEND.value, f"{topic} has no candles here")
            return event_records.candles_of(
                await self._venue.candles(topic, max(1, min(question.limit, 1000)), question.end_ms)
            )
        if question.what == "refresh":
            return encode(await self._venue.refresh_catalogue())
        raise UpstreamError(Cause.BACKEND.value, f"{question.what[:40]!r} is no question")

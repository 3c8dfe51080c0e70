"""A body whose end nobody knows when it begins: pulled, at the pace of its peer and of what its work costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.http import Request
from zope.interface import implementer

from cryptodash.api.http.drain import Waits
from cryptodash.api.private_names import is_producer_of
from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import Answer, Item, Made
from cryptodash.core.time import Clock

ANSWER_S: Final = 120.0
"""Seconds that one answer may take, however slowly it is read: as long as it lasts, it keeps a process."""
WORK_PER_SECOND: Final = 50.0
"""Tokens that a second of reading costs."""


def begin(request: Request, content_type: str, headers: Mapping[str, str]) -> None:
    """Status and headers of a body of unknown length."""
    request.setResponseCode(HTTPStatus.OK)
    for name, text in headers.items():
        request.setHeader(name, text)
    request.responseHeaders.addRawHeader("Vary", "Accept, Accept-Encoding")
    request.setHeader("Cache-Control", "no-cache")
    request.setHeader("Content-Type", content_type)


@implementer(IPushProducer)
@define(eq=False)
class PulledBody:
    """One such body. What has been pulled and not been sent is a frame of the reader's and what the transport holds."""

    _request: Any
    _answer: Answer
    _budget: WorkBudget
    _clock: Clock
    _scheduler: IReactorTime
    _waits: Waits
    _is_paused: bool = field(default=False, init=False)
    _is_gone: bool = field(default=False, init=False)
    _resumed: Deferred[None] | None = field(default=None, init=False)

    async def more(self) -> Sequence[Item]:
        """The next items: what is answered depends on the first. Raises what ``Answer.more`` raises."""
        begun = self._clock.monotonic()
        try:
            return await self._waits.wait(self._answer.more())
        finally:
            self._budget.charge(WORK_PER_SECOND * (self._clock.monotonic() - begun))

    async def rest(self) -> list[Item]:
        """All that still comes, where that is little. A reader whose answer has ended is ready for the next one; one
        whose answer was broken off is not."""
        items: list[Item] = []
        while found := await self.more():
            items += found
        return items

    def end(self) -> None:
        """Nothing more is wanted: whoever has begun it calls this."""
        self._answer.cancel()

    async def send(self, first: Sequence[Item]) -> None:
        """Write all that comes, beginning with these items; the caller finishes the request. What cannot be read to
        its end is cut off, so that nobody takes it for the whole."""
        deadline = self._scheduler.callLater(ANSWER_S, self._late)
        self._request.registerProducer(self, True)
        try:
            items = first
            while items and not self._is_gone:
                for each in items:
                    if isinstance(each, Made):
                        self._budget.charge_sent(len(each.body))
                        self._request.write(each.body)
                await self._ready()
                await self._paid()
                items = await self.more()
        except Refused:
            self._abort()
            await Deferred()  # for the connection to be gone: what finishes a request says that it is whole
        finally:
            _stop(deadline)
            if is_producer_of(self._request, self):
                self._request.unregisterProducer()

    async def _ready(self) -> None:
        """The peer has read what it was sent, or nearly."""
        if self._is_paused and not self._is_gone:
            self._resumed = Deferred()
            await self._resumed

    async def _paid(self) -> None:
        debt = self._budget.seconds_in_debt()
        if debt and not self._is_gone:
            paid: Deferred[None] = Deferred(lambda _: _stop(timer))
            timer = self._scheduler.callLater(debt, paid.callback, None)
            await self._waits.wait(paid)

    def _late(self) -> None:
        self._abort()

    def _abort(self) -> None:
        """Cut the connection."""
        self._answer.cancel()
        if self._request.channel is not None:
            self._request.channel.abort()

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._wake()

    def stopProducing(self) -> None:
        self._is_gone = True
        self._answer.cancel()
        self._wake()

    def _wake(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.called:
            resumed.callback(None)


def _stop(timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()

"""Recorded time by REST: questions to the tapes, and their answers as they come."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request

from cryptodash.api.access.grant import Grant
from cryptodash.api.answer_parts import JSON
from cryptodash.api.http.address_work import AddressWork
from cryptodash.api.http.answers import Answer, json_answer
from cryptodash.api.http.drain import Waits
from cryptodash.api.http.history_query import ARROW
from cryptodash.api.http.pulled_body import PulledBody, begin
from cryptodash.core import codec
from cryptodash.core.config import Limits
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import BookAt, History, Holdings, ITapes, Missing, Question, Recorded, Span
from cryptodash.core.time import Clock, rfc3339
from cryptodash.core.topics import Channel, Topic, parse_topic

LINES: Final = "application/x-ndjson"
NO_RECORDING: Final = "this server records nothing: it was started without RECORD_DIR"


def _has_pyarrow() -> bool:
    """Looked for, never imported: that is the reading process's."""
    return find_spec("pyarrow") is not None


class HistoryAnswers:
    """Asks ``tapes`` (None: nothing is recorded here), and charges the work to the address that asks."""

    def __init__(
        self,
        tapes: ITapes | None,
        limits: Limits,
        clock: Clock,
        scheduler: IReactorTime,
        waits: Waits,
    ) -> None:
        self._tapes = tapes
        self._clock = clock
        self._scheduler = scheduler
        self._waits = waits
        self._has_arrow = _has_pyarrow
        self.work = AddressWork(limits, clock)

    def check(self) -> None:
        """Raises ``Refused`` ``not_recorded`` where nothing is recorded at all."""
        if self._tapes is None:
            raise Refused("not_recorded", NO_RECORDING, 404)

    async def send(self, request: Request, asked: History | BookAt, address: str) -> Answer | None:
        """Answer with a document; an ``Answer`` that is still to be sent where there is none. Raises ``Refused``."""
        if asked.is_arrow and not self._has_arrow():
            raise Refused("no_arrow", "this server makes no Arrow: it needs pip install cryptodash[export]", 501)
        body = self._pull(request, asked, address)
        try:
            first = await body.more()
            if not first or isinstance(first[0], Recorded):
                known = [*first, *await body.rest()]
                return _not_recorded(asked, [each for each in known if isinstance(each, Recorded)])
            lines = JSON if isinstance(asked, BookAt) else LINES
            packed = {"Content-Encoding": "gzip"} if asked.is_packed else {}
            begin(request, ARROW if asked.is_arrow else lines, packed)
            if request.method == b"HEAD":
                request.write(b"")
            else:
                await body.send(first)
            return None
        finally:
            body.end()

    async def holdings(self, request: Request, topic: Topic, grant: Grant, address: str) -> Answer:
        """What is recorded of one instrument, as far as the grant allows. Raises ``Refused``."""
        prefix = f"{topic.exchange}:{topic.market}:{topic.symbol}:"
        body = self._pull(request, Holdings(prefix), address)
        try:
            items = await body.rest()
        finally:
            body.end()
        topics = [(each, parse_topic(each.topic)) for each in items if isinstance(each, Recorded)]
        allowed = [(each, topic) for each, topic in topics if grant.allows(topic)]
        listed = [
            {"channel": codec.decode(codec.channel_json(topic)), "ranges": _ranges(each.spans)}
            for each, topic in allowed
        ]
        holes = [
            {"from": rfc3339(each.begin // 1000), "to": rfc3339(-(-each.end // 1000)), "reason": each.reason}
            for each in items
            if isinstance(each, Missing) and listed
        ]
        return json_answer({"topics": listed, "holes": holes})

    def _pull(self, request: Request, question: Question, address: str) -> PulledBody:
        assert self._tapes is not None
        budget = self.work.of(address)
        answer = self._tapes.ask(question, address)
        return PulledBody(request, answer, budget, self._clock, self._scheduler, self._waits)


def _ranges(spans: Sequence[Span]) -> list[dict[str, str]]:
    return [{"from": rfc3339(each.begin // 1000), "to": rfc3339(each.end // 1000)} for each in spans]


def _not_recorded(asked: History | BookAt, known: Sequence[Recorded]) -> Answer:
    """404 with the times, and of books and candles the depths and intervals, that are on the tape."""
    ranges: list[dict[str, object]] = []
    for each in known:
        topic = parse_topic(each.topic)
        named: dict[str, object] = {"depth": topic.depth} if topic.depth else {}
        named |= {"interval": topic.interval} if topic.interval else {}
        ranges += [{**named, **times} for times in _ranges(each.spans)]
    when = "then" if isinstance(asked, BookAt) else "in that time"
    message = f"{asked.topic} was not recorded {when}"
    if isinstance(asked, BookAt) and not asked.depth:
        message = f"{parse_topic(asked.topic).sibling(Channel.ORDER_BOOK)} was not recorded {when}"
    if not ranges:
        message += ", nor at any other time"
    body = codec.encode({"error": {"code": "not_recorded", "message": message, "ranges": ranges}})
    return json_answer(body, 404)

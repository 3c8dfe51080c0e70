"""Candles from REST: one upstream request for concurrent callers, kept for a short time,
joined with the live stream."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle
from cryptodash.core.interfaces import IUpstream
from cryptodash.core.intervals import next_open, open_of
from cryptodash.core.numbers import key
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.candle_turns import CandleTurns, Turn

_log = Logger(namespace="cryptodash.hub.history")

OPEN_BAR_TTL_S = 2.0
"""How long an answer whose last bar is still open is given again."""
LAG_MS = 600_000
"""How long after its end a bar may be missing from a venue's answers, or not be over for the venue's clock."""
ANSWERS_KEPT = 500
BARS_KEPT = 50_000
"""In all kept answers together (about 30 MB)."""

Group = tuple[Topic, int | None]
"""A candle topic and the last open time wanted; None: up to now."""


def normal_end(interval: str, end_ms: int | None, now_ms: int) -> int | None:
    """The open time of the last bar wanted, where that is known: every ``end`` within one bar means the same.
    None for anything up to now."""
    if end_ms is None or end_ms >= now_ms:
        return None
    opened = bar_of(interval, end_ms)
    return None if opened == open_of(interval, now_ms) else opened


def bar_of(interval: str, time_ms: int) -> int:
    """What stands for the bar that holds this instant: its open time, or the instant where that is not known."""
    opened = open_of(interval, time_ms)
    return time_ms if opened is None else opened


def later(rest: Candle, live: Candle) -> Candle:
    """Which of two states of one bar is the newer: the closed one, else the one with more volume,
    since that only grows."""
    if rest.closed != live.closed:
        return rest if rest.closed else live
    return rest if key(rest.volume) > key(live.volume) else live


def joined(bars: Sequence[Candle], live: Sequence[Candle]) -> Sequence[Candle]:
    """``bars`` (oldest first) brought up to date by the stream's own; unchanged where the two do not meet,
    for a hole must not be hidden."""
    if not bars:
        return bars
    last = bars[-1]
    same = next((bar for bar in live if bar.timestamp == last.timestamp), None)
    if same is None:
        return bars
    return [*bars[:-1], later(last, same), *(bar for bar in live if bar.timestamp > last.timestamp)]


def is_final(group: Group, bars: Sequence[Candle], now_ms: int) -> bool:
    """Whether an answer will never change: its last bar is closed, and it is the last one wanted. Where it is an older
    one, the venue may merely lag, or our clock run fast: only what was over long ago has no bar for good."""
    topic, end = group
    if end is None or not bars or not bars[-1].closed:
        return False
    return next_open(topic.interval, bars[-1].timestamp) > end or next_open(topic.interval, end) + LAG_MS < now_ms


@frozen
class Answer:
    """What the venue gave for a group. ``final``: its last bar is closed, so it will never change."""

    bars: Sequence[Candle]
    limit: int
    received: float
    final: bool


@define(eq=False)
class SharedRequest:
    """One request under way and who waits for it."""

    limit: int
    waiting: list[Deferred[None]] = field(factory=list)
    outcome: Sequence[Candle] | UpstreamError | None = None

    async def join(self) -> Sequence[Candle]:
        """The bars; raises ``UpstreamError``. A caller that is cancelled leaves the others alone."""
        if self.outcome is None:
            waiter: Deferred[None] = Deferred()
            self.waiting.append(waiter)
            await waiter
        outcome = self.outcome
        if isinstance(outcome, UpstreamError):
            raise UpstreamError(outcome.cause, str(outcome), outcome.retry_after)
        return outcome or ()

    def finish(self, outcome: Sequence[Candle] | UpstreamError) -> None:
        self.outcome = outcome
        for waiter in self.waiting:
            waiter.callback(None)


class History:
    """The candles of all venues; ``live`` gives the latest bars of a topic's stream, oldest first.

    What is not known is asked for in turn by client (``CandleQueue``). Nobody waits for another's turn: who wants what
    an other's request is under way for shares it and pays nothing, who wants what an other waits for has a place of his
    own.
    """

    def __init__(self, clock: Clock, scheduler: IReactorTime, live: Callable[[Topic], Sequence[Candle]]) -> None:
        self._clock = clock
        self._live = live
        self._answers: OrderedDict[Group, Answer] = OrderedDict()
        self._bars = 0
        self._requests: dict[Group, SharedRequest] = {}
        self._turns = CandleTurns(clock, scheduler)

    def stop(self) -> None:
        """Cancel the timer, and all who wait for a turn."""
        self._turns.stop()

    async def candles(
        self, upstream: IUpstream, topic: Topic, limit: int, end_ms: int | None, client: str
    ) -> tuple[Sequence[Candle], bool]:
        """Up to ``limit`` bars, oldest first, and whether they came without a request.
        Raises ``UpstreamError`` and, for a client over its share, ``TryLater``; failures are not kept."""
        end = normal_end(topic.interval, end_ms, self._clock.wall_ms())
        bars, cached = await self._until(upstream, (topic, end), limit, client)
        if end is None:
            bars = joined(bars, self._live(topic))
            if end_ms is not None and bars and bars[-1].timestamp > end_ms:
                # What is "now" by our clock is over by the venue's: ask for what was before.
                bars, cached = await self._until(upstream, (topic, bar_of(topic.interval, end_ms)), limit, client)
        return bars[-limit:], cached

    async def _until(self, upstream: IUpstream, group: Group, limit: int, client: str) -> tuple[Sequence[Candle], bool]:
        """The bars of a group, and whether they were known."""
        while True:
            bars = self._known(group, limit)
            if bars is not None:
                return bars, True
            request = self._requests.get(group)
            if request is not None and request.limit >= limit:
                return await request.join(), False
            cost = upstream.candles_cost(group[0], limit, group[1])
            turn = await self._turns.take(upstream.exchange, cost, client, group)
            if turn is not None and (begun := self._begun(upstream, group, limit, turn)) is not None:
                return await begun.join(), False

    def __len__(self) -> int:
        return self._bars

    def _known(self, group: Group, limit: int) -> Sequence[Candle] | None:
        answer = self._answers.get(group)
        if answer is None or answer.limit < limit:
            return None
        if not answer.final and self._clock.monotonic() - answer.received > OPEN_BAR_TTL_S:
            return None
        self._answers.move_to_end(group)
        return answer.bars

    def _begun(self, upstream: IUpstream, group: Group, limit: int, turn: Turn) -> SharedRequest | None:
        """Ask the venue; None where somebody's answer or request has come meanwhile."""
        request = self._requests.get(group)
        if self._known(group, limit) is not None or (request is not None and request.limit >= limit):
            turn.finish()
            return None
        request = self._requests[group] = SharedRequest(limit)
        turn.charge()
        ensureDeferred(self._fetch(upstream, group, request, turn))
        return request

    async def _fetch(self, upstream: IUpstream, group: Group, request: SharedRequest, turn: Turn) -> None:
        outcome: Sequence[Candle] | UpstreamError
        topic, end = group
        try:
            outcome = await upstream.candles(topic, request.limit, end)
            self._keep(group, outcome, request.limit)
        except UpstreamError as error:
            outcome = error
        except Exception:
            _log.failure("candles of {topic} failed", topic=topic)
            outcome = UpstreamError("", f"candles of {topic} failed")
        if self._requests.get(group) is request:
            del self._requests[group]
        request.finish(outcome)
        turn.finish()

    def _keep(self, group: Group, bars: Sequence[Candle], limit: int) -> None:
        if self._known(group, limit + 1) is not None:
            return  # a larger answer that came meanwhile serves more callers
        final = is_final(group, bars, self._clock.wall_ms())
        before = self._answers.pop(group, None)
        self._answers[group] = Answer(bars, limit, self._clock.monotonic(), final)
        self._bars += len(bars) - (len(before.bars) if before is not None else 0)
        while self._bars > BARS_KEPT or len(self._answers) > ANSWERS_KEPT:
            _, oldest = self._answers.popitem(last=False)
            self._bars -= len(oldest.bars)

"""Bars that closed while nobody had their venue open: fetched before the next one is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from cryptodash.core.errors import CryptodashError
from cryptodash.core.events import Candle, Cause, State, StreamStatus
from cryptodash.core.intervals import next_open
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import IStates

FETCHED: Final = 10
"""Bars that are asked for: a change of holder takes seconds."""
MOST_WAITING: Final = 20

Fetch = Callable[[Topic, int], Awaitable[Sequence[Candle]]]
"""So many bars of a topic, of whoever has the venue. Raises ``CryptodashError``."""

_log = Logger(namespace="cryptodash.cluster.missing_bars")


@define(eq=False)
class _Expected:
    """``opened``: the bar that is to come first (ms). ``waiting``: what comes while older ones are fetched, and
    ``status`` what the venue says of the topic then."""

    opened: int
    waiting: list[Candle] = field(factory=list)
    status: StreamStatus | None = None


class MissingBars:
    """Of topics that another process held before. ``fetch`` asks the venue for bars, ``publish`` tells one."""

    def __init__(
        self,
        states: IStates,
        fetch: Fetch,
        publish: Callable[[Candle | StreamStatus], object],
    ) -> None:
        self._states = states
        self._fetch = fetch
        self._publish = publish
        self._expected: dict[Topic, _Expected] = {}

    def __contains__(self, topic: Topic) -> bool:
        return topic in self._expected

    def expect(self, topics: Iterable[Topic]) -> None:
        """Their next bar comes from elsewhere than the one before."""
        for topic in topics:
            self.forget(topic)
            if topic.channel is not Channel.CANDLE:
                continue
            known = [*self._states.last_events(topic, 1), *self._states.state(topic, 0)[1]]
            bars = [each for each in known if isinstance(each, Candle)]
            if bars:
                last = bars[-1]
                opened = next_open(topic.interval, last.timestamp) if last.closed else last.timestamp
                self._expected[topic] = _Expected(opened)

    def forget(self, topic: Topic) -> None:
        """It is no matter any more."""
        self._expected.pop(topic, None)

    def clear(self) -> None:
        self._expected.clear()

    def cross(self, event: Candle | StreamStatus) -> None:
        """Tell the bar, once all before it are told. The topic is not good meanwhile."""
        expected = self._expected[event.topic]
        if isinstance(event, Candle):
            self._bar(event, expected)
        elif expected.waiting and event.state.is_good:
            expected.status = event
        else:
            expected.status = None
            self._publish(event)

    def _bar(self, bar: Candle, expected: _Expected) -> None:
        if expected.waiting:
            expected.waiting = [*expected.waiting, bar][-MOST_WAITING:]
        elif bar.timestamp <= expected.opened:
            del self._expected[bar.topic]
            self._publish(bar)
        else:
            expected.waiting.append(bar)
            status = self._states.state(bar.topic, 0)[1][-1]
            if isinstance(status, StreamStatus) and status.state.is_good:
                expected.status = status
                self._publish(StreamStatus(bar.topic, State.RESYNCING, Cause.GAP, since=status.since))
            Deferred.fromCoroutine(self._catch_up(bar.topic, expected)).addErrback(
                lambda failure: _log.failure("fetching bars failed", failure=failure)
            )

    async def _catch_up(self, topic: Topic, expected: _Expected) -> None:
        try:
            found = await self._fetch(topic, FETCHED)
        except CryptodashError as error:
            _log.warn("bars of {topic} that closed meanwhile cannot be had: {error}", topic=topic, error=error)
            found = ()
        if self._expected.get(topic) is not expected:
            return  # the venue is another process's again
        del self._expected[topic]
        first = expected.waiting[0].timestamp
        for bar in (*(each for each in found if each.closed and each.timestamp < first), *expected.waiting):
            if bar.timestamp >= expected.opened:
                self._publish(bar)
        if expected.status is not None:
            self._publish(expected.status)

"""The tickers of a whole market."""

from __future__ import annotations

from collections.abc import Callable

from cryptodash.core.instruments import Instrument
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Message, SweepRows
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts
from cryptodash.exchanges.builders.sweep import SweepBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription


class SweepSubscription(MessageSubscription):
    """``lookup`` gives the instrument of a native name."""

    def __init__(
        self,
        topic: Topic,
        basics: Basics,
        venue_clock: VenueClock,
        lookup: Callable[[str], Instrument | None],
        tally: Tally,
    ) -> None:
        super().__init__(topic, basics)
        self._doubts = DoubtCounts(topic.exchange, "sweep", tally)
        self._builder = SweepBuilder(topic, lookup, self._doubts)
        self._venue_clock = venue_clock

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if isinstance(message, SweepRows):
            times = [each.stats.time for each in message.rows if each.stats is not None]
            said = max((time for time in times if time is not None), default=None)
            sweep = self._builder.rows(message, now, self._venue_clock.at(now, received, said), received)
            if sweep is not None:
                out.append(sweep)
                if not self.valued:
                    self.first_value(out)
            for stream in self.streams()[:1]:
                stream.note_all(self._doubts.news)
            return self._builder.dropped
        return False

    def beat(self, now: float, out: list[Output]) -> None:
        sweep = self._builder.due(now)
        if sweep is not None:
            out.append(sweep)

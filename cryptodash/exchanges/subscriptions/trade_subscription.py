"""One instrument's trades."""

from __future__ import annotations

from cryptodash.core.events import State
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Message, Trades
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.builders.plausibility import DoubtCounts
from cryptodash.exchanges.builders.trades import TradeBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription


class TradeSubscription(MessageSubscription):
    """There is no current value: the topic is as good as its stream."""

    def __init__(self, topic: Topic, basics: Basics, venue_clock: VenueClock, tally: Tally) -> None:
        super().__init__(topic, basics)
        self._builder = TradeBuilder(topic, DoubtCounts(topic.exchange, topic.channel.value, tally))
        self._venue_clock = venue_clock
        self._missed = tally.counter(
            "cryptodash_trades_missed_total",
            "Trades that the venue's own count says exist and that did not come",
            "exchange",
        )
        self._late = tally.counter(
            "cryptodash_trades_late_total", "Trades counted as missed that came after all", "exchange"
        )

    @property
    def trade_stream(self) -> Stream | None:
        return next(iter(self.sources.get(Part.TRADES, ())), None) if self.plan is not None else None

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if not isinstance(message, Trades):
            return False
        builder = self._builder
        missed, late = builder.missed, builder.late
        trades = builder.fills(message.fills, received + self._venue_clock.ahead_ms, received, now)
        if not trades and builder.dropped:
            return True
        if not self.valued:
            self.first_value(out)
        out.extend(trades)
        if builder.missed != missed or builder.late != late:
            arrived = builder.late - late
            self._late.add(self.topic.exchange, by=arrived)
            self._missed.add(self.topic.exchange, by=builder.missed - missed + arrived)
        return False

    def beat(self, now: float, out: list[Output]) -> None:
        if self._builder.is_holding:
            out.extend(self._builder.expire(self._venue_clock.now_ms(), self._clock.wall_ms(), now))

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        streams = self.sources.get(Part.TRADES, ())
        if state is State.CONNECTING and all(freshness.of_stream(each, False)[0] is State.QUIET for each in streams):
            return State.QUIET, None
        return state, cause

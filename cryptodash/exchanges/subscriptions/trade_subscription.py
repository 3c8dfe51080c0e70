"""One instrument's trades."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import State, Trade
from cryptodash.core.instruments import Instrument
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Message, Trades
from cryptodash.exchanges.adapter.plan import Part, Plan
from cryptodash.exchanges.builders.bar_times import AHEAD_BY_CLOCK_MS
from cryptodash.exchanges.builders.plausibility import DoubtCounts
from cryptodash.exchanges.builders.trades import TradeBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase, Signal
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription, TopicSubscription
from cryptodash.exchanges.subscriptions.trade_comparison import TradeComparison, known_trade
from cryptodash.exchanges.subscriptions.trade_gaps import TradeGaps


class TradeSubscription(MessageSubscription):
    """There is no current value: the topic is as good as its stream. Candles of the instrument whose volume grows while
    no trade comes prove that the stream misses trades. What may have been missed while it was interrupted is told by a
    ``Gap``, before the next trade."""

    def __init__(self, topic: Topic, basics: Basics, venue_clock: VenueClock, tally: Tally, stale_after: float) -> None:
        super().__init__(topic, basics)
        self._venue_clock = venue_clock
        self._siblings: list[TopicSubscription] = []
        self._comparison = TradeComparison(stale_after)
        self._builder = TradeBuilder(topic, DoubtCounts(topic.exchange, topic.channel.value, tally))
        self._gaps = TradeGaps(topic, self._builder)
        self._interruptions = 0
        """Those of the stream that are known."""
        self._traded_ms: int | None = None
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

    @property
    def traded_ms(self) -> int | None:
        return self._traded_ms

    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        super().open(plan, instrument, now, out)
        stream = self.trade_stream
        self._interruptions = 0 if stream is None else stream.interruptions
        self._gaps.interrupted(anew=stream is not None and stream.is_ending)  # where it was open before

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if not isinstance(message, Trades):
            return False
        builder = self._builder
        missed, late = builder.missed, builder.late
        fills = message.fills
        venue_ms = self._venue_clock.at(now, received, fills[-1].time if fills else None)
        repeats = self._gaps.open is not None and self._gaps.repeats(fills)
        trades = builder.fills(fills, venue_ms, received, now)
        if not trades and builder.dropped:
            return True
        if self._gaps.open is not None and (trades or repeats):
            self._tell_gap(trades, repeats, venue_ms, out)
        self._tell(trades, out)
        if not self.valued:
            self.first_value(out)
        if builder.missed != missed or builder.late != late:
            arrived = builder.late - late
            self._late.add(self.topic.exchange, by=arrived)
            self._missed.add(self.topic.exchange, by=builder.missed - missed + arrived)
        return False

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling.topic.channel is Channel.CANDLE and sibling not in self._siblings:
            self._siblings.append(sibling)

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling in self._siblings:
            self._siblings.remove(sibling)

    def _tell(self, trades: Sequence[Trade], out: list[Output]) -> None:
        if trades:
            self._traded_ms = trades[-1].timestamp  # not the newest of all: a wrong time is forgotten with the next
            self._complete(self._traded_ms)
            out.extend(trades)

    def _complete(self, venue_ms: int) -> None:
        """Everything has been told as far as this. What brings it may be the end of a subscription of before."""
        has_begun, stream = self._gaps.has_begun, self.trade_stream
        self._gaps.complete(venue_ms)
        if not has_begun and stream is not None and stream.is_ending:
            self._gaps.interrupted(anew=True)

    def _tell_gap(self, trades: Sequence[Trade], repeats: bool, venue_ms: int, out: list[Output]) -> None:
        """The stream brings something again, or is quiet."""
        interruption, stream = self._gaps.open, self.trade_stream
        if interruption is None or (interruption.anew and stream is not None and stream.is_changing):
            return
        gap = self._gaps.close(trades, repeats, venue_ms)
        if gap is not None:
            out.append(gap)

    def stream_changed(self, out: list[Output]) -> None:
        stream = self.trade_stream
        if stream is not None and stream.interruptions != self._interruptions:
            self._interruptions = stream.interruptions
            self._gaps.interrupted(anew=stream.source is not None)
        self.refresh(out)

    def refresh(self, out: list[Output]) -> None:
        stream = self.trade_stream
        if stream is not None and stream.phase is Phase.QUIET and self._builder.number is None and not self._dropped:
            self._tell_gap((), False, self._venue_clock.now_ms(), out)  # no number of a later trade will tell
        super().refresh(out)
        if self.status is not None and self.status.state.is_good and not self._gaps.has_begun:
            self._complete(self._venue_clock.now_ms())

    def beat(self, now: float, out: list[Output]) -> None:
        if self._builder.is_holding:
            self._tell(self._builder.expire(self._venue_clock.now_ms(), self._clock.wall_ms(), now), out)
        if self._traded_ms is None or not self._siblings:
            return
        until = self._venue_clock.now_ms() + AHEAD_BY_CLOCK_MS
        if self._traded_ms <= until:
            self._comparison.shown(self._traded_ms, None, 0.0)
        if self._comparison.look(known_trade(self._siblings, until), 0.0, now):
            for stream in self.sources.get(Part.TRADES, ()):
                stream.signal(Signal.SILENCE, now, out)

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        streams = self.sources.get(Part.TRADES, ())
        if state is State.CONNECTING and all(freshness.of_stream(each, False)[0] is State.QUIET for each in streams):
            return State.QUIET, None
        return state, cause

"""One instrument's trades."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import State, Trade
from cryptodash.core.quality import Count, Loss
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Message, Trades
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.builders.bar_times import AHEAD_BY_CLOCK_MS
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts
from cryptodash.exchanges.builders.trades import TradeBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase, Signal
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.lossless_subscription import LosslessSubscription
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, TopicSubscription
from cryptodash.exchanges.subscriptions.trade_comparison import TradeComparison, known_trade

MENDED_WITHIN = 60.0
"""Seconds in which a trade that the venue's numbers passed over may come after all."""


class TradeSubscription(LosslessSubscription):
    """There is no current value: the topic is as good as its stream. Candles of the instrument whose volume grows while
    no trade comes prove that the stream misses trades."""

    def __init__(self, topic: Topic, basics: Basics, venue_clock: VenueClock, tally: Tally, stale_after: float) -> None:
        self._doubts = DoubtCounts(topic.exchange, topic.channel.value, tally)
        self._builder = TradeBuilder(topic, self._doubts)
        self._least_missed = 0
        """The least number of trades that were missing at once since ``_missed_since``."""
        self._missed_since = 0.0
        super().__init__(topic, basics, venue_clock, self._builder)
        self._siblings: list[TopicSubscription] = []
        self._comparison = TradeComparison(stale_after)
        self._traded_ms: int | None = None
        self._missed = tally.counter(
            "cryptodash_trades_missed_total",
            "Trades that the venue's own count says exist and that did not come",
            "exchange",
        )
        self._missed.begin(topic.exchange)
        self._late = tally.counter(
            "cryptodash_trades_late_total", "Trades counted as missed that came after all", "exchange"
        )

    @property
    def trade_stream(self) -> Stream | None:
        return next(iter(self.sources.get(Part.TRADES, ())), None) if self.plan is not None else None

    @property
    def traded_ms(self) -> int | None:
        return self._traded_ms

    @property
    def source(self) -> Stream | None:
        return self.trade_stream

    def shows_gap(self, stream: Stream) -> bool:
        return stream.phase is Phase.QUIET and self._builder.number is None  # no number of a later trade will tell

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if not isinstance(message, Trades):
            return False
        builder = self._builder
        missed, late = builder.missed, builder.late
        fills = message.fills
        venue_ms = self._venue_clock.at(now, received, fills[-1].time if fills else None)
        repeats = self._gaps.open is not None and self._gaps.repeats(fills)
        trades = builder.fills(fills, venue_ms, received, now)
        if self._doubts.news:
            self._note()
        if not trades and builder.dropped:
            return True
        # Where the venue counts, only a new trade shows whether any is missing: a known one may be sent before it.
        if self._gaps.open is not None and (trades or (repeats and builder.number is None)):
            self.tell_gap(trades, repeats, venue_ms, out)
        self._tell(trades, out)
        if not self.valued:
            self.first_value(out)
        if builder.missed != missed or builder.late != late:
            arrived = builder.late - late
            self._late.add(self.topic.exchange, by=arrived)
            self._missed.add(self.topic.exchange, by=builder.missed - missed + arrived)
            self._least_missed = min(self._least_missed, builder.missed)
            stream = self.source
            if stream is not None:
                stream.note(Count.OUT_OF_ORDER, arrived)
                stream.record.count(Count.MISSED_TRADES, builder.missed - missed)
        return False

    def _note(self) -> None:
        """For the ledger: what was counted."""
        stream = self.source
        if stream is None:
            self._doubts.news.clear()
        else:
            stream.note_all(self._doubts.news)

    def _look_for_loss(self, now: float) -> None:
        """Trades that have been missing for a minute do not come any more."""
        if now - self._missed_since < MENDED_WITHIN:
            return
        if self._least_missed and self.source is not None:
            self.source.record.degrade(Loss.TRADES_MISSING)
        self._least_missed, self._missed_since = self._builder.missed, now

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling.topic.channel is Channel.CANDLE and sibling not in self._siblings:
            self._siblings.append(sibling)

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling in self._siblings:
            self._siblings.remove(sibling)

    def _tell(self, trades: Sequence[Trade], out: list[Output]) -> None:
        if trades:
            self._traded_ms = trades[-1].timestamp  # not the newest of all: a wrong time is forgotten with the next
            self.complete(self._traded_ms)
            out.extend(trades)

    def beat(self, now: float, out: list[Output]) -> None:
        if self._builder.is_holding:
            self._tell(self._builder.expire(self._venue_clock.now_ms(), self._clock.wall_ms(), now), out)
            self._note()
        super().beat(now, out)
        self._look_for_loss(now)
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

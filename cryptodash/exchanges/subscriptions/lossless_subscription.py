"""What a topic of which everything is told says where something may be missing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from cryptodash.core.events import Liquidation, Trade
from cryptodash.core.instruments import Instrument
from cryptodash.core.quality import Count, Loss
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.plan import Plan
from cryptodash.exchanges.builders.trades import TradeBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription
from cryptodash.exchanges.subscriptions.trade_gaps import TradeGaps


class LosslessSubscription(MessageSubscription):
    """Trades or liquidations. What may have been missed while their stream was interrupted is told by a ``Gap``, before
    what comes next."""

    def __init__(self, topic: Topic, basics: Basics, venue_clock: VenueClock, builder: TradeBuilder) -> None:
        super().__init__(topic, basics)
        self._venue_clock = venue_clock
        self._gaps = TradeGaps(topic, builder)
        self._interruptions = 0
        """Those of the stream that are known."""
        self._unreadable = 0
        """Its frames that could not be read, as far as they are known."""
        self._trades = builder

    @property
    @abstractmethod
    def source(self) -> Stream | None:
        """The stream that brings them; None while the topic is not open."""

    @abstractmethod
    def shows_gap(self, stream: Stream) -> bool:
        """Whether the stream is back and need not bring anything of the topic, so that nothing more will tell what was
        missed."""

    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        super().open(plan, instrument, now, out)
        stream = self.source
        self._interruptions = 0 if stream is None else stream.interruptions
        self._unreadable = 0 if stream is None else stream.unreadable_frames
        self._gaps.interrupted(anew=stream is not None and stream.is_ending)  # where it was open before

    def complete(self, venue_ms: int) -> None:
        """Everything has been told as far as this. What brings it may be the end of a subscription of before."""
        is_first, self._gaps.complete_until = self._gaps.complete_until is None, venue_ms
        if is_first:
            stream = self.source
            if stream is not None and stream.is_ending:
                self._gaps.interrupted(anew=True)

    def tell_gap(
        self, told: Sequence[Trade] | Sequence[Liquidation], repeats: bool, venue_ms: int, out: list[Output]
    ) -> None:
        """The stream brings something again, or is quiet."""
        interruption, stream = self._gaps.open, self.source
        if interruption is None or (interruption.anew and stream is not None and stream.is_changing):
            return
        gap = self._gaps.close(told, repeats, venue_ms)
        if gap is not None:
            out.append(gap)
        if gap is not None and stream is not None:
            stream.record.count(Count.GAPS)
            if gap.missed is None:
                stream.record.degrade(Loss.TRADES_UNPROVEN)

    def beat(self, now: float, out: list[Output]) -> None:
        stream = self.source
        if stream is not None and stream.unreadable_frames != self._unreadable:
            self._unreadable = stream.unreadable_frames
            if self._trades.number is None:  # where the venue counts, its numbers tell whether any was lost
                stream.record.degrade(Loss.TRADES_UNREADABLE)

    def stream_changed(self, out: list[Output]) -> None:
        stream = self.source
        if stream is not None and stream.interruptions != self._interruptions:
            self._interruptions = stream.interruptions
            self._gaps.interrupted(anew=stream.source is not None)
        self.refresh(out)

    def refresh(self, out: list[Output]) -> None:
        stream = self.source
        if stream is not None and not self._dropped and self.shows_gap(stream):
            self.tell_gap((), False, self._venue_clock.now_ms(), out)
        super().refresh(out)
        if self.status is not None and self.status.state.is_good and self._gaps.complete_until is None:
            self.complete(self._venue_clock.now_ms())

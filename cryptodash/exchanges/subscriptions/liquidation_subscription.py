"""One instrument's liquidations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from cryptodash.core.errors import NumberRejected
from cryptodash.core.events import Liquidation
from cryptodash.core.numbers import is_zero
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import in_base
from cryptodash.exchanges.adapter.messages import BadFrame, LiquidationOrder, Liquidations, Message
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts
from cryptodash.exchanges.builders.liquidations import LiquidationBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.lossless_subscription import LosslessSubscription
from cryptodash.exchanges.subscriptions.topic_subscription import Basics


class LiquidationSubscription(LosslessSubscription):
    """There is no current value: the topic is as good as its stream, which may be of a whole market, and is quiet from
    the ack on."""

    def __init__(self, topic: Topic, basics: Basics, venue_clock: VenueClock, tally: Tally) -> None:
        self._doubts = DoubtCounts(topic.exchange, topic.channel.value, tally)
        self._builder = LiquidationBuilder(topic, self._doubts)
        super().__init__(topic, basics, venue_clock, self._builder.trades)
        self._refused = tally.counter(
            "cryptodash_liquidations_refused_total",
            "Liquidations left out because their contracts are no base quantity",
            "exchange",
        )

    @property
    def source(self) -> Stream | None:
        return next(iter(self.sources.get(Part.LIQUIDATIONS, ())), None) if self.plan is not None else None

    def shows_gap(self, stream: Stream) -> bool:
        return stream.phase in (Phase.QUIET, Phase.LIVE)  # live may be by another instrument's

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if not isinstance(message, Liquidations):
            return False
        orders = list(self._own(message))
        if not orders:
            return False
        venue_ms = self._venue_clock.at(now, received, orders[-1].time)
        told = self._builder.orders(orders, message.complete, venue_ms, received, now)
        for what, times in self._doubts.news.items():
            if self.source is not None:  # each order is of one topic: what those of other topics find is beside it
                self.source.record.count(what, times)
        self._doubts.news.clear()
        if told or self._builder.repeated:
            self.tell_gap(told, self._builder.repeated, venue_ms, out)
        self._tell(told, out)
        return not told and self._builder.dropped

    def _tell(self, told: Sequence[Liquidation], out: list[Output]) -> None:
        if told:
            self.complete(told[-1].timestamp)
            out.extend(told)

    def _own(self, message: Liquidations) -> Iterator[LiquidationOrder]:
        """Those of the topic's instrument, quantities in base."""
        instrument = self.instrument
        for each in message.orders:
            if instrument is None or each.native != instrument.native:
                continue
            try:
                quantity = in_base(each.quantity, instrument) if message.in_contracts else each.quantity
            except (NumberRejected, BadFrame):
                quantity = None
            if quantity is None or is_zero(quantity):
                self._refused.add(self.topic.exchange)
            else:
                yield replace(each, quantity=quantity)

    def beat(self, now: float, out: list[Output]) -> None:
        self._tell(self._builder.expire(self._venue_clock.now_ms(), self._clock.wall_ms(), now), out)
        super().beat(now, out)

    def streams_condition(self) -> freshness.Condition:
        return freshness.of_topic(self.sources, self.plan.required if self.plan is not None else (), True)

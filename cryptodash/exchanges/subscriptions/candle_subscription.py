"""One instrument's candles of one interval."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Candle, Cause, State
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar, Message, Trades
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.builders.candles import CandleBuilder, candles_of
from cryptodash.exchanges.builders.trade_candles import TradeCandleBuilder
from cryptodash.exchanges.connections.commands import Fetch, Output
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription

MOST_CANDLES = 1000
MARGIN = 2
"""Bars asked for beyond those that are missing: the running one, and one that may open meanwhile."""


class CandleSubscription(MessageSubscription):
    """A closing frame that got lost is fetched before the next bar goes out. Where the plan has the trades instead of
    bars, the bars are built from those."""

    def __init__(self, topic: Topic, basics: Basics, venue: IVenue, venue_clock: VenueClock) -> None:
        super().__init__(topic, basics)
        self._builder = CandleBuilder(topic)
        self._from_trades = TradeCandleBuilder(topic)
        self._venue = venue
        self._venue_clock = venue_clock

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        if isinstance(message, Trades):
            self._publish(self._from_trades.fills(message.fills, received), out)
            return
        if not isinstance(message, Bar):
            return
        was_waiting = self._builder.is_waiting
        candles, fetch = self._builder.bar(message, received)
        self._publish(candles, out)
        if self._builder.is_waiting is not was_waiting:
            self.refresh(out)
        if fetch:
            self._fetch(self._builder.missing, out)

    def beat(self, now: float, out: list[Output]) -> None:
        """The venue's clock closes what no frame closes."""
        venue_ms = self._venue_clock.now_ms()
        self._publish(self._from_trades.due(venue_ms), out)
        if self._builder.is_overdue(venue_ms):
            self._fetch(1, out)

    def stream_changed(self, out: list[Output]) -> None:
        streams = self.streams()
        if self.valued and all(each.source is None for each in streams):
            self._builder.reconnected()
            self._from_trades.interrupted()
        self.refresh(out)

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        return (State.RESYNCING, Cause.GAP) if state.is_good and self._builder.is_waiting else (state, cause)

    def candles(self, bars: Sequence[Bar], received: int, out: list[Output]) -> None:
        fetched = candles_of(self.topic, bars, self._venue_clock.now_ms(), received)
        self._publish(self._builder.fetched(fetched), out)
        self.refresh(out)

    def candles_failed(self, out: list[Output]) -> None:
        """The builder asks again with a later frame, or goes on without them."""
        self._publish(self._builder.fetch_failed(), out)
        self.refresh(out)

    def _fetch(self, missing: int, out: list[Output]) -> None:
        if self.instrument is not None:
            limit = min(missing + MARGIN, MOST_CANDLES)
            out.append(Fetch(self._venue.candles_request(self.topic, self.instrument, limit, None)))

    def _publish(self, candles: Sequence[Candle], out: list[Output]) -> None:
        if candles and not self.valued:
            self.first_value(out)
        out.extend(candles)

"""A track is one wanted topic: its streams, the assembly that merges what they say,
and the status it last published."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cryptodash.core.events import Candle, Cause, State, StreamStatus
from cryptodash.core.instruments import Instrument
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar, Mark, Message, Quote, Stats, SweepRows, Trades
from cryptodash.exchanges.adapter.venue import Part, Plan
from cryptodash.exchanges.builders.candles import CandleBuilder
from cryptodash.exchanges.builders.ticker import SweepBuilder, TickerBuilder, TradeBuilder
from cryptodash.exchanges.connections.commands import Fetch, Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.desk import Desk

MOST_CANDLES = 1000
MARGIN = 2
"""Bars asked for beyond those that are missing: the running one, and one that may open meanwhile."""


class TopicSubscription:
    """What all topics have in common. ``ended`` is the cause of a topic that is closed."""

    def __init__(self, topic: Topic, desk: Desk) -> None:
        self.topic = topic
        self.desk = desk
        self.instrument: Instrument | None = None
        self.plan: Plan | None = None
        self.sources: dict[Part, tuple[Stream, ...]] = {}
        self.valued = False
        self.ended: Cause | None = None
        self.ended_at = 0.0
        self.dropped = False
        """Nobody wants it any more: no further status."""
        self.status: StreamStatus | None = None

    def condition(self) -> freshness.Condition:
        """State and cause now."""
        if self.ended is not None:
            return State.CLOSED, self.ended
        if self.plan is None:
            return State.CONNECTING, self.desk.unlisted.get(self.topic.market)
        if self.instrument is not None and self.instrument.status == "halted":
            return State.STALE, Cause.HALTED
        return self.streams_condition()

    def streams_condition(self) -> freshness.Condition:
        """What the streams say."""
        return freshness.of_topic(self.sources, self.plan.required if self.plan is not None else (), self.valued)

    def halted_but_heard(self, since: float) -> bool:
        """Whether the catalogue calls the instrument halted although a frame has come since."""
        if self.instrument is None or self.instrument.status != "halted":
            return False
        return any(each.last is not None and each.last > since for streams in self.sources.values() for each in streams)

    def delisted_for_long(self, since: float, now: float) -> bool:
        """Whether a delisted instrument may be listed again: worth a look after ever longer pauses,
        each as long as all before it."""
        return self.ended is Cause.DELISTED and now - since >= since - self.ended_at

    def fields(self) -> tuple[str, ...]:
        """Stale parts, for a ticker."""
        return ()

    def refresh(self, out: list[Output]) -> None:
        """Publish the status if it has changed."""
        if self.dropped:
            return
        state, cause = self.condition()
        fields = self.fields()
        last = self.status
        if last is None or last.state is not state or last.cause is not cause or last.fields != fields:
            self.status = StreamStatus(self.topic, state, cause, fields, self.desk.clock.wall_ms())
            out.append(self.status)

    def first_value(self, out: list[Output]) -> None:
        """A value is known from now on; the status that says so goes before it."""
        self.valued = True
        self.refresh(out)

    def stream_changed(self, out: list[Output]) -> None:
        """A stream's phase or cause changed."""
        self.refresh(out)

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second."""

    def confirmed_at(self) -> float | None:
        """When the value was last confirmed: for each required part the newest of its streams, of these the oldest."""
        required = self.plan.required if self.plan is not None else frozenset()
        newest = [_newest(streams) for part, streams in self.sources.items() if part in required or not required]
        known = [each for each in newest if each is not None]
        return min(known) if known and len(known) == len(newest) else None


def _newest(streams: tuple[Stream, ...]) -> float | None:
    return max((each.last for each in streams if each.last is not None), default=None)


class MessageSubscription(TopicSubscription, ABC):
    """A topic that takes its streams' messages itself: every kind but the order book, whose frames go to its legs."""

    @abstractmethod
    def feed(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        """Take one message of one of the streams."""


class TickerSubscription(MessageSubscription):
    """One instrument's ticker. While a trade stream of the instrument is open and good,
    ``last`` comes from it alone."""

    def __init__(self, topic: Topic, desk: Desk) -> None:
        super().__init__(topic, desk)
        self.assembly = TickerBuilder(topic)
        self._crossed = desk.tally.counter(
            "cryptodash_quotes_crossed_total",
            "Quotes left out because the best bid was not below the best ask",
            "exchange",
        )
        self.update_id: int | None = None
        """The newest quote's, to compare with the book's."""
        self._trades: Stream | None = None
        self._is_lent = False
        """Whether that stream is here only because somebody else wants it."""

    def feed(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        was_crossed, crossed = self.assembly.is_crossed, self.assembly.crossed
        if isinstance(message, Quote):
            self.update_id = message.update_id
            time = message.time
            ticker = self.assembly.quote(message, self.desk.venue_ms() if time is None else time, received)
        elif isinstance(message, Trades):
            ticker = None
            for fill in message.fills:
                ticker = self.assembly.trade(fill.price, fill.time, received) or ticker
        elif isinstance(message, Stats):
            ticker = self.assembly.stats(message, received)
        elif isinstance(message, Mark):
            ticker = self.assembly.mark(message, received)
        else:
            return
        if ticker is not None:
            if not self.valued:
                self.first_value(out)
            out.append(ticker)
        if self.assembly.crossed != crossed:
            self._crossed.add(self.topic.exchange, by=self.assembly.crossed - crossed)
        if self.assembly.is_crossed is not was_crossed:
            self.refresh(out)

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        # The quote on show is the last sound one, and the venue says that it is so no more.
        return (State.STALE, Cause.CROSSED) if state.is_good and self.assembly.is_crossed else (state, cause)

    def fields(self) -> tuple[str, ...]:
        if not self.valued or self.ended is not None:
            return ()
        stale = freshness.stale_fields(self.sources)
        quote = freshness.FIELDS[Part.QUOTE]
        return (*quote, *(each for each in stale if each not in quote)) if self.assembly.is_crossed else stale

    def follow(self, trades: Stream | None, out: list[Output]) -> None:
        """``last`` may come from this trade stream (None: no more), as well as from the 24 h ticker."""
        if trades is self._trades:
            return
        known = self.sources.get(Part.LAST, ())
        if self._is_lent:
            known = tuple(each for each in known if each is not self._trades)
        self._trades = trades
        self._is_lent = trades is not None and trades not in known
        self.sources[Part.LAST] = (*known, trades) if trades is not None and self._is_lent else known
        self.stream_changed(out)

    def stream_changed(self, out: list[Output]) -> None:
        trades = self._trades
        self.assembly.trades_open = trades is not None and freshness.of_stream(trades, True)[0].is_good
        quotes = self.sources.get(Part.QUOTE, ())
        if quotes and all(each.source is None for each in quotes):
            self.assembly.reset_quote_order()
        self.refresh(out)


class TradeSubscription(MessageSubscription):
    """One instrument's trades. There is no current value: the topic is as good as its stream."""

    def __init__(self, topic: Topic, desk: Desk) -> None:
        super().__init__(topic, desk)
        self.assembly = TradeBuilder(topic)
        self._missed = desk.tally.counter(
            "cryptodash_trades_missed_total",
            "Trades that the venue's own count says exist and that did not come",
            "exchange",
        )
        self._late = desk.tally.counter(
            "cryptodash_trades_late_total", "Trades counted as missed that came after all", "exchange"
        )

    def feed(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        if isinstance(message, Trades):
            if not self.valued:
                self.first_value(out)
            missed, late = self.assembly.missed, self.assembly.late
            out.extend(self.assembly.fills(message.fills, received))
            if self.assembly.missed != missed or self.assembly.late != late:
                arrived = self.assembly.late - late
                self._late.add(self.topic.exchange, by=arrived)
                self._missed.add(self.topic.exchange, by=self.assembly.missed - missed + arrived)

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        if state is State.CONNECTING and all(
            freshness.of_stream(each, False)[0] is State.QUIET for each in self.sources.get(Part.TRADES, ())
        ):
            return State.QUIET, None
        return state, cause


class CandleSubscription(MessageSubscription):
    """Bars of one interval. A closing frame that got lost is fetched before the next bar goes out."""

    def __init__(self, topic: Topic, desk: Desk) -> None:
        super().__init__(topic, desk)
        self.assembly = CandleBuilder(topic)

    def feed(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        if not isinstance(message, Bar):
            return
        was_waiting = self.assembly.is_waiting
        events, fetch = self.assembly.bar(message, received)
        self._publish(events, out)
        if self.assembly.is_waiting is not was_waiting:
            self.refresh(out)
        if fetch and self.instrument is not None:
            limit = min(self.assembly.missing + MARGIN, MOST_CANDLES)
            out.append(Fetch(self.desk.venue.candles_request(self.topic, self.instrument, limit, None)))

    def stream_changed(self, out: list[Output]) -> None:
        streams = self.sources.get(Part.CANDLE, ())
        if self.valued and all(each.source is None for each in streams):
            self.assembly.reconnected()
        self.refresh(out)

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        return (State.RESYNCING, Cause.GAP) if state.is_good and self.assembly.is_waiting else (state, cause)

    def fetched(self, candles: Sequence[Candle], out: list[Output]) -> None:
        """The bars asked for have come."""
        self._publish(self.assembly.fetched(candles), out)
        self.refresh(out)

    def failed(self, out: list[Output]) -> None:
        """They have not: the assembly asks again with a later frame, or goes on without them."""
        self._publish(self.assembly.fetch_failed(), out)
        self.refresh(out)

    def _publish(self, events: list[Candle], out: list[Output]) -> None:
        if events and not self.valued:
            self.first_value(out)
        out.extend(events)


class SweepSubscription(MessageSubscription):
    """A whole market's tickers."""

    def __init__(self, topic: Topic, desk: Desk) -> None:
        super().__init__(topic, desk)
        self.assembly = SweepBuilder(topic, lambda native: desk.catalogue.native(topic.market, native))

    def feed(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        if isinstance(message, SweepRows):
            sweep = self.assembly.rows(message, now, self.desk.venue_ms(), received)
            if sweep is not None:
                if not self.valued:
                    self.first_value(out)
                out.append(sweep)

    def beat(self, now: float, out: list[Output]) -> None:
        sweep = self.assembly.due(now)
        if sweep is not None:
            out.append(sweep)

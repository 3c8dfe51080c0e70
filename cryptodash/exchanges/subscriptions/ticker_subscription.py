"""One instrument's ticker."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial

from cryptodash.core.checkpoints import FiguresImage, TakeImage
from cryptodash.core.events import Bbo, Cause, State, Ticker
from cryptodash.core.quality import Count
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import FundingIntervals, Mark, Message, Quote, Stats, Trades
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts
from cryptodash.exchanges.builders.ticker import TickerBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription, TopicSubscription

_PARTS: dict[type, Part] = {Quote: Part.QUOTE, Trades: Part.LAST, Stats: Part.STATS, Mark: Part.MARK}
_TOLD = (
    "last",
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "open_24h",
    "high_24h",
    "low_24h",
    "volume_24h",
    "quote_volume_24h",
    "change_pct_24h",
    "mark_price",
    "index_price",
    "funding_rate",
    "funding_interval_h",
    "next_funding_time",
    "open_interest",
)
"""What a recording is told of a ticker."""
_SOME_QUOTE = Quote("", None, None, None, None, None, None)


class TickerSubscription(MessageSubscription):
    """While a trade stream of the instrument is open and good, ``last`` comes from it alone: from its first trade on,
    also after each interruption and each silence. Until then trades may be missing that only the 24 h figures tell
    of."""

    def __init__(self, topic: Topic, basics: Basics, venue_clock: VenueClock, tally: Tally) -> None:
        super().__init__(topic, basics)
        self._doubts = DoubtCounts(topic.exchange, topic.channel.value, tally)
        self._builder = self._new_builder()
        self._venue_clock = venue_clock
        self._quoted_at: float | None = None
        """When the last sound quote came."""
        self._trades: Stream | None = None
        self._borrows = False
        """Whether that stream is here only because somebody else wants it."""
        self._trades_count = False
        """Whether it counts among those that ``last`` comes from."""
        self._traded_after = -1
        """How often that stream had been interrupted when it last brought trades; -1: it has brought none, or none
        since it was silent."""
        self._crossed = tally.counter(
            "cryptodash_quotes_crossed_total",
            "Quotes left out because the best bid was not below the best ask",
            "exchange",
        )

    def _new_builder(self) -> TickerBuilder:
        return TickerBuilder(self.topic, self._doubts, needs_last=self.topic.channel is Channel.TICKER)

    @property
    def quote_id(self) -> int | None:
        return self._builder.quote_id

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        builder = self._builder
        was_crossed, crossed = builder.is_crossed, builder.crossed
        if isinstance(message, Quote):
            venue_ms = self._venue_clock.at(now, received, message.time)
            ticker = builder.quote(message, venue_ms, received, now)
            if not builder.is_crossed and not builder.dropped:
                self._quoted_at = now
        elif isinstance(message, Trades):
            fills = message.fills
            venue_ms = self._venue_clock.at(now, received, fills[-1].time if fills else None)
            ticker = builder.trades(fills, venue_ms, received, now)
            if fills and not builder.trades_open and not builder.dropped and builder.is_traded:
                self._traded()
        elif isinstance(message, Stats):
            venue_ms = self._venue_clock.at(now, received, message.time)
            ticker = builder.stats(message, venue_ms, received, now)
        elif isinstance(message, Mark):
            venue_ms = self._venue_clock.at(now, received, message.time)
            ticker = builder.mark(message, venue_ms, received, now)
        elif isinstance(message, FundingIntervals) and self.instrument is not None:
            ticker = builder.funding_interval(message.hours.get(self.instrument.native, message.others), received)
        else:
            return False
        if ticker is not None:
            out.append(self.event(ticker))
        counted_anew = self._borrows and builder.is_traded is not self._trades_count
        if counted_anew:
            self._count_trades()
        if ticker is not None and not self.valued:
            self.first_value(out)
        elif counted_anew:
            self.refresh(out)
        if self._doubts.news:
            self._note(message)
        if builder.crossed != crossed:
            self._note_crossed(builder.crossed - crossed)
        if builder.is_crossed is not was_crossed:
            self.refresh(out)
        return builder.dropped

    def _note(self, message: Message) -> None:
        """For the ledger: what was counted of a message, for the stream that brought it."""
        part = _PARTS.get(type(message), Part.QUOTE)
        stream = self._trades if part is Part.LAST and self._trades is not None else self._newest(part)
        if stream is None:
            self._doubts.news.clear()
        else:
            stream.note_all(self._doubts.news)

    def _note_crossed(self, times: int) -> None:
        """Quotes were crossed. Of a stream that several topics share, each is counted once."""
        stream = self._newest(Part.QUOTE)
        self._crossed.add(self.topic.exchange, by=times if stream is None else stream.note(Count.CROSSED, times))

    def _newest(self, part: Part) -> Stream | None:
        """The stream that brings the part: of several the one that was heard last."""
        streams = self.sources.get(part, ())
        return max(streams, key=lambda each: -1.0 if each.last is None else each.last, default=None)

    def images(self, unread: Container[str]) -> Sequence[TakeImage]:
        return (partial(self._image, unread),) if self._builder.ticker is not None else ()

    def _image(self, unread: Container[str]) -> FiguresImage | None:
        known, instrument, stream = self._builder.ticker, self.instrument, self._newest(Part.STATS)
        if known is None or known.stats_time is None or instrument is None or stream is None or stream.source is None:
            return None
        if stream.source.key in unread:
            return None
        told = ((name, getattr(known, name)) for name in _TOLD)
        figures = {name: str(value) for name, value in told if value is not None}
        return FiguresImage(
            self.topic.market, instrument.native, stream.source.key, stream.name, known.stats_time, figures
        )

    def refresh(self, out: list[Output]) -> None:
        for stream in self.sources.get(Part.QUOTE, ()):
            if stream.judge is None:
                stream.record.crossed(self._builder.is_crossed)
        super().refresh(out)

    def event(self, ticker: Ticker) -> Ticker | Bbo:
        """What is published of it."""
        return ticker

    def beat(self, now: float, out: list[Output]) -> None:
        ticker = self._builder.expire(self._venue_clock.ahead_ms, now)
        if self._doubts.news:  # of what was held for too long; that is a quote, more likely than not
            self._note(_SOME_QUOTE)
        if ticker is not None:
            if not self.valued:
                self.first_value(out)
            out.append(self.event(ticker))

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        # The quote on show is the last sound one, and the venue says that it is so no more.
        return (State.STALE, Cause.CROSSED) if state.is_good and self._builder.is_crossed else (state, cause)

    def fields(self) -> tuple[str, ...]:
        return tuple(name for part in self._stale_parts() for name in freshness.FIELDS[part])

    def confirmed_at(self) -> float | None:
        """Where parts are stale: when these were confirmed, and not what is fresh."""
        stale = self._stale_parts()
        return self.parts_confirmed_at(stale) if stale else super().confirmed_at()

    def part_confirmed_at(self, part: Part) -> float | None:
        confirmed = super().part_confirmed_at(part)
        if part is not Part.QUOTE or not self._builder.is_crossed or confirmed is None or self._quoted_at is None:
            return confirmed
        # A crossed quote is no frame that was dropped: it proves the stream, but not the quote on show.
        return min(confirmed, self._quoted_at - max(each.delay.delay or 0 for each in self.sources[part]) / 1000)

    def _stale_parts(self) -> list[Part]:
        if not self.valued or self.ended is not None:
            return []
        stale = freshness.stale_parts(self.sources, self._builder.parts)
        if self._builder.is_crossed and Part.QUOTE not in stale:
            stale.insert(0, Part.QUOTE)
        return stale

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if self.plan is not None and sibling.trade_stream is not None:
            self._follow(sibling.trade_stream, out)

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if self.plan is not None and sibling.trade_stream is not None:
            self._follow(None, out)

    def close(self, now: float) -> None:
        if self._trades is not None:
            self._trades.remove(self, owns=False)
            self._trades = None
        # Listed anew, the venue may count anew, and what was known is of before: perhaps of another contract.
        self._builder, self._quoted_at, self.valued = self._new_builder(), None, False
        super().close(now)

    def _follow(self, trades: Stream | None, out: list[Output]) -> None:
        """``last`` may come from this trade stream (None: no more), as well as from the 24 h ticker."""
        if trades is self._trades:
            return
        known = self._own_sources_of_last()
        if self._trades is not None:
            self._trades.remove(self, owns=False)
        self._trades, self._traded_after = trades, -1
        self._borrows = trades is not None and trades not in known
        self._trades_count = False
        if trades is not None:
            trades.add(self, owns=False)
        self.sources[Part.LAST] = known
        self.stream_changed(out)

    def _own_sources_of_last(self) -> tuple[Stream, ...]:
        known = self.sources.get(Part.LAST, ())
        return tuple(each for each in known if each is not self._trades) if self._borrows else known

    def _count_trades(self) -> None:
        """A borrowed stream shows how fresh ``last`` is for as long as that is a trade's. What the 24 h figures say may
        be newer than its trades, by a clock that was set back since."""
        known = self._own_sources_of_last()
        self._trades_count = self._builder.is_traded
        if self._trades is not None and self._trades_count:
            known = (*known, self._trades)
        self.sources[Part.LAST] = known

    def stream_changed(self, out: list[Output]) -> None:
        builder = self._builder
        if self._trades is not None and self._trades.phase is Phase.SILENT:
            self._traded_after = -1  # it may be well again without a new beginning: its connection was silent as well
        if self._are_trades_complete():
            builder.trades_open = True
        elif builder.trades_open:
            ticker = builder.close_trades()
            if ticker is not None and not self._dropped:
                out.append(self.event(ticker))
        quotes = self.sources.get(Part.QUOTE, ())
        if quotes and all(each.source is None for each in quotes):
            builder.reset_quote_order()
        self.refresh(out)

    def _are_trades_complete(self) -> bool:
        """Whether no trade newer than the last one can have been missed."""
        trades = self._trades
        if trades is None or trades.interruptions != self._traded_after:
            return False
        return freshness.of_stream(trades, True)[0].is_good

    def _traded(self) -> None:
        """The trade stream has brought something that was believed; it may be of before the stream was begun anew."""
        trades = self._trades
        if trades is not None and not trades.is_ending:
            self._traded_after = trades.interruptions
            self._builder.trades_open = self._are_trades_complete()

"""One instrument's candles of one interval."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Candle, Cause, State
from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import Number, key
from cryptodash.core.quality import Count, Loss
from cryptodash.core.tally import Counter, Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Bar, Message, Trades
from cryptodash.exchanges.adapter.plan import Part, Plan, RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.builders.bar_times import AHEAD_BY_CLOCK_MS, possible
from cryptodash.exchanges.builders.candles import CandleBuilder
from cryptodash.exchanges.builders.rest_candles import candles_of
from cryptodash.exchanges.builders.trade_candles import TradeCandleBuilder
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream_phase import Signal
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.candle_fetches import CandleFetches
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, MessageSubscription, TopicSubscription
from cryptodash.exchanges.subscriptions.trade_comparison import TradeComparison, known_trade

MOST_CANDLES = 1000
MARGIN = 2
"""Bars asked for beyond those that are missing: the running one, and one that may open meanwhile."""


def refused_counter(tally: Tally) -> Counter:
    """Counts the bars of a venue, from streams and from REST, that cannot have opened yet."""
    return tally.counter(
        "cryptodash_candles_refused_total",
        "Bars, and trades for bars, left out because their time had not come at the venue",
        "exchange",
    )


class CandleSubscription(MessageSubscription):
    """A closing frame that got lost is fetched before the next bar goes out, or soon after the bar's end where no frame
    comes. Where the plan has the trades instead of bars, the bars are built from those."""

    def __init__(
        self,
        topic: Topic,
        basics: Basics,
        venue: IVenue,
        venue_clock: VenueClock,
        fetches: CandleFetches,
        tally: Tally,
        stale_after: float,
    ) -> None:
        super().__init__(topic, basics)
        self._builder = CandleBuilder(topic)
        self._from_trades = TradeCandleBuilder(topic)
        self._venue = venue
        self._venue_clock = venue_clock
        self._fetches = fetches
        self._missing = 0
        """Bars that the next request must cover."""
        self._interruptions = 0
        """Those of its streams that are known."""
        self._siblings: list[TopicSubscription] = []
        self._comparison = TradeComparison(stale_after)
        self._growth = VolumeGrowth()
        self._frame: Bar | None = None
        """The newest frame, until it was compared with the trades; when it came, by the venue's clock:"""
        self._frame_ms = 0
        self._counted = 0
        self._was_waiting = False
        self._refused = refused_counter(tally)

    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        super().open(plan, instrument, now, out)
        self._interruptions = sum(each.interruptions for each in self.streams())

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if isinstance(message, Trades):
            self._heed_interruptions()  # one that was no news of the stream's state is heard of here
            fills = message.fills
            venue_ms = self._venue_clock.at(now, received, fills[-1].time if fills else None)
            lacked = self._from_trades.lacks_trades
            self._publish(self._from_trades.fills(fills, received, venue_ms), out)
            self._count_refused()
            if self._from_trades.lacks_trades is not lacked:
                self.refresh(out)
            return False
        if not isinstance(message, Bar):
            return False
        venue_ms = self._venue_clock.at(now, received, message.time)
        builder = self._builder
        was_waiting, refused = builder.is_waiting, builder.refused
        candles, fetch = builder.bar(message, received, venue_ms)
        if builder.refused != refused:
            self._count_refused()
            return True
        self._frame, self._frame_ms = message, venue_ms
        self._publish(candles, out)
        if self._comparison.must_catch_up:
            self._note(out)
        if builder.is_waiting is not was_waiting:
            self.refresh(out)
        if fetch:
            self._missing = builder.missing
            self._fetches.ask(self, now, out, urgent=True)
        return False

    def beat(self, now: float, out: list[Output]) -> None:
        """The venue's clock closes what no frame closes; trades tell of frames that are missing."""
        venue_ms = self._venue_clock.now_ms()
        self._publish(self._from_trades.due(venue_ms, self._heard_ms(venue_ms, now)), out)
        if self.ended is None and self.instrument is not None and Part.CANDLE in self.sources:
            self._look(venue_ms, now, out)
            self._compare(venue_ms, now, out)
        self._fetches.advance(now, out)

    def _heard_ms(self, venue_ms: int, now: float) -> int:
        """Until when, by the venue's clock, all has come that its streams of trades sent; 0 where nothing tells. What
        comes by a connection keeps its order, and what is held up with it may be trades. ``venue_ms``: now by that
        clock."""
        heard = [
            0 if each.source is None else venue_ms - round((now - each.source.last) * 1000) - (each.delay.delay or 0)
            for each in self.sources.get(Part.TRADES, ())
        ]
        return min(heard, default=0)

    def _look(self, venue_ms: int, now: float, out: list[Output]) -> None:
        missing = self._builder.look(venue_ms)
        if missing:
            self._missing = missing
            self._fetches.ask(self, now, out, urgent=self._builder.is_waiting)

    def stream_changed(self, out: list[Output]) -> None:
        streams = self.streams()
        if any(not freshness.of_stream(each, True)[0].is_good for each in self.sources.get(Part.CANDLE, ())):
            self._comparison.interrupted()
        if self.valued and all(each.source is None for each in streams):
            self._builder.reconnected()
        self._heed_interruptions()
        self.refresh(out)

    def _heed_interruptions(self) -> None:
        """Before the first trade that comes after it: the bar that this one begins is not to be dropped for it."""
        interruptions = sum(each.interruptions for each in self.streams())
        if interruptions != self._interruptions:
            self._interruptions = interruptions
            self._from_trades.interrupted()

    def refresh(self, out: list[Output]) -> None:
        was_waiting, self._was_waiting = self._was_waiting, self._builder.is_waiting
        if self._was_waiting and not was_waiting:
            for stream in self.streams():
                stream.record.count(Count.GAPS)
        super().refresh(out)

    def streams_condition(self) -> freshness.Condition:
        state, cause = super().streams_condition()
        if not state.is_good:
            return state, cause
        if self._builder.is_waiting or self._from_trades.lacks_trades:
            return State.RESYNCING, Cause.GAP
        return (State.STALE, Cause.SILENT) if self._comparison.is_behind else (state, cause)

    def close(self, now: float) -> None:
        self._fetches.done(self)
        super().close(now)

    # -- REST

    def candles_request(self) -> RestRequest | None:
        if self.instrument is None or self.plan is None:
            return None
        limit = min(self._missing + MARGIN, MOST_CANDLES)
        request = self._venue.candles_request(self.topic, self.instrument, limit, None)
        if request.needs_end:
            request = self._venue.candles_request(self.topic, self.instrument, limit, self._venue_clock.now_ms())
        return request

    def candles(self, bars: Sequence[Bar], received: int, out: list[Output]) -> None:
        self._fetches.done(self)
        venue_ms = self._venue_clock.now_ms()
        sound = possible(bars, venue_ms)
        self._builder.refused += len(bars) - len(sound)
        self._count_refused()
        self._publish(self._builder.fetched(candles_of(self.topic, sound, venue_ms, received)), out)
        if self._builder.given_up:
            for stream in self.streams():
                stream.record.degrade(Loss.CANDLES_MISSING)
        self.refresh(out)

    def candles_failed(self, out: list[Output]) -> None:
        """The builder asks again with a later frame or look, or goes on without them."""
        self._fetches.done(self)
        self._publish(self._builder.fetch_failed(), out)
        self.refresh(out)

    # -- other topics of the same instrument

    @property
    def traded_ms(self) -> int | None:
        return self._growth.traded_ms

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling.topic.channel in (Channel.TRADE, Channel.CANDLE) and sibling not in self._siblings:
            self._siblings.append(sibling)

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling in self._siblings:
            self._siblings.remove(sibling)

    def _note(self, out: list[Output]) -> None:
        """What the newest frame shows of the trades, compared with what is known of them."""
        bar, came = self._frame, self._frame_ms
        if bar is None:
            return
        self._frame = None
        written = came if bar.time is None or bar.time > came + AHEAD_BY_CLOCK_MS else bar.time
        was_behind = self._comparison.is_behind
        self._growth.bar(bar.open_time, bar.volume, written)
        self._comparison.shown(written, self._known_trade(came), self._usual())
        if self._comparison.is_behind is not was_behind:
            self.refresh(out)

    def _compare(self, venue_ms: int, now: float, out: list[Output]) -> None:
        """A trade known from elsewhere that no bar shows proves that the stream of bars misses frames."""
        self._note(out)
        if self._comparison.look(self._known_trade(venue_ms), self._usual(), now):
            for stream in self.sources[Part.CANDLE]:
                stream.signal(Signal.SILENCE, now, out)

    def _known_trade(self, venue_ms: int) -> int | None:
        """The venue's time of the newest trade that a sibling knows of; never one that has not come."""
        return known_trade(self._siblings, venue_ms + AHEAD_BY_CLOCK_MS)

    def _usual(self) -> float:
        """Mean seconds between the stream's frames; 0 where unknown."""
        rate = max((each.pace.rate for each in self.sources.get(Part.CANDLE, ())), default=0.0)
        return 1.0 / rate if rate > 0.0 else 0.0

    # -- what it publishes

    def _count_refused(self) -> None:
        """Count what the builders have left out."""
        refused = self._builder.refused + self._from_trades.refused
        if refused != self._counted:
            for stream in self.streams()[:1]:
                stream.note(Count.IMPLAUSIBLE, refused - self._counted)
            self._refused.add(self.topic.exchange, by=refused - self._counted)
            self._counted = refused

    def _publish(self, candles: Sequence[Candle], out: list[Output]) -> None:
        out.extend(candles)
        if candles and not self.valued:
            self.first_value(out)


class VolumeGrowth:
    """When there certainly was a trade, as the volume of bars tells.

    The volume of a frame grew after the frame before was written. One growth is no proof for a stream of trades, which
    leaves out some that bars count (liquidations, say); ``traded_ms`` is that of the last growth but one.
    """

    def __init__(self) -> None:
        self.traded_ms: int | None = None
        """The venue's time (ms) after which there was a trade; None where there was no second growth yet."""
        self._last_ms: int | None = None
        self._opened = -1
        self._volume: Number | None = None
        self._written = 0

    def bar(self, opened: int, volume: Number, written: int) -> None:
        """A frame that was written at ``written`` (venue's time, ms)."""
        known, before = self._volume, self._opened
        if opened < before or written < self._written:
            return
        since = max(self._written, opened)
        if known is not None and volume != known and key(volume) > (key(known) if opened == before else 0):
            self.traded_ms, self._last_ms = self._last_ms, since
        self._opened, self._volume, self._written = opened, volume, written

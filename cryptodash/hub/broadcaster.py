"""The hub: events come in from the venues, messages go out to whoever is attached to their topic."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from time import perf_counter

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.core.config import Config
from cryptodash.core.cursors import Cursor
from cryptodash.core.events import (
    Bbo,
    BookView,
    Candle,
    Cause,
    Event,
    Gap,
    Liquidation,
    State,
    StreamStatus,
    Sweep,
    Ticker,
    Trade,
)
from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import ClusterReport, IRemoteInlet, ITopicSource, IUpstream
from cryptodash.core.quote_aliases import QuoteAliases
from cryptodash.core.tally import Labels, Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import COMPOSITE, Channel, Topic
from cryptodash.hub.cache import Cache
from cryptodash.hub.composite import CompositeBbo
from cryptodash.hub.composite_book import CompositeBook
from cryptodash.hub.composite_messages import bbo_message as composite_bbo_message
from cryptodash.hub.composite_source import CompositeSource
from cryptodash.hub.composite_topics import Sources, counting
from cryptodash.hub.demand import Demand
from cryptodash.hub.derived_demand import DerivedDemand
from cryptodash.hub.directory import Directory
from cryptodash.hub.encode import (
    TickerMessages,
    bbo_message,
    candle_message,
    gap_message,
    liquidation_message,
    replayed_message,
    ticker_message,
    trade_message,
)
from cryptodash.hub.freshness import Freshness
from cryptodash.hub.history import History
from cryptodash.hub.interfaces import Batch, IDemand, IDirectory, IOutlet, IPast, IReplay, IStates, IValues, Message
from cryptodash.hub.kept_topics import KeptTopics
from cryptodash.hub.ledger import Ledger
from cryptodash.hub.naming import Naming
from cryptodash.hub.outlets import Outlets
from cryptodash.hub.paces import Paces
from cryptodash.hub.replay_buffers import RECENT, ReplayBuffers
from cryptodash.hub.states import States
from cryptodash.hub.tape_replay import TapeReplay
from cryptodash.hub.views import Views
from cryptodash.hub.waiters import Waiters

_log = Logger(namespace="cryptodash.hub.broadcaster")

SAMPLED = 256
"""One event in so many is timed on its way from ``publish`` to the outlets."""
_BOUNDS = (1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 0.1, 1.0)


@implementer(IRemoteInlet, IDirectory, IDemand, IValues, IStates)
class Broadcaster:
    """One process's hub. Upstreams are added before anything else is asked of it; ``stop`` leaves no timer behind.

    Events of topics that nobody wants are counted and forgotten,
    so that nothing outlives its demand.
    """

    def __init__(self, config: Config, clock: Clock, scheduler: IReactorTime, tally: Tally) -> None:
        self.upstreams: dict[str, IUpstream] = {}
        self.past: IPast | None = None
        """What is recorded; None: nothing."""
        self.ledger = Ledger(clock, tally)
        self.on_wanted: list[Callable[[Topic, bool], None]] = []
        """Called with each topic (of order books each depth) that begins to be wanted, or ends: not to act at once,
        for the demand is in the middle of it."""
        self._sources: dict[str, ITopicSource] = {}
        self._clock = clock
        self._cache = Cache()
        self._replays = ReplayBuffers(clock.monotonic)
        self._tickers = TickerMessages()
        self._swept: dict[Topic, TickerMessages] = {}
        self._freshness = Freshness(self._sources, clock)
        self._waiters = Waiters(scheduler)
        self._waiting = self._waiters.waiting
        self._views = Views(self._waiters, self.status)
        self._history = History(clock, scheduler, self._cache.bars)
        self._demand = Demand(
            self._sources,
            clock,
            scheduler,
            config,
            self._started,
            self._ended,
            self._views.paced,
            self._waits,
        )
        self._wanted = self._demand.wanted
        self._composite = self._make_composite(config, scheduler, tally)
        self._parts = self._composite.users
        self._derived = DerivedDemand(self._demand, self._composite.parts_of, scheduler)
        self._naming = Naming(
            self._sources, config.book_depth_default, config.limits.max_custom_depths, self._held_depths
        )
        self._kept = KeptTopics(config.symbols, self._composite.parts_of)
        self._directory = Directory(self.upstreams, self._sources, self._naming, self._kept, config.book_depth_default)
        self._take_over(self._directory, self._derived)
        states = States(self._cache, self._views, self._replays, self._freshness)
        self.state, self.last_events = states.state, states.last_events
        self._outlets: dict[Topic, Outlets] = {}
        published = tally.counter("cryptodash_events_published_total", "Events taken from the venues.", "kind").cell
        routes: dict[type, tuple[str, Callable[..., bool]]] = {
            Ticker: ("ticker", self._on_ticker),
            Bbo: ("bbo", self._on_bbo),
            Trade: ("trade", self._on_trade),
            Liquidation: ("liquidation", self._on_liquidation),
            Gap: ("gap", self._on_gap),
            Candle: ("candle", self._on_candle),
            BookView: ("book", self._on_book),
            CompositeBbo: ("composite_bbo", self._on_composite),
            CompositeBook: ("composite_book", self._views.take),
            Sweep: ("sweep", self._on_sweep),
            StreamStatus: ("status", self._on_status),
        }
        self._routes = {each: ((kind,), published(kind), route) for each, (kind, route) in routes.items()}
        self._until_sample = SAMPLED
        self._count(tally)

    def _take_over(self, directory: Directory, demand: DerivedDemand) -> None:
        """What the parts do is done under the hub's name as well, with nothing in between."""
        self.book_depth_default, self.on_unknown = directory.book_depth_default, directory.on_unknown
        self.exchanges, self.markets = directory.exchanges, directory.markets
        self.candle_intervals, self.source, self.resolve = (
            directory.candle_intervals,
            directory.source,
            directory.resolve,
        )
        self.instruments, self.unknown_topics = directory.instruments, directory.unknown_topics
        self.exchange_reports, self.stream_reports = directory.exchange_reports, directory.stream_reports
        self.survey, self.cluster_report = directory.survey, directory.cluster_report
        self.refresh_catalogue = directory.refresh_catalogue
        self.view_interval, self.clients_of = demand.view_interval, demand.clients_of
        self.for_client, self.hold, self.release = demand.for_client, demand.hold, demand.release

    def _make_composite(self, config: Config, scheduler: IReactorTime, tally: Tally) -> CompositeSource:
        """The composite market, made of what is known here."""
        window = config.late_after_ms / 1000
        sources = Sources(
            status_of=self._freshness.of,
            as_of=lambda part: self.upstreams[part.exchange].as_of(part),
            quote_of=self._cache.bbos.get,
            book_of=self._views.newest,
            publish=self.publish,
            window=lambda: None if any(each.source == "replay" for each in self.upstreams.values()) else window,
            clock=self._clock,
            paces=Paces(scheduler),
            made=counting(tally),
        )
        made = self._sources[COMPOSITE] = CompositeSource(
            self.upstreams, QuoteAliases(config.quote_aliases), sources, scheduler
        )
        return made

    def _count(self, tally: Tally) -> None:
        self._unwanted = tally.counter(
            "cryptodash_events_unwanted_total", "Events of topics that nobody wants (any more).", "kind"
        ).values
        self._failed = tally.counter(
            "cryptodash_publish_failures_total", "Events that the hub could not handle: faults of ours.", "kind"
        ).values
        self._delay = tally.histogram(
            "cryptodash_publish_to_enqueue_seconds",
            "From an event's publication to its messages being handed to every outlet (sampled).",
            _BOUNDS,
            "kind",
        )
        tally.gauge(
            "cryptodash_waiting_topics",
            "Topics that clients hold and that wait until they may be opened at their exchange.",
            self._demand.waiting_counts,
            "exchange",
        )
        tally.gauge("cryptodash_cache_entries", "Values kept.", self._entries, "kind")
        tally.gauge(
            "cryptodash_replay_bytes",
            "What the events take that are kept for clients that come back.",
            lambda: {(): float(self._replays.bytes)},
        )

    def _entries(self) -> Mapping[Labels, float]:
        others = {
            ("status",): float(len(self._freshness)),
            ("view",): float(len(self._views)),
            ("history_bar",): float(len(self._history)),
        }
        return self._cache.sizes() | self._replays.sizes() | others

    def add_upstream(self, upstream: IUpstream) -> None:
        """Make a venue known, before start."""
        self.upstreams[upstream.exchange] = self._sources[upstream.exchange] = upstream

    def join(self, report: Callable[[], ClusterReport | None]) -> None:
        """The venues are a cluster's; ``report`` tells what this process is in it."""
        self._directory.of_cluster = report

    def reconfigure(self, config: Config) -> None:
        """Limits that what is new goes by from now on, and the topics of ``SYMBOLS``, which others hold and release."""
        self._naming.max_custom_depths = config.limits.max_custom_depths
        self._demand.streams.limit(config.limits.max_upstream_streams)
        self._kept.replace(config.symbols)

    def stop(self) -> None:
        """Cancel every timer; those who wait for a first value are told that their time is over."""
        self._demand.stop()
        self._derived.stop()
        self._composite.stop()
        self._waiters.stop()
        self._history.stop()

    # -- IInlet --

    def publish(self, event: Event | CompositeBbo) -> None:
        kind, published, route = self._routes[type(event)]
        published.count += 1
        self._until_sample -= 1
        try:
            if not self._until_sample:
                self._timed(kind, route, event)
            elif not route(event):
                self._unwanted[kind] += 1
        except Exception:
            # A fault in here must not end the venue's connection; the first of each kind is logged, all are counted.
            if not self._failed[kind]:
                _log.failure("publishing a {kind} of {topic} failed", kind=kind[0], topic=event.topic)
            self._failed[kind] += 1

    def _timed(self, kind: Labels, route: Callable[..., bool], event: Event | CompositeBbo) -> None:
        self._until_sample = SAMPLED
        begun = perf_counter()
        if route(event):
            self._delay.at(*kind).observe(perf_counter() - begun)
        else:
            self._unwanted[kind] += 1

    def _on_ticker(self, event: Ticker) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        self._cache.tickers[topic] = event
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver(ticker_message(event))
        if self._waiting:
            self._waiters.wake(topic)
        return True

    def _on_bbo(self, event: Bbo) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        self._cache.bbos[topic] = event
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver(bbo_message(event))
        if self._waiting:
            self._waiters.wake(topic)
        if topic in self._parts:
            self._composite.took(topic)
        return True

    def _on_composite(self, event: CompositeBbo) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver(composite_bbo_message(event))
        if self._waiting:
            self._waiters.wake(topic)
        return True

    def _on_book(self, event: BookView) -> bool:
        is_wanted = self._views.take(event)
        if self._parts and event.topic.upstream in self._parts:
            self._composite.took(event.topic, event.interval)
        return is_wanted

    def _on_trade(self, event: Trade) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        self._replays.put(event)
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver(trade_message(event))
        if self._waiting:
            self._waiters.wake(topic)
        return True

    def _on_liquidation(self, event: Liquidation) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        self._replays.put(event)
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver(liquidation_message(event))
        if self._waiting:
            self._waiters.wake(topic)
        return True

    def _on_gap(self, event: Gap) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        self._replays.put(event)
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver(gap_message(event))
        return True

    def _on_candle(self, event: Candle) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        if self._cache.put_candle(event):
            if event.closed:
                self._replays.put(event)
            outlets = self._outlets.get(topic)
            if outlets is not None:
                outlets.deliver(candle_message(event))
            if self._waiting:
                self._waiters.wake(topic)
        return True

    def _on_sweep(self, event: Sweep) -> bool:
        topic = event.topic
        if topic not in self._wanted:
            return False
        self._cache.put_sweep(event)
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.deliver_sweep(Batch(topic, self._swept_messages(topic, event.tickers)))
        if self._waiting:
            self._waiters.wake(topic)
        return True

    def _swept_messages(self, sweep: Topic, tickers: Sequence[Ticker]) -> list[Message]:
        if not tickers:
            return []
        message_of = self._swept.setdefault(sweep, TickerMessages()).of
        return [message_of(ticker) for ticker in tickers]

    def _on_status(self, event: StreamStatus) -> bool:
        topic = event.topic.upstream
        if not self._demand.wants(topic):
            return False
        changed = self._freshness.put(event)
        if topic.channel is Channel.ORDER_BOOK:
            self._views.take_status(event)
            if changed:
                self._views.tell_status(topic)
        elif changed:
            outlets = self._outlets.get(topic)
            if outlets is not None:
                outlets.deliver(self.status(topic))
        if changed and topic in self._parts:
            self._composite.changed(topic)
        return True

    def recent(self, topic: Topic, events: Sequence[Event]) -> None:
        if topic not in self._wanted:
            return
        outlets = self._outlets.get(topic)
        for event in events:
            if isinstance(event, Candle) and not self._cache.put_candle(event):
                continue
            if not isinstance(event, Trade | Liquidation | Gap | Candle):
                continue
            self._replays.put(event)
            if outlets is not None:
                outlets.deliver(replayed_message(event))
        if self._waiting:
            self._waiters.wake(topic)

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        self._demand.catalogue_changed(exchange)
        self._composite.catalogue.version += 1
        concerned = self._composite.concerned(exchange, market)
        for topic in concerned:
            self._derived.replan(topic)
        self._composite.replan(concerned)
        self._directory.catalogue_changed(exchange, market)
        self._directory.catalogue_changed(COMPOSITE, market)

    # -- what follows from demand --

    def _held_depths(self, book: Topic) -> Mapping[Topic, Collection[int]]:
        parts = self._composite.parts_of(book).values() if book.exchange == COMPOSITE else ()
        return {
            each: [topic.depth for topic in self._demand.depths(each) if self._wanted[topic]] for each in (book, *parts)
        }

    def _started(self, topic: Topic) -> None:
        for listener in self.on_wanted:
            listener(topic, True)
        self._freshness.expect(topic)
        if topic.channel is Channel.ORDER_BOOK:
            self._views.open(topic)
        self._directory.accepted(topic)

    def _waits(self, topic: Topic, whether: bool) -> None:
        """An upstream topic has to wait until it may be opened, or need not wait any more."""
        cause = Cause.CAPACITY if whether else None
        self._on_status(StreamStatus(topic, State.CONNECTING, cause, since=self._clock.wall_ms()))

    def _ended(self, topic: Topic) -> None:
        for listener in self.on_wanted:
            listener(topic, False)
        self._directory.forget(topic)
        if topic.channel is Channel.ORDER_BOOK:
            last = not self._demand.depths(topic.upstream)
            self._views.close(topic, last=last)
            if last:
                self._freshness.forget(topic.upstream)
                self._composite.changed(topic)
            return
        self._freshness.forget(topic)
        self._cache.forget(topic)
        self._replays.forget(topic)
        self._composite.changed(topic)
        self._tickers.forget(topic)
        self._swept.pop(topic, None)

    # -- IValues --

    def attach(self, outlet: IOutlet, topic: Topic, interval: int) -> None:
        if topic.channel is Channel.ORDER_BOOK:
            self._views.attach(outlet, topic, interval)
        else:
            self._outlets.setdefault(topic, Outlets()).add(outlet)

    def detach(self, outlet: IOutlet, topic: Topic, interval: int) -> None:
        if topic.channel is Channel.ORDER_BOOK:
            self._views.detach(outlet, topic, interval)
            return
        outlets = self._outlets.get(topic)
        if outlets is not None:
            outlets.remove(outlet)
            if not outlets:
                del self._outlets[topic]

    def status(self, topic: Topic) -> Message:
        return self._freshness.message(topic)

    def stream_status(self, topic: Topic) -> StreamStatus:
        return self._freshness.of(topic)

    def age_ms(self, topic: Topic) -> int | None:
        return self._freshness.age_ms(topic)

    def current(self, topic: Topic, interval: int) -> Sequence[Message]:
        if topic.channel is Channel.ORDER_BOOK:
            snapshot = self._views.current(topic, interval)
            return [snapshot] if snapshot is not None else []
        if topic.channel is Channel.TRADE or topic.channel is Channel.LIQUIDATION:
            return [replayed_message(each) for each in self._replays.latest(topic, RECENT)]
        if topic.channel is Channel.CANDLE:
            return [candle_message(bar) for bar in self._cache.bars(topic)[-1:]]
        if topic.exchange == COMPOSITE:
            made = self._composite.bbo(topic)
            return [composite_bbo_message(made)] if made is not None and made.is_telling else []
        if topic.channel is Channel.BBO:
            quote = self._cache.bbos.get(topic)
            return [bbo_message(quote)] if quote is not None else []
        if topic.is_sweep:
            return self._swept_messages(topic, list(self._cache.sweeps.get(topic, {}).values()))
        ticker = self._cache.tickers.get(topic)
        return [self._tickers.of(ticker)] if ticker is not None else []

    def ticker(self, topic: Topic) -> Ticker | None:
        return self._cache.tickers.get(topic)

    def composite(self, topic: Topic, exchanges: frozenset[str] | None) -> CompositeBbo | None:
        return self._composite.bbo(topic, exchanges)

    def constituents(self, topic: Topic) -> Collection[str]:
        return self._composite.parts_of(topic).keys()

    def trades(self, topic: Topic, limit: int) -> Sequence[Trade]:
        return [each for each in self._replays.latest(topic, limit) if isinstance(each, Trade)]

    def replay(self, topic: Topic, cursor: Cursor, client: str = "") -> IReplay:
        kept = self._replays.replay(topic, cursor)
        if kept.is_complete or self.past is None:
            return kept
        wait, now = self._waiters.wait, self._clock.monotonic
        return TapeReplay(topic, cursor, client, self.past, self._replays, wait, self._open_bar, now)

    def _open_bar(self, topic: Topic) -> int | None:
        """The open time of the newest bar."""
        return next((bar.timestamp for bar in reversed(self._cache.bars(topic))), None)

    async def candles(self, topic: Topic, limit: int, end_ms: int | None, client: str) -> tuple[Sequence[Candle], bool]:
        return await self._history.candles(self.upstreams[topic.exchange], topic, limit, end_ms, client)

    async def first_value(self, topic: Topic, interval: int, timeout: float) -> bool:
        over = self._clock.monotonic() + timeout
        while not (self.current(topic, interval) and self._composite.is_settled(topic)):
            left = over - self._clock.monotonic()
            if left <= 0 or not await self._waiters.wait(topic.upstream, left):
                return bool(self.current(topic, interval))
        return True

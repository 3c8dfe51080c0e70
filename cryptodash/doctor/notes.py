"""Takes down what happens at one venue while it is examined: told by the watched engine and adapter (``IWatch``) and,
as the hub would be, by the venue's service (``IInlet``). Everything kept is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zope.interface import implementer

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import BookView, Cause, Event, Gap, State, StreamStatus, Sweep, Ticker, is_crossed
from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import IInlet
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.doctor.choice import turnover_of
from cryptodash.doctor.facts import EndFacts, StateFacts, UnreadableFacts
from cryptodash.doctor.market_notes import SHOWN, ConnectionNotes, MarketNotes, RequestNotes, TopicNotes
from cryptodash.doctor.recorder import Recorder
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Closed, Connect
from cryptodash.exchanges.connections.left_out import CONTRACT_SIZE, INSTRUMENT, SAME_SYMBOL

MOST_STATES = 50
"""Of one topic; further ones replace the last."""
MOST_CONNECTIONS = 40
MOST_LEFT_OUT = 20


@implementer(IInlet)
class Notes:
    """What is known of one venue so far. ``proxy_of`` says through which proxy a URL is reached."""

    def __init__(
        self, venue: IVenue, clock: Clock, proxy_of: Callable[[str], str], recorder: Recorder | None = None
    ) -> None:
        self.markets = {market: MarketNotes(market) for market in venue.markets}
        self.topics: dict[Topic, TopicNotes] = {}
        self.connections: dict[str, ConnectionNotes] = {}
        self.left_out_elements: list[str] = []
        self._venue = venue
        self._clock = clock
        self._began = clock.monotonic()
        self._proxy_of = proxy_of
        self._recorder = recorder
        self._market = venue.markets[0]
        """Of what is being read."""
        self._asked: dict[RestRequest, int] = {}
        self._sent: dict[RestRequest, int] = {}

    @property
    def ms(self) -> int:
        """Milliseconds since the beginning."""
        return round((self._clock.monotonic() - self._began) * 1000)

    # IWatch

    def connecting(self, order: Connect) -> None:
        if len(self.connections) < MOST_CONNECTIONS:
            market = self._venue.endpoints[order.endpoint].market
            self.connections[order.connection] = ConnectionNotes(order, market, self.ms, self._proxy_of(order.url))

    def opened(self, connection: str) -> None:
        found = self.connections.get(connection)
        if found is not None:
            found.opened = self.ms

    def sent(self, connection: str, frame: bytes) -> None:
        if self._recorder is not None:
            self._record(connection, frame, came_in=False)

    def frame(self, connection: str, frame: bytes) -> None:
        found = self.connections.get(connection)
        if found is None:
            return
        self._market = found.market
        if found.first is None:
            found.first = self.ms
        found.frames += 1
        found.bytes += len(frame)
        if self._recorder is not None:
            self._record(connection, frame, came_in=True)

    def _record(self, connection: str, frame: bytes, *, came_in: bool) -> None:
        found = self.connections.get(connection)
        if found is not None and self._recorder is not None:
            self._recorder.frame(found.market, frame, self._clock.wall_ms(), came_in=came_in)

    def ending(self, connection: str, why: str) -> None:
        found = self.connections.get(connection)
        if found is not None:
            found.asked = why

    def closed(self, connection: str, how: Closed) -> None:
        found = self.connections.get(connection)
        if found is not None:
            found.end = EndFacts(
                self.ms, how.kind, how.code, how.status, how.reason[:SHOWN], found.asked, found.opened is not None
            )

    def asked(self, request: RestRequest) -> None:
        self._asked[request] = self.ms

    def body(self, request: RestRequest, body: bytes) -> None:
        self._market = request.market
        if self._recorder is not None:
            self._recorder.body(request, body, self._clock.wall_ms())

    def sent_request(self, request: RestRequest) -> None:
        """A request is sent. How long it waited for room in our own budget says nothing of the venue."""
        if request.purpose not in (Purpose.CATALOGUE, Purpose.CANDLES):  # whose answers are not told here
            self._sent[request] = self.ms

    def sent_at(self, request: RestRequest, asked: int | None) -> int | None:
        """When this request, which has ended, was sent; where that is not known, when it was asked for."""
        return self._sent.pop(request, asked)

    def answered(self, request: RestRequest) -> None:
        began = self.sent_at(request, self._asked.pop(request, None))
        self.request_ended(request.market, str(request.purpose.value), began)

    def failed(self, request: RestRequest, error: UpstreamError) -> None:
        began = self.sent_at(request, self._asked.pop(request, None))
        self.request_ended(request.market, str(request.purpose.value), began, error)

    def unreadable(self, error: Exception, data: bytes) -> None:
        notes = self.markets[self._market]
        before = notes.unreadable
        if before.count:
            notes.unreadable = UnreadableFacts(before.count + 1, before.error, before.sample, before.at_ms)
        else:
            text = f"{type(error).__name__}: {error}"[:SHOWN]
            notes.unreadable = UnreadableFacts(1, text, shortened(data), self.ms)

    def left_out(self, kind: str, name: str, why: str) -> None:
        text = f"{kind} {name}: {why}"[:SHOWN]
        market = next((each for each in self.markets.values() if name.startswith(f"{each.market} ")), None)
        kept = self.left_out_elements
        if market is not None and kind == CONTRACT_SIZE:
            kept = market.wrong_contracts
        elif market is not None and kind in (INSTRUMENT, SAME_SYMBOL):
            kept = market.unknown
        if len(kept) < MOST_LEFT_OUT and text not in kept:
            kept.append(text)

    def checksum(self, market: MarketType) -> None:
        self.markets[market].checksums += 1

    # REST

    def request_ended(
        self,
        market: MarketType,
        purpose: str,
        began: int | None = None,
        error: UpstreamError | None = None,
        holds: str = "",
    ) -> None:
        """A request was answered, or failed with this error."""
        now = self.ms
        notes = self.markets[market].requests.setdefault(
            purpose, RequestNotes(purpose, now if began is None else began)
        )
        notes.holds = notes.holds or holds
        if error is None:
            notes.answered += 1
            if began is not None:
                took = now - began
                notes.first_ms = took if notes.first_ms is None else notes.first_ms
                notes.least_ms = took if notes.least_ms is None else min(notes.least_ms, took)
        else:
            notes.failed += 1
            if not notes.error:
                notes.cause, notes.error = error.cause, str(error)

    # IInlet

    def publish(self, event: Event) -> None:
        if isinstance(event, Sweep):
            notes = self.markets[event.topic.market]
            for ticker in event.tickers:
                _note_turnover(notes, ticker)
            if notes.turnovers:
                notes.swept.happen()
            return
        found = self.topics.get(event.topic.upstream)
        if found is None:
            return
        if isinstance(event, StreamStatus):
            self._note_state(found, event)
        elif isinstance(event, Gap):
            found.missed += event.missed or 0
        else:
            self._note_value(found, event)

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        self.markets[market].listed.happen()

    def _note_state(self, found: TopicNotes, event: StreamStatus) -> None:
        last = found.states[-1] if found.states else None
        if last is not None and (last.state, last.cause) == (event.state, event.cause):
            return
        if len(found.states) == MOST_STATES:
            found.states.pop()
        found.states.append(StateFacts(self.ms, event.state, event.cause))
        if event.cause is Cause.CHECKSUM:
            self.markets[found.topic.market].checksums_wrong += 1

    def _note_value(self, found: TopicNotes, event: Event) -> None:
        found.values += 1
        if found.first is None:
            found.first = self.ms
        if (
            isinstance(event, BookView)
            and is_crossed(event.bids, event.asks)
            and found.states
            and found.states[-1].state is State.LIVE
        ):
            found.crossed += 1

    # looking

    def watch_topic(self, topic: Topic, role: str) -> None:
        """From now on this topic (an order book by its depth) is looked at."""
        self.topics[topic.upstream] = TopicNotes(topic, role, self.ms)

    def of_market(self, market: MarketType) -> Iterator[TopicNotes]:
        return (each for each in self.topics.values() if each.topic.market is market)


def _note_turnover(notes: MarketNotes, ticker: Ticker) -> None:
    turnover = turnover_of(ticker)
    if turnover is not None:
        notes.turnovers[ticker.topic.symbol] = turnover


def shortened(data: bytes) -> str:
    """The beginning of a frame, printable."""
    text = data[:SHOWN].decode("utf-8", "replace")
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return text if len(data) <= SHOWN else f"{text}... ({len(data)} bytes)"

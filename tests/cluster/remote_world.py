"""A venue that another process holds, with that process's side made by hand: its frames, on a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.remote_venue import LOOK_S, RemoteVenue
from cryptodash.cluster.wire import Beat, Confirmed, Demanded, Echo
from cryptodash.core.events import Candle, Cause, Event, Side, State, StreamStatus, Ticker, Trade
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.hub.ledger import Ledger
from tests.cluster.hub_fakes import Inlet, States
from tests.cluster.wire_samples import N

TICKERS, TRADES, BARS, VIEW = (
    parse_topic(f"binance:spot:BTC-USDT:{each}") for each in ("ticker", "trade", "candle:1m", "order_book:20")
)
BOOK = VIEW.upstream
AHEAD = 5_000.25
"""Seconds by which the holder's clock is ahead of ours."""


def ticker(timestamp: int = 10_000, last: str = "3") -> Ticker:
    return Ticker(TICKERS, timestamp, 7, N(last))


def trade(timestamp: int, name: str) -> Trade:
    return Trade(TRADES, timestamp, 7, name, N("3"), N("4"), Side.BUY)


def live(topic: Topic) -> StreamStatus:
    return StreamStatus(topic, State.LIVE, since=1)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock(monotonic=1_000.0)
        self.inlet, self.states, self.tally = Inlet(), States(), Tally()
        self.ledger = Ledger(self.clock, self.tally)
        self.asked: list[Demanded] = []
        self.checks = 0
        self.bars: list[Candle] = []
        """What the holder answers who asks for bars."""
        self.fetched: list[Topic] = []
        self.catalogues: list[str] = []
        self.fence, self.offset = 7, 40
        self.venue = RemoteVenue(
            "binance", "me", self.inlet, self.states, self.clock, self.tally,
            self.asked.append, self._check, self.catalogues.append, self._fetch, self.ledger.venue("binance"),
        )  # fmt: skip

    async def _fetch(self, topic: Topic, count: int) -> Sequence[Candle]:
        self.fetched.append(topic)
        return self.bars[-count:]

    def _check(self) -> None:
        self.checks += 1

    def says(self, *records: bytes, to: str = "", after: float = 0.0) -> None:
        """The holder, in one frame that is ``after`` seconds under way."""
        data = wire.frame_of(self.fence, self.offset, self.clock.monotonic() + AHEAD, records, to)
        self.offset += 1
        self.clock.advance(after)
        self.venue.took(data)

    def tells(self, *events: Event, to: str = "", age_ms: int | None = None) -> None:
        self.says(*[event_records.record_of(each, age_ms) for each in events], to=to)

    def frame(self, *records: bytes) -> bytes:
        """The holder's next one, on its way."""
        made = wire.frame_of(self.fence, self.offset, self.clock.monotonic() + AHEAD, records, "")
        self.offset += 1
        return made

    def beats(self, *ages: Confirmed, is_echo: bool = True, to: str = "", after: float = 0.0) -> None:
        """With an echo of what we said just now, unless there is to be none."""
        echoes = [Echo("me", self.clock.monotonic(), 0.0)] if is_echo else []
        self.says(wire.beat_of(Beat(list(ages), echoes)), to=to, after=after)

    def tells_state(self, *events: Event) -> None:
        """The values and the status behind them."""
        self.tells(*events, to="me")

    def is_good(self, *topics: Topic) -> None:
        """These are wanted, the holder is known, has beaten and told their state."""
        self.venue.want(topics)
        self.venue.holder_is(self.fence)
        self.beats()
        for topic in topics:
            self.tells_state(live(topic.upstream))
        self.asked.clear()
        self.inlet.came.clear()

    def passes(self, seconds: float) -> None:
        """With a look every quarter of a second, and a tick every half."""
        for count in range(1, round(seconds / LOOK_S) + 1):
            self.clock.advance(LOOK_S)
            self.venue.look()
            if count % 2 == 0:
                self.venue.tick()

    def counted(self, name: str, *labels: str) -> int:
        return self.tally.counter(
            f"cryptodash_cluster_{name}_total", "", *["exchange", "reason"][: len(labels)]
        ).values[labels]

    def doubt(self, topic: Topic, state: State) -> StreamStatus:
        """The status of what is not known from the holder now."""
        return StreamStatus(topic, state, Cause.BACKEND, since=self.clock.wall_ms())

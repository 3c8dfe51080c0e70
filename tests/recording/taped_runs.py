"""A whole server that records the frames of a simulated venue, and a whole server that plays them again; both in
memory. What is compared is each state of an order book where the venue's service hands it on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from attrs import evolve, frozen
from msgspec.structs import replace

from cryptodash import service
from cryptodash.core.events import Ticker
from cryptodash.core.interfaces import IInlet
from cryptodash.core.layers import Layer, load
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.exchanges import service as venue_service
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.exchanges.venues.recorded_names import listed, own_names
from cryptodash.recording import service as recording_service
from cryptodash.recording import tape_writer
from cryptodash.simulator.recording import Recording, read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.simulator.server import Simulator
from cryptodash.testing.network import MemoryNetwork
from tests.chaos.recorded import SimulatedWriter

STEP = 1 / 16
SYMBOLS = {"coinbase": ("BTC-USD", "ETH-USD"), "kraken": ("BTC-USD", "ETH-USD")}
OTHER_SYMBOLS = ("BTC-USDT", "ETH-USDT")
LEVELS = 20
SEGMENT_S = 12.0


@frozen
class State:
    """One state of a book: the clock when it was told (ms), and its best levels."""

    at: int
    bids: tuple[Any, ...]
    asks: tuple[Any, ...]

    @property
    def levels(self) -> tuple[Any, ...]:
        return self.bids, self.asks


class Books:
    """All states of all books of a run, by symbol, and how often each book was rebuilt."""

    def __init__(self, network: MemoryNetwork, levels: int) -> None:
        self.states: dict[str, list[State]] = defaultdict(list)
        self.rebuilt: dict[str, list[int]] = defaultdict(list)
        """The places among the states."""
        self._network = network
        self._levels = levels

    def take(self, event: BookChanged) -> None:
        name = str(event.topic.symbol)
        if event.rebuilt:
            self.rebuilt[name].append(len(self.states[name]))
        bids, asks = event.book.top(self._levels)
        self.states[name].append(State(self._network.wall_ms(), tuple(bids), tuple(asks)))


@contextmanager
def watched(network: MemoryNetwork, levels: int = LEVELS) -> Iterator[Books]:
    """Servers that are made meanwhile tell the states of their books."""
    books = Books(network, levels)

    class Publisher(BookPublisher):
        def __init__(self, inlet: IInlet, timers: PublishTimers) -> None:
            super().__init__(inlet, timers)

        def changed(self, event: BookChanged) -> None:
            books.take(event)
            super().changed(event)

    with patch.object(venue_service, "BookPublisher", Publisher):
        yield books


def topics_of(exchange: str, market: str, channels: Sequence[str] = ("order_book:20", "ticker", "trade")) -> str:
    symbols = SYMBOLS.get(exchange, OTHER_SYMBOLS)
    return ",".join(":".join([exchange, market, symbol, *each.split(":")]) for symbol in symbols for each in channels)


def tickers_of(server: Any, exchange: str, market: str) -> dict[str, Ticker]:
    """By symbol, those that are known, less what only tells when it came."""
    topics = [parse_topic(each) for each in topics_of(exchange, market, ["ticker"]).split(",")]
    known = {str(each.symbol): server.hub.ticker(each) for each in topics}
    return {name: replace(each, received=0, figures=None) for name, each in known.items() if each is not None}


class Taped:
    """A run that is recorded, with a segment for each ``segment_s`` seconds."""

    def __init__(
        self, root: Path, exchange: str, market: str, *, seed: int = 3, segment_s: float = SEGMENT_S, **settings: str
    ) -> None:
        self.root = root
        self._segment_s = segment_s
        self.exchange, self.market = exchange, market
        self.network = network = MemoryNetwork()
        network.callFromThread = lambda call: network.callLater(0, call)  # type: ignore[attr-defined]
        self.simulator = Simulator(network, network, seed=seed)
        self.simulator.listen()
        self.config = load(
            [
                Layer(
                    "test",
                    {
                        "BIND_ADDR": "127.0.0.1:0",
                        "DEMO": "true",
                        "EXCHANGES": exchange,
                        "SYMBOLS": topics_of(exchange, market),
                        "BOOK_DEPTH_DEFAULT": "20",
                        "RECORD_DIR": str(root),
                        "RECORD_KEEP_MESSAGES_GB": "0",
                        **settings,
                    },
                )
            ],
            [exchange],
        )
        with (
            watched(network) as self.books,
            patch.object(recording_service, "WriterThread", SimulatedWriter),
        ):
            self.server = service.build(
                self.config,
                network,
                clock=network,
                random=Random(7),
                stand_in=service.StandIn(self.simulator, self.simulator.base_urls, "simulated"),
            )
            self.server.privilegedStartService()
            self.server.startService()
        self.recorder: Any = self.server.getServiceNamed("recorder")

    def run(self, seconds: float) -> None:
        with patch.object(tape_writer, "SEGMENT_S", self._segment_s):
            for _ in range(round(seconds / STEP)):
                self.network.advance(STEP)
                self.network.settle()

    def lose(self, seconds: float) -> None:
        """As ``run``, but all blocks are lost meanwhile."""
        with patch.object(self.recorder._queue, "put", lambda name, block: False):
            self.run(seconds)

    def stop(self) -> None:
        self.tickers = tickers_of(self.server, self.exchange, self.market)
        with patch.object(tape_writer, "SEGMENT_S", self._segment_s):
            stopping = self.server.stopService()
            self.network.pass_time(6.0)
        assert stopping.called

    @property
    def now(self) -> int:
        """Tape time, us."""
        return int(self.recorder.now())

    @property
    def segments(self) -> list[Path]:
        return sorted(self.root.glob("writer-*/frames/*.tape"))


class Played:
    """The same, played again by a server of its own."""

    def __init__(self, path: Path, config: Any, *, speed: float = 1.0, levels: int = LEVELS, **chosen: Any) -> None:
        self.recording: Recording = read_recording(path, **chosen)
        recording = self.recording
        real = registry.load(recording.exchange)
        samples = own_names(real, recording.market, recording.symbols, recording.asked, recording.samples())
        known = listed(real, recording.market, lambda asked: recording.answers(asked.path, asked.params))
        venue: Any = RecordedVenue(real, samples, recording.limits, {**recording.instruments, **known})
        topics: list[Topic] = venue.topics(
            recording.exchange, recording.market, recording.symbols, config.book_depth_default
        )
        self.network = network = MemoryNetwork()
        self.has_ended = False
        self.began = self.seconds = 0.0
        """When the first frame was played, and when the last one was."""
        self.replay = Replay(network, recording, speed=speed, delay=0.5, ended=self._ended)
        self.replay.listen()
        with watched(network, levels) as self.books:
            self.server = service.build(
                evolve(config, symbols=tuple(topics), record_dir="", exchanges=(recording.exchange,)),
                network,
                clock=network,
                random=Random(7),
                venues=[venue],
                stand_in=service.StandIn(self.replay, self.replay.base_urls, "replay"),
            )
            self.server.privilegedStartService()
            self.server.startService()

    def _ended(self) -> None:
        self.has_ended = True

    def play(self, seconds: float = 120.0, each_step: Callable[[], object] = lambda: None) -> None:
        """To the end, and a little longer."""
        for _ in range(round(seconds / STEP)):
            self.network.advance(STEP)
            self.network.settle()
            each_step()
            if not self.began and self.replay.played:
                self.began = self.network.seconds()
            if self.has_ended:
                break
        assert self.has_ended
        self.seconds = self.network.seconds()
        for _ in range(8):
            self.network.advance(STEP)
            self.network.settle()
        self.tickers = tickers_of(self.server, self.recording.exchange, self.recording.market)
        stopping = self.server.stopService()
        self.network.pass_time(6.0)
        assert stopping.called

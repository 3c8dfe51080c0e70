"""Recorded frames through the whole server: a stand-in venue's socket, feed, hub, /ws, and a client that compares every digit.

A recording is played in steps: the next frames go out when the server has read the last ones and the client has got everything that came of them.
So nothing is conflated but order-book views (10 a second by contract), and no step depends on the machine's speed.
Each state of the venue's book is compared at its source, where the feed hands it to the hub; each view where the client holds it. Of the two long
recordings the first 8,000 frames are played (all of them go through the bare book in the exchange room's tests).
"""

from __future__ import annotations

import importlib.util
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import pytest_twisted
from attrs import define, evolve, field
from pytest_twisted import ensureDeferred

from cryptodash import service
from cryptodash.core.config import Layer, load
from cryptodash.core.events import BookChanged, Event, Ticker
from cryptodash.core.time import SystemClock, rfc3339
from cryptodash.exchanges import registry
from cryptodash.exchanges.messages import Ack, BadFrame, Message, Pong
from cryptodash.exchanges.recorded import RecordedVenue
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.simulator.recording import Recording, read_recording
from cryptodash.simulator.replay import Replay

pytestmark = pytest.mark.captures

DEPTHS = (1, 20, 50, 1000)
STEP = 100
MOST_FRAMES = 8_000
SPLITS = ("BTCUSD_PERP=BTC-USD",)
"""Names that no ending splits."""

FILES = {
    "binance/spot-combined-btcusdt-2024.jsonl.gz": {"ticker", "trade", "order_book"},
    "binance/usdm-combined-btcusdt-2024.jsonl.gz": {"ticker", "trade", "order_book"},
    "binance/spot-combined-4sym-2021.jsonl": {"ticker", "trade", "order_book", "candle"},
    "binance/usdm-combined-4sym-2021.jsonl": {"ticker", "trade", "order_book", "candle"},
    "binance/spot-bookticker-btcusdt-2026.jsonl": set(),  # a quote alone: no ticker is sent before a last price is known
    "binance/spot-miniticker-btcusdt-2026.jsonl": {"ticker"},
    "binance/spot-kline1m-btcusdt-2026.jsonl": {"candle"},
    "binance/usdm-miniticker-btcusdt-2026.jsonl": {"ticker"},
    "binance/usdm-kline1m-btcusdt-2026.jsonl": {"candle"},
    "binance/coinm-ticker24h-btcusdperp-2026.jsonl": {"ticker"},
    "bybit/linear-kline1-btcusdt-2026.jsonl": {"candle"},
    "bybit/linear-orderbook50-btcusdt-2026.jsonl": {"order_book"},
    "bybit/linear-orderbook500-xrpusdt-2024.jsonl": {"order_book"},
    "bybit/linear-publictrade-btcusdt-2026.jsonl": {"trade"},
    "bybit/linear-tickers-btcusdt-2026.jsonl": {"ticker"},
    "bybit/spot-kline1-btcusdt-2026.jsonl": {"candle"},
    "bybit/spot-orderbook1-btcusdt-2026.jsonl": set(),  # likewise
    "bybit/spot-orderbook50-btcusdt-2026.jsonl": {"order_book"},
    "bybit/spot-publictrade-btcusdt-2026.jsonl": {"trade"},
    "bybit/spot-tickers-btcusdt-2026.jsonl": {"ticker"},
}
"""Every recording, and which channels of it reach a client."""

Levels = list[tuple[str, str]]


# -- what the recording says, without any code of the server


def data_of(recording: Recording, kinds: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(native, frame) of the streams of a kind, in order; the frame is decoded."""
    for frame in recording.frames:
        name = frame.stream
        kind = name.partition("@")[2].partition("@")[0].partition("_")[0] if "@" in name else name.rpartition(".")[0]
        if kind in kinds or kind.partition(".")[0] in kinds:
            native = name.partition("@")[0] if "@" in name else name.rpartition(".")[2]
            yield native.upper(), json.loads(frame.text, parse_float=str, parse_int=str)


def trades_of(recording: Recording) -> dict[str, list[tuple[str, ...]]]:
    """(id, price, quantity, side, time) by native name. Binance prints that are no trades of the book (``X`` is not MARKET) and Bybit's block trades
    are not trades to us."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for native, frame in data_of(recording, ("trade", "aggTrade", "publicTrade")):
        for each in frame["data"] if isinstance(frame["data"], list) else [frame["data"]]:
            if each.get("X", "MARKET") != "MARKET" or each.get("BT"):
                continue
            trade_id = each["i"] if "i" in each else each["a"] if each["e"] == "aggTrade" else each["t"]
            side = each["S"].lower() if "S" in each else "sell" if each["m"] else "buy"
            found[native].append((trade_id, each["p"], each["v"] if "v" in each else each["q"], side, rfc3339(int(each["T"]))))
    return found


def quotes_of(recording: Recording) -> dict[str, dict[int, tuple[str, str, str, str]]]:
    """(bid, size, ask, size) by update id, by native name."""
    found: dict[str, dict[int, tuple[str, str, str, str]]] = defaultdict(dict)
    for native, frame in data_of(recording, ("bookTicker",)):
        data = frame["data"]
        found[native][int(data["u"])] = (data["b"], data["B"], data["a"], data["A"])
    return found


def bars_of(recording: Recording) -> dict[str, list[tuple[str | bool, ...]]]:
    """(open time, o, h, l, c, v, closed) by native name; a frame that repeats the one before says nothing new."""
    found: dict[str, list[tuple[str | bool, ...]]] = defaultdict(list)
    for native, frame in data_of(recording, ("kline",)):
        for each in frame["data"] if isinstance(frame["data"], list) else [frame["data"]["k"]]:
            keys = ("start", "open", "high", "low", "close", "volume", "confirm") if "start" in each else ("t", "o", "h", "l", "c", "v", "x")
            time, *values = (each[key] for key in keys)
            found[native].append((rfc3339(int(time)), *values))
    return {native: changes(bars) for native, bars in found.items()}


def changes(values: Iterable[Any]) -> list[Any]:
    """Without immediate repeats."""
    found: list[Any] = []
    for value in values:
        if not found or found[-1] != value:
            found.append(value)
    return found


class Truth:
    """The venue's book of one instrument, rebuilt from the recording the slow way, as far as it is told to."""

    def __init__(self, naive: ModuleType, recording: Recording, native: str) -> None:
        self._naive = naive
        self._steps = [frame for name, frame in data_of(recording, ("depth", "orderbook")) if name == native]
        self._next = 0
        self._book: Any = None
        self._from = 0
        snapshot = recording.snapshots.get(native)
        if snapshot is not None:
            body = json.loads(snapshot)
            self._from = body["lastUpdateId"]
            self._book = naive.NaiveBook(body["bids"], body["asks"], recording.limits[native])

    def at(self, sequence: int) -> tuple[Levels, Levels]:
        """Everything that is proven at an update id, digit for digit."""
        while self._next < len(self._steps) and int(self._steps[self._next]["data"]["u"]) <= sequence:
            frame = self._steps[self._next]
            data = frame["data"]
            self._next += 1
            if frame.get("type") == "snapshot":
                self._book = self._naive.NaiveBook(data["b"], data["a"], None)
            elif int(data["u"]) > self._from:
                self._book.apply(data["b"], data["a"])
        bids, asks = self._book.top(10_000)
        return [(f"{price:f}", f"{size:f}") for price, size in bids], [(f"{price:f}", f"{size:f}") for price, size in asks]

    def __len__(self) -> int:
        return sum(1 for frame in self._steps if int(frame["data"]["u"]) > self._from or frame.get("type") == "snapshot")


# -- the server with open eyes


class WatchedVenue(RecordedVenue):
    """Keeps every frame it was given to read and what kind it was."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.frames: dict[str, list[str]] = defaultdict(list)
        self.controls: list[Message] = []
        self.bad: list[str] = []

    def read(self, endpoint: str, frame: bytes) -> Sequence[Message]:
        try:
            messages = super().read(endpoint, frame)
        except BadFrame as error:
            self.bad.append(f"{error}: {frame[:200]!r}")
            raise
        for message in messages:
            if isinstance(message, Ack | Pong):
                self.controls.append(message)
            else:
                self.frames[message.stream].append(frame.decode())  # type: ignore[union-attr]  # (the others have none and do not occur)
                break
        return messages


@define
class Step:
    """One state of a venue's book as it was published: the best 1,000 levels."""

    time: str
    bids: Levels
    asks: Levels


class WatchedHub(Broadcaster):
    """Compares every book that is published with the plain rebuild, in passing; keeps the rest."""

    truths: dict[Any, Truth]
    quotes: dict[Any, dict[int, tuple[str, str, str, str]]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tally = args[-1]
        self.truths, self.quotes = {}, {}
        self.events: list[Event] = []
        self.steps: dict[Any, list[Step]] = defaultdict(list)
        self.wrong: list[str] = []
        self.quoted = 0
        """Books whose best levels were compared with the venue's own quote of the same update id."""

    def publish(self, event: Event) -> None:
        if isinstance(event, BookChanged):
            self._look(event)
        else:
            self.events.append(event)
        super().publish(event)

    def _look(self, event: BookChanged) -> None:
        book: Any = event.book
        bids, asks = book.top(10_000)
        self.steps[event.topic].append(Step(rfc3339(event.timestamp), bids[:1000], asks[:1000]))
        if (bids, asks) != self.truths[event.topic].at(book.sequence):
            self.wrong.append(f"{event.topic} at {book.sequence} is not the rebuilt book")
        quote = self.quotes[event.topic].get(book.sequence)
        if quote is not None:
            self.quoted += 1
            if (*bids[0], *asks[0]) != quote:
                self.wrong.append(f"{event.topic} at {book.sequence}: best levels {bids[0]} {asks[0]}, quote {quote}")

    def counted(self, name: str) -> int:
        """A counter of the server's, all labels together."""
        metric = self.tally.metrics.get(name)
        return sum(metric.values.values()) if metric is not None else 0


@define
class Stage:
    """A running server on a recording."""

    recording: Recording
    venue: WatchedVenue
    replay: Replay
    running: Any
    hub: WatchedHub
    eventually: Callable[..., Any]
    channels: list[dict[str, Any]] = field(factory=list)

    async def play(self, client: Any) -> None:
        """All frames, step by step."""
        read = "cryptodash_upstream_messages_total"
        before = self.hub.counted(read)
        while self.replay.played < len(self.recording.frames):
            self.replay.send_next(STEP)
            await self.eventually(lambda: self.hub.counted(read) - before >= self.replay.played, every=0.001)
            await client.synced()
        self.hub.publish = lambda event: None  # type: ignore[method-assign]  # what comes now is the end of the recording, not its content


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    path = Path(__file__).parent.parent / "exchanges" / "naive.py"
    spec = importlib.util.spec_from_file_location("naive_book_end_to_end", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def doubles(request: pytest.FixtureRequest) -> Any:
    """The conftest of this folder: test modules cannot import it."""
    own = Path(__file__).with_name("conftest.py")
    return next(each for each in request.config.pluginmanager.get_plugins() if getattr(each, "__file__", None) == str(own))


@pytest_twisted.async_yield_fixture
async def stage(doubles: Any, captures: Path, naive: ModuleType, reactor: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Start a server on a recording: ``await stage(name)``."""
    monkeypatch.setattr(service, "Broadcaster", WatchedHub)
    started: list[Any] = []

    async def begin(name: str, **options: Any) -> Stage:
        recording = read_recording(captures / name, symbols=SPLITS)
        recording = evolve(recording, frames=recording.frames[:MOST_FRAMES])
        venue = WatchedVenue(registry.load(recording.exchange), recording.samples(), recording.limits)
        replay = Replay(reactor, recording, **{"delay": None, **options})
        replay.listen()
        config = load([Layer("test", {"BIND_ADDR": "127.0.0.1:0", "EXCHANGES": recording.exchange})], ("binance", "bybit"))
        stand_in = service.StandIn(replay, replay.hosts, "replay")
        server = service.build(config, reactor, clock=SystemClock(), random=Random(7), stand_in=stand_in, venues=[venue])
        hub: Any = server.hub
        for native, symbol in recording.symbols.items():
            book = doubles.Topic(recording.exchange, recording.market, symbol, doubles.Channel.ORDER_BOOK) if False else None
        server.privilegedStartService()
        server.startService()
        running = doubles.Running(server, None)
        started.append(running)
        await doubles.eventually(lambda: hub.upstreams[recording.exchange].catalogue.loaded(recording.market))
        return Stage(recording, venue, replay, running, hub, doubles.eventually)

    yield begin
    for running in started:
        await running.stop()

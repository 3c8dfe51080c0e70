"""Recorded frames through the whole server: a stand-in venue's socket, feed, hub, /ws,
and a client that compares every digit.

A recording is played in steps: the next frames go out when the server has read the last ones and the client has got
everything that came of them. So nothing is conflated but order-book views (10 a second by contract), and no step
depends on the machine's speed. Each state of the venue's book is compared at its source, where the feed hands it to the
hub; each view where the client holds it. Of the two long recordings the first 8,000 frames are played (all of them go
through the bare book in the exchange room's tests).
"""

from __future__ import annotations

import importlib.util
import json
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import pytest_twisted
from attrs import define, evolve
from pytest_twisted import ensureDeferred

from cryptodash import service
from cryptodash.core.events import BookView, Event, Ticker
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.layers import Layer, load
from cryptodash.core.time import SystemClock, rfc3339
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges import service as venue_service
from cryptodash.exchanges.adapter.messages import Ack, BadFrame, Message, Pong, Reader, Readers
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.options import Options
from cryptodash.simulator.recording import Recording, read_recording
from cryptodash.simulator.replay import Replay

pytestmark = pytest.mark.captures

DEPTHS = (1, 20, 50, 1000)
STEP = 25
MOST_FRAMES = 8_000
SPLITS = ("BTCUSD_PERP=BTC-USD",)
"""Names that no ending splits."""

FILES = {
    "binance/spot-combined-btcusdt-2024.jsonl.gz": {"ticker", "trade", "order_book"},
    "binance/usdm-combined-btcusdt-2024.jsonl.gz": {"ticker", "trade", "order_book"},
    "binance/spot-combined-4sym-2021.jsonl": {"ticker", "trade", "order_book", "candle"},
    "binance/usdm-combined-4sym-2021.jsonl": {"ticker", "trade", "order_book", "candle"},
    # A quote alone: no ticker is sent before a last price is known.
    "binance/spot-bookticker-btcusdt-2026.jsonl": set(),
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
Quotes = tuple[list[int], list[tuple[str, str, str, str]]]


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
    """(id, price, quantity, side, time) by native name. Binance prints that are no trades of the book (``X`` is not
    MARKET) and Bybit's block trades are not trades to us."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for native, frame in data_of(recording, ("trade", "aggTrade", "publicTrade")):
        for each in frame["data"] if isinstance(frame["data"], list) else [frame["data"]]:
            if each.get("X", "MARKET") != "MARKET" or each.get("BT"):
                continue
            trade_id = each["i"] if "i" in each else each["a"] if each["e"] == "aggTrade" else each["t"]
            side = each["S"].lower() if "S" in each else "sell" if each["m"] else "buy"
            found[native].append(
                (trade_id, each["p"], each["v"] if "v" in each else each["q"], side, rfc3339(int(each["T"])))
            )
    return found


def quotes_of(recording: Recording) -> dict[str, Quotes]:
    """Update ids and (bid, size, ask, size), by native name."""
    found: dict[str, Quotes] = defaultdict(lambda: ([], []))
    for native, frame in data_of(recording, ("bookTicker",)):
        data = frame["data"]
        ids, quotes = found[native]
        ids.append(int(data["u"]))
        quotes.append((data["b"], data["B"], data["a"], data["A"]))
    return found


def bars_of(recording: Recording) -> dict[str, list[tuple[str | bool, ...]]]:
    """(open time, o, h, l, c, v, closed) by native name; a frame that repeats the one before says nothing new."""
    found: dict[str, list[tuple[str | bool, ...]]] = defaultdict(list)
    for native, frame in data_of(recording, ("kline",)):
        for each in frame["data"] if isinstance(frame["data"], list) else [frame["data"]["k"]]:
            keys = (
                ("start", "open", "high", "low", "close", "volume", "confirm")
                if "start" in each
                else ("t", "o", "h", "l", "c", "v", "x")
            )
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
        frames = [frame for name, frame in data_of(recording, ("depth", "orderbook")) if name == native]
        self._steps = [
            frame for frame in frames if not frame.get("topic", "").startswith("orderbook.1.")
        ]  # level 1 is a quote
        self._next = 0
        self.taken = 0
        """Frames that the last call took."""
        self._book: Any = None
        self._from = 0
        snapshot = recording.snapshots.get(native)
        if snapshot is not None:
            body = json.loads(snapshot)
            self._from = body["lastUpdateId"]
            self._book = naive.NaiveBook(body["bids"], body["asks"], recording.limits[native])

    def at(self, sequence: int) -> tuple[Levels, Levels]:
        """Everything that is proven at an update id, digit for digit."""
        before = self._next
        while self._next < len(self._steps) and int(self._steps[self._next]["data"]["u"]) <= sequence:
            frame = self._steps[self._next]
            data = frame["data"]
            self._next += 1
            if frame.get("type") == "snapshot":
                self._book = self._naive.NaiveBook(data["b"], data["a"], None)
            elif int(data["u"]) > self._from:
                self._book.apply(data["b"], data["a"])
        self.taken = self._next - before
        bids, asks = self._book.top(10_000)
        return [(f"{price:f}", f"{size:f}") for price, size in bids], [
            (f"{price:f}", f"{size:f}") for price, size in asks
        ]

    @property
    def has_frames(self) -> bool:
        """Whether anything of this book was recorded."""
        return bool(self._steps)

    @property
    def left(self) -> int:
        """Frames not taken yet."""
        return len(self._steps) - self._next


# -- the server with open eyes


class WatchedVenue(RecordedVenue):
    """Keeps every frame it was given to read and what kind it was."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.frames: dict[str, list[str]] = defaultdict(list)
        self.read_frames = 0
        """All of them: those that are data."""
        self.controls: list[Message] = []
        self.bad: list[str] = []

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        """Data frames are noted by their stream's reader."""
        messages: Sequence[Message] = self._venue.read(endpoint, frame, readers)
        self.controls += [each for each in messages if isinstance(each, Ack | Pong)]
        return messages

    def reader(self, stream: StreamSpec) -> Reader:
        return partial(self._noted, super().reader(stream))

    def _noted(self, read: Reader, stream: str, frame: bytes) -> Sequence[Message]:
        try:
            messages = read(stream, frame)
        except BadFrame as error:
            self.bad.append(f"{error}: {frame[:200]!r}")
            raise
        self.read_frames += 1
        self.frames[stream].append(frame.decode())
        return messages


@define
class Step:
    """One state of a venue's book as it was published: the best 1,000 levels."""

    time: str
    bids: Levels
    asks: Levels


class WatchedHub(Broadcaster):
    """Compares every state of a book with the plain rebuild, in passing; keeps the other events."""

    truths: dict[Any, Truth]
    quotes: dict[Any, Quotes]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tally = args[-1]
        self.truths, self.quotes = {}, {}
        self.events: list[Event] = []
        self.steps: dict[Any, list[Step]] = defaultdict(list)
        self.wrong: list[str] = []
        self.quoted = 0
        """Books whose best levels were compared with the venue's own quote of that update id."""

    def publish(self, event: Event) -> None:
        if not isinstance(event, BookView):
            self.events.append(event)
        super().publish(event)

    def look(self, event: BookChanged) -> None:
        """Compare a state of a book before anything is published of it."""
        book: Any = event.book
        bids, asks = book.top(10_000)
        steps, truth = self.steps[event.topic], self.truths[event.topic]
        if (bids, asks) != truth.at(book.sequence):
            self.wrong.append(f"{event.topic} at {book.sequence} is not the rebuilt book")
        if steps and truth.taken != 1:
            self.wrong.append(f"{event.topic} at {book.sequence}: {truth.taken} frames since the state before")
        steps.append(Step(rfc3339(event.timestamp), bids[:1000], asks[:1000]))
        ids, quotes = self.quotes[event.topic]
        # each change of the best levels is a quote: the newest one that is not newer than the book holds
        place = bisect_right(ids, book.sequence)
        if place and bids and asks:
            self.quoted += 1
            if (*bids[0], *asks[0]) != quotes[place - 1]:
                self.wrong.append(
                    f"{event.topic} at {book.sequence}: best levels {bids[0]} {asks[0]}, quote {quotes[place - 1]}"
                )

    def counted(self, name: str) -> int:
        """A counter of the server's, all labels together."""
        metric = self.tally.metrics.get(name)
        return sum(metric.values.values()) if metric is not None else 0


class WatchedPublisher(BookPublisher):
    """Shows every state of a book to the hub that compares them."""

    def __init__(self, inlet: Any, timers: PublishTimers) -> None:
        super().__init__(inlet, timers)
        self._look = inlet.look

    def changed(self, event: BookChanged) -> None:
        self._look(event)
        super().changed(event)


@define
class Stage:
    """A running server on a recording."""

    recording: Recording
    venue: WatchedVenue
    replay: Replay
    running: Any
    hub: WatchedHub
    eventually: Callable[..., Any]

    @property
    def topics(self) -> list[Topic]:
        """Everything the recording feeds; books in each depth."""
        recording = self.recording
        found = self.venue.topics(recording.exchange, recording.market, recording.symbols, 1)
        books = [topic for topic in found if topic.depth]
        return [topic for topic in found if not topic.depth] + [
            book.sibling(Channel.ORDER_BOOK, depth=depth) for book in books for depth in DEPTHS
        ]

    async def watch(self) -> Any:
        """A client of all of it, when the venue has been asked for all of it."""
        client = await self.running.connect()
        client.subscribe(*[channel_of(topic) for topic in self.topics])
        await self.eventually(lambda: not self.replay.missing)
        return client

    async def play(self, client: Any) -> None:
        """All frames, step by step."""
        while self.replay.played < len(self.recording.frames):
            self.replay.send_next(STEP)
            await self.eventually(lambda: self.venue.read_frames >= self.replay.played, every=0.001)
            await client.synced()


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    path = Path(__file__).parent.parent / "exchanges" / "builders" / "naive.py"
    spec = importlib.util.spec_from_file_location("naive_book_end_to_end", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def doubles(request: pytest.FixtureRequest) -> Any:
    """The conftest of this folder: test modules cannot import it."""
    own = Path(__file__).with_name("conftest.py")
    return next(
        each for each in request.config.pluginmanager.get_plugins() if getattr(each, "__file__", None) == str(own)
    )


@pytest_twisted.async_yield_fixture
async def stage(
    doubles: Any, captures: Path, naive: ModuleType, reactor: Any, monkeypatch: pytest.MonkeyPatch, long: bool
) -> AsyncIterator[Any]:
    """Start a server on a recording: ``await stage(name)``."""
    monkeypatch.setattr(service, "Broadcaster", WatchedHub)
    monkeypatch.setattr(venue_service, "BookPublisher", WatchedPublisher)
    started: list[Any] = []

    async def begin(name: str, **options: Any) -> Stage:
        recording = read_recording(captures / name, symbols=SPLITS)
        recording = evolve(recording, frames=recording.frames[: None if long else MOST_FRAMES])
        venue = WatchedVenue(registry.load(recording.exchange), recording.samples(), recording.limits)
        replay = Replay(reactor, recording, **{"delay": None, **options})
        replay.listen()
        config = load(
            [
                Layer(
                    "test",
                    {
                        "BIND_ADDR": "127.0.0.1:0",
                        "EXCHANGES": recording.exchange,
                        "OPS_PER_SECOND": "10000",
                        "OPS_BURST": "10000",
                    },
                )
            ],
            ("binance", "bybit"),
        )
        stand_in = service.StandIn(replay, replay.base_urls, "replay")
        server = service.build(
            config, reactor, clock=SystemClock(), random=Random(7), stand_in=stand_in, venues=[venue]
        )  # type: ignore[list-item]  # (the interface is provided by the object)
        hub: Any = server.hub
        for native, symbol in recording.symbols.items():
            topic = Topic(recording.exchange, recording.market, symbol, Channel.ORDER_BOOK)
            hub.truths[topic], hub.quotes[topic] = Truth(naive, recording, native), quotes_of(recording)[native]
        server.privilegedStartService()
        server.startService()
        running = doubles.Running(server, None)
        started.append(running)
        await doubles.eventually(lambda: hub.upstreams[recording.exchange].catalogue.loaded(recording.market))
        return Stage(recording, venue, replay, running, hub, doubles.eventually)

    yield begin
    for running in started:
        await running.stop()


# -- what the client got


def channel_of(topic: Topic) -> dict[str, Any]:
    """As a client names it."""
    return {"channel_type": topic.channel.value, **json.loads(f"{{{topic.json}}}")}


def received(client: Any, kind: str) -> dict[Topic, list[dict[str, Any]]]:
    """Payloads of one type by topic, numbers as the text they are."""
    found: dict[Topic, list[dict[str, Any]]] = defaultdict(list)
    for text in client.texts:
        if text.startswith(b'{"type":"%b"' % kind.encode()):
            payload = json.loads(text, parse_float=str, parse_int=str)["payload"]
            found[topic_of(payload, kind)].append(payload)
    return found


def topic_of(payload: dict[str, Any], kind: str) -> Topic:
    channel = Channel.ORDER_BOOK if kind.startswith("order_book") else Channel(kind)
    symbol = Symbol(payload["symbol"]["base"], payload["symbol"]["quote"])
    depth, interval = int(payload.get("depth", 0)), payload.get("interval", "")
    return Topic(
        payload["exchange"], MarketType(payload["market_type"]), symbol, channel, depth=depth, interval=interval
    )


class Views:
    """The order books as the client holds them, each state looked for among the states that the
    venue's book went through."""

    def __init__(self, client: Any, steps: dict[Topic, list[Step]]) -> None:
        self.states = 0
        self._client = client
        self._steps = steps
        self._read = 0
        self._held: dict[Topic, tuple[dict[str, str], dict[str, str]]] = {}
        self._sequence: dict[Topic, int] = {}
        self._place: dict[Topic, int] = defaultdict(int)

    def are_final(self) -> bool:
        """Take what has come since the last call; whether every view is at its book's last state."""
        texts = self._client.texts
        for text in texts[self._read :]:
            kind = text.partition(b',"payload"')[0].decode()[9:-1]
            if kind.startswith("order_book"):
                self._take(kind, json.loads(text, parse_float=str, parse_int=str)["payload"])
        self._read = len(texts)
        return all(self._fits(topic, self._steps[topic.upstream][-1]) for topic in self._held)

    def _take(self, kind: str, payload: dict[str, Any]) -> None:
        topic = topic_of(payload, kind)
        sequence = int(payload["sequence"])
        if kind == "order_book_snapshot":
            bids, asks = ([(each["price"], each["quantity"]) for each in payload[side]] for side in ("bids", "asks"))
            assert [float(price) for price, _ in bids] == sorted((float(price) for price, _ in bids), reverse=True)
            assert [float(price) for price, _ in asks] == sorted(float(price) for price, _ in asks)
            assert payload["complete"] is (min(len(bids), len(asks)) >= topic.depth)
            self._held[topic] = dict(bids), dict(asks)
        else:
            assert sequence == self._sequence[topic] + 1, topic
            for side, held in zip(("bids", "asks"), self._held[topic], strict=True):
                for price in payload["deletes"][side]:
                    del held[price]
                held.update((each["price"], each["quantity"]) for each in payload[f"{side}_upserts"])
        self._sequence[topic] = sequence
        steps, first = self._steps[topic.upstream], self._place[topic]
        places = (
            place
            for place in range(first, len(steps))
            if steps[place].time == payload["timestamp"] and self._fits(topic, steps[place])
        )
        place = next(places, None)
        assert place is not None, (
            f"{topic}, sequence {sequence}: no state of the venue's book at {payload['timestamp']} looks like this"
        )
        self._place[topic] = place
        self.states += 1

    def _fits(self, topic: Topic, step: Step) -> bool:
        bids, asks = self._held[topic]
        return bids == dict(step.bids[: topic.depth]) and asks == dict(step.asks[: topic.depth])


def check_trades(stage: Stage, client: Any) -> None:
    """All trades, in order, digit for digit."""
    got = received(client, "trade")
    for native, expected in trades_of(stage.recording).items():
        symbol = stage.recording.symbols[native]
        trades = next((found for topic, found in got.items() if topic.symbol == symbol), [])
        assert [
            (each["id"], each["price"], each["quantity"], each["side"], each["timestamp"]) for each in trades
        ] == expected
        assert not any(each.get("replayed") for each in trades)


def check_candles(stage: Stage, client: Any) -> None:
    """Every state of every bar."""
    got = received(client, "candle")
    for native, expected in bars_of(stage.recording).items():
        (topic,) = [topic for topic in got if topic.symbol == stage.recording.symbols[native]]
        values = [
            tuple(each[key] for key in ("timestamp", "open", "high", "low", "close", "volume", "closed"))
            for each in got[topic]
        ]
        assert values == expected and topic.interval == "1m"
        assert {each["source"] for each in got[topic]} == {"venue"}


def check_quotes(stage: Stage, client: Any) -> None:
    """Each recorded best bid and ask from the first last price on, none conflated;
    the times are the venue's and never run backwards."""
    got = received(client, "ticker")
    assert [len(got[topic]) for topic in got] == [
        sum(isinstance(each, Ticker) and each.topic is topic for each in stage.hub.events) for topic in got
    ]
    for native, (_, quotes) in quotes_of(stage.recording).items():
        tickers = next((found for topic, found in got.items() if topic.symbol == stage.recording.symbols[native]), [])
        trades = trades_of(stage.recording)[native]
        assert bool(tickers) is bool(trades)
        shown = changes(
            (each["bid"], each["bid_size"], each["ask"], each["ask_size"]) for each in tickers if "bid" in each
        )
        expected = changes(quotes)
        assert shown == expected[len(expected) - len(shown) :]
        if trades:
            assert tickers[-1]["last"] == trades[-1][1]
    recorded = [
        int(time)
        for frame in stage.recording.frames
        for time in re.findall(r'"(?:E|T|ts|cts)":([0-9]{13})', frame.text)
    ]
    for tickers in got.values():
        times = [each["timestamp"] for each in tickers]
        assert times == sorted(times)
        assert rfc3339(min(recorded)) <= times[0] and times[-1] <= rfc3339(max(recorded))


BINANCE_FIGURES = {
    "last": "c",
    "open_24h": "o",
    "high_24h": "h",
    "low_24h": "l",
    "volume_24h": "v",
    "quote_volume_24h": "q",
}
BYBIT_FIGURES = {
    "last": "lastPrice",
    "open_24h": "prevPrice24h",
    "high_24h": "highPrice24h",
    "low_24h": "lowPrice24h",
    "volume_24h": "volume24h",
    "quote_volume_24h": "turnover24h",
    "mark_price": "markPrice",
    "index_price": "indexPrice",
    "funding_rate": "fundingRate",
    "open_interest": "openInterest",
}


def check_figures(stage: Stage, client: Any) -> None:
    """The 24 h figures, and a perpetual's own, after each frame that brings any (one frame of both
    kinds makes two tickers of one time)."""
    figures = BYBIT_FIGURES if stage.recording.exchange == "bybit" else BINANCE_FIGURES
    known: dict[str, str] = {}
    expected = []
    for _, frame in data_of(stage.recording, ("tickers", "ticker", "miniTicker")):
        known |= frame["data"]
        expected.append({name: known[key] for name, key in figures.items() if key in known})
    if expected:
        (tickers,) = received(client, "ticker").values()
        last = {each["timestamp"]: {name: each[name] for name in figures if name in each} for each in tickers}
        assert list(last.values()) == expected
        assert not any(name in each for each in tickers for name in ("bid", "ask", "bid_size", "ask_size"))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", FILES)
@ensureDeferred
async def test_every_frame_reaches_the_client_as_what_it_says(stage: Any, name: str) -> None:
    playing = await stage(name)
    client = await playing.watch()
    await playing.play(client)
    recording, hub = playing.recording, playing.hub

    assert {
        stream: [each.text for each in recording.frames if each.stream == stream] for stream in recording.streams
    } == playing.venue.frames
    assert playing.venue.bad == [] and all(each.ok for each in playing.venue.controls if isinstance(each, Ack))
    assert hub.counted("cryptodash_upstream_messages_total") == len(recording.frames) + len(playing.venue.controls)
    nothing = (
        "upstream_decode_errors",
        "upstream_unknown_messages",
        "publish_failures",
        "book_gaps",
        "duplicates_dropped",
        "upstream_disconnects",
    )
    assert {each: hub.counted(f"cryptodash_{each}_total") for each in nothing} == dict.fromkeys(nothing, 0)

    views = Views(client, hub.steps)
    # a snapshot may be on its way still
    await playing.eventually(lambda: not any(truth.left for truth in hub.truths.values()))
    await playing.eventually(views.are_final)
    assert hub.wrong == []
    states = sum(len(steps) for steps in hub.steps.values())
    assert hub.quoted >= states * 0.95 or not quotes_of(recording)  # all but those before the first quote
    assert views.states >= len(DEPTHS) * len(hub.steps) and set(hub.steps) == {
        topic for topic, truth in hub.truths.items() if truth.has_frames
    }
    check_trades(playing, client)
    check_candles(playing, client)
    check_quotes(playing, client)
    check_figures(playing, client)
    assert client.of("error") == client.of("gap") == []
    kinds = {message["type"].removesuffix("_snapshot").removesuffix("_delta") for message in client.messages}
    assert kinds - {"info", "status"} == FILES[name]


def test_no_recording_is_left_out(captures: Path) -> None:
    assert {
        f"{folder}/{path.name}" for folder in ("binance", "bybit") for path in (captures / folder).glob("*.jsonl*")
    } == set(FILES)


@pytest.mark.parametrize(
    "words",
    [
        ["--speed", "20", "--symbol", "AB=A-B", "FILE"],
        ["FILE", "--speed", "20", "--symbol", "AB=A-B"],
        ["--speed=20", "FILE", "--symbol=AB=A-B"],
    ],
)
def test_the_command_takes_its_options_on_either_side_of_the_file(words: list[str]) -> None:
    options = Options()
    options.parseOptions(["replay", *words])
    chosen = options.subOptions
    assert (chosen["file"], chosen["speed"], chosen["delay"], chosen["symbol"]) == ("FILE", 20.0, 3.0, ["AB=A-B"])


@pytest.mark.parametrize(
    "words", [[], ["FILE", "FILE"], ["FILE", "--", "FILE"], ["FILE", "-"], ["FILE", "--speed", "20", "FILE"]]
)
def test_the_command_takes_one_file(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Options().parseOptions(["replay", *words])
    assert "replay takes one FILE" in capfd.readouterr().err


@ensureDeferred
async def test_everything_says_that_it_is_a_replay(stage: Any) -> None:
    playing = await stage("bybit/spot-orderbook50-btcusdt-2026.jsonl")
    client = await playing.watch()
    await playing.play(client)
    (venue,) = (await playing.running.json("/api/exchanges"))["exchanges"]
    answer = await playing.running.json("/api/orderbook?exchange=bybit&symbol=BTC-USDT&depth=20")
    assert client.of("info")[0]["source"] == venue["source"] == "replay"
    assert {each["source"] for each in client.of("status")} == {"replay"}
    assert answer["status"]["source"] == "replay" and answer["status"]["state"] == "live"
    assert (len(answer["bids"]), answer["complete"]) == (20, True)


@ensureDeferred
async def test_what_was_not_recorded_is_shown_as_rejected(stage: Any, helpers: Any) -> None:
    _, channel = helpers
    playing = await stage("binance/spot-kline1m-btcusdt-2026.jsonl")
    client = await playing.watch()
    for kind in ("order_book", "ticker", "trade"):
        client.subscribe(channel(kind))
        await client.synced()
        assert client.of("status")[-1]["channel"]["channel_type"] == kind
        assert (client.of("status")[-1]["state"], client.of("status")[-1]["cause"]) == ("closed", "rejected")
    await playing.play(client)
    assert len(client.of("candle")) == 2 and client.of("error") == []


PACES = [
    ("bybit/linear-orderbook500-xrpusdt-2024.jsonl", 50.0),
    ("bybit/linear-orderbook500-xrpusdt-2024.jsonl", 0.0),
    ("binance/spot-combined-btcusdt-2024.jsonl.gz", 0.0),
    ("binance/usdm-combined-4sym-2021.jsonl", 20.0),
]


@pytest.mark.parametrize(("name", "speed"), PACES)
@ensureDeferred
async def test_a_recording_plays_by_itself_once_all_of_it_is_wanted(stage: Any, name: str, speed: float) -> None:
    """As fast as it goes a client may be too slow for every ticker and trade; its books still are states that the
    venue's book went through."""
    ended: list[int] = []
    playing = await stage(name, speed=speed, delay=0.0, ended=lambda: ended.append(1))
    assert playing.replay.played == 0
    client = await playing.watch()
    await playing.eventually(
        lambda: bool(ended) and playing.venue.read_frames == playing.replay.played == len(playing.recording.frames)
    )
    views = Views(client, playing.hub.steps)
    await playing.eventually(lambda: not any(truth.left for truth in playing.hub.truths.values()))
    await playing.eventually(views.are_final)
    assert (ended, playing.hub.wrong, client.of("error")) == ([1], [], []) and views.states >= len(DEPTHS)

"""A connection that is behind: superseded quotes are skipped and counted, nothing else is, and what is known at the end
is the same as if everything had been read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Side, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.exchanges.connections.commands import BookChanged, Connect, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.engine_runner import SLICE, TOLD_WITHIN, EngineRunner
from cryptodash.exchanges.transport.slices import Work
from cryptodash.exchanges.venues.binance.venue import Binance
from cryptodash.exchanges.venues.bybit.venue import Bybit
from cryptodash.testing.network import MemoryNetwork

SPOT = MarketType.SPOT


@define
class Line:
    """An engine with ticker, trades and book of two instruments, all of them live, on one connection."""

    venue: Any = field(factory=Binance)
    clock: ManualClock = field(factory=ManualClock)
    tally: Tally = field(factory=Tally)
    said: list[Any] = field(factory=list)
    engine: Any = None
    key: str = ""

    def start(self, *frames: bytes) -> Line:
        exchange = self.venue.id
        catalogue, step = Catalogue(exchange), Number("0.00000001")
        names = ("BTC", "ETH")
        catalogue.replace(
            SPOT, [Instrument(exchange, SPOT, Symbol(base, "USDT"), f"{base}USDT", step, step) for base in names]
        )
        self.engine = Engine(self.venue, self.venue.hosts, catalogue, self.clock, Random(1), self.tally)
        channels = ("ticker", "trade", "order_book:50")
        topics = [f"{exchange}:spot:{base}-USDT:{channel}" for base in names for channel in channels]
        self.obey(self.engine.want([parse_topic(each) for each in topics]))
        for _ in range(8):
            self.clock.advance(1.0)
            self.obey(self.engine.tick())
        for frame in frames:
            self.one(frame)
        self.said.clear()
        return self

    def obey(self, outputs: Any) -> None:
        for output in outputs:
            if isinstance(output, Connect):
                self.key = output.connection
                self.obey(self.engine.opened(self.key))
            elif isinstance(output, Send):
                request = json.loads(output.payload)
                answer = {"result": None, "id": request.get("id"), "success": True, "req_id": request.get("req_id")}
                self.one(json.dumps({**answer, "op": request.get("op", "")}).encode())
                self.clock.advance(0.5)
                self.obey(self.engine.may_send(self.key))
            elif isinstance(output, BookChanged):
                self.said.append((output.topic, output.timestamp))
            else:
                self.said.append(output)

    def one(self, frame: bytes) -> None:
        """A frame that came alone."""
        self.obey(self.engine.received(self.key, frame, self.clock.wall_ms()))

    def behind(self, frames: Sequence[bytes]) -> None:
        """Frames of one read that brought many."""
        for each in self.engine.conflated(self.key, frames):
            self.obey(self.engine.received_newest(self.key, each, self.clock.wall_ms()))

    def last(self, base: str) -> Ticker:
        return [each for each in self.said if isinstance(each, Ticker) and each.topic.symbol.base == base][-1]

    def states(self) -> list[State]:
        return [each.state for each in self.said if isinstance(each, StreamStatus)]

    def count(self, name: str) -> int:
        return sum(self.tally.metrics[f"cryptodash_{name}_total"].values.values())  # type: ignore[union-attr]

    def stream(self, name: str) -> Any:
        return next(each for each in self.engine._streams.subscribed() if each.name == name)


def data(stream: str, body: str) -> bytes:
    return f'{{"stream":"{stream}","data":{body}}}'.encode()


def quote(number: int, bid: str, ask: str = "101", base: str = "BTC") -> bytes:
    words = f'"u":{number},"s":"{base}USDT","b":"{bid}","B":"1.5","a":"{ask}","A":"0.20"'
    return data(f"{base.lower()}usdt@bookTicker", f"{{{words}}}")


def day(last: str = "100", base: str = "BTC") -> bytes:
    words = ",".join(f'"{key}":"{last}"' for key in "cohlvq")
    return data(f"{base.lower()}usdt@ticker", f'{{"e":"24hrTicker","E":1,"s":"{base}USDT",{words}}}')


def trade(number: int, base: str = "BTC") -> bytes:
    words = f'"t":{number},"p":"100","q":"{number}","T":{number},"m":true,"M":true'
    return data(f"{base.lower()}usdt@trade", f'{{"e":"trade","E":1,"s":"{base}USDT",{words}}}')


def depth(number: int, base: str = "BTC") -> bytes:
    words = f'"U":{number},"u":{number},"b":[["99","{number}"]],"a":[["101","1"]]'
    return data(f"{base.lower()}usdt@depth@100ms", f'{{"e":"depthUpdate","E":1,"s":"{base}USDT",{words}}}')


OPENING = [each for base in ("BTC", "ETH") for each in (day(base=base), quote(1, "99", base=base), trade(1, base))]


@pytest.fixture
def line() -> Line:
    return Line().start(*OPENING)


def test_of_the_quotes_of_a_read_only_the_newest_is_read(line: Line) -> None:
    frames = [quote(number, f"99.{number}", base=base) for number in range(10, 60) for base in ("BTC", "ETH")]
    line.behind(frames)
    tickers = [(each.topic.symbol.base, each.bid) for each in line.said if isinstance(each, Ticker)]
    assert tickers == [("BTC", "99.59"), ("ETH", "99.59")]
    assert line.count("quotes_skipped") == 98


def test_skipped_quotes_are_counted_like_any_and_are_signs_of_life(line: Line) -> None:
    messages, size = line.count("upstream_messages"), line.count("upstream_bytes")
    stream = line.stream("btcusdt@bookTicker")
    before = stream.frames
    line.clock.advance(0.25)
    frames = [quote(number, "99.5") for number in range(10, 60)]
    line.behind(frames)
    assert line.count("upstream_messages") - messages == 50
    assert line.count("upstream_bytes") - size == sum(map(len, frames))
    assert stream.frames - before == 50, "its pace is that of the venue"
    assert stream.last == line.clock.monotonic()
    assert line.engine._connections[line.key].last == line.clock.monotonic()


def test_trades_books_bars_and_figures_are_all_read(line: Line) -> None:
    frames = []
    for number in range(10, 30):
        frames += [quote(number, "99.5"), trade(number), depth(number), day(str(number))]
    line.behind(frames)
    trades = [each.id for each in line.said if isinstance(each, Trade)]
    assert trades == [str(number) for number in range(10, 30)]
    read = line.tally.metrics["cryptodash_upstream_messages_total"].values  # type: ignore[union-attr]
    assert read["binance", "order_book"] == 20
    assert line.stream("btcusdt@ticker").frames == 21
    assert line.count("quotes_skipped") == 19


def test_what_stands_between_the_quotes_keeps_its_place(line: Line) -> None:
    line.behind([quote(10, "99.1"), trade(10), quote(11, "99.2"), trade(11), quote(12, "99.3"), trade(12)])
    kinds = [
        f"trade {each.id}" if isinstance(each, Trade) else f"bid {each.bid}"
        for each in line.said
        if isinstance(each, Trade) or (isinstance(each, Ticker) and each.bid != "99" and each.last_time != 12)
    ]
    assert kinds == ["trade 10", "trade 11", "bid 99.3", "trade 12"]


@pytest.mark.parametrize(
    ("last", "bid"),
    [
        (quote(5, "98.5"), "99.2"),  # older than those before it
        (quote(10**15, "98.5"), "99.2"),  # from the future: held until a second one agrees
        (quote(13, "1e400"), "99.2"),  # cannot be read
        (quote(13, "102"), "99.2"),  # crossed
        (data("btcusdt@bookTicker", "{}"), "99.2"),
        (data("btcusdt@bookTicker", '{"u":13}'), "99.2"),
    ],
    ids=["old", "future", "number", "crossed", "empty", "schema"],
)
def test_where_the_newest_is_of_no_use_one_before_it_is_read(line: Line, last: bytes, bid: str) -> None:
    line.behind([quote(11, "99.1"), quote(12, "99.2"), last])
    assert line.last("BTC").bid == bid


def test_ids_that_leap_are_believed_as_in_frames_that_come_alone(line: Line) -> None:
    line.behind([quote(11, "99.1"), quote(10**15, "99.2"), quote(10**15 + 1, "99.3")])
    assert line.last("BTC").bid == "99.3"
    assert line.count("quotes_skipped") == 0


def test_wild_quotes_do_not_agree_where_a_sound_one_stood_between_them() -> None:
    """Before each quote comes a copy of it that is an hour ahead: every true one contradicts the copy before it."""
    figures = b'{"topic":"tickers.BTCUSDT","ts":1,"type":"snapshot","cs":1,"data":{"symbol":"BTCUSDT","lastPrice":"9"}}'
    start = ManualClock().wall_ms()

    def best(number: int, ahead: int = 0) -> bytes:
        levels, time = f'"b":[["99.{number}","1"]],"a":[["101","1"]]', start + 10_000 + number + ahead
        return (
            f'{{"topic":"orderbook.1.BTCUSDT","ts":{time},"type":"snapshot",'
            f'"data":{{"s":"BTCUSDT",{levels},"u":{number},"seq":{number}}},"cts":{time}}}'
        ).encode()

    line = Line(Bybit()).start(figures, best(1))
    line.behind([each for number in range(2, 9) for each in (best(number, 3_600_000), best(number))])
    times = [each.quote_time for each in line.said if isinstance(each, Ticker)]
    assert times[-1] == start + 10_008 and max(time for time in times if time is not None) == times[-1]
    assert line.last("BTC").bid == "99.8"


def test_a_crossed_quote_at_the_end_leaves_the_ticker_crossed(line: Line) -> None:
    line.behind([quote(11, "99.1"), quote(12, "102")])
    assert line.last("BTC").bid == "99.1" and line.states() == [State.STALE]
    line.behind([quote(13, "102"), quote(14, "99.4")])
    assert line.last("BTC").bid == "99.4" and line.states()[-1] is State.LIVE


def test_the_first_frames_of_a_stream_are_all_read() -> None:
    line = Line().start()
    line.behind([*OPENING, *(quote(number, "99.5") for number in range(10, 20))])
    assert line.count("quotes_skipped") == 0 and line.last("BTC").bid == "99.5"


def test_frames_of_a_stream_that_ends_meanwhile_are_no_error(line: Line) -> None:
    items = line.engine.conflated(line.key, [quote(number, "99.5") for number in range(10, 20)])
    line.obey(line.engine.drop([parse_topic("binance:spot:BTC-USDT:ticker")]))
    for each in items:
        line.obey(line.engine.received_newest(line.key, each, 0))
    assert not any(isinstance(each, Ticker) for each in line.said)
    assert line.count("upstream_decode_errors") == 0


def test_nothing_is_skipped_where_the_venue_counts_frames_or_names_no_stream_in_front() -> None:
    class Counting(Binance):
        data_prefix = b""

    line = Line(Counting()).start(*OPENING)
    frames = [quote(number, "99.5") for number in range(10, 20)]
    assert list(line.engine.conflated(line.key, frames)) == frames


def test_a_lookalike_of_a_quote_is_not_skipped(line: Line) -> None:
    odd = b'{"strange:"btcusdt@bookTicker","data":{}}'
    assert odd in line.engine.conflated(line.key, [odd, quote(10, "99.5")])


def test_a_delta_of_bybit_never_takes_the_place_of_a_snapshot() -> None:
    def best(kind: str, number: int, bid: str) -> bytes:
        levels = f'"b":[["{bid}","1"]],"a":[["101","1"]]'
        return (
            f'{{"topic":"orderbook.1.BTCUSDT","ts":{number},"type":"{kind}",'
            f'"data":{{"s":"BTCUSDT",{levels},"u":{number},"seq":{number}}},"cts":{number}}}'
        ).encode()

    def book(kind: str, number: int) -> bytes:
        return best(kind, number, "99").replace(b"orderbook.1.", b"orderbook.50.")

    figures = (
        b'{"topic":"tickers.BTCUSDT","ts":1,"type":"snapshot","cs":1,"data":{"symbol":"BTCUSDT","lastPrice":"100"}}'
    )
    line = Line(Bybit()).start(figures, best("snapshot", 1, "99"), book("snapshot", 1))
    line.behind([best("snapshot", 2, "99.2"), best("snapshot", 3, "99.3"), best("delta", 4, "98")])
    assert line.last("BTC").bid == "99.3", "what cannot be read replaces nothing"
    deltas = [book("delta", number) for number in range(2, 12)]
    assert list(line.engine.conflated(line.key, deltas)) == deltas, "each change of a book is said once"


FRAMES = st.lists(
    st.builds(
        lambda make, number, base: make(number, base),
        st.sampled_from(
            [
                lambda number, base: quote(number, f"{90 + number % 9}.5", base=base),
                lambda number, base: quote(number, "102", base=base),
                lambda number, base: quote(number, "1e400", base=base),
                lambda number, base: quote(10**15 + number, f"{90 + number % 9}.5", base=base),
                trade,
                depth,
                lambda number, base: day(str(number + 1), base),
            ]
        ),
        st.integers(0, 40),
        st.sampled_from(["BTC", "ETH"]),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(FRAMES)
def test_in_the_end_the_same_is_known_as_if_all_had_been_read(frames: list[bytes]) -> None:
    one, many = Line().start(*OPENING), Line().start(*OPENING)
    for frame in frames:
        one.one(frame)
    many.behind(frames)

    def known(line: Line) -> dict[str, Any]:
        tickers = {each.topic: (each.bid, each.ask, each.last) for each in line.said if isinstance(each, Ticker)}
        states = {each.topic: (each.state, each.cause) for each in line.said if isinstance(each, StreamStatus)}
        trades = [each for each in line.said if isinstance(each, Trade)]
        books = line.engine.pending_diffs
        bad = {topic: state for topic, state in states.items() if state[0] is not State.LIVE}
        return {"tickers": tickers, "bad": bad, "trades": trades, "books": books}

    assert known(one) == known(many)


class Slow:
    """An engine that takes a millisecond per frame."""

    deadline_moved = False

    def __init__(self, network: MemoryNetwork) -> None:
        self.network, self.taken = network, list[bytes]()

    def conflated(self, connection: str, frames: Sequence[bytes]) -> Sequence[bytes]:
        return frames

    def received_newest(self, connection: str, frame: bytes, received: int) -> list[Any]:
        self.taken.append(frame)
        self.network.advance(0.001)
        return []


def test_the_work_is_cut_into_slices_of_a_few_milliseconds() -> None:
    network = MemoryNetwork()
    engine = Slow(network)
    runner = EngineRunner(engine, {}, {}, lambda output: None, network, network)  # type: ignore[arg-type]
    frames = [b"%d" % number for number in range(30)]
    work, sizes, more = runner.behind("c1", frames), list[int](), True
    while more:
        before = len(engine.taken)
        more = work()
        sizes.append(len(engine.taken) - before)
    assert engine.taken == frames
    assert max(sizes) <= SLICE * 1000 + 1


class Scripted(Slow):
    """An engine whose frames say what they are told to."""

    def __init__(self, network: MemoryNetwork, *said: list[Any]) -> None:
        super().__init__(network)
        self._said = list(said)

    def received_newest(self, connection: str, frame: bytes, received: int) -> list[Any]:
        super().received_newest(connection, frame, received)
        return self._said.pop(0)

    def received(self, connection: str, frame: bytes, received: int) -> list[Any]:
        return [live]


def work_off(work: Work) -> None:
    while work():
        pass


btc, eth = (parse_topic(f"binance:spot:{base}-USDT:ticker") for base in ("BTC", "ETH"))
trades = parse_topic("binance:spot:BTC-USDT:trade")
live = StreamStatus(btc, State.LIVE, since=1)


def ticker(topic: Topic, last: str) -> Ticker:
    return Ticker(topic, 1, 1, Number(last))


def traded(number: str) -> Trade:
    return Trade(trades, 1, 1, number, Number("1"), Number("1"), Side.BUY)


def test_of_the_tickers_of_a_read_the_newest_is_told_and_statuses_keep_their_place() -> None:
    network, told = MemoryNetwork(), list[Any]()
    said = [
        [traded("1"), ticker(btc, "1")],
        [ticker(eth, "7")],
        [traded("2"), ticker(btc, "2")],
        [live],  # after the value that makes it so
        [traded("3"), ticker(btc, "3")],
        [ticker(btc, "4")],
    ]
    engine = Scripted(network, *said)
    runner = EngineRunner(engine, {}, {}, told.append, network, network)  # type: ignore[arg-type]
    work_off(runner.behind("c1", [b""] * len(said)))
    assert told == [
        traded("1"),
        traded("2"),
        ticker(btc, "2"),
        ticker(eth, "7"),
        live,
        traded("3"),
        ticker(btc, "4"),
    ]


def test_where_others_take_most_of_the_time_the_newest_tickers_do_not_wait_for_the_whole_read() -> None:
    network, told = MemoryNetwork(), list[Any]()
    said = [[ticker(btc, str(number))] for number in range(40)]
    engine = Scripted(network, *said)
    runner = EngineRunner(engine, {}, {}, lambda output: told.append((output, network.monotonic())), network, network)  # type: ignore[arg-type]
    work = runner.behind("c1", [b""] * len(said))
    begun = network.monotonic()
    while work():
        network.advance(0.05)  # another's turn
    times = [begun, *(at for _, at in told)]
    assert len(told) == 4
    assert max(later - before for before, later in pairwise(times)) <= TOLD_WITHIN + 2 * 0.05 + 2 * SLICE
    assert told[-1][0] == ticker(btc, "39")


def book_of(network: MemoryNetwork, timestamp: int, *, rebuilt: bool = False) -> BookChanged:
    topic = parse_topic("binance:spot:BTC-USDT:order_book:50")
    return BookChanged(topic, network, timestamp, timestamp, rebuilt)  # type: ignore[arg-type]


def test_of_a_books_changes_the_newest_of_a_slice_is_told_and_tickers_wait_on() -> None:
    network, told = MemoryNetwork(), list[Any]()
    book = partial(book_of, network)
    per_slice = round(SLICE * 1000)
    said = [[book(1), ticker(btc, "1")], [book(2)], *([[]] * (per_slice - 2)), [book(3)], [ticker(btc, "2")]]
    engine = Scripted(network, *said)
    runner = EngineRunner(engine, {}, {}, lambda output: told.append((output, len(engine.taken))), network, network)  # type: ignore[arg-type]
    work_off(runner.behind("c1", [b""] * len(said)))
    assert told == [(book(2), per_slice), (book(3), per_slice + 2), (ticker(btc, "2"), per_slice + 2)]


def test_a_rebuilt_book_is_told_in_its_place() -> None:
    network, told = MemoryNetwork(), list[Any]()
    book = partial(book_of, network)
    engine = Scripted(network, [book(1)], [traded("1")], [book(2, rebuilt=True)], [book(3)])
    runner = EngineRunner(engine, {}, {}, told.append, network, network)  # type: ignore[arg-type]
    work_off(runner.behind("c1", [b""] * 4))
    assert told == [traded("1"), book(1), book(2, rebuilt=True), book(3)]


def test_of_recorded_time_each_state_of_a_book_is_told_after_its_frame() -> None:
    network, told = MemoryNetwork(), list[Any]()
    book = partial(book_of, network)
    engine = Scripted(network, [traded("1"), ticker(btc, "1")], [book(1)], [book(2)], [ticker(btc, "2")], [])
    runner = EngineRunner(
        engine,  # type: ignore[arg-type]
        {},
        {},
        lambda output: told.append((output, len(engine.taken))),
        network,
        network,
        is_recorded=True,
    )
    work_off(runner.behind("c1", [b""] * 5))
    assert told[:3] == [(traded("1"), 2), (book(1), 2), (book(2), 3)]


def test_what_was_said_before_a_frame_that_raises_is_told() -> None:
    network, told = MemoryNetwork(), list[Any]()
    engine = Scripted(network, [traded("1")])  # the second frame has nothing to pop
    runner = EngineRunner(engine, {}, {}, told.append, network, network)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        runner.behind("c1", [b""] * 2)()
    assert told == [traded("1")]


@pytest.mark.parametrize("by", ["status", "frame"])
def test_what_comes_from_elsewhere_between_two_slices_finds_the_tickers_told(by: str) -> None:
    network, told = MemoryNetwork(), list[Any]()
    engine = Scripted(network, *[[ticker(btc, f"{number}")] for number in range(40)])
    runner = EngineRunner(engine, {}, {}, told.append, network, network)  # type: ignore[arg-type]
    work = runner.behind("c1", [b""] * 40)
    assert work() and not told, "the newest of the read is yet to come"
    newest = ticker(btc, f"{len(engine.taken) - 1}")
    if by == "status":
        runner.perform([live])
    else:
        runner.received("c2", [b""])
    assert told == [newest, live]


def test_a_runner_that_has_ended_forgets_what_waits() -> None:
    network = MemoryNetwork()
    engine = Slow(network)
    runner = EngineRunner(engine, {}, {}, lambda output: None, network, network)  # type: ignore[arg-type]
    work = runner.behind("c1", [b"1"] * 30)
    assert work()
    runner.stop()
    assert not work() and len(engine.taken) < 30

"""What the engine must allow for venues other than the first two, each habit proved on the made-up venue."""

from __future__ import annotations

from itertools import chain, pairwise

import pytest
from attrs import evolve

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, Cause, State, Trade
from cryptodash.core.instruments import Catalogue, Instrument
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Message, Readers
from cryptodash.exchanges.adapter.plan import Plan, RestRequest
from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server
from cryptodash.testing.venue import LIMITS, PERPETUAL, SPOT, Habits, MadeUpVenue, make_catalogue, make_instrument

TRADES = "spot:BTC-USDT:trade"
OTHER = "spot:ETH-USDT:trade"
CANDLES = "spot:BTC-USDT:candle:1m"
BUILT = "spot:BTC-USDT:candle:3m"
BOOK = "spot:BTC-USDT:order_book:5"
DEEP = "spot:BTC-USDT:order_book:50"
CHECKED = BookRules(SnapshotSource.STREAM, Chaining.CHECKSUM, wire.checksum, wire.CHECKED_LEVELS)
MINUTE = 60_000


def requests(server: Server, op: str = "sub") -> list[dict[str, object]]:
    return [request for _, request in server.sent if request["op"] == op]


# Answers


@pytest.mark.parametrize("answers", ["request", "symbol", "stream", "list"])
def test_every_manner_of_answering_subscribes_rejects_and_ends(answers: str) -> None:
    bench = Bench(answers=answers)
    bench.refused = {"trade:ETHUSDT"}
    bench.want(TRADES, OTHER, CANDLES)
    bench.advance(5)
    assert bench.subscribed() == {"trade:BTCUSDT", "candle:BTCUSDT"}
    assert (bench.status(OTHER).state, bench.status(OTHER).cause) == (State.CLOSED, Cause.REJECTED)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    assert bench.state(TRADES) is State.LIVE
    bench.drop(TRADES)
    bench.advance(5)
    assert bench.subscribed() == {"candle:BTCUSDT"}
    assert bench.count("cryptodash_upstream_subscribe_acks_total", "timeout") == 0


def test_a_request_names_one_channel_and_repeats_the_depth_at_the_end() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=CHECKED, one_channel=True)), answers="symbol")
    bench.want(TRADES, OTHER, CANDLES, DEEP)
    bench.advance(5)
    assert [(each["channel"], each.get("depth"), each["symbols"]) for each in requests(bench.only)] == [
        ("trade", None, ["BTCUSDT", "ETHUSDT"]),
        ("candle", None, ["BTCUSDT"]),
        ("book", 50, ["BTCUSDT"]),
    ]
    bench.drop(DEEP, OTHER)
    bench.advance(5)
    ended = [(each["channel"], each.get("depth"), each["symbols"]) for each in requests(bench.only, "unsub")]
    assert ended == [("book", 50, ["BTCUSDT"]), ("trade", None, ["ETHUSDT"])]
    assert bench.subscribed() == {"trade:BTCUSDT", "candle:BTCUSDT"}


def test_two_depths_of_a_symbol_never_share_a_connection() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=CHECKED, one_depth=True)))
    bench.want(BOOK)
    bench.frame(wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.want(DEEP)
    bench.advance(2)
    assert [server.streams for server in bench.servers.values()] == [{"book5:BTCUSDT"}, {"book50:BTCUSDT"}]
    second = list(bench.servers.values())[1]
    bench.frame(wire.book("book50:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True), second)
    bench.advance(2)
    assert bench.subscribed() == {"book50:BTCUSDT"} and bench.state(BOOK) is State.LIVE


# Connections


def test_every_connection_has_its_heartbeats_and_they_belong_to_no_topic() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, silent_after=5.0), Habits(heartbeats=True)))
    bench.want(TRADES)
    bench.advance(2)
    assert bench.subscribed() == {"heartbeat:", "trade:BTCUSDT"}
    for _ in range(60):
        bench.frame(wire.heartbeat(bench.wall))
        bench.advance(1)
    assert bench.gone == [] and bench.state(TRADES) is not State.LIVE, "they keep the connection, they prove no trade"
    bench.advance(6)
    assert [why for _, why in bench.gone] == ["idle"], "without them it is dead"
    bench.drop(TRADES)
    bench.advance(15)
    assert not bench.servers, "they alone keep no connection open"


def test_a_hole_in_the_count_of_a_connections_frames_loses_everything_on_it() -> None:
    habits = Habits(books=BookRules(SnapshotSource.STREAM, Chaining.CONNECTION))
    bench = Bench(MadeUpVenue(habits=habits))
    bench.want(BOOK, TRADES)
    snapshot = wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True)
    update = wire.book("book5:BTCUSDT", None, None, {"98": "2"}, {})
    bench.frame(wire.numbered(0, snapshot))
    bench.frame(wire.numbered(1, wire.trade("BTCUSDT", 1, "100", bench.wall)))
    bench.frame(wire.numbered(2, update))
    assert bench.state(BOOK) is bench.state(TRADES) is State.LIVE
    assert bench.published(BookChanged)[-1].book.top(2)[0] == [("99", "1"), ("98", "2")]
    bench.frame(wire.numbered(4, update))
    assert [why for _, why in bench.gone] == ["gap"]
    assert {(bench.status(each).state, bench.status(each).cause) for each in (BOOK, TRADES)} == {
        (State.STALE, Cause.GAP)
    }
    bench.advance(3)
    bench.frame(wire.numbered(0, snapshot))
    assert bench.state(BOOK) is State.LIVE, "a new connection counts anew"


def test_a_counted_frame_that_cannot_be_read_costs_its_own_stream_alone() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=BookRules(SnapshotSource.STREAM, Chaining.CONNECTION))))
    bench.want(BOOK, TRADES)
    bench.frame(
        wire.numbered(0, wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True)),
    )
    for number, price in enumerate(("0", "not a price", "100"), 1):
        bench.frame(wire.numbered(number, wire.trade("BTCUSDT", number, price, bench.wall)))
    assert bench.gone == [] and bench.state(BOOK) is bench.state(TRADES) is State.LIVE
    bench.frame(wire.numbered(5, wire.trade("BTCUSDT", 4, "not a price", bench.wall)))
    assert [why for _, why in bench.gone] == ["gap"], "it shows that another one is missing"


def test_a_counted_frame_of_a_book_that_cannot_be_read_is_a_hole() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=BookRules(SnapshotSource.STREAM, Chaining.CONNECTION))))
    bench.want(BOOK)
    bench.frame(
        wire.numbered(0, wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True)),
    )
    bench.frame(wire.numbered(1, wire.book("book5:BTCUSDT", None, None, {"98": "not a size"}, {})))
    bench.frame(wire.numbered(2, wire.book("book5:BTCUSDT", None, None, {"97": "1"}, {})))
    assert [why for _, why in bench.gone] == ["gap"], "the book lacks a change, whichever it was"


def test_a_book_that_only_the_connections_count_checks_begins_anew_when_the_new_connection_fails() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=BookRules(SnapshotSource.STREAM, Chaining.CONNECTION))))
    bench.want(BOOK, TRADES)
    old = bench.only
    snapshot = wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True)
    bench.frame(wire.numbered(0, snapshot))
    bench.advance(1)
    bench.frame(wire.numbered(1, wire.restarting()))
    new = next(each for each in bench.servers.values() if each is not old)
    bench.advance(1)
    bench.frame(wire.numbered(0, snapshot), new)
    bench.advance(1.5)
    assert bench.gone == [], "the book has changed over, the trades have not"
    bench.frame(wire.numbered(2, wire.book("book5:BTCUSDT", None, None, {"98": "2"}, {})), old)
    bench.close(new)
    bench.frame(wire.numbered(3, wire.book("book5:BTCUSDT", None, None, {"97": "2"}, {})), old)
    assert not bench.state(BOOK).is_good, "the old connection's 98 was dropped, and the new one never brought it"
    bench.advance(2)
    assert requests(old, "unsub"), "a snapshot comes only at the beginning"
    whole = wire.book("book5:BTCUSDT", None, None, {"99": "1", "98": "2", "97": "2"}, {"101": "1"}, snapshot=True)
    bench.frame(wire.numbered(4, whole), old)
    assert bench.state(BOOK) is State.LIVE


class NumberedLast(MadeUpVenue):
    """Says what a frame brings before its number."""

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> list[Message]:
        return [*reversed(super().read(endpoint, frame, readers))]


def test_a_frame_may_bring_two_reasons_to_give_its_connection_up() -> None:
    rules = BookRules(SnapshotSource.STREAM, Chaining.CONNECTION)
    bench = Bench(NumberedLast(evolve(LIMITS, requests=Rate(1, 3600.0)), Habits(books=rules)))
    bench.want(BOOK)
    snapshot = wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True)
    bench.frame(wire.numbered(0, snapshot))
    bench.frame(wire.numbered(5, wire.book("book5:BTCUSDT", None, None, {"105": "1"}, {})))
    assert [why for _, why in bench.gone] == ["requests"], "crossed, and frames are missing as well"
    bench.advance(3)
    bench.frame(wire.numbered(0, snapshot))
    assert bench.state(BOOK) is State.LIVE


def test_a_heartbeat_may_be_no_json() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(text_ping=True)))
    bench.want(TRADES)
    bench.advance(45)
    assert len(requests(bench.only, "ping")) == 2
    assert bench.count("cryptodash_upstream_decode_errors_total", "json") == 0
    histogram = bench.tally.metrics["cryptodash_upstream_ping_rtt_seconds"]
    assert sum(histogram.series["madeup",].counts) == 2  # type: ignore[union-attr]


def test_requests_per_hour_are_kept_and_who_waits_says_so() -> None:
    limits = evolve(LIMITS, requests=Rate(4, 3600.0), args_per_message=1)
    bench = Bench(MadeUpVenue(limits), make_catalogue(*(f"C{number}-USDT" for number in range(6))))
    topics = [f"spot:C{number}-USDT:trade" for number in range(6)]
    bench.want(*topics)
    bench.advance(5)
    assert len(bench.subscribed()) == 4
    assert (bench.status(topics[5]).state, bench.status(topics[5]).cause) == (State.CONNECTING, Cause.CAPACITY)
    for number in range(361):
        for name in bench.subscribed():
            bench.frame(wire.trade(name.partition(":")[2], number, "100", bench.wall))
        bench.advance(10)
    assert len(bench.subscribed()) == 6
    times = [at for at, request in bench.only.sent if request["op"] == "sub"]
    assert all(later - earlier >= 3600.0 for earlier, later in zip(times, times[4:], strict=False))


def test_a_book_that_cannot_begin_again_within_the_limit_of_requests_gets_a_new_connection() -> None:
    limits = evolve(LIMITS, requests=Rate(3, 3600.0))
    bench = Bench(MadeUpVenue(limits, Habits(books=BookRules(SnapshotSource.STREAM, Chaining.COUNTER))))
    bench.want(BOOK)
    for number in (0, 1):
        bench.frame(wire.book("book5:BTCUSDT", 7, 7, {"99": "1"}, {"101": "1"}, snapshot=True))
        assert bench.state(BOOK) is State.LIVE
        bench.frame(wire.book("book5:BTCUSDT", 9, 9, {"98": "1"}, {}))
        bench.advance(1)
        assert bench.gone == [], number
    bench.advance(6)
    assert [why for _, why in bench.gone] == ["requests"]
    assert bench.subscribed() == {"book5:BTCUSDT"}


def test_connects_keep_to_every_rate() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, connects=(Rate(3, 600.0), Rate(1, 0.34)))), obedient=False)
    bench.want(TRADES)
    for _ in range(2000):
        for server in list(bench.servers.values()):
            bench.close(server)
        bench.advance(1)
    made = bench.connects
    assert len(made) > 6 and min(later - earlier for earlier, later in pairwise(made)) >= 0.34
    assert all(later - earlier >= 600.0 for earlier, later in zip(made, made[3:], strict=False))


# Books


def book_bench(rules: BookRules) -> Bench:
    bench = Bench(MadeUpVenue(habits=Habits(books=rules)))
    bench.want(BOOK)
    return bench


def test_a_wrong_checksum_loses_the_book_and_a_new_snapshot_mends_it() -> None:
    bench = book_bench(CHECKED)
    bids, asks = {"99.0": "1.50", "98.0": "2"}, {"101.0": "1"}
    right = wire.checksum(list(bids.items()), list(asks.items()))
    bench.frame(wire.book("book5:BTCUSDT", None, None, bids, asks, snapshot=True, checksum=right))
    assert bench.state(BOOK) is State.LIVE
    changed = wire.checksum([("99.0", "1.50")], list(asks.items()))
    bench.frame(wire.book("book5:BTCUSDT", None, None, {"98.0": "0"}, {}, checksum=changed))
    assert bench.state(BOOK) is State.LIVE
    bench.frame(wire.book("book5:BTCUSDT", None, None, {"97.0": "1"}, {}, checksum=changed))
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.CHECKSUM)
    assert bench.count("cryptodash_book_gaps_total", "checksum") == 1
    bench.advance(1)
    assert [request["op"] for _, request in bench.only.sent] == ["sub", "unsub", "sub"]
    bench.frame(wire.book("book5:BTCUSDT", None, None, bids, asks, snapshot=True, checksum=right))
    assert bench.state(BOOK) is State.LIVE


def test_a_snapshot_without_a_checksum_is_replaced_by_the_next() -> None:
    bench = book_bench(CHECKED)
    bench.frame(wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True))
    whole = {"99": "1", "98": "1"}
    check = wire.checksum(list(whole.items()), [("101", "1")])
    bench.frame(wire.book("book5:BTCUSDT", None, None, whole, {"101": "1"}, snapshot=True, checksum=check))
    assert bench.state(BOOK) is State.LIVE and len(bench.published(BookChanged)[-1].book.top(5)[0]) == 2


@pytest.mark.parametrize("chaining", [Chaining.RANGE, Chaining.PREVIOUS, Chaining.COUNTER])
def test_a_snapshot_that_never_comes_in_the_stream_is_fetched(chaining: Chaining) -> None:
    bench = book_bench(BookRules(SnapshotSource.EITHER, chaining))
    for number in range(11, 15):
        bench.frame(wire.book("book5:BTCUSDT", number, number, {"98": str(number)}, {}, previous=number - 1))
    bench.advance(4)
    assert bench.fetches == [], "it may still come"
    bench.advance(2)
    (request,) = bench.fetches
    assert request.pool == "books"
    bench.answer(request, wire.book("", 12, 12, {"99": "1", "98": "12"}, {"101": "1"}, snapshot=True))
    assert bench.state(BOOK).is_good
    assert bench.published(BookChanged)[-1].book.top(2)[0] == [("99", "1"), ("98", "14")]


@pytest.mark.parametrize("chaining", [Chaining.RANGE, Chaining.PREVIOUS, Chaining.COUNTER])
@pytest.mark.parametrize("source", [SnapshotSource.STREAM, SnapshotSource.EITHER])
def test_a_snapshot_in_the_stream_is_enough_and_a_gap_begins_anew(source: SnapshotSource, chaining: Chaining) -> None:
    bench = book_bench(BookRules(source, chaining))
    bench.frame(wire.book("book5:BTCUSDT", 7, 7, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.frame(wire.book("book5:BTCUSDT", 8, 8, {"98": "2"}, {}, previous=7))
    assert bench.state(BOOK) is State.LIVE and bench.fetches == []
    bench.frame(wire.book("book5:BTCUSDT", 10, 10, {"97": "3"}, {}, previous=9))
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.GAP)
    bench.advance(1)
    assert [request["op"] for _, request in bench.only.sent] == ["sub", "unsub", "sub"]
    bench.frame(wire.book("book5:BTCUSDT", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    assert bench.state(BOOK) is State.LIVE and bench.fetches == []


# Numbers


def contracts(size: str) -> Catalogue:
    catalogue = make_catalogue("BTC-USDT")
    for market in (SPOT, PERPETUAL):
        catalogue.replace(market, [make_instrument(market, "BTC", "USDT", contract_size=size)])
    return catalogue


def test_sizes_in_contracts_become_base_quantity_exactly() -> None:
    bench = Bench(catalogue=contracts("0.0100"))
    bench.want(TRADES, "perpetual:BTC-USDT:order_book:5")
    spot, perpetual = bench.servers.values()
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall), spot)
    assert bench.published(Trade)[0].quantity == "0.0100"
    bench.frame(
        wire.bare_book("book5:BTCUSDT", 7, "[[99.50,34.95,0,3]]", "[[101.0,0.10,0,1]]", snapshot=True), perpetual
    )
    assert bench.published(BookChanged)[-1].book.top(1) == ([("99.50", "0.349500")], [("101.0", "0.001000")])


def test_bare_numbers_of_four_a_level_keep_every_digit() -> None:
    bench = Bench()
    bench.want("perpetual:BTC-USDT:order_book:5")
    bids = "[[63000.0,0.00005100,0,1],[62999.90,1e-7,0,1]]"
    bench.frame(wire.bare_book("book5:BTCUSDT", 7, bids, "[[63000.10,2.07265551,0,9]]", snapshot=True))
    book = bench.published(BookChanged)[-1].book
    assert book.top(2)[0] == [("63000.0", "0.00005100"), ("62999.90", "0.0000001")]


class Aliases(MadeUpVenue):
    """Lists some pairs twice, and speaks of both by one name."""

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        if instrument is not None and instrument.alias_of:
            instrument = evolve(instrument, native=instrument.alias_of)
        return super().plan(topic, instrument, depth)


def test_two_listings_of_one_book_share_its_streams() -> None:
    usdt = make_instrument(SPOT, "BTC", "USDT")
    usd = evolve(make_instrument(SPOT, "BTC", "USD"), alias_of=usdt.native)
    catalogue = Catalogue("madeup")
    catalogue.replace(SPOT, [usdt, usd])
    assert catalogue.native(SPOT, "BTCUSD") == usd
    rules = BookRules(SnapshotSource.STREAM, Chaining.COUNTER)
    bench = Bench(Aliases(habits=Habits(books=rules)), catalogue=catalogue)
    bench.want("spot:BTC-USD:trade", TRADES, BOOK)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    assert [str(each.topic.symbol) for each in bench.published(Trade)] == ["BTC-USD", "BTC-USDT"]
    bench.frame(wire.book("book5:BTCUSDT", 1, 1, {"99": "1"}, {"101": "1"}, snapshot=True))
    alias = "spot:BTC-USD:order_book:5"
    bench.want(alias)
    bench.advance(7)
    assert requests(bench.only, "unsub"), "who comes later needs a snapshot of his own"
    bench.frame(wire.book("book5:BTCUSDT", 1, 1, {"99": "1"}, {"101": "1"}, snapshot=True))
    assert bench.state(alias) is bench.state(BOOK) is State.LIVE
    assert bench.subscribed() == {"trade:BTCUSDT", "book5:BTCUSDT"}


# Candles


def test_a_bar_without_a_flag_is_closed_by_the_next() -> None:
    bench = Bench()
    bench.want(CANDLES)
    start = bench.wall - bench.wall % MINUTE
    for opened, close in ((start, "100"), (start, "101"), (start + 3 * MINUTE, "102")):
        bench.clock.advance(max(0, opened - bench.wall) / 1000)
        bench.frame(wire.candle("BTCUSDT", opened, close, None))
    told = [(each.timestamp - start, each.close, each.closed) for each in bench.published(Candle)]
    assert told == [(0, "100", False), (0, "101", False), (0, "101", True), (3 * MINUTE, "102", False)]
    assert bench.fetches == [], "minutes without trades have no bar"


def test_a_bar_without_a_flag_is_closed_by_the_venues_clock_and_rest() -> None:
    bench = Bench()
    bench.want(CANDLES)
    start = bench.wall - bench.wall % MINUTE
    bench.frame(wire.candle("BTCUSDT", start, "100", None))
    bench.advance((start + MINUTE - bench.wall) / 1000)
    assert bench.fetches == []
    bench.advance(2)
    (request,) = bench.fetches
    bench.answer(request, b'[[%d,"100.5"]]' % start)
    last = bench.published(Candle)[-1]
    assert (last.timestamp, last.close, last.closed, last.source) == (start, "100.5", True, "rest")
    bench.advance(30)
    assert bench.fetches == []


class Ending(MadeUpVenue):
    """Has to be told the end of the bars that are asked for."""

    def candles_request(self, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        request = super().candles_request(topic, instrument, limit, end_ms)
        return evolve(request, params=(("end", str(end_ms)),), needs_end=end_ms is None)


def test_a_venue_that_must_be_told_the_end_of_lost_bars_is_told_its_own_time() -> None:
    bench = Bench(Ending())
    bench.want(CANDLES)
    start = bench.wall - bench.wall % MINUTE
    bench.frame(wire.candle("BTCUSDT", start, "100", None))
    bench.advance((start + MINUTE - bench.wall) / 1000 + 10)
    (request,) = bench.fetches
    ((name, end),) = request.params
    assert name == "end" and start + MINUTE < int(end) <= bench.wall and not request.needs_end


def test_a_bar_whose_last_frames_may_be_lost_is_fetched_before_the_next_is_told() -> None:
    bench = Bench()
    bench.want(CANDLES)
    start = bench.wall - bench.wall % MINUTE
    bench.frame(wire.candle("BTCUSDT", start, "100", None))
    bench.close(bench.only)
    bench.advance(3)
    bench.frame(wire.candle("BTCUSDT", start + MINUTE, "102", None))
    (request,) = bench.fetches
    assert [each.closed for each in bench.published(Candle)] == [False]
    bench.answer(request, b'[[%d,"101"],[%d,"102"]]' % (start, start + MINUTE))
    told = [(each.timestamp - start, each.close, each.closed) for each in bench.published(Candle)]
    assert told == [(0, "100", False), (0, "101", True), (MINUTE, "102", False)]


def trade_at(bench: Bench, number: int, price: str, time: int) -> None:
    """A trade that comes when it is made."""
    bench.clock.advance((time - bench.wall) / 1000)
    bench.frame(wire.trade("BTCUSDT", number, price, time))


def test_an_interval_that_the_venue_lacks_is_built_from_trades() -> None:
    bench = Bench()
    bench.want(BUILT)
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    prices = ((-1, "90"), (0, "100"), (MINUTE, "104"), (2 * MINUTE, "99"), (length, "101"))
    for number, (after, price) in enumerate(prices, 1):
        trade_at(bench, number, price, start + after)
    closed = [each for each in bench.published(Candle) if each.closed]
    assert [(each.timestamp, each.open, each.high, each.low, each.close, each.volume) for each in closed] == [
        (start, "100", "104", "99", "99", "3")
    ], "the one before had begun before the trades did"
    assert {each.source for each in bench.published(Candle)} == {"trades"}
    bench.advance((start + 2 * length - bench.wall) / 1000 + 2)
    assert not bench.published(Candle)[-1].closed, "nothing has come since its end: a trade may be on its way"
    bench.frame(wire.day("ETHUSDT", "10", bench.wall))
    bench.advance(0.5)
    last = bench.published(Candle)[-1]
    assert (last.timestamp, last.closed) == (start + length, True), "closed by the venue's clock"


def begun_bar() -> tuple[Bench, int, int]:
    """A bench whose bar of three minutes is built from trades and has one; when it began, and how long it is (ms)."""
    bench = Bench()
    bench.want(BUILT)
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    trade_at(bench, 1, "90", start - 1)
    trade_at(bench, 2, "100", start)
    return bench, start, length


def test_a_bar_built_from_trades_that_were_interrupted_is_left_out() -> None:
    bench, start, length = begun_bar()
    bench.close(bench.only)
    bench.advance(3)
    trade_at(bench, 5, "101", start + MINUTE)
    trade_at(bench, 6, "102", start + length)
    trade_at(bench, 7, "103", start + 2 * length)
    assert [each.timestamp for each in bench.published(Candle) if each.closed] == [start + length]


def test_trades_that_a_venue_sends_again_are_counted_once_in_bars_built_from_them() -> None:
    """On subscribing it repeats the last ones, also where only the stream was begun anew."""
    bench = Bench()
    bench.want(BUILT)
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    for number, (after, price) in enumerate(((-1, "90"), (0, "100"), (MINUTE, "104")), 1):
        trade_at(bench, number, price, start + after)
    for number, (after, price) in enumerate(((0, "100"), (MINUTE, "104")), 2):
        bench.frame(wire.trade("BTCUSDT", number, price, start + after))
    trade_at(bench, 4, "101", start + length)
    assert [(each.close, each.volume) for each in bench.published(Candle) if each.closed] == [("104", "2")]
    trade_at(bench, 1, "102", start + 2 * length)
    assert [each.volume for each in bench.published(Candle) if each.closed] == ["2", "1"], "counted anew"


def test_a_bar_that_lacks_a_trade_by_the_venues_count_is_left_out() -> None:
    bench = Bench()
    bench.want(BUILT)
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    trades = ((1, -1), (2, 0), (4, MINUTE), (5, length), (3, MINUTE), (6, 2 * length))
    for number, after in trades:
        bench.clock.advance(max(0, start + after - bench.wall) / 1000)
        bench.frame(wire.trade("BTCUSDT", number, "100", start + after))
    closed = [(each.timestamp - start, each.volume) for each in bench.published(Candle) if each.closed]
    assert closed == [(length, "1")], "the third trade came too late"


@pytest.mark.parametrize("how", ["a number is missing", "reconnected"])
def test_a_running_bar_that_lacks_trades_is_not_called_live(how: str) -> None:
    bench, start, length = begun_bar()
    assert bench.state(BUILT) is State.LIVE
    if how == "reconnected":
        bench.close(bench.only)
        bench.advance(3)
    trade_at(bench, 4, "101", start + MINUTE)
    trade_at(bench, 5, "102", start + MINUTE + 1_000)
    assert bench.published(Candle)[-1].close == "100", "it goes on no more"
    assert (bench.status(BUILT).state, bench.status(BUILT).cause) == (State.RESYNCING, Cause.GAP)
    trade_at(bench, 6, "103", start + length)
    assert bench.published(Candle)[-1].timestamp == start + length
    assert bench.state(BUILT) is State.LIVE


def test_a_bar_built_from_trades_is_closed_once_though_its_trades_come_again_with_the_next_connection() -> None:
    bench = Bench()
    bench.want(BUILT)
    length = 3 * MINUTE
    start = bench.wall - bench.wall % length + length
    told = ((-1, "90"), (0, "100"), (length, "104"))
    for number, (after, price) in enumerate(told, 1):
        trade_at(bench, number, price, start + after)
    bench.close(bench.only)
    bench.advance(3)
    for number, (after, price) in enumerate((*told, (length + MINUTE, "105")), 1):
        bench.frame(wire.trade("BTCUSDT", number, price, start + after))
    trade_at(bench, 5, "106", start + 2 * length)
    closed = [(each.timestamp - start, each.volume) for each in bench.published(Candle) if each.closed]
    assert closed == [(0, "1"), (length, "2")], "the second is whole again"


def test_a_book_does_not_go_back_to_the_old_connection_without_a_snapshot() -> None:
    habits = Habits(books=BookRules(SnapshotSource.STREAM, Chaining.CONNECTION))
    bench = Bench(MadeUpVenue(evolve(LIMITS, lifetime=60.0, silent_after=100.0), habits))
    bench.want(BOOK, TRADES)
    old = bench.only
    snapshot = wire.book("book5:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True)
    bench.frame(wire.numbered(0, snapshot))
    while len(bench.servers) == 1:
        bench.advance(0.5)
    (new,) = [each for each in bench.servers.values() if each is not old]
    bench.frame(wire.numbered(0, snapshot), new)
    bench.advance(3)
    bench.frame(wire.numbered(1, wire.book("book5:BTCUSDT", None, None, {"98": "7"}, {})), old)
    bench.close(new)
    bench.frame(wire.numbered(2, wire.book("book5:BTCUSDT", None, None, {"97": "1"}, {})), old)
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.GAP)
    assert [each.gaps for each in chain.from_iterable(bench.engine.streams()) if each.name == "book5:BTCUSDT"] == [1]
    bench.frame(wire.numbered(3, snapshot), old)
    assert bench.state(BOOK) is State.LIVE


# Books that would stay lost

EITHER = BookRules(SnapshotSource.EITHER, Chaining.COUNTER)
FUTURE = "perpetual:BTC-USDT:order_book:5"


def test_a_quiet_stream_whose_snapshot_never_came_is_begun_again() -> None:
    bench = Bench()
    bench.want(FUTURE)
    bench.frame(wire.book("book5:BTCUSDT", None, 1, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.advance(1)
    bench.frame(wire.book("book5:BTCUSDT", 5, 5, {"99": "2"}, {}))
    assert bench.state(FUTURE) is State.RESYNCING
    bench.advance(120)
    assert bench.state(FUTURE) is State.RESYNCING
    assert len(requests(bench.only)) > 3, "once at first, and several times since"


def test_a_snapshot_that_was_given_up_is_asked_for_again() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=EITHER)))
    bench.want(BOOK)
    for number in range(1, 8):
        bench.frame(wire.book("book5:BTCUSDT", number, number, {"99": "1"}, {}))
        bench.advance(1)
    (request,) = bench.fetches
    bench.frame(wire.book("book5:BTCUSDT", 20, 20, {"99": "1"}, {}))
    bench.answer(request, wire.book("rest", 7, 7, {"99": "1"}, {"101": "1"}, snapshot=True))
    for number in range(21, 60):
        bench.frame(wire.book("book5:BTCUSDT", number, number, {"99": "1"}, {}))
        bench.advance(1)
    assert bench.fetches, "the stream brings no snapshot"


def test_a_stream_that_has_a_snapshot_is_begun_again_although_rest_refuses() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(books=EITHER)))
    bench.want(BOOK)
    snapshot = wire.book("book5:BTCUSDT", None, 1, {"99": "1"}, {"101": "1"}, snapshot=True)
    bench.frame(snapshot)
    bench.frame(wire.book("book5:BTCUSDT", 9, 9, {"99": "2"}, {}))
    bench.advance(1)
    bench.frame(snapshot)
    bench.frame(wire.book("book5:BTCUSDT", 19, 19, {"99": "2"}, {}))
    begun = len(requests(bench.only))
    for number in range(20, 100):
        bench.frame(wire.book("book5:BTCUSDT", number, number, {"99": "1"}, {}))
        bench.advance(1)
        for request in bench.fetches[:]:
            bench.fail(request, UpstreamError("banned", "no"))
    assert len(requests(bench.only)) > begun


@pytest.mark.parametrize("dropped", [True, False])
def test_a_book_listed_anew_is_not_compared_with_quotes_from_before(dropped: bool) -> None:
    bench = Bench()
    ticker, book = "spot:BTC-USDT:ticker", "spot:BTC-USDT:order_book:5"
    bench.want(book, ticker)
    bench.frame(wire.quote("BTCUSDT", "99", "101", 1000))
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "ETH", "USDT")])
    bench.list_again(SPOT)
    if dropped:
        bench.drop(ticker)
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "BTC", "USDT")])
    bench.list_again(SPOT)
    bench.advance(1)
    for number in (1, 2):
        bench.frame(wire.book("book:BTCUSDT", number, number, {"99": "1"}, {}))
    bench.advance(1)
    for request in bench.fetches[:]:
        bench.answer(request, wire.book("rest", 2, 2, {"99": "1"}, {"101": "1"}, snapshot=True))
    assert bench.state(book) is State.LIVE
    bench.advance(8)
    assert bench.state(book) is State.QUIET


def test_a_snapshot_without_an_id_is_a_failure_like_any_other() -> None:
    bench = Bench()
    bench.want(BOOK)
    bench.frame(wire.book("book:BTCUSDT", 1, 1, {"99": "1"}, {}))
    bench.frame(wire.book("book:BTCUSDT", 2, 2, {"99": "1"}, {}))
    (request,) = bench.fetches
    bench.answer(request, wire.book("rest", None, None, {"99": "1"}, {"101": "1"}, snapshot=True))
    for number in range(3, 33):
        bench.frame(wire.book("book:BTCUSDT", number, number, {"99": "1"}, {}))
        for request in bench.fetches[:]:
            bench.answer(request, wire.book("rest", number, number, {"99": "1"}, {"101": "1"}, snapshot=True))
        bench.advance(1)
    assert bench.state(BOOK) is State.LIVE

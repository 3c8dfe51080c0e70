"""What the end of one of two connections means, and what clients get to see of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve

from cryptodash.core.events import Cause, State, StreamStatus, Ticker, Trade
from cryptodash.core.tally import Counter
from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.connections.allocation import LINGER, ROLL_SPACING
from cryptodash.exchanges.connections.commands import BookChanged, Closed
from cryptodash.exchanges.connections.connection import Connection, Routes
from cryptodash.exchanges.connections.rollover import MOST_HELD, OVERLAP, TAKEOVER, Ending, ending
from cryptodash.exchanges.engine import BEAT
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server
from cryptodash.testing.venue import LIMITS, SPOT, MadeUpVenue, make_catalogue

TRADES = "spot:BTC-USDT:trade"
OTHER = "spot:ETH-USDT:trade"
TICKER = "spot:BTC-USDT:ticker"
BOOK = "spot:BTC-USDT:order_book:5"

# How far the new connection has come.
DIALLING, OPEN, GRANTED = "being opened", "open", "granted everything"


def incoming(state: str | None) -> Connection | None:
    if state is None:
        return None
    venue = MadeUpVenue()
    endpoint = venue.endpoints["spot"]
    connection = Connection("new", endpoint, LIMITS, venue, Routes.of(endpoint, venue), 0.0)
    if state != DIALLING:
        connection.opened(1.0)
    if state == GRANTED:
        assert connection.next_frame(2.0) is None  # nothing is wanted, so nothing has to be answered
    return connection


@pytest.mark.parametrize(
    ("is_incoming", "state", "meaning"),
    [
        (True, DIALLING, Ending.FALL_BACK),
        (True, OPEN, Ending.FALL_BACK),
        (True, GRANTED, Ending.FALL_BACK),
        (False, None, Ending.LOST),
        (False, DIALLING, Ending.WAIT),
        (False, OPEN, Ending.TAKE_OVER_EARLY),
        (False, GRANTED, Ending.TAKE_OVER),
    ],
)
def test_what_the_end_of_a_connection_means(is_incoming: bool, state: str | None, meaning: Ending) -> None:
    assert ending(is_incoming=is_incoming, incoming=incoming(state)) is meaning


class Change:
    """Topics that are live by an old connection, and a new one on its way, since the venue said that it restarts."""

    def __init__(self, state: str | None, *topics: str) -> None:
        self.bench = Bench()
        self._topics = topics or (TRADES, TICKER)
        self.bench.want(*self._topics)
        self.old = self.bench.only
        for number in (1, 2):
            self.feed(self.old, number)
        self.bench.advance(1)
        self.bench.obedient = False
        if state is not None:
            self.bench.frame(wire.restarting(), self.old)
            self.new = next(server for server in self.bench.servers.values() if server is not self.old)
        if state in (OPEN, GRANTED):
            self.bench.open(self.new)
        if state == GRANTED:
            self.grant()
        self._before = len(self.bench.published(StreamStatus))

    def grant(self) -> None:
        """The new connection gets what it has asked for, and finds that there is no more to ask for."""
        while self.new.unanswered:
            self.bench.ack(self.new)
            self.bench.advance(LIMITS.message_gap)

    def feed(self, server: Server, number: int) -> None:
        """A trade with this number, and a quote."""
        bench = self.bench
        if TRADES in self._topics:
            bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall), server)
        if TICKER in self._topics:
            bench.frame(wire.quote("BTCUSDT", "99", "101", number), server)
            bench.frame(wire.day("BTCUSDT", "100", bench.wall), server)

    def lose(self, server: Server, how: Closed | None = None) -> None:
        self.bench.close(server, how)

    @property
    def told(self) -> list[tuple[str, State, Cause | None]]:
        """What clients were told since the change began."""
        return [
            (each.topic.channel.value, each.state, each.cause)
            for each in self.bench.published(StreamStatus)[self._before :]
        ]

    @property
    def trades(self) -> list[int]:
        return [int(each.id) for each in self.bench.published(Trade)]

    @property
    def missed(self) -> int:
        return self.bench.count("cryptodash_trades_missed_total")

    @property
    def results(self) -> dict[str, int]:
        counter = self.bench.tally.metrics["cryptodash_upstream_rollovers_total"]
        assert isinstance(counter, Counter)
        return {labels[1]: count for labels, count in counter.values.items()}


# -- the new one ends


@pytest.mark.parametrize("state", [DIALLING, OPEN, GRANTED])
def test_fall_back_nobody_notices_and_another_attempt_is_made_later(state: str) -> None:
    change = Change(state)
    bench = change.bench
    change.feed(change.old, 3)
    if state == GRANTED:
        for number in (3, 4):
            change.feed(change.new, number)  # held back: the old one will bring them too
    change.lose(change.new, Closed("tcp"))
    for number in (4, 5):
        change.feed(change.old, number)
    assert change.trades == [1, 2, 3, 4, 5]
    assert change.missed == 0
    assert change.told == []
    assert change.results == {"failed": 1}
    bench.advance(ROLL_SPACING - 0.1)
    assert list(bench.servers.values()) == [change.old]
    bench.obedient = True
    bench.advance(0.1 + BEAT)
    assert len(bench.servers) == 2
    bench.advance(TAKEOVER + 1)
    assert change.results == {"failed": 1, "clean": 1}


def test_fall_back_after_a_stream_had_changed_over() -> None:
    """A value that only the latest counts of is the old connection's again, and trades that it brings once more are
    not told twice."""
    change = Change(GRANTED, TRADES, OTHER, TICKER)
    bench = change.bench
    for number in (3, 4):
        change.feed(change.old, number)
        change.feed(change.new, number)
        bench.advance(OVERLAP)
    change.feed(change.new, 5)
    assert change.trades == [1, 2, 3, 4, 5]
    assert change.results == {}  # one of the streams is quiet, so it is not over yet
    change.lose(change.new)
    for number in (5, 6):
        change.feed(change.old, number)
    assert change.trades == [1, 2, 3, 4, 5, 6]
    assert [each for each in change.told if each[0] != "trade"] == []
    assert bench.state(TRADES) is State.LIVE
    assert change.results == {"failed": 1}


def test_fall_back_waits_longer_each_time() -> None:
    change = Change(DIALLING, TRADES)
    bench = change.bench
    for _ in range(8):
        while len(bench.servers) == 1:
            bench.advance(BEAT)
        old, new = bench.servers.values()
        assert old is change.old
        change.lose(new, Closed("tcp"))
    pauses = [later - earlier for earlier, later in pairwise(bench.connects[1:])]
    assert min(pauses) >= ROLL_SPACING
    assert max(pauses) > 2 * ROLL_SPACING


def test_once_one_has_taken_over_its_failures_are_forgotten() -> None:
    change = Change(DIALLING, TRADES)
    bench = change.bench
    for _ in range(6):
        while len(bench.servers) == 1:
            bench.advance(BEAT)
        change.lose(list(bench.servers.values())[1], Closed("tcp"))
    bench.obedient = True
    bench.advance(60 + TAKEOVER)
    assert change.results == {"failed": 6, "clean": 1}
    bench.obedient = False
    bench.frame(wire.restarting(), bench.only)
    for _ in range(3):  # at first the pause is that between any two changes
        _, new = bench.servers.values()
        change.lose(new, Closed("tcp"))
        bench.advance(ROLL_SPACING + BEAT)
        assert len(bench.servers) == 2


# -- the old one ends


def test_take_over_nothing_is_lost_or_told_twice() -> None:
    change = Change(GRANTED)
    change.feed(change.old, 3)
    for number in (3, 4):
        change.feed(change.new, number)
    assert change.trades == [1, 2, 3]
    change.lose(change.old)
    assert change.trades == [1, 2, 3, 4]  # what was held back is told at once
    change.feed(change.new, 5)
    assert change.trades == [1, 2, 3, 4, 5]
    assert change.missed == 0
    assert change.told == []
    assert change.results == {"clean": 1}
    change.bench.advance(5)
    assert list(change.bench.servers.values()) == [change.new]


def test_take_over_a_book_goes_on_where_it_was() -> None:
    change = Change(None, BOOK)
    bench = change.bench

    def update(server: Server, number: int) -> None:
        bench.frame(wire.book("book:BTCUSDT", number, number, {"98": str(number)}, {}), server)

    for number in (11, 12):
        update(change.old, number)
    bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.obedient = True
    bench.frame(wire.restarting(), change.old)
    new = next(server for server in bench.servers.values() if server is not change.old)
    bench.advance(LIMITS.message_gap)
    before = len(bench.published(StreamStatus))
    update(change.old, 13)
    for number in (13, 14):
        update(new, number)
    change.lose(change.old)
    update(new, 15)
    book = bench.published(BookChanged)[-1]
    assert (book.rebuilt, book.book.top(2)[0][1]) == (False, ("98", "15"))
    assert len(bench.published(StreamStatus)) == before
    assert change.results == {"clean": 1}


def test_take_over_early_goes_on_with_a_hole_that_only_the_metrics_tell() -> None:
    change = Change(OPEN)
    change.feed(change.old, 3)
    change.lose(change.old)
    assert change.told == []
    assert change.results == {"gap": 1}
    change.grant()
    change.feed(change.new, 6)
    assert change.trades == [1, 2, 3, 6]
    assert change.missed == 2
    assert change.told == []
    assert list(change.bench.servers.values()) == [change.new]


def test_take_over_early_a_book_finds_its_gap_by_itself() -> None:
    change = Change(None, BOOK)
    bench = change.bench
    for number in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", number, number, {"98": "1"}, {}), change.old)
    bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.frame(wire.restarting(), change.old)
    change.new = next(server for server in bench.servers.values() if server is not change.old)
    bench.open(change.new)
    change.lose(change.old)
    assert bench.state(BOOK).is_good
    change.grant()
    bench.frame(wire.book("book:BTCUSDT", 20, 20, {"98": "1"}, {}), change.new)
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.GAP)


def test_take_over_early_what_never_comes_is_noticed_like_any_silence() -> None:
    change = Change(OPEN)
    change.lose(change.old)
    change.bench.advance(TAKEOVER)
    assert change.told == [
        ("trade", State.QUIET, None),
        ("ticker", State.QUIET, None),
        ("trade", State.STALE, Cause.SILENT),  # the new connection brings nothing at all
        ("ticker", State.STALE, Cause.SILENT),
    ]
    assert change.bench.status(TICKER).fields == ("bid", "ask", "last", "stats")


HOWS = [
    (Closed("remote", code=1006), Cause.DISCONNECTED),
    (Closed("remote", code=1012), Cause.MAINTENANCE),
    (Closed("remote", code=1008), Cause.BANNED),
    (Closed("gap"), Cause.GAP),
]


@pytest.mark.parametrize(("how", "cause"), HOWS, ids=str)
@pytest.mark.parametrize(("state", "results"), [(DIALLING, {"gap": 1}), (None, {})])
def test_wait_and_lost_are_told_with_the_cause(
    how: Closed, cause: Cause, state: str | None, results: dict[str, int]
) -> None:
    change = Change(state)
    change.lose(change.old, how)
    assert change.told == [("trade", State.STALE, cause), ("ticker", State.STALE, cause)]
    assert change.results == results


def test_wait_the_connection_that_is_being_opened_is_the_one_to_wait_for() -> None:
    change = Change(DIALLING)
    bench = change.bench
    change.lose(change.old)
    bench.want(OTHER)
    assert (bench.status(OTHER).state, bench.status(OTHER).cause) == (State.CONNECTING, Cause.DISCONNECTED)
    bench.advance(5)
    assert len(bench.connects) == 2
    bench.obedient = True
    bench.open(change.new)
    bench.advance(2)
    assert bench.subscribed() == {"trade:BTCUSDT", "quote:BTCUSDT", "day:BTCUSDT", "trade:ETHUSDT"}
    assert bench.state(TICKER) is State.STALE  # until a frame comes
    change.feed(change.new, 7)
    assert {bench.state(each) for each in (TRADES, TICKER)} == {State.LIVE}
    assert change.trades == [1, 2, 7]
    assert change.results == {"gap": 1}


def test_wait_in_vain() -> None:
    change = Change(DIALLING)
    bench = change.bench
    change.lose(change.old)
    change.lose(change.new, Closed("http", status=503, retry_after=3.0))
    assert bench.status(TICKER).cause is Cause.MAINTENANCE
    assert not bench.servers
    bench.obedient = True
    bench.advance(2.9)
    assert not bench.servers
    bench.advance(2.2)
    change.feed(bench.only, 7)
    assert bench.state(TICKER) is State.LIVE
    assert change.results == {"gap": 1}


def test_lost_while_nothing_is_replaced_is_no_result() -> None:
    change = Change(None)
    change.lose(change.old)
    change.bench.obedient = True
    change.bench.advance(1.1)
    change.feed(change.bench.only, 3)
    assert change.bench.state(TICKER) is State.LIVE
    assert change.results == {}


@pytest.mark.parametrize("state", [DIALLING, OPEN, GRANTED])
def test_a_hole_in_the_count_of_the_old_connection_ends_it(state: str) -> None:
    change = Change(state)
    bench = change.bench
    for number in (1, 2):
        bench.frame(wire.numbered(number, wire.heartbeat(bench.wall)), change.old)
    bench.frame(wire.numbered(4, wire.trade("BTCUSDT", 4, "100", bench.wall)), change.old)
    assert bench.gone[-1] == (change.old, "gap")
    assert change.trades == [1, 2]  # the frame after the hole is not taken
    assert {cause for _, _, cause in change.told} == ({Cause.GAP} if state == DIALLING else set())


def test_a_hole_in_the_count_of_the_new_connection_is_no_loss() -> None:
    change = Change(GRANTED)
    bench = change.bench
    bench.frame(wire.numbered(1, wire.trade("BTCUSDT", 3, "100", bench.wall)), change.new)
    bench.frame(wire.numbered(3, wire.trade("BTCUSDT", 5, "100", bench.wall)), change.new)
    for number in (3, 4, 5):
        change.feed(change.old, number)
    assert change.trades == [1, 2, 3, 4, 5]
    assert change.told == []
    assert change.results == {"failed": 1}


# -- neither ends


def test_a_quiet_stream_changes_over_ten_seconds_after_the_last_answer() -> None:
    change = Change(GRANTED)
    bench = change.bench
    change.feed(change.new, 3)
    bench.advance(OVERLAP + BEAT)
    assert list(bench.servers.values()) == [change.new]  # nothing is quiet
    change = Change(GRANTED, TRADES, OTHER)
    bench = change.bench
    change.feed(change.new, 3)
    bench.advance(TAKEOVER - 0.1)
    assert len(bench.servers) == 2
    bench.advance(0.1 + BEAT)
    assert list(bench.servers.values()) == [change.new]
    assert change.trades == [1, 2, 3]
    assert change.results == {"clean": 1}


def test_of_what_only_the_latest_counts_the_new_connection_counts_at_once() -> None:
    change = Change(GRANTED, TICKER)
    bench = change.bench
    bench.frame(wire.quote("BTCUSDT", "98", "102", 3), change.new)
    assert bench.published(Ticker)[-1].bid == "98"
    bench.frame(wire.quote("BTCUSDT", "97", "103", 4), change.old)
    assert bench.published(Ticker)[-1].bid == "98"
    assert bench.count("cryptodash_duplicates_dropped_total") == 1


def test_what_is_held_back_is_bounded() -> None:
    change = Change(GRANTED, TRADES, OTHER)
    for number in range(3, MOST_HELD + 2):
        change.feed(change.new, number)
    assert change.trades == [1, 2]
    change.feed(change.new, MOST_HELD + 2)
    assert change.trades == list(range(1, MOST_HELD + 3))


def test_a_stream_dropped_in_between_leaves_nothing_behind() -> None:
    change = Change(GRANTED, TRADES, OTHER)
    bench = change.bench
    change.feed(change.new, 3)
    bench.drop(TRADES)
    bench.advance(TAKEOVER + 1)
    assert change.trades == [1, 2]
    assert change.results == {"clean": 1}


def test_a_stream_wanted_in_between_comes_by_the_old_connection_until_the_new_one_has_it() -> None:
    change = Change(OPEN)
    bench = change.bench
    bench.obedient = True
    change.grant()
    bench.want(OTHER)
    bench.advance(LIMITS.message_gap)
    assert all("trade:ETHUSDT" in server.streams for server in (change.old, change.new))
    for server in (change.old, change.new):
        bench.frame(wire.trade("ETHUSDT", 1, "100", bench.wall), server)
    bench.advance(OVERLAP)
    bench.frame(wire.trade("ETHUSDT", 2, "100", bench.wall), change.new)
    assert [each.id for each in bench.published(Trade) if each.topic is bench.topic(OTHER)] == ["1", "2"]


def test_a_connection_that_is_given_up_for_want_of_streams_lets_the_next_one_change_over() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, streams=1)), make_catalogue("BTC-USDT", "ETH-USDT", markets=[SPOT]))
    bench.want(TRADES, OTHER)
    bench.advance(1)
    bench.obedient = False
    first, second = bench.servers.values()
    for server in (first, second):
        bench.frame(wire.restarting(), server)
    assert len(bench.servers) == 3
    bench.drop(TRADES)
    bench.advance(LINGER + 1)
    assert first not in bench.servers.values()
    assert len(bench.servers) == 2  # the second one and its replacement


def test_the_old_connection_stays_until_the_new_one_has_what_was_wanted_last() -> None:
    change = Change(GRANTED, TRADES, TICKER)
    bench = change.bench
    bench.advance(TAKEOVER - 0.5)
    bench.want(OTHER)
    bench.advance(LIMITS.message_gap)
    bench.ack(change.old)
    bench.frame(wire.trade("ETHUSDT", 1, "100", bench.wall), change.old)
    bench.advance(1.0)
    assert change.old in bench.servers.values(), "the new one has not been granted the trades of ETH"
    bench.frame(wire.trade("ETHUSDT", 2, "100", bench.wall), change.old)
    bench.ack(change.new)
    bench.advance(BEAT)
    assert list(bench.servers.values()) == [change.new]
    bench.frame(wire.trade("ETHUSDT", 3, "100", bench.wall), change.new)
    assert [each.id for each in bench.published(Trade) if each.topic is bench.topic(OTHER)] == ["1", "2", "3"]
    assert change.results == {"clean": 1}


def test_what_is_never_granted_to_the_new_connection_does_not_keep_the_old_one_for_ever() -> None:
    change = Change(GRANTED, TRADES, TICKER)
    bench = change.bench
    for _ in range(40):  # somebody always wants something new, and it is never answered
        bench.want(OTHER)
        bench.advance(1.0)
        bench.drop(OTHER)
        bench.advance(1.0)
    assert change.old not in bench.servers.values()


def test_a_stream_is_begun_anew_on_the_connection_that_it_comes_by() -> None:
    """Of the two connections, the one that brings a book has no requests left: it is that one that is given up."""
    limits = evolve(LIMITS, requests=Rate(2, 3600.0), args_per_message=10)
    bench = Bench(MadeUpVenue(limits))
    book = "perpetual:BTC-USDT:order_book:5"
    bench.want(book, "perpetual:BTC-USDT:trade")
    old, levels = bench.only, ({"99": "1"}, {"101": "1"})
    bench.frame(wire.book("book5:BTCUSDT", None, 1, *levels, snapshot=True), old)
    bench.advance(1)
    bench.frame(wire.restarting(), old)
    bench.advance(1)
    new = next(server for server in bench.servers.values() if server is not old)
    for number in (1, 2, 3, 4):
        bench.frame(wire.book("book5:BTCUSDT", None, number, *levels, snapshot=number == 1), new)
        bench.advance(OVERLAP / 2)
    assert bench.state(book) is State.LIVE and old in bench.servers.values(), "the book comes by the new one now"
    bench.frame(wire.book("book5:BTCUSDT", None, 100, *levels), new)  # a gap
    bench.advance(BEAT)
    assert [server for server, _ in bench.gone] == [new]

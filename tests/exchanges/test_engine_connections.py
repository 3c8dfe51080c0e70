"""The engine's connections: limits, pacing, acks, reconnects, and one connection taking over from another."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from attrs import evolve

from cryptodash.core.events import Cause, State, StreamStatus, Ticker, Trade
from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.connections.commands import BookChanged, Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server
from cryptodash.testing.venue import LIMITS, SPOT, MadeUpVenue, make_catalogue

NAMES = [f"C{number}-USDT" for number in range(30)]
TRADES = "spot:BTC-USDT:trade"
TICKER = "spot:BTC-USDT:ticker"
BOOK = "spot:BTC-USDT:order_book:5"


def many(count: int, **limits: object) -> Bench:
    bench = Bench(MadeUpVenue(evolve(LIMITS, **limits)), make_catalogue(*NAMES))
    bench.want(*(f"spot:{name}:trade" for name in NAMES[:count]))
    return bench


def test_streams_fill_connections_within_the_limits_in_batches() -> None:
    bench = many(14)
    bench.advance(10)
    assert sorted(len(server.streams) for server in bench.servers.values()) == [2, 6, 6]
    for server in bench.servers.values():
        requests = [request for _, request in server.sent if request["op"] == "sub"]
        assert all(len(request["args"]) <= 3 for request in requests)  # type: ignore[arg-type]


def test_beyond_the_last_connection_topics_wait_for_a_place() -> None:
    bench = many(30)
    bench.advance(20)
    assert len(bench.servers) == 4
    last = f"spot:{NAMES[29]}:trade"
    assert (bench.status(last).state, bench.status(last).cause) == (State.CONNECTING, Cause.CAPACITY)
    bench.drop(*(f"spot:{name}:trade" for name in NAMES[:6]))
    bench.advance(10)
    assert len(bench.subscribed()) == 24
    assert bench.status(last).cause is None


def test_messages_are_evenly_spaced_and_pings_count() -> None:
    bench = many(18)
    for minute in range(3):
        bench.advance(20)
        bench.want(*(f"spot:{name}:candle:1m" for name in NAMES[minute : minute + 2]))
    bench.advance(40)
    for server in bench.servers.values():
        times = [at for at, _ in server.sent]
        assert min(later - earlier for earlier, later in pairwise(times)) >= 0.25 - 1e-9
        pings = [at for at, request in server.sent if request["op"] == "ping"]
        assert len(pings) >= 3
        assert max(later - earlier for earlier, later in pairwise(pings)) <= 21


def test_one_bad_name_does_not_reject_the_others() -> None:
    bench = Bench(catalogue=make_catalogue(*NAMES[:6]))
    bench.refused = {"trade:C4USDT"}
    bench.want(*(f"spot:{name}:trade" for name in NAMES[:6]))
    bench.advance(10)
    assert bench.subscribed() == {f"trade:C{number}USDT" for number in (0, 1, 2, 3, 5)}
    status = bench.status("spot:C4-USDT:trade")
    assert (status.state, status.cause) == (State.CLOSED, Cause.REJECTED)
    bench.only.sent.clear()
    bench.advance(15)
    assert {request["op"] for _, request in bench.only.sent} <= {"ping"}  # it is not tried for ever
    bench.refused.clear()
    bench.list_again(SPOT)
    bench.advance(2)
    assert "trade:C4USDT" in bench.subscribed()


def test_already_subscribed_is_success() -> None:
    bench = Bench(obedient=False)
    bench.want(TRADES)
    bench.open(bench.only)
    (request,) = bench.only.unanswered
    bench.frame(wire.ack(str(request["id"]), "it is so already", already=True))
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    assert bench.state(TRADES) is State.LIVE


def test_a_missing_ack_is_asked_for_once_more_and_then_rejects() -> None:
    bench = Bench(obedient=False)
    bench.want(TRADES)
    server = bench.only
    bench.open(server)
    for _ in range(4):
        bench.advance(5.5)
        bench.engine.heard(server.key)
    # perhaps it was subscribed
    assert [request["op"] for _, request in server.sent if request["op"] != "ping"] == [
        "sub",
        "sub",
        "unsub",
    ]
    assert bench.status(TRADES).cause is Cause.REJECTED
    assert bench.count("cryptodash_upstream_subscribe_acks_total", "timeout") == 2


def test_data_is_as_good_as_an_ack() -> None:
    bench = Bench(obedient=False)
    bench.want(TRADES)
    bench.open(bench.only)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    assert bench.state(TRADES) is State.LIVE
    bench.advance(12)
    assert len([request for _, request in bench.only.sent if request["op"] == "sub"]) == 1


def test_an_ack_that_answers_nothing_is_counted() -> None:
    bench = Bench()
    bench.want(TRADES)
    bench.frame(wire.ack("77"))
    assert bench.count("cryptodash_upstream_unknown_messages_total") == 1


def test_a_stream_wanted_again_before_it_ended_is_begun_anew() -> None:
    bench = Bench()
    bench.want(TRADES, "spot:ETH-USDT:trade")
    bench.advance(1)
    bench.only.sent.clear()
    bench.drop(TRADES)
    bench.want(TRADES)
    bench.advance(2)
    assert bench.subscribed() == {"trade:BTCUSDT", "trade:ETHUSDT"}
    assert [request["op"] for _, request in bench.only.sent] == ["unsub", "sub"]


def live(bench: Bench) -> Server:
    bench.want(TICKER, BOOK)
    feed(bench, bench.only, 11)
    feed(bench, bench.only, 12)
    bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    return bench.only


def feed(bench: Bench, server: Server, update: int) -> None:
    bench.frame(wire.quote("BTCUSDT", "99", "101", update), server)
    bench.frame(wire.day("BTCUSDT", "100", bench.wall), server)
    bench.frame(wire.book("book:BTCUSDT", update, update, {"98": str(update)}, {}), server)


def test_after_a_disconnect_values_are_stale_and_the_book_is_rebuilt() -> None:
    bench = Bench()
    server = live(bench)
    bench.close(server)
    for text in (TICKER, BOOK):
        assert (bench.status(text).state, bench.status(text).cause) == (State.STALE, Cause.DISCONNECTED)
    bench.advance(1.1)  # the first pause is one second at most
    assert bench.subscribed() == server.streams
    assert bench.state(TICKER) is State.STALE  # until a frame comes
    feed(bench, bench.only, 40)
    assert bench.state(TICKER) is State.LIVE
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.DISCONNECTED)
    before = len(bench.published(BookChanged))
    feed(bench, bench.only, 41)
    bench.advance(6)
    bench.engine.heard(bench.only.key)
    bench.advance(0.5)
    bench.answer(bench.fetches[0], wire.book("rest", 41, 41, {"97": "1"}, {"101": "1"}, snapshot=True))
    assert [each.rebuilt for each in bench.published(BookChanged)[before:]] == [True]
    assert bench.state(BOOK).is_good


def test_never_valued_topics_are_connecting_with_the_cause() -> None:
    bench = Bench(obedient=False)
    bench.want(TICKER)
    bench.close(bench.only, Closed("http", status=451))
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) == (State.CONNECTING, Cause.BLOCKED)
    health = bench.engine.health()
    assert health.cause is Cause.BLOCKED
    assert "other.example" in health.reason
    bench.advance(299)
    assert not bench.servers
    bench.advance(5)
    assert bench.servers


@pytest.mark.parametrize("lived", [0.0, 1.0])
def test_accepting_and_closing_for_ever_backs_off(lived: float) -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, connects=(Rate(1000, 300.0), Rate(1, 0.1)))))
    bench.want(TRADES)
    for number in range(40):
        while not bench.servers:
            bench.advance(1)
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall))
        bench.advance(lived)
        bench.close(bench.only)
    pauses = [later - earlier for earlier, later in pairwise(bench.connects)]
    assert statistics.mean(pauses[-20:]) > 8
    assert max(pauses) <= 33


def test_lines_that_drop_together_come_back_spread() -> None:
    bench = many(24, connects=(Rate(100, 300.0), Rate(1, 0.1)))
    bench.advance(10)
    for server in list(bench.servers.values()):
        bench.close(server)
    bench.connects.clear()
    bench.advance(5)
    assert len(bench.connects) == 4
    assert statistics.pstdev(bench.connects) > 0.1


def test_connects_stay_within_the_venues_budget() -> None:
    bench = many(6, connects=(Rate(5, 300.0), Rate(1, 0.1)))
    for _ in range(600):
        bench.advance(1)
        for server in list(bench.servers.values()):
            bench.close(server)
    window = [sum(at <= each < at + 300 for each in bench.connects) for at in bench.connects]
    assert max(window) <= 5


def test_a_connection_without_any_sign_of_life_is_aborted() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, ping_every=None)))
    bench.want(TRADES)
    for _ in range(6):
        bench.advance(25)
        bench.engine.heard(bench.only.key)
    assert not bench.gone
    bench.advance(31)
    assert [why for _, why in bench.gone] == ["idle"]
    bench.advance(2)
    assert bench.subscribed() == {"trade:BTCUSDT"}


def test_requests_pending_at_a_disconnect_are_made_again() -> None:
    bench = Bench(obedient=False)
    bench.want(TRADES)
    first = bench.only
    bench.open(first)
    bench.want("spot:ETH-USDT:trade")
    bench.close(first)
    bench.advance(2)
    bench.obedient = True
    bench.open(bench.only)
    bench.advance(2)
    assert bench.subscribed() == {"trade:BTCUSDT", "trade:ETHUSDT"}


def test_before_the_venue_cuts_a_second_connection_takes_over_without_loss() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, lifetime=240.0, connects=(Rate(100, 300.0), Rate(1, 0.1)))))
    bench.want(TRADES, TICKER)
    delayed: list[tuple[list[Server], bytes]] = []
    for number in range(20 * 240 * 2):
        frames = [wire.trade("BTCUSDT", number, "100", bench.wall), wire.quote("BTCUSDT", "99", "101", number)]
        frames.append(wire.day("BTCUSDT", "100", bench.wall))
        for frame in frames:
            delayed.append((list(bench.servers.values()), frame))
        for servers, frame in delayed[:-3]:  # the older connection lags behind by half a second
            for server in servers:
                if server.key in bench.servers and server is next(iter(bench.servers.values())):
                    bench.frame(frame, server)
        del delayed[:-3]
        for server in list(bench.servers.values())[1:]:
            if "trade:BTCUSDT" in server.streams:
                for frame in frames:
                    bench.frame(frame, server)
        bench.advance(0.5)
    told = [int(each.id) for each in bench.published(Trade)]
    assert told == list(range(told[0], told[0] + len(told)))  # none missing, none twice, in order
    rollovers = [why for _, why in bench.gone]
    assert len(rollovers) >= 19
    assert set(rollovers) == {"rollover"}
    assert {each.state for each in bench.published(StreamStatus)} == {State.CONNECTING, State.LIVE}


def test_an_announced_restart_opens_the_replacement_at_once_and_books_go_on() -> None:
    bench = Bench()
    old = live(bench)
    bench.advance(1)
    bench.frame(wire.restarting())
    new = next(server for server in bench.servers.values() if server is not old)
    statuses = len(bench.published(StreamStatus))
    for update in range(13, 20):
        feed(bench, old, update)
        feed(bench, new, update)
        bench.advance(0.3)
    bench.advance(1)
    assert [server for server, _ in bench.gone] == [old]
    feed(bench, new, 20)
    assert len(bench.published(StreamStatus)) == statuses
    book = bench.published(BookChanged)[-1]
    assert (book.rebuilt, book.book.top(2)[0][1]) == (False, ("98", "20"))
    assert bench.count("cryptodash_upstream_rollovers_total", "clean") == 1


def test_if_the_old_connection_dies_while_the_new_one_takes_over_nothing_is_stale() -> None:
    bench = Bench()
    old = live(bench)
    bench.advance(1)
    bench.frame(wire.restarting())
    new = next(server for server in bench.servers.values() if server is not old)
    feed(bench, old, 13)
    feed(bench, new, 13)
    feed(bench, new, 14)
    statuses = len(bench.published(StreamStatus))
    bench.close(old)
    feed(bench, new, 15)
    assert len(bench.published(StreamStatus)) == statuses
    assert bench.published(Ticker)
    assert bench.published(BookChanged)[-1].book.top(2)[0][1] == ("98", "15")


def test_if_the_replacement_cannot_come_up_the_old_connection_goes_on() -> None:
    bench = Bench()
    old = live(bench)
    bench.obedient = False
    bench.advance(1)
    bench.frame(wire.restarting())
    new = next(server for server in bench.servers.values() if server is not old)
    bench.close(new, Closed("tcp"))
    feed(bench, old, 13)
    assert bench.state(TICKER) is State.LIVE
    bench.advance(7)
    assert len(bench.servers) == 2  # tried again
    assert bench.count("cryptodash_upstream_rollovers_total", "failed") == 1


def test_two_lines_of_a_venue_never_change_over_at_once() -> None:
    bench = many(12)
    bench.advance(5)
    bench.obedient = False
    for server in list(bench.servers.values()):
        bench.frame(wire.restarting(), server)
    bench.advance(20)
    assert len(bench.servers) == 3


def test_an_ending_without_an_answer_is_made_sure_of_before_the_stream_begins_again() -> None:
    bench = Bench()
    bench.want(TRADES, "spot:ETH-USDT:trade")
    server = bench.only
    bench.obedient = False
    bench.drop(TRADES)
    bench.advance(9.9)
    bench.want(TRADES)
    bench.advance(0.5)  # the unsubscribe has expired, and is repeated although the stream is wanted again
    bench.obedient = True
    bench.ack(server)
    bench.advance(2)
    assert bench.subscribed() == {"trade:BTCUSDT", "trade:ETHUSDT"}
    assert [request["op"] for _, request in server.sent] == ["sub", "unsub", "unsub", "sub"]


def test_frames_are_counted_by_what_they_say() -> None:
    bench = Bench()
    bench.want(TRADES)
    bench.open(bench.only)
    frame = wire.trade("BTCUSDT", 1, "100", bench.wall)
    bench.frame(frame)
    bench.frame(b"{")
    counted = bench.tally.metrics["cryptodash_upstream_messages_total"].values
    sizes = bench.tally.metrics["cryptodash_upstream_bytes_total"].values
    assert {labels[1]: count for labels, count in counted.items()} == {"control": 1, "trade": 1, "unread": 1}
    assert {labels[1]: size for labels, size in sizes.items()}["trade"] == len(frame)


def test_the_wait_for_another_attempt_and_the_frames_kept_are_told() -> None:
    bench = Bench()
    assert (bench.engine.backoff, bench.engine.pending_diffs) == (0.0, 0)
    bench.want(TRADES)
    bench.open(bench.only)
    bench.close(bench.only, Closed("http", status=429, retry_after=7.0))
    assert 7.0 <= bench.engine.backoff <= 8.0


def test_a_refusal_that_the_venue_calls_a_ban_is_waited_out() -> None:
    """420 is this venue's word for it; for any other, an unknown status and a second's wait."""
    bench = Bench()
    bench.want(TICKER)
    bench.close(bench.only, Closed("http", status=420))
    assert bench.status(TICKER).cause is Cause.BANNED
    assert 900.0 <= bench.engine.backoff <= 901.0


def test_the_wait_for_another_attempt_counts_the_venues_limit_of_attempts() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, connects=(Rate(1, 300.0),))), obedient=False)
    bench.want(TRADES)
    bench.close(bench.only, Closed("tcp"))
    bench.advance(10)
    assert not bench.servers
    assert bench.engine.backoff == pytest.approx(290.0)


def test_what_waited_for_room_waits_for_none_once_it_is_subscribed() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, requests=Rate(1, 60.0), args_per_message=1)))
    first, second = (f"perpetual:{each}-USDT:order_book:5" for each in ("BTC", "ETH"))
    bench.want(first, second)
    bench.advance(5)
    assert bench.status(second).cause is Cause.CAPACITY
    bench.advance(60)
    assert "book5:ETHUSDT" in bench.subscribed()
    assert bench.status(second).cause is None


def test_data_of_a_stream_that_was_begun_anew_is_as_good_as_an_ack() -> None:
    bench = Bench()
    topic = "perpetual:BTC-USDT:order_book:5"
    bench.want(topic)
    bench.frame(wire.book("book5:BTCUSDT", 7, 7, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.obedient = False
    bench.frame(wire.book("book5:BTCUSDT", 9, 9, {"98": "1"}, {}))
    bench.advance(1)
    bench.ack(bench.only)
    bench.advance(1)
    assert [request["op"] for request in bench.only.unanswered] == ["sub"]
    bench.frame(wire.book("book5:BTCUSDT", 20, 20, {"99": "1"}, {"101": "1"}, snapshot=True))
    for number in range(21, 81):
        bench.advance(0.5)
        bench.frame(wire.book("book5:BTCUSDT", number, number, {"98": str(number)}, {}))
    assert bench.state(topic) is State.LIVE
    assert [request["op"] for _, request in bench.only.sent if request["op"] != "ping"] == ["sub", "unsub", "sub"]

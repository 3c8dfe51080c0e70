"""The engine against a made-up venue: wishes, subscriptions, values and their order."""

from __future__ import annotations

from itertools import chain

import pytest
from zope.interface.verify import verifyObject

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, Cause, State, StreamStatus, Sweep, Ticker, Trade
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.exchanges.adapter.plan import Purpose
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import BookChanged, Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import SPOT, MadeUpVenue, halted, make_catalogue, make_instrument

TICKER = "spot:BTC-USDT:ticker"
TRADES = "spot:BTC-USDT:trade"
BOOK = "spot:BTC-USDT:order_book:5"
DEEP = "perpetual:BTC-USDT:order_book:50"
SHALLOW = "perpetual:BTC-USDT:order_book:5"


def test_the_made_up_venue_is_a_venue() -> None:
    assert verifyObject(IVenue, MadeUpVenue())


def live_ticker(bench: Bench) -> None:
    bench.want(TICKER)
    bench.frame(wire.quote("BTCUSDT", "99", "101", 1))
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))


def test_a_wanted_ticker_connects_subscribes_and_goes_live_with_its_first_value() -> None:
    bench = Bench()
    live_ticker(bench)
    assert bench.subscribed() == {"quote:BTCUSDT", "day:BTCUSDT"}
    assert bench.only.url == "wss://spot.example/ws"
    kinds = [type(each).__name__ if isinstance(each, Ticker) else str(each.state) for each in bench.events]
    assert kinds == ["connecting", "Ticker", "live"]  # what makes it live goes before the status
    ticker = bench.published(Ticker)[0]
    assert (ticker.bid, ticker.ask, ticker.last) == ("99", "101", "100")


def test_wanting_twice_is_no_news_and_dropping_ends_the_streams() -> None:
    bench = Bench()
    live_ticker(bench)
    before = len(bench.events)
    bench.want(TICKER)
    assert len(bench.events) == before
    bench.drop(TICKER)
    bench.advance(1)
    assert bench.subscribed() == set()
    assert len(bench.events) == before
    bench.advance(15)
    assert [why for _, why in bench.gone] == ["empty"]
    assert bench.engine.deadline() is None
    assert bench.engine.health().idle


def test_a_topic_waits_for_the_catalogue_and_an_unknown_symbol_is_closed() -> None:
    bench = Bench(catalogue=Catalogue("madeup"))
    bench.want(TICKER, "spot:NO-SUCH:ticker")
    assert bench.state(TICKER) is State.CONNECTING
    assert not bench.servers
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "BTC", "USDT")])
    bench.list_again(SPOT)
    assert bench.subscribed() == {"quote:BTCUSDT", "day:BTCUSDT"}
    status = bench.status("spot:NO-SUCH:ticker")
    assert (status.state, status.cause) == (State.CLOSED, Cause.REJECTED)


def test_topics_that_wait_for_the_catalogue_say_why_it_cannot_be_read() -> None:
    bench = Bench(catalogue=Catalogue("madeup"))
    bench.want(TICKER, BOOK)
    assert bench.status(TICKER).cause is None
    bench.carry_out(bench.engine.catalogue_failed(SPOT, Cause.BLOCKED))
    for topic in (TICKER, BOOK):
        assert (bench.status(topic).state, bench.status(topic).cause) == (State.CONNECTING, Cause.BLOCKED)
    bench.want(TRADES)
    assert bench.status(TRADES).cause is Cause.BLOCKED
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "BTC", "USDT")])
    bench.list_again(SPOT)
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) == (State.CONNECTING, None)


def test_a_delisted_instrument_is_looked_for_again_after_ever_longer_pauses() -> None:
    bench = Bench()
    live_ticker(bench)
    listed = list(bench.catalogue)
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "ETH", "USDT")])
    bench.list_again(SPOT)
    asked = []
    for _ in range(30):
        bench.advance(60)
        asked.append(len(bench.listings))
    assert asked[:4] == [1, 2, 3, 3]
    assert asked[-1] == 6
    bench.catalogue.replace(SPOT, listed)
    bench.list_again(SPOT)
    assert bench.subscribed() == {"quote:BTCUSDT", "day:BTCUSDT"}
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) != (State.CLOSED, Cause.DELISTED)


def test_an_instrument_that_halts_is_stale_and_one_that_vanishes_is_closed() -> None:
    bench = Bench()
    live_ticker(bench)
    known = bench.catalogue.get(SPOT, bench.topic(TICKER).symbol)
    assert known is not None
    bench.catalogue.replace(SPOT, [halted(known)])
    bench.list_again(SPOT)
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) == (State.STALE, Cause.HALTED)
    bench.catalogue.replace(SPOT, [known])
    bench.list_again(SPOT)
    assert bench.state(TICKER) is State.LIVE
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "ETH", "USDT")])
    bench.list_again(SPOT)
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) == (State.CLOSED, Cause.DELISTED)
    bench.advance(1)
    assert bench.subscribed() == set()


def test_the_trade_stream_serves_the_trade_topic_and_the_tickers_last() -> None:
    bench = Bench()
    live_ticker(bench)
    bench.want(TRADES)
    events = bench.frame(wire.trade("BTCUSDT", 7, "100.5", bench.wall + 1))
    assert [type(each) for each in events if not isinstance(each, StreamStatus)] in ([Trade, Ticker], [Ticker, Trade])
    assert bench.published(Ticker)[-1].last == "100.5"
    bench.frame(wire.day("BTCUSDT", "90", bench.wall + 2))
    assert bench.published(Ticker)[-1].last == "100.5"  # the trade stream is open: the 24 h figure does not count
    bench.drop(TRADES)
    bench.advance(0.3)
    bench.frame(wire.day("BTCUSDT", "91", bench.wall + 3))
    assert bench.published(Ticker)[-1].last == "91"


def test_a_trade_brought_twice_is_told_once() -> None:
    bench = Bench()
    bench.want(TRADES)
    frame = wire.trade("BTCUSDT", 7, "100.5", bench.wall)
    bench.frame(frame)
    assert bench.frame(frame) == []
    assert len(bench.published(Trade)) == 1


def snapshot(last: int, **sides: dict[str, str]) -> bytes:
    return wire.book("rest", last, last, sides.get("bids", {"99": "1"}), sides.get("asks", {"101": "1"}), snapshot=True)


def live_book(bench: Bench) -> None:
    bench.want(BOOK)
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
    (request,) = bench.fetches
    bench.answer(request, snapshot(11))


def test_a_book_is_live_once_its_snapshot_joins_the_stream() -> None:
    bench = Bench()
    live_book(bench)
    assert bench.state(BOOK) is State.LIVE
    assert bench.events[-2] is bench.status(BOOK)  # whoever publishes its views tells it after them
    changed = bench.published(BookChanged)
    assert [each.rebuilt for each in changed] == [True]
    assert changed[0].book.top(1) == ([("99", "1")], [("101", "1")])
    bench.frame(wire.book("book:BTCUSDT", 13, 13, {"99.5": "2"}, {}))
    assert bench.published(BookChanged)[-1].rebuilt is False


def test_a_gap_resyncs_that_book_alone_with_one_snapshot() -> None:
    bench = Bench()
    live_book(bench)
    bench.want(TICKER)
    bench.frame(wire.quote("BTCUSDT", "99", "101", 12))
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    bench.frame(wire.book("book:BTCUSDT", 15, 15, {}, {}))
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.GAP)
    assert bench.state(TICKER) is State.LIVE
    bench.frame(wire.book("book:BTCUSDT", 16, 16, {}, {}))
    bench.advance(6)  # a book's snapshots are five seconds apart
    (request,) = bench.fetches
    bench.frame(wire.quote("BTCUSDT", "99", "101", 16))
    bench.answer(request, snapshot(15))
    bench.advance(0.5)
    assert bench.state(BOOK).is_good
    assert bench.published(BookChanged)[-1].rebuilt is True
    assert bench.count("cryptodash_book_gaps_total", "sequence") == 1


def test_an_outdated_snapshot_is_fetched_again_later_and_later() -> None:
    bench = Bench()
    bench.want(BOOK)
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
    waits = []
    for _ in range(4):
        asked = bench.clock.monotonic()
        (request,) = bench.fetches
        bench.answer(request, snapshot(9))
        while not bench.fetches:
            bench.advance(0.5)
        waits.append(bench.clock.monotonic() - asked)
    assert waits == sorted(waits)
    assert waits[0] >= 5
    assert waits[-1] >= 20


def test_at_most_two_snapshots_are_on_their_way() -> None:
    names = [f"C{number}-USDT" for number in range(6)]
    bench = Bench(catalogue=make_catalogue(*names))
    for name in names:
        bench.want(f"spot:{name}:order_book:5")
    bench.advance(3)
    for name in names:
        for update in (1, 2):
            bench.frame(wire.book(f"book:{name.replace('-', '')}", update, update, {"98": "1"}, {}))
    assert len(bench.fetches) == 2
    bench.answer(bench.fetches[0], snapshot(1))
    assert len(bench.fetches) == 2
    bench.fail(bench.fetches[0], UpstreamError("banned", "too many requests", 7.0))
    assert len(bench.fetches) == 2


def test_a_crossed_book_is_never_shown() -> None:
    bench = Bench()
    live_book(bench)
    before = len(bench.published(BookChanged))
    bench.frame(wire.book("book:BTCUSDT", 13, 13, {"102": "1"}, {}))
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.CROSSED)
    assert len(bench.published(BookChanged)) == before


def perp(stream: str, update: int, price: str = "99", *, snapshot: bool = False) -> bytes:
    return wire.book(stream, update, update, {price: "1"}, {"101": "1"} if snapshot else {}, snapshot=snapshot)


def test_a_gap_of_a_counted_book_subscribes_that_stream_anew() -> None:
    bench = Bench()
    bench.want(SHALLOW, "perpetual:BTC-USDT:trade")
    bench.frame(perp("book5:BTCUSDT", 5, snapshot=True))
    assert bench.state(SHALLOW) is State.LIVE
    sent = len(bench.only.sent)
    bench.frame(perp("book5:BTCUSDT", 8))
    assert bench.state(SHALLOW) is State.RESYNCING
    bench.advance(2)
    assert [(request["op"], request["args"]) for _, request in bench.only.sent[sent:]] == [
        ("unsub", ["book5:BTCUSDT"]),
        ("sub", ["book5:BTCUSDT"]),
    ]
    bench.frame(perp("book5:BTCUSDT", 20, snapshot=True))
    assert bench.state(SHALLOW) is State.LIVE


def test_a_deeper_view_makes_the_deeper_stream_live_before_the_old_one_ends() -> None:
    bench = Bench()
    bench.want(SHALLOW)
    bench.frame(perp("book5:BTCUSDT", 5, snapshot=True))
    bench.want(DEEP)
    bench.advance(1)
    assert bench.subscribed() == {"book5:BTCUSDT", "book50:BTCUSDT"}
    bench.frame(perp("book5:BTCUSDT", 6, "98"))
    assert bench.published(BookChanged)[-1].rebuilt is False
    bench.frame(perp("book50:BTCUSDT", 700, "97", snapshot=True))
    assert bench.published(BookChanged)[-1].rebuilt is True
    assert bench.published(BookChanged)[-1].book.top(1)[0] == [("97", "1")]
    bench.advance(1)
    assert bench.subscribed() == {"book50:BTCUSDT"}
    assert bench.state(DEEP) is State.LIVE
    assert all(each.state in (State.CONNECTING, State.LIVE) for each in bench.published(StreamStatus))
    bench.drop(DEEP)
    bench.advance(1)
    bench.frame(perp("book5:BTCUSDT", 9, snapshot=True))
    bench.advance(1)
    assert bench.subscribed() == {"book5:BTCUSDT"}


def test_a_lost_closing_bar_is_fetched_before_the_next_one_is_told() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:candle:1m")
    start = bench.wall // 60_000 * 60_000
    bench.frame(wire.candle("BTCUSDT", start, "100"))
    bench.clock.advance(60)
    (status,) = bench.frame(wire.candle("BTCUSDT", start + 60_000, "102"))
    assert isinstance(status, StreamStatus)
    # what was told last is out of date until the lost one has come
    assert (status.state, status.cause) == (
        State.RESYNCING,
        Cause.GAP,
    )
    (request,) = bench.fetches
    assert request.purpose is Purpose.CANDLES
    bench.answer(request, f'[[{start},"101"],[{start + 60_000},"102"]]'.encode())
    told = [(each.timestamp - start, each.close, each.closed, each.source) for each in bench.published(Candle)]
    assert told == [(0, "100", False, "venue"), (0, "101", True, "rest"), (60_000, "102", False, "venue")]
    assert bench.state("spot:BTC-USDT:candle:1m") is State.LIVE


def test_polls_repeat_while_wanted_and_feed_the_ticker() -> None:
    bench = Bench()
    bench.want("perpetual:BTC-USDT:ticker")
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    (request,) = bench.fetches
    bench.answer(request, wire.interest("BTCUSDT", "1234.5", bench.wall))
    assert bench.published(Ticker)[-1].open_interest == "1234.5"
    bench.advance(29)
    assert bench.fetches == []
    bench.advance(2)
    assert bench.fetches == [request]
    bench.drop("perpetual:BTC-USDT:ticker")
    bench.answer(request, wire.interest("BTCUSDT", "9", bench.wall))
    bench.advance(60)
    assert bench.fetches == []


def test_a_sweep_by_polls_is_live_and_goes_stale_when_the_polls_fail() -> None:
    bench = Bench()
    bench.want("spot:*:ticker")
    (request,) = bench.fetches
    bench.answer(request, wire.sweep({"BTCUSDT": "100", "NOSUCH": "1"}, bench.wall))
    assert bench.state("spot:*:ticker") is State.LIVE
    assert [each.last for each in bench.published(Sweep)[0].tickers] == ["100"]
    for _ in range(4):
        bench.advance(2.5)
        bench.fail(request, UpstreamError("blocked", "not from here"))
    assert (bench.status("spot:*:ticker").state, bench.status("spot:*:ticker").cause) == (State.STALE, Cause.BLOCKED)


def test_a_sweep_whose_answers_tell_no_time_is_told_with_the_venues_clock() -> None:
    bench = Bench()
    bench.want("spot:*:ticker")
    (request,) = bench.fetches
    bench.answer(request, wire.sweep({"BTCUSDT": "100"}, None))
    assert [(each.last, each.timestamp) for each in bench.published(Sweep)[0].tickers] == [("100", bench.wall)]


def test_an_answer_that_cannot_be_read_is_a_counted_failure() -> None:
    bench = Bench()
    bench.want(BOOK)
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
    (request,) = bench.fetches
    bench.answer(request, b"<html>maintenance</html>")
    assert bench.count("cryptodash_upstream_decode_errors_total", "json") == 1
    bench.advance(15)
    assert len(bench.fetches) == 1


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[]", b"null", b'{"kind":"quote","stream":"quote:BTCUSDT","bid":"NaN"}', b"\xff\xfe"]
)
def test_a_bad_frame_is_counted_and_the_connection_survives(frame: bytes) -> None:
    bench = Bench()
    live_ticker(bench)
    assert bench.frame(frame) == []
    assert sum(bench.tally.metrics["cryptodash_upstream_decode_errors_total"].values.values()) == 1
    bench.frame(wire.quote("BTCUSDT", "98", "101", 2))
    assert bench.published(Ticker)[-1].bid == "98"


def test_too_many_bad_frames_end_the_connection() -> None:
    bench = Bench()
    live_ticker(bench)
    for _ in range(60):
        if bench.servers:
            bench.frame(b"{")
    assert [why for _, why in bench.gone] == ["poison"]
    assert bench.state(TICKER) is State.STALE
    bench.advance(5)
    assert bench.subscribed() == {"quote:BTCUSDT", "day:BTCUSDT"}


def test_frames_of_connections_and_streams_that_are_gone_are_no_news() -> None:
    bench = Bench()
    live_ticker(bench)
    server = bench.only
    assert bench.engine.received("nobody", wire.quote("BTCUSDT", "98", "101", 2), 0) == ()
    bench.frame(wire.quote("ETHUSDT", "98", "101", 2))
    bench.close(server, Closed("remote"))
    assert bench.engine.received(server.key, wire.quote("BTCUSDT", "98", "101", 3), 0) == ()
    assert bench.engine.closed(server.key, Closed("remote")) == []


def test_a_quote_without_a_time_gets_ours_in_the_venues_clock() -> None:
    bench = Bench()
    live_ticker(bench)
    for _ in range(40):  # the venue's clock runs 1.3 s ahead
        bench.advance(0.5)
        bench.frame(wire.day("BTCUSDT", "100", bench.wall + 1300))
    assert bench.engine.skew_ms == 1300
    bench.frame(wire.quote("BTCUSDT", "98", "101", 2))
    assert bench.published(Ticker)[-1].quote_time == bench.wall + 1300


def test_reports_tell_streams_and_health() -> None:
    bench = Bench()
    live_book(bench)
    bench.frame(wire.book("book:BTCUSDT", 15, 15, {}, {}))
    (report,) = chain.from_iterable(bench.engine.streams())
    assert (report.name, report.state, report.cause, report.gaps) == ("book:BTCUSDT", State.RESYNCING, Cause.GAP, 1)
    assert report.topics == (bench.topic(BOOK).upstream,)
    health = bench.engine.health()
    assert (health.idle, health.streams, health.good_streams, health.connections, health.cause) == (
        False,
        1,
        0,
        1,
        Cause.GAP,
    )


def test_confirmed_at_is_the_oldest_of_the_required_parts() -> None:
    bench = Bench()
    assert bench.engine.confirmed_at(bench.topic(TICKER)) is None
    live_ticker(bench)
    at = bench.clock.monotonic()
    bench.clock.advance(3)
    bench.frame(wire.quote("BTCUSDT", "98", "101", 2))
    assert bench.engine.confirmed_at(bench.topic(TICKER)) == at


def test_market_types_do_not_share_a_connection() -> None:
    bench = Bench()
    bench.want(TRADES, "perpetual:BTC-USDT:trade")
    bench.advance(1)
    assert {server.url for server in bench.servers.values()} == {"wss://spot.example/ws", "wss://perpetual.example/ws"}
    assert MarketType.PERPETUAL in bench.venue.markets


def levels(first: int, step: int) -> dict[str, str]:
    return {str(first + step * number): "1" for number in range(100)}


def test_a_book_that_walks_out_of_its_horizon_is_renewed_in_the_background() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:order_book:50")
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {}, {}))
    bench.answer(bench.fetches[0], snapshot(11, bids=levels(999, -1), asks=levels(1001, 1)))
    bench.advance(6)
    assert bench.fetches == []
    gone = {str(999 - number): "0" for number in range(60)}
    bench.frame(wire.book("book:BTCUSDT", 13, 13, gone, {}))
    bench.advance(1)
    (request,) = bench.fetches
    assert bench.state(BOOK).is_good
    bench.answer(request, snapshot(13, bids=levels(939, -1), asks=levels(1001, 1)))
    assert len(bench.published(BookChanged)[-1].book.top(100)[0]) == 100
    assert {each.state for each in bench.published(StreamStatus)} <= {State.CONNECTING, State.LIVE, State.QUIET}


def test_a_fault_in_a_venues_own_code_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    live_ticker(bench)
    monkeypatch.setattr(bench.venue, "read", lambda endpoint, frame: {}["missing"])
    assert bench.frame(b"{}") == []
    assert bench.count("cryptodash_upstream_decode_errors_total", "unknown") == 1

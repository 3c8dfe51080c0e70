"""What the engine says about freshness, topic by topic."""

from __future__ import annotations

from cryptodash.core.events import Cause, State, StreamStatus
from cryptodash.exchanges.connections.commands import BookChanged, Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import SPOT, halted

TICKER = "spot:BTC-USDT:ticker"
TRADES = "spot:BTC-USDT:trade"
BOOK = "spot:BTC-USDT:order_book:5"


def play(bench: Bench, seconds: float, *, quotes: bool = True, days: bool = True, other: bool = True) -> None:
    """Let half seconds pass with frames."""
    for _ in range(round(seconds * 2)):
        number = bench.wall
        if quotes:
            bench.frame(wire.quote("BTCUSDT", "99", "101", number))
            bench.frame(wire.quote("BTCUSDT", "99", "102", number + 1))
        if days:
            bench.frame(wire.day("BTCUSDT", "100", bench.wall))
        if other:
            bench.frame(wire.quote("ETHUSDT", "9", "11", number))
            bench.frame(wire.day("ETHUSDT", "10", bench.wall))
        bench.advance(0.5)


def ready() -> Bench:
    bench = Bench()
    bench.want(TICKER, "spot:ETH-USDT:ticker")
    bench.advance(1)
    play(bench, 15)
    return bench


def test_a_silent_quote_makes_the_ticker_stale_and_names_bid_and_ask() -> None:
    bench = ready()
    play(bench, 4.5, quotes=False)
    assert bench.state(TICKER) is State.LIVE
    play(bench, 2, quotes=False)
    status = bench.status(TICKER)
    assert (status.state, status.cause, status.fields) == (State.STALE, Cause.SILENT, ("bid", "ask"))
    assert bench.state("spot:ETH-USDT:ticker") is State.LIVE
    before = len(bench.events)
    play(bench, 0.5, quotes=False, days=False, other=False)
    assert not [each for each in bench.events[before:] if isinstance(each, StreamStatus)]
    play(bench, 1)
    assert (bench.state(TICKER), bench.status(TICKER).fields) == (State.LIVE, ())


def test_a_silent_day_figure_names_last_and_stats() -> None:
    bench = ready()
    play(bench, 8, days=False)
    assert bench.status(TICKER).fields == ("last", "stats")


def test_a_silent_stream_is_resubscribed_once_and_the_catalogue_asked_once() -> None:
    bench = ready()
    sent = len(bench.only.sent)
    play(bench, 50, quotes=False)
    requests = [(request["op"], request["args"]) for _, request in bench.only.sent[sent:] if request["op"] != "ping"]
    assert requests == [("unsub", ["quote:BTCUSDT"]), ("sub", ["quote:BTCUSDT"])]
    assert len(bench.listings) == 1
    assert not bench.gone


def test_since_is_the_wall_clock_of_the_change() -> None:
    bench = ready()
    play(bench, 8, quotes=False)
    changed = bench.status(TICKER).since
    assert bench.wall - 4_000 < changed < bench.wall


def test_a_connection_half_of_whose_paced_streams_are_silent_is_replaced_once_in_a_while() -> None:
    bench = ready()
    for _ in range(200):  # only signs of life, no data
        bench.advance(1)
        for server in bench.servers.values():
            bench.engine.heard(server.key)
    assert [why for _, why in bench.gone] == ["stale"]
    assert bench.state(TICKER) is State.STALE


def test_trades_that_are_rare_are_quiet() -> None:
    bench = Bench()
    bench.want(TRADES)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    for _ in range(60):
        bench.advance(1)
        bench.engine.heard(bench.only.key)
    assert (bench.status(TRADES).state, bench.status(TRADES).cause) == (State.QUIET, None)
    assert bench.engine.health().good_streams == 1
    bench.frame(wire.trade("BTCUSDT", 2, "100", bench.wall))
    assert bench.state(TRADES) is State.LIVE


def test_open_interest_alone_does_not_make_a_venue_good() -> None:
    bench = Bench()
    bench.want("perpetual:BTC-USDT:ticker")
    bench.answer(bench.fetches[0], wire.interest("BTCUSDT", "12", bench.wall))
    assert (bench.engine.health().streams, bench.engine.health().good_streams) == (4, 0)
    bench.frame(wire.quote("BTCUSDT", "99", "101", 1))
    assert bench.engine.health().good_streams == 2
    bench.close(bench.only)
    bench.advance(1)
    assert bench.engine.health().good_streams == 0


def test_trades_that_never_came_are_quiet_only_where_others_of_the_kind_did() -> None:
    bench = Bench()
    bench.want(TRADES, "spot:ETH-USDT:trade")
    for _ in range(40):
        bench.advance(1)
        bench.engine.heard(bench.only.key)
    assert bench.state(TRADES) is State.CONNECTING
    bench.frame(wire.trade("ETHUSDT", 1, "100", bench.wall))
    bench.advance(1)
    assert bench.state(TRADES) is State.QUIET


def test_nothing_is_quiet_on_a_connection_that_is_silent_as_a_whole() -> None:
    """Trades come too seldom to be missed; that the figures promised every two seconds do not come shows that the
    connection is dead (seed 85)."""
    bench = Bench()
    bench.want(TRADES, TICKER)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    bench.frame(wire.quote("BTCUSDT", "99", "101", 1))
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    alive(bench, 6)
    assert bench.state(TRADES).is_good
    bench.advance(6)
    assert (bench.status(TRADES).state, bench.status(TRADES).cause) == (State.STALE, Cause.SILENT)
    assert bench.fetches == [] and bench.only.streams  # it is not subscribed anew for that
    alive(bench, 1)
    assert bench.state(TRADES) is State.QUIET
    bench.frame(wire.trade("BTCUSDT", 2, "100", bench.wall))
    assert bench.state(TRADES) is State.LIVE


def test_alone_on_a_silent_connection_a_stream_without_a_pace_is_not_missed() -> None:
    bench = Bench()
    bench.want(TRADES)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    bench.advance(20)
    assert bench.state(TRADES).is_good


def alive(bench: Bench, seconds: int) -> None:
    """Let time pass with a connection that says something, though not of any stream."""
    for _ in range(2 * seconds):
        bench.engine.heard(bench.only.key)
        bench.advance(0.5)


def test_a_quote_ahead_of_the_book_proves_that_the_book_misses_frames() -> None:
    bench = Bench()
    bench.want(BOOK, TICKER)
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
    bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.frame(wire.quote("BTCUSDT", "99", "101", 12))
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    alive(bench, 7)
    assert bench.state(BOOK) is State.QUIET  # the newest quote is in the book: nothing contradicts it
    bench.frame(wire.quote("BTCUSDT", "99", "100.5", 13))
    alive(bench, 4)
    assert bench.state(BOOK) is State.QUIET
    alive(bench, 2)
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.STALE, Cause.SILENT)


def test_statuses_are_told_once_per_change() -> None:
    bench = ready()
    play(bench, 8, quotes=False)
    play(bench, 3)
    bench.close(bench.only)
    bench.advance(2)
    play(bench, 3)
    last: dict[object, tuple[object, ...]] = {}
    for each in bench.published(StreamStatus):
        said = (each.state, each.cause, each.fields)
        assert last.get(each.topic) != said
        last[each.topic] = said


def test_a_book_whose_stream_was_silent_is_never_shown_as_live_before_its_frame_is_known_to_fit() -> None:
    bench = Bench()
    bench.want(BOOK)
    for update in range(11, 80):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
        if bench.fetches:
            bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
        bench.advance(0.1)
    bench.advance(7)
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.STALE, Cause.SILENT)
    before = len(bench.events)
    bench.frame(wire.book("book:BTCUSDT", 90, 90, {"98": "2"}, {}))
    assert [each.state for each in bench.events[before:] if isinstance(each, StreamStatus)] == [State.RESYNCING]


def test_a_book_whose_stream_was_silent_is_live_again_with_a_frame_that_fits() -> None:
    bench = Bench()
    bench.want(BOOK)
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
    bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.advance(7)
    assert bench.state(BOOK) is State.QUIET
    # the old book must not be called live again before the new one
    changed, status = bench.frame(wire.book("book:BTCUSDT", 13, 13, {"98": "2"}, {}))
    assert isinstance(status, StreamStatus)
    assert status.state is State.LIVE
    assert isinstance(changed, BookChanged)


def test_a_disconnect_is_told_once_per_topic() -> None:
    bench = ready()
    before = len(bench.events)
    bench.close(bench.only)
    told = [each.topic for each in bench.events[before:] if isinstance(each, StreamStatus)]
    assert len(told) == len(set(told)) == 2


def test_a_stale_topic_keeps_its_cause_until_its_own_stream_is_back() -> None:
    bench = ready()
    bench.want(TRADES)
    bench.close(bench.only, Closed("remote", code=1012))
    assert bench.status(TICKER).cause is Cause.MAINTENANCE
    assert bench.status(TRADES).cause is Cause.MAINTENANCE
    bench.advance(2)
    before = len(bench.events)
    bench.frame(wire.quote("ETHUSDT", "9", "11", bench.wall))
    told = [(each.topic, each.cause) for each in bench.events[before:] if isinstance(each, StreamStatus)]
    assert (bench.topic(TRADES), None) in told  # it never had a value: it merely waits for one now
    assert bench.topic(TICKER) not in [topic for topic, _ in told]


def test_a_crossed_quote_makes_the_ticker_stale_until_a_sound_one() -> None:
    bench = ready()
    bench.frame(wire.quote("BTCUSDT", "103", "101", bench.wall + 10))
    status = bench.status(TICKER)
    assert (status.state, status.cause, status.fields) == (State.STALE, Cause.CROSSED, ("bid", "ask"))
    ticker, status = bench.frame(wire.quote("BTCUSDT", "98", "101", bench.wall + 11))
    assert (ticker.bid, status.state, status.fields) == ("98", State.LIVE, ())  # type: ignore[union-attr]


def age(bench: Bench, topic: str) -> float:
    confirmed = bench.engine.confirmed_at(bench.topic(topic))
    assert confirmed is not None
    return bench.clock.monotonic() - confirmed


def test_the_age_of_a_crossed_ticker_is_that_of_the_quote_on_show() -> None:
    bench = ready()
    play(bench, 4)
    for number in range(16):
        bench.frame(wire.quote("BTCUSDT", "103", "101", bench.wall + 10 + number))
        bench.frame(wire.day("BTCUSDT", "100", bench.wall))
        bench.advance(0.5)
    assert bench.status(TICKER).fields == ("bid", "ask")
    assert age(bench, TICKER) == 8.5, "sound quotes came last half a second before the first crossed one"
    bench.frame(wire.quote("BTCUSDT", "98", "101", bench.wall + 30))
    assert bench.status(TICKER).fields == ()
    assert age(bench, TICKER) == 0.5, "that of the day figures"


def test_the_age_of_a_partly_stale_ticker_is_that_of_the_stale_parts() -> None:
    bench = Bench()
    topic = "perpetual:BTC-USDT:ticker"
    bench.want(topic)
    for number in range(60):
        bench.frame(wire.quote("BTCUSDT", "99", "101", number))
        bench.frame(wire.day("BTCUSDT", "100", bench.wall))
        if number < 40:
            bench.frame(wire.mark("BTCUSDT", "100", bench.wall))
        bench.advance(0.5)
    status = bench.status(topic)
    assert status.fields == ("mark_price", "index_price", "funding_rate")
    assert age(bench, topic) == 10.5, "what is fresh does not make it younger"


def test_crossed_quotes_are_counted() -> None:
    bench = ready()
    bench.frame(wire.quote("BTCUSDT", "102", "101", bench.wall + 10))
    bench.frame(wire.quote("BTCUSDT", "103", "101", bench.wall + 11))
    assert bench.count("cryptodash_quotes_crossed_total") == 2


def test_trades_that_the_venue_counted_and_we_never_saw_are_counted() -> None:
    bench = Bench()
    bench.want(TRADES)
    for number in (1, 2, 6, 5, 9):
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall))
    assert bench.count("cryptodash_trades_missed_total") == 5, "3 4 5, then 7 8"
    assert bench.count("cryptodash_trades_late_total") == 1, "5 came after all"


def test_values_that_make_a_topic_live_again_go_before_the_status_that_says_so() -> None:
    bench = ready()
    bench.close(bench.only)
    bench.advance(3)
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    *values, status = bench.frame(wire.quote("BTCUSDT", "97", "101", bench.wall + 1))
    assert [type(each).__name__ for each in values] == ["Ticker"]
    assert isinstance(status, StreamStatus)
    assert status.state is State.LIVE


def test_a_halted_instrument_that_speaks_is_looked_up_again_once_a_minute() -> None:
    bench = ready()
    known = bench.catalogue.get(SPOT, bench.topic(TICKER).symbol)
    assert known is not None
    others = [each for each in bench.catalogue if each.market is SPOT and each is not known]
    bench.catalogue.replace(SPOT, [halted(known), *others])
    bench.list_again(SPOT)
    play(bench, 150)
    assert len(bench.listings) == 3


def test_a_part_whose_stream_the_venue_refuses_is_stale_for_as_long_as_its_figure_is_shown() -> None:
    topic = "perpetual:BTC-USDT:ticker"
    bench = Bench(answers="stream")

    def speak(*streams: str) -> None:
        frames = {
            "quote": wire.quote("BTCUSDT", "99", "101", bench.wall),
            "day": wire.day("BTCUSDT", "100", bench.wall),
        }
        frames["mark"] = wire.mark("BTCUSDT", "100", bench.wall)
        for stream in streams:
            server = next(each for each in bench.servers.values() if f"{stream}:BTCUSDT" in each.streams)
            bench.frame(frames[stream], server)
        bench.advance(0.25)

    bench.want(topic)
    bench.advance(1)
    speak("quote", "day", "mark")
    bench.refused.add("mark:BTCUSDT")
    bench.close(bench.only)
    bench.advance(3)
    for _ in range(8):
        speak("quote", "day")
    status = bench.status(topic)
    assert (status.state, status.fields) == (State.LIVE, ("mark_price", "index_price", "funding_rate"))


def test_a_quote_after_which_only_something_unreadable_came_is_stale_and_of_before_that() -> None:
    quote = "spot:BTC-USDT:bbo"
    bench = Bench()
    bench.want(quote, "spot:ETH-USDT:bbo")
    bench.advance(1)
    bench.frame(wire.quote("BTCUSDT", "99", "101", bench.wall))
    for second in range(12):
        bench.advance(1)
        bench.frame(wire.quote("ETHUSDT", "9", "11", bench.wall))
        if second == 2:
            bench.frame(wire.quote("BTCUSDT", "NaN", "51", bench.wall))
    as_of = bench.engine.as_of(bench.topic(quote))
    assert as_of is not None and 8.9 <= bench.clock.monotonic() - as_of <= 9.1
    assert (bench.status(quote).state, bench.status(quote).cause) == (State.STALE, Cause.SILENT)
    bench.frame(wire.quote("BTCUSDT", "50", "51", bench.wall))
    assert bench.state(quote) is State.LIVE

"""Events in, messages out: who gets what, what a newcomer gets, and what is asked before anything is known."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, ensureDeferred
from zope.interface.verify import verifyObject

from cryptodash.core.events import Cause, State, StreamStatus, Sweep, Ticker
from cryptodash.core.instruments import ANY, MarketType, Symbol
from cryptodash.core.interfaces import IInlet
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import IDemand, IDirectory, IValues

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

SWEEP = Topic("binance", MarketType.SPOT, ANY, Channel.TICKER)


def test_the_hub_is_what_its_neighbours_expect(world):
    for interface in (IDirectory, IDemand, IValues):
        assert verifyObject(interface, world.hub)
    assert verifyObject(IInlet, world.hub)
    assert world.hub.book_depth_default == 50
    assert world.hub.exchanges() == ("binance", "bybit")


def test_an_event_goes_to_its_topic_only(world):
    ticker, trade = world.watch(world.ticker_topic), world.watch(world.topic(Channel.TRADE))
    other = world.watch(world.topic(Channel.TICKER, exchange="bybit"))
    world.hub.publish(world.ticker("43250.50000000"))
    (message,) = ticker.messages
    assert (message.kind, message.topic, message.key) == ("ticker", world.ticker_topic, world.ticker_topic)
    assert b'"last":43250.50000000' in message.body
    assert trade.messages == other.messages == []


def test_all_outlets_get_the_same_encoded_message(world):
    outlets = [world.watch(world.ticker_topic) for _ in range(3)]
    world.hub.publish(world.ticker("1"))
    assert len({id(outlet.messages[0]) for outlet in outlets}) == 1
    (now,) = world.hub.current(world.ticker_topic, 0)
    assert now.body == outlets[0].messages[0].body


def test_nothing_comes_after_detaching(world):
    outlet, stays = world.watch(world.ticker_topic), world.watch(world.ticker_topic)
    world.hub.detach(outlet, world.ticker_topic, 0)
    world.hub.detach(outlet, world.ticker_topic, 0)
    world.hub.publish(world.ticker("1"))
    assert outlet.messages == []
    assert len(stays.messages) == 1


def test_events_nobody_wants_are_counted_and_forgotten(world):
    world.hub.publish(world.ticker("1"))
    world.status(world.ticker_topic, State.LIVE)
    unwanted = world.tally.metrics["cryptodash_events_unwanted_total"].values
    assert (unwanted[("ticker",)], unwanted[("status",)]) == (1, 1)
    assert world.hub.ticker(world.ticker_topic) is None


def test_published_events_and_kept_values_are_counted(world):
    for topic in (world.ticker_topic, world.topic(Channel.TRADE)):
        world.hub.hold(topic, 0)
    for number in range(300):
        world.hub.publish(world.ticker("1"))
        world.hub.publish(world.trade(number))
    metrics = world.tally.metrics
    assert metrics["cryptodash_events_published_total"].values == {("ticker",): 300, ("trade",): 300}
    kept = metrics["cryptodash_cache_entries"].read()
    assert (kept[("ticker",)], kept[("trade",)], kept[("status",)]) == (1, 300, 2)
    sampled = metrics["cryptodash_publish_to_enqueue_seconds"].series.values()
    assert sum(sum(series.counts) for series in sampled) == 2


def test_a_broken_outlet_is_taken_out_and_disturbs_nobody(world):
    class Broken:
        calls = 0

        def deliver(self, message):
            self.calls += 1
            raise RuntimeError("no")

        def failed(self):
            told.append(self)

    told = []
    broken = Broken()
    before = world.watch(world.ticker_topic)
    world.hub.attach(broken, world.ticker_topic, 0)
    after = world.watch(world.ticker_topic)
    world.hub.publish(world.ticker("1"))
    world.hub.publish(world.ticker("2"))
    assert len(before.messages) == len(after.messages) == 2
    assert broken.calls == 1
    assert told == [broken], "so that whoever stands behind it does not go on waiting"


def test_a_fault_while_publishing_does_not_escape(world):
    world.hub.hold(world.ticker_topic, 0)
    world.hub.publish(
        Ticker(world.topic(Channel.ORDER_BOOK), 0, RECEIVED, admit("1"))
    )  # a ticker of a book: nobody wants it
    outlet = world.watch(world.ticker_topic)
    world.hub.publish(Ticker(world.ticker_topic, -1, RECEIVED, admit("1")))  # a time that cannot be written
    assert outlet.messages == []
    assert world.tally.metrics["cryptodash_publish_failures_total"].values == {("ticker",): 1}
    world.hub.publish(world.ticker("1"))
    assert len(outlet.messages) == 1


def test_trades_are_lossless_and_replayed_to_a_newcomer_oldest_first(world):
    topic = world.topic(Channel.TRADE)
    outlet = world.watch(topic)
    for number in range(1_200):
        world.hub.publish(world.trade(number))
    assert [each["id"] for each in outlet.take()] == [str(number) for number in range(1_200)]
    replayed = world.hub.current(topic, 0)
    assert {message.key for message in replayed} == {None}
    payloads = [world.payload(message) for message in replayed]
    assert [each["id"] for each in payloads] == [str(number) for number in range(1_150, 1_200)]
    assert all(each["replayed"] is True for each in payloads)
    assert [trade.id for trade in world.hub.trades(topic, 3)] == ["1197", "1198", "1199"]
    assert len(world.hub.trades(topic, 5_000)) == 1_200
    assert world.hub.trades(topic, 0) == []


def test_liquidations_are_lossless_and_the_last_fifty_are_replayed(world):
    topic = world.liquidation(0).topic
    outlet = world.watch(topic)
    for number in range(60):
        world.hub.publish(world.liquidation(number))
    assert [message.key for message in outlet.messages] == [None] * 60
    replayed = [world.payload(message) for message in world.hub.current(topic, 0)]
    assert len(replayed) == 50 and all(each["replayed"] for each in replayed)
    assert replayed[-1]["timestamp"] == world.payload(outlet.messages[-1])["timestamp"]
    world.hub.detach(outlet, topic, 0)
    world.hub.release(topic, 0)
    world.advance(31)
    assert world.hub.current(topic, 0) == []


def test_a_best_bid_and_offer_is_conflated_and_known_to_newcomers_until_the_last_one_goes(world):
    topic = world.topic(Channel.BBO)
    outlet = world.watch(topic)
    for bid in ("1", "2"):
        world.hub.publish(world.bbo(bid, "3"))
    assert [(message.kind, message.key) for message in outlet.messages] == [("bbo", topic)] * 2
    (now,) = world.hub.current(topic, 0)
    assert now.body == outlet.messages[-1].body
    assert world.tally.metrics["cryptodash_cache_entries"].read()[("bbo",)] == 1
    world.hub.detach(outlet, topic, 0)
    world.hub.release(topic, 0)
    world.advance(31)
    assert world.hub.current(topic, 0) == []
    world.hub.publish(world.bbo("1", "2"))
    assert world.tally.metrics["cryptodash_events_unwanted_total"].values[("bbo",)] == 1


def test_a_candle_is_conflated_only_with_itself_and_a_closed_one_comes_once(world):
    topic = world.topic(Channel.CANDLE, interval="1m")
    outlet = world.watch(topic)
    world.hub.publish(world.bar(1, closed=False))
    world.hub.publish(world.bar(1, volume="2"))
    world.hub.publish(world.bar(1, volume="2"))
    world.hub.publish(world.bar(1, volume="2", closed=False))
    world.hub.publish(world.bar(2, closed=False))
    world.hub.publish(world.bar(1, volume="3", corrected=True))
    assert [message.key for message in outlet.messages] == [
        (topic, 60_000),
        (topic, 60_000),
        (topic, 120_000),
        (topic, 60_000),
    ]
    assert [each["closed"] for each in outlet.take()] == [False, True, False, True]
    (running,) = world.hub.current(topic, 0)
    assert world.payload(running)["timestamp"] == "1970-01-01T00:02:00.000Z"


def tickers(*bases):
    return tuple(
        Ticker(Topic("binance", MarketType.SPOT, Symbol(base, "USDT"), Channel.TICKER), 0, RECEIVED, admit("1"))
        for base in bases
    )


def test_a_sweep_is_delivered_as_one_batch_and_known_to_newcomers(world):
    outlet = world.watch(SWEEP)
    world.hub.publish(Sweep(SWEEP, tickers("BTC", "ETH")))
    world.hub.publish(Sweep(SWEEP, tickers("XRP", "BTC")))
    assert [[message.topic.symbol.base for message in batch.messages] for batch in outlet.batches] == [
        ["BTC", "ETH"],
        ["XRP", "BTC"],
    ]
    assert all(message.key is message.topic for batch in outlet.batches for message in batch.messages)
    assert sorted(message.topic.symbol.base for message in world.hub.current(SWEEP, 0)) == ["BTC", "ETH", "XRP"]
    assert outlet.batches[1].messages[0] in world.hub.current(SWEEP, 0)
    assert world.hub.current(world.ticker_topic, 0) == []


def test_a_sweep_is_forgotten_with_its_last_client(world):
    world.watch(SWEEP)
    world.hub.publish(Sweep(SWEEP, tickers("BTC")))
    world.hub.release(SWEEP, 0)
    world.advance(31)
    assert world.hub.current(SWEEP, 0) == []
    assert world.tally.metrics["cryptodash_cache_entries"].read()[("sweep",)] == 0


def test_a_status_comes_once_per_change(world):
    outlet = world.watch(world.ticker_topic)
    world.status(world.ticker_topic, State.CONNECTING)  # known since the hold
    world.status(world.ticker_topic, State.LIVE)
    world.advance(5)
    world.status(world.ticker_topic, State.LIVE)
    world.status(world.ticker_topic, State.STALE, Cause.SILENT, ("quote",))
    assert [(each["state"], each.get("cause"), each.get("fields")) for each in outlet.take("status")] == [
        ("live", None, None),
        ("stale", "silent", ["quote"]),
    ]


def test_a_status_tells_the_source_and_the_age_and_never_replaces_a_value(world):
    world.hub.hold(world.ticker_topic, 0)
    assert "age_ms" not in world.payload(world.hub.status(world.ticker_topic))
    world.venue.confirmed[world.ticker_topic] = world.time.monotonic()
    world.status(world.ticker_topic, State.LIVE)
    world.advance(1.25)
    message = world.hub.status(world.ticker_topic)
    assert message.key != world.ticker_topic
    status = world.payload(message)
    assert (status["source"], status["age_ms"], status["since"]) == ("simulated", 1250, "2023-11-14T22:13:20.000Z")
    assert world.hub.age_ms(world.ticker_topic) == 1250


def test_every_depth_of_a_book_shows_the_books_status_under_its_own_name(world):
    near, deep = (world.topic(Channel.ORDER_BOOK, depth=depth) for depth in (5, 50))
    outlets = [world.watch(near, 100), world.watch(deep, 500)]
    world.venue.confirmed[near.upstream] = world.time.monotonic()
    world.status(near.upstream, State.RESYNCING, Cause.GAP)
    statuses = [outlet.take("status") for outlet in outlets]
    assert [[each["channel"]["depth"] for each in taken] for taken in statuses] == [[5], [50]]
    assert statuses[0][0]["channel"]["channel_type"] == "order_book"
    assert world.hub.stream_status(deep) == StreamStatus(deep, State.RESYNCING, Cause.GAP, (), world.time.wall_ms())
    assert world.hub.age_ms(deep) == 0


def test_a_status_named_by_a_depth_is_the_books(world):
    near = world.topic(Channel.ORDER_BOOK, depth=5)
    outlet = world.watch(near, 100)
    world.status(near, State.STALE, Cause.SILENT)
    assert [each["state"] for each in outlet.take("status")] == ["stale"]
    assert world.hub.stream_status(near.upstream).state is State.STALE


def test_a_stale_ticker_is_still_given_because_its_status_says_so(world):
    world.hub.hold(world.ticker_topic, 0)
    world.hub.publish(world.ticker("1"))
    world.status(world.ticker_topic, State.STALE, Cause.DISCONNECTED)
    assert len(world.hub.current(world.ticker_topic, 0)) == 1


def test_a_topic_accepted_on_trust_is_reported_when_the_catalogue_lacks_it(make_world):
    world = make_world(loaded=False)
    unknown = world.topic(Channel.TICKER, symbol=Symbol("NO", "SUCH"))
    depths = [world.topic(Channel.ORDER_BOOK, symbol=Symbol("NO", "SUCH"), depth=depth) for depth in (5, 50)]
    perpetual = Topic("binance", MarketType.PERPETUAL, Symbol("NO", "SUCH"), Channel.TICKER)
    reported = []
    world.hub.on_unknown += [lambda topic: 1 / 0, reported.append]
    for topic in (unknown, *depths, perpetual, SWEEP, world.ticker_topic):
        world.hub.hold(topic, 0)
    world.hub.catalogue_changed("binance", MarketType.SPOT)  # not loaded yet
    assert reported == []
    world.venue.load()
    world.hub.catalogue_changed("binance", MarketType.SPOT)
    world.hub.catalogue_changed("binance", MarketType.SPOT)
    assert sorted(reported, key=str) == sorted([unknown, *depths], key=str)
    world.hub.catalogue_changed("nowhere", MarketType.SPOT)


def test_an_instrument_that_vanishes_later_is_not_an_unknown_symbol(world):
    reported = []
    world.hub.on_unknown.append(reported.append)
    world.hub.hold(world.ticker_topic, 0)
    world.venue.load(Symbol("ETH", "USDT"))
    world.hub.catalogue_changed("binance", MarketType.SPOT)
    assert reported == []


def waiting(world, topic, interval=0, timeout=2.0):
    results = []
    deferred = ensureDeferred(world.hub.first_value(topic, interval, timeout))
    deferred.addBoth(results.append)
    return deferred, results


@pytest.mark.parametrize("channel", ["ticker", "bbo", "trade", "candle", "order_book"])
def test_waiting_for_a_first_value(world, channel):
    topic = {
        "ticker": world.ticker_topic,
        "bbo": world.topic(Channel.BBO),
        "trade": world.topic(Channel.TRADE),
        "candle": world.topic(Channel.CANDLE, interval="1m"),
        "order_book": world.topic(Channel.ORDER_BOOK, depth=5),
    }[channel]
    interval = world.hub.view_interval(topic, None)
    world.hub.hold(topic, interval)
    _, results = waiting(world, topic, interval)
    _, again = waiting(world, topic, interval)
    assert results == []
    if channel == "order_book":
        world.book(world.book_of({"1": "1"}, {"2": "1"}))
    else:
        events = {"ticker": world.ticker("1"), "trade": world.trade(1), "candle": world.bar(1)}
        world.hub.publish(world.bbo("1", "2") if channel == "bbo" else events[channel])
    assert results == again == [], "the status comes after the value"
    world.advance(0)
    assert results == again == [True]
    assert waiting(world, topic, interval)[1] == [True]
    world.advance(0.1)
    assert world.scheduler.getDelayedCalls() == []


def test_waiting_ends_when_its_time_is_over(world):
    world.hub.hold(world.ticker_topic, 0)
    _, results = waiting(world, world.ticker_topic)
    _, without_time = waiting(world, world.ticker_topic, timeout=0)
    assert without_time == [False]
    world.advance(1.9)
    assert results == []
    world.advance(0.2)
    assert results == [False]
    assert not world.hub._waiters.waiting


def test_waiting_for_a_watched_book_that_is_rebuilt_ends_with_its_next_publication(world):
    topic = world.topic(Channel.ORDER_BOOK, depth=5)
    book = world.book_of({"1": "1"}, {"2": "1"})
    world.watch(topic, 100)
    world.book(book)
    world.status(topic.upstream, State.RESYNCING, Cause.GAP)
    world.book(book, rebuilt=True)  # waits for the interval's end
    _, results = waiting(world, topic, 100)
    assert results == []
    world.advance(0.1)
    assert results == [True]


def test_a_cancelled_wait_leaves_nothing_behind(world):
    world.hub.hold(world.ticker_topic, 0)
    deferred, results = waiting(world, world.ticker_topic)
    _, other = waiting(world, world.ticker_topic)
    deferred.cancel()
    assert results[0].check(CancelledError)
    world.hub.publish(world.ticker("1"))
    world.advance(0)
    assert other == [True]
    assert world.scheduler.getDelayedCalls() == []
    assert not world.hub._waiters.waiting


def test_stopping_ends_all_waits(world):
    world.hub.hold(world.ticker_topic, 0)
    _, results = waiting(world, world.ticker_topic)
    world.hub.stop()
    assert results == [False]
    assert world.scheduler.getDelayedCalls() == []

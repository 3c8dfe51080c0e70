"""The composite market in the hub: whom it holds, when it is made, what is told of it, and that no venue that is not
good is ever in it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from cryptodash.core.config import Config, Limits
from cryptodash.core.errors import Refused
from cryptodash.core.events import Bbo, Cause, State, StreamStatus
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.hub.broadcaster import Broadcaster

BTC, ETH = Symbol("BTC", "USDT"), Symbol("ETH", "USDT")
START_MS = 1_700_000_000_000
NAMES = ("binance", "bybit", "sixth")
LIVE, STALE = State.LIVE, State.STALE


class Market:
    """A hub over three venues that tests speak for."""

    def __init__(self, world, *, loaded=True, aliases=(), linger=30.0, names=NAMES, **limits):
        self.scheduler, self.time = world.scheduler, world.time
        self.tally = Tally()
        config = Config(quote_aliases=aliases, upstream_linger_s=linger, limits=Limits(**limits))
        self.hub = Broadcaster(config, self.time, self.scheduler, self.tally)
        timers = PublishTimers(self.scheduler)
        self.venues = {name: world.venue_of(name, loaded=loaded) for name in names}
        for venue in self.venues.values():
            venue.publish_into(self.hub, timers)
        self.outlet_of = world.outlet
        self.book_of = world.book_of

    def topic(self, exchange="composite", channel=Channel.BBO, *, symbol=BTC, depth=0):
        return Topic(exchange, MarketType.SPOT, symbol, channel, depth=depth)

    def part(self, name, **more):
        return self.topic(name, **more)

    def watch(self, topic=None, interval=0):
        topic = topic or self.topic()
        outlet = self.outlet_of()
        self.hub.hold(topic, interval)
        self.hub.attach(outlet, topic, interval)
        return outlet

    def quote(self, name, bid, ask, *, symbol=BTC):
        part, one = self.part(name, symbol=symbol), admit("1")
        self.venues[name].confirmed[part] = self.time.monotonic()
        self.hub.publish(Bbo(part, self.time.wall_ms(), self.time.wall_ms(), admit(bid), one, admit(ask), one))

    def status(self, name, state, cause=None, *, channel=Channel.BBO, symbol=BTC):
        part = self.part(name, channel=channel, symbol=symbol)
        self.venues[name].books.status(StreamStatus(part, state, cause, (), self.time.wall_ms()))

    def live(self, name, bid="100", ask="101"):
        self.quote(name, bid, ask)
        self.status(name, LIVE)

    def book(self, name, bids, asks, *, state=LIVE):
        part = self.part(name, channel=Channel.ORDER_BOOK)
        self.venues[name].confirmed[part] = self.time.monotonic()
        written = self.book_of(bids, asks)
        self.venues[name].books.changed(BookChanged(part, written, self.time.wall_ms(), self.time.wall_ms(), False))
        if state is not None:
            self.status(name, state, channel=Channel.ORDER_BOOK)

    def confirm_all(self):
        for venue in self.venues.values():
            venue.confirmed.update(dict.fromkeys(venue.confirmed, self.time.monotonic()))

    def advance(self, seconds):
        self.scheduler.pump([0.05] * round(seconds / 0.05))

    def turn(self):
        self.scheduler.advance(0)

    def made(self, channel="bbo"):
        """How often a composite value was computed."""
        counter = self.tally.counter("cryptodash_composite_computations_total", "", "channel")
        return counter.values[(channel,)]


@pytest.fixture
def market(world):
    return Market(world)


def excluded(payload):
    return {each["exchange"]: each.get("cause", each["state"]) for each in payload["excluded"]}


# -- the best bid and offer


def test_it_is_told_with_its_status_when_the_first_venue_is_good(market):
    outlet = market.watch()
    market.quote("binance", "100", "101")
    market.turn()
    assert outlet.messages == [], "the status of that quote is not known yet"
    market.status("binance", LIVE)
    kinds = [message.kind for message in outlet.messages]
    assert kinds == ["bbo", "status"], "the value first"
    value, status = outlet.take()
    assert (value["bid"], value["bid_exchange"]) == (100, "binance")
    assert set(value["venues"]) == {"binance"}
    assert excluded(value) == {"bybit": "connecting", "sixth": "connecting"}
    assert (status["state"], status["age_ms"]) == ("live", 0)
    assert status["channel"]["exchange"] == "composite"


def test_many_changes_of_a_turn_and_of_an_interval_are_one_computation(market):
    for name in NAMES:
        market.hub.hold(market.topic(), 0)
        market.live(name)
    outlets = [market.watch() for _ in range(50)]
    market.advance(1)
    for outlet in outlets:
        outlet.take()
    begun = market.made()
    for number in range(10):
        for name in NAMES:
            market.quote(name, f"{100 + number}.5", "200")
    market.turn()
    assert market.made() == begun + 1
    for number in range(10):
        market.quote("bybit", f"{120 + number}", "200")
    market.turn()
    assert market.made() == begun + 1, "not before the interval is over"
    market.advance(0.1)
    assert market.made() == begun + 2
    bodies = [[message.body for message in outlet.messages] for outlet in outlets]
    assert len(bodies[0]) == 2
    assert all(each == bodies[0] for each in bodies)
    assert len({id(outlet.messages[0].body) for outlet in outlets}) == 1, "encoded once"
    assert outlets[0].take()[-1]["bid"] == 129


def test_what_changes_nothing_is_not_told(market):
    outlet = market.watch()
    market.live("binance")
    outlet.take()
    market.advance(1)
    market.confirm_all()
    market.quote("binance", "100", "101")
    market.advance(1)
    assert outlet.take() == []


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (STALE, Cause.SILENT),
        (STALE, Cause.LATE),
        (STALE, Cause.DISCONNECTED),
        (STALE, Cause.HALTED),
        (State.RESYNCING, Cause.GAP),
        (State.CONNECTING, Cause.CAPACITY),
        (State.CLOSED, Cause.DELISTED),
    ],
)
def test_a_venue_leaves_at_once_with_its_cause_and_comes_back(market, state, cause):
    outlet = market.watch()
    for name in NAMES:
        market.live(name, "100" if name != "bybit" else "100.5")
    market.advance(0.2)
    assert outlet.take("bbo")[-1]["bid_exchange"] == "bybit"
    market.status("bybit", state, cause)
    (value,) = outlet.take()
    assert "bybit" not in value["venues"] and value["bid"] == 100
    assert excluded(value) == {"bybit": cause.value}
    market.live("bybit", "100.6")
    market.turn()
    value = outlet.take()[-1]
    assert value["bid"] == Decimal("100.6") and value["excluded"] == []


def test_a_message_that_takes_a_venue_back_is_urgent_and_no_other(market):
    outlet = market.watch()
    market.live("binance")
    market.live("bybit")
    market.advance(0.1)
    assert not any(message.urgent for message in outlet.messages)
    outlet.take()
    market.status("bybit", STALE, Cause.LATE)
    assert [message.urgent for message in outlet.messages] == [True]


def test_when_the_last_leaves_the_value_is_emptied_before_the_status_says_why(market):
    outlet = market.watch()
    market.live("binance")
    outlet.take()
    market.status("binance", STALE, Cause.SILENT)
    assert [message.kind for message in outlet.messages] == ["bbo", "status"]
    value, status = outlet.take()
    assert value["venues"] == {} and "bid" not in value and "timestamp" not in value
    assert (status["state"], status["cause"]) == ("stale", "silent")
    market.live("binance")
    assert [message.kind for message in outlet.messages] == ["bbo", "status"]


def test_time_alone_makes_a_quote_too_old_to_be_compared(market):
    outlet = market.watch()
    market.live("binance", "100")
    market.live("bybit", "99")
    market.advance(0.1)
    outlet.take()
    market.advance(1.8)
    market.venues["bybit"].confirmed[market.part("bybit")] = market.time.monotonic()
    market.advance(0.3)
    assert outlet.take() == []
    market.advance(0.2)
    market.venues["bybit"].confirmed[market.part("bybit")] = market.time.monotonic()
    market.advance(0.3)
    (value,) = outlet.take()
    assert excluded(value) == {"binance": "late", "sixth": "connecting"}
    assert value["bid"] == 99
    market.confirm_all()
    market.advance(0.3)
    assert outlet.take()[-1]["bid"] == 100


def test_a_fault_in_one_holds_up_no_other_and_is_logged(market):
    outlet = market.watch(market.topic())
    market.watch(market.topic(symbol=ETH))
    for name in ("binance", "bybit"):
        market.live(name)
    market.advance(0.1)
    outlet.take()
    as_of = market.venues["binance"].as_of

    def faulty(topic):
        if topic.symbol == ETH:
            raise ZeroDivisionError
        return as_of(topic)

    market.venues["binance"].as_of = faulty
    with capturedLogs() as logged:
        market.quote("binance", "100", "101", symbol=ETH)
        market.status("binance", LIVE, symbol=ETH)
        market.advance(2)
    assert any(isinstance(each["log_failure"].value, ZeroDivisionError) for each in logged)
    market.venues["bybit"].confirmed[market.part("bybit")] = market.time.monotonic()
    market.advance(0.5)
    assert excluded(outlet.take("bbo")[-1])["binance"] == "late"
    market.status("bybit", STALE, Cause.SILENT)
    assert excluded(outlet.take("bbo")[-1])["bybit"] == "silent"


def test_a_new_subscriber_gets_what_is_so_now(market):
    market.watch()
    assert market.hub.current(market.topic(), 0) == []
    market.live("binance")
    market.live("bybit", "100.5")
    (message,) = market.hub.current(market.topic(), 0)
    assert json.loads(message.body)["payload"]["bid"] == 100.5
    market.status("bybit", STALE, Cause.LATE)
    (message,) = market.hub.current(market.topic(), 0)
    assert json.loads(message.body)["payload"]["bid"] == 100


def shown_times(outlet, *kinds):
    return [payload["timestamp"][-7:-1] for payload in outlet.take(*kinds) if "timestamp" in payload]


def test_its_time_does_not_go_back_when_all_have_left_and_one_with_an_older_quote_is_back(market):
    outlet = market.watch()
    market.live("binance")
    market.advance(1)
    market.live("bybit")
    market.status("binance", STALE, Cause.SILENT)
    market.status("bybit", STALE, Cause.SILENT)
    assert set(shown_times(outlet, "bbo")) == {"20.000", "21.000"}
    market.status("binance", LIVE)
    assert shown_times(outlet, "bbo") == ["21.000"]


def test_some_venues_alone_have_the_time_of_their_own_quotes(market):
    market.watch()
    market.live("binance")
    market.advance(1)
    market.live("bybit")
    market.turn()
    assert market.hub.composite(market.topic(), frozenset(["binance"])).timestamp == START_MS
    assert market.hub.composite(market.topic(), None).timestamp == START_MS + 1000


def test_the_time_of_a_book_does_not_go_back_nor_is_it_of_our_clock(market):
    outlet = market.watch(market.topic(**BOOK_5), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.advance(1)
    market.book("bybit", {"100": "1"}, {"101": "1"})
    market.advance(0.2)
    assert shown_times(outlet, *BOOK_KINDS) == ["20.000", "21.000"]
    market.advance(1)
    market.status("bybit", STALE, Cause.SILENT, channel=Channel.ORDER_BOOK)
    market.status("binance", STALE, Cause.SILENT, channel=Channel.ORDER_BOOK)
    market.status("binance", LIVE, channel=Channel.ORDER_BOOK)
    assert shown_times(outlet, *BOOK_KINDS) == ["21.000"] * 3


def test_its_age_is_that_of_the_oldest_that_counts(market):
    market.watch()
    market.live("binance")
    market.advance(1)
    market.live("bybit")
    assert market.hub.age_ms(market.topic()) == 1000


# -- demand


def asked(venue):
    return [(word, [str(topic) for topic in topics]) for word, topics in venue.asked]


def test_holding_it_holds_its_parts_and_they_linger_together(market):
    market.hub.hold(market.topic(), 0)
    market.hub.hold(market.topic(), 0)
    for name, venue in market.venues.items():
        assert asked(venue) == [("want", [f"{name}:spot:BTC-USDT:bbo"])]
        assert market.hub.clients_of(market.part(name)) == 2
    market.hub.release(market.topic(), 0)
    market.hub.release(market.topic(), 0)
    market.hub.release(market.topic(), 0)  # no error
    market.advance(29.8)
    market.hub.hold(market.topic(), 0)
    assert all(len(venue.asked) == 1 for venue in market.venues.values()), "within the linger"
    market.hub.release(market.topic(), 0)
    market.advance(31)
    for name, venue in market.venues.items():
        assert asked(venue)[1:] == [("drop", [f"{name}:spot:BTC-USDT:bbo"])]
    assert market.hub._composite.users == {}
    assert market.scheduler.getDelayedCalls() == []


def test_what_nobody_holds_is_made_no_more_while_its_parts_linger(market):
    """Depths that come and go would cost more with each that went: every change of a book's status makes all depths."""
    kept = market.watch(market.topic(**BOOK_1), 100)
    client = market.hub.for_client("one", "10.0.0.1")
    for depth in range(2, 200):
        client.hold(market.topic(channel=Channel.ORDER_BOOK, depth=depth), 100)
        client.release(market.topic(channel=Channel.ORDER_BOOK, depth=depth), 100)
    client.hold(market.topic(), 0)
    client.release(market.topic(), 0)
    assert [str(topic) for topic in market.hub._composite._topics] == ["composite:spot:BTC-USDT:order_book:1"]
    made = market.made()
    market.live("binance")
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.advance(0.2)
    assert market.made() == made
    assert [message.kind for message in kept.messages][-2:] == ["order_book_snapshot", "status"]
    assert all(word == "want" for venue in market.venues.values() for word, _ in venue.asked), "the parts linger"


def test_channels_that_are_given_up_while_their_parts_wait_do_not_use_up_the_linger_of_others(market, monkeypatch):
    monkeypatch.setattr("cryptodash.hub.demand.LINGERING_KEPT", 3)
    for name in NAMES:
        market.hub.hold(market.part(name, symbol=ETH), 0)
        market.hub.release(market.part(name, symbol=ETH), 0)
        market.venues[name].streams_each = 100_000  # more than an address may have
    client = market.hub.for_client("one", "10.0.0.1")
    client.hold(market.topic(), 0)
    client.release(market.topic(), 0)
    for name, venue in market.venues.items():
        assert asked(venue) == [("want", [f"{name}:spot:ETH-USDT:bbo"])], "no drop within the linger"


def test_unusual_depths_of_a_venues_book_are_bounded_over_the_composite_as_well(world):
    market = Market(world, max_custom_depths=2, aliases=(("USDT", "USDC"),))
    market.venues["sixth"].load(BTC, ETH, Symbol("BTC", "USDC"))

    def resolve(exchange, depth, symbol="BTC-USDT"):
        return market.hub.resolve(exchange, None, "order_book", symbol, depth)

    def refused(*words):
        with pytest.raises(Refused) as found:
            resolve(*words)
        return found.value.code

    market.hub.hold(resolve("binance", 7), 100)
    market.hub.hold(resolve("composite", 8), 100)
    assert refused("composite", 9) == refused("binance", 9) == "too_many_depths"
    assert refused("composite", 9, "BTC-USDC") == "too_many_depths", "made of the same books"
    assert resolve("bybit", 9).depth == 9
    assert resolve("composite", 8).depth == 8
    assert resolve("composite", 7).depth == 7
    assert resolve("composite", 9, "ETH-USDT").depth == 9
    market.hub.release(resolve("binance", 7), 100)
    assert resolve("composite", 9).depth == 9


def test_a_part_that_a_client_holds_itself_stays(market):
    market.hub.hold(market.part("binance"), 0)
    market.hub.hold(market.topic(), 0)
    market.hub.release(market.topic(), 0)
    market.advance(31)
    assert asked(market.venues["binance"]) == [("want", ["binance:spot:BTC-USDT:bbo"])]
    assert len(market.venues["bybit"].asked) == 2


def test_it_costs_a_client_what_its_parts_cost(world):
    market = Market(world)
    client = market.hub.for_client("one", "10.0.0.1")
    market.venues["sixth"].streams_each = 100_000  # more than an address may have
    client.hold(market.topic(), 0)
    market.live("binance")
    market.live("bybit")
    (message,) = market.hub.current(market.topic(), 0)
    assert excluded(json.loads(message.body)["payload"]) == {"sixth": "capacity"}
    assert market.venues["sixth"].asked == []
    client.release(market.topic(), 0)
    assert market.hub._demand.waiting_counts()[("sixth",)] == 0


def test_a_client_for_which_too_much_waits_is_refused_and_leaves_nothing_behind(world, monkeypatch):
    monkeypatch.setattr("cryptodash.hub.new_topics.MOST_WAITING", 1)
    market = Market(world)
    market.venues["bybit"].streams_each = market.venues["sixth"].streams_each = 100_000
    client = market.hub.for_client("one", "10.0.0.1")
    with pytest.raises(Refused, match="wait already"):
        client.hold(market.topic(), 0)
    assert market.hub.clients_of(market.part("binance")) == market.hub.clients_of(market.part("bybit")) == 0
    assert market.topic() not in market.hub._demand.wanted
    market.advance(31)
    assert asked(market.venues["binance"])[-1][0] == "drop"


# -- which venues


def test_only_venues_that_have_the_instrument_take_part(world):
    market = Market(world)
    market.venues["sixth"].load(ETH)
    outlet = market.watch()
    market.live("binance")
    market.live("bybit")
    market.turn()
    assert outlet.take("bbo")[-1]["excluded"] == []
    assert market.venues["sixth"].asked == []


def test_a_venue_that_lists_it_later_joins_without_a_restart(world):
    market = Market(world)
    market.venues["sixth"].load(ETH)
    outlet = market.watch()
    market.live("binance")
    market.venues["sixth"].load(BTC, ETH)
    market.hub.catalogue_changed("sixth", MarketType.SPOT)
    assert asked(market.venues["sixth"]) == [("want", ["sixth:spot:BTC-USDT:bbo"])]
    assert excluded(outlet.take("bbo")[-1])["sixth"] == "connecting"
    market.live("sixth", "100.7")
    market.turn()
    assert outlet.take("bbo")[-1]["bid_exchange"] == "sixth"
    market.hub.release(market.topic(), 0)
    market.advance(31)
    assert asked(market.venues["sixth"])[-1][0] == "drop"


def test_a_part_that_was_refused_is_tried_again_until_there_is_room(world, monkeypatch):
    monkeypatch.setattr("cryptodash.hub.new_topics.MOST_WAITING", 1)
    market = Market(world)
    market.venues["sixth"].load(ETH)
    client = market.hub.for_client("one", "10.0.0.1")
    for _ in range(2):
        client.hold(market.topic(), 0)
    market.venues["bybit"].streams_each = 100_000
    waits = market.part("bybit", symbol=ETH)
    client.hold(waits, 0)
    market.venues["sixth"].load(BTC, ETH)
    market.hub.catalogue_changed("sixth", MarketType.SPOT)
    market.advance(3)
    assert market.venues["sixth"].asked == [], "one of the client's waits already, and no other may"
    client.release(waits, 0)
    market.advance(1.1)
    assert asked(market.venues["sixth"]) == [("want", ["sixth:spot:BTC-USDT:bbo"])]
    assert market.hub.clients_of(market.part("sixth")) == 2
    for _ in range(2):
        client.release(market.topic(), 0)
    assert market.hub.clients_of(market.part("sixth")) == 0
    market.advance(31)
    assert market.scheduler.getDelayedCalls() == []


def test_one_that_lists_it_no_more_stands_in_excluded(market):
    outlet = market.watch()
    market.live("binance")
    market.live("sixth")
    market.turn()
    outlet.take()
    market.venues["sixth"].load(ETH)
    market.hub.catalogue_changed("sixth", MarketType.SPOT)
    market.status("sixth", State.CLOSED, Cause.DELISTED)
    assert excluded(outlet.take("bbo")[-1])["sixth"] == "delisted"


def test_one_whose_catalogue_came_later_keeps_its_place_when_it_lists_it_no_more(world):
    market = Market(world, loaded=False)
    outlet = market.watch()
    for symbols in ((BTC, ETH), (ETH,)):
        market.venues["sixth"].load(*symbols)
        market.hub.catalogue_changed("sixth", MarketType.SPOT)
    market.status("sixth", State.CLOSED, Cause.DELISTED)
    assert excluded(outlet.take("bbo")[-1])["sixth"] == "delisted"


def test_a_changed_catalogue_concerns_only_what_is_made_of_others_now(world):
    market = Market(world)
    market.venues["sixth"].load(ETH)
    market.watch()
    market.watch(market.topic(symbol=ETH))
    composite = market.hub._composite
    assert composite.concerned("sixth", MarketType.SPOT) == composite.concerned("nowhere", MarketType.SPOT) == []
    market.venues["sixth"].load(BTC, ETH)
    assert composite.concerned("sixth", MarketType.SPOT) == [market.topic()]
    assert composite.concerned("sixth", MarketType.PERPETUAL) == []


def test_its_instruments_are_merged_when_they_are_read_not_all_at_once(market, monkeypatch):
    merged = []
    module = "cryptodash.hub.composite_catalogue"
    monkeypatch.setattr(f"{module}._merged", lambda listed: merged.append(listed) or listed[0])
    listed = market.hub.instruments("composite").instruments
    assert len(listed) == 4 and merged == []
    assert len(listed[1:3]) == len(merged) == 2


def test_a_venue_without_a_catalogue_is_taken_at_its_word_and_leaves_when_it_lacks_the_symbol(world):
    market = Market(world)
    late = market.venues["late"] = world.venue_of("late", loaded=False)
    late.publish_into(market.hub, PublishTimers(market.scheduler))
    outlet = market.watch()
    market.live("binance")
    assert excluded(outlet.take("bbo")[-1])["late"] == "connecting"
    late.load(ETH)
    market.hub.catalogue_changed("late", MarketType.SPOT)
    assert "late" not in excluded(outlet.take("bbo")[-1])
    assert market.hub.clients_of(market.part("late")) == 0


def test_a_symbol_that_no_venue_has_is_unknown_once_all_are_read(world):
    market = Market(world, loaded=False)
    topic = market.hub.resolve("composite", None, "bbo", "XYZ-USDT")
    unknown = []
    market.hub.on_unknown.append(unknown.append)
    market.hub.hold(topic, 0)
    for name, venue in market.venues.items():
        assert unknown == [] or unknown[-1].exchange != "composite"
        venue.load(ETH)
        market.hub.catalogue_changed(name, MarketType.SPOT)
    assert unknown[-1] is topic
    with pytest.raises(Refused, match="composite spot has no symbol 'XYZ-USDT'"):
        market.hub.resolve("composite", None, "bbo", "XYZ-USDT")


def test_names_are_understood_as_everywhere(market):
    for text in ("BTC-USDT", "btc/usdt", "BTCUSDT", {"base": "btc", "quote": "usdt"}):
        assert market.hub.resolve("Composite", "spot", "bbo", text) is market.topic()
    book = market.hub.resolve("composite", None, "orderbook", "BTCUSDT", 10)
    assert book is market.topic(channel=Channel.ORDER_BOOK, depth=10)


@pytest.mark.parametrize("kind", ["ticker", "trade", "candle"])
def test_other_channels_are_refused(market, kind):
    with pytest.raises(Refused, match="bbo and order_book only") as refused:
        market.hub.resolve("composite", None, kind, "BTC-USDT", None, "1m")
    assert refused.value.code == "unsupported_channel"


def test_it_is_no_venue_but_its_symbols_are_listed(market):
    assert market.hub.exchanges() == NAMES
    market.venues["sixth"].load(ETH, Symbol("SIX", "USD"))
    market.hub.catalogue_changed("sixth", MarketType.SPOT)
    listed = market.hub.instruments("composite")
    spot = {str(each.symbol) for each in listed.instruments if each.market is MarketType.SPOT}
    assert spot == {"BTC-USDT", "ETH-USDT", "SIX-USD"}
    assert market.hub.instruments("composite") is listed
    assert market.hub.source("composite") == "simulated"


def test_quote_currencies_are_mixed_only_by_the_setting(world):
    plain, mixed = Market(world), Market(world, aliases=(("USD", "USDT"),))
    for market in (plain, mixed):
        market.venues["bybit"].load(Symbol("BTC", "USD"))
        market.venues["sixth"].load(Symbol("BTC", "USD"), BTC)
        market.watch()
    assert asked(plain.venues["bybit"]) == []
    assert asked(mixed.venues["bybit"]) == [("want", ["bybit:spot:BTC-USD:bbo"])]
    assert asked(mixed.venues["sixth"]) == [("want", ["sixth:spot:BTC-USDT:bbo"])], "the very symbol before another"
    mixed.live("binance")
    mixed.quote("bybit", "100.5", "101", symbol=Symbol("BTC", "USD"))
    mixed.status("bybit", LIVE, symbol=Symbol("BTC", "USD"))
    (message,) = mixed.hub.current(mixed.topic(), 0)
    venues = json.loads(message.body)["payload"]["venues"]
    assert "quote" not in venues["binance"] and venues["bybit"]["quote"] == "USD"


# -- books


def held(outlet, book=None):
    """What a client holds after the messages that came: {side: {price: (quantity, venues)}}; each must fit."""
    book = book if book is not None else {"sequence": 0, "bids": {}, "asks": {}, "excluded": []}
    for payload in outlet.take("order_book_snapshot", "order_book_delta"):
        if "bids" in payload:
            for side in ("bids", "asks"):
                book[side] = {each["price"]: (each["quantity"], each["venues"]) for each in payload[side]}
        else:
            assert payload["sequence"] == book["sequence"] + 1
            for side in ("bids", "asks"):
                for each in payload[f"{side}_upserts"]:
                    book[side][each["price"]] = (each["quantity"], each["venues"])
                for price in payload["deletes"][side]:
                    del book[side][price]
        book["sequence"], book["excluded"] = payload["sequence"], payload["excluded"]
        book["complete"] = payload["complete"]
    return book


BOOK_5 = {"channel": Channel.ORDER_BOOK, "depth": 5}
BOOK_KINDS = ("order_book_snapshot", "order_book_delta")


def test_books_are_merged_by_price(market):
    outlet = market.watch(market.topic(**BOOK_5), 100)
    market.book("binance", {"100": "1", "99.50": "2"}, {"101": "1"})
    market.book("bybit", {"99.5": "0.25"}, {"100": "4"})
    market.advance(0.2)
    book = held(outlet)
    assert book["bids"] == {
        100: (1, {"binance": 1}),
        Decimal("99.50"): (Decimal("2.25"), {"binance": 2, "bybit": Decimal("0.25")}),
    }
    assert book["asks"] == {100: (4, {"bybit": 4}), 101: (1, {"binance": 1})}, "locked between venues, and shown"
    assert {each["exchange"] for each in book["excluded"]} == {"sixth"}
    assert market.venues["binance"].paces[-1] == (market.part("binance", **BOOK_5), (100,))


def test_a_venue_whose_book_is_not_good_leaves_at_once(market):
    outlet = market.watch(market.topic(**BOOK_5), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.book("bybit", {"99": "1"}, {"102": "1"})
    market.advance(0.2)
    book = held(outlet)
    assert len(book["bids"]) == 2
    market.status("bybit", State.RESYNCING, Cause.GAP, channel=Channel.ORDER_BOOK)
    book = held(outlet, book)
    assert list(book["bids"]) == [100]
    assert {each["exchange"]: each.get("cause") for each in book["excluded"]}["bybit"] == "gap"


def test_when_all_have_left_it_is_emptied_and_goes_on_with_a_snapshot(market):
    outlet = market.watch(market.topic(**BOOK_5), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.advance(0.2)
    book = held(outlet)
    market.status("binance", State.RESYNCING, Cause.CHECKSUM, channel=Channel.ORDER_BOOK)
    kinds = [message.kind for message in outlet.messages]
    assert kinds == ["order_book_delta", "status"]
    assert held(outlet, book)["bids"] == {}
    market.book("binance", {"100": "7"}, {"101": "1"}, state=None)
    market.venues["binance"].books.changed(
        BookChanged(
            market.part("binance", channel=Channel.ORDER_BOOK), market.book_of({"98": "7"}, {"99": "1"}), 1, 2, True
        )
    )
    market.status("binance", LIVE, channel=Channel.ORDER_BOOK)
    market.advance(0.2)
    kinds = [message.kind for message in outlet.messages if message.kind != "order_book_delta"]
    assert kinds == ["order_book_snapshot", "status"]
    assert list(held(outlet, book)["bids"]) == [98]


def test_it_is_told_when_the_view_is_not_complete_any_more(market):
    def levels(first, step, count):
        return {str(first + step * number): "1" for number in range(count)}

    outlet = market.watch(market.topic(**BOOK_5), 100)
    market.book("binance", levels(100, -1, 5), levels(101, 1, 5))
    market.book("bybit", levels(100, -1, 5), levels(101, 1, 5))
    market.advance(0.3)
    book = held(outlet)
    assert book["complete"]
    market.book("bybit", levels(100, -1, 1), levels(101, 1, 1))
    market.advance(0.3)
    book = held(outlet, book)
    assert not book["complete"]


def test_complete_alone_is_news(market):
    outlet = market.watch(market.topic(**BOOK_1), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.book("bybit", {"90": "1"}, {"110": "1"})
    market.advance(0.3)
    book = held(outlet)
    assert book["complete"]
    market.book("bybit", {"90": "1"}, {})
    market.advance(0.3)
    (delta,) = outlet.take("order_book_delta")
    assert delta["complete"] is False and delta["sequence"] == book["sequence"] + 1
    assert delta["asks_upserts"] == delta["bids_upserts"] == []


BOOK_1 = {"channel": Channel.ORDER_BOOK, "depth": 1}


def kinds_of(outlet):
    kinds = [message.kind for message in outlet.messages]
    outlet.take()
    return kinds


@pytest.mark.parametrize(("state", "cause"), [(STALE, Cause.LATE), (State.RESYNCING, Cause.GAP)])
def test_each_depth_is_emptied_before_the_status_and_full_before_it_is_good_again(market, state, cause):
    outlets = [market.watch(market.topic(**depth), 100) for depth in (BOOK_5, BOOK_1)]
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.advance(0.2)
    for outlet in outlets:
        assert kinds_of(outlet)[-2:] == ["order_book_snapshot", "status"]
    market.status("binance", state, cause, channel=Channel.ORDER_BOOK)
    market.advance(0.2)
    for outlet in outlets:
        assert kinds_of(outlet) == ["order_book_delta", "status"]
    market.venues["binance"].books.changed(
        BookChanged(
            market.part("binance", channel=Channel.ORDER_BOOK), market.book_of({"98": "7"}, {"99": "1"}), 1, 2, True
        )
    )
    market.status("binance", LIVE, channel=Channel.ORDER_BOOK)
    market.advance(0.2)
    for outlet in outlets:
        assert kinds_of(outlet) == ["order_book_snapshot", "status"]


def test_a_depth_that_only_lingers_tells_no_status_before_the_others_values(market):
    first = market.topic(**BOOK_5)
    lingering = market.watch(first, 100)
    outlet = market.watch(market.topic(**BOOK_1), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.advance(0.2)
    market.hub.detach(lingering, first, 100)
    market.hub.release(first, 100)
    outlet.take()
    market.status("binance", STALE, Cause.LATE, channel=Channel.ORDER_BOOK)
    assert kinds_of(outlet) == ["order_book_delta", "status"]
    market.status("binance", LIVE, channel=Channel.ORDER_BOOK)
    assert kinds_of(outlet) == ["order_book_snapshot", "status"]


def test_a_new_depth_tells_no_status_before_the_others_values(market):
    """Here by time alone: it is found late when the new depth is asked for, before it is looked at."""
    outlet = market.watch(market.topic(**BOOK_1), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.book("bybit", {"100": "1"}, {"101": "1"}, state=State.QUIET)
    market.advance(0.3)
    outlet.take()
    market.venues["bybit"].confirmed[market.part("bybit", channel=Channel.ORDER_BOOK)] += 2.5
    market.watch(market.topic(**BOOK_5), 100)
    assert kinds_of(outlet) == ["order_book_delta", "status"], "live by the one that is late until now, then quiet"


def test_of_a_changed_catalogue_the_values_of_all_depths_come_before_the_status(world):
    market = Market(world)
    market.venues["sixth"].load(ETH)
    outlets = [market.watch(market.topic(**depth), 100) for depth in (BOOK_5, BOOK_1)]
    for depth in (BOOK_5, BOOK_1):
        market.watch(market.part("sixth", **depth), 100)
    market.book("binance", {"100": "1"}, {"101": "1"})
    market.book("sixth", {"98": "1"}, {"99": "1"})
    market.status("binance", STALE, Cause.LATE, channel=Channel.ORDER_BOOK)
    for outlet in outlets:
        outlet.take()
    market.venues["sixth"].load(ETH, BTC)
    market.hub.catalogue_changed("sixth", MarketType.SPOT)
    for outlet in outlets:
        assert kinds_of(outlet) == ["order_book_snapshot", "status"]


def test_two_depths_and_intervals_are_views_of_their_own_and_cost_once_each(market):
    outlets = [market.watch(market.topic(**BOOK_5), 100) for _ in range(40)]
    slow = market.watch(market.topic(channel=Channel.ORDER_BOOK, depth=1), 1000)
    for name in NAMES:
        market.book(name, {"100": "1", "99": "1"}, {"101": "1"})
    market.advance(2)
    for outlet in (*outlets, slow):
        outlet.take()
    begun = market.made("order_book")
    for number in range(20):
        market.confirm_all()
        for name in NAMES:
            market.book(name, {"100": f"{number + 2}", "99": "1"}, {"101": "1"}, state=None)
        market.scheduler.pump([0.005] * 10)
    assert market.made("order_book") - begun <= 12 + 2, "ten intervals of 100 ms, one of 1 s, for 41 clients"
    assert len(slow.take("order_book_delta")) <= 2
    bodies = [[message.body for message in outlet.messages] for outlet in outlets]
    assert all(each == bodies[0] for each in bodies) and len(bodies[0]) >= 8


_price = st.sampled_from(["98", "99", "99.5", "99.50", "100", "101", "102.0", "103"])
_side = st.dictionaries(_price, st.sampled_from(["1", "2.5", "0.001"]), max_size=5).map(
    lambda side: {price: size for price, size in side.items() if not (price == "99.50" and "99.5" in side)}
)
_bad = st.sampled_from([(STALE, Cause.LATE), (State.RESYNCING, Cause.GAP), (STALE, Cause.DISCONNECTED)])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("value"), st.sampled_from(NAMES), _side, _side),
        st.tuples(st.just("good"), st.sampled_from(NAMES), st.sampled_from([LIVE, State.QUIET])),
        st.tuples(st.just("bad"), st.sampled_from(NAMES), _bad),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.1])),
        st.tuples(st.just("confirm"), st.sampled_from(NAMES)),
    ),
    max_size=40,
)


class Fresh:
    """A new world for each example."""

    def __init__(self, make_world):
        world = make_world()
        self.market = Market(world)
        self.states = dict.fromkeys(NAMES, State.CONNECTING)
        self.as_of = dict.fromkeys(NAMES, None)

    def good(self, counted):
        """Which venues may be shown now, of those with a value."""
        now = [name for name in NAMES if self.states[name].is_good and name in counted]
        newest = max((self.as_of[name] for name in now), default=0)
        return {name for name in now if newest - self.as_of[name] <= 2.0}

    def confirmed(self, name, channel):
        self.as_of[name] = self.market.venues[name].confirmed[self.market.part(name, channel=channel)] = (
            self.market.time.monotonic()
        )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_no_quote_of_a_venue_that_is_not_good_is_ever_shown(make_world, steps):
    there = Fresh(make_world)
    market, quotes = there.market, {}
    outlet = market.watch()
    on_show = {"venues": {}, "excluded": []}
    for kind, *rest in steps:
        if kind == "value":
            name = rest[0]
            bid, ask = (f"{90 + len(rest[1])}.5", f"{100 + len(rest[2])}")
            quotes[name] = (Decimal(bid), Decimal(ask))
            there.as_of[name] = market.time.monotonic()
            market.quote(name, bid, ask)
        elif kind == "good":
            name, state = rest
            there.states[name] = state
            market.status(name, state)
        elif kind == "bad":
            name, (state, cause) = rest
            there.states[name] = state
            market.status(name, state, cause)
        elif kind == "confirm":
            there.confirmed(rest[0], Channel.BBO)
        else:
            market.scheduler.pump([0.05] * round(rest[0] / 0.05) or [0])
        for payload in outlet.take("bbo"):
            on_show = payload
        good = {name for name in NAMES if there.states[name].is_good and name in quotes}
        assert set(on_show["venues"]) <= good, "a status counts at once"
        for each in on_show["venues"].values():
            assert each["age_ms"] >= 0 and (each["bid"] < each["ask"])
        # What a new client is given is always the brute-force answer.
        now = [json.loads(each.body, parse_float=Decimal)["payload"] for each in market.hub.current(market.topic(), 0)]
        shown = now[0]["venues"] if now else {}
        assert {name: (each["bid"], each["ask"]) for name, each in shown.items()} == {
            name: quotes[name] for name in there.good(quotes)
        }
    market.scheduler.pump([0.05] * 12)
    for payload in outlet.take("bbo"):
        on_show = payload
    assert {name: (each["bid"], each["ask"]) for name, each in on_show["venues"].items()} == {
        name: quotes[name] for name in there.good(quotes)
    }, "and what those hold who have been there is it half a second later"
    if on_show["venues"]:
        assert on_show["bid"] == max(each["bid"] for each in on_show["venues"].values())
        assert on_show["ask"] == min(each["ask"] for each in on_show["venues"].values())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_what_a_client_of_the_book_holds_is_the_merge_of_the_good_books(make_world, steps):
    there = Fresh(make_world)
    market, books = there.market, {}
    outlet = market.watch(market.topic(**BOOK_5), 100)
    book = {"sequence": 0, "bids": {}, "asks": {}, "excluded": []}
    for kind, *rest in steps:
        if kind == "value":
            name, one, other = rest
            bids = {price: size for price, size in one.items() if Decimal(price) < 100}
            asks = {price: size for price, size in other.items() if Decimal(price) >= 100}
            books[name] = (bids, asks)
            there.as_of[name] = market.time.monotonic()
            part = market.part(name, channel=Channel.ORDER_BOOK)
            market.venues[name].confirmed[part] = market.time.monotonic()
            market.venues[name].books.changed(
                BookChanged(part, market.book_of(bids, asks), market.time.wall_ms(), 1, True)
            )
        elif kind == "good":
            name, state = rest
            if name not in books:
                continue  # a book without levels is not good
            there.states[name] = state
            market.status(name, state, channel=Channel.ORDER_BOOK)
        elif kind == "bad":
            name, (state, cause) = rest
            there.states[name] = state
            if StreamStatus(market.part(name), state, cause).breaks_a_book:
                books.pop(name, None)
            market.status(name, state, cause, channel=Channel.ORDER_BOOK)
        elif kind == "confirm":
            there.confirmed(rest[0], Channel.ORDER_BOOK)
        else:
            market.scheduler.pump([0.05] * round(rest[0] / 0.05) or [0])
        book = held(outlet, book)
        shown = {venue for side in ("bids", "asks") for _, venues in book[side].values() for venue in venues}
        assert shown <= {name for name in NAMES if there.states[name].is_good}
    market.scheduler.pump([0.05] * 16)
    book = held(outlet, book)
    good = there.good(books)
    for side, place, reverse in (("bids", 0, True), ("asks", 1, False)):
        merged = {}
        for name in good:
            for price, size in books[name][place].items():
                merged.setdefault(Decimal(price), {})[name] = Decimal(size)
        best = dict(sorted(merged.items(), reverse=reverse)[:5])
        assert {price: venues for price, (_, venues) in book[side].items()} == best
        assert all(quantity == sum(venues.values()) for quantity, venues in book[side].values())
    if good:
        assert {each["exchange"] for each in book["excluded"]} == set(NAMES) - good


def test_an_instrument_of_several_venues_has_the_finest_tick_and_trades_if_it_does_anywhere(market):
    for name, tick, step, status in (("binance", "0.10", "0.001", "halted"), ("bybit", "0.01", "0.1", "trading")):
        catalogue = market.venues[name].catalogue
        (btc,) = [each for each in catalogue if each.symbol == BTC and each.market is MarketType.SPOT]
        catalogue.replace(
            MarketType.SPOT, [evolve(btc, tick_size=admit(tick), step_size=admit(step), status=status, min_qty="1")]
        )
    market.venues["sixth"].load(ETH)
    market.hub.catalogue_changed("bybit", MarketType.SPOT)
    listed = market.hub.instruments("composite").instruments
    (btc,) = [each for each in listed if each.symbol == BTC and each.market is MarketType.SPOT]
    assert (btc.exchange, btc.native, btc.tick_size, btc.step_size) == ("composite", "BTC-USDT", "0.01", "0.001")
    assert (btc.status, btc.min_qty) == ("trading", None)


def test_a_joined_spelling_is_understood_although_one_venue_was_never_read(world):
    market = Market(world)
    world.venue_of("blocked", loaded=False).publish_into(market.hub, PublishTimers(market.scheduler))
    assert market.hub.resolve("composite", None, "bbo", "btcusdt") is market.topic()
    with pytest.raises(Refused) as refused:
        market.hub.resolve("composite", None, "bbo", "XYZUSDT")
    assert refused.value.code == "not_yet_known"
    market.venues["bybit"].load(Symbol("BTCU", "SDT"))
    with pytest.raises(Refused, match="can be any of: BTC-USDT, BTCU-SDT"):
        market.hub.resolve("composite", None, "bbo", "BTCUSDT")

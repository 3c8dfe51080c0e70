"""A recorded venue: the venue's own words, with its plans cut to the streams that were recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from zope.interface.verify import verifyObject

from cryptodash.core.errors import ConfigError, CryptodashError
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic, parse_topic
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Depth, Quote, Trades
from cryptodash.exchanges.adapter.plan import Part, Purpose
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.venues.binance.venue import VENUE as BINANCE
from cryptodash.exchanges.venues.bybit.venue import VENUE as BYBIT
from cryptodash.exchanges.venues.kraken.venue import VENUE as KRAKEN
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.testing.readers import read

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
BTC = Symbol("BTC", "USDT")
QUOTE = '{"u":3,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}'
TRADE = (
    '{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":9,"p":"61837.63","q":"0.02","T":1723161255342,"m":true,"M":true}'
)
AGGREGATE = (
    '{"e":"aggTrade","E":1723161255341,"a":7,"s":"BTCUSDT","p":"1.01","q":"10","f":2,"l":2,"T":1723161255340,"m":false}'
)
DEPTH = (
    '{"e":"depthUpdate","E":1723161255308,"T":1723161255308,'
    '"s":"BTCUSDT","U":5,"u":6,"pu":4,"b":[],"a":[["61838.04","0.3"]]}'
)
DAY = (
    '{"e":"24hrMiniTicker","E":1723161255400,"s":"BTCUSDT","c":"64117.99",'
    '"o":"64330.60","h":"64500.00","l":"63238.00","v":"14724.65","q":"94.8"}'
)
MARK = (
    '{"e":"markPriceUpdate","E":1723161255500,"s":"BTCUSDT","p":"11794.15",'
    '"i":"11784.62","P":"11784.25","r":"0.0003","T":1723161600000}'
)
BAR = (
    '{"e":"kline","E":1723161255600,"s":"BTCUSDT","k":{"t":1723161240000,'
    '"o":"1","c":"1","h":"1","l":"1","v":"1","x":false}}'
)
LEVELS = '{"s":"BTCUSDT","b":[["63705.3","2.0"]],"a":[["63705.4","2.3"]],"u":7,"seq":11}'
SNAPSHOT = f'{{"topic":"%s","ts":1723161255749,"type":"snapshot","data":{LEVELS},"cts":1723161255748}}'


def binance(**frames: str) -> RecordedVenue:
    """A Binance recording with these streams of BTCUSDT; ``__`` in a name is ``@``."""
    return RecordedVenue(BINANCE, {name: wrapped(name, data) for name, data in frames.items()})


def wrapped(name: str, data: str) -> str:
    return f'{{"stream":"{name}","data":{data}}}'


def instrument(topic: Topic) -> Instrument:
    return Instrument(
        topic.exchange,
        topic.market,
        topic.symbol,
        topic.symbol.base + topic.symbol.quote,
        Number("0.01"),
        Number("0.00001"),
    )


def planned(venue: RecordedVenue, text: str, depth: int = 50) -> dict[str, tuple[str, ...]]:
    """The parts of each stream of a topic's plan."""
    topic = parse_topic(text, default_depth=depth).upstream
    plan = venue.plan(topic, instrument(topic), depth)
    assert plan.polls == () and all(each.promise is None for each in plan.streams)
    assert (
        plan.required
        == frozenset({part for each in plan.streams for part in each.parts})
        & venue._venue.plan(topic, instrument(topic), depth).required
    )
    return {each.name: tuple(sorted(each.parts)) for each in plan.streams}


def test_it_is_a_venue() -> None:
    venue = binance(**{"btcusdt@trade": TRADE})
    assert verifyObject(IVenue, venue)
    assert (venue.id, venue.markets, venue.limits) == (BINANCE.id, BINANCE.markets, BINANCE.limits)
    # It answers no request that was not made when it was recorded.
    assert venue.book_rules == {market: evolve(rules, audit=None) for market, rules in BINANCE.book_rules.items()}


SUBSTITUTES = [
    # what was recorded, the topic, the streams it gets
    (
        {"btcusdt@bookTicker": QUOTE, "btcusdt@ticker": DAY},
        "spot:BTC-USDT",
        {"btcusdt@bookTicker": ("quote",), "btcusdt@ticker": ("last", "stats")},
    ),
    (
        {"btcusdt@bookTicker": QUOTE, "btcusdt@miniTicker": DAY},
        "spot:BTC-USDT",
        {"btcusdt@bookTicker": ("quote",), "btcusdt@miniTicker": ("last", "stats")},
    ),
    ({"btcusdt@ticker": DAY, "btcusdt@miniTicker": DAY}, "spot:BTC-USDT", {"btcusdt@ticker": ("last", "stats")}),
    ({"btcusdt@bookTicker": QUOTE, "ethusdt@ticker": DAY}, "spot:BTC-USDT", {"btcusdt@bookTicker": ("quote",)}),
    (
        {"btcusdt@ticker": DAY, "btcusdt@markPrice": MARK},
        "perpetual:BTC-USDT",
        {"btcusdt@ticker": ("last", "stats"), "btcusdt@markPrice": ("mark",)},
    ),
    ({"btcusdt@aggTrade": AGGREGATE}, "spot:BTC-USDT:trade", {"btcusdt@aggTrade": ("trades",)}),
    ({"btcusdt@trade": TRADE}, "perpetual:BTC-USDT:trade", {"btcusdt@trade": ("trades",)}),
    (
        {"btcusdt@trade": TRADE, "btcusdt@aggTrade": AGGREGATE},
        "perpetual:BTC-USDT:trade",
        {"btcusdt@aggTrade": ("trades",)},
    ),
    ({"btcusdt@depth@0ms": DEPTH}, "perpetual:BTC-USDT:order_book", {"btcusdt@depth@0ms": ("book",)}),
    (
        {"btcusdt@depth": DEPTH, "btcusdt@depth@100ms": DEPTH},
        "spot:BTC-USDT:order_book",
        {"btcusdt@depth@100ms": ("book",)},
    ),
    ({"btcusdt@kline_1m": BAR}, "spot:BTC-USDT:candle:1m", {"btcusdt@kline_1m": ("candle",)}),
]


@pytest.mark.parametrize(("recorded", "topic", "streams"), SUBSTITUTES)
def test_a_plan_takes_the_recorded_stream_that_says_the_same(
    recorded: dict[str, str], topic: str, streams: dict[str, tuple[str, ...]]
) -> None:
    assert planned(binance(**recorded), f"binance:{topic}") == streams


@pytest.mark.parametrize(
    ("recorded", "topic", "depth", "stream"),
    [
        ("orderbook.500.BTCUSDT", "order_book", 50, "orderbook.500.BTCUSDT"),
        ("orderbook.500.BTCUSDT", "order_book", 1000, "orderbook.500.BTCUSDT"),
        ("orderbook.50.BTCUSDT", "order_book", 1, "orderbook.50.BTCUSDT"),
        ("orderbook.1.BTCUSDT", "ticker", 0, "orderbook.1.BTCUSDT"),
    ],
)
def test_a_book_is_taken_in_the_depth_it_was_recorded(recorded: str, topic: str, depth: int, stream: str) -> None:
    venue = RecordedVenue(BYBIT, {recorded: SNAPSHOT % recorded})
    assert list(planned(venue, f"bybit:perpetual:BTC-USDT:{topic}", depth)) == [stream]


@pytest.mark.parametrize("recorded", ["orderbook.50.BTCUSDT", "orderbook.500.BTCUSDT", "orderbook.1000.BTCUSDT"])
def test_another_depth_is_no_other_stream(recorded: str) -> None:
    venue = RecordedVenue(BYBIT, {recorded: SNAPSHOT % recorded})
    topic = Topic("bybit", SPOT, BTC, Channel.ORDER_BOOK)
    plans = {venue.plan(topic, instrument(topic), depth) for depth in (1, 50, 200, 1000)}
    assert [[(each.name, each.depth) for each in plan.streams] for plan in plans] == [[(recorded, None)]]


def test_a_book_that_has_checksums_is_cut_at_the_depth_it_was_recorded_in() -> None:
    """Kraken deletes no level that is pushed out: kept, it is in the way when the price comes back."""
    name = "book:25:BTC/USD"
    book = '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[],"asks":[]}]}'
    topic = Topic("kraken", SPOT, Symbol("BTC", "USD"), Channel.ORDER_BOOK)
    listed = evolve(instrument(topic), native="BTC/USD")
    venue = RecordedVenue(KRAKEN, {name: book})
    plans = [venue.plan(topic, listed, depth) for depth in (10, 25, 100)]
    assert [[(each.name, each.depth) for each in plan.streams] for plan in plans] == [[(name, 25)]] * 3


@pytest.mark.parametrize(
    ("recorded", "topic"),
    [
        ({"btcusdt@trade": TRADE}, "binance:spot:ETH-USDT:trade"),
        ({"btcusdt@trade": TRADE}, "binance:spot:BTC-USDT"),
        ({"btcusdt@kline_1m": BAR}, "binance:spot:BTC-USDT:candle:5m"),  # another interval is no substitute
        ({"btcusdt@kline_1m": BAR}, "binance:spot:BTC-USDT:order_book"),
        ({"btcusdt@forceOrder": "{}"}, "binance:perpetual:BTC-USDT:trade"),
        ({"wbtcusdt@trade": TRADE}, "binance:spot:BTC-USDT:trade"),  # no part of another name
    ],
)
def test_a_topic_that_was_not_recorded_is_refused(recorded: dict[str, str], topic: str) -> None:
    wanted = parse_topic(topic, default_depth=50).upstream
    with pytest.raises(CryptodashError, match="the recording has nothing of"):
        binance(**recorded).plan(wanted, instrument(wanted), 50)


def test_a_sweep_that_was_not_recorded_is_refused() -> None:
    with pytest.raises(CryptodashError):
        binance(**{"btcusdt@trade": TRADE}).plan(parse_topic("binance:spot:*"), None, 0)


def test_topics_are_all_that_the_recording_feeds() -> None:
    recorded = {
        "btcusdt@bookTicker": QUOTE,
        "btcusdt@trade": TRADE,
        "btcusdt@depth@0ms": DEPTH,
        "btcusdt@kline_1m": BAR,
        "ethusdt@markPrice": MARK.replace("BTC", "ETH"),
    }
    symbols = {"BTCUSDT": BTC, "ETHUSDT": Symbol("ETH", "USDT")}
    found = binance(**recorded, **{"btcusdt@ticker": DAY, "btcusdt@forceOrder": "{}"}).topics(
        "binance", SPOT, symbols, 20
    )
    assert [each.text for each in found] == [
        "binance:spot:BTC-USDT:ticker",
        "binance:spot:BTC-USDT:trade",
        "binance:spot:BTC-USDT:order_book:20",
        "binance:spot:BTC-USDT:candle:1m",
        "binance:spot:ETH-USDT:ticker",
    ]


def test_a_recording_that_feeds_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="btcusdt@forceOrder"):
        binance(**{"btcusdt@forceOrder": "{}"}).topics("binance", PERPETUAL, {"BTCUSDT": BTC}, 20)


@pytest.mark.parametrize(("limits", "limit"), [({"BTCUSDT": 1000}, 1000), ({"BTCUSDT": 100}, 100), ({}, 1), (None, 1)])
def test_a_snapshot_proves_no_more_than_was_asked_for_when_it_was_recorded(
    limits: dict[str, int] | None, limit: int
) -> None:
    venue = RecordedVenue(BINANCE, {"btcusdt@depth": wrapped("btcusdt@depth", DEPTH)}, limits)
    topic = Topic("binance", SPOT, BTC, Channel.ORDER_BOOK)
    request = venue.snapshot_request(topic, instrument(topic), 1000)
    assert request is not None and request.limit == limit
    assert (request.purpose, request.native, request.path) == (Purpose.SNAPSHOT, "BTCUSDT", "/api/v3/depth")
    assert RecordedVenue(BYBIT, {}).snapshot_request(topic, instrument(topic), 1000) is None


# -- the time of quotes that have none


def times(venue: RecordedVenue, *frames: tuple[str, str]) -> list[int | None]:
    """The times of the quotes among these frames."""
    messages: list[Any] = [
        message for name, data in frames for message in read(venue, "spot", wrapped(name, data).encode())
    ]
    return [each.time for each in messages if isinstance(each, Quote)]


def test_a_quote_without_a_time_has_that_of_the_newest_frame_before_it() -> None:
    recorded = {
        "btcusdt@bookTicker": QUOTE,
        "btcusdt@trade": TRADE,
        "btcusdt@aggTrade": AGGREGATE,
        "btcusdt@miniTicker": DAY,
    }
    quote = ("btcusdt@bookTicker", QUOTE)
    played = [
        quote,
        ("btcusdt@trade", TRADE),
        quote,
        ("btcusdt@aggTrade", AGGREGATE),
        quote,
        ("btcusdt@miniTicker", DAY),
        quote,
    ]
    assert times(binance(**recorded), *played) == [1723161255340, 1723161255342, 1723161255342, 1723161255400]


def test_a_recording_without_any_time_leaves_it_open() -> None:
    assert times(binance(**{"btcusdt@bookTicker": QUOTE}), ("btcusdt@bookTicker", QUOTE)) == [None]


def test_a_quote_s_own_time_stays() -> None:
    quote = QUOTE[:-1] + ',"T":1723161256313}'
    assert times(binance(**{"btcusdt@trade": TRADE}), ("btcusdt@trade", TRADE), ("btcusdt@bookTicker", quote)) == [
        1723161256313
    ]


def test_everything_else_is_read_as_the_venue_reads_it() -> None:
    venue = binance(**{"btcusdt@trade": TRADE})
    for name, data, kind in (
        ("btcusdt@trade", TRADE, Trades),
        ("btcusdt@depth", DEPTH, Depth),
        ("btcusdt@kline_1m", BAR, Bar),
    ):
        frame = wrapped(name, data).encode()
        assert list(read(venue, "spot", frame)) == list(read(BINANCE, "spot", frame))
        assert isinstance(read(venue, "spot", frame)[0], kind)
    with pytest.raises(BadFrame):
        read(venue, "spot", b"garbage")


# -- REST


def test_the_catalogue_is_the_stand_in_s() -> None:
    venue = binance(**{"btcusdt@trade": TRADE})
    (request,) = venue.catalogue_requests(PERPETUAL)
    body = json.dumps([{"native": "BTCUSDT", "base": "BTC", "quote": "USDT", "tick": "0.10"}]).encode()
    (found,), following = venue.read_catalogue(request, body)
    assert following is None and (request.path, found.exchange, found.market, found.symbol) == (
        "/replay/catalogue",
        "binance",
        PERPETUAL,
        BTC,
    )
    assert (found.native, found.tick_size, found.price_precision) == ("BTCUSDT", "0.10", 1)
    for bad in (b"", b"{}", b'[{"native":1}]', b'[{"native":"A","base":"B","quote":"C","tick":"NaN"}]'):
        with pytest.raises(BadFrame):
            venue.read_catalogue(request, bad)


def test_only_good_answers_are_answers() -> None:
    venue = binance(**{"btcusdt@trade": TRADE})
    assert venue.rest_error(200, {}, b"{}") is None
    assert venue.rest_error(503, {}, b"") == ("", "the recording has no answer (503)", None)
    assert venue.probe_request(SPOT).path == "/replay/time"


@pytest.mark.parametrize(
    ("venue", "market", "frames", "expected"),
    [
        (
            BINANCE,
            SPOT,
            {"1000btcusdt@trade": TRADE, "btcusdtx@trade": TRADE, "btcusdt@trade@x": TRADE},
            ["btcusdt@trade@x"],
        ),
        (
            BYBIT,
            SPOT,
            {"orderbook.500.1000BTCUSDT": SNAPSHOT, "orderbook.500.BTCUSDT": SNAPSHOT},
            ["orderbook.500.BTCUSDT"],
        ),
    ],
    ids=["binance", "bybit"],
)
def test_a_stream_of_another_instrument_whose_name_holds_ours_is_not_taken(
    venue: Any, market: MarketType, frames: dict[str, str], expected: list[str]
) -> None:
    samples = {name: data % name if "%s" in data else wrapped(name, data) for name, data in frames.items()}
    recorded = RecordedVenue(venue, samples)
    (topic,) = recorded.topics(venue.id, market, {"BTCUSDT": BTC}, 50)
    plan = recorded.plan(topic.upstream, instrument(topic), 50)
    assert [each.name for each in plan.streams] == expected


@pytest.mark.captures
def test_every_recorded_stream_of_both_venues_feeds_a_topic(captures: Path) -> None:
    """Of all recordings: the kind of each stream is told from a frame of it."""
    paths = [path for folder in ("binance", "bybit") for path in (captures / folder).glob("*.jsonl")]
    for path in paths:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        frames = [json.loads(line["raw"]) for line in lines if line["dir"] == "in"]
        samples = {frame.get("topic") or frame.get("stream"): json.dumps(frame) for frame in frames}
        samples.pop(None, None)
        venue = RecordedVenue(BYBIT if path.parent.name == "bybit" else BINANCE, samples)
        assert all(isinstance(kind, Part) for kind in venue._kinds.values()), path.name
    assert len(paths) == 18

"""The engine's two ways of reading a frame, straight to the stream's reader and through ``read``, come to the same."""

from __future__ import annotations

import json
from itertools import chain
from random import Random
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, positive, unsigned
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import parse_topic
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.connections.commands import BookChanged, Connect, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.venues.binance.venue import Binance

NAMES = ("btcusdt@bookTicker", "btcusdt@ticker", "btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@kline_1m")
TOPICS = (
    "binance:spot:BTC-USDT:ticker",
    "binance:spot:BTC-USDT:trade",
    "binance:spot:BTC-USDT:order_book:50",
    "binance:spot:BTC-USDT:candle:1m",
)


class WithoutPrefix(Binance):
    """Binance, but every frame goes through ``read``."""

    data_prefix = b""


@define
class Side:
    """One engine with everything subscribed, and what it said."""

    venue: Any
    clock: ManualClock = field(factory=ManualClock)
    tally: Tally = field(factory=Tally)
    said: list[str] = field(factory=list)
    engine: Any = None
    key: str = ""

    def start(self) -> Side:
        catalogue = Catalogue("binance")
        spot, step = MarketType.SPOT, Number("0.00000001")
        catalogue.replace(spot, [Instrument("binance", spot, Symbol("BTC", "USDT"), "BTCUSDT", step, step)])
        self.engine = Engine(self.venue, self.venue.hosts, catalogue, self.clock, Random(1), self.tally)
        self._obey(self.engine.want([parse_topic(each) for each in TOPICS]))
        for _ in range(5):
            self.clock.advance(1.0)
            self._obey(self.engine.tick())
        return self

    def _obey(self, outputs: Any) -> None:
        for output in outputs:
            if isinstance(output, Connect):
                self.key = output.connection
                self._obey(self.engine.opened(self.key))
            elif isinstance(output, Send):
                self._obey(self._receive(json.dumps({"result": None, "id": json.loads(output.payload)["id"]}).encode()))

    def _receive(self, frame: bytes) -> Any:
        return self.engine.received(self.key, frame, self.clock.wall_ms())

    def take(self, frame: bytes) -> None:
        outputs = self._receive(frame)
        self.said.append(
            str([(each.topic, each.timestamp) if isinstance(each, BookChanged) else each for each in outputs])
        )

    def count(self, name: str) -> dict[Any, int]:
        return dict(self.tally.metrics[name].values)  # type: ignore[union-attr]  # a counter


def quote(number: int, bid: str, ask: str) -> str:
    return f'{{"u":{number},"s":"BTCUSDT","b":"{bid}","B":"1.5","a":"{ask}","A":"0.20"}}'


def day(number: int, last: str, _: str) -> str:
    words = ",".join(f'"{key}":"{last}"' for key in "cohlvq")
    return f'{{"e":"24hrTicker","E":{number},"s":"BTCUSDT",{words}}}'


def trade(number: int, price: str, quantity: str) -> str:
    return (
        f'{{"e":"trade","E":1,"s":"BTCUSDT","t":{number},'
        f'"p":"{price}","q":"{quantity}","T":{number},"m":true,"M":true}}'
    )


def depth(number: int, bid: str, ask: str) -> str:
    levels = f'"b":[["{bid}","1.0"],["0.5","0.00"]],"a":[["{ask}","{bid}"]]'
    return f'{{"e":"depthUpdate","E":{number},"s":"BTCUSDT","U":{number},"u":{number},{levels}}}'


def bar(number: int, low: str, high: str) -> str:
    words = f'"o":"{low}","c":"{high}","h":"{high}","l":"{low}","v":"1","x":false'
    return f'{{"e":"kline","E":{number},"s":"BTCUSDT","k":{{"t":60000,"T":119999,{words}}}}}'


NUMBERS = st.sampled_from(
    [
        "1",
        "2.50",
        "0.00000001",
        "61837.63000000",
        "0",
        "0.00",
        "1e3",
        "1E+400",
        "-1",
        "1_0",
        "",
        "NaN",
        "9" * 45,
        "01",
        ".5",
    ]
)
DATA = st.builds(
    lambda make, *values: make(*values),
    st.sampled_from([quote, day, trade, depth, bar]),
    st.integers(0, 9),
    NUMBERS,
    NUMBERS,
)
FRAMES = st.builds(
    lambda name, data, cut: f'{{"stream":"{name}","data":{data}}}'.encode()[: cut or None],
    st.sampled_from([*NAMES, "ethusdt@trade", "btcusdt@other", "", "\\u0062tcusdt@trade"]),
    DATA,
    st.sampled_from([0] * 12 + [20, -1, -9]),
)


@settings(max_examples=150, deadline=None)
@given(frames=st.lists(FRAMES, max_size=25))
def test_both_ways_say_the_same(frames: list[bytes]) -> None:
    fast, slow = Side(Binance()).start(), Side(WithoutPrefix()).start()
    for name, data in zip(
        NAMES,
        (quote(0, "1", "2"), day(0, "1", ""), trade(0, "1", "1"), depth(0, "1", "2"), bar(0, "1", "2")),
        strict=True,
    ):
        for side in (fast, slow):
            side.take(f'{{"stream":"{name}","data":{data}}}'.encode())
    for frame in frames:
        for side in (fast, slow):
            side.take(frame)
    assert fast.said == slow.said
    for name in ("cryptodash_upstream_messages_total", "cryptodash_upstream_bytes_total"):
        assert fast.count(name) == slow.count(name), name
    errors = [sum(side.count("cryptodash_upstream_decode_errors_total").values()) for side in (fast, slow)]
    assert errors[0] == errors[1]  # of a frame that is wrong in two ways either may be the reason
    assert [(each.name, each.state, each.cause) for each in chain.from_iterable(fast.engine.streams())] == [
        (s.name, s.state, s.cause) for s in chain.from_iterable(slow.engine.streams())
    ]


def test_frames_of_a_stream_that_was_dropped_a_moment_ago_are_not_read() -> None:
    side = Side(Binance()).start()
    side.engine.drop([parse_topic("binance:spot:BTC-USDT:trade")])
    side.take(b'{"stream":"btcusdt@trade","data":{"this":"is no trade"}}')
    assert side.said == ["[]"]
    assert side.count("cryptodash_upstream_decode_errors_total") == {}
    assert side.count("cryptodash_upstream_messages_total")["binance", "unread"] == 1


LEVELS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4)


@settings(max_examples=300, deadline=None)
@given(bids=LEVELS, asks=LEVELS, perpetual=st.booleans())
def test_levels_of_the_usual_shape_are_admitted_as_one_by_one(bids: Any, asks: Any, perpetual: bool) -> None:
    head = (
        '"e":"depthUpdate","E":1,'
        + ('"T":1,' if perpetual else "")
        + '"s":"X","U":5,"u":7'
        + (',"pu":4' if perpetual else "")
    )
    frame = f'{{"stream":"x@depth@100ms","data":{{{head},"b":{json.dumps(bids)},"a":{json.dumps(asks)}}}}}'.replace(
        " ", ""
    ).encode()
    venue = Binance()
    try:
        expected = [[(positive(price), unsigned(size)) for price, size in side] for side in (bids, asks)]
    except ValueError:
        with pytest.raises(ValueError):
            venue.reader(StreamSpec("usdm-public" if perpetual else "spot", "x@depth@100ms", frozenset()))(
                "x@depth@100ms", frame
            )
        return
    (book,) = venue.reader(StreamSpec("usdm-public" if perpetual else "spot", "x@depth@100ms", frozenset()))(
        "x@depth@100ms", frame
    )
    # A Depth.
    assert [[tuple(level) for level in side] for side in (book.bids, book.asks)] == expected  # type: ignore[union-attr]

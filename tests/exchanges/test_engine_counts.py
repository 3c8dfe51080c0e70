"""What a venue sends twice, and what nobody asked it for, is counted."""

from __future__ import annotations

import pytest

from cryptodash.core.events import Ticker, Trade
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench

REPEATED, UNASKED = "cryptodash_frames_repeated_total", "cryptodash_upstream_unasked_total"


def test_a_quote_a_trade_and_a_book_frame_that_come_twice_are_counted_by_their_kind() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:ticker", "spot:BTC-USDT:trade", "perpetual:BTC-USDT:order_book:5")
    bench.advance(2)
    spot = next(each for each in bench.servers.values() if "quote:BTCUSDT" in each.streams)
    perp = next(each for each in bench.servers.values() if "book5:BTCUSDT" in each.streams)
    levels = {"99": "1"}, {"101": "1"}
    sent = [
        (spot, wire.day("BTCUSDT", "100", bench.wall)),
        (spot, wire.quote("BTCUSDT", "99", "101", 7)),
        (spot, wire.trade("BTCUSDT", 1, "100", bench.wall)),
        (perp, wire.book("book5:BTCUSDT", None, 5, *levels, snapshot=True)),
        (perp, wire.book("book5:BTCUSDT", None, 6, *levels)),
    ]
    for server, frame in sent:
        bench.frame(frame, server)
    kinds = ("ticker", "trade", "order_book")
    assert [bench.count(REPEATED, kind) for kind in kinds] == [0, 0, 0]
    told = len(bench.published(Ticker)), len(bench.published(Trade))
    for _ in range(2):
        for server, frame in (sent[1], sent[2], sent[4]):
            bench.frame(frame, server)
    assert [bench.count(REPEATED, kind) for kind in kinds] == [4, 2, 2], "a trade is one of the ticker's as well"
    assert (len(bench.published(Ticker)), len(bench.published(Trade))) == told


@pytest.mark.parametrize("stream", ["ETHUSDT", "SOLUSDT"], ids=["listed", "unknown"])
def test_frames_of_a_stream_that_nobody_ever_asked_for_are_counted(stream: str) -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:trade")
    bench.advance(1)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    assert bench.count(UNASKED) == 0
    for _ in range(3):
        bench.frame(wire.trade(stream, 1, "100", bench.wall))
    assert bench.count(UNASKED) == 3
    assert bench.count("cryptodash_upstream_decode_errors_total", "unknown") == 3


def test_frames_of_a_stream_that_was_dropped_a_moment_ago_were_asked_for() -> None:
    bench = Bench(obedient=False)
    bench.want("spot:BTC-USDT:trade", "spot:ETH-USDT:trade")
    bench.open(bench.only)
    bench.ack(bench.only)
    bench.advance(1)
    bench.drop("spot:ETH-USDT:trade")
    bench.frame(wire.trade("ETHUSDT", 1, "100", bench.wall))
    assert bench.count(UNASKED) == 0


def test_a_frame_that_comes_before_its_stream_is_asked_for_is_counted_and_taken() -> None:
    bench = Bench(obedient=False)
    bench.want("spot:BTC-USDT:ticker", "spot:BTC-USDT:trade", "spot:ETH-USDT:trade")  # one more than a request names
    bench.open(bench.only)
    asked = {name for request in bench.only.unanswered for name in wire.names_of(request)}
    early = next(name for name in ("trade:BTCUSDT", "trade:ETHUSDT") if name not in asked)
    bench.frame(wire.trade(early.partition(":")[2], 1, "100", bench.wall))
    assert bench.count(UNASKED) == 1
    assert len(bench.published(Trade)) == 1


def test_frames_of_a_stream_that_the_venue_would_not_end_cost_its_neighbours_nothing() -> None:
    """After a rename a venue goes on with the book of the old name, and does not know that name any more."""
    bench = Bench()
    bench.want("spot:BTC-USDT:trade", "spot:ETH-USDT:trade")
    bench.advance(1)
    server = bench.only
    bench.refused = {"trade:ETHUSDT"}
    bench.drop("spot:ETH-USDT:trade")
    bench.advance(1)
    for number in range(200):
        bench.frame(wire.trade("ETHUSDT", number, "100", bench.wall))
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall))
    bench.advance(2)
    assert bench.count(UNASKED) == 200
    assert bench.count("cryptodash_upstream_decode_errors_total", "unknown") == 0
    assert bench.only is server and len(bench.published(Trade)) >= 200

"""Best bid and offer: the ticker's quote by the same rules, from the same stream, without the rest."""

from __future__ import annotations

import json

import pytest

from cryptodash.core.events import Bbo, Cause, State, StreamStatus, Ticker
from cryptodash.exchanges.adapter.plan import Purpose
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import Habits, MadeUpVenue

BBO, TICKER, BOOK = (f"spot:BTC-USDT:{channel}" for channel in ("bbo", "ticker", "order_book:5"))


def ready(*topics: str) -> Bench:
    bench = Bench()
    bench.want(*(topics or (BBO,)))
    bench.advance(1)
    return bench


def quote(bench: Bench, bid: str, ask: str, number: int, time: int | None = None) -> list[object]:
    return list(bench.frame(wire.quote("BTCUSDT", bid, ask, number, time)))


def shown(bench: Bench) -> tuple[str | None, str | None]:
    last = bench.published(Bbo)[-1]
    return last.bid, last.ask


def test_a_quote_alone_makes_it_live_and_the_value_comes_first() -> None:
    bench = ready()
    assert bench.subscribed() == {"quote:BTCUSDT"}
    assert (bench.state(BBO), bench.published(Bbo)) == (State.CONNECTING, [])
    value, status = quote(bench, "99", "101", 1)
    assert isinstance(value, Bbo) and isinstance(status, StreamStatus)
    assert (value.bid, value.bid_size, value.ask, value.ask_size) == ("99", "1", "101", "1")
    assert (status.state, status.fields) == (State.LIVE, ())
    assert not bench.published(Ticker)


def test_ticker_and_bbo_share_the_stream_of_quotes() -> None:
    bench = ready(BBO, TICKER)
    assert bench.subscribed() == {"quote:BTCUSDT", "day:BTCUSDT"}
    assert [request["args"] for _, request in bench.only.sent].count(["quote:BTCUSDT"]) <= 1
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    both = quote(bench, "99", "101", 1)
    assert {type(each) for each in both} >= {Bbo, Ticker}
    bench.drop(TICKER)
    bench.advance(1)
    assert bench.subscribed() == {"quote:BTCUSDT"}
    quote(bench, "98", "101", 2)
    assert shown(bench) == ("98", "101")


def test_old_ids_repeats_and_crossed_quotes_are_not_told() -> None:
    bench = ready()
    quote(bench, "99", "101", 5)
    assert quote(bench, "98", "101", 4) == [] == quote(bench, "99", "101", 5)
    (status,) = quote(bench, "102", "101", 6)
    assert isinstance(status, StreamStatus)
    assert (status.state, status.cause, status.fields) == (State.STALE, Cause.CROSSED, ())
    assert shown(bench) == ("99", "101")
    quote(bench, "100", "101", 7)
    assert (bench.state(BBO), shown(bench)) == (State.LIVE, ("100", "101"))


def test_an_id_far_ahead_is_held_until_a_second_frame_agrees() -> None:
    bench = ready()
    quote(bench, "99", "101", 5)
    assert quote(bench, "98", "101", 10**12) == []
    quote(bench, "97", "101", 10**12 + 1)
    assert shown(bench) == ("97", "101")
    assert bench.count("cryptodash_frames_held_total", "bbo", "future_id") == 1


def test_the_age_is_that_of_the_last_sound_quote() -> None:
    bench = ready()
    quote(bench, "99", "101", 5)
    bench.advance(3)
    quote(bench, "102", "101", 6)
    bench.advance(1)
    confirmed = bench.engine.confirmed_at(bench.topic(BBO))
    assert confirmed is not None and bench.clock.monotonic() - confirmed == 4.0


def test_a_quiet_market_is_seeded_by_rest() -> None:
    bench = Bench(MadeUpVenue(habits=Habits(seeds=True)))
    bench.want(BBO)
    bench.advance(2)
    (request,) = (each for each in bench.fetches if each.purpose is Purpose.SEED)
    bench.answer(request, json.dumps({"BTCUSDT": ("98", "99")}).encode())
    assert (bench.state(BBO), shown(bench)) == (State.QUIET, ("98", "99"))


def test_a_lost_connection_makes_it_stale_until_a_quote_comes() -> None:
    bench = ready()
    quote(bench, "99", "101", 5)
    bench.close(bench.only, Closed("remote"))
    assert (bench.state(BBO), bench.status(BBO).cause) == (State.STALE, Cause.DISCONNECTED)
    bench.advance(5)
    assert bench.state(BBO) is State.STALE
    quote(bench, "99", "101", 1)
    assert bench.state(BBO) is State.LIVE, "ids may begin anew on a new connection"


@pytest.mark.parametrize("wanted", [(BBO,), (TICKER,), (BBO, TICKER)], ids=len)
def test_its_quotes_show_that_a_book_misses_frames_as_the_tickers_do(wanted: tuple[str, ...]) -> None:
    bench = Bench()
    bench.want(BOOK, *wanted)
    for update in (11, 12):
        bench.frame(wire.book("book:BTCUSDT", update, update, {"98": "1"}, {}))
    bench.answer(bench.fetches[0], wire.book("rest", 11, 11, {"99": "1"}, {"101": "1"}, snapshot=True))
    quote(bench, "99", "101", 12)
    if len(wanted) == 2:
        bench.drop(TICKER)
    bench.advance(7)
    assert bench.state(BOOK) is State.QUIET
    quote(bench, "99", "100.5", 13)
    bench.advance(6)
    assert (bench.state(BOOK), bench.status(BOOK).cause) == (State.STALE, Cause.SILENT)

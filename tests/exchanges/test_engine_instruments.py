"""What the engine makes of an instrument that keeps hours, is not open yet, jumps in price, or changes while its topics
run."""

from __future__ import annotations

import pytest
from attrs import evolve

from cryptodash.core.events import Bbo, Candle, Cause, State, Ticker, Trade
from cryptodash.core.instruments import Instrument, Symbol
from cryptodash.exchanges.connections.silence import Pace
from cryptodash.exchanges.connections.stream_phase import Signal
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server
from cryptodash.testing.venue import PERPETUAL, SPOT, make_catalogue, make_instrument

TICKER = "spot:BTC-USDT:ticker"
TRADES = "spot:BTC-USDT:trade"
OTHER = "spot:ETH-USDT:ticker"
NAMES = ("crypto", "equity", "commodity", "fx", "index", "pre_market", "")


def listed(bench: Bench, **changes: object) -> Instrument:
    """BTC-USDT with these changes; ETH-USDT as it is."""
    known = make_instrument(SPOT, "BTC", "USDT")
    found = evolve(known, **changes)
    bench.catalogue.replace(SPOT, [found, make_instrument(SPOT, "ETH", "USDT")])
    return found


def server_of(bench: Bench, stream: str) -> Server:
    """The connection that carries it."""
    return next(each for each in bench.servers.values() if stream in each.streams)


def play(bench: Bench, seconds: float, *natives: str, price: int = 100) -> None:
    """Quotes and 24 h figures, four a second."""
    for _ in range(round(seconds * 4)):
        for native in natives:
            for stream, frame in (
                (f"quote:{native}", wire.quote(native, str(price - 1), str(price + 1), bench.wall)),
                (f"day:{native}", wire.day(native, str(price), bench.wall)),
            ):
                bench.frame(frame, server_of(bench, stream))
        bench.advance(0.25)


@pytest.mark.parametrize("underlying", NAMES)
def test_outside_the_hours_of_its_underlying_a_market_is_quiet_and_not_stale(underlying: str) -> None:
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    listed(bench, underlying_type=underlying)
    bench.want(TICKER, OTHER)
    bench.advance(1)
    play(bench, 20, "BTCUSDT", "ETHUSDT")
    assert bench.state(TICKER) is State.LIVE
    for _ in range(240):
        play(bench, 0.25, "ETHUSDT")
        bench.frame(wire.day("BTCUSDT", "100", bench.wall), server_of(bench, "day:BTCUSDT"))
    status = bench.status(TICKER)
    if underlying == "crypto":
        assert (status.state, status.cause) == (State.STALE, Cause.SILENT)
    else:
        assert (status.state, status.cause) == (State.QUIET, None)


def test_a_promised_pace_is_missed_whatever_hours_a_market_keeps() -> None:
    pace = Pace(3.0, 0.0, keeps_hours=True)
    assert pace.is_known
    assert (pace.judge(5.9), pace.judge(6.1)) == (None, Signal.SILENCE)
    learned = Pace(None, 0.0, keeps_hours=True)
    for second in range(1, 40):
        learned.learn(second * 10, float(second))
    assert not learned.is_known
    assert (learned.judge(0.1), learned.judge(3_600.0)) == (None, Signal.LULL)


def test_what_is_not_open_yet_is_stale_until_it_trades() -> None:
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    listed(bench, status="pre_open", venue_status="PreLaunch", underlying_type="pre_market")
    bench.want(TICKER)
    bench.advance(1)
    play(bench, 3, "BTCUSDT")
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) == (State.STALE, Cause.HALTED)
    bench.advance(60)
    play(bench, 1, "BTCUSDT")
    assert bench.listings, "frames come: the catalogue may say by now that it trades"
    listed(bench, status="trading", venue_status="Trading")
    bench.list_again(SPOT)
    play(bench, 1, "BTCUSDT")
    assert bench.state(TICKER) is State.LIVE


def test_a_price_that_jumps_by_design_is_taken_at_once() -> None:
    """A split of twenty for one, and back: ids and times are what a frame is judged by, never its price."""
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    listed(bench, underlying_type="equity")
    bench.want(TICKER, TRADES, "spot:BTC-USDT:bbo", "spot:BTC-USDT:candle:1m")
    bench.advance(1)
    play(bench, 10, "BTCUSDT", price=2_000)
    bench.frame(wire.trade("BTCUSDT", 1, "2000", bench.wall))
    for number, price in enumerate((100, 2_000), 2):
        bench.advance(0.25)
        bench.frame(wire.quote("BTCUSDT", str(price - 1), str(price + 1), bench.wall))
        bench.frame(wire.trade("BTCUSDT", number, str(price), bench.wall))
        bench.frame(wire.day("BTCUSDT", str(price), bench.wall))
        ticker, trade, quote = (bench.published(kind)[-1] for kind in (Ticker, Trade, Bbo))
        assert (ticker.bid, ticker.last, trade.price, quote.ask) == (  # type: ignore[attr-defined]
            str(price - 1),
            str(price),
            str(price),
            str(price + 1),
        )
        assert bench.state(TICKER) is State.LIVE
    assert bench.published(Candle) == []
    assert bench.count("cryptodash_frames_held_total", "ticker", "future_id") == 0


# What changes while topics run


def test_one_that_gets_another_native_name_goes_on_under_it() -> None:
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    listed(bench)
    bench.want(TICKER, TRADES, OTHER)
    bench.advance(1)
    play(bench, 3, "BTCUSDT", "ETHUSDT")
    before = bench.subscribed()
    listed(bench, native="XBTUSDT")
    bench.list_again(SPOT)
    bench.advance(2)
    assert {each for each in bench.subscribed() if "BTCUSDT" in each} == set()
    assert {each.replace("XBT", "BTC") for each in bench.subscribed()} == before, "with no stream left out"
    assert bench.state(TICKER) in (State.CONNECTING, State.STALE)
    play(bench, 2, "XBTUSDT", "ETHUSDT", price=500)
    assert (bench.state(TICKER), bench.published(Ticker)[-1].topic.symbol) == (State.LIVE, Symbol("ETH", "USDT"))
    assert [each.bid for each in bench.published(Ticker) if each.topic.symbol.base == "BTC"][-1] == "499"


def test_one_that_is_called_otherwise_closes_and_says_how() -> None:
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    bench.want(TICKER)
    bench.advance(1)
    bench.catalogue.replace(SPOT, [make_instrument(SPOT, "XBT", "USDT"), make_instrument(SPOT, "ETH", "USDT")])
    bench.catalogue.rename(SPOT, Symbol("BTC", "USDT"), Symbol("XBT", "USDT"))
    bench.list_again(SPOT)
    status = bench.status(TICKER)
    assert (status.state, status.cause, status.renamed) == (State.CLOSED, Cause.DELISTED, Symbol("XBT", "USDT"))
    bench.want("spot:BTC-USDT:bbo")
    assert bench.status("spot:BTC-USDT:bbo").renamed == Symbol("XBT", "USDT")
    listed(bench)
    bench.list_again(SPOT)
    bench.advance(1)
    play(bench, 1, "BTCUSDT")
    assert (bench.state(TICKER), bench.status(TICKER).renamed) == (State.LIVE, None)


def test_a_symbol_that_becomes_anothers_is_not_taken_for_it() -> None:
    """Two that differ in their case: the one that was alone is spelled as the venue does from then on."""
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    small = evolve(make_instrument(SPOT, "AAPLx", "USDT"), native="AAPLx/USDT")
    bench.catalogue.replace(SPOT, [small])
    bench.want("spot:AAPLX-USDT:ticker")
    bench.advance(1)
    bench.catalogue.replace(SPOT, [small, evolve(make_instrument(SPOT, "AAPLX", "USDT"), native="AAPLX/USDT")])
    bench.list_again(SPOT)
    status = bench.status("spot:AAPLX-USDT:ticker")
    assert (status.state, status.renamed) == (State.CLOSED, Symbol("AAPLx", "USDT"))


def test_a_contract_size_that_changes_is_what_sizes_are_read_by() -> None:
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))
    listed(bench, contract_size=make_instrument(SPOT, "A", "B", contract_size="10").contract_size)
    bench.want(TRADES, TICKER)
    bench.advance(1)
    bench.frame(wire.trade("BTCUSDT", 1, "5", bench.wall))
    first = bench.published(Trade)[-1].quantity
    listed(bench, contract_size=make_instrument(SPOT, "A", "B", contract_size="100").contract_size)
    bench.list_again(SPOT)
    bench.advance(1)
    bench.frame(wire.trade("BTCUSDT", 2, "5", bench.wall))
    second = bench.published(Trade)[-1]
    assert second.id == "2"
    assert float(second.quantity) == 10 * float(first)


def test_one_that_is_listed_again_shows_nothing_of_before() -> None:
    topic, natives = "perpetual:BTC-USDT:ticker", ("BTCUSDT", "NEWUSDT")
    bench = Bench(catalogue=make_catalogue("BTC-USDT", "ETH-USDT"))

    def list_as(*listed: Instrument) -> None:
        bench.catalogue.replace(PERPETUAL, [*listed, make_instrument(PERPETUAL, "ETH", "USDT")])
        bench.list_again(PERPETUAL)
        bench.advance(1)

    bench.want(topic)
    bench.advance(1)
    play(bench, 1, natives[0])
    bench.frame(wire.mark(natives[0], "100", bench.wall), server_of(bench, f"mark:{natives[0]}"))
    assert bench.published(Ticker)[-1].mark_price == "100"
    list_as()
    assert bench.state(topic) is State.CLOSED
    bench.advance(600)
    list_as(evolve(make_instrument(PERPETUAL, "BTC", "USDT"), native=natives[1]))
    play(bench, 3, natives[1], price=5)
    ticker = bench.published(Ticker)[-1]
    assert (bench.status(topic).state, bench.status(topic).fields) == (State.LIVE, ())
    assert (ticker.last, ticker.mark_price) == ("5", None), "its mark stream has said nothing yet"


def test_a_symbol_that_becomes_anothers_stays_closed_for_who_has_held_it() -> None:
    bench = Bench(catalogue=make_catalogue("BTC-USDT"))
    small = evolve(make_instrument(SPOT, "AAPLx", "USDT"), native="AAPLx")
    bench.catalogue.replace(SPOT, [small])
    topic = "spot:AAPLX-USDT:ticker"
    bench.want(topic)
    bench.advance(1)
    play(bench, 2, "AAPLx", price=200)
    for _ in range(3):
        bench.catalogue.replace(SPOT, [small, evolve(make_instrument(SPOT, "AAPLX", "USDT"), native="AAPLX")])
        bench.list_again(SPOT)
        bench.advance(1)
        status = bench.status(topic)
        assert (status.state, status.cause) == (State.CLOSED, Cause.DELISTED)
        assert status.renamed == Symbol("AAPLx", "USDT")
    bench.catalogue.replace(SPOT, [small])
    bench.list_again(SPOT)
    bench.advance(1)
    play(bench, 1, "AAPLx", price=200)
    assert bench.state(topic) is State.LIVE, "it is the same one again"

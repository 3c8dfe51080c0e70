"""What an engine tells the ledger of its streams."""

from __future__ import annotations

import pytest

from cryptodash.core.events import Cause, State
from cryptodash.core.quality import Count, Loss
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.hub.ledger import Ledger
from cryptodash.hub.stream_record import StreamQuality, VenueQuality
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench

TICKER, BBO, TRADE = (f"spot:BTC-USDT:{channel}" for channel in ("ticker", "bbo", "trade"))
BOOK = "perpetual:BTC-USDT:order_book:5"


class Observed:
    """A bench and the ledger of its streams."""

    def __init__(self, *topics: str) -> None:
        ledgers: list[Ledger] = []

        def records(clock: Clock, tally: Tally) -> object:
            ledgers.append(Ledger(clock, tally))
            return ledgers[0].venue("acme")

        self.bench = Bench(records=records)  # type: ignore[arg-type]
        self.ledger = ledgers[0]
        self.bench.want(*topics)
        self.advance(1)

    def advance(self, seconds: float) -> None:
        while seconds > 0:
            self.bench.advance(min(seconds, 0.5))
            self.ledger.beat()
            seconds -= 0.5

    def quality(self, name: str) -> StreamQuality:
        found = [each for each in self.ledger.stream_quality() if isinstance(each, StreamQuality) and each.name == name]
        assert len(found) == 1, name
        return found[0]

    def count(self, name: str, what: Count) -> int:
        return self.quality(name).total.counts[what]

    def rest(self, what: Count) -> int:
        (venue,) = (each for each in self.ledger.stream_quality() if isinstance(each, VenueQuality))
        listed = (each for each in self.ledger.stream_quality() if isinstance(each, StreamQuality))
        return venue.total.counts[what] - sum(each.total.counts[what] for each in listed)


def quote(observed: Observed, bid: str, number: int) -> None:
    observed.bench.frame(wire.quote("BTCUSDT", bid, "101", number))


def test_what_two_topics_find_in_one_frame_is_counted_once() -> None:
    observed = Observed(TICKER, BBO)
    bench = observed.bench
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    quote(observed, "99", 5)
    quote(observed, "102", 6)
    assert bench.count("cryptodash_quotes_crossed_total") == 1
    quote(observed, "103", 7)
    assert bench.count("cryptodash_quotes_crossed_total") == 2
    quote(observed, "99", 8)
    quote(observed, "98", 4)
    quote(observed, "99", 8)
    name = "quote:BTCUSDT"
    counts = [observed.count(name, what) for what in (Count.CROSSED, Count.OUT_OF_ORDER, Count.DUPLICATES)]
    assert counts == [2, 1, 1]
    stream = next(each for each in bench.engine._streams.subscribed() if each.name == name)
    assert stream.dropped_frames == 1


def test_the_time_that_a_quote_is_crossed_is_exact() -> None:
    observed = Observed(TICKER)
    quote(observed, "99", 5)
    observed.advance(2)
    quote(observed, "102", 6)
    observed.advance(1.5)
    quote(observed, "103", 7)
    observed.advance(1)
    quote(observed, "99", 8)
    observed.advance(3)
    figures = observed.quality("quote:BTCUSDT").total
    assert figures.crossed_ms == 2_500
    assert sum(figures.state_ms) == 8_500


def test_a_book_that_is_lost_is_resyncing_until_it_is_rebuilt() -> None:
    observed = Observed(BOOK)
    bench = observed.bench
    levels = {"99": "1"}, {"101": "1"}
    bench.frame(wire.book("book5:BTCUSDT", None, 5, *levels, snapshot=True))
    observed.advance(1)
    bench.frame(wire.book("book5:BTCUSDT", None, 6, {"105": "1"}, {}))
    observed.advance(0.5)
    quality = observed.quality("book5:BTCUSDT")
    assert (quality.state, quality.cause) == (State.RESYNCING, Cause.CROSSED)
    observed.advance(1)
    bench.frame(wire.book("book5:BTCUSDT", None, 9, *levels, snapshot=True))
    observed.advance(2)
    quality = observed.quality("book5:BTCUSDT")
    assert quality.state is State.LIVE
    assert quality.total.counts[Count.CROSSED] == quality.total.counts[Count.RESYNCS] == 1
    assert quality.total.crossed_ms == quality.total.state_ms[3] == 1_500
    assert [(run.state, run.cause) for run in quality.runs][-3:] == [
        (State.LIVE, None),
        (State.RESYNCING, Cause.CROSSED),
        (State.LIVE, None),
    ]
    assert quality.degraded is None


def trade(observed: Observed, *numbers: int, counted: bool = True) -> None:
    for number in numbers:
        observed.bench.frame(wire.trade("BTCUSDT", number, "100", observed.bench.wall, counted=counted))


def test_trades_that_come_after_all_within_a_minute_are_no_loss() -> None:
    observed = Observed(TRADE)
    trade(observed, 1, 2)
    for number in range(3, 403, 2):  # each two in the wrong order
        trade(observed, number + 1)
        observed.advance(0.5)
        trade(observed, number)
    quality = observed.quality("trade:BTCUSDT")
    assert quality.total.counts[Count.MISSED_TRADES] == 0
    assert quality.total.counts[Count.OUT_OF_ORDER] == 200
    assert quality.degraded is None


def test_trades_that_do_not_come_degrade_the_stream_for_the_life_of_the_process() -> None:
    observed = Observed(TRADE)
    trade(observed, 1, 2, 6)
    observed.advance(59)
    assert observed.quality("trade:BTCUSDT").degraded is None
    assert observed.count("trade:BTCUSDT", Count.MISSED_TRADES) == 3
    for number in range(7, 140):
        trade(observed, number)
        observed.advance(0.5)
    assert observed.quality("trade:BTCUSDT").degraded is Loss.TRADES_MISSING
    (report,) = (each for reports in observed.bench.engine.streams() for each in reports)
    assert report.degraded is Loss.TRADES_MISSING
    observed.bench.drop(TRADE)
    observed.advance(5)
    assert observed.quality("trade:BTCUSDT").state is None
    observed.bench.want(TRADE)
    observed.advance(5)
    trade(observed, 200, 201)
    quality = observed.quality("trade:BTCUSDT")
    assert (quality.state, quality.degraded) == (State.LIVE, Loss.TRADES_MISSING)


@pytest.mark.parametrize("counted", [True, False])
def test_an_interruption_that_no_number_clears_is_a_loss_that_cannot_be_ruled_out(counted: bool) -> None:
    observed = Observed(TRADE)
    trade(observed, 1, 2, 3, counted=counted)
    observed.advance(1)
    observed.bench.close(next(iter(observed.bench.servers.values())))
    observed.advance(3)
    trade(observed, 4, 5, counted=counted)
    quality = observed.quality("trade:BTCUSDT")
    assert quality.degraded is (None if counted else Loss.TRADES_UNPROVEN)
    assert quality.total.counts[Count.GAPS] == (not counted)
    assert quality.total.state_ms[2] >= 1  # stale(disconnected)


@pytest.mark.parametrize("counted", [True, False])
def test_a_frame_of_trades_that_cannot_be_read_is_a_loss_where_no_number_tells(counted: bool) -> None:
    observed = Observed(TRADE)
    trade(observed, 1, 2, counted=counted)
    frame = wire.trade("BTCUSDT", 3, "100", observed.bench.wall, counted=counted)
    observed.bench.frame(frame.replace(b'"100"', b'"NaN"'))
    observed.advance(1)
    assert observed.count("trade:BTCUSDT", Count.DECODE_ERRORS) == 1
    assert observed.quality("trade:BTCUSDT").degraded is (None if counted else Loss.TRADES_UNREADABLE)


def test_what_no_stream_can_be_blamed_for_is_in_the_totals_of_the_venue() -> None:
    observed = Observed(TRADE)
    observed.bench.frame(b"{")
    assert observed.rest(Count.DECODE_ERRORS) == 1
    assert observed.count("trade:BTCUSDT", Count.DECODE_ERRORS) == 0


def test_a_stream_that_nobody_wants_gathers_no_time() -> None:
    observed = Observed(TRADE)
    trade(observed, 1)
    observed.advance(2)
    observed.bench.drop(TRADE)
    before = observed.quality("trade:BTCUSDT")
    observed.advance(100)
    after = observed.quality("trade:BTCUSDT")
    assert after.state is None
    assert sum(after.total.state_ms) == sum(before.total.state_ms) == 3_000
    assert observed.bench.tally.metrics["cryptodash_stream_state_seconds"].read()["acme", "live"] == 2.0  # type: ignore[union-attr]

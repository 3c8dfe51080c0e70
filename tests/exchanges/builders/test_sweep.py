"""A whole market, merged row by row."""

from __future__ import annotations

from attrs import evolve

from cryptodash.core.instruments import ANY, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Quote, Stats, SweepRow, SweepRows
from cryptodash.exchanges.builders.sweep import QUOTE_AGE, SWEEP_INTERVAL, SweepBuilder
from cryptodash.testing.venue import SPOT, make_instrument

TOPIC = Topic("madeup", SPOT, ANY, Channel.TICKER)
NOW = 1_700_000_000_000


def test_a_quote_that_has_grown_old_is_taken_back_from_whoever_was_told_it() -> None:
    instrument = make_instrument(SPOT, "BTC", "USDT")
    builder = SweepBuilder(TOPIC, {instrument.native: instrument}.get)
    quote = Quote("all", admit("99"), admit("1"), admit("101"), admit("1"), 7, NOW)
    row = SweepRow(instrument.native, quote, Stats("all", NOW, last=admit("100")), None)
    told = builder.rows(SweepRows("all", (row,)), 10.0, NOW, NOW)
    assert told is not None and [each.bid for each in told.tickers] == ["99"]
    assert builder.due(10.0 + QUOTE_AGE) is None
    old = builder.due(10.0 + QUOTE_AGE + SWEEP_INTERVAL)
    assert old is not None and [(each.last, each.bid, each.ask) for each in old.tickers] == [("100", None, None)]
    assert builder.due(100.0) is None, "once"


def test_figures_without_a_time_are_of_when_they_came_and_told_only_as_they_change() -> None:
    instrument = make_instrument(SPOT, "BTC", "USDT")
    builder = SweepBuilder(TOPIC, {instrument.native: instrument}.get)

    def rows(last: str) -> SweepRows:
        return SweepRows("all", (SweepRow(instrument.native, None, Stats("all", None, last=admit(last)), None),))

    told = builder.rows(rows("100"), 10.0, NOW, NOW + 5)
    assert told is not None
    assert [(each.last, each.last_time, each.stats_time, each.timestamp) for each in told.tickers] == [
        ("100", NOW, NOW, NOW)
    ]
    assert builder.rows(rows("100"), 12.0, NOW + 2_000, NOW + 2_005) is None
    told = builder.rows(rows("101"), 14.0, NOW + 4_000, NOW + 4_005)
    assert told is not None and [(each.last, each.stats_time) for each in told.tickers] == [("101", NOW + 4_000)]


def test_one_whose_symbol_changes_under_its_name_at_the_venue_is_told_under_the_new_one() -> None:
    """``AAPLx`` is ``AAPLX`` here until the venue lists another ``AAPLX``."""
    small = make_instrument(SPOT, "AAPLX", "USDT")
    known = {"small": small}
    builder = SweepBuilder(TOPIC, known.get)

    def rows(now: float, **last: int) -> list[tuple[str, str]]:
        found = [SweepRow(name, None, Stats("all", None, last=admit(str(each))), None) for name, each in last.items()]
        told = builder.rows(SweepRows("all", tuple(found)), now, NOW + int(now * 1000), NOW)
        return [] if told is None else [(str(each.topic.symbol), each.last) for each in told.tickers]

    assert rows(10.0, small=200) == [("AAPLX-USDT", "200")]
    known |= {"small": evolve(small, symbol=Symbol("AAPLx", "USDT")), "large": small}
    assert sorted(rows(12.0, small=201, large=3)) == [("AAPLX-USDT", "3"), ("AAPLx-USDT", "201")]

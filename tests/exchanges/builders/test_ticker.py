"""What frames say becomes events: order, merging, duplicates, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from cryptodash.core.events import Side, Ticker, Trade
from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Fill, Mark, Quote, Stats, SweepRow, SweepRows
from cryptodash.exchanges.builders.sweep import SweepBuilder
from cryptodash.exchanges.builders.ticker import TickerBuilder
from cryptodash.exchanges.builders.trades import TradeBuilder

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

TICKER = Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.TICKER)
N = Number


def quote(bid: str | None = "100", ask: str | None = "101", *, id: int | None = None, time: int | None = None) -> Quote:
    return Quote("s", bid and N(bid), bid and N("1"), ask and N(ask), ask and N("2"), id, time)  # type: ignore[arg-type]


def stats(time: int, **said: Any) -> Stats:
    return Stats("s", time, **said)


class Ticking(TickerBuilder):
    """Takes news that comes as the venue's clock has reached its time, all at one moment of ours."""

    def quote(self, m: Quote, venue_ms: int, received: int, now: float = 0.0) -> Ticker | None:
        return super().quote(m, max(venue_ms, m.time or 0), received, now)

    def trade(self, price: Number, time: int, received: int) -> Ticker | None:
        return self.trades([Fill("", price, N("1"), Side.BUY, time, None)], time, received, 0.0)

    def stats(self, m: Stats, venue_ms: int, received: int | None = None, now: float = 0.0) -> Ticker | None:
        return super().stats(m, m.time, venue_ms, now)

    def mark(self, m: Mark, venue_ms: int, received: int | None = None, now: float = 0.0) -> Ticker | None:
        return super().mark(m, m.time, venue_ms, now)


class Trading(TradeBuilder):
    def fills(self, fills: Sequence[Fill], venue_ms: int, received: int | None = None, now: float = 0.0) -> list[Trade]:
        return super().fills(fills, max(each.time for each in fills), venue_ms, now)


def known(last: str = "100.5", time: int = 1_000) -> Ticking:
    assembly = Ticking(TICKER)
    assembly.stats(stats(time, last=N(last)), RECEIVED)
    return assembly


# Ticker


def test_nothing_is_told_before_a_last_is_known() -> None:
    assembly = Ticking(TICKER)
    assert assembly.quote(quote(id=1), 500, RECEIVED) is None
    assert assembly.mark(Mark("s", 600, mark_price=N("100.7")), RECEIVED) is None
    assert assembly.stats(stats(700, open=N("99")), RECEIVED) is None
    assert assembly.ticker is None
    ticker = assembly.trade(N("100.2"), 650, RECEIVED)
    assert ticker == assembly.ticker
    assert ticker is not None
    assert (ticker.last, ticker.bid, ticker.ask_size, ticker.mark_price, ticker.open_24h) == (
        "100.2",
        "100",
        "2",
        "100.7",
        "99",
    )
    assert (ticker.timestamp, ticker.quote_time, ticker.last_time, ticker.stats_time) == (700, 500, 650, 700)


def test_timestamp_is_the_newest_time_and_never_decreases() -> None:
    assembly = known(time=1_000)
    stamps = []
    for ticker in (
        assembly.quote(quote(id=1, time=900), 0, RECEIVED),
        assembly.quote(quote("99", id=2, time=1_500), 0, RECEIVED),
        assembly.trade(N("101"), 1_200, RECEIVED),
        assembly.quote(quote("98", id=3, time=1_400), 0, RECEIVED),
        assembly.stats(stats(2_000, open=N("1")), RECEIVED),
    ):
        assert ticker is not None
        stamps.append((ticker.timestamp, ticker.quote_time))
    assert stamps == [(1_000, 900), (1_500, 1_500), (1_500, 1_500), (1_500, 1_500), (2_000, 1_500)]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (quote(id=5), quote("99", id=6), True),
        (quote(id=5), quote("99", id=4), False),
        (quote(id=5), quote("99", id=5), False),  # a repeat confirms, it is no update
        (quote(id=5, time=900), quote("99", id=6, time=800), True),  # ids order, not times
        (quote(time=900), quote("99", time=901), True),
        (quote(time=900), quote("99", time=900), True),
        (quote(time=900), quote(time=900), False),
        (quote(time=900), quote("99", time=899), False),
    ],
)
def test_older_quotes_never_replace_newer(first: Quote, second: Quote, told: bool) -> None:
    assembly = known()
    assert assembly.quote(first, 900, RECEIVED) is not None
    ticker = assembly.quote(second, 901, RECEIVED)
    assert (ticker is not None) is told
    assert assembly.ticker is not None and assembly.ticker.bid == ("99" if told else "100")


def test_quote_order_can_begin_anew() -> None:
    assembly = known()
    assembly.quote(quote(id=1_000), 900, RECEIVED)
    assembly.reset_quote_order()
    ticker = assembly.quote(quote("99", id=3), 901, RECEIVED)
    assert ticker is not None and ticker.bid == "99"
    assert assembly.quote(quote("98", id=2), 902, RECEIVED) is None


@pytest.mark.parametrize("ids", [(10**15, 10**15 + 1), (4, 3)], ids=["leap", "from the beginning"])
def test_timestamp_never_decreases_where_ids_begin_anew(ids: tuple[int, int]) -> None:
    """The quotes are 6 s late; the open interest comes by another way."""
    start = 1_700_000_000_000
    assembly = known(time=start)
    assembly.quote(quote(id=1_000, time=start), start + 6_000, RECEIVED)
    for number, passed in zip(ids, (100, 5_200), strict=True):
        time = start + passed
        assembly.mark(Mark("oi", time + 6_000, open_interest=N("5"), full=False), RECEIVED + passed)
        said = quote(str(number), None, id=number, time=time)
        ticker = assembly.quote(said, time + 6_000, RECEIVED + passed, passed / 1000)
    assert ticker is not None
    assert (ticker.bid, ticker.quote_time, ticker.timestamp) == (str(ids[1]), time, time + 6_000)


def test_a_trade_older_than_the_last_price_does_not_replace_it_where_ids_begin_anew() -> None:
    start = 1_700_000_000_000
    assembly = known(time=start)
    fills = [Fill("", N("99"), N("1"), Side.BUY, start + each, 10**15 * each) for each in (0, 1, 2)]
    fills[2] = replace(fills[2], number=10**15 + 1)
    TickerBuilder.trades(assembly, fills[:1], start + 6_000, RECEIVED, 0.0)
    assembly.stats(stats(start + 6_000, last=N("100")), RECEIVED)
    for fill in fills[1:]:
        assert TickerBuilder.trades(assembly, [fill], start + 6_003, RECEIVED, 0.1) is None
    assert assembly.ticker is not None
    assert (assembly.ticker.last, assembly.ticker.last_time) == ("100", start + 6_000)


def test_quote_without_a_time_gets_the_received_time() -> None:
    assembly = known(time=100)
    ticker = assembly.quote(quote(id=1), 555, RECEIVED)
    assert ticker is not None and (ticker.quote_time, ticker.timestamp) == (555, 555)
    again = assembly.quote(quote("99", id=2), 550, RECEIVED)
    assert again is not None and again.quote_time == 555


@pytest.mark.parametrize(("bid", "ask"), [("101", "101"), ("101.0", "101"), ("102", "101"), ("9.5", "9.50")])
def test_crossed_quotes_are_dropped_and_counted(bid: str, ask: str) -> None:
    assembly = known()
    assembly.quote(quote(id=1), 900, RECEIVED)
    assert assembly.quote(quote(bid, ask, id=2), 901, RECEIVED) is None
    assert assembly.crossed == 1
    assert assembly.ticker is not None and (assembly.ticker.bid, assembly.ticker.ask) == ("100", "101")


def test_a_crossed_quote_says_that_the_one_known_is_over() -> None:
    assembly = known()
    assembly.quote(quote(id=1), 0, RECEIVED)
    assert not assembly.is_crossed
    assembly.quote(quote("102", id=2), 0, RECEIVED)
    assert assembly.is_crossed
    assembly.quote(quote(id=3), 0, RECEIVED)
    assert not assembly.is_crossed
    assembly.quote(quote("102", id=4), 0, RECEIVED)
    assembly.reset_quote_order()  # the connection is gone, and what it said last with it
    assert not assembly.is_crossed


def test_a_delta_that_comes_late_brings_what_newer_ones_left_out() -> None:
    assembly = known()
    assembly.stats(stats(2_000, full=True, last=N("100"), open=N("90"), high=N("110")), RECEIVED)
    assembly.mark(Mark("s", 2_000, True, N("100"), N("99")), RECEIVED)
    assembly.stats(stats(4_000, full=False, high=N("112")), RECEIVED)
    assembly.mark(Mark("s", 4_000, False, N("102")), RECEIVED)
    ticker = assembly.stats(stats(3_000, full=False, open=N("91"), high=N("111")), RECEIVED)
    assert ticker is not None
    assert (ticker.open_24h, ticker.high_24h, ticker.stats_time) == ("91", "112", 4_000)
    ticker = assembly.mark(Mark("s", 3_000, False, N("101"), N("101")), RECEIVED)
    assert ticker is not None
    assert (ticker.mark_price, ticker.index_price) == ("102", "101")


def test_a_missing_side_is_unknown_and_not_a_copy() -> None:
    assembly = known()
    assembly.quote(quote(id=1), 900, RECEIVED)
    ticker = assembly.quote(quote(None, "101", id=2), 901, RECEIVED)
    assert ticker is not None and (ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size) == (None, None, "101", "2")
    ticker = assembly.quote(quote("100", None, id=3), 902, RECEIVED)
    assert ticker is not None and (ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size) == ("100", "1", None, None)


def test_last_comes_from_trades_while_they_flow() -> None:
    assembly = Ticking(TICKER)
    assembly.trades_open = True
    first = assembly.stats(stats(1_000, last=N("100")), RECEIVED)  # a first last is taken from anywhere
    assert first is not None and (first.last, first.last_time) == ("100", 1_000)
    traded = assembly.trade(N("101"), 1_100, RECEIVED)
    assert traded is not None and traded.last == "101"
    later = assembly.stats(stats(1_200, last=N("99")), RECEIVED)
    assert later is not None and (later.last, later.last_time, later.timestamp) == ("101", 1_100, 1_200)
    assembly.trades_open = False
    closed = assembly.stats(stats(1_300, last=N("98")), RECEIVED)
    assert closed is not None and (closed.last, closed.last_time) == ("98", 1_300)


def test_what_figures_said_beside_open_trades_counts_once_they_close_unless_a_trade_came_since() -> None:
    """The trade's time may be the smaller one, where the venue's clock was set back meanwhile (seed 1006)."""
    assembly = known("100", 1_000)
    assembly.trades_open = True
    assembly.trade(N("101"), 1_100, RECEIVED)
    assembly.stats(stats(1_200, full=False, last=N("102")), RECEIVED)
    closed = assembly.close_trades()
    assert closed is not None and (closed.last, closed.last_time) == ("102", 1_200)
    assembly.trades_open = True
    assembly.trade(N("103"), 1_300, RECEIVED)
    assembly.stats(stats(1_500, full=False, last=N("104")), RECEIVED)
    assembly.trade(N("105"), 1_400, RECEIVED)
    assert assembly.close_trades() is None
    assert assembly.ticker is not None and assembly.ticker.last == "105"


def test_older_lasts_never_replace_newer() -> None:
    assembly = known("100", 1_000)
    assert assembly.trade(N("99"), 999, RECEIVED) is None
    assert assembly.trade(N("100"), 1_000, RECEIVED) is None
    same_time = assembly.trade(N("101"), 1_000, RECEIVED)
    assert same_time is not None and same_time.last == "101"
    assembly.trade(N("102"), 5_000, RECEIVED)
    ticker = assembly.stats(stats(4_000, last=N("90"), high=N("103")), RECEIVED)
    assert ticker is not None and (ticker.last, ticker.high_24h, ticker.timestamp) == ("102", "103", 5_000)


def test_full_stats_replace_and_partial_ones_merge() -> None:
    assembly = known("100", 1_000)
    assembly.stats(
        stats(
            1_100, last=N("100"), high=N("110"), low=N("90"), volume=N("5"), quote_volume=N("500"), change_pct=N("1.5")
        ),
        RECEIVED,
    )
    partial = assembly.stats(stats(1_200, full=False, high=N("111")), RECEIVED)
    assert partial is not None
    assert (
        partial.high_24h,
        partial.low_24h,
        partial.volume_24h,
        partial.quote_volume_24h,
        partial.change_pct_24h,
    ) == (
        "111",
        "90",
        "5",
        "500",
        "1.5",
    )
    full = assembly.stats(stats(1_300, low=N("89")), RECEIVED)
    assert full is not None
    assert (full.high_24h, full.low_24h, full.volume_24h, full.last) == (None, "89", None, "100")
    assert assembly.stats(stats(1_299, low=N("88")), RECEIVED) is None
    assert assembly.stats(stats(1_300, low=N("89")), RECEIVED) is None  # nothing new


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ({"last": N("63958.60"), "open": N("64283.90")}, "-325.30"),
        ({"last": N("0.30"), "open": N("0.1")}, "0.20"),
        ({"last": N("1"), "open": N("2"), "change": N("-1.000")}, "-1.000"),  # the venue's own word
        ({"last": N("1")}, None),
        ({"open": N("1")}, None),
        ({"last": N("9" * 40), "open": N("0." + "0" * 17 + "1")}, None),  # no admissible number
    ],
)
def test_change_is_exactly_last_minus_open(said: dict[str, Any], change: str | None) -> None:
    assembly = known()
    ticker = assembly.stats(stats(2_000, **said), RECEIVED)
    assert ticker is not None and ticker.change_24h == change


def test_change_follows_partial_stats_and_not_the_trades() -> None:
    assembly = Ticking(TICKER)
    assembly.stats(stats(1, full=False, last=N("10"), open=N("8")), RECEIVED)
    assembly.trades_open = True
    assembly.trade(N("20"), 2, RECEIVED)
    ticker = assembly.stats(stats(3, full=False, last=N("11")), RECEIVED)
    assert ticker is not None and (ticker.change_24h, ticker.last) == ("3", "20")
    ticker = assembly.stats(stats(4, full=False, high=N("30")), RECEIVED)
    assert ticker is not None and ticker.change_24h == "3"


def test_mark_and_open_interest_come_by_different_ways() -> None:
    assembly = known(time=10)
    assembly.mark(Mark("s", 2_000, False, N("100.1"), N("100.2"), N("0.0001"), 9_000), RECEIVED)
    late = assembly.mark(Mark("rest", 1_500, False, open_interest=N("77")), RECEIVED)
    assert late is not None
    assert (late.mark_price, late.index_price, late.funding_rate, late.next_funding_time, late.open_interest) == (
        "100.1",
        "100.2",
        "0.0001",
        9_000,
        "77",
    )
    assert late.timestamp == 2_000
    assert assembly.mark(Mark("s", 1_999, False, N("50")), RECEIVED) is None
    assert assembly.mark(Mark("rest", 1_400, False, open_interest=N("76")), RECEIVED) is None
    partial = assembly.mark(Mark("s", 2_100, False, index_price=N("101")), RECEIVED)
    assert partial is not None and (partial.mark_price, partial.index_price, partial.open_interest) == (
        "100.1",
        "101",
        "77",
    )
    full = assembly.mark(Mark("s", 2_200, True, mark_price=N("102")), RECEIVED)
    assert full is not None and (full.mark_price, full.index_price, full.open_interest) == ("102", None, None)


# Trades


def fill(number: int | None, *, id: str | None = None, time: int = 1_000) -> Fill:
    return Fill(id or str(number), N("100"), N("1"), Side.BUY, time, number)


@pytest.mark.parametrize(
    ("batches", "ids", "missed"),
    [
        ([[1, 2, 3]], "1 2 3", 0),
        ([[1, 2], [2, 3]], "1 2 3", 0),
        ([[1, 2], [1, 2]], "1 2", 0),
        ([[1], [4, 5]], "1 4 5", 2),
        ([[5], [4], [6]], "5 4 6", 0),
        ([[5], [4], [4], [6]], "5 4 6", 0),
        ([[900]], "900", 0),
    ],
)
def test_counted_trades_come_once_and_in_order(batches: list[list[int]], ids: str, missed: int) -> None:
    assembly = Trading(TICKER.sibling(Channel.TRADE))
    told = [trade for batch in batches for trade in assembly.fills([fill(number) for number in batch], RECEIVED)]
    assert [trade.id for trade in told] == ids.split()
    assert assembly.missed == missed
    assert assembly.number == int(ids.split()[-1])


def test_a_counted_trade_that_comes_late_is_told_once() -> None:
    assembly = Trading(TICKER)
    told = [trade.id for number in (1, 3, 2, 2, 1, 9, 4, 8, 8, 4) for trade in assembly.fills([fill(number)], RECEIVED)]
    assert told == [str(number) for number in (1, 3, 2, 9, 4, 8)]
    assert (assembly.missed, assembly.late) == (3, 3)


def test_a_trade_says_everything() -> None:
    topic = TICKER.sibling(Channel.TRADE)
    (trade,) = Trading(topic).fills([Fill("x", N("1.50"), N("2.0"), Side.SELL, 7, None)], RECEIVED)
    assert (trade.topic, trade.timestamp, trade.id, trade.price, trade.quantity, trade.side) == (
        topic,
        7,
        "x",
        "1.50",
        "2.0",
        Side.SELL,
    )


def test_a_venue_that_counts_anew_is_believed() -> None:
    assembly = Trading(TICKER.sibling(Channel.TRADE))
    assembly.fills([fill(5_000, time=1_000)], RECEIVED)
    assert [trade.id for trade in assembly.fills([fill(3, time=2_000)], RECEIVED)] == ["3"]
    assert assembly.fills([fill(3, time=2_000)], RECEIVED) == []
    assert len(assembly.fills([fill(3, time=200_000), fill(4, time=200_001), fill(6, time=200_002)], RECEIVED)) == 3
    assert (assembly.missed, assembly.number) == (1, 6)


def test_uncounted_trades_are_known_by_their_ids() -> None:
    assembly = Trading(TICKER.sibling(Channel.TRADE))
    told = [trade.id for name in "aabcbdadea" for trade in assembly.fills([fill(None, id=name)], RECEIVED)]
    assert "".join(told) == "abcde"


# Sweep

SWEEP = Topic("binance", MarketType.SPOT, ANY, Channel.TICKER)


def market(*names: str) -> dict[str, Instrument]:
    return {
        f"{name}USDT": Instrument("binance", MarketType.SPOT, Symbol(name, "USDT"), f"{name}USDT", N("0.01"), N("0.01"))
        for name in names
    }


def row(
    native: str, last: str | None = None, bid: str | None = None, *, time: int = 1_000, id: int | None = None
) -> SweepRow:
    said = stats(time, last=N(last)) if last else None
    return SweepRow(native, quote(bid, "200", id=id) if bid else None, said, None)


def sweep(assembly: SweepBuilder, now: float, *rows: SweepRow) -> list[Ticker]:
    told = assembly.rows(SweepRows("s", rows), now, round(now * 1000), RECEIVED)
    return [] if told is None else list(told.tickers)


def test_sweep_tells_each_instrument_under_its_own_topic() -> None:
    assembly = SweepBuilder(SWEEP, market("BTC", "ETH").get)
    told = sweep(assembly, 10.0, row("BTCUSDT", "100", "99"), row("ETHUSDT", "50"), row("NOPE", "1"))
    assert sorted((str(each.topic), each.last, each.bid) for each in told) == [
        ("binance:spot:BTC-USDT:ticker", "100", "99"),
        ("binance:spot:ETH-USDT:ticker", "50", None),
    ]


def test_sweep_tells_an_instrument_at_most_once_a_second() -> None:
    assembly = SweepBuilder(SWEEP, market("BTC").get)
    assert len(sweep(assembly, 10.0, row("BTCUSDT", "100"))) == 1
    assert sweep(assembly, 10.4, row("BTCUSDT", "101", time=1_400)) == []
    assert sweep(assembly, 10.8, row("BTCUSDT", "102", time=1_800)) == []
    assert assembly.due(10.9) is None
    due = assembly.due(11.0)
    assert due is not None and due.topic is SWEEP and [each.last for each in due.tickers] == ["102"]
    assert assembly.due(12.0) is None


def test_sweep_tells_only_what_changed_besides_its_times() -> None:
    assembly = SweepBuilder(SWEEP, market("BTC").get)
    assert len(sweep(assembly, 10.0, row("BTCUSDT", "100", "99"))) == 1
    assert sweep(assembly, 12.0, row("BTCUSDT", "100", "99", time=3_000)) == []
    assert len(sweep(assembly, 12.1, row("BTCUSDT", "100", "98", time=3_100))) == 1


def test_sweep_figures_without_a_time_get_that_of_the_venues_clock() -> None:
    assembly = SweepBuilder(SWEEP, market("BTC").get)
    for now, last in ((10.0, "100"), (12.5, "101")):
        (told,) = sweep(assembly, now, SweepRow("BTCUSDT", None, Stats("s", None, last=N(last)), None))
        assert (told.last, told.timestamp, told.last_time, told.stats_time) == (N(last), *[round(now * 1000)] * 3)


def test_sweep_waits_for_a_last() -> None:
    assembly = SweepBuilder(SWEEP, market("BTC").get)
    assert sweep(assembly, 10.0, row("BTCUSDT", None, "99")) == []
    assert [(each.last, each.bid) for each in sweep(assembly, 11.0, row("BTCUSDT", "100"))] == [("100", "99")]


@pytest.mark.parametrize(("confirmed", "bid"), [(False, None), (True, "99")])
def test_sweep_shows_no_quote_older_than_five_seconds(confirmed: bool, bid: str | None) -> None:
    assembly = SweepBuilder(SWEEP, market("BTC").get)
    sweep(assembly, 10.0, row("BTCUSDT", "100", "99", id=7))
    if confirmed:
        assert sweep(assembly, 14.0, row("BTCUSDT", None, "99", id=7)) == []
    (ticker,) = sweep(assembly, 16.0, row("BTCUSDT", "101", time=6_000))
    assert (ticker.bid, ticker.ask, ticker.quote_time is None) == (bid, bid and "200", bid is None)


def test_sweep_forgets_what_leaves_the_catalogue() -> None:
    instruments = market("BTC", "ETH", "XRP")
    assembly = SweepBuilder(SWEEP, instruments.get)
    assert len(sweep(assembly, 10.0, *(row(name, "100") for name in instruments))) == 3
    sweep(assembly, 10.1, row("BTCUSDT", "101", time=2_000))
    del instruments["BTCUSDT"], instruments["ETHUSDT"]
    assert sweep(assembly, 12.0, row("BTCUSDT", "102", time=3_000)) == []
    assert assembly.due(2_000.0) is None
    assert list(assembly._rows) == ["XRPUSDT"]

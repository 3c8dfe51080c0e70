"""Trades that may have been missed while their stream was interrupted are told by a gap, and only those."""

from __future__ import annotations

import pytest

from cryptodash.core.events import Candle, Gap, State, StreamStatus, Trade
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server

TRADES = "spot:BTC-USDT:trade"
OTHER = "spot:ETH-USDT:ticker"
BUILT = "spot:BTC-USDT:candle:3m"


class Market:
    """A bench whose trades are numbered, or (``counted`` False) have ids that say nothing of the order."""

    def __init__(self, *, counted: bool = True) -> None:
        self.bench = Bench()
        self.bench.want(TRADES, OTHER)
        self.bench.advance(1)
        self._counted = counted

    @property
    def newest(self) -> Server:
        return list(self.bench.servers.values())[-1]

    def trade(self, number: int, server: Server | None = None) -> list[object]:
        """What it leads to."""
        bench = self.bench
        frame = wire.trade("BTCUSDT", number, "100", bench.wall, counted=self._counted)
        return list(bench.frame(frame, server or self.newest))

    def trades(self, first: int, end: int, server: Server | None = None) -> int:
        """So many, two a second; the time of the last."""
        at = 0
        for number in range(first, end):
            self.bench.advance(0.5)
            at = self.bench.wall
            self.trade(number, server)
            self.bench.frame(wire.quote("ETHUSDT", "9", "11", number), server or self.newest)
        return at

    def lose(self) -> None:
        """The connection ends, and there is another."""
        self.bench.close(self.newest)
        self.bench.advance(3)

    def silence(self, seconds: int) -> None:
        """Only the other instrument's frames come."""
        for step in range(seconds * 2):
            self.bench.advance(0.5)
            self.bench.frame(wire.quote("ETHUSDT", "9", "11", 1_000 + step), self.newest)

    def gaps(self) -> list[Gap]:
        return self.bench.published(Gap)


@pytest.mark.parametrize(("after", "missed"), [(25, 4), (21, None)])
def test_numbers_tell_how_many_a_lost_connection_cost_or_that_it_cost_none(after: int, missed: int | None) -> None:
    market = Market()
    begin = market.trades(1, 21)
    market.lose()
    end = market.bench.wall
    told = market.trade(after)
    gap = Gap(market.bench.topic(TRADES), begin, end, missed)
    assert [type(each) for each in told] == [Gap, Trade, StreamStatus][missed is None :]
    assert market.gaps() == ([] if missed is None else [gap])
    market.trades(after + 1, after + 5)
    assert len(market.gaps()) == len(told) - 2


def test_without_numbers_some_may_be_missing_unless_the_venue_repeats_what_is_known() -> None:
    market = Market(counted=False)
    begin = market.trades(1, 21)
    market.lose()
    end = market.bench.wall
    assert market.trade(30)[0] == Gap(market.bench.topic(TRADES), begin, end)
    market.lose()
    market.trade(30)
    market.trade(31)
    assert len(market.gaps()) == 1


def test_what_was_missed_before_the_first_good_moment_is_missing_for_nobody() -> None:
    market = Market(counted=False)
    market.lose()
    market.trades(5, 9)
    assert market.gaps() == []


def test_a_stream_that_comes_back_and_is_quiet_is_not_called_so_before_the_gap() -> None:
    market = Market(counted=False)
    begin = market.trades(1, 31)
    before = len(market.bench.events)
    market.lose()
    market.silence(3)
    told = [each for each in market.bench.events[before:] if each.topic == market.bench.topic(TRADES)]
    gap, status = told[1:3]  # after stale(disconnected)
    assert isinstance(gap, Gap) and gap.begin == begin and gap.missed is None
    assert isinstance(status, StreamStatus) and status.state is State.QUIET
    market.trade(40)
    assert len(market.gaps()) == 1


@pytest.mark.parametrize(("counted", "missed"), [(True, 2), (False, None)])
def test_a_silent_stream_that_is_begun_anew_may_wake_up_between(counted: bool, missed: int | None) -> None:
    market = Market(counted=counted)
    begin = market.trades(1, 31)
    market.bench.obedient = False
    market.silence(12)
    assert [request["op"] for _, request in market.newest.sent if "BTC" in str(request)] == ["sub", "unsub"]
    market.trade(31)  # on its way when the venue heard of the end
    assert market.gaps() == []
    market.bench.ack(market.newest)
    market.bench.advance(1)
    market.bench.ack(market.newest)
    end = market.bench.wall
    market.trade(34)
    assert market.gaps() == [Gap(market.bench.topic(TRADES), begin, end, missed)]


@pytest.mark.parametrize(("counted", "missed"), [(True, 4), (False, None)])
def test_a_stream_wanted_again_before_the_venue_has_ended_it_may_miss_what_comes_between(
    counted: bool, missed: int | None
) -> None:
    market = Market(counted=counted)
    bench = market.bench
    market.trades(1, 5)
    bench.obedient = False
    bench.drop(TRADES)
    bench.advance(1)
    bench.want(TRADES)
    begin = market.trades(5, 6)  # of the subscription that the venue has yet to end
    bench.ack(market.newest)
    bench.advance(1)
    bench.ack(market.newest)
    end = bench.wall
    market.trade(10)
    assert market.gaps() == [Gap(bench.topic(TRADES), begin, end, missed)]


def rollover(market: Market) -> tuple[Server, Server]:
    old = market.newest
    market.bench.frame(wire.restarting(), old)
    return old, market.newest


def test_a_change_of_connections_in_time_leaves_no_gap() -> None:
    market = Market(counted=False)
    market.trades(1, 21)
    old, new = rollover(market)
    for number in range(21, 51):
        for server in (old, new):
            if server.key in market.bench.servers:
                market.trade(number, server)
        market.bench.advance(0.4)
    assert market.bench.gone[0] == (old, "rollover")
    market.trades(51, 55, new)
    assert market.gaps() == []


@pytest.mark.parametrize("overlap", [True, False])
def test_an_old_connection_that_dies_meanwhile_leaves_one_unless_both_brought_the_same(overlap: bool) -> None:
    market = Market(counted=False)
    market.trades(1, 21)
    old, new = rollover(market)
    if overlap:
        market.trade(21, old)
    market.trade(21, new)
    market.bench.close(old)
    market.trade(22, new)
    assert len(market.gaps()) == (not overlap)
    assert [each.id for each in market.bench.published(Trade)][-2:] == ["21", "22"]


def test_a_new_connection_that_dies_after_it_took_over_leaves_one() -> None:
    market = Market(counted=False)
    market.bench.want(*(f"spot:{base}-USDT:trade" for base in ("ETH",)))
    market.trades(1, 21)
    old, new = rollover(market)
    market.trade(21, new)
    market.bench.advance(1.5)
    market.trade(22, new)
    market.trade(22, old)  # dropped: the new one counts
    market.bench.close(new)
    market.trade(24, old)
    assert len(market.gaps()) == 1


def test_a_bar_built_from_trades_is_not_told_once_its_stream_was_begun_anew() -> None:
    market = Market(counted=False)
    bench = market.bench
    bench.want(BUILT)
    bench.advance(180 - bench.wall % 180_000 / 1000 + 0.1)
    market.trades(1, 2 * 180 + 31)
    whole = bench.published(Candle)
    assert whole
    market.silence(12)
    requests = [request["op"] for _, request in market.newest.sent if "trade:BTC" in str(request)]
    assert requests == ["sub", "unsub", "sub"]
    market.trades(500, 510)
    assert bench.published(Candle) == whole


def test_a_known_trade_that_is_sent_again_first_does_not_hide_those_that_are_missing() -> None:
    market = Market()
    begin = market.trades(1, 21)
    market.lose()
    market.trade(20)
    assert market.gaps() == []
    end = market.bench.wall
    market.trade(25)
    assert market.gaps() == [Gap(market.bench.topic(TRADES), begin, end, 4)]

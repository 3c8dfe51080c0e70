"""Liquidations: each once, of a stream that may be of a whole market, and quiet while nothing is liquidated."""

from __future__ import annotations

import pytest
from attrs import evolve

from cryptodash.core.events import Cause, Gap, Liquidation, State, StreamStatus
from cryptodash.core.instruments import MarketType
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import make_catalogue

BTC, ETH = "perpetual:BTC-USDT:liquidation", "perpetual:ETH-USDT:liquidation"
Order = tuple[str, str, str, str, int]


def ready(*topics: str) -> Bench:
    bench = Bench()
    bench.want(*(topics or (BTC,)))
    bench.advance(1)
    return bench


def order(bench: Bench, native: str = "BTCUSDT", side: str = "sell", price: str = "99.50", ms: int = 0) -> Order:
    return native, side, price, "0.20", bench.wall + ms


def tell(bench: Bench, *orders: Order, **said: bool) -> list[Liquidation]:
    return [each for each in bench.frame(wire.liquidations(*orders, **said)) if isinstance(each, Liquidation)]


def test_an_ack_makes_it_quiet_and_a_frame_live() -> None:
    bench = Bench(obedient=False)
    bench.want(BTC)
    bench.advance(1)
    bench.open(bench.only)
    bench.advance(1)
    assert bench.state(BTC) is State.CONNECTING, "nothing says yet that it is subscribed"
    bench.ack(bench.only)
    bench.advance(1)
    assert (bench.state(BTC), bench.status(BTC).cause) == (State.QUIET, None)
    (told,) = tell(bench, order(bench), complete=False)
    assert (told.side, told.price, told.quantity, told.complete, told.id) == ("sell", "99.50", "0.20", False, "")
    assert told.topic is bench.topic(BTC)
    assert bench.state(BTC) is State.LIVE


def test_a_silence_is_no_fault_however_many_came_before_it() -> None:
    bench = ready()
    for number in range(120):
        tell(bench, order(bench, ms=-number))
        bench.advance(0.25)
    assert bench.state(BTC) is State.LIVE
    sent = len(bench.only.sent)
    for _ in range(1_200):
        bench.advance(1)
        bench.engine.heard(bench.only.key)
    assert (bench.state(BTC), bench.status(BTC).cause) == (State.QUIET, None)
    assert not [request for _, request in bench.only.sent[sent:] if request["op"] != "ping"], (
        "nor is it subscribed anew"
    )
    assert not bench.gone


def test_one_stream_of_a_market_serves_each_instrument_its_own() -> None:
    bench = ready(BTC, ETH)
    assert bench.subscribed() == {"liquidation:ALL"}
    told = tell(bench, order(bench), order(bench, "XRPUSDT"), order(bench, "ETHUSDT", "buy"))
    assert [(each.topic.symbol.base, each.side) for each in told] == [("BTC", "sell"), ("ETH", "buy")]
    bench.drop(BTC)
    assert [each.topic.symbol.base for each in tell(bench, order(bench), order(bench, "ETHUSDT", ms=1))] == ["ETH"]


def test_a_repeat_of_a_frame_is_told_once_and_twice_in_one_frame_are_two() -> None:
    bench = ready()
    same = order(bench)
    frame = (same, same, order(bench, side="buy"))
    assert [each.side for each in tell(bench, *frame)] == ["sell", "sell", "buy"]
    assert tell(bench, *frame) == [] == tell(bench, same)
    assert len(tell(bench, same, same, same)) == 1
    assert bench.count("cryptodash_frames_repeated_total", "liquidation") == 6


def test_they_are_told_as_they_come_and_a_time_of_the_future_is_held() -> None:
    bench = ready()
    assert len(tell(bench, order(bench, ms=-50), order(bench, ms=-900))) == 2, "not in order of time"
    assert tell(bench, order(bench, price="98", ms=3_600_000)) == []
    assert len(tell(bench, order(bench, price="97"))) == 1
    bench.advance(7)
    assert [each.price for each in bench.published(Liquidation)] == ["99.50", "99.50", "97"]


def test_contracts_become_base_quantities() -> None:
    catalogue = make_catalogue("BTC-USDT", "ETH-USDT")
    perpetual = MarketType.PERPETUAL
    sized = [evolve(each, contract_size=Number("0.01")) for each in catalogue if each.market is perpetual]
    catalogue.replace(perpetual, sized)
    bench = Bench(catalogue=catalogue)
    bench.want(BTC)
    bench.advance(1)
    (told,) = tell(bench, order(bench), contracts=True)
    assert told.quantity == "0.0020"


def test_contracts_of_an_unknown_size_are_left_out_and_counted() -> None:
    bench = ready()
    assert tell(bench, order(bench), contracts=True) == []
    assert bench.count("cryptodash_liquidations_refused_total") == 1


def test_a_lost_connection_is_told_and_what_it_repeats_afterwards_is_not() -> None:
    bench = ready()
    first = order(bench)
    tell(bench, first)
    bench.close(bench.only, Closed("remote"))
    assert (bench.state(BTC), bench.status(BTC).cause) == (State.STALE, Cause.DISCONNECTED)
    bench.advance(3)
    assert bench.state(BTC) is State.QUIET
    assert tell(bench, first) == []


def test_what_a_lost_connection_may_have_cost_is_told_before_it_is_called_quiet() -> None:
    bench = ready()
    tell(bench, order(bench))
    begin = bench.wall
    bench.advance(20)
    before = len(bench.events)
    bench.close(bench.only, Closed("remote"))
    bench.advance(3)
    lost, gap, quiet = bench.events[before:]
    assert isinstance(lost, StreamStatus) and lost.cause is Cause.DISCONNECTED
    assert isinstance(gap, Gap) and (gap.begin, gap.missed) == (begin, None) and begin < gap.end <= bench.wall
    assert isinstance(quiet, StreamStatus) and quiet.state is State.QUIET
    tell(bench, order(bench))
    assert bench.published(Gap) == [gap]


def test_it_is_not_quiet_on_a_connection_that_is_silent_as_a_whole_though_it_never_told_any() -> None:
    bench = ready(BTC, "perpetual:BTC-USDT:ticker")
    assert bench.state(BTC) is State.QUIET
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    bench.advance(7)
    assert (bench.status(BTC).state, bench.status(BTC).cause) == (State.STALE, Cause.SILENT)
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    bench.advance(1)
    assert bench.state(BTC) is State.QUIET
    assert bench.published(Gap) == []


@pytest.mark.parametrize(("native", "told"), [("BTCUSDT", [Gap, Liquidation]), ("ETHUSDT", [Gap])])
def test_it_is_told_before_the_first_frame_that_comes_whosever_that_is(native: str, told: list[type]) -> None:
    bench = ready(BTC)
    tell(bench, order(bench))
    bench.obedient = False
    bench.close(bench.only, Closed("remote"))
    bench.advance(3)
    bench.open(bench.only)
    found = [each for each in bench.frame(wire.liquidations(order(bench, native))) if type(each) in told]
    assert [type(each) for each in found] == told
    assert bench.state(BTC) is State.LIVE


def test_what_was_missed_before_the_first_ack_is_missing_for_nobody() -> None:
    bench = Bench(obedient=False)
    bench.want(BTC)
    bench.advance(1)
    bench.open(bench.only)
    bench.close(bench.only, Closed("remote"))
    bench.obedient = True
    bench.advance(5)
    assert bench.state(BTC) is State.QUIET
    assert bench.published(Gap) == []


def test_a_change_of_connections_in_time_leaves_no_gap() -> None:
    bench = ready()
    old = bench.only
    bench.frame(wire.restarting(), old)
    bench.advance(1)
    bench.frame(wire.liquidations(order(bench)), old)
    bench.advance(60)
    assert [server for server, _ in bench.gone] == [old]
    tell(bench, order(bench))
    assert bench.published(Gap) == []


def test_a_market_without_them_is_closed_as_rejected() -> None:
    bench = ready("spot:ETH-USDT:trade")
    bench.carry_out(bench.engine.want([bench.topic("spot:BTC-USDT:ticker").sibling(Channel.LIQUIDATION)]))
    status = bench.published(StreamStatus)[-1]
    assert (status.topic.channel, status.state, status.cause) == (Channel.LIQUIDATION, State.CLOSED, Cause.REJECTED)

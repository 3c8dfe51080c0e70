"""Connections that are dead without an end, and venues that answer nothing: both are over once the venue is well
again."""

from __future__ import annotations

from attrs import evolve

from cryptodash.core.events import Cause, State
from cryptodash.exchanges.subscriptions.streams import ASK_AGAIN
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server
from cryptodash.testing.venue import LIMITS, MadeUpVenue

TRADES = "spot:BTC-USDT:trade"
SILENT_AFTER = 200.0
"""Of a venue that pings every three minutes: silence alone proves nothing before that."""


def newest(bench: Bench) -> Server:
    return list(bench.servers.values())[-1]


def seldom_pinged(**members: bool) -> Bench:
    return Bench(MadeUpVenue(evolve(LIMITS, silent_after=SILENT_AFTER, ping_every=None)), **members)


def trade(bench: Bench, number: int, server: Server) -> None:
    bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall), server)


def test_what_a_dead_connection_does_not_answer_is_not_rejected_and_is_asked_of_another() -> None:
    bench = seldom_pinged(obedient=False)
    bench.want(TRADES)
    dead = bench.only
    bench.open(dead)
    bench.advance(25)
    assert bench.status(TRADES).state is State.CONNECTING
    assert newest(bench) is not dead
    bench.obedient = True
    bench.open(newest(bench))
    bench.advance(1)
    trade(bench, 1, newest(bench))
    assert bench.state(TRADES) is State.LIVE


def test_what_a_living_connection_does_not_answer_is_rejected_and_asked_for_again() -> None:
    bench = Bench(obedient=False)
    bench.want(TRADES)
    server = bench.only
    bench.open(server)
    for _ in range(4):
        bench.advance(5.5)
        bench.engine.heard(server.key)
    assert (bench.status(TRADES).state, bench.status(TRADES).cause) == (State.CLOSED, Cause.REJECTED)
    bench.obedient = True
    for _ in range(int(ASK_AGAIN / 5) + 1):
        bench.advance(5)
        bench.engine.heard(server.key)
    assert "trade:BTCUSDT" in bench.subscribed()
    trade(bench, 1, newest(bench))
    assert bench.state(TRADES) is State.LIVE


def die(bench: Bench, first: int) -> Server:
    """Let the newest connection live for some seconds, and say nothing from then on; which one it was."""
    server = newest(bench)
    for number in range(first, first + 100):
        trade(bench, number, server)
        bench.advance(0.1)
    bench.advance(25)
    return server


def test_a_second_dead_connection_within_minutes_is_given_up_as_soon_as_the_first() -> None:
    bench = seldom_pinged()
    bench.want(TRADES)
    first = die(bench, 1)
    second = newest(bench)
    assert second is not first
    die(bench, 200)
    assert newest(bench) is not second

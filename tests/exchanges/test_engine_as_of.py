"""For when a value holds: by the last frame of its connection, less the delay."""

from __future__ import annotations

import pytest

from cryptodash.core.events import State
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench

BBO, OTHER = "spot:BTC-USDT:bbo", "spot:ETH-USDT:bbo"
BOOK = "perpetual:BTC-USDT:order_book:5"


def as_of(bench: Bench, topic: str = BBO) -> float | None:
    """How long before now."""
    at = bench.engine.as_of(bench.topic(topic))
    return None if at is None else round(bench.clock.monotonic() - at, 3)


def quote(bench: Bench, native: str = "BTCUSDT", late: int = 0) -> None:
    number = round(bench.clock.monotonic() * 1000)
    bench.frame(wire.quote(native, "99", "101", number, bench.wall - late))


def answer_probes(bench: Bench) -> None:
    while bench.probes:
        bench.carry_out(bench.engine.rest_answer(bench.probes.pop(0), str(bench.wall).encode()))


def ready() -> Bench:
    bench = Bench()
    bench.want(BBO, OTHER)
    bench.advance(1)
    answer_probes(bench)
    return bench


def test_it_is_unknown_before_the_first_value() -> None:
    bench = ready()
    assert as_of(bench) is None
    assert bench.engine.as_of(bench.topic("spot:BTC-USDT:ticker")) is None, "nor of what is not wanted"
    quote(bench)
    assert as_of(bench) == 0


def test_a_frame_of_any_stream_of_the_connection_proves_that_a_quiet_one_has_missed_nothing() -> None:
    bench = ready()
    quote(bench)
    bench.advance(0.75)
    assert as_of(bench) == 0.75
    quote(bench, "ETHUSDT")
    assert as_of(bench) == 0
    confirmed = bench.engine.confirmed_at(bench.topic(BBO))
    assert confirmed is not None and bench.clock.monotonic() - confirmed == pytest.approx(0.75), "age is another thing"


def test_the_delay_is_taken_off() -> None:
    bench = ready()
    for _ in range(8):
        quote(bench)
        bench.advance(0.25)
    for _ in range(4):
        quote(bench, late=1500)
        bench.advance(0.25)
    quote(bench, late=1500)
    assert as_of(bench) == 1.5
    assert bench.state(BBO) is State.LIVE


def test_after_a_silence_frames_prove_nothing_until_their_delay_is_known() -> None:
    bench = ready()
    for _ in range(8):
        quote(bench)
        quote(bench, "ETHUSDT")
        bench.advance(0.25)
    bench.advance(6.0)
    told = as_of(bench)
    assert told is not None and told >= 6.0
    number = round(bench.clock.monotonic() * 1000)
    bench.frame(wire.quote("BTCUSDT", "99", "101", number, None))  # tells no time of sending
    told = as_of(bench)
    assert told is not None and told >= 6.0, "it may have been sent at any time since"
    for _ in range(4):
        quote(bench)
        bench.advance(0.25)
    quote(bench)
    assert as_of(bench) == 0


def test_of_a_lost_connection_it_is_its_own_last_frame() -> None:
    bench = ready()
    quote(bench)
    bench.advance(0.5)
    quote(bench, "ETHUSDT")
    bench.close(bench.only, Closed("remote"))
    assert bench.state(BBO) is State.STALE
    assert as_of(bench) == 0.5


def test_of_a_book_likewise() -> None:
    bench = Bench()
    bench.want(BOOK, OTHER.replace("spot", "perpetual"))
    bench.advance(1)
    answer_probes(bench)
    assert as_of(bench, BOOK) is None
    bench.frame(wire.book("book5:BTCUSDT", 1, 1, {"99": "1"}, {"101": "1"}, snapshot=True))
    bench.advance(0.5)
    assert as_of(bench, BOOK) == 0.5
    quote(bench, "ETHUSDT")
    assert as_of(bench, BOOK) == 0

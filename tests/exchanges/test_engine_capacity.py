"""Books and what they cost: who may have a snapshot, in which order, and what is kept for it."""

from __future__ import annotations

import pytest

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, State
from cryptodash.core.instruments import MarketType
from cryptodash.exchanges.adapter.venue import Limits
from cryptodash.exchanges.builders.waiting_frames import FrameBudget
from cryptodash.exchanges.subscriptions import snapshot_sizes
from cryptodash.exchanges.subscriptions.snapshot_sizes import Consumption, SnapshotSizes
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import LIMITS, MadeUpVenue, make_catalogue, make_instrument

WIDE = Limits(
    streams=200,
    args_chars=None,
    args_per_message=100,
    message_gap=0.01,
    connects=LIMITS.connects,
    ping_every=20.0,
    silent_after=300.0,
    lifetime=None,
)
NAMES = [f"C{number}" for number in range(100)]
AT_ONCE = 10
"""The made-up venue gives 60 snapshots a minute: so many in the ten seconds that count as soon."""


def make_bench() -> Bench:
    return Bench(MadeUpVenue(WIDE), make_catalogue(*(f"{name}-USDT" for name in NAMES)))


def book(name: str) -> str:
    return f"spot:{name}-USDT:order_book:5"


def diff(bench: Bench, name: str, number: int) -> None:
    bench.frame(wire.book(f"book:{name}USDT", number, number, {"98": "1"}, {}))


def snapshot(last: int) -> bytes:
    return wire.book("rest", last, last, {"99": "1"}, {"101": "1"}, snapshot=True)


def speak(bench: Bench, *names: str, number: int = 1) -> None:
    """Two frames of each of these books that has a stream."""
    for name in names:
        if f"book:{name}USDT" in bench.subscribed():
            diff(bench, name, number)
            diff(bench, name, number + 1)


def waiting(bench: Bench, *names: str) -> list[str]:
    """Which of them have no room yet."""
    statuses = {name: bench.status(book(name)) for name in names}
    return [name for name, each in statuses.items() if (each.state, each.cause) == (State.CONNECTING, Cause.CAPACITY)]


def asked(bench: Bench) -> list[str]:
    """Whose snapshots are on their way."""
    return [each.native.removesuffix("USDT") for each in bench.fetches]


def test_a_book_that_nobody_holds_leaves_the_queue_and_keeps_no_frame() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:4]))
    bench.advance(1)
    speak(bench, *NAMES[:4])
    assert asked(bench) == ["C0", "C1"]
    assert bench.engine.pending_diffs == 8
    for name in NAMES[:4]:
        bench.held(book(name))
    assert bench.engine.pending_diffs == 0
    speak(bench, *NAMES[:4], number=3)
    assert bench.engine.pending_diffs == 0
    for request in list(bench.fetches):
        bench.answer(request, snapshot(2))
    bench.advance(30)
    assert bench.fetches == []
    assert bench.subscribed() == {f"book:{name}USDT" for name in NAMES[:4]}  # it lingers all the same


def test_a_lingering_book_that_is_held_again_begins_its_wait_anew() -> None:
    bench = make_bench()
    bench.want(book("C0"))
    bench.advance(1)
    speak(bench, "C0")
    bench.held(book("C0"))
    bench.answer(bench.fetches[0], snapshot(2))
    diff(bench, "C0", 3)  # is not kept: what comes later does not follow it
    bench.held(book("C0"), "somebody")
    bench.advance(6)
    speak(bench, "C0", number=8)
    assert asked(bench) == ["C0"]
    bench.answer(bench.fetches[0], snapshot(8))
    assert bench.state(book("C0")) is State.LIVE
    assert bench.count("cryptodash_book_gaps_total", "sequence") == 0


def test_a_lingering_book_goes_on_but_is_not_renewed_and_forgets_a_renewal_under_way() -> None:
    bench = make_bench()
    bench.want(book("C0"))
    bench.advance(1)
    speak(bench, "C0")
    levels = {f"{99 - number / 100:.2f}": "1" for number in range(100)}
    asks = {f"{101 + number / 100:.2f}": "1" for number in range(100)}
    bench.answer(bench.fetches[0], wire.book("rest", 2, 2, levels, asks, snapshot=True))
    gone = dict.fromkeys(list(levels)[3:], "0")
    bench.advance(6)
    bench.frame(wire.book("book:C0USDT", 3, 3, gone, {}))
    bench.advance(0.5)
    assert asked(bench) == ["C0"]
    diff(bench, "C0", 4)
    assert bench.engine.pending_diffs == 1
    bench.held(book("C0"))
    assert bench.engine.pending_diffs == 0
    bench.answer(bench.fetches[0], snapshot(4))
    diff(bench, "C0", 5)
    bench.advance(10)
    assert bench.fetches == []
    assert bench.state(book("C0")).is_good
    bench.held(book("C0"), "somebody")
    bench.advance(1)
    assert asked(bench) == ["C0"]


def test_no_more_books_are_opened_than_snapshots_can_be_had_soon() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:30]), clients=["one"])
    bench.advance(1)
    assert len(bench.subscribed()) == AT_ONCE
    assert waiting(bench, *NAMES[:30]) == NAMES[AT_ONCE:30]
    speak(bench, *NAMES[:30])
    assert len(bench.fetches) == 2
    bench.answer(bench.fetches[0], snapshot(2))
    bench.advance(0.5)
    assert len(bench.subscribed()) == AT_ONCE + 1
    assert waiting(bench, *NAMES[:30]) == NAMES[AT_ONCE + 1 : 30]


def test_another_clients_one_book_is_opened_at_once_and_its_snapshot_is_the_next() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:90]), clients=["many"])
    bench.advance(1)
    speak(bench, *NAMES[:90])
    bench.want(book("C95"), clients=["one"])
    bench.advance(0.5)
    assert waiting(bench, "C95") == []
    speak(bench, "C95")
    bench.answer(bench.fetches[0], snapshot(2))
    assert asked(bench)[-1] == "C95"


def test_snapshots_go_round_by_client() -> None:
    bench = make_bench()
    order = []
    for client, names in (("a", NAMES[:4]), ("b", NAMES[4:6]), ("c", NAMES[6:7])):
        bench.want(*map(book, names), clients=[client])
    bench.advance(1)
    speak(bench, *NAMES[:7])
    while bench.fetches:
        order += asked(bench)[:1]
        bench.answer(bench.fetches[0], snapshot(2))
    assert order == ["C0", "C1", "C4", "C6", "C2", "C5", "C3"]  # two of a's went before the others came


def test_a_book_that_another_client_wants_as_well_comes_with_the_first_turn_of_either() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:8]), clients=["many"])
    bench.advance(1)
    speak(bench, *NAMES[:8])
    bench.held(book("C7"), "many", "one")
    bench.answer(bench.fetches[0], snapshot(2))
    assert asked(bench)[-1] == "C7"


def test_when_all_books_are_lost_at_once_a_new_one_is_not_held_up_by_them() -> None:
    bench = make_bench()
    for name in NAMES[:40]:
        bench.want(book(name), clients=["many"])
        bench.advance(0.5)
        speak(bench, name)
        bench.answer(bench.fetches[0], snapshot(2))
    for name in NAMES[:40]:
        diff(bench, name, 9)
    bench.advance(5)
    for name in NAMES[:40]:
        diff(bench, name, 10)
    bench.want(book("C98"), book("C99"), clients=["one"])
    assert waiting(bench, "C98", "C99") == []
    bench.want(book("C97"), clients=["many"])
    assert waiting(bench, "C97") == ["C97"]


def test_books_of_markets_that_say_nothing_hold_up_no_other() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:20]), clients=["one"])
    bench.advance(4)
    assert len(bench.subscribed()) == AT_ONCE
    bench.advance(2)
    assert len(bench.subscribed()) == 20


def test_a_book_without_room_has_no_stream_and_is_forgotten_when_nobody_wants_it() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:12]), clients=["one"])
    bench.held(book("C10"))
    bench.drop(book("C11"))
    bench.drop(*map(book, NAMES[:10]))
    bench.advance(1)
    assert bench.subscribed() == set()
    bench.held(book("C10"), "two")
    bench.advance(1)
    assert bench.subscribed() == {"book:C10USDT"}


def test_a_failed_snapshot_keeps_its_book_among_those_that_wait() -> None:
    bench = make_bench()
    bench.want(*map(book, NAMES[:11]), clients=["one"])
    bench.advance(1)
    speak(bench, *NAMES[:10])
    bench.fail(bench.fetches[0], UpstreamError("banned", "too many requests", 7.0))
    assert waiting(bench, "C10") == ["C10"]


def test_the_frames_of_all_books_have_one_bound_and_the_heaviest_book_gives_way() -> None:
    budget = FrameBudget(20_000)
    bench = Bench(MadeUpVenue(WIDE), make_catalogue("A-B", "C-D"), budget=budget)
    other = Bench(MadeUpVenue(WIDE), make_catalogue("A-B", "C-D"), budget=budget)
    for each in (bench, other):
        each.want("spot:A-B:order_book:5")
        each.advance(1)
    for number in range(1, 31):
        bench.frame(wire.book("book:AB", number, number, {"98": "1"}, {}))
    for number in range(1, 16):
        other.frame(wire.book("book:AB", number, number, {"98": "1"}, {}))
    assert budget.bytes == 45 * 450 - 30 * 450
    assert budget.given_way == 1
    assert (bench.engine.pending_diffs, other.engine.pending_diffs) == (0, 15)
    bench.frame(wire.book("book:AB", 31, 31, {"98": "1"}, {}))
    bench.answer(bench.fetches[0], snapshot(40))
    assert bench.count("cryptodash_book_gaps_total", "overflow") == 1
    bench.frame(wire.book("book:AB", 32, 32, {"98": "1"}, {}))
    bench.frame(wire.book("book:AB", 33, 33, {"98": "1"}, {}))
    assert bench.state("spot:A-B:order_book:5") is State.LIVE  # a snapshot that is ahead needs no frame before it
    other.drop("spot:A-B:order_book:5")
    bench.drop("spot:A-B:order_book:5")
    assert budget.bytes == 0


def test_a_snapshot_that_is_used_up_at_once_is_followed_by_a_larger_one_for_an_hour() -> None:
    bench = make_bench()
    bench.want(book("C0"))
    bench.advance(1)
    speak(bench, "C0")
    assert bench.fetches[0].limit == 100
    levels = {f"{99 - number / 100:.2f}": "1" for number in range(100)}
    asks = {f"{101 + number / 100:.2f}": "1" for number in range(100)}
    bench.answer(bench.fetches[0], wire.book("rest", 2, 2, levels, asks, snapshot=True))
    bench.advance(59)
    bench.frame(wire.book("book:C0USDT", 3, 3, dict.fromkeys(list(levels)[3:], "0"), {}))
    bench.advance(0.5)
    assert [each.limit for each in bench.fetches] == [1000]


def test_a_book_that_is_lost_just_after_a_renewal_does_not_wait_for_its_spacing() -> None:
    bench = make_bench()
    bench.want(book("C0"))
    bench.advance(1)
    speak(bench, "C0")
    levels = {f"{99 - number / 100:.2f}": "1" for number in range(100)}
    asks = {f"{101 + number / 100:.2f}": "1" for number in range(100)}
    whole = wire.book("rest", 2, 2, levels, asks, snapshot=True)
    bench.answer(bench.fetches[0], whole)
    bench.advance(6)
    bench.frame(wire.book("book:C0USDT", 3, 3, dict.fromkeys(list(levels)[3:], "0"), {}))
    bench.advance(0.5)
    bench.answer(bench.fetches[0], wire.book("rest", 3, 3, levels, asks, snapshot=True))
    assert bench.state(book("C0")).is_good
    for number in (8, 9):
        diff(bench, "C0", number)
    assert bench.state(book("C0")) is State.RESYNCING
    assert asked(bench) == ["C0"]
    bench.answer(bench.fetches[0], snapshot(9))
    for number in (15, 16):
        diff(bench, "C0", number)
    assert asked(bench) == []  # lost again at once: now it waits
    bench.advance(5)
    assert asked(bench) == ["C0"]


def test_a_book_that_is_lost_after_a_success_does_not_wait_for_the_failures_before_it() -> None:
    bench = make_bench()
    bench.want(book("C0"))
    bench.advance(1)
    for number in (20, 21):
        diff(bench, "C0", number)
    for _ in range(4):
        while not bench.fetches:
            bench.advance(1)
        bench.answer(bench.fetches[0], snapshot(1))  # older than the frames
    while not bench.fetches:
        bench.advance(1)
    bench.answer(bench.fetches[0], snapshot(21))
    assert bench.state(book("C0")).is_good
    for number in (30, 31):
        diff(bench, "C0", number)
    assert bench.state(book("C0")) is State.RESYNCING
    bench.advance(6)
    assert asked(bench) == ["C0"]


def test_a_snapshot_that_will_not_last_is_followed_by_a_larger_one_before_it_ends() -> None:
    bench = make_bench()
    bench.want(book("C0"))
    bench.advance(1)
    speak(bench, "C0")
    levels = {f"{99 - number / 100:.2f}": "1" for number in range(100)}
    asks = {f"{101 + number / 100:.2f}": "1" for number in range(100)}
    bench.answer(bench.fetches[0], wire.book("rest", 2, 2, levels, asks, snapshot=True))
    for second in range(4):  # five levels a second: 80 to spare would last for sixteen
        gone = list(levels)[5 * second : 5 * second + 5]
        bench.frame(wire.book("book:C0USDT", 3 + second, 3 + second, dict.fromkeys(gone, "0"), {}))
        bench.advance(1)
        assert bench.fetches == []
    for second in range(4, 8):
        gone = list(levels)[5 * second : 5 * second + 5]
        bench.frame(wire.book("book:C0USDT", 3 + second, 3 + second, dict.fromkeys(gone, "0"), {}))
        bench.advance(1)
    assert [each.limit for each in bench.fetches] == [1000]


def test_whether_a_snapshot_ends_soon_follows_from_its_pace_so_far() -> None:
    consumption = Consumption()
    assert not consumption.ends_soon(5, 0.0)
    consumption.begin(100, 10.0)
    table = {
        (99, 10.9): False,
        (90, 11.0): True,
        (90, 20.0): False,
        (49, 20.0): True,
        (5, 69.0): False,  # it will last its minute
        (1, 69.0): True,
        (1, 70.0): False,
    }
    assert {key: consumption.ends_soon(*key) for key in table} == table
    consumption.begin(None, 10.0)
    assert not consumption.ends_soon(None, 15.0)


def test_a_size_is_remembered_for_an_hour_and_no_larger_one_is_asked_for_after_a_minute() -> None:
    sizes, coin = SnapshotSizes(), make_instrument(MarketType.SPOT, "A", "B")
    assert sizes.levels(coin, 50, 0.0) == 100
    sizes.used_up(coin, 100, 59.9, 10.0)
    assert sizes.levels(coin, 50, 11.0) == 101
    assert sizes.levels(coin, 500, 11.0) == 1000
    sizes.used_up(coin, 500, 60.0, 20.0)
    assert sizes.levels(coin, 50, 3609.9) == 101
    assert sizes.levels(coin, 50, 3610.0) == 100


def test_sizes_are_remembered_of_so_many_instruments_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_sizes, "MOST_REMEMBERED", 2)
    sizes = SnapshotSizes()
    coins = [make_instrument(MarketType.SPOT, name, "B") for name in "ACD"]
    for coin in coins:
        sizes.used_up(coin, 100, 1.0, 0.0)
    assert [sizes.levels(coin, 1, 1.0) for coin in coins] == [2, 101, 101]


def test_a_book_whose_connection_is_lost_while_it_waits_asks_for_its_snapshot_after_it_is_back() -> None:
    """One that was fetched meanwhile would be too old for the new beginning, and the next one far away."""
    bench = Bench()
    name, topic = "BTC", book("BTC")
    bench.want(topic)
    bench.advance(1)
    speak(bench, name)
    bench.advance(0.5)
    bench.answer(bench.fetches[-1], snapshot(2))
    diff(bench, name, 3)
    assert bench.state(topic) is State.LIVE
    diff(bench, name, 9)  # a hole: a snapshot is wanted, and not to be had for five seconds
    diff(bench, name, 10)
    bench.obedient = False
    bench.close(bench.only)
    asked = len(bench.fetches)
    bench.advance(8)
    assert len(bench.fetches) == asked
    bench.obedient = True
    for server in list(bench.servers.values()):
        bench.open(server)
    bench.advance(0.5)
    speak(bench, name, number=20)
    bench.advance(0.5)
    bench.answer(bench.fetches[-1], snapshot(21))
    diff(bench, name, 22)
    assert bench.state(topic) is State.LIVE
    assert bench.count("cryptodash_book_resyncs_total", "outdated") == 0

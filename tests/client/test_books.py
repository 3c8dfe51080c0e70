"""A book is live only while snapshot and deltas chain, the server says so, the link is trusted and bid < ask."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.client import Book, MalformedFrame
from cryptodash.client.channels import Channel
from cryptodash.client.decoding import digits
from tests.client.frames import BOOK, SYMBOL, TIMES, Bench, delta, levels, snapshot, status


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.open(BOOK)
    bench.hear(status(BOOK, "live", 40), snapshot(4))
    return bench


def book_of(bench: Bench) -> Book:
    found = bench.state.book(BOOK)
    assert found is not None
    return found


def test_a_snapshot_then_deltas_are_the_book_with_the_venues_own_digits(bench: Bench) -> None:
    book = book_of(bench)
    assert book.live
    bench.hear(delta(5, bids=levels(("1.15", "3.000")), gone='{"bids":[1.10],"asks":[]}'))
    assert [(digits(p), digits(q)) for p, q in book.bids] == [("1.15", "3.000"), ("1.00", "2.50")]
    assert book.best_ask == (Decimal("1.20"), Decimal(1))
    assert book.sequence == 5 and book.live


def test_a_price_that_comes_with_other_digits_is_the_same_level(bench: Bench) -> None:
    bench.hear(delta(5, bids=levels(("1.1", "7"))))
    assert [(digits(p), digits(q)) for p, q in book_of(bench).bids] == [("1.1", "7"), ("1.00", "2.50")]


@pytest.mark.parametrize(
    "frame",
    [
        delta(6),
        delta(4),
        delta(5, gone='{"bids":[9.99],"asks":[]}'),
        delta(5, bids=levels(("0.9", "1"), ("0.8", "1"))),
    ],
    ids=["a gap", "a repeat", "a level that is not there", "deeper than the view"],
)
def test_what_does_not_fit_makes_it_not_live_and_asks_once_for_a_snapshot(bench: Bench, frame: str) -> None:
    book = book_of(bench)
    bench.hear(frame, delta(7), delta(8))
    assert (book.live, book.state, book.cause) == (False, "resyncing", "gap")
    asked = bench.asked()
    assert [each["op"] for each in asked] == ["resync"]
    assert asked[0]["channels"] == [BOOK.wire()]
    bench.hear(json.dumps({"type": "info", "payload": {"message": "Resynced 1 channels", "id": asked[0]["id"]}}))
    bench.hear(status(BOOK, "live", 10))
    assert not book.live
    bench.hear(snapshot(9))
    assert book.live and book.sequence == 9
    bench.hear(delta(11))
    assert [each["op"] for each in bench.asked()] == ["resync"]


def test_a_resync_that_is_refused_is_asked_for_again(bench: Bench) -> None:
    bench.hear(delta(6))
    number = bench.asked()[0]["id"]
    refusal = {"type": "error", "payload": {"id": number, "code": "rate_limited", "message": "later"}}
    bench.hear(json.dumps(refusal), delta(7))
    assert [each["op"] for each in bench.asked()] == ["resync"]


def test_a_crossed_book_is_never_live_but_a_composite_one_may_be(bench: Bench) -> None:
    book = book_of(bench)
    bench.hear(delta(5, bids=levels(("1.20", "1"))))
    assert (book.crossed, book.live, book.cause) == (True, False, "crossed")
    assert [each["op"] for each in bench.asked()] == ["resync"]
    bench.hear(delta(6, gone='{"bids":[1.20],"asks":[]}'))
    assert book.live
    other = Channel("order_book", "composite", "BTC-USDT", depth=3)
    bench.state.subscribe([other])
    bench.accept()
    crossed = snapshot(1, bids=levels(("1.3", "1"))).replace('"binance"', '"composite"')
    bench.hear(status(other, "live"), crossed)
    composite = bench.state.book(other)
    assert composite is not None and composite.crossed and composite.live


def test_a_delta_before_any_snapshot_is_no_book() -> None:
    bench = Bench()
    bench.open(BOOK)
    bench.hear(status(BOOK, "live"), delta(5, bids=levels(("1", "1"))))
    assert not book_of(bench).live and book_of(bench).bids == ()


@pytest.mark.parametrize("state", ["stale", "resyncing", "closed", "connecting", "recorded", "a word of the future"])
def test_it_is_not_live_when_the_status_says_so(bench: Bench, state: str) -> None:
    bench.hear(status(BOOK, state, 100, cause="silent"))
    assert not book_of(bench).live and not book_of(bench).trusted


def test_quiet_is_trusted_and_not_live(bench: Bench) -> None:
    bench.hear(status(BOOK, "quiet", 7000))
    book = book_of(bench)
    assert (book.live, book.trusted, book.words) == (
        False,
        True,
        "quiet (nothing happens, nothing contradicts it), 7.0 s old",
    )


def test_a_link_that_is_silent_or_lost_makes_nothing_live(bench: Bench) -> None:
    book = book_of(bench)
    bench.now += 3.1
    assert (book.live, book.cause) == (False, "link_silent")
    bench.hear(delta(5))
    assert book.live
    bench.state.closed()
    assert (book.live, book.state, book.cause) == (False, "stale", "link_lost")
    assert book.words.startswith("STALE for ")
    assert book.bids, "the levels are kept, to be looked at"


def test_after_a_reconnect_it_is_not_live_before_its_snapshot(bench: Bench) -> None:
    book = book_of(bench)
    bench.state.closed()
    bench.open()
    assert (book.live, book.state) == (False, "connecting")
    bench.hear(status(BOOK, "live", 20))
    assert not book.live
    bench.hear(snapshot(1))
    assert book.live and book.age == pytest.approx(0.02)


@given(st.lists(st.tuples(st.sampled_from("bbbbaxr"), st.integers(1, 6), st.integers(0, 3)), max_size=60))
def test_whatever_is_lost_or_repeated_a_book_that_is_live_is_the_view_of_its_sequence(
    steps: list[tuple[str, int, int]],
) -> None:
    """A view of three bids, of which each step sets or deletes a level: ``b`` told, ``x`` lost, ``r`` told twice, ``a``
    told behind the answers to what was asked."""
    bench = Bench()
    bench.open(BOOK)
    view: dict[str, str] = {}
    views = {1: dict(view)}
    ask = levels(("9", "1"))
    bench.hear(status(BOOK, "live"), snapshot(1, bids="[]", asks=ask))
    for sequence, (told, price, size) in enumerate(steps, start=2):
        name, gone, sets = f"1.{price}", "[]", "[]"
        if size == 0 or (len(view) == 3 and name not in view):
            gone = f"[{view.popitem()[0]}]" if view else "[]"
        else:
            view[name] = str(size)
            sets = levels((name, str(size)))
        views[sequence] = dict(view)
        if told == "a":
            for each in bench.accept():
                if each["op"] == "resync":
                    before = views[sequence - 1]
                    bench.hear(status(BOOK, "live"), snapshot(sequence - 1, levels(*before.items()), ask))
        change = delta(sequence, bids=sets, gone=f'{{"bids":{gone},"asks":[]}}')
        bench.hear(*[change] * {"x": 0, "r": 2}.get(told, 1))
        book = book_of(bench)
        if book.live:
            shown = {digits(price): digits(size) for price, size in book.bids}
            assert book.sequence is not None and shown == views[book.sequence]
            assert book.sequence == sequence or told == "x"


@pytest.mark.parametrize(
    "frame",
    [
        snapshot(5, bids='[{"price":"1","quantity":1}]'),
        snapshot(5, bids='[{"price":1}]'),
        snapshot(5, bids='[{"price":NaN,"quantity":1}]'),
        snapshot(5, bids='[{"price":1e99,"quantity":1}]'),
        snapshot(5, bids="7"),
        snapshot(5, bids=levels(*[(f"0.{n}1", "1") for n in range(1, 6)])),
        f'{{"type":"order_book_delta","payload":{{{TIMES},{SYMBOL},"depth":3,"sequence":true}}}}',
        delta(5, gone="[]"),
        '{"type":"order_book_delta","payload":[]}',
        '{"type":"order_book_delta"}',
        "no json",
        "[" * 100_000,
        '{"type":"status","payload":{}}',
    ],
)
def test_a_frame_that_cannot_be_read_is_counted_raised_and_nothing_is_live_any_more(bench: Bench, frame: str) -> None:
    with pytest.raises(MalformedFrame):
        bench.hear(frame)
    assert bench.state.malformed == 1
    assert not book_of(bench).live

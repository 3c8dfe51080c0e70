"""The order book's rules, one table or example each."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, multiply
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders import waiting_frames
from cryptodash.exchanges.builders.book_order import MAX_OLD_RUN
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook
from cryptodash.exchanges.builders.waiting_frames import MAX_FRAMES

RANGE = BookRules(SnapshotSource.REST, Chaining.RANGE)
PREVIOUS = BookRules(SnapshotSource.REST, Chaining.PREVIOUS)
COUNTER = BookRules(SnapshotSource.STREAM, Chaining.COUNTER)
IGNORED, OLD, BUFFERED, CHANGED, REBUILT = (
    Outcome.IGNORED,
    Outcome.OLD,
    Outcome.BUFFERED,
    Outcome.CHANGED,
    Outcome.REBUILT,
)
GAP, CROSSED, OUTDATED, OVERFLOW, RENEWED, USED_UP = (
    Outcome.GAP,
    Outcome.CROSSED,
    Outcome.OUTDATED,
    Outcome.OVERFLOW,
    Outcome.RENEWED,
    Outcome.USED_UP,
)

Pairs = list[tuple[Number, Number]]


def best(book: OrderBook) -> tuple[Number | None, ...]:
    """Best bid and ask price; None where the side is empty or not known."""
    return tuple(side[0][0] if side else None for side in book.top(1))


def pairs(text: str) -> Pairs:
    """``"100 1, 99 2"`` as levels."""
    return [(Number(price), Number(size)) for price, size in (each.split() for each in text.split(",") if each.strip())]


def diff(
    first: int, last: int, bids: str = "", asks: str = "", *, previous: int | None = None, time: int | None = None
) -> Depth:
    return Depth("s", False, first, last, previous, pairs(bids), pairs(asks), time)


def full(last: int, bids: str = "100 1, 99 2", asks: str = "101 1, 102 2", *, time: int | None = None) -> Depth:
    return Depth("s", True, last, last, None, pairs(bids), pairs(asks), time)


def shown(book: OrderBook, depth: int = 1000) -> tuple[Pairs, Pairs]:
    bids, asks = book.top(depth)
    return list(bids), list(asks)


def range_book(*, limit: int = 1000, snapshot: Depth | None = None) -> OrderBook:
    """A synced spot book at sequence 10."""
    book = OrderBook(RANGE)
    book.received(diff(9, 10))
    assert book.snapshot(snapshot or full(10), limit) is REBUILT
    return book


# Joining a REST snapshot


@pytest.mark.parametrize(
    ("buffered", "snapshot", "outcome", "sequence"),
    [
        ([(5, 7), (8, 10)], 8, REBUILT, 10),
        ([(5, 7), (8, 10)], 5, REBUILT, 10),
        ([(5, 7), (8, 10)], 10, REBUILT, 10),
        ([(5, 7), (8, 10)], 4, REBUILT, 10),  # U of the first event is L + 1: nothing lies between them
        ([(5, 7), (8, 10)], 3, OUTDATED, None),
        ([(5, 7), (8, 10)], 11, REBUILT, 11),  # newer than everything: the book as it stands
        ([], 11, BUFFERED, None),
    ],
)
def test_spot_snapshot_joins_where_its_id_is_covered(
    buffered: list[tuple[int, int]], snapshot: int, outcome: Outcome, sequence: int | None
) -> None:
    book = OrderBook(RANGE)
    for first, last in buffered:
        assert book.received(diff(first, last)) is BUFFERED
    assert book.snapshot(full(snapshot), 1000) is outcome
    assert (book.sequence, book.synced) == (sequence, sequence is not None)
    assert shown(book) == ((pairs("100 1, 99 2"), pairs("101 1, 102 2")) if book.synced else ([], []))


@pytest.mark.parametrize(
    ("buffered", "snapshot", "outcome", "sequence"),
    [
        ([(50, 55, 40), (70, 80, 55)], 55, REBUILT, 80),  # pu == L as well as u == L
        ([(50, 55, 40), (70, 80, 55)], 52, REBUILT, 80),  # U <= L <= u
        ([(50, 55, 40), (70, 80, 55)], 75, REBUILT, 80),
        ([(50, 55, 40), (70, 80, 55)], 80, REBUILT, 80),
        ([(50, 55, 40), (70, 80, 55)], 40, REBUILT, 80),  # pu == L of the first
        ([(50, 55, 40), (70, 80, 55)], 45, OUTDATED, None),
        ([(50, 55, 40), (70, 80, 55)], 39, OUTDATED, None),
        ([(50, 55, 40), (70, 80, 55)], 60, OUTDATED, None),  # in the hole between two events
        ([(50, 55, 40), (70, 80, 55)], 81, REBUILT, 81),
    ],
)
def test_perpetual_snapshot_joins_where_its_id_is_covered(
    buffered: list[tuple[int, int, int]], snapshot: int, outcome: Outcome, sequence: int | None
) -> None:
    book = OrderBook(PREVIOUS)
    for first, last, previous in buffered:
        assert book.received(diff(first, last, previous=previous)) is BUFFERED
    assert book.snapshot(full(snapshot), 1000) is outcome
    assert book.sequence == sequence


def test_join_applies_only_what_the_snapshot_lacks() -> None:
    book = OrderBook(RANGE)
    book.received(diff(5, 7, bids="100 7", time=70))
    book.received(diff(8, 10, bids="100 9", asks="101 0", time=100))
    assert book.snapshot(full(7), 1000) is REBUILT
    assert shown(book) == (pairs("100 9, 99 2"), pairs("102 2"))
    assert (book.sequence, book.time, book.gaps, book.resyncs) == (10, 100, 0, 0)


def test_snapshot_ahead_of_the_stream_is_the_book_and_what_it_holds_already_is_passed_over() -> None:
    book = OrderBook(RANGE)
    book.received(diff(5, 7))
    book.received(diff(8, 9))
    book.snapshot_begun()
    assert book.snapshot(full(12), 1000) is REBUILT
    assert not book.wants_snapshot()
    assert book.received(diff(10, 11, bids="100 5")) is OLD
    assert book.received(diff(12, 13, bids="99 6")) is CHANGED
    assert shown(book)[0] == pairs("100 1, 99 6")


@pytest.mark.parametrize(
    ("rule", "frame", "outcome"),
    [
        (RANGE, (13, 14, None), CHANGED),
        (RANGE, (11, 14, None), CHANGED),
        (RANGE, (14, 15, None), GAP),
        (PREVIOUS, (20, 25, 12), CHANGED),
        (PREVIOUS, (11, 14, 8), CHANGED),  # U <= L <= u
        (PREVIOUS, (13, 14, 8), CHANGED),  # U == L + 1: no id lies between them
        (PREVIOUS, (14, 15, 8), GAP),  # neither names the snapshot nor holds its id
    ],
)
def test_the_first_frame_beyond_a_snapshot_must_overlap_it(
    rule: BookRules, frame: tuple[int, int, int | None], outcome: Outcome
) -> None:
    book = OrderBook(rule)
    book.received(diff(5, 9, previous=4))
    assert book.wants_snapshot(least_frames=1)
    assert not book.wants_snapshot()
    assert book.snapshot(full(12), 1000) is REBUILT
    first, last, previous = frame
    assert book.received(diff(first, last, previous=previous)) is outcome
    assert book.synced is (outcome is CHANGED)


def test_only_the_first_frame_beyond_a_snapshot_may_overlap() -> None:
    book = OrderBook(PREVIOUS)
    book.received(diff(5, 9, previous=4))
    book.snapshot(full(12), 1000)
    assert book.received(diff(11, 14, previous=9)) is CHANGED
    assert book.received(diff(13, 20, previous=12)) is GAP


def test_waiting_snapshot_that_the_first_frame_outruns_is_outdated() -> None:
    book = OrderBook(RANGE)
    assert book.snapshot(full(12), 1000) is BUFFERED
    assert book.received(diff(20, 21)) is OUTDATED
    assert not book.wants_snapshot()
    assert book.received(diff(22, 23)) is BUFFERED
    assert book.wants_snapshot()


def test_snapshot_that_comes_out_crossed_is_thrown_away_with_its_frames() -> None:
    book = OrderBook(RANGE)
    book.received(diff(5, 7, bids="101.5 1"))
    assert book.snapshot(full(6), 1000) is CROSSED
    assert not book.synced and shown(book) == ([], [])


# When a snapshot is wanted


def test_first_snapshot_is_wanted_after_two_frames_and_once() -> None:
    book = OrderBook(RANGE)
    assert not book.wants_snapshot()
    book.received(diff(1, 1))
    assert not book.wants_snapshot()
    book.received(diff(2, 2))
    assert book.wants_snapshot()
    book.snapshot_begun()
    assert not book.wants_snapshot()
    book.snapshot_failed()
    assert book.wants_snapshot()


def test_counter_books_never_want_a_snapshot() -> None:
    book = OrderBook(COUNTER, tier=50)
    book.watch(50)
    for number in range(5, 9):
        assert book.received(diff(number, number)) is BUFFERED
    assert not book.wants_snapshot()


TEN_BIDS = ", ".join(f"{100 - n} 1" for n in range(10))
TEN_ASKS = ", ".join(f"{101 + n} 1" for n in range(10))


@pytest.mark.parametrize(
    ("watched", "limit", "deleted", "wanted"),
    [
        (4, 10, 3, False),  # 7 left, 1.5 x 4 = 6 needed
        (4, 10, 5, True),
        (6, 10, 1, False),  # the venue gave no more than 10: a quarter of them may go
        (6, 10, 3, False),
        (6, 10, 4, True),
        (1000, 10, 0, False),
        (4, 11, 8, False),  # fewer than asked for: the side is fully known
    ],
)
def test_horizon_is_renewed_when_too_few_levels_are_left(watched: int, limit: int, deleted: int, wanted: bool) -> None:
    book = OrderBook(RANGE)
    book.watch(watched)
    book.received(diff(9, 10))
    book.snapshot(full(10, TEN_BIDS, TEN_ASKS), limit)
    assert not book.wants_snapshot()
    book.received(diff(11, 11, bids=", ".join(f"{100 - n} 0" for n in range(deleted))))
    assert book.wants_snapshot() is wanted


def test_deeper_watching_wants_a_deeper_snapshot() -> None:
    book = OrderBook(RANGE)
    book.watch(4)
    book.received(diff(9, 10))
    book.snapshot(full(10, TEN_BIDS, TEN_ASKS), 10)
    assert not book.wants_snapshot()
    book.watch(8)
    assert book.wants_snapshot()


# Following the stream


@pytest.mark.parametrize(
    ("frame", "outcome", "sequence"),
    [
        (diff(11, 13), CHANGED, 13),
        (diff(11, 11), CHANGED, 11),
        (diff(8, 12), CHANGED, 12),  # overlaps: sizes are absolute
        (diff(9, 10), IGNORED, 10),
        (diff(3, 4), OLD, 10),
        (diff(12, 13), GAP, None),
    ],
)
def test_spot_frames_must_leave_no_id_out(frame: Depth, outcome: Outcome, sequence: int | None) -> None:
    book = range_book()
    assert book.received(frame) is outcome
    assert book.sequence == sequence
    assert book.gaps == (outcome is GAP)


@pytest.mark.parametrize(
    ("frame", "outcome", "sequence"),
    [
        (diff(90, 95, previous=80), CHANGED, 95),
        (diff(81, 95, previous=79), GAP, None),
        (diff(81, 95, previous=81), GAP, None),
        (diff(81, 95), GAP, None),
        (diff(70, 80, previous=60), IGNORED, 80),
        (diff(30, 40, previous=20), OLD, 80),
    ],
)
def test_perpetual_frames_must_name_their_predecessor(frame: Depth, outcome: Outcome, sequence: int | None) -> None:
    book = OrderBook(PREVIOUS)
    book.received(diff(70, 80, previous=60))
    assert book.snapshot(full(75), 1000) is REBUILT
    assert book.received(frame) is outcome
    assert book.sequence == sequence


def test_frame_that_shows_the_gap_begins_the_new_buffer() -> None:
    book = range_book()
    assert book.received(diff(15, 16)) is GAP
    assert shown(book) == ([], []) and best(book) == (None, None)
    assert book.received(diff(17, 18, bids="100 8")) is BUFFERED
    assert book.wants_snapshot()
    assert book.snapshot(full(15), 1000) is REBUILT
    assert (book.sequence, book.gaps, book.resyncs) == (18, 1, 1)
    assert shown(book)[0] == pairs("100 8, 99 2")


def test_gap_while_buffering_starts_the_buffer_again() -> None:
    book = OrderBook(PREVIOUS)
    book.received(diff(1, 5, previous=0))
    assert book.received(diff(20, 25, previous=15)) is GAP
    assert book.received(diff(20, 25, previous=15)) is IGNORED
    assert book.received(diff(26, 30, previous=25)) is BUFFERED
    assert book.snapshot(full(4), 1000) is OUTDATED
    assert book.snapshot(full(22), 1000) is REBUILT


def test_long_run_of_old_ids_is_a_venue_that_counts_anew() -> None:
    book = range_book(snapshot=full(10))
    for number in range(MAX_OLD_RUN):
        assert book.received(diff(1, 1 + number % 3)) is OLD
    assert book.received(diff(4, 4)) is GAP


def test_repeats_of_the_newest_frame_confirm_for_ever() -> None:
    book = range_book()
    for _ in range(2 * MAX_OLD_RUN):
        assert book.received(diff(9, 10)) is IGNORED
    assert book.synced


def test_crossed_book_is_never_shown() -> None:
    for bids in ("101 1", "101.00 1", "103 1"):
        book = range_book()
        assert book.received(diff(11, 11, bids=bids)) is CROSSED
        assert (book.synced, shown(book)) == (False, ([], []))
        assert not book.wants_snapshot()


def test_reset_forgets_everything() -> None:
    book = range_book()
    book.reset()
    assert (book.synced, book.sequence, book.time, shown(book)) == (False, None, None, ([], []))
    assert book.received(diff(50, 51)) is BUFFERED
    assert book.snapshot(full(50), 1000) is REBUILT
    assert book.resyncs == 1


# Levels


@pytest.mark.parametrize(
    ("changes", "bids"),
    [
        ("100.0 3", "100.0 3, 99 2"),  # the same price, padded
        ("100.00 0.000", "99 2"),
        ("99 0", "100 1"),
        ("55 0", "100 1, 99 2"),  # deleting an unknown level is normal
        ("98 1, 100.5 4", "100.5 4, 100 1, 99 2, 98 1"),
        ("98 1, 98 2", "100 1, 99 2, 98 2"),  # the last wins
        ("98 1, 98 0", "100 1, 99 2"),
        ("99 0, 99.0 5", "100 1, 99.0 5"),
        ("0.00000001 1", "100 1, 99 2, 0.00000001 1"),
    ],
)
def test_levels_are_set_and_deleted_by_value(changes: str, bids: str) -> None:
    book = range_book()
    assert book.received(diff(11, 11, bids=changes)) is CHANGED
    assert shown(book)[0] == pairs(bids)


def test_top_is_cut_to_the_depth_and_best_is_its_first() -> None:
    book = range_book(snapshot=full(10, TEN_BIDS, TEN_ASKS))
    assert shown(book, 2) == (pairs("100 1, 99 1"), pairs("101 1, 102 1"))
    assert best(book) == ("100", "101")
    book.received(diff(11, 11, asks=", ".join(f"{101 + n} 0" for n in range(10))))
    assert best(book) == ("100", None)


def test_levels_beyond_the_horizon_are_unknown_and_not_kept() -> None:
    book = range_book(limit=2)
    book.received(diff(11, 11, bids="98 5, 99 7", asks="103 5, 102 7, 102.0000000001 1"))
    assert shown(book) == (pairs("100 1, 99 7"), pairs("101 1, 102 7"))
    book.received(diff(12, 12, bids="100 0"))
    assert shown(book) == (pairs("99 7"), pairs("101 1, 102 7"))


def test_a_side_without_a_proven_level_shows_nothing_until_there_is_one() -> None:
    """Its best price is not known, which may be beyond the horizon."""
    book = range_book(limit=2)
    assert book.received(diff(11, 11, bids="100 0, 99 0, 98 4")) is USED_UP
    assert (book.synced, shown(book), book.gaps) == (False, ([], []), 0)
    assert book.received(diff(12, 12, asks="101 0")) is BUFFERED
    assert book.received(diff(13, 13, bids="99.5 1")) is REBUILT
    assert (book.synced, shown(book), book.sequence) == (True, (pairs("99.5 1"), pairs("102 2")), 13)


def test_a_side_without_a_proven_level_is_mended_by_the_renewal_on_its_way() -> None:
    book = range_book(limit=2)
    book.snapshot_begun()
    assert book.received(diff(11, 11, bids="100 0")) is CHANGED
    assert book.received(diff(12, 12, bids="99 0, 98 4")) is USED_UP
    assert book.snapshot(full(11, "99 2, 98 9, 97 1", "101 1, 102 2, 105 1"), 3) is REBUILT
    assert (book.synced, book.sequence) == (True, 12)
    assert shown(book) == (pairs("98 4, 97 1"), pairs("101 1, 102 2, 105 1"))


def test_a_snapshot_that_is_used_up_when_it_comes_shows_nothing_and_another_is_wanted() -> None:
    book = OrderBook(RANGE)
    book.watch(2)
    for number in (11, 12):
        book.received(diff(number, number, bids="100 0, 99 0, 98 4"))
    book.snapshot_begun()
    assert book.snapshot(full(11, "100 1, 99 2", "101 1, 102 2"), 2) is USED_UP
    assert (book.synced, book.wants_snapshot()) == (False, True)
    book.snapshot_begun()
    assert book.snapshot(full(12, "98 4, 97 1, 96 1", "101 1, 102 2, 105 1"), 3) is REBUILT
    assert shown(book) == (pairs("98 4, 97 1, 96 1"), pairs("101 1, 102 2, 105 1"))


def test_a_renewal_that_proves_less_than_the_book_leaves_it_as_it_is() -> None:
    book = range_book(limit=2)
    book.snapshot_begun()
    book.received(diff(11, 11, bids="100 0"))
    assert book.snapshot(full(10, "100 1", "101 1"), 1) is OUTDATED
    assert (book.synced, shown(book)) == (True, (pairs("99 2"), pairs("101 1, 102 2")))


def test_a_side_shorter_than_the_limit_has_no_horizon() -> None:
    book = range_book(limit=2, snapshot=full(10, "100 1", "101 1, 102 2"))
    book.received(diff(11, 11, bids="98 5", asks="103 5"))
    assert shown(book) == (pairs("100 1, 98 5"), pairs("101 1, 102 2"))


# Renewal


def renewable() -> OrderBook:
    book = range_book(limit=2)
    book.snapshot_begun()
    book.received(diff(11, 11, bids="100 0, 98 9"))
    book.received(diff(12, 12, asks="101 4"))
    return book


def test_renewal_shows_levels_that_were_beyond_the_horizon() -> None:
    book = renewable()
    assert shown(book) == (pairs("99 2"), pairs("101 4, 102 2"))
    assert book.snapshot(full(11, "99 2, 98 9, 97 1", "101 1, 102 2, 105 1"), 3) is RENEWED
    assert shown(book) == (pairs("99 2, 98 9, 97 1"), pairs("101 4, 102 2, 105 1"))
    assert (book.sequence, book.resyncs) == (12, 0)


def test_renewal_at_the_very_sequence_needs_no_kept_diffs() -> None:
    book = range_book(limit=2)
    assert book.snapshot(full(10, "100 1, 99 2, 98 3"), 3) is RENEWED
    assert shown(book)[0] == pairs("100 1, 99 2, 98 3")


def test_renewal_older_than_the_kept_diffs_changes_nothing() -> None:
    book = renewable()
    before = shown(book)
    assert book.snapshot(full(9, "50 1", "51 1"), 3) is OUTDATED
    assert shown(book) == before and book.sequence == 12


def test_renewal_ahead_of_the_stream_waits_for_it() -> None:
    book = renewable()
    assert book.snapshot(full(14, "99 2, 98 9, 97 1", "101 4, 102 2, 105 1"), 3) is BUFFERED
    assert book.synced and shown(book) == (pairs("99 2"), pairs("101 4, 102 2"))
    assert not book.wants_snapshot()
    assert book.received(diff(13, 13)) is CHANGED
    assert book.received(diff(14, 15, bids="97 6")) is RENEWED
    assert shown(book) == (pairs("99 2, 98 9, 97 6"), pairs("101 4, 102 2, 105 1"))
    assert book.received(diff(16, 16)) is CHANGED


def test_renewal_that_contradicts_the_book_rebuilds_it() -> None:
    book = renewable()
    assert book.snapshot(full(11, "99 3, 98 9", "101 1, 102 2, 105 1"), 3) is REBUILT
    assert shown(book)[0] == pairs("99 3, 98 9")
    assert book.resyncs == 1


def test_renewal_that_would_cross_leaves_the_book_in_place() -> None:
    book = renewable()
    before = shown(book)
    assert book.snapshot(full(11, "104 1", "105 1"), 3) is OUTDATED
    assert shown(book) == before and book.synced


def test_gap_during_a_renewal_makes_the_answer_the_new_base() -> None:
    book = renewable()
    assert book.received(diff(20, 21)) is GAP
    assert not book.wants_snapshot()
    assert book.received(diff(22, 22, bids="99 8")) is BUFFERED
    assert book.snapshot(full(21), 1000) is REBUILT
    assert shown(book)[0] == pairs("100 1, 99 8")


def test_failed_renewal_keeps_nothing() -> None:
    book = renewable()
    book.snapshot_failed()
    assert book.received(diff(13, 13)) is CHANGED
    assert book.snapshot(full(12, "99 2", "101 4"), 3) is OUTDATED
    assert book.synced


# Bounds


def test_too_many_frames_overflow_and_the_wait_begins_anew() -> None:
    book = OrderBook(RANGE)
    for number in range(1, MAX_FRAMES + 1):
        assert book.received(diff(number, number)) is BUFFERED
    assert book.received(diff(MAX_FRAMES + 1, MAX_FRAMES + 1)) is OVERFLOW
    assert not book.wants_snapshot()
    for number in (MAX_FRAMES + 2, MAX_FRAMES + 3):
        assert book.received(diff(number, number)) is BUFFERED
    assert book.snapshot(full(MAX_FRAMES + 2), 1000) is REBUILT


def test_heavy_frames_overflow_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_frames, "MAX_BYTES", 10_000)
    book = OrderBook(RANGE)
    outcomes = [book.received(diff(n, n, bids=TEN_BIDS)) for n in range(1, 7)]
    assert outcomes == [BUFFERED] * 4 + [OVERFLOW, BUFFERED]


def test_a_renewal_without_room_is_given_up_and_the_book_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_frames, "MAX_FRAMES", 3)
    book = range_book(limit=2)
    book.snapshot_begun()
    for number in range(11, 20):
        assert book.received(diff(number, number, bids=f"100 {number}")) is CHANGED
    assert book.snapshot(full(12), 2) is OUTDATED
    assert book.synced and shown(book)[0] == pairs("100 19, 99 2")


# Bybit: snapshots come in the stream


def counter_book(tier: int = 3) -> OrderBook:
    book = OrderBook(COUNTER, tier=tier)
    assert book.received(full(7, time=1)) is REBUILT
    return book


@pytest.mark.parametrize(
    ("frame", "outcome", "sequence"),
    [
        (diff(8, 8, bids="100 5"), CHANGED, 8),
        (diff(7, 7, bids="100 5"), IGNORED, 7),
        (diff(6, 6, bids="100 5"), OLD, 7),
        (diff(9, 9, bids="100 5"), GAP, None),
        (full(7, "100 5"), IGNORED, 7),  # re-sent with the same u: confirms
        (full(30, "100 5"), REBUILT, 30),
        (full(5, "100 5"), REBUILT, 5),  # at any time, whatever its number
        (full(1, "100 5"), REBUILT, 1),
        (replace(full(7, "100 5"), restarted=True), REBUILT, 7),  # the service counts anew: no repeat
        (replace(diff(1, 1), restarted=True), GAP, None),  # ... and has no book
        (diff(8, 8, bids="101 1"), CROSSED, None),
        (full(8, "101 1", "101 1"), CROSSED, None),
    ],
)
def test_bybit_frames(frame: Depth, outcome: Outcome, sequence: int | None) -> None:
    book = counter_book()
    assert book.received(frame) is outcome
    assert book.sequence == sequence
    if outcome is REBUILT:
        assert shown(book)[0] == pairs("100 5") and book.resyncs == 1
    if sequence is None:
        assert shown(book) == ([], [])


def test_bybit_deltas_after_a_gap_wait_for_a_snapshot() -> None:
    book = counter_book()
    book.received(diff(9, 9))
    assert [book.received(diff(n, n)) for n in range(10, 13)] == [BUFFERED] * 3
    assert book.received(full(13)) is REBUILT
    assert book.received(diff(14, 14)) is CHANGED


def test_bybit_restart_counts_from_one() -> None:
    book = counter_book()
    assert book.received(replace(full(1, "100 5"), restarted=True)) is REBUILT
    assert book.received(replace(full(1, "100 6"), restarted=True)) is REBUILT
    assert book.received(diff(2, 2, bids="99 1", time=9)) is CHANGED
    assert shown(book)[0] == pairs("100 6, 99 1") and book.time == 9


def test_bybit_book_never_grows_beyond_its_tier() -> None:
    book = counter_book(tier=2)
    assert book.received(diff(8, 8, bids="99.5 1, 98 1", asks="100.5 1")) is CHANGED
    assert shown(book) == (pairs("100 1, 99.5 1"), pairs("100.5 1, 101 1"))


def test_time_stays_where_a_frame_has_none() -> None:
    book = counter_book()
    book.received(diff(8, 8))
    assert book.time == 1


@pytest.mark.parametrize(("contracts", "size"), [("25", "0.001"), ("25.0", "0.10"), ("1000", "10"), ("2.50", "100")])
def test_a_checksum_of_contracts_is_given_the_sizes_as_the_venue_wrote_them(contracts: str, size: str) -> None:
    given: list[tuple[object, object]] = []

    def checksum(bids: object, asks: object) -> int:
        given.append((bids, asks))
        return 7

    price, contract = Number("100.50"), Number(size)
    rules = BookRules(SnapshotSource.STREAM, Chaining.CHECKSUM, checksum, 10, in_contracts=True)
    symbol = Symbol("BTC", "USDT")
    instrument = Instrument(
        "madeup", MarketType.PERPETUAL, symbol, "BTCUSDT", contract, contract, contract_size=contract
    )
    book = OrderBook(rules, instrument=instrument)
    base = multiply(Number(contracts), contract)
    assert book.received(Depth("s", True, None, None, None, [(price, base)], [], None, checksum=7)) is REBUILT
    assert given == [([("100.50", contracts)], [])]
    assert book.top(1) == ([(price, base)], [])

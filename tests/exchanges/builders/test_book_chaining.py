"""Every combination of where whole books come from and how frames show that none is missing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import BadFrame, Depth
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook

STREAM, REST, EITHER = SnapshotSource.STREAM, SnapshotSource.REST, SnapshotSource.EITHER
RANGE, PREVIOUS, COUNTER = Chaining.RANGE, Chaining.PREVIOUS, Chaining.COUNTER
CONNECTION, CHECKSUM = Chaining.CONNECTION, Chaining.CHECKSUM
IGNORED, OLD, BUFFERED, CHANGED, REBUILT = (
    Outcome.IGNORED,
    Outcome.OLD,
    Outcome.BUFFERED,
    Outcome.CHANGED,
    Outcome.REBUILT,
)
GAP, CROSSED, OUTDATED, RENEWED, WRONG = (
    Outcome.GAP,
    Outcome.CROSSED,
    Outcome.OUTDATED,
    Outcome.RENEWED,
    Outcome.CHECKSUM,
)
COVERED = 2
"""Levels a side that the checksum covers."""


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Over the text as the venue wrote it, trailing zeros and all."""
    return crc32(":".join(f"{price}:{size}" for price, size in (*bids, *asks)).encode())


def rules(source: SnapshotSource, chaining: Chaining) -> BookRules:
    return BookRules(source, chaining, *((checksum, COVERED) if chaining is CHECKSUM else ()))


BY_ID = [rules(source, chaining) for source in (STREAM, REST, EITHER) for chaining in (RANGE, PREVIOUS, COUNTER)]
BY_REST = [each for each in BY_ID if each.snapshots is not STREAM]
BY_STREAM = [each for each in BY_ID if each.snapshots is not REST]
WITHOUT_IDS = [rules(STREAM, CONNECTION), rules(STREAM, CHECKSUM)]


def called(each: object) -> str:
    """The name of a row."""
    return f"{each.snapshots.value}-{each.chaining.value}" if isinstance(each, BookRules) else str(each)[:40]


def levels(text: str) -> list[Level]:
    """``"100 1, 99 2"`` as levels."""
    return [(Number(price), Number(size)) for price, size in (each.split() for each in text.split(",") if each.strip())]


BIDS, ASKS = "100 1, 99 2", "101 1, 102 2"


def id_of(rule: BookRules, number: int) -> int | None:
    """What the ``number``-th frame ends with: ranges and shared ids grow by ten."""
    return {RANGE: 10 * number, PREVIOUS: 10 * number, COUNTER: number}.get(rule.chaining)


def frame(rule: BookRules, number: int, bids: str = "", asks: str = "", *, check: int | None = None) -> Depth:
    """The ``number``-th frame, in the manner of the venue."""
    last = id_of(rule, number)
    first = None if last is None else last - {RANGE: 9, PREVIOUS: 4, COUNTER: 0}[rule.chaining]
    previous = id_of(rule, number - 1) if rule.chaining is PREVIOUS else None
    return Depth("s", False, first, last, previous, levels(bids), levels(asks), None, checksum=check)


def whole(rule: BookRules, number: int, bids: str = BIDS, asks: str = ASKS, *, check: int | None = None) -> Depth:
    """The whole book after the ``number``-th frame, from the stream or by REST."""
    last = id_of(rule, number)
    return Depth("s", True, last, last, None, levels(bids), levels(asks), None, checksum=check)


def synced(rule: BookRules, *, limit: int = 1000) -> OrderBook:
    """A book that is the venue's after the fifth frame."""
    book = OrderBook(rule)
    if rule.snapshots is STREAM:
        assert book.received(whole(rule, 5)) is REBUILT
    else:
        assert [book.received(frame(rule, number)) for number in (4, 5)] == [BUFFERED] * 2
        assert book.snapshot(whole(rule, 5), limit) is REBUILT
    return book


def shown(book: OrderBook) -> tuple[list[Level], list[Level]]:
    bids, asks = book.top(1000)
    return list(bids), list(asks)


# -- which combinations there are


@pytest.mark.parametrize("source", [REST, EITHER])
@pytest.mark.parametrize("chaining", [CONNECTION, CHECKSUM])
def test_a_rest_snapshot_cannot_be_joined_to_frames_without_ids(source: SnapshotSource, chaining: Chaining) -> None:
    with pytest.raises(ValueError, match=f"a REST snapshot cannot be joined to frames chained by {chaining.value}: "):
        BookRules(source, chaining, checksum, COVERED)


def test_a_chain_of_checksums_needs_one() -> None:
    with pytest.raises(ValueError, match="books chained by checksum need one"):
        BookRules(STREAM, CHECKSUM)


@pytest.mark.parametrize("depth", [0, -1])
@pytest.mark.parametrize("chaining", [RANGE, CHECKSUM])
def test_a_checksum_covers_something(chaining: Chaining, depth: int) -> None:
    with pytest.raises(ValueError, match="a checksum covers at least one level a side"):
        BookRules(STREAM, chaining, checksum, depth)


@pytest.mark.parametrize("rule", BY_ID, ids=called)
def test_any_book_whose_frames_have_ids_may_have_a_checksum_too(rule: BookRules) -> None:
    BookRules(rule.snapshots, rule.chaining, checksum, COVERED)


# -- what a frame does to a book that is synced


def crossing(rule: BookRules) -> Depth:
    return frame(rule, 6, "101 1")


FRAMES = [
    # what comes, what it does where frames have ids, and where they have none
    ("next", lambda rule: frame(rule, 6, "100 5"), CHANGED, CHANGED),
    ("after a lost one", lambda rule: frame(rule, 7, "100 5"), GAP, CHANGED),
    ("old", lambda rule: frame(rule, 3, "100 5"), OLD, None),
    ("repeated", lambda rule: frame(rule, 5, "100 5"), IGNORED, None),
    ("nothing new, a sign of life", lambda rule: replace(frame(rule, 5), previous=id_of(rule, 5)), IGNORED, CHANGED),
    ("a snapshot ahead", lambda rule: whole(rule, 9, "100 5"), REBUILT, REBUILT),
    ("a snapshot next", lambda rule: whole(rule, 6, "100 5"), REBUILT, REBUILT),
    ("a snapshot behind", lambda rule: whole(rule, 2, "100 5"), REBUILT, REBUILT),
    ("the same snapshot again", lambda rule: whole(rule, 5), IGNORED, IGNORED),
    ("the same id, other levels", lambda rule: whole(rule, 5, "100 5"), IGNORED, REBUILT),
    ("counted anew", lambda rule: replace(whole(rule, 1, "100 5"), restarted=True), REBUILT, REBUILT),
    ("counted anew, an equal id", lambda rule: replace(whole(rule, 5, "100 5"), restarted=True), REBUILT, REBUILT),
    ("no book any more", lambda rule: replace(frame(rule, 6), restarted=True), GAP, GAP),
    ("crossed", crossing, CROSSED, CROSSED),
    ("a crossed snapshot", lambda rule: whole(rule, 6, "101 1"), CROSSED, CROSSED),
]


@pytest.mark.parametrize(("what", "make", "by_id", "without"), FRAMES, ids=[row[0] for row in FRAMES])
@pytest.mark.parametrize("rule", [*BY_ID, *WITHOUT_IDS], ids=called)
def test_what_a_frame_does(rule: BookRules, what: str, make, by_id: Outcome, without: Outcome | None) -> None:  # type: ignore[no-untyped-def]
    outcome = by_id if rule in BY_ID else without
    if outcome is None:
        pytest.skip("nothing in such a frame tells")
    book = synced(rule)
    came = make(rule)
    assert book.received(came) is outcome
    if outcome in (GAP, CROSSED):
        assert (book.synced, book.sequence, shown(book)) == (False, None, ([], []))
    else:
        asks = levels(ASKS)
        applied = [*came.bids, *levels(BIDS)[len(came.bids) :]]
        bids = {IGNORED: levels(BIDS), OLD: levels(BIDS), CHANGED: applied, REBUILT: levels("100 5")}
        assert (book.synced, shown(book)) == (True, (bids[outcome], asks))
        assert book.sequence == (id_of(rule, 5) if outcome in (IGNORED, OLD) else came.last)
    assert book.resyncs == (outcome is REBUILT)
    assert book.gaps == (outcome is GAP)


@pytest.mark.parametrize("rule", [*BY_STREAM, *WITHOUT_IDS], ids=called)
def test_after_a_loss_a_snapshot_in_the_stream_is_the_new_base(rule: BookRules) -> None:
    book = synced(rule)
    assert book.received(replace(frame(rule, 6), restarted=True)) is GAP
    assert book.received(frame(rule, 7, "100 7")) is BUFFERED
    assert not book.synced
    assert book.received(whole(rule, 8, "100 8")) is REBUILT
    assert book.received(frame(rule, 9, "99 9")) is CHANGED
    assert shown(book)[0] == levels("100 8, 99 9")
    assert book.resyncs == 1


@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_after_a_loss_the_frames_since_are_kept_for_a_rest_snapshot(rule: BookRules) -> None:
    book = synced(rule)
    assert book.received(frame(rule, 7, "100 7")) is GAP
    assert not book.wants_snapshot() and book.wants_snapshot(least_frames=1)
    assert book.received(frame(rule, 8, "99 8")) is BUFFERED
    assert book.wants_snapshot()
    book.snapshot_begun()
    assert book.snapshot(whole(rule, 7, "100 7, 99 2"), 1000) is REBUILT
    assert shown(book)[0] == levels("100 7, 99 8")
    assert book.received(frame(rule, 9)) is CHANGED


@pytest.mark.parametrize("rule", [rules(STREAM, each) for each in (RANGE, PREVIOUS, COUNTER)], ids=called)
def test_where_books_come_in_the_stream_no_rest_snapshot_is_wanted(rule: BookRules) -> None:
    book = OrderBook(rule)
    for number in range(3, 9):
        assert book.received(frame(rule, number)) is BUFFERED
    assert not book.wants_snapshot(least_frames=0)
    assert book.pending == 0


# -- joining a REST snapshot

JOINS = [
    # frames, the snapshot's number, what comes of it, at which number the book is then
    ((4, 5, 6), 2, OUTDATED, None),
    ((4, 5, 6), 3, REBUILT, 6),  # just before the first frame: nothing is missing between them
    ((4, 5, 6), 4, REBUILT, 6),
    ((4, 5, 6), 5, REBUILT, 6),
    ((4, 5, 6), 6, REBUILT, 6),
    ((4, 5, 6), 7, REBUILT, 7),  # ahead of the stream: the book as it stands
    ((4, 5, 6), 20, REBUILT, 20),
    ((4,), 4, REBUILT, 4),
    ((), 4, BUFFERED, None),  # a stream that never delivered is not proven
]


@pytest.mark.parametrize(("frames", "number", "outcome", "at"), JOINS)
@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_a_rest_snapshot_is_joined_to_the_frames_at_hand(
    rule: BookRules, frames: tuple[int, ...], number: int, outcome: Outcome, at: int | None
) -> None:
    book = OrderBook(rule)
    for each in frames:
        assert book.received(frame(rule, each, f"98 {each}")) is BUFFERED
    book.snapshot_begun()
    assert book.snapshot(whole(rule, number), 1000) is outcome
    assert (book.synced, book.sequence) == (at is not None, None if at is None else id_of(rule, at))
    if at is not None:
        later = [each for each in frames if each > number]
        assert shown(book)[0] == levels(f"{BIDS}, 98 {later[-1]}" if later else BIDS)
        assert book.received(frame(rule, at + 1)) is CHANGED
    else:
        assert shown(book) == ([], [])


@pytest.mark.parametrize("chaining", [RANGE, PREVIOUS])
@pytest.mark.parametrize(("first", "outcome"), [(100, REBUILT), (101, REBUILT), (102, OUTDATED)])
def test_a_snapshot_joins_where_the_next_id_begins_the_first_frame(
    chaining: Chaining, first: int, outcome: Outcome
) -> None:
    book = OrderBook(rules(REST, chaining))
    for low, high, previous in ((first, 105, 99), (106, 110, 105)):
        assert book.received(Depth("s", False, low, high, previous, [], [], None)) is BUFFERED
    snapshot = Depth("s", True, 100, 100, None, levels(BIDS), levels(ASKS), None)
    if chaining is PREVIOUS and first == 102:
        first_frame = Depth("s", False, 102, 105, 101, [], [], None)  # its predecessor came after the snapshot
        book = OrderBook(rules(REST, chaining))
        assert book.received(first_frame) is BUFFERED
    book.snapshot_begun()
    assert book.snapshot(snapshot, 1000) is outcome


@pytest.mark.parametrize("chaining", [RANGE, PREVIOUS])
@pytest.mark.parametrize(("first", "outcome"), [(100, CHANGED), (101, CHANGED), (102, GAP)])
def test_the_first_frame_after_a_snapshot_that_was_ahead_may_begin_with_the_next_id(
    chaining: Chaining, first: int, outcome: Outcome
) -> None:
    book = OrderBook(rules(REST, chaining))
    assert book.received(Depth("s", False, 90, 95, 89, [], [], None)) is BUFFERED
    book.snapshot_begun()
    assert book.snapshot(Depth("s", True, 100, 100, None, levels(BIDS), levels(ASKS), None), 1000) is REBUILT
    assert book.received(Depth("s", False, first, 105, 97, [], [], None)) is outcome


@pytest.mark.parametrize("ahead", [True, False])
def test_a_sign_of_life_with_the_next_id_does_not_stand_for_the_lost_frame_of_that_id(ahead: bool) -> None:
    """It names itself as its predecessor, which is beyond the snapshot."""
    book = OrderBook(rules(REST, PREVIOUS))
    alive = Depth("s", False, 101, 101, 101, [], [], None)
    snapshot = Depth("s", True, 100, 100, None, levels(BIDS), levels(ASKS), None)
    assert book.received(Depth("s", False, 90, 95, 89, [], [], None) if ahead else alive) is BUFFERED
    book.snapshot_begun()
    assert book.snapshot(snapshot, 1000) is (REBUILT if ahead else OUTDATED)
    if ahead:
        assert book.received(alive) is GAP


@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_an_old_snapshot_is_outdated_and_another_may_be_asked_for(rule: BookRules) -> None:
    book = OrderBook(rule)
    for number in (4, 5):
        book.received(frame(rule, number))
    book.snapshot_begun()
    assert not book.wants_snapshot()
    assert book.snapshot(whole(rule, 1), 1000) is OUTDATED
    assert book.wants_snapshot()
    book.snapshot_begun()
    assert book.snapshot(whole(rule, 5), 1000) is REBUILT


@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_frames_that_a_snapshot_ahead_holds_are_passed_over_and_the_next_must_follow_it(rule: BookRules) -> None:
    for lost, outcome in ((False, CHANGED), (True, GAP)):
        book = OrderBook(rule)
        for number in (4, 5):
            book.received(frame(rule, number))
        assert book.snapshot(whole(rule, 8), 1000) is REBUILT
        assert [book.received(frame(rule, number, "100 9")) for number in (6, 7, 8)] == [OLD, OLD, IGNORED]
        assert shown(book)[0] == levels(BIDS)
        assert book.received(frame(rule, 10 if lost else 9, "100 5")) is outcome


@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_a_renewal_moves_the_horizon_and_changes_nothing_else(rule: BookRules) -> None:
    book = synced(rule, limit=2)
    book.watch(2)
    book.received(frame(rule, 6, "100 0"))
    assert book.wants_snapshot()
    book.snapshot_begun()
    assert not book.wants_snapshot()
    assert book.received(frame(rule, 7, "98 7, 97 7")) is CHANGED  # beyond the horizon
    assert shown(book)[0] == levels("99 2")
    assert book.snapshot(whole(rule, 6, "99 2, 96 1"), 4) is RENEWED
    assert shown(book)[0] == levels("99 2, 98 7, 97 7, 96 1")
    assert (book.sequence, book.resyncs, book.pending) == (id_of(rule, 7), 0, 0)
    assert book.received(frame(rule, 8)) is CHANGED


@pytest.mark.parametrize(
    ("number", "bids", "outcomes"),
    [
        (5, "99 2, 96 1", (OUTDATED, CHANGED, CHANGED)),  # from before it was asked for
        (7, "99 2, 96 1", (RENEWED, CHANGED, CHANGED)),
        (9, "99 2, 96 1", (BUFFERED, CHANGED, RENEWED)),  # the stream has yet to reach it
        (7, "99 3, 96 1", (REBUILT, CHANGED, CHANGED)),  # it says otherwise
        (7, "101 1, 96 1", (OUTDATED, CHANGED, CHANGED)),  # it is at fault itself
    ],
)
@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_when_a_renewal_fits(rule: BookRules, number: int, bids: str, outcomes: tuple[Outcome, ...]) -> None:
    book = synced(rule, limit=2)
    book.received(frame(rule, 6, "100 0"))
    book.snapshot_begun()
    book.received(frame(rule, 7))
    assert book.snapshot(whole(rule, number, bids), 4) is outcomes[0]
    assert [book.received(frame(rule, each)) for each in (8, 9)] == list(outcomes[1:])
    assert book.synced and book.sequence == id_of(rule, 9)


# -- from either


@pytest.mark.parametrize("rule", [each for each in BY_ID if each.snapshots is EITHER], ids=called)
def test_a_snapshot_in_the_stream_may_come_while_one_is_asked_for(rule: BookRules) -> None:
    for number, outcome in ((5, OUTDATED), (6, RENEWED), (7, BUFFERED)):
        book = OrderBook(rule)
        for each in (4, 5):
            book.received(frame(rule, each))
        book.snapshot_begun()
        assert book.received(whole(rule, 6)) is REBUILT
        assert not book.wants_snapshot()  # nothing is beyond its horizon
        assert book.snapshot(whole(rule, number), 1000) is outcome
        assert book.received(frame(rule, 7)) is (RENEWED if number == 7 else CHANGED)
        assert shown(book) == (levels(BIDS), levels(ASKS))
        assert book.resyncs == 0


# -- by the last id


@pytest.mark.parametrize("rule", [each for each in BY_ID if each.chaining is PREVIOUS], ids=called)
def test_an_id_may_go_down_where_a_frame_names_its_predecessor(rule: BookRules) -> None:
    """As after maintenance."""
    book = synced(rule)
    down = Depth("s", False, 2, 3, id_of(rule, 5), levels("100 5"), [], None)
    assert book.received(down) is CHANGED
    assert (book.sequence, shown(book)[0]) == (3, levels("100 5, 99 2"))
    assert book.received(down) is IGNORED
    assert book.received(Depth("s", False, 4, 8, 3, levels("99 5"), [], None)) is CHANGED
    assert book.received(Depth("s", False, 20, 21, 19, [], [], None)) is GAP


@pytest.mark.parametrize("rule", BY_ID, ids=called)
def test_signs_of_life_confirm_for_ever(rule: BookRules) -> None:
    book = synced(rule)
    alive = replace(frame(rule, 5), previous=id_of(rule, 5))
    assert {book.received(alive) for _ in range(1200)} == {IGNORED}
    assert book.received(frame(rule, 6)) is CHANGED


@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_signs_of_life_are_not_kept_for_a_snapshot(rule: BookRules) -> None:
    book = OrderBook(rule)
    book.received(frame(rule, 4))
    assert book.received(replace(frame(rule, 4), previous=id_of(rule, 4))) is IGNORED
    assert book.pending == 1


@pytest.mark.parametrize("rule", BY_ID, ids=called)
def test_a_frame_without_an_id_is_refused_where_ids_are_the_rule_and_does_no_harm(rule: BookRules) -> None:
    nameless = replace(frame(rule, 6, "100 9"), first=None, last=None)
    book = synced(rule)
    with pytest.raises(BadFrame, match="without an update id"):
        book.received(nameless)
    assert (book.synced, shown(book)) == (True, (levels(BIDS), levels(ASKS)))
    assert book.received(frame(rule, 6)) is CHANGED


@pytest.mark.parametrize("already", [0, 1])
@pytest.mark.parametrize("rule", BY_REST, ids=called)
def test_nor_does_it_while_a_snapshot_is_waited_for(rule: BookRules, already: int) -> None:
    book = OrderBook(rule)
    for number in range(5 - already, 5):
        book.received(frame(rule, number))
    with pytest.raises(BadFrame, match="without an update id"):
        book.received(replace(frame(rule, 5), first=None, last=None))
    assert [book.received(frame(rule, number)) for number in (5, 6)] == [BUFFERED] * 2
    assert book.snapshot(whole(rule, 5), 1000) is REBUILT


@pytest.mark.parametrize("rule", BY_STREAM, ids=called)
def test_what_follows_a_snapshot_without_an_id_cannot_be_told(rule: BookRules) -> None:
    book = OrderBook(rule)
    book.received(replace(whole(rule, 5), first=None, last=None))
    for number in (6, 7):
        with pytest.raises(BadFrame, match="without an update id"):
            book.received(replace(frame(rule, number), previous=None))


# -- without ids


@pytest.mark.parametrize("rule", WITHOUT_IDS, ids=called)
def test_frames_without_ids_are_taken_as_they_come(rule: BookRules) -> None:
    book = OrderBook(rule)
    assert book.received(frame(rule, 1, "100 5")) is BUFFERED
    assert book.received(whole(rule, 2)) is REBUILT
    for size in (6, 7, 7):
        assert book.received(frame(rule, 3, f"100 {size}")) is CHANGED
        assert shown(book)[0] == levels(f"100 {size}, 99 2")
    assert (book.synced, book.sequence, book.wants_snapshot()) == (True, None, False)


@pytest.mark.parametrize("rule", WITHOUT_IDS, ids=called)
def test_a_connection_that_is_lost_takes_the_book_with_it(rule: BookRules) -> None:
    book = synced(rule)
    book.reset()
    assert book.received(frame(rule, 6)) is BUFFERED
    assert shown(book) == ([], [])


def of(bids: str, asks: str = "101 1, 102 2") -> int:
    return checksum(levels(bids)[:COVERED], levels(asks)[:COVERED])


CHECKED = [
    # a frame's bids, the checksum with it, what comes of it
    ("100 5", of("100 5, 99 2"), CHANGED),
    ("100 5", None, CHANGED),
    ("100 5", of("100 1, 99 2"), WRONG),
    ("100 5", 0, WRONG),
    ("100 5.0", of("100 5.0, 99 2"), CHANGED),
    ("100 5.0", of("100 5, 99 2"), WRONG),  # trailing zeros are part of the text
    ("100.0 5", of("100.0 5, 99 2"), CHANGED),  # the price as it was written last
    ("100.0 5", of("100 5, 99 2"), WRONG),
    ("98 5", of("100 1, 99 2"), CHANGED),  # not covered
    ("98 5", of("100 1, 99 2, 98 7"), CHANGED),
    ("99.5 5", of("100 1, 99.5 5"), CHANGED),  # covered, and 99 is not any more
    ("99 0", of("100 1"), CHANGED),  # fewer than it covers
    ("100 0, 99 0", checksum([], levels(ASKS)), CHANGED),
    ("101 1", of("101 1, 100 1"), CROSSED),
]


@pytest.mark.parametrize(("bids", "check", "outcome"), CHECKED)
@pytest.mark.parametrize(
    "rule",
    [*(BookRules(e.snapshots, e.chaining, checksum, COVERED) for e in BY_ID), rules(STREAM, CHECKSUM)],
    ids=called,
)
def test_a_wrong_checksum_empties_the_book(rule: BookRules, bids: str, check: int | None, outcome: Outcome) -> None:
    book = synced(rule)
    assert book.received(frame(rule, 6, bids, check=check)) is outcome
    assert book.synced is (outcome is CHANGED)
    assert book.gaps == (outcome is WRONG)
    if outcome is not CHANGED:
        assert shown(book) == ([], [])
        assert book.received(frame(rule, 7)) is BUFFERED
        assert book.received(whole(rule, 8, check=of(BIDS))) is REBUILT


@pytest.mark.parametrize(("check", "outcome"), [(None, REBUILT), (of("100 5"), REBUILT), (of(BIDS), WRONG)])
def test_a_snapshot_is_checked_too(check: int | None, outcome: Outcome) -> None:
    rule = rules(STREAM, CHECKSUM)
    for book in (OrderBook(rule), synced(rule)):
        assert book.received(whole(rule, 6, "100 5", check=check)) is outcome
        assert book.synced is (outcome is REBUILT)


# -- any market, any loss


class Market:
    """A small market without end, and the frames and whole books a venue with these rules would send of it. Sizes and
    prices have trailing zeros."""

    def __init__(self, rule: BookRules, chance: Random) -> None:
        self.rule, self.chance = rule, chance
        self.bids = {price: chance.randint(1, 9) for price in range(70, 100) if chance.random() < 0.6}
        self.asks = {price: chance.randint(1, 9) for price in range(101, 131) if chance.random() < 0.6}
        self.last = 10**24  # maintenance halves it: no number comes twice
        self.previous = self.last
        self.history: dict[int, tuple[list[Level], list[Level]]] = {}
        self.remember()

    def levels(self) -> tuple[list[Level], list[Level]]:
        bids = [self._level(price, size) for price, size in sorted(self.bids.items(), reverse=True)]
        return bids, [self._level(price, size) for price, size in sorted(self.asks.items())]

    def frame(self, last: int | None = None) -> Depth:
        """A few changes; ``last``: count on from another number."""
        changed: tuple[list[Level], list[Level]] = ([], [])
        for _ in range(self.chance.randint(1, 4)):
            side = self.chance.choice((0, 1))
            price = int(self.chance.triangular(70, 99, 99)) if side == 0 else int(self.chance.triangular(101, 130, 101))
            size = self.chance.choice((0, 0, 1, 2, 3, 4))
            (self.bids, self.asks)[side][price] = size
            if not size:
                del (self.bids, self.asks)[side][price]
            changed[side].append(self._level(price, size))
        self.previous = self.last
        first = self.last + 1
        self.last = last or self.last + {RANGE: self.chance.randint(1, 5), PREVIOUS: self.chance.randint(1, 9)}.get(
            self.rule.chaining, 1
        )
        self.remember()
        return self._depth(False, min(first, self.last), self.previous, *changed)

    def whole(self, limit: int = 1000) -> Depth:
        bids, asks = self.levels()
        return self._depth(True, self.last, None, bids[:limit], asks[:limit])

    def _depth(self, snapshot: bool, first: int, previous: int | None, bids: list[Level], asks: list[Level]) -> Depth:
        chaining = self.rule.chaining
        check = None
        if self.rule.checksum is not None and self.chance.random() < 0.6:
            check = checksum(*(side[:COVERED] for side in self.levels()))
        if chaining not in (RANGE, PREVIOUS, COUNTER):
            return Depth("s", snapshot, None, None, None, bids, asks, None, checksum=check)
        told = previous if chaining is PREVIOUS else None
        return Depth("s", snapshot, first, self.last, told, bids, asks, None, checksum=check)

    def remember(self) -> None:
        self.history[self.last] = self.levels()

    @staticmethod
    def _level(price: int, size: int) -> Level:
        return Number(f"{price}.50"), Number(f"{size}.500" if size else "0.000")


LIMIT = 8
"""Levels a side that a REST snapshot has."""


class Run:
    """A market, a line that loses frames, and the book at its end. ``lost``: since the last snapshot."""

    def __init__(self, rule: BookRules, seed: int) -> None:
        self.rule = rule
        self.chance = Random(seed)
        self.market = Market(rule, self.chance)
        self.book = OrderBook(rule)
        self.book.watch(3)
        self.past: list[Depth] = []
        self.answers: list[Depth] = []
        self.lost = False

    @property
    def has_ids(self) -> bool:
        return self.rule.chaining in (RANGE, PREVIOUS, COUNTER)

    def take(self, depth: Depth) -> Outcome:
        was_synced = self.book.synced
        outcome = self.book.received(depth)
        self.past.append(depth)
        if depth.snapshot:
            self.lost = False
        elif self.rule.chaining is CHECKSUM and was_synced and depth.checksum is not None:
            covers = [side[:COVERED] for side in self.market.levels()]
            assert outcome in (CHANGED, WRONG)
            assert outcome is WRONG or [list(side) for side in self.book.top(COVERED)] == covers
        return outcome

    def check(self) -> None:
        """The book is the market's at its id: all of it, or as far as the snapshot reached."""
        shown = [list(side) for side in self.book.top(1000)]
        if not self.book.synced:
            assert shown == [[], []]
            return
        if self.has_ids:
            assert self.book.sequence is not None
            true = self.market.history[self.book.sequence]
        elif self.lost:
            return  # only a checksum will tell
        else:
            true = self.market.levels()
        for mine, theirs in zip(shown, true, strict=True):
            assert mine == theirs[: len(mine)]
        if self.rule.snapshots is STREAM:
            assert shown == list(true)

    # Steps.

    def frame(self) -> None:
        self.take(self.market.frame())

    def lose(self) -> None:
        self.market.frame()
        self.lost = True
        if self.rule.chaining is CONNECTION:
            self.book.reset()  # the hole in the connection's count shows with the next frame

    def repeat(self) -> None:
        if self.has_ids and self.past:
            self.book.received(self.past[-1])

    def older(self) -> None:
        frames = [each for each in self.past if not each.snapshot]
        if self.has_ids and frames:
            self.book.received(self.chance.choice(frames))

    def alive(self) -> None:
        """A frame that says nothing new. After a loss it shows the loss where it names its predecessor; elsewhere it
        would pass for what was lost, so venues that number in such a way send none."""
        last = self.market.last
        if self.rule.chaining is PREVIOUS:
            self.book.received(Depth("s", False, last, last, last, [], [], None))
        elif self.has_ids and not self.lost:
            self.book.received(Depth("s", False, last, last, None, [], [], None))

    def whole(self) -> None:
        if self.rule.snapshots is not REST:
            self.take(self.market.whole())

    def maintenance(self) -> None:
        """Ids go down. A frame says so by naming its predecessor; elsewhere a snapshot does."""
        if self.rule.snapshots is not STREAM or not self.has_ids:
            return
        self.past.clear()  # nobody sends again what came before
        down = self.market.last // 2
        if self.rule.chaining is PREVIOUS:
            self.take(self.market.frame(down))
        else:
            self.market.last = down
            self.market.remember()
            self.take(replace(self.market.whole(), restarted=True))

    def ask(self) -> None:
        if self.rule.snapshots is not STREAM:
            self.book.snapshot_begun()
            self.answers.append(self.market.whole(LIMIT))

    def answer(self) -> None:
        if self.answers:
            self.book.snapshot(self.answers.pop(0), LIMIT)

    def early(self) -> None:
        """A REST snapshot that overtakes frames."""
        if self.rule.snapshots is not STREAM:
            frames = [self.market.frame(), self.market.frame()]
            self.book.snapshot_begun()
            self.book.snapshot(self.market.whole(LIMIT), LIMIT)
            self.check()
            for each in frames:
                self.take(each)
                self.check()

    def reset(self) -> None:
        self.book.reset()
        self.lost = True  # what came before is forgotten, and a snapshot that was asked for may be older than that

    def recover(self) -> None:
        """The line behaves again."""
        self.answers.clear()
        self.book.snapshot_failed()
        if self.rule.snapshots is STREAM:
            self.take(self.market.whole())
        for _ in range(10):
            self.frame()
            self.check()
            if self.book.wants_snapshot():
                self.ask()
                self.answer()
                self.check()
        assert self.book.synced
        if self.has_ids:
            assert self.book.sequence == self.market.last
        elif self.rule.chaining is CHECKSUM:
            assert not self.lost


STEPS = ("frame",) * 8 + (
    "lose",
    "repeat",
    "older",
    "alive",
    "whole",
    "maintenance",
    "ask",
    "answer",
    "early",
    "reset",
)


@given(
    rule=st.sampled_from([*BY_ID, *WITHOUT_IDS]),
    steps=st.lists(st.sampled_from(STEPS), min_size=5, max_size=60),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=400, deadline=None)
def test_a_synced_book_is_the_markets(rule: BookRules, steps: list[str], seed: int) -> None:
    run = Run(rule, seed)
    for step in ("whole", *steps):
        getattr(run, step)()
        run.check()
    run.recover()

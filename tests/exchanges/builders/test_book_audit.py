"""The comparison of a live book with a snapshot of it: examples, and any history of a venue's book at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import define, frozen
from hypothesis import assume, given
from hypothesis import strategies as st

from cryptodash.core.numbers import Number, key
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders import book_audit
from cryptodash.exchanges.builders.book_audit import BookAudit, Finding, Sides, Verdict, audit_of
from cryptodash.exchanges.builders.ladder import Ladder

EQUAL, DIFFERENT, UNMATCHED = Verdict.EQUAL, Verdict.DIFFERENT, Verdict.UNMATCHED

RULES = {
    AuditBy.UPDATE_ID: BookRules(SnapshotSource.REST, Chaining.RANGE, audit=AuditBy.UPDATE_ID),
    AuditBy.SEQUENCE: BookRules(SnapshotSource.STREAM, Chaining.COUNTER, audit=AuditBy.SEQUENCE),
    AuditBy.UNCHANGED: BookRules(SnapshotSource.STREAM, Chaining.CONNECTION, audit=AuditBy.UNCHANGED),
}

Levels = Sequence[tuple[Number, Number]]


def levels(text: str) -> Levels:
    return [(Number(price), Number(size)) for price, size in (each.split() for each in text.split(",") if each.strip())]


def depth(number: int | None, bids: str = "", asks: str = "", *, snapshot: bool = False) -> Depth:
    """A frame whose update id and sequence are the same number."""
    return Depth("s", snapshot, number, number, None, levels(bids), levels(asks), None, sequence=number)


@define
class Live:
    """A book at id 10 that is audited: frames go in by ``takes``."""

    sides: Sides
    audit: BookAudit
    tier: int | None = None

    def takes(self, frame: Depth) -> None:
        for side, changes in zip(self.sides, (frame.bids, frame.asks), strict=True):
            side.apply(changes)
            if self.tier is not None:
                side.truncate(self.tier)
        self.audit.applied(frame, self.sides)

    def finds(self, *, settled: bool = False) -> Finding | None:
        return self.audit.finding(self.sides, settled=settled)


def live(
    by: AuditBy, bids: str = "100 1, 99 2", asks: str = "101 1, 102 2", *, tier: int | None = None, limit: int = 1000
) -> Live:
    sides = Ladder(-1), Ladder(1)
    sides[0].load(levels(bids), limit if tier is None else None)
    sides[1].load(levels(asks), limit if tier is None else None)
    return Live(sides, audit_of(RULES[by], tier, sides, 10), tier)


def place(sign: int, price: str) -> tuple[int, int]:
    return sign, sign * key(Number(price))


# -- by the update id


def test_a_snapshot_of_the_state_that_the_book_is_at_is_compared_at_once() -> None:
    book = live(AuditBy.UPDATE_ID)
    assert book.finds() is None  # nothing has come
    book.audit.answered(depth(10, "100 1.0, 99 2", "101 1, 102 2", snapshot=True))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=4)


def test_changes_since_the_snapshot_are_put_into_it() -> None:
    book = live(AuditBy.UPDATE_ID)
    book.takes(depth(11, "100 0, 98 3"))
    book.takes(depth(13, "", "101 7"))
    book.audit.answered(depth(11, "99 2, 98 3", "101 1, 102 2", snapshot=True))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=4)


def test_a_snapshot_may_lie_within_a_frame_that_covers_all_that_changed() -> None:
    book = live(AuditBy.UPDATE_ID)
    book.takes(depth(14, "100 5, 98 3"))  # of which the snapshot has the half
    book.audit.answered(depth(12, "100 4, 99 2", "101 1, 102 2", snapshot=True))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=4)


def test_what_is_not_the_same_is_named() -> None:
    book = live(AuditBy.UPDATE_ID)
    book.takes(depth(11, "97 1"))
    book.audit.answered(depth(10, "100 1.5, 99 2, 98 1", "101 1, 103 4", snapshot=True))
    finding = book.finds()
    assert finding is not None and finding.verdict is DIFFERENT and finding.certain
    ours = {(-1, "100"): "1", (-1, "98"): None, (1, "102"): "2", (1, "103"): None}
    assert finding.differences == {place(*each): size for each, size in ours.items()}


def test_a_snapshot_ahead_of_the_stream_waits_for_it() -> None:
    book = live(AuditBy.UPDATE_ID)
    book.audit.answered(depth(12, "100 1, 99 9", "101 1, 102 2", snapshot=True))
    assert book.finds() is None
    book.takes(depth(11, "98 1"))
    assert book.finds() is None and book.finds(settled=True) is None
    book.takes(depth(12, "99 9, 98 0"))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=4)


def test_a_snapshot_from_before_the_audit_can_be_joined_to_nothing() -> None:
    book = live(AuditBy.UPDATE_ID)
    book.takes(depth(11, "100 3"))
    book.audit.answered(depth(9, "100 1", "101 1", snapshot=True))
    finding = book.finds()
    assert finding is not None and finding.verdict is UNMATCHED


@pytest.mark.parametrize(("size", "verdict"), [("1", EQUAL), ("2", DIFFERENT)])
def test_where_nothing_changed_all_along_the_snapshot_is_that_state_whatever_its_id(
    size: str, verdict: Verdict
) -> None:
    book = live(AuditBy.UPDATE_ID)
    book.audit.answered(depth(15, f"100 {size}, 99 2", "101 1, 102 2", snapshot=True))
    assert book.finds() is None
    finding = book.finds(settled=True)
    assert finding is not None and (finding.verdict, finding.certain) == (verdict, False)


def test_levels_are_compared_as_far_as_both_sides_are_proven() -> None:
    book = live(AuditBy.UPDATE_ID, "100 1, 99 2, 97 1", "101 1, 102 2, 103 1", limit=3)
    # The snapshot goes down to 99 on one side and to 104 on the other, where ours ends at 103.
    book.audit.answered(depth(10, "100 1, 99 2", "101 1, 102 2, 103 1, 104 5", snapshot=True))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=5)


def test_a_snapshot_that_is_shorter_than_it_was_asked_for_proves_nothing_behind_its_last_level() -> None:
    """A venue may give fewer levels than it documents."""
    book = live(AuditBy.UPDATE_ID, "100 1, 99 2, 97 1", "101 1, 102 2, 103 1")
    book.audit.answered(depth(10, "100 1, 99 2", "101 1", snapshot=True))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=3)


def test_an_audit_of_a_venue_that_counts_anew_is_void() -> None:
    book = live(AuditBy.UPDATE_ID)
    book.takes(depth(5, "98 1"))
    assert book.audit.is_void


def test_a_book_that_changes_too_fast_is_not_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_audit, "MOST_LEVELS", 5)
    for by in AuditBy:
        book = live(by)
        for number in range(11, 18):
            book.takes(depth(number, f"{number} 1"))
        assert book.audit.is_void
        if isinstance(book.audit, book_audit.AuditByNumber):
            assert book.audit._frames == [], "what is given up keeps nothing"


# -- by a number that is not known in the beginning


def test_the_first_frame_tells_where_the_book_is() -> None:
    book = live(AuditBy.SEQUENCE)
    book.takes(depth(70, "100 3"))
    book.takes(depth(75, "99 1"))
    book.audit.answered(depth(70, "100 3, 99 2", "101 1, 102 2", snapshot=True))
    assert book.finds() == Finding(EQUAL, {}, certain=True, compared=4)


@pytest.mark.parametrize(("number", "certain"), [(70, True), (72, False), (75, True)])
def test_between_two_frames_a_difference_is_not_certain(number: int, certain: bool) -> None:
    book = live(AuditBy.SEQUENCE)
    book.takes(depth(70, "100 3"))
    book.takes(depth(75, "99 1"))
    book.audit.answered(depth(number, "100 4, 99 1", "101 1, 102 2", snapshot=True))
    finding = book.finds()
    assert finding is not None and (finding.verdict, finding.certain) == (DIFFERENT, certain)


# -- by what did not change


def test_only_levels_that_nothing_touched_are_compared() -> None:
    book = live(AuditBy.UNCHANGED)
    book.takes(depth(None, "100 3", "102 0"))
    book.audit.answered(depth(None, "100 1, 99 2", "101 1, 102 2", snapshot=True))
    book.takes(depth(None, "98 1"))
    assert book.finds() is None  # what was sent before the answer may still be on its way
    assert book.finds(settled=True) == Finding(EQUAL, {}, certain=False, compared=2)


def test_a_level_that_nothing_touched_and_is_not_the_same_is_named() -> None:
    book = live(AuditBy.UNCHANGED)
    book.takes(depth(None, "100 3"))
    book.audit.answered(depth(None, "100 1, 99 5, 98 1", "101 1, 102 2", snapshot=True))
    finding = book.finds(settled=True)
    assert finding is not None and not finding.certain
    assert finding.differences == {place(-1, "99"): "2", place(-1, "98"): None}


def test_where_all_was_touched_there_is_nothing_to_compare() -> None:
    book = live(AuditBy.UNCHANGED, "100 1", "101 1")
    book.takes(depth(None, "100 3", "101 2"))
    book.audit.answered(depth(None, "100 1", "101 1", snapshot=True))
    finding = book.finds(settled=True)
    assert finding is not None and finding.verdict is UNMATCHED


def test_a_level_beyond_the_end_of_the_stream_may_have_come_back_unsaid() -> None:
    book = live(AuditBy.UNCHANGED, "100 1, 99 2", "101 1, 102 2", tier=2)
    book.takes(depth(None, "100.5 1"))  # 99 falls out, and is never deleted
    book.takes(depth(None, "100.5 0"))
    book.audit.answered(depth(None, "100 1, 99 2", "101 1, 102 2", snapshot=True))
    assert book.finds(settled=True) == Finding(EQUAL, {}, certain=False, compared=3)


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ("0.0006", "0.001", EQUAL),
        ("1.23449999", "1.234", EQUAL),
        ("1.2361", "1.234", DIFFERENT),
        ("1.2", "1", DIFFERENT),
        ("0.0004", "0.000", EQUAL),
        ("0.0021", "0.000", DIFFERENT),
    ],
)
def test_rounded_sizes_are_compared_to_their_last_place(ours: str, theirs: str, verdict: Verdict) -> None:
    sides = Ladder(-1), Ladder(1)
    sides[0].load(levels(f"100 {ours}"), None)
    rules = BookRules(SnapshotSource.STREAM, Chaining.CONNECTION, audit=AuditBy.UNCHANGED, audit_rounded=theirs != "1")
    audit = audit_of(rules, None, sides, None)
    audit.answered(depth(None, f"100 {theirs}", snapshot=True))
    finding = audit.finding(sides, settled=True)
    assert finding is not None and finding.verdict is verdict


def test_a_size_that_is_rounded_to_zero_takes_no_level_behind_it_with_it() -> None:
    ours = ", ".join(f"{100 - each} {'0.0004' if each == 3 else '1.2344'}" for each in range(25))
    theirs = ", ".join(f"{100 - each} {'0.000' if each == 3 else '1.234'}" for each in range(10))
    sides = Ladder(-1), Ladder(1)
    sides[0].load(levels(ours), None)
    rules = BookRules(SnapshotSource.STREAM, Chaining.CONNECTION, audit=AuditBy.UNCHANGED, audit_rounded=True)
    audit = audit_of(rules, 25, sides, None)
    audit.answered(depth(None, theirs, snapshot=True))
    assert audit.finding(sides, settled=True) == Finding(EQUAL, {}, certain=False, compared=10)


def test_rules_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="no update id"):
        BookRules(SnapshotSource.STREAM, Chaining.CONNECTION, audit=AuditBy.UPDATE_ID)


# -- any history


@frozen
class Change:
    sign: int
    price: int
    size: int


CHANGES = st.lists(
    st.builds(Change, st.sampled_from((-1, 1)), st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=40
)
Book = dict[tuple[int, int], int]
"""A venue's book: size by (sign, distance from the middle)."""


def states(changes: Sequence[Change]) -> list[Book]:
    """The venue's book before the first change, and after each."""
    found: list[Book] = [{(sign, price): 2 for sign in (-1, 1) for price in range(2, 9)}]
    for each in changes:
        book = dict(found[-1])
        book.pop((each.sign, each.price), None)
        if each.size:
            book[each.sign, each.price] = each.size
        found.append(book)
    return found


def price_of(sign: int, distance: int) -> Number:
    return Number(str(100 + sign * distance))


def side(book: Book, sign: int, most: int | None) -> Levels:
    """The best levels of one side."""
    best = sorted(distance for at, distance in book if at == sign)[:most]
    return [(price_of(sign, distance), Number(str(book[sign, distance]))) for distance in best]


def snapshot_of(book: Book, number: int | None, most: int | None) -> Depth:
    return Depth("s", True, number, number, None, side(book, -1, most), side(book, 1, most), None, sequence=number)


def touched(changes: Sequence[Change], book: Book, number: int) -> Depth:
    """The frame that says of every level that changed how it is at last."""
    both: dict[int, dict[int, None]] = {-1: {}, 1: {}}
    for each in changes:
        both[each.sign][each.price] = None
    bids, asks = ([(price_of(sign, at), Number(str(book.get((sign, at), 0)))) for at in both[sign]] for sign in (-1, 1))
    return Depth("s", False, number, number, None, bids, asks, None, sequence=number)


def window(before: Book, after: Book, number: int, tier: int, *, says_lost: bool) -> Depth:
    """The frame of a stream of so many levels: what is not the same within them. ``says_lost``: levels that are pushed
    out are deleted."""
    frames = []
    for sign in (-1, 1):
        old, new = dict(side(before, sign, tier)), dict(side(after, sign, tier))
        changes = [(price, size) for price, size in new.items() if old.get(price) != size]
        for price in old.keys() - new.keys():
            is_gone = (sign, abs(int(price) - 100)) not in after
            if is_gone or says_lost:
                changes.append((price, Number("0")))
        frames.append(changes)
    return Depth("s", False, number, number, None, frames[0], frames[1], None, sequence=number)


def begun(by: AuditBy, book: Book, most: int | None, tier: int | None) -> Live:
    sides = Ladder(-1), Ladder(1)
    for ladder, sign in zip(sides, (-1, 1), strict=True):
        ladder.load(side(book, sign, tier or most), None if tier is not None else most)
    return Live(sides, audit_of(RULES[by], tier, sides, 0), tier)


CUTS = st.lists(st.integers(1, 5), min_size=1, max_size=20)
MOST = st.integers(1, 14)


def parts(changes: Sequence[Change], cuts: Sequence[int]) -> list[tuple[int, int]]:
    """(from, until) of each frame."""
    found, at = [], 0
    for cut in cuts:
        if at < len(changes):
            found.append((at, min(at + cut, len(changes))))
            at += cut
    return found


@given(CHANGES, CUTS, MOST, MOST, st.data())
def test_a_true_book_and_a_snapshot_at_any_id_are_never_different(
    changes: Sequence[Change], cuts: Sequence[int], most: int, limit: int, data: st.DataObject
) -> None:
    truth = states(changes)
    book = begun(AuditBy.UPDATE_ID, truth[0], most, None)
    frames = parts(changes, cuts)
    at = data.draw(st.integers(0, frames[-1][1]))
    for start, end in frames:
        book.takes(touched(changes[start:end], truth[end], end))
    book.audit.answered(snapshot_of(truth[at], at, limit))
    finding = book.finds()
    assert finding is not None and finding.verdict in (EQUAL, UNMATCHED)


@given(CHANGES, CUTS, MOST, st.data())
def test_one_wrong_size_is_found_and_nothing_else(
    changes: Sequence[Change], cuts: Sequence[int], limit: int, data: st.DataObject
) -> None:
    truth = states(changes)
    book = begun(AuditBy.UPDATE_ID, truth[0], None, None)
    frames = parts(changes, cuts)
    at = data.draw(st.integers(0, frames[-1][1]))
    for start, end in frames:
        book.takes(touched(changes[start:end], truth[end], end))
    snapshot = snapshot_of(truth[at], at, limit)
    sign = data.draw(st.sampled_from((-1, 1)))
    # A level that the snapshot proves and that is still there: its size is ours to spoil.
    proven = [price for price, _ in (snapshot.bids if sign < 0 else snapshot.asks)]
    now = dict(side(truth[frames[-1][1]], sign, None))
    spoilt = [price for price in proven if price in now]
    assume(spoilt)
    price = data.draw(st.sampled_from(spoilt))
    book.sides[0 if sign < 0 else 1].apply([(price, Number("77"))])
    book.audit.answered(snapshot)
    finding = book.finds()
    assert finding is not None and finding.verdict is DIFFERENT and finding.certain
    assert finding.differences == {(sign, sign * key(price)): "77"}


@given(CHANGES, CUTS, st.integers(2, 6), MOST, st.data())
def test_a_stream_with_an_end_and_a_snapshot_of_one_of_its_states_are_never_different(
    changes: Sequence[Change], cuts: Sequence[int], tier: int, limit: int, data: st.DataObject
) -> None:
    truth = states(changes)
    book = begun(AuditBy.SEQUENCE, truth[0], None, tier)
    frames = parts(changes, cuts)
    at = data.draw(st.sampled_from([end for _, end in frames]))
    for start, end in frames:
        book.takes(window(truth[start], truth[end], end, tier, says_lost=True))
    book.audit.answered(snapshot_of(truth[at], at, limit))
    finding = book.finds()
    assert finding is not None and finding.verdict in (EQUAL, UNMATCHED)


@given(CHANGES, CUTS, st.integers(2, 6) | st.none(), MOST, st.booleans(), st.data())
def test_levels_that_nothing_touched_are_the_same_in_every_snapshot(
    changes: Sequence[Change],
    cuts: Sequence[int],
    tier: int | None,
    limit: int,
    says_lost: bool,
    data: st.DataObject,
) -> None:
    truth = states(changes)
    book = begun(AuditBy.UNCHANGED, truth[0], None, tier)
    frames = parts(changes, cuts)
    at = data.draw(st.integers(0, frames[-1][1]))
    for start, end in frames:
        if tier is None:
            book.takes(touched(changes[start:end], truth[end], end))
        else:
            for each in range(start, end):  # one by one, as a venue must send them where a frame has a checksum
                book.takes(window(truth[each], truth[each + 1], each + 1, tier, says_lost=says_lost))
    book.audit.answered(snapshot_of(truth[at], None, limit))
    finding = book.finds(settled=True)
    assert finding is not None and finding.verdict in (EQUAL, UNMATCHED)

"""The comparison of a live book with a REST snapshot of it. Pure: no socket, no clock, no decision about when.

An audit is told of every frame that the book takes from some seconds before the snapshot is asked for (``applied``),
then gets the snapshot (``answered``), and says what it found as soon as it can (``finding``). It looks only at levels
that both sides prove: inside the horizon of both, that of a snapshot being its last level, and of a stream that carries
so many levels and no more, inside the place of the last of them.

By ids, the changes beyond the snapshot's id are put into the snapshot; the book must then say the same. Where the book
did not change at all from long before the request until long after the answer, the snapshot must be that one state,
whatever its id. Where nothing joins the two, only levels are compared that no frame touched in that time.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from attrs import frozen

from cryptodash.core.events import Level
from cryptodash.core.numbers import EXACT, Number, is_zero, key
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.ladder import Ladder

MOST_LEVELS = 50_000
"""Of both sides, what one audit keeps: changes of levels with their frames, or levels that were touched. The audit of
a book that changes faster than that is given up."""

Sides = tuple[Ladder, Ladder]
"""(bids, asks)."""
Place = tuple[int, int]
"""Side (-1 bids, 1 asks) and key of a level."""
Zeros = tuple[dict[int, Number], dict[int, Number]]
"""Of each side, sizes by the keys of their levels."""


class Verdict(enum.Enum):
    """What came of an audit."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNMATCHED = "unmatched"
    """There was nothing to compare: the snapshot is of no state that is known, or all has changed."""


@frozen
class Finding:
    """``differences``: the levels that are not the same, with our sizes there (None: we have none). ``certain``: they
    cannot come from when the snapshot was taken. ``compared``: how many levels were."""

    verdict: Verdict
    differences: Mapping[Place, Number | None]
    certain: bool = False
    compared: int = 0


_UNMATCHED = Finding(Verdict.UNMATCHED, {})


class BookAudit(ABC):
    """One audit of one book. ``tier``: levels a side that the book's stream carries, where it carries no more."""

    def __init__(self, tier: int | None, rounded: bool) -> None:
        self.is_void = False
        """Whether the book was lost or replaced meanwhile, or the audit was given up: nothing will be found."""
        self._tier = tier
        self._rounded = rounded
        self._snapshot: Depth | None = None
        self._zeros: Zeros = ({}, {})
        """Levels of the snapshot whose size is rounded to zero."""

    @abstractmethod
    def applied(self, depth: Depth, sides: Sides) -> None:
        """The book took this frame, and is these sides now."""

    def answered(self, snapshot: Depth) -> None:
        """The snapshot has come."""
        self._snapshot = snapshot
        if self._rounded:
            self._zeros = _zeros(-1, snapshot.bids), _zeros(1, snapshot.asks)

    @abstractmethod
    def finding(self, sides: Sides, *, settled: bool) -> Finding | None:
        """What was found; None: not yet. ``sides`` are the book's now; ``settled``: what the venue had sent before the
        answer has come by now."""

    def _loaded(self, snapshot: Depth) -> Sides:
        """The snapshot, as far as it goes, and no farther than the stream: of what lies behind its last level that says
        no changes. That a short snapshot is the whole side is not believed: a venue may give fewer levels than it was
        asked for."""
        bids, asks = Ladder(-1), Ladder(1)
        for side, levels in ((bids, snapshot.bids), (asks, snapshot.asks)):
            side.load(levels, 0)
            if self._tier is not None and side.count >= self._tier:
                side.cut(self._tier)
        return bids, asks

    def _edge(self, side: Ladder) -> int:
        """How far a side of the live book is known; where its stream has an end, no farther than its last level: that
        one of the levels behind it has moved up may be said a moment later."""
        tier = self._tier
        last = None if tier is None else side.last_of(tier)
        return side.horizon if last is None else last


class AuditByNumber(BookAudit):
    """By a number that the snapshot and the frames have. ``base`` is the book's when the audit began, None where it is
    not known; ``is_spliced``: the venue documents that a frame covers all that changed since the one before, so that a
    snapshot may lie between the two."""

    def __init__(
        self,
        number: Callable[[Depth], int | None],
        base: int | None,
        is_spliced: bool,
        tier: int | None = None,
        rounded: bool = False,
    ) -> None:
        super().__init__(tier, rounded)
        self._number = number
        self._base = self._last = base
        self._is_spliced = is_spliced
        self._frames: list[tuple[int, Depth]] = []
        self._levels = 0
        self._has_changed = False

    def applied(self, depth: Depth, sides: Sides) -> None:
        if self.is_void:
            return
        number = self._number(depth)
        if number is None or (self._last is not None and number < self._last):
            self._give_up()  # counted anew
            return
        self._has_changed = self._has_changed or bool(depth.bids or depth.asks)
        self._last = number
        if self._base is None:
            self._base = number  # the snapshot must not be older than this: what came before is not known
            return
        self._frames.append((number, depth))
        self._levels += 1 + len(depth.bids) + len(depth.asks)
        if self._levels > MOST_LEVELS:
            self._give_up()

    def _give_up(self) -> None:
        self.is_void = True
        self._frames.clear()

    def finding(self, sides: Sides, *, settled: bool) -> Finding | None:
        snapshot = self._snapshot
        if snapshot is None:
            return None
        number, base, last = self._number(snapshot), self._base, self._last
        if settled and not self._has_changed:
            is_here = number is not None and number == last
            return compared(
                sides, self._loaded(snapshot), self._edges(sides), self._rounded, self._zeros, certain=is_here
            )
        if number is None or (base is not None and number < base):
            return _UNMATCHED
        if base is None or last is None or number > last:
            return None  # the stream has yet to reach it
        bids, asks = self._loaded(snapshot)
        for each, depth in self._frames:
            if each > number:
                bids.apply(depth.bids)
                asks.apply(depth.asks)
        is_state = number == base or any(each == number for each, _ in self._frames)
        certain = is_state or self._is_spliced
        return compared(sides, (bids, asks), self._edges(sides), self._rounded, self._zeros, certain=certain)

    def _edges(self, sides: Sides) -> tuple[int, int]:
        return self._edge(sides[0]), self._edge(sides[1])


class AuditByUnchanged(BookAudit):
    """By the levels that no frame touched while the audit lasted."""

    def __init__(self, sides: Sides, tier: int | None = None, rounded: bool = False) -> None:
        super().__init__(tier, rounded)
        self._touched: tuple[set[int], set[int]] = (set(), set())
        self._edges = [self._edge(each) for each in sides]
        """The least that either side was known to, from the beginning on: a level beyond may have come back unsaid."""

    def applied(self, depth: Depth, sides: Sides) -> None:
        if self.is_void:
            return
        for at, (sign, levels) in enumerate(((-1, depth.bids), (1, depth.asks))):
            touched = self._touched[at]
            touched.update(sign * key(price) for price, _ in levels)
            self._edges[at] = min(self._edges[at], self._edge(sides[at]))
        if sum(map(len, self._touched)) > MOST_LEVELS:
            self.is_void = True
            self._touched = set(), set()

    def finding(self, sides: Sides, *, settled: bool) -> Finding | None:
        if self._snapshot is None or not settled:
            return None
        edges = self._edges[0], self._edges[1]
        theirs, touched = self._loaded(self._snapshot), self._touched
        return compared(sides, theirs, edges, self._rounded, self._zeros, certain=False, without=touched)


def audit_of(rules: BookRules, tier: int | None, sides: Sides, sequence: int | None) -> BookAudit:
    """The audit of a book of these rules that begins now. ``sequence``: the update id that the book is at."""
    if rules.audit is AuditBy.UPDATE_ID:
        return AuditByNumber(_update_id, sequence, True, tier, rules.audit_rounded)
    if rules.audit is AuditBy.SEQUENCE:
        return AuditByNumber(_sequence, None, False, tier, rules.audit_rounded)
    return AuditByUnchanged(sides, tier, rules.audit_rounded)


def _update_id(depth: Depth) -> int | None:
    return depth.last


def _sequence(depth: Depth) -> int | None:
    return depth.sequence


def _zeros(sign: int, levels: Iterable[Level]) -> dict[int, Number]:
    return {sign * key(price): size for price, size in levels if is_zero(size)}


_NONE: tuple[set[int], set[int]] = (set(), set())


def compared(
    sides: Sides,
    snapshot: Sides,
    edges: tuple[int, int],
    rounded: bool,
    zeros: Zeros,
    *,
    certain: bool,
    without: tuple[set[int], set[int]] = _NONE,
) -> Finding:
    """The finding over two books that should be the same, up to these places on either side, without these levels.
    ``rounded``: sizes of the snapshot are rounded to their last place, those of ``zeros`` to nothing."""
    differences: dict[Place, Number | None] = {}
    count = 0
    each_side = zip((-1, 1), sides, snapshot, edges, zeros, without, strict=True)
    for sign, ours, theirs, edge, nothing, left_out in each_side:
        until = min(edge, ours.horizon, theirs.horizon)
        mine, other = _levels(ours, until), _levels(theirs, until)
        places = (mine.keys() | other.keys()) - left_out
        count += len(places)
        for place in places:
            if not _same(mine.get(place), other.get(place, nothing.get(place)), rounded):
                differences[sign, place] = mine.get(place)
    if not count:
        return _UNMATCHED
    verdict = Verdict.DIFFERENT if differences else Verdict.EQUAL
    return Finding(verdict, differences, certain=certain, compared=count)


def _levels(side: Ladder, until: int) -> dict[int, Number]:
    return {place: size for place, (_, size) in side.levels_to(until).items()}


def _same(ours: Number | None, theirs: Number | None, rounded: bool) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    if ours == theirs or key(ours) == key(theirs):
        return True
    if not rounded:
        return False
    unit = Decimal(1).scaleb(-len(theirs.partition(".")[2]))
    return abs(EXACT.subtract(Decimal(ours), Decimal(theirs))) <= unit

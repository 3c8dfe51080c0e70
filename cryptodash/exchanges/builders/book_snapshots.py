"""An order book as far as snapshots make it: what it shows and proves, what it needs, and how a REST snapshot is joined
to the frames kept for it. What the frames of its stream do is in ``book_sync.py``."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Level
from cryptodash.core.instruments import Instrument
from cryptodash.exchanges.adapter.book_rules import BookRules, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_chaining import FOLLOWS, JOINS
from cryptodash.exchanges.builders.book_order import FarFrame, OldFrames
from cryptodash.exchanges.builders.book_states import Outcome, Reach, Renewing, Snapshot, Synced, Unsynced, id_of
from cryptodash.exchanges.builders.doubt_counts import UNCOUNTED, DoubtCounts
from cryptodash.exchanges.builders.ladder import Ladder
from cryptodash.exchanges.builders.plausibility import FAR_AHEAD, is_far_ahead
from cryptodash.exchanges.builders.waiting_frames import FrameBudget, Frames


class SnapshotBook:
    """The part of ``OrderBook`` that would be the same without a stream."""

    def __init__(
        self,
        rules: BookRules,
        *,
        tier: int | None = None,
        instrument: Instrument | None = None,
        doubts: DoubtCounts = UNCOUNTED,
        budget: FrameBudget | None = None,
    ) -> None:
        self.gaps = 0
        self.resyncs = 0
        """How often the book was rebuilt, or replaced, after it had once been synced."""
        self._rules = rules
        self._tier = tier
        self._checksum = rules.checksum_for(instrument)
        self._follows = FOLLOWS[rules.chaining]
        self._bids, self._asks = Ladder(-1), Ladder(1)
        self._budget = budget or FrameBudget()
        self._state: Unsynced | Synced | Renewing = Unsynced(Frames(self._budget))
        self._keeps_frames = rules.snapshots is not SnapshotSource.STREAM
        self._was_synced = False
        self._is_used_up = False
        """Whether no proven level is left on a side of which not all is known."""
        self._far = FarFrame(self._follows, doubts)
        self._old = OldFrames(self._follows, doubts)
        self._taken_at = 0.0
        """When the newest frame came that was taken."""
        self._refused: int | None = None
        """The id of the last snapshot, if it was too far ahead of the frames."""
        self._is_void = False
        """Whether the answer on its way was asked for before the venue counted anew."""
        self._reach = Reach()

    @property
    def synced(self) -> bool:
        """Whether the book is the venue's, as of the last frame."""
        return not isinstance(self._state, Unsynced) and not self._is_used_up

    @property
    def sequence(self) -> int | None:
        """The venue's id of the last change in the book; None while not synced, and where frames have no ids."""
        return None if isinstance(self._state, Unsynced) else self._state.sequence

    @property
    def is_joining(self) -> bool:
        """Whether no frame has followed the snapshot that the book was made from yet."""
        return not isinstance(self._state, Unsynced) and self._state.joining

    @property
    def time(self) -> int | None:
        """Venue time (ms) of the last applied frame that had one; None while not synced."""
        return None if isinstance(self._state, Unsynced) else self._state.time

    # -- what it shows

    def top(self, depth: int) -> tuple[Sequence[Level], Sequence[Level]]:
        """(bids, asks), best first: at most ``depth`` proven levels a side; nothing while not synced."""
        if self._is_used_up:
            return (), ()
        return self._bids.top(depth), self._asks.top(depth)

    @property
    def sides(self) -> tuple[Ladder, Ladder]:
        """(bids, asks) as they are now: to compare with, not to keep, nor to change."""
        return self._bids, self._asks

    def diverged(self) -> Outcome:
        """A comparison has shown that the book is not the venue's."""
        return self._lose(Outcome.DIVERGED)

    @property
    def pending(self) -> int:
        """Frames kept for a snapshot to come."""
        return 0 if isinstance(self._state, Synced) else len(self._state.kept)

    # -- what it needs

    def watch(self, depth: int) -> None:
        """Name the largest depth anybody looks at."""
        self._reach.watched = depth

    def wants_snapshot(self, least_frames: int = 2) -> bool:
        """Whether a REST snapshot is of use and none is on its way or waiting for the stream.

        Before two frames have come a snapshot is usually older than the first of them; where the stream is slow, one
        must do (none will not: a stream that never delivered is not proven). A synced book wants one when fewer than
        1.5 times the watched levels, or a fifth of what the venue gave, are left on a side; where the venue gives no
        more than that, when a quarter of what it gave is used up.
        """
        state = self._state
        if not self._keeps_frames or isinstance(state, Renewing):
            return False
        if isinstance(state, Unsynced):
            return not state.asked and state.held is None and len(state.kept) >= least_frames
        needed = self._reach.needed
        return self._bids.is_short(needed) or self._asks.is_short(needed)

    def snapshot_begun(self) -> None:
        """A request is on its way: diffs are kept from now on, so that its answer can be joined."""
        self._reach.asking()
        self._is_void = False
        if isinstance(self._state, Unsynced):
            self._state.asked = True
        else:
            self._renewing(self._state)

    def snapshot_failed(self) -> None:
        """No answer will come."""
        state, self._is_void = self._state, False
        if isinstance(state, Unsynced):
            state.asked = False
        elif isinstance(state, Renewing) and state.held is None:
            self._become(state.settled())

    def forgo_snapshots(self) -> None:
        """Nobody looks at the book: no snapshot is of use, and nothing is kept for one."""
        self._keeps_frames = self._is_void = False
        if isinstance(self._state, Unsynced):
            self._empty()
        elif isinstance(self._state, Renewing):
            self._become(self._state.settled())

    def use_snapshots(self) -> None:
        """Somebody looks at it again: frames are kept from now on."""
        if not self._keeps_frames and isinstance(self._state, Unsynced):
            self._empty()
        self._keeps_frames = self._rules.snapshots is not SnapshotSource.STREAM

    @property
    def may_be_renewed(self) -> bool:
        """Whether it is whole, no snapshot is on its way, and somebody looks at it."""
        return self._keeps_frames and isinstance(self._state, Synced)

    @property
    def spare(self) -> int | None:
        """How many proven levels the shorter side has beyond those that are needed; None where all are known."""
        left = [each for each in (self._bids.left, self._asks.left) if each is not None]
        return min(left) - self._reach.needed if left else None

    @property
    def limit(self) -> int | None:
        """How many levels a side the REST snapshot was asked for that the book is made from; None without one."""
        return self._reach.limit

    # -- snapshots

    def snapshot(self, depth: Depth, limit: int, now: float = 0.0) -> Outcome:
        """Take a REST snapshot of at most ``limit`` levels a side. Raises ``BadFrame`` for one without an update id: it
        can be joined to nothing, so nothing waits for it."""
        id_of(depth.last)
        if self._is_void:
            self.snapshot_failed()
            return Outcome.OUTDATED
        held, state = Snapshot(depth, limit), self._state
        if isinstance(state, Unsynced):
            if not state.asked:
                self._reach.asking()
            state.asked, state.held = False, held
            return self._join(state, now)
        if isinstance(state, Synced):  # nobody waits for one: the diffs since it was asked for were not kept
            self._reach.asking()
        renewing = self._renewing(state)
        if self._refuses(held, state.sequence, now):
            self._become(renewing.settled())
            return Outcome.OUTDATED
        renewing.held = held
        return self._renew(renewing)

    def _join(self, state: Unsynced, now: float) -> Outcome:
        """Not synced: join the snapshot to the buffer.

        One newer than everything buffered is the book as it stands: what the stream has yet to bring up to it is passed
        over, and the first frame beyond it must overlap it.
        """
        held, kept = state.held, state.kept
        if held is None or not len(kept):
            return Outcome.BUFFERED
        newest = kept.newest
        if self._refuses(held, newest.last, now):
            state.held = None
            return Outcome.OUTDATED
        if id_of(newest.last) < held.last:
            time = newest.time if held.depth.time is None else held.depth.time
            return self._adopt(held, held.joined(()), Synced(held.last, time, joining=True))
        if not JOINS[self._rules.chaining](kept.frames, held.last):
            state.held = None
            return Outcome.OUTDATED
        return self._adopt(held, held.joined(kept.frames), Synced(newest.last, newest.time))

    def _renew(self, state: Renewing) -> Outcome:
        """Join the snapshot to the diffs since, and swap. All diffs after ``base`` are at hand: any id from there on
        fits."""
        held = state.held
        if held is None or held.last > id_of(state.sequence):
            return Outcome.BUFFERED
        frames, is_void = state.kept.frames, state.kept.is_void
        self._become(state.settled())
        if is_void or held.last < id_of(state.base):
            return Outcome.OUTDATED
        bids, asks = held.joined(frames)
        if bids.crosses(asks) or is_used_up(bids, asks):
            return Outcome.OUTDATED  # the snapshot is at fault, or says no more: the book in place is none the worse
        same = not self._is_used_up and bids.agrees(self._bids) and asks.agrees(self._asks)
        self._bids, self._asks, self._is_used_up = bids, asks, False
        self._reach.renewed(held.limit)
        return Outcome.RENEWED if same else self._rebuilt()

    def _refuses(self, held: Snapshot, last: int | None, now: float) -> bool:
        """Whether a REST snapshot is too far ahead of the frames; the next one that agrees with it is believed."""
        if last is None or not is_far_ahead(held.last, last, now - self._taken_at):
            self._refused = None
            return False
        before, self._refused = self._refused, held.last
        return before is None or not before <= held.last <= before + FAR_AHEAD

    def _adopt(self, held: Snapshot, sides: tuple[Ladder, Ladder], state: Synced) -> Outcome:
        """Become what a snapshot and the frames after it make."""
        bids, asks = sides
        if bids.crosses(asks):
            return self._lose(Outcome.CROSSED)
        self._bids, self._asks = bids, asks
        self._become(state)
        self._reach.renewed(held.limit)
        self._old.clear()
        self._is_used_up = is_used_up(bids, asks)
        return Outcome.USED_UP if self._is_used_up else self._rebuilt()

    # -- what becomes of it

    def _fault(self, depth: Depth) -> Outcome | None:
        """What is wrong with the book as it is now, after this frame. The checksum comes first: a book that is crossed
        because a frame was lost is none that the venue has crossed."""
        if self._tier is not None:
            self._bids.truncate(self._tier)
            self._asks.truncate(self._tier)
        if self._checksum is not None and depth.checksum is not None:
            levels = self._rules.checksum_depth
            if self._checksum(self._bids.top(levels), self._asks.top(levels)) != depth.checksum:
                return Outcome.CHECKSUM
        return Outcome.CROSSED if self._bids.crosses(self._asks) else None

    def _rebuilt(self) -> Outcome:
        self.resyncs += self._was_synced
        self._was_synced = True
        return Outcome.REBUILT

    def _lose(self, outcome: Outcome, *first: Depth) -> Outcome:
        """The book is worth nothing any more; ``first`` begin the new buffer."""
        self.gaps += outcome in (Outcome.GAP, Outcome.CHECKSUM)
        state = self._state
        on_its_way = state.asked if isinstance(state, Unsynced) else is_awaited(state)
        empty = self._empty()
        empty.asked = on_its_way
        for each in first if self._keeps_frames else ():
            empty.kept.add(each)
        return outcome

    def _empty(self) -> Unsynced:
        self._bids.clear()
        self._asks.clear()
        self._is_used_up = False
        self._old.clear()
        self._far.drop()
        self._refused = None
        empty = Unsynced(Frames(self._budget))
        self._become(empty)
        return empty

    def _renewing(self, state: Synced | Renewing) -> Renewing:
        """Keep the diffs from now on."""
        renewing = state.renewing(Frames(self._budget))
        self._become(renewing)
        return renewing

    def _become(self, state: Unsynced | Synced | Renewing) -> None:
        """Go on as ``state``; frames that it does not take over are freed."""
        before, self._state = self._state, state
        if not isinstance(before, Synced) and before is not state:
            before.kept.clear()


def is_used_up(bids: Ladder, asks: Ladder) -> bool:
    """Whether no proven level is left on a side of which not all is known."""
    return bids.is_short(1) or asks.is_short(1)


def is_awaited(state: Synced | Renewing) -> bool:
    """Whether a snapshot is on its way."""
    return isinstance(state, Renewing) and state.held is None

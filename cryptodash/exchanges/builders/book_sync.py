"""One venue order book, rebuilt from its frames: sequence rules, horizon and renewal. Pure: no socket, no clock.

The book shows only what is proven. A REST snapshot proves levels down to its worst price per side, its *horizon*; a
level beyond it is unknown until a diff names it, so nothing beyond is kept. When too few levels are left inside, a
newer snapshot is merged at its place in the stream. A book that lost its place (gap) or contradicts itself (crossed, a
wrong checksum) is empty at once, until it is rebuilt.

What a book can be is a value (``book_states.py``): ``Unsynced``, ``Synced`` or ``Renewing``. Each input below takes the
state there is and leaves the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.book_rules import BookRules, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_chaining import FOLLOWS, JOINS
from cryptodash.exchanges.builders.book_order import FarFrame, OldFrames
from cryptodash.exchanges.builders.book_states import (
    Frames,
    Outcome,
    Reach,
    Renewing,
    Snapshot,
    Synced,
    Unsynced,
    id_of,
)
from cryptodash.exchanges.builders.ladder import Ladder
from cryptodash.exchanges.builders.plausibility import FAR_AHEAD, UNCOUNTED, DoubtCounts, is_far_ahead


class OrderBook:
    """One book. Feed it every frame of its stream and every REST snapshot; it says what came of each.

    ``tier`` is the depth of a stream that carries no more levels: the book never holds more.
    The rules are the venue's (``BookRules``); what each chaining means is in ``book_chaining.py``, what becomes of ids
    that cannot be believed in ``book_order.py``. ``now`` is monotonic.
    """

    def __init__(self, rules: BookRules, *, tier: int | None = None, doubts: DoubtCounts = UNCOUNTED) -> None:
        self.gaps = 0
        self.resyncs = 0
        """How often the book was rebuilt, or replaced, after it had once been synced."""
        self._rules = rules
        self._tier = tier
        self._follows = FOLLOWS[rules.chaining]
        self._bids, self._asks = Ladder(-1), Ladder(1)
        self._state: Unsynced | Synced | Renewing = Unsynced()
        self._was_synced = False
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
        return not isinstance(self._state, Unsynced)

    @property
    def sequence(self) -> int | None:
        """The venue's id of the last change in the book; None while not synced, and where frames have no ids."""
        return None if isinstance(self._state, Unsynced) else self._state.sequence

    @property
    def time(self) -> int | None:
        """Venue time (ms) of the last applied frame that had one; None while not synced."""
        return None if isinstance(self._state, Unsynced) else self._state.time

    # What it shows

    def top(self, depth: int) -> tuple[Sequence[Level], Sequence[Level]]:
        """(bids, asks), best first: at most ``depth`` proven levels a side; nothing while not synced."""
        return self._bids.top(depth), self._asks.top(depth)

    def best(self) -> tuple[Number | None, Number | None]:
        """Best bid and ask price; None where the side is empty or not known."""
        bids, asks = self._bids.top(1), self._asks.top(1)
        return (bids[0][0] if bids else None, asks[0][0] if asks else None)

    @property
    def pending(self) -> int:
        """Frames kept for a snapshot to come."""
        return 0 if isinstance(self._state, Synced) else len(self._state.kept)

    # What it needs

    def watch(self, depth: int) -> None:
        """Name the largest depth anybody looks at."""
        self._reach.watched = depth

    def wants_snapshot(self, least_frames: int = 2) -> bool:
        """Whether a REST snapshot is of use and none is on its way or waiting for the stream.

        Before two frames have come a snapshot is usually older than the first of them; where the stream is slow, one
        must do (none will not: a stream that never delivered is not proven). A synced book wants one when fewer than
        1.5 times the watched levels are left on a side; where the venue gives no more than that, when a quarter of what
        it gave is used up.
        """
        state = self._state
        if self._rules.snapshots is SnapshotSource.STREAM or isinstance(state, Renewing):
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
            self._state = self._state.renewing()

    def snapshot_failed(self) -> None:
        """No answer will come."""
        state, self._is_void = self._state, False
        if isinstance(state, Unsynced):
            state.asked = False
        elif isinstance(state, Renewing) and state.held is None:
            self._state = state.settled()

    # What it is told

    def snapshot(self, depth: Depth, limit: int, now: float = 0.0) -> Outcome:
        """Take a REST snapshot of at most ``limit`` levels a side."""
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
        self._state = renewing = state.renewing()
        if self._refuses(held, state.sequence, now):
            self._state = renewing.settled()
            return Outcome.OUTDATED
        renewing.held = held
        return self._renew(renewing)

    def received(self, depth: Depth, now: float = 0.0) -> Outcome:
        """Take one frame of the stream."""
        if self._far.frame is not None:
            if self._far.agrees(depth, now):
                return self._believe(self._far.frame, depth, now)
            if self._is_plausible(depth, now):
                self._far.drop()
        state = self._state
        if depth.snapshot:
            return self._replace(depth, now)
        if depth.restarted:
            return self._lose(Outcome.GAP)
        if isinstance(state, Unsynced):
            return self._buffer(state, depth, now)
        last = state.sequence
        if not self._follows(depth, last, state.joining):
            return self._out_of_place(depth, last, now)
        if last is not None and depth.last is not None and depth.last > last + FAR_AHEAD and self._is_far(depth, now):
            return self._hold(depth, now)
        self._taken_at = now
        return self._apply(state, depth)

    def expire(self, now: float) -> None:
        """Now and then: give up a frame that no second one agreed with."""
        if self._far.frame is not None:
            self._far.expire(now)

    def reset(self) -> None:
        """Forget everything: the connection is gone, or the stream is subscribed anew."""
        self._empty()

    # Inside

    def _apply(self, state: Synced | Renewing, depth: Depth) -> Outcome:
        """Put the frame's levels in."""
        self._bids.apply(depth.bids)
        self._asks.apply(depth.asks)
        fault = self._fault(depth)
        if fault is not None:
            return self._lose(fault)
        state.sequence = depth.last
        state.joining = False
        if self._old.number:
            self._old.clear()
        if depth.time is not None:
            state.time = depth.time
        return Outcome.CHANGED if isinstance(state, Synced) else self._keep(state, depth)

    def _fault(self, depth: Depth) -> Outcome | None:
        """What is wrong with the book as it is now, after this frame."""
        if self._tier is not None:
            self._bids.truncate(self._tier)
            self._asks.truncate(self._tier)
        if self._bids.crosses(self._asks):
            return Outcome.CROSSED
        rules = self._rules
        if rules.checksum is not None and depth.checksum is not None:
            levels = rules.checksum_depth
            if rules.checksum(self._bids.top(levels), self._asks.top(levels)) != depth.checksum:
                return Outcome.CHECKSUM
        return None

    def _out_of_place(self, depth: Depth, last: int | None, now: float) -> Outcome:
        """A frame that does not follow: a repeat, an old one, one from the future, or one after a gap."""
        if last is not None and depth.last is not None:
            if depth.last == last:
                self._old.clear()
                return Outcome.IGNORED
            if depth.last < last:
                return self._passed(depth, now)
            if self._is_far(depth, now):
                return self._hold(depth, now)
        return self._lose(Outcome.GAP, depth)

    def _passed(self, depth: Depth, now: float) -> Outcome:
        """A frame with an id below the book's."""
        state = self._state
        time = state.kept.newest.time if isinstance(state, Unsynced) else state.time
        joining = not isinstance(state, Unsynced) and state.joining
        anew = self._old.restart(depth, time, joining=joining, now=now)
        if not anew:
            return Outcome.OLD
        self._is_void = state.asked if isinstance(state, Unsynced) else _is_awaited(state)
        self._taken_at = now
        return self._lose(Outcome.GAP, *anew)

    # Ids from the future

    def _newest(self) -> int | None:
        """The id of the newest frame that was taken."""
        state = self._state
        if isinstance(state, Unsynced):
            return state.kept.newest.last if len(state.kept) else None
        return state.sequence

    def _is_far(self, depth: Depth, now: float) -> bool:
        last = self._newest()
        return depth.last is not None and last is not None and is_far_ahead(depth.last, last, now - self._taken_at)

    def _is_plausible(self, depth: Depth, now: float) -> bool:
        """Whether a frame goes on from what is known, so that the one that is held was wrong."""
        last = self._newest()
        return depth.last is None or last is None or (depth.last > last and not self._is_far(depth, now))

    def _hold(self, depth: Depth, now: float) -> Outcome:
        self._far.hold(depth, now)
        return Outcome.HELD

    def _believe(self, held: Depth, depth: Depth, now: float) -> Outcome:
        """A second frame follows the one that was held: both are the venue's."""
        self._far.believed()
        state, self._taken_at = self._state, now
        if held.snapshot:
            outcome = self._rebase(held)
        elif not self._follows(held, self._newest(), False):
            outcome = self._lose(Outcome.GAP, held)
        elif isinstance(state, Unsynced):
            outcome = Outcome.BUFFERED if state.kept.add(held) else self._lose(Outcome.OVERFLOW)
        else:
            outcome = self._apply(state, held)
        then = self.received(depth, now)
        return then if outcome is Outcome.CHANGED or outcome is Outcome.BUFFERED else outcome

    def _refuses(self, held: Snapshot, last: int | None, now: float) -> bool:
        """Whether a REST snapshot is too far ahead of the frames; the next one that agrees with it is believed."""
        if last is None or not is_far_ahead(held.last, last, now - self._taken_at):
            self._refused = None
            return False
        before, self._refused = self._refused, held.last
        return before is None or not before <= held.last <= before + FAR_AHEAD

    # Snapshots

    def _replace(self, depth: Depth, now: float) -> Outcome:
        """A snapshot in the stream is the new base; a repeat of what we hold confirms it."""
        if depth.last is not None and depth.last == self.sequence and not depth.restarted:
            return Outcome.IGNORED
        if self.synced and not depth.restarted and self._is_far(depth, now):
            return self._hold(depth, now)
        self._taken_at = now
        return self._rebase(depth)

    def _rebase(self, depth: Depth) -> Outcome:
        """Become what a snapshot in the stream says."""
        before = (self._bids, self._asks) if self.synced and depth.last is None else None
        self._bids, self._asks = Ladder(-1), Ladder(1)
        self._bids.load(depth.bids, None)
        self._asks.load(depth.asks, None)
        fault = self._fault(depth)
        if fault is not None:
            return self._lose(fault)
        time = self.time if depth.time is None else depth.time
        self._state = Synced(depth.last, time)
        self._old.clear()
        if before is not None and before[0].agrees(self._bids) and before[1].agrees(self._asks):
            return Outcome.IGNORED
        return self._rebuilt()

    def _buffer(self, state: Unsynced, depth: Depth, now: float) -> Outcome:
        """Not synced: keep the frame for the snapshot to come."""
        if self._rules.snapshots is SnapshotSource.STREAM:
            return Outcome.BUFFERED  # only a snapshot in the stream can help
        id_of(depth.last)  # a snapshot could never be joined to a frame without one
        if len(state.kept):
            last = state.kept.newest.last
            if not self._follows(depth, last, False):
                return self._out_of_place(depth, last, now)
            if self._is_far(depth, now):
                return self._hold(depth, now)
            if id_of(depth.last) < id_of(last):  # counted anew: no snapshot of now can be joined to what came before
                self._is_void = state.asked
                state.kept, state.held = Frames(), None
        self._old.clear()
        if not state.kept.add(depth):
            return self._lose(Outcome.OVERFLOW)
        outcome = Outcome.BUFFERED if state.held is None else self._join(state, now)
        self._taken_at = now
        return outcome

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

    def _keep(self, state: Renewing, depth: Depth) -> Outcome:
        """A snapshot is coming: keep the diff too. Without room the renewal is given up; the book is none the worse."""
        before = state.kept.newest.last if len(state.kept) else state.base
        if id_of(depth.last) < id_of(before):  # counted anew: the snapshot on its way has other ids
            self._is_void = state.held is None
            self._state = state.settled()
            return Outcome.CHANGED
        if not state.kept.add(depth):
            self._state = state.settled()
            return Outcome.CHANGED
        outcome = self._renew(state)
        return outcome if outcome in (Outcome.RENEWED, Outcome.REBUILT) else Outcome.CHANGED

    def _renew(self, state: Renewing) -> Outcome:
        """Join the snapshot to the diffs since, and swap. All diffs after ``base`` are at hand: any id from there on
        fits."""
        held = state.held
        if held is None or held.last > id_of(state.sequence):
            return Outcome.BUFFERED
        self._state = state.settled()
        if held.last < id_of(state.base):
            return Outcome.OUTDATED
        bids, asks = held.joined(state.kept.frames)
        if bids.crosses(asks):
            return Outcome.OUTDATED  # the snapshot is at fault: the book in place is whole
        same = bids.agrees(self._bids) and asks.agrees(self._asks)
        self._bids, self._asks = bids, asks
        self._reach.renewed(held.limit)
        return Outcome.RENEWED if same else self._rebuilt()

    def _adopt(self, held: Snapshot, sides: tuple[Ladder, Ladder], state: Synced) -> Outcome:
        """Become what a snapshot and the frames after it make."""
        bids, asks = sides
        if bids.crosses(asks):
            return self._lose(Outcome.CROSSED)
        self._bids, self._asks, self._state = bids, asks, state
        self._reach.renewed(held.limit)
        self._old.clear()
        return self._rebuilt()

    def _rebuilt(self) -> Outcome:
        self.resyncs += self._was_synced
        self._was_synced = True
        return Outcome.REBUILT

    def _lose(self, outcome: Outcome, *first: Depth) -> Outcome:
        """The book is worth nothing any more; ``first`` begin the new buffer."""
        self.gaps += outcome in (Outcome.GAP, Outcome.CHECKSUM)
        state = self._state
        on_its_way = state.asked if isinstance(state, Unsynced) else _is_awaited(state)
        empty = self._empty()
        empty.asked = on_its_way
        for each in first:
            empty.kept.add(each)
        return outcome

    def _empty(self) -> Unsynced:
        self._bids.clear()
        self._asks.clear()
        self._old.clear()
        self._far.drop()
        self._refused = None
        self._state = empty = Unsynced()
        return empty


def _is_awaited(state: Synced | Renewing) -> bool:
    """Whether a snapshot is on its way."""
    return isinstance(state, Renewing) and state.held is None

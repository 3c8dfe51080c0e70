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
from cryptodash.core.instruments import Instrument
from cryptodash.exchanges.adapter.book_rules import BookRules, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_chaining import FOLLOWS, JOINS
from cryptodash.exchanges.builders.book_states import Outcome, Reach, Renewing, Snapshot, Synced, Unsynced, id_of
from cryptodash.exchanges.builders.ladder import Ladder

MAX_OLD_RUN = 500
"""So many frames in a row with ids before ours mean that the venue counts anew: the book would stand still for ever."""


class OrderBook:
    """One book. Feed it every frame of its stream and every REST snapshot; it says what came of each.

    ``tier`` is the depth of a stream that carries no more levels: the book never holds more.
    The rules are the venue's (``BookRules``); what each chaining means is in ``book_chaining.py``.
    """

    def __init__(self, rules: BookRules, *, tier: int | None = None, instrument: Instrument | None = None) -> None:
        self.gaps = 0
        self.resyncs = 0
        """How often the book was rebuilt, or replaced, after it had once been synced."""
        self._rules = rules
        self._tier = tier
        self._checksum = rules.checksum_for(instrument)
        self._follows = FOLLOWS[rules.chaining]
        self._bids, self._asks = Ladder(-1), Ladder(1)
        self._state: Unsynced | Synced | Renewing = Unsynced()
        self._was_synced = False
        self._old_run = 0
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
        if isinstance(self._state, Unsynced):
            self._state.asked = True
        else:
            self._state = self._state.renewing()

    def snapshot_failed(self) -> None:
        """No answer will come."""
        state = self._state
        if isinstance(state, Unsynced):
            state.asked = False
        elif isinstance(state, Renewing) and state.held is None:
            self._state = state.settled()

    # What it is told

    def snapshot(self, depth: Depth, limit: int) -> Outcome:
        """Take a REST snapshot of at most ``limit`` levels a side. Raises ``BadFrame`` for one without an update id: it
        can be joined to nothing, so nothing waits for it."""
        id_of(depth.last)
        held, state = Snapshot(depth, limit), self._state
        if isinstance(state, Unsynced):
            if not state.asked:
                self._reach.asking()
            state.asked, state.held = False, held
            return self._join(state)
        if isinstance(state, Synced):  # nobody waits for one: the diffs since it was asked for were not kept
            self._reach.asking()
        self._state = renewing = state.renewing()
        renewing.held = held
        return self._renew(renewing)

    def received(self, depth: Depth) -> Outcome:
        """Take one frame of the stream."""
        state = self._state
        if depth.snapshot:
            return self._replace(depth)
        if depth.restarted:
            return self._lose(Outcome.GAP)
        if isinstance(state, Unsynced):
            return self._buffer(state, depth)
        if not self._follows(depth, state.sequence, state.joining):
            return self._out_of_place(depth, state.sequence)
        self._bids.apply(depth.bids)
        self._asks.apply(depth.asks)
        return self._advance(state, depth)

    def reset(self) -> None:
        """Forget everything: the connection is gone, or the stream is subscribed anew."""
        self._empty()

    # Inside

    def _advance(self, state: Synced | Renewing, depth: Depth) -> Outcome:
        """The frame's levels are in."""
        fault = self._fault(depth)
        if fault is not None:
            return self._lose(fault)
        state.sequence = depth.last
        state.joining = False
        self._old_run = 0
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
        if self._checksum is not None and depth.checksum is not None:
            levels = self._rules.checksum_depth
            if self._checksum(self._bids.top(levels), self._asks.top(levels)) != depth.checksum:
                return Outcome.CHECKSUM
        return None

    def _out_of_place(self, depth: Depth, last: int | None) -> Outcome:
        """A frame that does not follow: old, or one after a gap."""
        if last is not None and depth.last is not None and depth.last <= last:
            return self._old(depth.last, last, depth)
        return self._lose(Outcome.GAP, depth)

    def _old(self, number: int, last: int, depth: Depth) -> Outcome:
        """A frame that is in the book already; a long run of them is a venue that counts anew."""
        if number < last:
            self._old_run += 1
            if self._old_run > MAX_OLD_RUN:
                return self._lose(Outcome.GAP, depth)
        return Outcome.IGNORED

    def _replace(self, depth: Depth) -> Outcome:
        """A snapshot in the stream is the new base; a repeat of what we hold confirms it."""
        if depth.last is not None and depth.last == self.sequence and not depth.restarted:
            return Outcome.IGNORED
        before = (self._bids, self._asks) if self.synced and depth.last is None else None
        self._bids, self._asks = Ladder(-1), Ladder(1)
        self._bids.load(depth.bids, None)
        self._asks.load(depth.asks, None)
        fault = self._fault(depth)
        if fault is not None:
            return self._lose(fault)
        time = self.time if depth.time is None else depth.time
        self._state = Synced(depth.last, time)
        self._old_run = 0
        if before is not None and before[0].agrees(self._bids) and before[1].agrees(self._asks):
            return Outcome.IGNORED
        return self._rebuilt()

    def _buffer(self, state: Unsynced, depth: Depth) -> Outcome:
        """Not synced: keep the frame for the snapshot to come."""
        if self._rules.snapshots is SnapshotSource.STREAM:
            return Outcome.BUFFERED  # only a snapshot in the stream can help
        id_of(depth.last)  # a snapshot could never be joined to a frame without one
        if len(state.kept):
            last = state.kept.newest.last
            if not self._follows(depth, last, False):
                return self._out_of_place(depth, last)
        if not state.kept.add(depth):
            return self._lose(Outcome.OVERFLOW)
        return Outcome.BUFFERED if state.held is None else self._join(state)

    def _join(self, state: Unsynced) -> Outcome:
        """Not synced: join the snapshot to the buffer.

        One newer than everything buffered is the book as it stands: what the stream has yet to bring up to it is passed
        over, and the first frame beyond it must overlap it.
        """
        held, kept = state.held, state.kept
        if held is None or not len(kept):
            return Outcome.BUFFERED
        newest = kept.newest
        if id_of(newest.last) < held.last:
            time = newest.time if held.depth.time is None else held.depth.time
            return self._adopt(held, held.joined(()), Synced(held.last, time, joining=True))
        if not JOINS[self._rules.chaining](kept.frames, held.last):
            state.held = None
            return Outcome.OUTDATED
        return self._adopt(held, held.joined(kept.frames), Synced(newest.last, newest.time))

    def _keep(self, state: Renewing, depth: Depth) -> Outcome:
        """A snapshot is coming: keep the diff too. Without room the renewal is given up; the book is none the worse."""
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
        self._old_run = 0
        return self._rebuilt()

    def _rebuilt(self) -> Outcome:
        self.resyncs += self._was_synced
        self._was_synced = True
        return Outcome.REBUILT

    def _lose(self, outcome: Outcome, first: Depth | None = None) -> Outcome:
        """The book is worth nothing any more; ``first`` begins the new buffer."""
        self.gaps += outcome in (Outcome.GAP, Outcome.CHECKSUM)
        state = self._state
        on_its_way = state.asked if isinstance(state, Unsynced) else isinstance(state, Renewing) and state.held is None
        empty = self._empty()
        empty.asked = on_its_way
        if first is not None:
            empty.kept.add(first)
        return outcome

    def _empty(self) -> Unsynced:
        self._bids.clear()
        self._asks.clear()
        self._old_run = 0
        self._state = empty = Unsynced()
        return empty

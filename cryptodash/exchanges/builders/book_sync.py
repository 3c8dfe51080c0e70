"""One venue order book, rebuilt from its frames: sequence rules, horizon and renewal. Pure: no socket, no clock.

The book shows only what is proven. A REST snapshot proves levels down to its worst price per side, its *horizon*; a
level beyond it is unknown until a diff names it, so nothing beyond is kept. When too few levels are left inside, a
newer snapshot is merged at its place in the stream. A book that lost its place (gap) or contradicts itself (crossed, a
wrong checksum) is empty at once, until it is rebuilt; one with no proven level left on a side shows nothing, until
there is one.

What a book can be is a value (``book_states.py``): ``Unsynced``, ``Synced`` or ``Renewing``. Each input below takes the
state there is and leaves the next one.
"""

from __future__ import annotations

from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_snapshots import SnapshotBook, is_awaited, is_used_up
from cryptodash.exchanges.builders.book_states import Outcome, Renewing, Synced, Unsynced, id_of
from cryptodash.exchanges.builders.ladder import Ladder
from cryptodash.exchanges.builders.plausibility import FAR_AHEAD, is_far_ahead


class OrderBook(SnapshotBook):
    """One book. Feed it every frame of its stream and every REST snapshot; it says what came of each.

    ``tier`` is the depth of a stream that carries no more levels: the book never holds more.
    The rules are the venue's (``BookRules``); what each chaining means is in ``book_chaining.py``, what becomes of ids
    that cannot be believed in ``book_order.py``. ``now`` is monotonic.
    """

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

    @property
    def holds_back(self) -> bool:
        """Whether a frame waits for a second one to agree with it."""
        return self._far.frame is not None

    def expire(self, now: float) -> None:
        """Now and then: give up a frame that no second one agreed with."""
        if self._far.frame is not None:
            self._far.expire(now)

    def reset(self) -> None:
        """Forget everything: the connection is gone, or the stream is subscribed anew."""
        self._empty()

    # -- frames that follow

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
        outcome = Outcome.CHANGED if isinstance(state, Synced) else self._keep(state, depth)
        if outcome is Outcome.CHANGED and (self._is_used_up or not (self._bids.count and self._asks.count)):
            return self._emptied()
        return outcome

    def _emptied(self) -> Outcome:
        """A side has no level left, or a used up one had none."""
        before, self._is_used_up = self._is_used_up, is_used_up(self._bids, self._asks)
        if self._is_used_up:
            return Outcome.BUFFERED if before else Outcome.USED_UP
        return self._rebuilt() if before else Outcome.CHANGED

    # -- frames that do not follow

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
        anew = self._old.restart(depth, time, joining=self.is_joining, now=now)
        if not anew:
            return Outcome.OLD
        self._is_void = state.asked if isinstance(state, Unsynced) else is_awaited(state)
        self._taken_at = now
        return self._lose(Outcome.GAP, *anew)

    # -- ids from the future

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

    # -- snapshots in the stream

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
        self._bids, self._asks, self._is_used_up = Ladder(-1), Ladder(1), False
        self._bids.load(depth.bids, None)
        self._asks.load(depth.asks, None)
        fault = self._fault(depth)
        if fault is not None:
            return self._lose(fault)
        time = self.time if depth.time is None else depth.time
        self._become(Synced(depth.last, time))
        self._old.clear()
        if before is not None and before[0].agrees(self._bids) and before[1].agrees(self._asks):
            return Outcome.IGNORED
        return self._rebuilt()

    # -- frames kept for a snapshot

    def _buffer(self, state: Unsynced, depth: Depth, now: float) -> Outcome:
        """Not synced: keep the frame for the snapshot to come."""
        if not self._keeps_frames:
            return Outcome.BUFFERED  # nobody looks, or only a snapshot in the stream can help
        id_of(depth.last)  # a snapshot could never be joined to a frame without one
        if len(state.kept):
            last = state.kept.newest.last
            if not self._follows(depth, last, False):
                return self._out_of_place(depth, last, now)
            if self._is_far(depth, now):
                return self._hold(depth, now)
            if id_of(depth.last) < id_of(last):  # counted anew: no snapshot of now can be joined to what came before
                self._is_void = state.asked
                state.kept.clear()
                state.kept, state.held = state.kept.anew(), None
        self._old.clear()
        if not state.kept.add(depth):
            return self._lose(Outcome.OVERFLOW)
        outcome = Outcome.BUFFERED if state.held is None else self._join(state, now)
        self._taken_at = now
        return outcome

    def _keep(self, state: Renewing, depth: Depth) -> Outcome:
        """A snapshot is coming: keep the diff too. Without room the renewal is given up; the book is none the worse."""
        before = state.kept.newest.last if len(state.kept) else state.base
        if id_of(depth.last) < id_of(before):  # counted anew: the snapshot on its way has other ids
            self._is_void = state.held is None
            self._become(state.settled())
            return Outcome.CHANGED
        if not state.kept.add(depth):
            self._become(state.settled())
            return Outcome.CHANGED
        outcome = self._renew(state)
        return outcome if outcome in (Outcome.RENEWED, Outcome.REBUILT) else Outcome.CHANGED

"""One venue order book, rebuilt from its frames: sequence rules, horizon and renewal. Pure: no socket, no clock.

The book shows only what is proven. A REST snapshot proves levels down to its worst price per side, its *horizon*; a
level beyond it is unknown until a diff names it, so nothing beyond is kept. When too few levels are left inside, a
newer snapshot is merged at its place in the stream. A book that lost its place (gap) or contradicts itself (crossed) is
empty at once, until it is rebuilt.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.adapter.venue import BookRule
from cryptodash.exchanges.builders.ladder import Ladder, is_crossed

MAX_FRAMES = 5_000
"""Frames one book keeps while a snapshot is on its way."""
MAX_BYTES = 8 * 1024 * 1024
"""What those frames may weigh, estimated."""
MAX_OLD_RUN = 500
"""So many frames in a row with ids before ours mean that the venue counts anew: the book would stand still for ever."""

_FRAME_BYTES = 250
_LEVEL_BYTES = 200


class Outcome(enum.Enum):
    """What a frame or a snapshot did to the book."""

    IGNORED = "ignored"
    """Seen before: a repeat that confirms, or a frame older than the book."""
    BUFFERED = "buffered"
    """Not synced yet, or a snapshot that the stream has not reached: nothing to show."""
    CHANGED = "changed"
    """Applied: the book is at a newer sequence."""
    REBUILT = "rebuilt"
    """Synced now, or replaced by a snapshot that says otherwise: views go on with a snapshot."""
    GAP = "gap"
    """Frames are missing (or the venue says that it has no book): the book is empty and not synced."""
    CROSSED = "crossed"
    """Best bid >= best ask: the book is empty and not synced."""
    OUTDATED = "outdated"
    """The snapshot cannot be joined to the frames at hand: fetch another, with backoff.
    A synced book stays as it is."""
    OVERFLOW = "overflow"
    """Too many frames while waiting for a snapshot: dropped, the wait begins anew."""
    RENEWED = "renewed"
    """The horizon moved. From ``received`` the frame is applied as well, so publish as after ``CHANGED``."""


@define
class _Frames:
    """Frames in order, bounded by number and estimated memory."""

    frames: list[Depth] = field(factory=list)
    _bytes: int = 0

    def add(self, depth: Depth) -> bool:
        """Whether there was room."""
        self._bytes += _FRAME_BYTES + _LEVEL_BYTES * (len(depth.bids) + len(depth.asks))
        if len(self.frames) >= MAX_FRAMES or self._bytes > MAX_BYTES:
            return False
        self.frames.append(depth)
        return True


@frozen
class _Snapshot:
    """A REST answer and how many levels a side it asked for."""

    depth: Depth
    limit: int

    def joined(self, frames: Iterable[Depth]) -> tuple[Ladder, Ladder]:
        """(bids, asks) after these frames; what the snapshot already holds is passed over."""
        bids, asks = Ladder(-1), Ladder(1)
        bids.load(self.depth.bids, self.limit)
        asks.load(self.depth.asks, self.limit)
        for frame in frames:
            if frame.last > self.depth.last:
                bids.apply(frame.bids)
                asks.apply(frame.asks)
        return bids, asks


class OrderBook:
    """One book. Feed it every frame of its stream and every REST snapshot; it says what came of each.

    ``tier`` is the depth of a ``COUNTER`` stream: the book never holds more levels. ``RANGE`` and ``CHAIN`` streams
    carry diffs only. Rules: Binance, "How to manage a local order book correctly" (spot, USD-M);
    Bybit V5, websocket public orderbook.
    """

    def __init__(self, rule: BookRule, *, tier: int | None = None) -> None:
        self._rule = rule
        self._tier = tier
        self.sequence: int | None = None
        """The venue's id of the last change in the book; None while not synced."""
        self.time: int | None = None
        """Venue time (ms) of the last applied frame that had one."""
        self.gaps = 0
        self.resyncs = 0
        """How often the book was rebuilt, or replaced, after it had once been synced."""
        self._bids, self._asks = Ladder(-1), Ladder(1)
        self._was_synced = False
        self._joining = False
        """Synced from a snapshot that no frame has gone beyond yet."""
        self._old_run = 0
        self._watched = 0
        self._needed = 0
        self._asking = False
        self._asked_for = 0
        self._limit: int | None = None
        # Not synced: the buffer. Synced: the diffs since a snapshot was asked for, or None.
        # ``_base`` is the sequence they follow.
        self._kept: _Frames | None = _Frames()
        self._base = 0
        self._held: _Snapshot | None = None

    @property
    def synced(self) -> bool:
        """Whether the book is the venue's at ``sequence``."""
        return self.sequence is not None

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
        return len(self._kept.frames) if self._kept is not None else 0

    # What it needs

    def watch(self, depth: int) -> None:
        """Name the largest depth anybody looks at."""
        self._watched = depth
        self._set_needed()

    def wants_snapshot(self, least_frames: int = 2) -> bool:
        """Whether a REST snapshot is needed and none is on its way or waiting for the stream.

        Before two frames have come a snapshot is usually older than the first of them; where the stream is slow, one
        must do (none will not: a stream that never delivered is not proven). A synced book wants one when fewer than
        1.5 times the watched levels are left on a side; where the venue gives no more than that,
        when a quarter of what it gave is used up.
        """
        if self._asking or self._held is not None or self._rule is BookRule.COUNTER:
            return False
        if self.sequence is None:
            return self._kept is not None and len(self._kept.frames) >= least_frames
        return self._bids.is_short(self._needed) or self._asks.is_short(self._needed)

    def snapshot_begun(self) -> None:
        """A request is on its way: diffs are kept from now on, so that its answer can be joined."""
        self._asking = True
        self._asked_for = self._watched
        if self.sequence is not None:
            self._keep_from(self.sequence)

    def snapshot_failed(self) -> None:
        """No answer will come."""
        self._asking = False
        if self.sequence is not None and self._held is None:
            self._kept = None

    # What it is told

    def snapshot(self, depth: Depth, limit: int, at_limit: bool = False) -> Outcome:
        """Take a REST snapshot of at most ``limit`` levels a side; ``at_limit`` says that the venue gives no more.

        The same is understood when the request was made for the depth that is watched now.
        """
        if not self._asking:
            self._asked_for = self._watched
        self._asking = False
        self._held = _Snapshot(depth, limit)
        if at_limit:
            self._asked_for = max(self._asked_for, limit)
        if self.sequence is None:
            return self._join()
        if self._kept is None:
            self._keep_from(self.sequence)
        return self._renew()

    def received(self, depth: Depth) -> Outcome:
        """Take one frame of the stream."""
        if self._rule is BookRule.COUNTER and (depth.snapshot or depth.last == 1):
            return self._restart(depth)
        sequence = self.sequence
        if sequence is None:
            return self._buffer(depth)
        if depth.last <= sequence:
            return self._old(depth, sequence)
        if not self._follows(depth, sequence):
            return self._lose(Outcome.GAP, depth)
        self._bids.apply(depth.bids)
        self._asks.apply(depth.asks)
        return self._advance(depth)

    def reset(self) -> None:
        """Forget everything: the connection is gone, or the stream is subscribed anew."""
        self._asking = False
        self._empty()

    # Inside

    def _follows(self, depth: Depth, last: int) -> bool:
        """Whether the frame goes on exactly where ``last`` ended.

        Spot: an id range that leaves none out. USD-M: ids are shared by all symbols, so the frame names its
        predecessor. Bybit: plus one.
        """
        if self._rule is BookRule.CHAIN:
            return depth.previous == last or (self._joining and depth.first <= last)
        if self._rule is BookRule.RANGE:
            return depth.first <= last + 1
        return depth.last == last + 1

    def _advance(self, depth: Depth) -> Outcome:
        """The frame's levels are in."""
        if self._tier is not None:
            self._bids.truncate(self._tier)
            self._asks.truncate(self._tier)
        if is_crossed(self._bids, self._asks):
            return self._lose(Outcome.CROSSED)
        self.sequence = depth.last
        self._joining = False
        self._old_run = 0
        if depth.time is not None:
            self.time = depth.time
        if self._kept is None:
            return Outcome.CHANGED
        return self._keep(self._kept, depth)

    def _old(self, depth: Depth, last: int) -> Outcome:
        """A frame that is in the book already; a long run of them is a venue that counts anew."""
        if depth.last < last:
            self._old_run += 1
            if self._old_run > MAX_OLD_RUN:
                return self._lose(Outcome.GAP, depth)
        return Outcome.IGNORED

    def _restart(self, depth: Depth) -> Outcome:
        """``COUNTER``: a snapshot in the stream, or ``u == 1`` (the venue's service restarted), is the new base.

        A repeat of what we hold confirms it (Bybit sends one after 3 s without a change). A restart without levels
        means that there is no book.
        """
        if depth.last == self.sequence and depth.last != 1:
            return Outcome.IGNORED
        if not (depth.snapshot or depth.bids or depth.asks):
            return self._lose(Outcome.GAP)
        self._bids.load(depth.bids, None)
        self._asks.load(depth.asks, None)
        self._kept = None
        outcome = self._advance(depth)
        return self._rebuilt() if outcome is Outcome.CHANGED else outcome

    def _buffer(self, depth: Depth) -> Outcome:
        """Not synced: keep the frame for the snapshot to come."""
        if self._rule is BookRule.COUNTER or self._kept is None:
            return Outcome.BUFFERED  # only a snapshot in the stream can help
        frames = self._kept.frames
        if frames:
            last = frames[-1].last
            if depth.last <= last:
                return self._old(depth, last)
            if not self._follows(depth, last):
                return self._lose(Outcome.GAP, depth)
        if not self._kept.add(depth):
            return self._lose(Outcome.OVERFLOW)
        return Outcome.BUFFERED if self._held is None else self._join()

    def _join(self) -> Outcome:
        """Not synced: join the snapshot to the buffer.

        One newer than everything buffered is the book as it stands: what the stream has yet to bring up to it is passed
        over, and the first frame beyond it must overlap it.
        """
        held, kept = self._held, self._kept
        if held is None or kept is None or not kept.frames:
            return Outcome.BUFFERED
        if kept.frames[-1].last < held.depth.last:
            return self._begin_at(held, kept.frames[-1].time)
        if not self._overlaps(kept.frames, held.depth.last):
            self._held = None
            return Outcome.OUTDATED
        bids, asks = held.joined(kept.frames)
        if is_crossed(bids, asks):
            return self._lose(Outcome.CROSSED)
        newest = kept.frames[-1]
        self.sequence, self.time = newest.last, newest.time
        self._old_run = 0
        self._adopt(held, bids, asks)
        return self._rebuilt()

    def _begin_at(self, held: _Snapshot, time: int | None) -> Outcome:
        bids, asks = held.joined(())
        if is_crossed(bids, asks):
            return self._lose(Outcome.CROSSED)
        self.sequence, self.time = held.depth.last, time if held.depth.time is None else held.depth.time
        self._joining = True
        self._old_run = 0
        self._adopt(held, bids, asks)
        return self._rebuilt()

    def _overlaps(self, frames: Sequence[Depth], last: int) -> bool:
        """Whether the buffer covers the snapshot's id.

        Spot: not older than the first event (``L >= U``). USD-M: the first event with ``u >= L`` has ``U <= L``,
        or names it (``pu == L``).
        """
        if self._rule is BookRule.RANGE:
            return frames[0].first <= last
        first = next(frame for frame in frames if frame.last >= last)
        return first.first <= last or first.previous == last

    def _keep_from(self, sequence: int) -> None:
        self._kept = _Frames()
        self._base = sequence

    def _keep(self, kept: _Frames, depth: Depth) -> Outcome:
        """Synced, a snapshot is coming: keep the diff too. Without room the renewal is given up;
        the book itself is none the worse."""
        if not kept.add(depth):
            self._kept = self._held = None
            return Outcome.CHANGED
        outcome = self._renew()
        return outcome if outcome in (Outcome.RENEWED, Outcome.REBUILT) else Outcome.CHANGED

    def _renew(self) -> Outcome:
        """Synced: join the snapshot to the diffs since, and swap. All diffs after ``_base`` are at hand:
        any id from there on fits."""
        held, kept, sequence = self._held, self._kept, self.sequence
        if held is None or kept is None or sequence is None or held.depth.last > sequence:
            return Outcome.BUFFERED
        self._kept = self._held = None
        if held.depth.last < self._base:
            return Outcome.OUTDATED
        bids, asks = held.joined(kept.frames)
        if is_crossed(bids, asks):
            return Outcome.OUTDATED  # the snapshot is at fault: the book in place is whole
        same = bids.agrees(self._bids) and asks.agrees(self._asks)
        self._adopt(held, bids, asks)
        return Outcome.RENEWED if same else self._rebuilt()

    def _adopt(self, held: _Snapshot, bids: Ladder, asks: Ladder) -> None:
        self._bids, self._asks = bids, asks
        self._kept = self._held = None
        self._limit = held.limit
        self._set_needed()

    def _set_needed(self) -> None:
        needed = (3 * self._watched + 1) // 2
        if self._limit is not None and self._watched <= self._asked_for:
            needed = min(needed, 3 * self._limit // 4)
        self._needed = needed

    def _rebuilt(self) -> Outcome:
        self.resyncs += self._was_synced
        self._was_synced = True
        return Outcome.REBUILT

    def _lose(self, outcome: Outcome, first: Depth | None = None) -> Outcome:
        """The book is worth nothing any more; ``first`` begins the new buffer."""
        self.gaps += outcome is Outcome.GAP
        self._empty()
        if first is not None and self._kept is not None:
            self._kept.add(first)
        return outcome

    def _empty(self) -> None:
        self._bids.clear()
        self._asks.clear()
        self.sequence = self.time = self._held = None
        self._joining = False
        self._kept = _Frames()
        self._old_run = 0

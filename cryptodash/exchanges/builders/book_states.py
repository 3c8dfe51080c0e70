"""What an order book can be (not synced, synced, or synced with a renewal under way) as values, and what can become of
it."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from attrs import define, frozen

from cryptodash.exchanges.adapter.messages import BadFrame, Depth
from cryptodash.exchanges.builders.ladder import Ladder
from cryptodash.exchanges.builders.waiting_frames import Frames


class Outcome(enum.Enum):
    """What a frame or a snapshot did to the book."""

    IGNORED = "ignored"
    """Seen before: a repeat, which confirms."""
    OLD = "old"
    """Older than the book: dropped, it confirms nothing."""
    HELD = "held"
    """Its id is too far ahead to be believed without a second frame: it confirms nothing."""
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
    CHECKSUM = "checksum"
    """The venue's checksum says that the book is not its own: empty and not synced."""
    DIVERGED = "diverged"
    """A REST snapshot of the same state says otherwise: empty and not synced."""
    USED_UP = "used up"
    """No proven level is left on a side, so that its best price is not known: not synced until there is one again. The
    frames are whole, and go on being applied."""
    OUTDATED = "outdated"
    """The snapshot cannot be joined to the frames at hand: fetch another, with backoff. A synced book stays as it
    is."""
    OVERFLOW = "overflow"
    """Too many frames while waiting for a snapshot: dropped, the wait begins anew."""
    RENEWED = "renewed"
    """The horizon moved. From ``received`` the frame is applied as well, so publish as after ``CHANGED``."""


@frozen
class Snapshot:
    """A REST answer and how many levels a side it asked for."""

    depth: Depth
    limit: int

    @property
    def last(self) -> int:
        """The update id that it holds."""
        return id_of(self.depth.last)

    def joined(self, frames: Iterable[Depth]) -> tuple[Ladder, Ladder]:
        """(bids, asks) after these frames; what the snapshot already holds is passed over."""
        bids, asks = Ladder(-1), Ladder(1)
        bids.load(self.depth.bids, self.limit)
        asks.load(self.depth.asks, self.limit)
        for frame in frames:
            if id_of(frame.last) > self.last:
                bids.apply(frame.bids)
                asks.apply(frame.asks)
        return bids, asks


@define
class Unsynced:
    """There is no book. ``kept`` are the frames since it was lost, for a snapshot to be joined to; ``asked``: one is on
    its way; ``held``: one has come that the frames have not reached."""

    kept: Frames
    asked: bool = False
    held: Snapshot | None = None


@define
class Synced:
    """The book is the venue's as of ``sequence`` (None where frames have no ids) and ``time`` (ms, the venue's).
    ``joining``: made from a snapshot that no frame has gone beyond yet."""

    sequence: int | None
    time: int | None
    joining: bool = False

    def renewing(self, kept: Frames) -> Renewing:
        """From now on diffs are kept for a newer snapshot."""
        return Renewing(self.sequence, self.time, self.joining, self.sequence, kept)


@define
class Renewing:
    """Synced, and a newer snapshot is on its way (``held``: it has come and the stream has yet to reach it). ``kept``
    are all diffs since ``base``."""

    sequence: int | None
    time: int | None
    joining: bool
    base: int | None
    kept: Frames
    held: Snapshot | None = None

    def renewing(self, kept: Frames) -> Renewing:
        """Asked once more: what is kept serves that one as well."""
        return self

    def settled(self) -> Synced:
        """The renewal is over, however it ended."""
        return Synced(self.sequence, self.time, self.joining)


class Reach:
    """How many proven levels a side are needed, from what is watched and what the last snapshot could give."""

    def __init__(self) -> None:
        self.watched = 0
        self._asking_for = 0
        self._asked_for = 0
        self._limit: int | None = None

    def asking(self) -> None:
        """A snapshot is asked for, for the depth that is watched now."""
        self._asking_for = self.watched

    @property
    def limit(self) -> int | None:
        """How many levels a side the snapshot was asked for that the book is made from; None without one."""
        return self._limit

    def renewed(self, limit: int) -> None:
        """A snapshot of at most so many levels a side has become the book."""
        self._limit, self._asked_for = limit, self._asking_for

    @property
    def needed(self) -> int:
        """One and a half times what is watched, and of a large snapshot a fifth: where so many levels are used up, it
        is some dozens at once."""
        needed = (3 * self.watched + 1) // 2
        if self._limit is None:
            return needed
        needed = max(needed, self._limit // 5)
        return min(needed, 3 * self._limit // 4) if self.watched <= self._asked_for else needed


def id_of(number: int | None) -> int:
    """An update id where the rules need one. Raises ``BadFrame`` for a frame that has none."""
    if number is None:
        raise BadFrame("schema", "a book frame without an update id")
    return number

"""Book frames whose ids are not to be believed at once: far ahead of the book, or below it. The rules and their reasons
are those of ``plausibility.py``; that a second frame agrees shows here by its following the first one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts, Reason
from cryptodash.exchanges.builders.plausibility import HELD_FOR, OLD_FOR, is_far_ahead

MAX_OLD_RUN = 500
"""So many frames in a row with ids before ours mean that the venue counts anew: the book would stand still for ever."""

Follows = Callable[[Depth, int | None, bool], bool]
"""As in ``book_chaining.FOLLOWS``."""


class FarFrame:
    """The newest frame that is too far ahead, until another one follows it or one is believed that does not."""

    def __init__(self, follows: Follows, counts: DoubtCounts) -> None:
        self.frame: Depth | None = None
        self._follows = follows
        self._counts = counts
        self._since = 0.0
        self._settled = True

    def hold(self, depth: Depth, now: float) -> None:
        """Wait for a second frame that follows this one."""
        self.drop()
        self.frame, self._since, self._settled = depth, now, False
        self._counts.held(Reason.FUTURE_ID)

    def agrees(self, depth: Depth, now: float) -> bool:
        """Whether the frame follows the one that is held; a snapshot, whether it comes soon after it."""
        held = self.frame
        if held is None or held.last is None or depth.last is None:
            return False
        if depth.snapshot:
            return held.last < depth.last and not is_far_ahead(depth.last, held.last, now - self._since)
        return depth.last > held.last and self._follows(depth, held.last, False)

    def believed(self) -> None:
        """It has become part of the book."""
        self.frame, self._settled = None, True

    def drop(self) -> None:
        """A frame came that is believed and does not follow it, or the book begins anew."""
        self._count()
        self.frame = None

    def expire(self, now: float) -> None:
        """It has waited for long enough. It stays a witness: a slow stream's next frame may follow it."""
        if now - self._since >= HELD_FOR:
            self._count()

    def _count(self) -> None:
        if not self._settled:
            self._settled = True
            self._counts.dropped(Reason.FUTURE_ID)


class OldFrames:
    """Frames in a row with ids below the book's. They are dropped, until they show that the venue counts anew."""

    def __init__(self, follows: Follows, counts: DoubtCounts) -> None:
        self._follows = follows
        self._counts = counts
        self.number = 0
        """How many have come."""
        self._since = 0.0
        self._newest: Depth | None = None

    def clear(self) -> None:
        """A frame of the book came."""
        self.number = 0
        self._newest = None

    def restart(self, depth: Depth, time: int | None, *, joining: bool, now: float) -> Sequence[Depth]:
        """Take one more; returns the frames with which the venue counts anew, none if it is just old.

        It counts anew if two in a row follow each other and are newer than the book by the venue's ``time``: a second
        connection, too, brings what the first one brought, but nothing newer. Else if nothing but old ones came for
        ``OLD_FOR`` or ``MAX_OLD_RUN`` frames. Where the book is a snapshot that the stream has yet to reach
        (``joining``), old ones are the rule and only their number tells.
        """
        before, self._newest = self._newest, depth
        if not self.number:
            self._since = now
        self.number += 1
        self._counts.dropped(Reason.OLD_ID)
        follows = before is not None and before.last is not None and self._follows(depth, before.last, False)
        if self.number > MAX_OLD_RUN:
            return (depth,)
        if joining:
            return ()
        if before is not None and follows and _is_newer(before, time) and _is_newer(depth, time):
            return (before, depth)
        if now - self._since >= OLD_FOR:
            return (before, depth) if before is not None and follows else (depth,)
        return ()


def _is_newer(depth: Depth, time: int | None) -> bool:
    return depth.time is not None and time is not None and depth.time > time

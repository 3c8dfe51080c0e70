"""Whether a stream that shows trades (in bars, or one by one) misses frames: another topic of the same instrument knows
of trades that it has not shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

USUAL = 2.0
"""So many times its usual interval a stream may be behind."""
GRACE = 1.0
"""Least seconds that a trade known from elsewhere must have gone unshown: it may come by another connection, a moment
earlier."""


class TradeTeller(Protocol):
    """A topic that may know of trades."""

    @property
    def traded_ms(self) -> int | None:
        """The venue's time (ms) of the newest trade it knows of; None: of none."""


def known_trade(tellers: Iterable[TradeTeller], until: int) -> int | None:
    """The venue's time (ms) of the newest trade that one of them knows of; times after ``until`` are wrong ones."""
    known = [each.traded_ms for each in tellers]
    return max((each for each in known if each is not None and each <= until), default=None)


class TradeComparison:
    """Compares the venue's times (ms) of what one stream has shown with those of trades known from its siblings.

    ``usual`` is the stream's mean interval (s, 0 where unknown). A stream that was lost or silent must catch up: until
    a frame is as new as the trades, within what is allowed of one that goes on, it is behind without further proof.
    """

    def __init__(self, stale_after: float) -> None:
        self.is_behind = False
        self._stale_after = stale_after
        self.must_catch_up = False
        """Whether each frame is to be told at once (``shown``), and not only the newest twice a second."""
        self._shown: int | None = None
        self._unshown_since: float | None = None

    def interrupted(self) -> None:
        """Frames may have been missed."""
        self.must_catch_up = True

    def shown(self, time_ms: int, traded: int | None, usual: float) -> None:
        """A frame that was written at ``time_ms`` has come; the newest trade known from elsewhere is of ``traded``."""
        if self._shown is None or time_ms > self._shown:
            self._shown = time_ms
            self._unshown_since = None
        if self.must_catch_up:
            self.is_behind = self.must_catch_up = self._is_too_old(traded, usual)

    def look(self, traded: int | None, usual: float, now: float) -> bool:
        """Twice a second; whether it is proven now that frames are missing."""
        if self._shown is None or traded is None or traded <= self._shown:
            self._unshown_since = None
            return False
        if self._unshown_since is None:
            self._unshown_since = now
        grace = min(max(GRACE, USUAL * usual), self._stale_after)
        if now - self._unshown_since < grace or not self._is_too_old(traded, usual):
            return False
        self.is_behind = self.must_catch_up = True
        return True

    def _is_too_old(self, traded: int | None, usual: float) -> bool:
        if self._shown is None or traded is None:
            return False
        return traded - self._shown >= 1000 * max(self._stale_after, USUAL * usual)

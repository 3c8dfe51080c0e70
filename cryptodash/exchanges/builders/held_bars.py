"""Bars of one topic that wait for an older one, and the order in which the venue wrote its frames."""

from __future__ import annotations

from cryptodash.core.events import Candle
from cryptodash.exchanges.builders.bar_times import AHEAD_BY_CLOCK_MS


class HeldBars:
    """The newest state of each bar that came while an older one was not closed, by open time (ms)."""

    def __init__(self) -> None:
        self.bars: dict[int, Candle] = {}
        """By open time."""
        self.written = 0
        """When the venue wrote the newest of their frames, where frames say so."""

    def __len__(self) -> int:
        return len(self.bars)

    @property
    def newest(self) -> int:
        """Open time of the newest one; 0 where none is held."""
        return max(self.bars, default=0)

    def add(self, candle: Candle, written: int | None) -> None:
        """Keep it, unless it runs in this frame and was closed by an earlier one."""
        before = self.bars.get(candle.timestamp)
        if before is None or candle.closed or not before.closed:
            self.bars[candle.timestamp] = candle
            self.written = max(self.written, written or 0)

    def pop(self, opened: int) -> Candle | None:
        """The bar that opens then, held no more."""
        return self.bars.pop(opened, None)

    def drop_after(self, begun_by: int) -> None:
        """Without those that open after this time (ms)."""
        self.bars = {opened: each for opened, each in self.bars.items() if opened <= begun_by}

    def clear(self) -> None:
        """None is held any more."""
        self.bars.clear()
        self.written = 0

    def is_contradicted_by(self, candle: Candle, written: int | None) -> bool:
        """Whether the venue wrote this frame of the older bar, which runs in it, after those that are held: they told
        of bars that have not begun."""
        if written is None or written <= self.written or candle.closed:
            return False
        return bool(self.bars) and not any(each.closed for each in self.bars.values())


class FrameOrder:
    """Frames of the running bar, each with the time at which the venue wrote it."""

    def __init__(self) -> None:
        self.written = 0
        """When the venue wrote the newest frame of the running bar."""

    def is_overtaken(self, candle: Candle, running: Candle | None, written: int | None, venue_ms: int | None) -> bool:
        """Whether a newer frame of the running bar came before this one. A time that has not come by the venue's clock
        (ms) orders nothing; a closed bar is the last word."""
        if written is None or candle.closed:
            return False
        is_time = venue_ms is None or self.written <= venue_ms + AHEAD_BY_CLOCK_MS
        if running is not None and written < self.written and is_time:
            return True
        self.written = written
        return False

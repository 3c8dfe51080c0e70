"""How many frames and bytes of each kind a venue sends."""

from __future__ import annotations

from typing import get_args

from cryptodash.core.tally import Cell, Tally
from cryptodash.exchanges.adapter.messages import (
    Bar,
    Control,
    Depth,
    Mark,
    Message,
    Quote,
    Stats,
    SweepRows,
    Trades,
    Unwanted,
)

CHANNELS: dict[type, str] = {
    Quote: "ticker",
    Stats: "ticker",
    Mark: "ticker",
    Trades: "trade",
    Depth: "order_book",
    Bar: "candle",
    SweepRows: "sweep",
    **{kind: "control" for kind in get_args(Control) if kind is not Unwanted},
}
"""What a frame is counted as, by its last message; ``unread`` where that is none of these."""


FrameCells = tuple[Cell, Cell]
"""Where to count frames of one kind: their number, their bytes."""


class FrameCounts:
    """One venue's counts. The engine's hot path counts itself, into ``cells`` by the type of a frame's last message."""

    def __init__(self, exchange: str, tally: Tally) -> None:
        self._exchange = exchange
        self._messages = tally.counter(
            "cryptodash_upstream_messages_total", "Text messages received.", "exchange", "channel"
        )
        self._bytes = tally.counter("cryptodash_upstream_bytes_total", "Payload bytes received.", "exchange", "channel")
        self.cells = {kind: self.of(channel) for kind, channel in CHANNELS.items()}
        self.unread = self.of("unread")

    def of(self, channel: str) -> FrameCells:
        """Where frames of a channel, or of another word, are counted."""
        return self._messages.cell(self._exchange, channel), self._bytes.cell(self._exchange, channel)

    def count(self, message: Message | None, frame: bytes) -> None:
        """Count one frame, by its last message (None: it could not be read)."""
        messages, size = self.cells.get(type(message), self.unread)
        messages.count += 1
        size.count += len(frame)

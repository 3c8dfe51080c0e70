"""How many frames and bytes of each kind a venue sends."""

from __future__ import annotations

from typing import get_args

from cryptodash.core.tally import Tally
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


class FrameCounts:
    """One venue's counts. The engine's hot path counts into ``messages`` and ``bytes`` itself, under ``labels``."""

    def __init__(self, exchange: str, tally: Tally) -> None:
        self.messages = tally.counter(
            "cryptodash_upstream_messages_total", "Text messages received.", "exchange", "channel"
        ).values
        self.bytes = tally.counter(
            "cryptodash_upstream_bytes_total", "Payload bytes received.", "exchange", "channel"
        ).values
        self.labels = {kind: (exchange, channel) for kind, channel in CHANNELS.items()}
        self.unread = (exchange, "unread")

    def count(self, message: Message | None, frame: bytes) -> None:
        """Count one frame, by its last message (None: it could not be read)."""
        labels = self.labels.get(type(message), self.unread)
        self.messages[labels] += 1
        self.bytes[labels] += len(frame)

"""What a client holds of one subscription: its freshness, its book or newest value, and how far it has read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptodash.client.book import Book
from cryptodash.client.channels import EVERY_SYMBOL, RESUMABLE, Channel, Key
from cryptodash.client.decoding import maybe_words, whole, words
from cryptodash.client.errors import MalformedFrame
from cryptodash.client.freshness import Freshness, Link
from cryptodash.client.values import Candle, Gap, Liquidation, StatusChange, Trade, Value, read

REMEMBERED = 512
"""Messages of a channel by whose ids a repeat is known: more than a replay without a cursor brings (50)."""


class Subscription:
    """``key`` is by what the server's messages name it. ``accepted``: on this connection."""

    def __init__(self, channel: Channel, link: Link) -> None:
        self.channel = channel
        self.key: Key = channel.key
        self.freshness = Freshness(link, has_latest=channel.channel_type not in ("trade", "liquidation"))
        self.book = Book(channel, self.freshness) if channel.channel_type == "order_book" else None
        self.newest: Value | None = None
        self.cursor: str | None = None
        """Of the newest message that the user has."""
        self.accepted = False
        self.resyncing = False
        """Whether a snapshot was asked for."""
        self._seen: dict[str, None] = {}

    @property
    def is_sweep(self) -> bool:
        return self.channel.symbol == EVERY_SYMBOL

    @property
    def since(self) -> str | None:
        """What a subscription gives to go on where it was."""
        return self.cursor if self.channel.channel_type in RESUMABLE else None

    def answered(self) -> None:
        """A subscribe or resync was answered: status and value come now, and what was here counts no more."""
        self.freshness.begin_anew()
        self.resyncing = False

    def lost(self) -> None:
        """The connection is lost."""
        self.accepted = self.resyncing = False
        self.freshness.begin_anew()
        self.freshness.fields = ()
        self.freshness.told_state, self.freshness.told_cause = "connecting", None

    def take_status(self, payload: Mapping[str, Any]) -> StatusChange:
        self.freshness.take_status(payload)
        fresh = self.freshness
        return StatusChange(self.channel, fresh.told_state, fresh.told_cause, maybe_words(payload, "renamed_to"))

    def take_gap(self, payload: Mapping[str, Any]) -> Gap:
        missed = whole(payload, "missed") if "missed" in payload else None
        begin, end = maybe_words(payload, "from"), maybe_words(payload, "to")
        return Gap(self.channel, words(payload, "reason"), missed, begin, end)

    def take_value(self, kind: str, payload: Mapping[str, Any]) -> Value | None:
        """What a user is to be told; None: he has it."""
        found = read(kind, payload, self.channel, self.freshness, is_news=not self.freshness.awaits_value)
        if isinstance(found, Trade | Liquidation | Candle) and not self._is_new(found):
            return None
        self.newest = found
        return found

    def _is_new(self, found: Trade | Liquidation | Candle) -> bool:
        bar = found if isinstance(found, Candle) else None
        identity = found.timestamp if isinstance(found, Candle) else found.id
        if identity is None or (bar is not None and not bar.closed):
            return True  # a running bar comes again and again
        if identity in self._seen:
            return bar is not None and bar.corrected
        self._seen[identity] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self.cursor = found.cursor or self.cursor
        return True

    def take_book(self, kind: str, payload: Mapping[str, Any]) -> bool:
        """Whether a snapshot is needed. A delta before the snapshot that was asked for is passed over."""
        book, fresh = self.book, self.freshness
        if book is None:
            raise MalformedFrame(f"{kind} of no book")
        if kind == "order_book_snapshot":
            fresh.fault = book.take_snapshot(payload, is_news=not fresh.awaits_value)
        elif fresh.awaits_value or fresh.fault == "gap":
            fresh.fault = "gap"
        else:
            fresh.fault = book.take_delta(payload)
        if fresh.fault is None or self.resyncing:
            return False
        self.resyncing = True
        return True

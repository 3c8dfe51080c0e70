"""An order book, kept from a snapshot and the deltas that follow it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from cryptodash.client.channels import Channel
from cryptodash.client.decoding import exact, maybe_words, number, objects, whole
from cryptodash.client.errors import MalformedFrame
from cryptodash.client.freshness import Fresh, Freshness

COMPOSITE = "composite"


class Level(NamedTuple):
    price: Decimal
    quantity: Decimal


class Book(Fresh):
    """One view of a book. The object stays the same while its levels change.

    ``live`` is true only while snapshot and deltas chain, the server calls it live, the link is trusted and bid < ask
    (a composite book may be crossed between exchanges). What is not live keeps its levels, to be looked at.
    """

    def __init__(self, channel: Channel, freshness: Freshness) -> None:
        self.channel, self.freshness = channel, freshness
        self.symbol = channel.symbol
        self.serial = 0
        self.sequence: int | None = None
        """Of the newest change; None: nothing has come."""
        self.complete = False
        """Whether ``depth`` levels a side are proven."""
        self.timestamp: str | None = None
        self.received: str | None = None
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}

    @property
    def _is_newest(self) -> bool:
        return True  # the one object is always what there is

    @property
    def bids(self) -> tuple[Level, ...]:
        """Best first."""
        return tuple(Level(price, self._bids[price]) for price in sorted(self._bids, reverse=True))

    @property
    def asks(self) -> tuple[Level, ...]:
        """Best first."""
        return tuple(Level(price, self._asks[price]) for price in sorted(self._asks))

    @property
    def best_bid(self) -> Level | None:
        return _level(self._bids, max(self._bids, default=None))

    @property
    def best_ask(self) -> Level | None:
        return _level(self._asks, min(self._asks, default=None))

    @property
    def crossed(self) -> bool:
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid.price >= ask.price

    def take_snapshot(self, payload: Mapping[str, Any], *, is_news: bool) -> str | None:
        """Replace everything. What is wrong with it, if anything is (``crossed``)."""
        bids, asks = _levels(payload, "bids"), _levels(payload, "asks")
        sequence = whole(payload, "sequence")
        if max(len(bids), len(asks)) > (self.channel.depth or 0):
            raise MalformedFrame(f"a snapshot deeper than {self.channel.depth}")
        self._bids, self._asks = bids, asks
        return self._took(payload, sequence, is_news=is_news)

    def take_delta(self, payload: Mapping[str, Any]) -> str | None:
        """Apply it if it fits. What is wrong, if anything is: ``gap`` (it does not follow what is here, or deletes a
        level that is not here), ``crossed``."""
        sequence = whole(payload, "sequence")
        if self.sequence is None or self.freshness.fault == "gap":
            return "gap"
        if sequence != self.sequence + 1:
            return "gap"
        deletes = payload.get("deletes", {})
        if not isinstance(deletes, dict):
            raise MalformedFrame("deletes is no object")
        sides = (
            (self._bids, deletes.get("bids", []), _levels(payload, "bids_upserts")),
            (self._asks, deletes.get("asks", []), _levels(payload, "asks_upserts")),
        )
        for side, gone, upserts in sides:
            for price in map(exact, gone if isinstance(gone, list) else [None]):
                if side.pop(price, None) is None:
                    return "gap"
            for price, quantity in upserts.items():
                side.pop(price, None)  # the venue may write the same price with other digits
                side[price] = quantity
            if len(side) > (self.channel.depth or 0):
                return "gap"
        return self._took(payload, sequence, is_news=True)

    def _took(self, payload: Mapping[str, Any], sequence: int, *, is_news: bool) -> str | None:
        self.sequence = sequence
        self.timestamp = maybe_words(payload, "timestamp")
        self.received = maybe_words(payload, "received")
        if "complete" in payload:
            self.complete = payload["complete"] is True
        self.serial = self.freshness.take_value(self.symbol, is_news=is_news)
        return "crossed" if self.crossed and self.channel.exchange != COMPOSITE else None

    def __repr__(self) -> str:
        return f"<Book {self.channel} {self.words} bid {self.best_bid} ask {self.best_ask} sequence {self.sequence}>"


def _levels(payload: Mapping[str, Any], name: str) -> dict[Decimal, Decimal]:
    return {number(each, "price"): number(each, "quantity") for each in objects(payload, name)}


def _level(side: Mapping[Decimal, Decimal], price: Decimal | None) -> Level | None:
    if price is None:
        return None
    # The key that is there has the venue's digits; ``price`` is one of them.
    return Level(price, side[price])

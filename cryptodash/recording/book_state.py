"""A recorded order book at a moment: a snapshot and what came after it, folded. Digits stay the text that they are."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from cryptodash.core.numbers import MAX_DIGITS, Number, key
from cryptodash.core.topics import MAX_DEPTH
from cryptodash.recording.tape_errors import BadTape

SNAPSHOT: Final = b'{"type":"order_book_snapshot"'
DELTA: Final = b'{"type":"order_book_delta"'


class _Level(Struct):
    price: Raw
    quantity: Raw


class _Payload(Struct):
    sequence: int
    depth: int
    timestamp: str
    received: str = ""
    bids: list[_Level] = []
    asks: list[_Level] = []
    bids_upserts: list[_Level] = []
    asks_upserts: list[_Level] = []
    deletes: dict[str, list[Raw]] = {}


class _Message(Struct):
    payload: _Payload


class _Members(Struct):
    payload: dict[str, Raw]


_decode = msgspec.json.Decoder(_Message).decode
_decode_members = msgspec.json.Decoder(_Members).decode
_MOST_CHARACTERS: Final = MAX_DIGITS + 24


class _Side:
    """Levels by value: a price is the same however it is padded."""

    def __init__(self) -> None:
        self.levels: dict[int, tuple[str, str]] = {}

    def set(self, levels: list[_Level]) -> None:
        for level in levels:
            price = _text(level.price)
            self.levels[key(Number(price))] = (price, _text(level.quantity))

    def remove(self, prices: list[Raw]) -> None:
        for price in prices:
            self.levels.pop(key(Number(_text(price))), None)

    def best(self, *, highest: bool) -> list[tuple[str, str]]:
        return [self.levels[each] for each in sorted(self.levels, reverse=highest)]


class BookFold:
    """The view of one topic. ``take`` what was recorded of it, oldest first."""

    def __init__(self) -> None:
        self._base = b""
        """The snapshot that it begins with."""
        self._begun = 0
        """Its sequence."""
        self._newest: _Payload | None = None
        self._bids, self._asks = _Side(), _Side()

    @property
    def is_known(self) -> bool:
        return self._newest is not None

    def lost(self) -> None:
        """Something is missing here: nothing is known before the next snapshot."""
        self._newest = None

    def take(self, body: bytes) -> bool:
        """Take a snapshot or a delta; False for a delta that does not fit. Raises ``BadTape`` for what is neither."""
        is_snapshot = body.startswith(SNAPSHOT)
        if not is_snapshot and not body.startswith(DELTA):
            raise BadTape("a message of a book that is neither a snapshot nor a delta")
        try:
            payload = _decode(body).payload
            if is_snapshot:
                self._begin(body, payload)
                return True
            if self._newest is None or payload.sequence != self._newest.sequence + 1:
                return False
            self._change(payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
            raise BadTape(f"a message of a book cannot be read: {error}"[:200]) from None
        return True

    def _begin(self, body: bytes, payload: _Payload) -> None:
        self._bids, self._asks = _Side(), _Side()
        self._bids.set(payload.bids)
        self._asks.set(payload.asks)
        self._base, self._begun, self._newest = body, payload.sequence, payload

    def _change(self, payload: _Payload) -> None:
        self._bids.set(payload.bids_upserts)
        self._asks.set(payload.asks_upserts)
        self._bids.remove(payload.deletes.get("bids", []))
        self._asks.remove(payload.deletes.get("asks", []))
        if max(len(self._bids.levels), len(self._asks.levels)) > MAX_DEPTH:
            raise BadTape("a book of more levels than one may have")
        self._newest = payload

    def snapshot(self) -> bytes | None:
        """The view now, as the server says it; None while it is not known. The snapshot itself, where nothing came
        after it."""
        newest = self._newest
        if newest is None:
            return None
        if newest.sequence == self._begun:
            return self._base
        try:
            members = _decode_members(self._base).payload
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        bids, asks = self._bids.best(highest=True), self._asks.best(highest=False)
        complete = "true" if min(len(bids), len(asks)) >= newest.depth else "false"
        said = {name: bytes(value).decode() for name, value in members.items()}
        said |= {
            "timestamp": f'"{newest.timestamp}"',
            "sequence": str(newest.sequence),
            "bids": _said(bids),
            "asks": _said(asks),
            "complete": complete,
            "received": f'"{newest.received}"',
        }
        said.pop("checksum", None)
        payload = ",".join(f'"{name}":{value}' for name, value in said.items())
        return f'{{"type":"order_book_snapshot","payload":{{{payload}}}}}'.encode()


def _text(raw: Raw) -> str:
    """A bare number, digit for digit. Raises ``ValueError``."""
    text = bytes(raw).decode()
    if len(text) > _MOST_CHARACTERS or not text.replace(".", "", 1).removeprefix("-").isdigit() or not text.isascii():
        raise ValueError(f"{text[:60]!r} is no number of ours")
    return text


def _said(levels: list[tuple[str, str]]) -> str:
    return "[" + ",".join(f'{{"price":{price},"quantity":{size}}}' for price, size in levels) + "]"

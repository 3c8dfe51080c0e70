"""Cursors: by them a client that comes back says up to where it has everything.

A cursor names the event itself, by its topic and the venue's time and id, never a place in somebody's memory: whoever
has the event can go on from it. ``codec`` writes them into the messages of trades, liquidations and closed candles.
"""

from __future__ import annotations

import re
from zlib import crc32

from attrs import frozen

from cryptodash.core.errors import Refused
from cryptodash.core.events import Candle, Liquidation, Trade
from cryptodash.core.topics import Channel, Topic

MAX_LENGTH = 256
"""Characters of a cursor: no venue's id is half as long."""
RESUMABLE = frozenset({Channel.TRADE, Channel.LIQUIDATION, Channel.CANDLE})
"""Channels whose messages carry one. All others begin with what is true now."""

_text = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})-(.*)", re.DOTALL).fullmatch


@frozen
class Cursor:
    """An event of a topic, by the venue's ``time`` (ms) and its ``event_id``."""

    time: int
    id: str


def event_id(event: Trade | Liquidation | Candle) -> str:
    """What tells an event from others of its topic and time. Liquidations without an id are told apart by what they
    say, and a corrected bar from the one before in the same way."""
    if isinstance(event, Trade):
        return event.id
    if isinstance(event, Liquidation):
        return event.id or f"{event.side.value}{event.price}x{event.quantity}"
    if not event.corrected:
        return ""
    figures = f"{event.open},{event.high},{event.low},{event.close},{event.volume}"
    return f"{crc32(figures.encode()):08x}"


def cursor_of(event: Trade | Liquidation | Candle) -> Cursor:
    """The cursor of the event."""
    return Cursor(event.timestamp, event_id(event))


def read_cursor(text: object, topic: Topic) -> Cursor:
    """The cursor that a client gives. Raises ``Refused`` ``invalid_since`` for what is none, or is one of another
    topic."""
    if topic.channel not in RESUMABLE:
        raise Refused("invalid_since", f"since does not go with {topic.channel}: it begins with what is true now")
    found = _text(text) if isinstance(text, str) and len(text) <= MAX_LENGTH else None
    if found is None:
        raise Refused("invalid_since", "since is not a cursor: give that of the last message you have")
    if found[1] != topic.tag:
        raise Refused("invalid_since", f"since is the cursor of another topic than {topic}")
    return Cursor(int(found[2]), found[3])

"""The order book at a moment of recorded time, as it was known then, with its status then. Pure over what a
``Recording`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from attrs import frozen
from msgspec import Raw

from cryptodash.core import codec
from cryptodash.core.recorded import Entry
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Topic
from cryptodash.recording.merging import LOOK_BACK
from cryptodash.recording.playback import state_at
from cryptodash.recording.recording import QUIET, Recording
from cryptodash.recording.tape_errors import BadTape

_STATUS: Final = b'{"type":"status"'
_OF_THE_STATUS: Final = ("state", "cause", "fields", "since", "source")


class _Message(msgspec.Struct):
    payload: dict[str, Raw]


_decode = msgspec.json.Decoder(_Message).decode
_levels = msgspec.json.Decoder(list[Raw]).decode
_number = msgspec.json.Decoder(int).decode


@frozen
class BookThen:
    """``members`` are those of the snapshot, cut to the depth that was asked for; without ``bids`` and ``asks`` where
    none was known, as when it was being built. ``status`` is what was said of it last, None: nothing was."""

    topic: Topic
    at: int
    members: Mapping[str, Raw]
    status: Mapping[str, Raw] | None

    def document(self) -> bytes:
        """As ``/api/orderbook`` says it, with ``at``."""
        said: dict[str, object] = {**self.members, "at": rfc3339(self.at // 1000)}
        if self.status is not None:
            said["status"] = self.status
        return codec.encode({**said, "source": "recorded"})

    def message(self) -> Entry | None:
        """The snapshot as a record of the tape; None where the book was not known."""
        if "bids" not in self.members:
            return None
        return Entry(
            self.at, str(self.topic), 0, codec.encode({"type": "order_book_snapshot", "payload": self.members})
        )


def book_at(recording: Recording, topic: Topic, depth: int, at: int) -> BookThen | None:
    """The book, at the least recorded depth that covers this one (0: the greatest); None where none was recorded, or
    nothing is known of it then. Raises ``BadTape``."""
    found = recorded_depths(recording, topic, at)
    depths = [each for each in found if each >= depth]
    if not depths:
        return None
    recorded = topic.sibling(topic.channel, depth=depths[0] if depth else depths[-1])
    entries = state_at(recording, at, (str(recorded),))[str(recorded)]
    if not entries:
        return None
    status: Mapping[str, Raw] | None = None
    asked = recorded.sibling(topic.channel, depth=depth or recorded.depth)
    members: Mapping[str, Raw] = _named(asked)
    try:
        for each in entries:
            payload = _decode(each.body).payload
            if each.body.startswith(_STATUS):
                status = {name: payload[name] for name in _OF_THE_STATUS if name in payload}
            else:
                members = _cut(payload, asked.depth)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, KeyError) as error:
        raise BadTape(f"a message of {recorded} cannot be read: {error}"[:300]) from None
    return BookThen(asked, at, members, status)


def recorded_depths(recording: Recording, topic: Topic, at: int) -> list[int]:
    """The depths at which the book was recorded about that time, in order."""
    prefix = f"{topic.sibling(topic.channel)}:"
    near = recording.topics(max(0, at - LOOK_BACK), at + QUIET)
    ends = (name.removeprefix(prefix) for name in near if name.startswith(prefix))
    return sorted(int(each) for each in ends if each.isascii() and each.isdigit() and len(each) < 6)


def _named(topic: Topic) -> dict[str, Raw]:
    return msgspec.json.decode(f"{{{topic.json}}}", type=dict[str, Raw])


def _cut(payload: dict[str, Raw], depth: int) -> dict[str, Raw]:
    """The view at a depth that is no greater."""
    if depth == _number(payload["depth"]):
        return payload
    bids, asks = _levels(payload["bids"])[:depth], _levels(payload["asks"])[:depth]
    is_complete = len(bids) == len(asks) == depth
    cut = {
        "depth": Raw(str(depth).encode()),
        "bids": Raw(codec.encode(bids)),
        "asks": Raw(codec.encode(asks)),
        "complete": Raw(b"true" if is_complete else b"false"),
    }
    kept = {name: value for name, value in payload.items() if name != "checksum"}  # it is of the whole view
    return {**kept, **cut}

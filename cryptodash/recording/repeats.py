"""Messages that two processes have, known by their cursors. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from cryptodash.recording import records
from cryptodash.recording.entries import Entry

MOST: Final = 10_000
"""Messages of all topics together that are remembered: some seconds of all that is recorded."""
_CURSOR: Final = b'"cursor":"'
_CORRECTED: Final = b'"corrected":true'


def name_of(body: bytes) -> bytes:
    """What tells a message from others of its topic; empty where it has no cursor. A bar and its correction are two."""
    begin = body.find(_CURSOR)
    if begin < 0:
        return b""
    begin += len(_CURSOR)
    name = body[begin : body.find(b'"', begin)]
    return name + body[:begin] if _CORRECTED in body else name


class Repeats:
    """What whoever took over a topic has as well: one whose clock was behind wrote it before, by its clock."""

    def __init__(self) -> None:
        self._newest: deque[Entry] = deque(maxlen=MOST)
        self._of: dict[str, set[bytes]] = {}

    def told(self, entry: Entry) -> None:
        self._newest.append(entry)

    def taken_over(self, topic: str) -> None:
        """What was told of it up to now is not told again."""
        messages = (each for each in self._newest if each.topic == topic and each.kind == records.MESSAGE)
        names = {name for each in messages if (name := name_of(each.body))}
        if names:
            self._of[topic] = names

    def has(self, entry: Entry) -> bool:
        return (
            entry.topic in self._of and entry.kind == records.MESSAGE and name_of(entry.body) in self._of[entry.topic]
        )

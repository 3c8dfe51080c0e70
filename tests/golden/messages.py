"""What is compared: the text of each message without what depends on the moment or the build, in the order of its
channel.

Nothing is parsed and written again, because that could hide a digit, an order of keys or a space that has changed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_names = "received|session|since|age_ms|server_time|version"
_later = "funding_interval_h|cursor"
"""Members that came after the expectations were written: all others must be what they were."""
_value = r'(?:"[^"]*"|[0-9.]+)'
_momentary = re.compile(rf',"(?:{_names}|{_later})":{_value}|"(?:{_names}|{_later})":{_value},?')
_of_an_info = re.compile(r',"timestamp":"[^"]*"|(?<=Session: )[0-9a-zA-Z_-]+')

GROUPS = {"order_book_snapshot": "order_book", "order_book_delta": "order_book", "info": "answers", "error": "answers"}
"""Types whose order among each other counts. Every other type is a group of its own."""


def normalised(text: str) -> str:
    """The message without session, version and the server's own times."""
    text = _momentary.sub("", text)
    return _of_an_info.sub("", text) if text.startswith('{"type":"info"') else text


def channel_of(message: Mapping[str, Any]) -> str:
    """The group of the message's type and, where it is about one, its topic."""
    kind, payload = message["type"], message["payload"]
    group = GROUPS.get(kind, kind)
    if group == "answers":
        return str(group)
    if kind in ("status", "gap"):
        payload = payload["channel"]
        group += f" {payload['channel_type']}"
    symbol = payload["symbol"]
    name = symbol if isinstance(symbol, str) else f"{symbol['base']}-{symbol['quote']}"
    words = [group, payload["exchange"], payload["market_type"], name]
    return " ".join([*words, *(str(payload[each]) for each in ("depth", "interval") if each in payload)])


class Transcript:
    """Everything that came, by receiver and channel."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}
        self._types: dict[str, Counter[str]] = {}

    def message(self, receiver: str, text: str) -> None:
        """Keep a message of ``/ws``."""
        # The numbers are of no interest here, and floats would cost the most.
        message = json.loads(text, parse_float=str)
        self.add(f"{receiver} {channel_of(message)}", message["type"], normalised(text))

    def add(self, channel: str, kind: str, line: str) -> None:
        self.lines.setdefault(channel, []).append(line)
        self._types.setdefault(channel, Counter())[kind] += 1

    def digest(self) -> dict[str, Any]:
        """For each channel the count of each type and one hash of everything in order."""
        return {
            channel: {"messages": dict(sorted(self._types[channel].items())), "sha256": _hash(lines)}
            for channel, lines in sorted(self.lines.items())
        }


def _hash(lines: list[str]) -> str:
    found = sha256()
    for line in lines:
        found.update(line.encode() + b"\n")
    return found.hexdigest()

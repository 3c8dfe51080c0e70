"""A client of Kraken's WebSocket v2, with its order book and checksum as the venue's guide tells a client to keep them:
written apart from the simulator, so that the two can disagree."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from attrs import define, field

Level = tuple[str, str]


def read(text: str) -> Any:
    """A frame with the text of its numbers: trailing zeros count."""
    return json.loads(text, parse_float=str)


@define
class ClientBook:
    """One symbol's book of so many levels a side. ``checked`` counts the frames whose checksum was right."""

    depth: int
    sides: dict[str, dict[str, str]] = field(factory=lambda: {"bids": {}, "asks": {}})
    checked: int = 0

    def take(self, frame: Any) -> None:
        """A snapshot or an update; fails when its checksum is not that of the book after it."""
        for data in frame["data"]:
            if frame["type"] == "snapshot":
                self.sides = {"bids": {}, "asks": {}}
            for name, side in self.sides.items():
                for level in data[name]:
                    if Decimal(level["qty"]):
                        side[level["price"]] = level["qty"]
                    else:
                        side.pop(level["price"], None)
                for price, _ in self.best(name)[self.depth :]:
                    del side[price]
            if "checksum" in data:
                assert self.checksum() == data["checksum"], data
                self.checked += 1

    def best(self, name: str) -> list[Level]:
        """The levels of a side, best first."""
        return sorted(self.sides[name].items(), key=lambda each: Decimal(each[0]), reverse=name == "bids")

    def checksum(self) -> int:
        """CRC32 of the ten best asks, then bids: each price and quantity as a whole number without its point."""
        levels: Iterable[Level] = [*self.best("asks")[:10], *self.best("bids")[:10]]
        return binascii.crc32("".join(str(int(text.replace(".", ""))) for level in levels for text in level).encode())


def ask(channel: str, *symbols: str, method: str = "subscribe", **params: object) -> dict[str, Any]:
    named = {"symbol": list(symbols)} if symbols else {}
    return {"method": method, "params": {"channel": channel, **named, **params}}


def connected(world: Any, *requests: object) -> Any:
    wire = world.connect("kraken", "/v2")
    for request in requests:
        wire.say(request)
    return wire


def data_of(wire: Any, channel: str) -> list[Any]:
    """The frames of a channel since the last call, their numbers as text."""
    taken, wire.frames = [read(frame) for frame in wire.frames], []
    return [frame for frame in taken if frame.get("channel") == channel]


def rows_of(frames: list[Any]) -> list[Any]:
    return [row for frame in frames for row in frame["data"]]


def answers_of(wire: Any) -> list[Any]:
    return [frame for frame in wire.take() if "method" in frame or "error" in frame]

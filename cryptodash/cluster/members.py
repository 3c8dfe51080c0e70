"""Which processes there are: each says every second that it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from attrs import frozen
from msgspec import msgpack

from cryptodash.cluster import wire
from cryptodash.core.time import Clock

SILENT_S: Final = 4.0
"""A process that says nothing for so long has gone."""
MOST_MEMBERS: Final = 256


class Here(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """``host``: the machine it runs on; ``is_last``: it ends now."""

    version: int
    process: wire.Name
    host: wire.Name
    is_last: bool = False


@frozen
class _Member:
    host: str
    heard: float


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Here).decode


class Members:
    """The other processes. ``tell`` publishes to all."""

    def __init__(self, process: str, host: str, tell: Callable[[bytes], object], clock: Clock) -> None:
        self.process, self.host = process, host
        self._tell = tell
        self._clock = clock
        self._others: dict[str, _Member] = {}

    def tick(self) -> None:
        """Once a second."""
        self._tell(_encode(Here(wire.VERSION, self.process, self.host)))
        now = self._clock.monotonic()
        self._others = {name: each for name, each in self._others.items() if now - each.heard < SILENT_S}

    def end(self) -> None:
        """This process ends."""
        self._tell(_encode(Here(wire.VERSION, self.process, self.host, is_last=True)))

    def took(self, data: bytes) -> None:
        """Some process is there, perhaps this one."""
        try:
            here = _decode(data)
        except wire.UNREADABLE:
            return
        if here.version != wire.VERSION or here.process == self.process:
            return
        if here.is_last:
            self._others.pop(here.process, None)
        elif here.process in self._others or len(self._others) < MOST_MEMBERS:
            self._others[here.process] = _Member(here.host, self._clock.monotonic())

    def others(self, *, on_this_host: bool = False) -> list[str]:
        """Their names."""
        now = self._clock.monotonic()
        return [
            name
            for name, each in self._others.items()
            if now - each.heard < SILENT_S and (each.host == self.host or not on_this_host)
        ]

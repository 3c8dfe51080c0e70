"""The replies of Redis (RESP2) cut into frames, and what can be done to those that were published. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, Protocol

PUSHED: Final = b"*3\r\n$7\r\nmessage\r\n"
"""How a frame begins that tells a subscriber what was published."""


def end_of(data: bytes | bytearray, start: int = 0) -> int | None:
    """Where the frame ends that begins there; None where it is not complete. Raises ``ValueError`` for what is none."""
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    kind, after = data[start : start + 1], line + 2
    if kind in (b"+", b"-", b":"):
        return after
    count = int(data[start + 1 : line])
    if kind == b"$":
        end = after if count < 0 else after + count + 2
        return end if end <= len(data) else None
    if kind != b"*":
        raise ValueError(f"no reply of Redis begins with {bytes(data[start : start + 20])!r}")
    end = after
    for _ in range(count):
        found = end_of(data, end)
        if found is None:
            return None
        end = found
    return end


class RespFrames:
    """Whole frames of what comes in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Those that are complete now."""
        self._data += data
        start = 0
        while start < len(self._data) and (end := end_of(self._data, start)) is not None:
            yield bytes(self._data[start:end])
            start = end
        del self._data[:start]


def is_pushed(frame: bytes) -> bool:
    """Whether it was published, and is no reply."""
    return frame.startswith(PUSHED)


def channel_of(frame: bytes) -> bytes:
    """Where it was published."""
    size, rest = frame[len(PUSHED) + 1 :].split(b"\r\n", 1)
    return rest[: int(size)]


class Change(Protocol):
    """What is done to what is pushed on one connection."""

    def take(self, frame: bytes) -> Sequence[bytes]:
        """What is passed on in its place, now."""

    def rest(self) -> Sequence[bytes]:
        """What is still held, at the end of the change."""


class Duplicate:
    """Each comes twice."""

    def take(self, frame: bytes) -> Sequence[bytes]:
        return (frame, frame)

    def rest(self) -> Sequence[bytes]:
        return ()


class Reorder:
    """Each is held until the next one of its channel has passed it."""

    def __init__(self) -> None:
        self._held: dict[bytes, bytes] = {}

    def take(self, frame: bytes) -> Sequence[bytes]:
        channel = channel_of(frame)
        held = self._held.pop(channel, None)
        if held is not None:
            return (frame, held)
        self._held[channel] = frame
        return ()

    def rest(self) -> Sequence[bytes]:
        held, self._held = self._held, {}
        return tuple(held.values())


class Drop:
    """Some never come: of ``share`` of them, by chance."""

    def __init__(self, random: Random, share: float = 0.2) -> None:
        self._random, self._share = random, share

    def take(self, frame: bytes) -> Sequence[bytes]:
        return () if self._random.random() < self._share else (frame,)

    def rest(self) -> Sequence[bytes]:
        return ()


class Both:
    """One after the other."""

    def __init__(self, first: Change, second: Change) -> None:
        self._first, self._second = first, second

    def take(self, frame: bytes) -> Sequence[bytes]:
        return [each for passed in self._first.take(frame) for each in self._second.take(passed)]

    def rest(self) -> Sequence[bytes]:
        held = [each for passed in self._first.rest() for each in self._second.take(passed)]
        return [*held, *self._second.rest()]

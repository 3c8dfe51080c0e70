"""Messages as frames of the wire, built once for everybody and joined for each cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cryptodash.hub.interfaces import Batch, Message

AHEAD: Final = 16 * 1024
"""Bytes that are queued on a wire that does not take everything. What is beyond is conflated: it would grow old on its
way, 3 s for each 16 KiB where a client reads 5 kB/s."""

Build = Callable[[bytes], bytes]
"""Makes a frame of a message's body: what the clients of one kind have agreed on."""


class Framer:
    """One kind of frame for many clients: a message's frame is built once in a turn, for however many cohorts."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.made = _Made(self)
        """Frames by message, made when first looked up."""

    def frames(self, messages: Iterable[Message | Batch]) -> list[bytes]:
        """The messages' frames, in order."""
        made = self.made
        return [made[message] for message in messages]

    def forget(self) -> None:
        """The turn is over."""
        self.made.clear()


class _Made(dict[Message | Batch, bytes]):
    """Frames by message, made when first looked up."""

    def __init__(self, framer: Framer) -> None:
        super().__init__()
        self._framer = framer

    def __missing__(self, message: Message | Batch) -> bytes:
        # A sweep's share is a cohort's own, but its messages are everybody's.
        made = (
            b"".join([self[each] for each in message.messages])
            if isinstance(message, Batch)
            else self._framer.build(message.body)
        )
        self[message] = made
        return made


def queued(frames: Sequence[bytes], sent: int) -> tuple[int, int]:
    """Of frames that were written together, of which a wire took so many bytes: how many it has, with those that are
    queued on it, and their bytes."""
    size = 0
    for count, frame in enumerate(frames, 1):
        size += len(frame)
        if size >= sent + AHEAD:
            return count, size
    return len(frames), size

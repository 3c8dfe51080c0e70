"""One client's way out: straight onto its socket while that takes everything, through a conflating
backlog while it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from zope.interface import Attribute, Interface

from cryptodash.api.backlog import Backlog
from cryptodash.api.feeds import Feed
from cryptodash.api.ws.frames import Framer
from cryptodash.hub.interfaces import Batch, Message

if TYPE_CHECKING:
    from cryptodash.api.fanout import Cohort, Fanout

Send = Callable[[bytes], int]

TOO_SLOW: Final = 1013
SLICE: Final = 64 * 1024
"""Bytes of a backlog written at once: what a slow client has queued on its transport at most."""


class ILink(Interface):
    """The wire below a line."""

    send: Send = Attribute(
        "put bytes on the wire: how many it took (the rest goes to ``queue``), "
        "-1 if it took all but wants no more now; may raise OSError"
    )

    def queue(data: bytes) -> None:
        """Hand over bytes to be sent as soon as possible, in order; ``Line.drained`` is called when all are gone."""

    def progress() -> object:
        """Something that changes whenever queued bytes leave."""

    def close_with(code: int, reason: str) -> None:
        """Queue a close frame; the connection is aborted a second later."""


class Line:
    """What one client is sent. *Clean* (in its cohort's loop): nothing is queued anywhere. Else messages are conflated
    until the wire has drained."""

    def __init__(self, fanout: Fanout, link: ILink, framer: Framer) -> None:
        self.link = link
        self.framer = framer
        self.send: Send = link.send
        self.cohort: Cohort | None = None
        self.backlog = Backlog(fanout.hub, fanout.traffic, fanout.buffer_limit, framer.build)
        self.blocked = False
        self.blocked_at = 0.0
        self._fanout = fanout
        self._open = True
        self._progress: object = None
        self._progress_at = 0.0

    @property
    def clean(self) -> bool:
        return not self.blocked and not self.backlog

    def say(self, body: bytes) -> None:
        """Send the answer to a request, in order."""
        frame = self.framer.build(body)
        if self.clean:
            self._write(frame)
        else:
            self.backlog.answer(frame)

    def introduce(self, feeds: Iterable[Feed]) -> None:
        """Send status and present value of each, as far as the client takes them;
        the others follow when there is room."""
        if self.cohort is not None:
            self.cohort.sync(self)
        self.backlog.introduce(feeds)
        self._pump()

    def control(self, frame: bytes) -> None:
        """Send a protocol frame (ping, pong, close): as early as possible."""
        if self.blocked:
            self.link.queue(frame)
        else:
            self._write(frame)

    def follow(self, feeds: Iterable[Feed]) -> None:
        """The client's feeds from now on."""
        self.backlog.follow(feeds)

    def catch_up(self, messages: Sequence[Message | Batch]) -> None:
        """Take what the cohort's loop did not send to this client."""
        if not self.clean:
            self.take(messages)
        elif messages:
            self._fanout.traffic.delivered(messages, 1)
            self._write(b"".join(self.framer.frames(messages)))
        if self.clean and self.cohort is not None:
            self.cohort.promote(self)

    def take(self, messages: Iterable[Message | Batch]) -> None:
        """Conflate messages that cannot be sent now."""
        for message in messages:
            self.backlog.take(message)

    def block(self, data: bytes, sent: int) -> None:
        """The wire took only ``sent`` of the bytes (-1: all, but wants no more)."""
        self.blocked = True
        self.blocked_at = self._progress_at = self._fanout.clock.monotonic()
        if sent >= 0:
            self.link.queue(data[sent:])
        self._progress = self.link.progress()
        if self._open:
            self._fanout.watch(self)

    def paused(self) -> None:
        """The transport is full, for reasons of its own."""
        if not self.blocked:
            self.block(b"", -1)
            if self.cohort is not None:
                self.cohort.hold_back(self)

    def drained(self) -> None:
        """All that was queued on the wire is gone."""
        if not self.blocked:
            return
        self.blocked = False
        self._fanout.unwatch(self)
        if not self._open:
            return
        if self.backlog.overflow:
            self.link.close_with(TOO_SLOW, "too slow")
            return
        if self.cohort is not None:
            self.cohort.sync(self)
        self._pump()
        if self.clean and self.cohort is not None:
            self.cohort.promote(self)

    def stalled(self, now: float, timeout: float) -> bool:
        """Whether the client has read nothing for so long."""
        progress = self.link.progress()
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
        return now - self._progress_at >= timeout

    def close(self) -> None:
        """The client leaves: nothing more is sent to it but what is queued on the wire."""
        self._open = False
        self._fanout.unwatch(self)
        cohort, self.cohort = self.cohort, None
        if cohort is not None:
            self._fanout.leave(self, cohort)
        self.backlog.clear()

    def _pump(self) -> None:
        backlog = self.backlog
        while not self.blocked and backlog:
            frames: list[bytes] = []
            size = 0
            while backlog and size < SLICE:
                frames.append(backlog.pop())
                size += len(frames[-1])
            if size:
                self._write(b"".join(frames))

    def _write(self, data: bytes) -> None:
        try:
            sent = self.send(data)
        except OSError:
            sent = 0
        self._fanout.traffic.sent_bytes.values[()] += len(data)
        if sent != len(data):
            self.block(data, sent)
            if self.cohort is not None:
                self.cohort.hold_back(self)

"""One client's way out: straight onto its socket while that takes everything, through a conflating
queue while it does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from zope.interface import Attribute, Interface

from cryptodash.api.fanout.cohort import Cohort
from cryptodash.api.fanout.cohort_member import Send
from cryptodash.api.fanout.conflation import ConflationQueue
from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.fanout.framer import Framer
from cryptodash.api.fanout.slow_clients import SlowClients
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import Batch, Message

TOO_SLOW: Final = 1013
OUR_ERROR: Final = 1011
SLICE: Final = 64 * 1024
"""Bytes of the queue written at once: what a slow client has queued on its transport at most."""


class IWire(Interface):
    """The wire below a writer."""

    send: Send = Attribute(
        "put bytes on the wire: how many it took (the rest goes to ``queue``), "
        "-1 if it took all but wants no more now; may raise OSError"
    )

    def queue(data: bytes) -> None:
        """Hand over bytes to be sent as soon as possible, in order; ``ClientWriter.drained`` is called when
        all are gone."""

    def progress() -> object:
        """Something that changes whenever queued bytes leave."""

    def close_with(code: int, reason: str) -> None:
        """Queue a close frame; the connection is aborted a second later."""


class ClientWriter:
    """What one client is sent. *Clean* (in its cohort's loop): nothing is queued anywhere. Else messages are conflated
    until the wire has drained."""

    def __init__(
        self,
        wire: IWire,
        framer: Framer,
        unsent: ConflationQueue,
        traffic: Traffic,
        clock: Clock,
        slow_clients: SlowClients,
    ) -> None:
        self.wire = wire
        self.framer = framer
        self.send: Send = wire.send
        self.cohort: Cohort | None = None
        self.unsent = unsent
        self.blocked = False
        self.blocked_at = 0.0
        self._traffic = traffic
        self._clock = clock
        self._slow_clients = slow_clients
        self._open = True
        self._progress: object = None
        self._progress_at = 0.0

    @property
    def clean(self) -> bool:
        return not self.blocked and not self.unsent

    def send_answer(self, body: bytes) -> None:
        """Send the answer to a request, in order."""
        frame = self.framer.build(body)
        if self.clean:
            self._write(frame)
        else:
            self.unsent.add_answer(frame)

    def send_current(self, deliveries: Iterable[Delivery]) -> None:
        """Send status and present value of each, as far as the client takes them;
        the others follow when there is room."""
        if self.cohort is not None:
            self.cohort.sync(self)
        self.unsent.add_current(deliveries)
        self._pump()

    def send_control(self, frame: bytes) -> None:
        """Send a protocol frame (ping, pong, close): as early as possible."""
        if self.blocked:
            self.wire.queue(frame)
        else:
            self._write(frame)

    def follow(self, deliveries: Iterable[Delivery]) -> None:
        """The client's deliveries from now on."""
        self.unsent.follow(deliveries)

    def catch_up(self, messages: Sequence[Message | Batch]) -> None:
        """Take what the cohort's loop did not send to this client."""
        if not self.clean:
            self.conflate(messages)
        elif messages:
            self._traffic.delivered(messages, 1)
            self._write(b"".join(self.framer.frames(messages)))
        if self.clean and self.cohort is not None:
            self.cohort.promote(self)

    def conflate(self, messages: Iterable[Message | Batch]) -> None:
        """Conflate messages that cannot be sent now."""
        for message in messages:
            self.unsent.take(message)

    def block(self, data: bytes, sent: int) -> None:
        """The wire took only ``sent`` of the bytes (-1: all, but wants no more)."""
        self.blocked = True
        self.blocked_at = self._progress_at = self._clock.monotonic()
        if sent >= 0:
            self.wire.queue(data[sent:])
        self._progress = self.wire.progress()
        if self._open:
            self._slow_clients.watch(self)

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
        self._slow_clients.unwatch(self)
        if not self._open:
            return
        if self.unsent.overflow:
            self.close_too_slow()
            return
        if self.cohort is not None:
            self.cohort.sync(self)
        self._pump()
        if self.clean and self.cohort is not None:
            self.cohort.promote(self)

    def stalled(self, now: float, timeout: float) -> bool:
        """Whether the client has read nothing for so long."""
        progress = self.wire.progress()
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
        return now - self._progress_at >= timeout

    def close(self) -> None:
        """The client has left its cohort: nothing more is sent to it but what is queued on the wire."""
        self._open = False
        self._slow_clients.unwatch(self)
        self.unsent.clear()

    @property
    def queued_bytes(self) -> int:
        return self.unsent.bytes

    @property
    def overflowed(self) -> bool:
        return self.unsent.overflow

    def close_too_slow(self) -> None:
        """Say goodbye to a client that does not keep up."""
        self.wire.close_with(TOO_SLOW, "too slow")

    def failed(self) -> None:
        """Say goodbye to a client that missed something by a fault of ours."""
        self.wire.close_with(OUR_ERROR, "internal error")

    def _pump(self) -> None:
        unsent = self.unsent
        while not self.blocked and unsent:
            frames: list[bytes] = []
            size = 0
            while unsent and size < SLICE:
                frames.append(unsent.pop())
                size += len(frames[-1])
            if size:
                self._write(b"".join(frames))

    def _write(self, data: bytes) -> None:
        try:
            sent = self.send(data)
        except OSError:
            sent = 0
        self._traffic.sent_bytes.values[()] += len(data)
        if sent != len(data):
            self.block(data, sent)
            if self.cohort is not None:
                self.cohort.hold_back(self)

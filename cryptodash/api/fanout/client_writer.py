"""One client's way out: straight onto its socket while that takes everything, through a conflating
queue while it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from zope.interface import Attribute, Interface

from cryptodash.api.fanout.cohort import Cohort
from cryptodash.api.fanout.cohort_member import Send
from cryptodash.api.fanout.conflation import ConflationQueue
from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.fanout.framer import AHEAD, Framer, queued
from cryptodash.api.fanout.read_progress import Queued, ReadProgress, next_slice
from cryptodash.api.fanout.slow_clients import SlowClients
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.api.slices import SLICE_S, Slices
from cryptodash.core.cursors import Cursor
from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import Batch, Message

TOO_SLOW: Final = 1013
OUR_ERROR: Final = 1011
NOTHING_BEFORE: Final[Mapping[Delivery, Cursor]] = {}
STEP_S: Final = 0.00025
"""Seconds after which a step of writing the queue ends. Values are encoded when they are due: a candle takes 25 us."""


class IWire(Interface):
    """The wire below a writer."""

    send: Send = Attribute(
        "put bytes on the wire: how many it took (the rest goes to ``queue``), "
        "-1 if it took all but wants no more now; may raise OSError"
    )

    def queue(data: bytes) -> None:
        """Hand over bytes to be sent as soon as possible, in order; ``ClientWriter.drained`` is called when
        all are gone."""

    def queued() -> Queued:
        """Bytes that have not reached the peer."""

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
        slices: Slices,
        slow_clients: SlowClients,
    ) -> None:
        self.wire = wire
        self.framer = framer
        self.send: Send = wire.send
        self.cohort: Cohort | None = None
        self.unsent = unsent
        self.blocked = False
        self._traffic = traffic
        self._clock = clock
        self._slices = slices
        self._slow_clients = slow_clients
        self.charge: Callable[[int], None] | None = None
        """Told how many bytes the statuses and present values took that were due."""
        self._open = True
        self._on_clean: Callable[[], object] | None = None
        self._catching_up = False
        self._progress = ReadProgress()
        self._slice = AHEAD
        self._made: list[bytes] = []
        """Frames of the queue that ``send_current`` has made and not written yet: they go before all others."""
        self._made_bytes = 0
        self._blocked_at = 0.0
        self._blocked_with = 0

    @property
    def clean(self) -> bool:
        return not self.blocked and not self.unsent and not self._made

    def send_answer(self, body: bytes) -> None:
        """Send the answer to a request, in order: what was told before it comes before it."""
        if self.cohort is not None:
            self.cohort.sync(self)
        frame = self.framer.build(body)
        if self.clean:
            self._write([frame])
        else:
            self.unsent.add_answer(frame)

    def send_current(
        self, deliveries: Iterable[Delivery], since: Mapping[Delivery, Cursor] = NOTHING_BEFORE
    ) -> Steps[None]:
        """Send status and present value of each, of those with a cursor in ``since`` what came after it, step by step
        as far as the client takes them; the others follow when there is room."""
        if self.cohort is not None:
            self.cohort.sync(self)
        self.unsent.add_current(deliveries, since)
        yield from self._pump()

    def send_rest(self, frames: Sequence[bytes]) -> int:
        """Send what may wait for everything else; returns how many of the frames are on their way. The others come
        again ``when_clean``."""
        if self.cohort is not None:
            self.cohort.sync(self)
        return self._write(frames) if self.clean and self._open else 0

    def when_clean(self, call: Callable[[], object]) -> None:
        """Call it once when nothing is queued anywhere, which is not the case now."""
        self._on_clean = call

    def send_control(self, frame: bytes) -> None:
        """Send a protocol frame (ping, pong, close): as early as possible."""
        if self.blocked:
            self.wire.queue(frame)
        else:
            self._write([frame])

    def follow(self, deliveries: Iterable[Delivery]) -> None:
        """The client's deliveries from now on."""
        self.unsent.follow(deliveries)

    def catch_up(self, messages: Sequence[Message | Batch]) -> None:
        """Take what the cohort's loop did not send to this client."""
        written = 0
        if self.clean and messages:
            written = self._write(self.framer.frames(messages))
            self._traffic.delivered(messages[:written], 1)
        self.conflate(messages[written:])
        if self.clean and self.cohort is not None:
            self.cohort.promote(self)

    def conflate(self, messages: Iterable[Message | Batch]) -> None:
        """Conflate messages that cannot be sent now."""
        for message in messages:
            self.unsent.take(message)

    def block(self, data: bytes, sent: int) -> None:
        """The wire took only ``sent`` of the bytes (-1: all, but wants no more)."""
        self.blocked = True
        if sent >= 0:
            self.wire.queue(data[sent:])
        self._blocked_at, queued = self._clock.monotonic(), self.wire.queued()
        self._blocked_with = queued.in_transport
        self._progress.begin(queued, self._blocked_at)
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
        now = self._clock.monotonic()
        self._progress.drained(now)
        self._slice = next_slice(self._slice, self._blocked_with, now - self._blocked_at)
        self._slow_clients.unwatch(self)
        if not self._open:
            return
        if self.unsent.overflow:
            self.close_too_slow()
            return
        if self.cohort is not None:
            self.cohort.sync(self)
        if not self.blocked:  # what the cohort had for it came first
            self._write_some(SLICE_S)  # much at a time: so a small kernel buffer is never empty while something waits
        if self.clean and self.cohort is not None:
            self.cohort.promote(self)
        elif self.unsent and not self.blocked and not self._catching_up:
            self._catching_up = True
            self._slices.run(self._catch_up())
        self._tell_if_clean()

    def _tell_if_clean(self) -> None:
        if self._on_clean is not None and self.clean:
            call, self._on_clean = self._on_clean, None
            call()

    def stalled(self, now: float, timeout: float) -> bool:
        """Whether the client, which cannot be written to, has read nothing for so long."""
        self._progress.look(self.wire.queued(), now)
        return now - self._progress.at >= timeout

    def is_reading(self, timeout: float) -> bool:
        """Whether the client was behind within the last ``timeout`` seconds, and read something."""
        now = self._clock.monotonic()
        if self.blocked:
            self._progress.look(self.wire.queued(), now)
        return now - self._progress.read_at < timeout

    def close(self) -> None:
        """The client has left its cohort: nothing more is sent to it but what is queued on the wire."""
        self._open = False
        self._on_clean = None
        self._slow_clients.unwatch(self)
        self.unsent.clear()
        self._made, self._made_bytes = [], 0

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

    def _catch_up(self) -> Steps[None]:
        """What is left when a drained wire has taken the first part. What may be unsubscribed meanwhile must not lie
        about: each step writes."""
        try:
            while self.unsent and not self.blocked:
                self._write_some(STEP_S)
                yield from self._pause()
        finally:
            self._catching_up = False
        self._caught_up()

    def _pump(self) -> Steps[None]:
        """Write what waits as long as the wire takes it, a slice at a time although a step makes less: small writes
        are dear, and a peer with a small buffer does not open its window for them. Nothing is unsubscribed before the
        last step."""
        while self.unsent and not self.blocked:
            self._make_some(STEP_S)
            if self._made_bytes >= self._slice:
                self._write_made()
            yield from self._pause()
        if not self.blocked:
            self._write_made()
        self._caught_up()

    def _pause(self) -> Steps[None]:
        """Between two steps the client is out of its cohort's loop."""
        if self.unsent and not self.blocked:
            if self.cohort is not None:
                self.cohort.hold_back(self)
            yield
            if self.cohort is not None and self._open:
                self.cohort.sync(self)  # present values, of which more are due, contain what came meanwhile

    def _caught_up(self) -> None:
        if self.unsent.overflow and not self.blocked and self._open:
            self.close_too_slow()
        elif self.clean and self.cohort is not None:
            self.cohort.promote(self)
        self._tell_if_clean()

    def _write_some(self, seconds: float) -> None:
        """Write as much as can be made in so many seconds, at least something."""
        self._make_some(seconds)
        self._write_made()

    def _make_some(self, seconds: float) -> None:
        """Make next frames, until there is a slice of them or so many seconds have gone."""
        unsent = self.unsent
        until = self._clock.monotonic() + seconds
        while unsent and self._made_bytes < self._slice:
            self._made.append(unsent.pop())
            self._made_bytes += len(self._made[-1])
            if self._clock.monotonic() >= until:
                break
        if unsent.current_bytes and self.charge is not None:
            self.charge(unsent.current_bytes)
        unsent.current_bytes = 0

    def _write_made(self) -> None:
        data = b"".join(self._made)
        self._made, self._made_bytes = [], 0
        if data:
            self._write([data])

    def _write(self, frames: Sequence[bytes]) -> int:
        """Returns how many of them are on their way."""
        data = b"".join(frames)
        try:
            sent = self.send(data)
        except OSError:
            sent = 0
        count, size = len(frames), len(data)
        if 0 <= sent < size:
            count, size = queued(frames, sent)
        self._traffic.sent_bytes.count += size
        if sent != len(data):
            self.block(data[:size], sent)
            if self.cohort is not None:
                self.cohort.hold_back(self)
        return count

"""One upstream stream: the states it can be in, and what moves it from one to another.

A plain transition table, and not Automat: every signal is legal in every state (a venue owes us no order), the state is
read on the hot path (``stream.phase is Phase.LIVE``), and a test walks the whole table. Per frame a stream only notes
``last`` and ``frames``; the beat, twice a second, does the rest.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from cryptodash.core.events import Cause
from cryptodash.exchanges.adapter.messages import BadFrame, Message, Reader
from cryptodash.exchanges.adapter.venue import Part, StreamSpec
from cryptodash.exchanges.connections.commands import Output

if TYPE_CHECKING:
    from cryptodash.exchanges.connections.connection import Connection
    from cryptodash.exchanges.connections.stream_group import StreamGroup

Feed = Callable[[Message, float, int, list[Output]], None]
"""Takes one message of a stream at a monotonic time, which came at a time of our wall clock (ms); appends what follows
from it."""
Listener = Callable[[list[Output]], None]
"""Told that the stream's phase or cause changed."""

RESUBSCRIBE_EVERY = 600.0
LEARNED_FRAMES = 20
LEARNED_SECONDS = 5.0
MEMORY = 30.0
"""Seconds over which the pace is averaged."""
USUAL = 4.0
STRANGE = 8.0
"""Multiples of the mean interval: longer than 4 is quiet, longer than 8 (at a learned pace
faster than 1/s) is a miss."""
PROMISES = 2.0
"""A venue is late when this many promised intervals have passed."""
PROOF_WAIT = 30.0
"""How long an acked stream without a promise may send nothing before it is subscribed anew,
or taken as merely quiet."""
FIRST_WAIT = 10.0
"""The same for a stream with a promised pace."""


class Phase(enum.Enum):
    """How far a stream has come."""

    WAITING = "waiting"  # for a connection, or for the ack
    ACKED = "acked"  # subscribed, no frame yet on this connection
    LIVE = "live"
    QUIET = "quiet"
    SILENT = "silent"  # frames are missing, and that is certain
    REJECTED = "rejected"


class Signal(enum.Enum):
    """What can happen to a stream."""

    ACK = "ack"
    FRAME = "frame"
    LULL = "lull"  # no frame for longer than usual, nothing contradicts
    SILENCE = "silence"  # no frame although there must have been one
    LOST = "lost"  # its connection ended
    REFUSAL = "refusal"
    RETRY = "retry"  # give a rejected stream another chance


TRANSITIONS: dict[tuple[Phase, Signal], Phase] = {
    (Phase.WAITING, Signal.ACK): Phase.ACKED,
    (Phase.WAITING, Signal.FRAME): Phase.LIVE,  # data before the ack is data
    (Phase.WAITING, Signal.REFUSAL): Phase.REJECTED,
    (Phase.ACKED, Signal.FRAME): Phase.LIVE,
    (Phase.ACKED, Signal.LULL): Phase.QUIET,
    (Phase.ACKED, Signal.SILENCE): Phase.SILENT,
    (Phase.ACKED, Signal.LOST): Phase.WAITING,
    (Phase.ACKED, Signal.REFUSAL): Phase.REJECTED,
    (Phase.LIVE, Signal.LULL): Phase.QUIET,
    (Phase.LIVE, Signal.SILENCE): Phase.SILENT,
    (Phase.LIVE, Signal.LOST): Phase.WAITING,
    (Phase.LIVE, Signal.REFUSAL): Phase.REJECTED,
    (Phase.QUIET, Signal.FRAME): Phase.LIVE,
    (Phase.QUIET, Signal.SILENCE): Phase.SILENT,
    (Phase.QUIET, Signal.LOST): Phase.WAITING,
    (Phase.QUIET, Signal.REFUSAL): Phase.REJECTED,
    (Phase.SILENT, Signal.FRAME): Phase.LIVE,
    (Phase.SILENT, Signal.LOST): Phase.WAITING,
    (Phase.SILENT, Signal.REFUSAL): Phase.REJECTED,
    (Phase.REJECTED, Signal.RETRY): Phase.WAITING,
}
"""Every pair that is not listed leaves the phase as it is."""


def _unread(stream: str, frame: bytes) -> Sequence[Message]:
    raise BadFrame("unknown", f"{stream} has no frames of its own")


class Stream:
    """One upstream stream, or one poll that stands in for a stream. It has no topic: ``feeds`` and ``listeners`` do."""

    def __init__(self, spec: StreamSpec, now: float) -> None:
        self.name = spec.name
        self.endpoint = spec.endpoint
        self.parts = spec.parts
        self.promise = spec.promise
        self.read: Reader = _unread
        """How its frames are read; the venue's, once the stream has a place on a line."""
        self.phase = Phase.WAITING
        self.since = now
        """When the phase began."""
        self.last: float | None = None
        self.frames = 0
        self.rate = 0.0
        """Frames per second, learned."""
        self.cause: Cause | None = None
        """Why it waits, where that is more than a connection being opened."""
        self.feeds: tuple[Feed, ...] = ()
        self.listeners: tuple[Listener, ...] = ()
        self.owners: set[object] = set()
        """Who needs the stream; the last one's leaving ends it."""
        self.line: StreamGroup | None = None
        self.source: Connection | None = None
        """The connection whose frames count; while one connection takes over from another there are two."""
        self.resubscribed = float("-inf")
        self._counted = 0
        self._counted_at = now
        self._learning = 0.0

    def signal(self, signal: Signal, now: float, out: list[Output]) -> None:
        """Something happened; listeners hear of it if the phase changes."""
        if self._moves(signal, now):
            self.tell(out)

    def _moves(self, signal: Signal, now: float) -> bool:
        phase = TRANSITIONS.get((self.phase, signal))
        if phase is None or phase is self.phase:
            return False
        if self.phase is Phase.WAITING:
            self._counted, self._counted_at = self.frames, now  # the pace is that of a subscribed stream
        if phase is Phase.LIVE or phase is Phase.QUIET:
            self.cause = None
        self.phase = phase
        self.since = now
        return True

    def deliver(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        """Take one message that counts, and tell if it makes the stream live (again)."""
        if self.take(message, now, received, out):
            self.tell(out)

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        """The same without telling; whether there is something to tell. (The engine's hot path does this in place while
        the stream is live.)

        That all is well again is told after the values that make it so:
        what was shown before must not be called live for a moment.
        """
        self.last = now
        self.frames += 1
        moved = self.phase is not Phase.LIVE and self._moves(Signal.FRAME, now)
        for feed in self.feeds:
            feed(message, now, received, out)
        return moved

    def lost(self, cause: Cause, now: float) -> bool:
        """Its connection ended; whether that is news. The caller tells, once for all streams
        that were lost together."""
        blamed = self.blame(cause)
        self.source = None
        return self._moves(Signal.LOST, now) or blamed

    def blame(self, cause: Cause | None) -> bool:
        """Note why the stream waits; whether that is news. The caller tells."""
        changed = cause is not self.cause
        self.cause = cause
        return changed

    def tell(self, out: list[Output]) -> None:
        """Let the listeners look again."""
        for listener in self.listeners:
            listener(out)

    @staticmethod
    def tell_all(streams: Iterable[Stream], out: list[Output]) -> None:
        """Let the listeners of all these look again, each once."""
        for listener in dict.fromkeys(listener for each in streams for listener in each.listeners):
            listener(out)

    @property
    def is_paced(self) -> bool:
        """Whether the venue promises a pace, or one faster than 1/s has been learned."""
        return self.promise is not None or (self._has_learned and self.rate > 1.0)

    @property
    def _has_learned(self) -> bool:
        return self.frames >= LEARNED_FRAMES and self._learning >= LEARNED_SECONDS

    def beat(self, now: float, stale_after: float, proven: bool) -> bool:
        """Twice a second: learn the pace, and notice a frame that should have come.
        Whether the phase changed; the caller tells.

        ``proven``: this kind of stream has delivered on its endpoint, so an ack means that it is subscribed.
        """
        if self.frames != self._counted:
            self._learn(now)
        signal = None
        if self.phase is Phase.LIVE or self.phase is Phase.QUIET:
            if self.last is not None and now - self.last > stale_after:
                signal = self._judge(now - self.last)
        elif self.phase is Phase.ACKED:
            signal = self._judge_first(now - self.since, stale_after, proven)
        return signal is not None and self._moves(signal, now)

    def _learn(self, now: float) -> None:
        """Average the pace. A silence enters with the frame that ends it, so that it is measured
        against the pace before it."""
        elapsed = now - self._counted_at
        if elapsed <= 0.0:
            return
        self._learning = min(self._learning + elapsed, MEMORY)
        weight = min(elapsed / self._learning, 1.0)
        self.rate += weight * ((self.frames - self._counted) / elapsed - self.rate)
        self._counted, self._counted_at = self.frames, now

    def _judge(self, silence: float) -> Signal | None:
        """What so many seconds without a frame mean."""
        if self.promise is not None:
            return Signal.SILENCE if silence > PROMISES * self.promise else None
        usual = 1.0 / self.rate if self._has_learned and self.rate > 0.0 else 0.0
        if 0.0 < usual < 1.0 and silence > STRANGE * usual:
            return Signal.SILENCE
        return Signal.LULL if silence > USUAL * usual else None

    def _judge_first(self, waited: float, stale_after: float, proven: bool) -> Signal | None:
        """What so many seconds between the ack and the first frame mean."""
        if self.promise is not None:
            return Signal.SILENCE if waited > max(FIRST_WAIT, PROMISES * self.promise) else None
        if Part.TRADES in self.parts and proven and waited > (PROOF_WAIT if self.last is None else stale_after):
            # no trade is no news; for every other kind only a frame shows that the value still holds
            return Signal.LULL
        return None

    def needs_resubscribing(self, now: float) -> bool:
        """Whether to subscribe anew: silent for certain, or acked and never a frame; at most once per ten minutes."""
        if now - self.resubscribed < RESUBSCRIBE_EVERY:
            return False
        if self.phase is Phase.SILENT:
            return True
        return self.phase is Phase.ACKED and now - self.since > (FIRST_WAIT if self.promise is not None else PROOF_WAIT)

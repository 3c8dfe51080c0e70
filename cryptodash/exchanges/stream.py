"""One upstream stream: the states it can be in, and what moves it from one to another.

A plain transition table, and not Automat: every signal is legal in every state (a venue owes us no order), the state is read on the hot path
(``stream.phase is Phase.LIVE``), and a test walks the whole table. Per frame a stream only notes ``last`` and ``frames``; the beat, twice a
second, does the rest.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from cryptodash.core.events import Cause
from cryptodash.exchanges.interfaces import Part, StreamSpec
from cryptodash.exchanges.messages import Message
from cryptodash.exchanges.outputs import Output

if TYPE_CHECKING:
    from cryptodash.exchanges.connection import Connection
    from cryptodash.exchanges.line import Line

Feed = Callable[[Message, float, list[Output]], None]
"""Takes one message of a stream at a monotonic time; appends what follows from it."""
Listener = Callable[[list[Output]], None]
"""Told that the stream's phase or cause changed."""

RESUBSCRIBE_EVERY = 600.0
LEARNED_FRAMES = 20
LEARNED_SECONDS = 5.0
MEMORY = 30.0
"""Seconds over which the pace is averaged."""
USUAL = 4.0
STRANGE = 8.0
"""Multiples of the mean interval: longer than 4 is quiet, longer than 8 (at a learned pace faster than 1/s) is a miss."""
PROMISES = 2.0
"""A venue is late when this many promised intervals have passed."""
PROOF_WAIT = 30.0
"""How long an acked stream without a promise may send nothing before it is subscribed anew, or taken as merely quiet."""
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


class Stream:
    """One upstream stream, or one poll that stands in for a stream. It has no topic: ``feeds`` and ``listeners`` do."""

    def __init__(self, spec: StreamSpec, now: float) -> None:
        self.name = spec.name
        self.endpoint = spec.endpoint
        self.parts = spec.parts
        self.promise = spec.promise
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
        self.line: Line | None = None
        self.source: Connection | None = None
        """The connection whose frames count; while one connection takes over from another there are two."""
        self.resubscribed = float("-inf")
        self._counted = 0
        self._counted_at = now
        self._learning = 0.0

    def signal(self, signal: Signal, now: float, out: list[Output]) -> None:
        """Something happened; listeners hear of it if the phase changes."""
        phase = TRANSITIONS.get((self.phase, signal))
        if phase is None or phase is self.phase:
            return
        if self.phase is Phase.WAITING:
            self._counted, self._counted_at = self.frames, now  # the pace is that of a subscribed stream
        self.phase = phase
        self.since = now
        self.tell(out)

    def deliver(self, message: Message, now: float, out: list[Output]) -> None:
        """Take one message that counts. (The engine's hot path does the same in place.)"""
        self.last = now
        self.frames += 1
        if self.phase is not Phase.LIVE:
            self.signal(Signal.FRAME, now, out)
        for feed in self.feeds:
            feed(message, now, out)

    def lost(self, cause: Cause, now: float, out: list[Output]) -> None:
        """Its connection ended."""
        changed = cause is not self.cause and self.phase is Phase.WAITING
        self.cause = cause
        self.source = None
        self.signal(Signal.LOST, now, out)
        if changed:
            self.tell(out)

    def blame(self, cause: Cause | None, out: list[Output]) -> None:
        """Say why the stream waits."""
        if cause is not self.cause:
            self.cause = cause
            self.tell(out)

    def tell(self, out: list[Output]) -> None:
        """Let the listeners look again."""
        for listener in self.listeners:
            listener(out)

    @property
    def is_paced(self) -> bool:
        """Whether the venue promises a pace, or one faster than 1/s has been learned."""
        return self.promise is not None or (self._has_learned and self.rate > 1.0)

    @property
    def _has_learned(self) -> bool:
        return self.frames >= LEARNED_FRAMES and self._learning >= LEARNED_SECONDS

    def beat(self, now: float, stale_after: float, proven: bool, out: list[Output]) -> None:
        """Twice a second: learn the pace, and notice a frame that should have come.

        ``proven``: this kind of stream has delivered on its endpoint, so an ack means that it is subscribed.
        """
        if self.frames != self._counted:
            self._learn(now)
        if self.phase is Phase.LIVE or self.phase is Phase.QUIET:
            if self.last is not None:
                self._judge(now - self.last, now, stale_after, out)
        elif self.phase is Phase.ACKED:
            if self.promise is not None and now - self.since > max(FIRST_WAIT, PROMISES * self.promise):
                self.signal(Signal.SILENCE, now, out)
            elif Part.TRADES in self.parts and proven and now - self.since > (PROOF_WAIT if self.last is None else stale_after):
                self.signal(Signal.LULL, now, out)  # no trade is no news; for every other kind only a frame shows that the value still holds

    def _learn(self, now: float) -> None:
        """Average the pace. A silence enters with the frame that ends it, so that it is measured against the pace before it."""
        elapsed = now - self._counted_at
        if elapsed <= 0.0:
            return
        self._learning = min(self._learning + elapsed, MEMORY)
        weight = min(elapsed / self._learning, 1.0)
        self.rate += weight * ((self.frames - self._counted) / elapsed - self.rate)
        self._counted, self._counted_at = self.frames, now

    def _judge(self, silence: float, now: float, stale_after: float, out: list[Output]) -> None:
        if silence <= stale_after:
            return
        if self.promise is not None:
            if silence > PROMISES * self.promise:
                self.signal(Signal.SILENCE, now, out)
            return
        usual = 1.0 / self.rate if self._has_learned and self.rate > 0.0 else 0.0
        if 0.0 < usual < 1.0 and silence > STRANGE * usual:
            self.signal(Signal.SILENCE, now, out)
        elif silence > USUAL * usual:
            self.signal(Signal.LULL, now, out)

    def needs_resubscribing(self, now: float) -> bool:
        """Whether to subscribe anew: silent for certain, or acked and never a frame; at most once per ten minutes."""
        if now - self.resubscribed < RESUBSCRIBE_EVERY:
            return False
        if self.phase is Phase.SILENT:
            return True
        return self.phase is Phase.ACKED and now - self.since > (FIRST_WAIT if self.promise is not None else PROOF_WAIT)

"""What a missing frame means: the pace of a stream, promised or learned, and the judgement of a silence."""

from __future__ import annotations

from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.connections.stream_phase import Signal

LEARNED_FRAMES = 20
LEARNED_SECONDS = 5.0
MEMORY = 30.0
"""Seconds over which the pace is averaged."""
USUAL = 4.0
STRANGE = 8.0
"""Multiples of the mean interval: longer than 4 is quiet, longer than 8 (at a learned pace faster than 1/s) is a
miss."""
PROMISES = 2.0
"""A venue is late when this many promised intervals have passed."""
PROOF_WAIT = 30.0
"""How long an acked stream without a promise may send nothing before it is subscribed anew, or taken as merely
quiet."""
FIRST_WAIT = 10.0
"""The same for a stream with a promised pace."""


class Pace:
    """How often a stream's frames come. ``promise``: the venue sends one in so many seconds at least (None: no
    promise). ``in_bursts``: nothing can be learned of it, for what it tells is rare and comes at once; that it is
    silent is no news from the beginning on. ``keeps_hours``: what has been learned makes no silence a miss, for its
    market goes quiet when that of its underlying closes."""

    def __init__(
        self, promise: float | None, now: float, *, in_bursts: bool = False, keeps_hours: bool = False
    ) -> None:
        self.promise = promise
        self._keeps_hours = keeps_hours
        self._in_bursts = in_bursts
        self.rate = 0.0
        """Frames per second, averaged; 0 until some have been counted."""
        self._counted = 0
        self._counted_at = now
        self._learning = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the venue promises a pace, or one faster than 1/s has been learned."""
        return self.promise is not None or (self._has_learned and self.rate > 1.0 and not self._keeps_hours)

    @property
    def first_wait(self) -> float:
        """Seconds after which an acked stream that never sent anything is subscribed anew."""
        return FIRST_WAIT if self.promise is not None else PROOF_WAIT

    @property
    def _has_learned(self) -> bool:
        return not self._in_bursts and self._counted >= LEARNED_FRAMES and self._learning >= LEARNED_SECONDS

    def begin(self, frames: int, now: float) -> None:
        """The stream is subscribed from now on, after so many frames: its pace is that of a subscribed stream."""
        self._counted, self._counted_at = frames, now

    def learn(self, frames: int, now: float) -> None:
        """Average in what has come. A silence enters with the frame that ends it, so that it is measured against the
        pace before it."""
        elapsed = now - self._counted_at
        if frames == self._counted or elapsed <= 0.0:
            return
        self._learning = min(self._learning + elapsed, MEMORY)
        weight = min(elapsed / self._learning, 1.0)
        self.rate += weight * ((frames - self._counted) / elapsed - self.rate)
        self._counted, self._counted_at = frames, now

    @property
    def longest(self) -> float:
        """Seconds without a frame that are silence, infinite where nothing tells. A promise bounds them; a learned pace
        that is faster tells sooner."""
        promised = float("inf") if self.promise is None else PROMISES * self.promise
        if self._keeps_hours:
            return promised
        return min(promised, STRANGE * self._usual if 0.0 < self._usual < 1.0 else float("inf"))

    @property
    def _usual(self) -> float:
        """Mean seconds between two frames; 0 where not known."""
        return 1.0 / self.rate if self._has_learned and self.rate > 0.0 else 0.0

    def judge(self, silence: float) -> Signal | None:
        """What so many seconds without a frame mean."""
        if silence > self.longest:
            return Signal.SILENCE
        return Signal.LULL if self.promise is None and silence > USUAL * self._usual else None

    def judge_first(
        self, waited: float, parts: frozenset[Part], *, proven: bool, heard_before: bool, stale_after: float
    ) -> Signal | None:
        """What so many seconds between the ack and the first frame mean.

        ``proven``: this kind of stream has delivered on its endpoint, so an ack means that it is subscribed.
        """
        if self._in_bursts:
            return Signal.LULL
        if self.promise is not None:
            return Signal.SILENCE if waited > max(FIRST_WAIT, PROMISES * self.promise) else None
        if Part.TRADES in parts and proven and waited > (stale_after if heard_before else PROOF_WAIT):
            return (
                Signal.LULL
            )  # no trade is no news; for every other kind only a frame shows that the value still holds
        return None

"""One upstream stream: its phase, its frames, and who takes them.

``subscriptions/streams.py`` makes and ends streams, ``StreamGroup`` says which connection carries one; both by the
methods here. Per frame a stream only notes ``last`` and ``frames``; ``beat``, twice a second, does the rest. A frame
that is dropped takes back what it seemed to confirm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol

from cryptodash.core.events import Cause
from cryptodash.core.quality import UNRECORDED, Count, StreamRecord
from cryptodash.exchanges.adapter.decode import NumberSearch, number_search
from cryptodash.exchanges.adapter.messages import BadFrame, Message, Reader, SendingTime
from cryptodash.exchanges.adapter.plan import Part, StreamSpec
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.dropped_frames import DroppedFrames
from cryptodash.exchanges.connections.findings import Findings
from cryptodash.exchanges.connections.silence import Pace
from cryptodash.exchanges.connections.stream_delay import StreamDelay
from cryptodash.exchanges.connections.stream_phase import TRANSITIONS, Phase, Signal

RESUBSCRIBE_EVERY = 600.0
AFTER_DROPPED = 0.001
"""Seconds after a dropped frame until another may be a sample of the delay."""

_QUOTES, _LIQUIDATIONS = frozenset({Part.QUOTE}), frozenset({Part.LIQUIDATIONS})

TakeMessage = Callable[[Message, float, int, list[Output]], bool | None]
"""Takes one message of a stream at a monotonic time, which came at a time of our wall clock (ms); appends what follows
from it. True: it dropped the message (an old id, a time from the future), which thus confirms nothing."""
StateChanged = Callable[[list[Output]], None]
"""Told that the stream's phase or cause changed."""


class Carrier(Protocol):
    """A connection, as a stream sees it."""

    key: str
    last: float
    """When it last gave a sign of life."""
    framed: float
    """When it last brought a frame of whatever stream, and that was read."""

    def resubscribe(self, name: str) -> None:
        """End the stream and begin it again."""

    def is_changing(self, name: str) -> bool:
        """Whether the venue has yet to end or to begin the stream: what comes may be of before or of after."""

    def is_ending(self, name: str) -> bool:
        """Whether what comes of the stream may be of before it is ended."""


class Consumer(Protocol):
    """Somebody who uses a stream."""

    @property
    def take(self) -> TakeMessage:
        """Who takes its messages."""

    @property
    def stream_changed(self) -> StateChanged:
        """Who hears of its state."""


def _unread(stream: str, frame: bytes) -> Sequence[Message]:
    raise BadFrame("unknown", f"{stream} has no frames of its own")


class Stream:
    """One upstream stream, or one poll that stands in for a stream. It has no topic: its consumers do.

    It has no more than 30 attributes: beyond that each access of the hot path costs a search (CPython 3.11).
    """

    def __init__(self, spec: StreamSpec, now: float, record: StreamRecord = UNRECORDED) -> None:
        self.spec = spec
        self.record = record
        """What the ledger keeps of it."""
        self.judge: object | None = None
        """Whoever alone says how far it can be trusted: the book that is made from it."""
        self.name = spec.name
        self.endpoint = spec.endpoint
        self.parts = spec.parts
        self.pace = Pace(spec.promise, now, in_bursts=spec.parts == _LIQUIDATIONS, keeps_hours=spec.keeps_hours)
        self.read: Reader = _unread
        """How its frames are read; the venue's, once the stream has a connection to come by."""
        self.sending_time: SendingTime | None = None
        """How its frames tell when they were sent, where they do."""
        self.sample_due = float("inf")
        """Monotonic time from which a sample of its delay is welcome: the hot path compares with it."""
        self.delay = StreamDelay()
        self.phase = Phase.WAITING
        self.since = now
        """When the phase began."""
        self.last: float | None = None
        """When a frame last came that was not dropped."""
        self.frames = 0
        self._dropped = DroppedFrames()
        self._findings = Findings(record)
        self.begun_anew = 0
        """How often it was ended and begun again on its connection."""
        self.interruptions = 0
        """How often frames of it may have been missed: as often as it was begun anew or lost its connection."""
        self.unreadable_at = float("-inf")
        """When a frame of it came that could not be read, or said that there is no price."""
        self.unreadable_frames = 0
        """How many of its frames held something that could not be read."""
        self.is_unanswered = False
        """Whether, rejected, it was given up without an answer: that may be the venue's trouble."""
        self.cause: Cause | None = None
        """Why it waits, where there is a reason."""
        self._as_of: float | None = None
        """What ``as_of`` was when the delay was last known, on this connection."""
        self.takers: tuple[TakeMessage, ...] = ()
        self.source: Carrier | None = None
        """The connection whose frames count; while one connection takes over from another there are two."""
        self._listeners: tuple[StateChanged, ...] = ()
        self._owners: set[Consumer] = set()
        self._resubscribed = float("-inf")
        self._silent_with_connection = False
        """Whether it is silent only because its connection is."""

    # -- who uses it

    @property
    def is_wanted(self) -> bool:
        """Whether anybody who keeps it alive is left."""
        return bool(self._owners)

    @property
    def conflated_by(self) -> NumberSearch | None:
        """Where a frame of it may be skipped for a later one with a larger number: what finds that number."""
        return number_search(self.spec.conflate_by) if self.spec.conflate_by and self.parts == _QUOTES else None

    def widen(self, spec: StreamSpec) -> None:
        """A further plan names the same stream, perhaps for more."""
        self.parts |= spec.parts
        if self.pace.promise is None:
            self.pace.promise = spec.promise

    def add(self, consumer: Consumer, *, owns: bool) -> None:
        """Somebody takes its messages from now on; an owner keeps it alive, too."""
        if owns:
            self._owners.add(consumer)
        if consumer.take not in self.takers:
            self.takers = (*self.takers, consumer.take)
            self._listeners = (*self._listeners, consumer.stream_changed)

    def remove(self, consumer: Consumer, *, owns: bool) -> None:
        """No more; one who only listened and owns it as well still hears it."""
        if owns:
            self._owners.discard(consumer)
        if consumer not in self._owners:
            self.takers = tuple(each for each in self.takers if each != consumer.take)
            self._listeners = tuple(each for each in self._listeners if each != consumer.stream_changed)

    # -- how it comes

    def placed(
        self, read: Reader, sending_time: SendingTime | None, source: Carrier | None, cause: Cause | None
    ) -> bool:
        """It has a connection to come by (``source``, None while that is not there); whether ``cause`` is news."""
        self.read, self.sending_time, self.source = read, sending_time, source
        self.sample_due = float("inf") if sending_time is None else 0.0
        return self.blame(cause)

    def unplaced(self) -> None:
        """It comes by no connection any more."""
        self.source = None

    def carried_by(self, source: Carrier | None) -> None:
        """From now on the frames of this connection count."""
        self.source = source

    @property
    def is_changing(self) -> bool:
        """Whether the connection that counts has yet to end it or to begin it."""
        return self.source is None or self.source.is_changing(self.name)

    @property
    def is_ending(self) -> bool:
        """Whether the connection that counts has yet to end it before it begins: it was wanted there before."""
        return self.source is not None and self.source.is_ending(self.name)

    def resubscribe(self, now: float | None = None) -> None:
        """End it and begin it again on the connection that counts; ``now``: because it is silent, which is done
        rarely."""
        if now is not None:
            self._resubscribed = now
        if self.source is not None:
            self.source.resubscribe(self.name)
            self.begun_anew += 1
            self.interruptions += 1

    def needs_resubscribing(self, now: float, stale_after: float) -> bool:
        """Whether to subscribe anew: silent for certain, or acked and never a frame; at most once per ten minutes."""
        if now - self._resubscribed < RESUBSCRIBE_EVERY:
            return False
        if self.phase is Phase.SILENT:
            return not self._silent_with_connection and self._is_passed_over(stale_after)
        return self.phase is Phase.ACKED and now - self.since > self.pace.first_wait

    def _is_passed_over(self, stale_after: float) -> bool:
        """Whether its connection has brought something long after it fell silent. Where the connection has fallen
        silent with it, a new beginning helps nothing, and what is on its way would have a hole where it was ended."""
        if self.source is None or self.last is None:
            return True
        wait = 0.0 if self.pace.promise is None else self.pace.longest
        return self.source.last - self.last >= max(stale_after, wait)

    # -- what happens to it

    def signal(self, signal: Signal, now: float, out: list[Output]) -> None:
        """Something happened; listeners hear of it if the phase changes."""
        if self._moves(signal, now):
            self.tell(out)

    def _moves(self, signal: Signal, now: float) -> bool:
        phase = TRANSITIONS.get((self.phase, signal))
        if phase is None or phase is self.phase:
            return False
        if self.phase is Phase.WAITING:
            self.pace.begin(self.frames, now)
        if phase is Phase.LIVE or phase is Phase.QUIET:
            self.cause = None
        elif phase is Phase.ACKED and self.cause is Cause.CAPACITY:
            self.cause = None  # there was room after all
        self.phase = phase
        self.since = now
        self._silent_with_connection = False
        return True

    def deliver(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        """Take one message that counts, and tell if it makes the stream live (again)."""
        if self.take(message, now, received, out):
            self.tell(out)

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        """The same without telling; whether there is something to tell. (The engine's hot path does this in place while
        the stream is live.)

        That all is well again is told after the values that make it so: what was shown before must not be called live
        for a moment.
        """
        before, phase, since, cause = self.last, self.phase, self.since, self.cause
        self.last = now
        self.frames += 1
        moved = self.phase is not Phase.LIVE and self._moves(Signal.FRAME, now)
        if self._is_dropped(message, now, received, out):
            self.dropped(before, now)
            if moved and self.phase is Phase.LIVE:
                self.phase, self.since, self.cause = phase, since, cause
        return moved

    def dropped(self, before: float | None, now: float) -> None:
        """The frame that came now was dropped: ``last`` is what it was ``before``, and its time is no sample. Several
        takers may say so of one frame."""
        self.last = before
        self._dropped.add(self.frames, before, now)
        self.sample_due = max(self.sample_due, now + AFTER_DROPPED)

    def unread(self, now: float) -> None:
        """A frame of it came that could not be read: it says something else now, and nobody knows what."""
        self.unreadable_frames += 1
        self._dropped.unread(self.last, now)

    def note(self, what: Count, times: int = 1) -> int:
        """A taker found this in the frame that came last. What several takers find in one frame is counted once, as
        often as one of them says; how often that is more than was counted."""
        return self._findings.add(self.frames, what, times)

    def note_all(self, news: dict[Count, int]) -> None:
        """The same of several things; ``news`` is emptied."""
        for what, times in news.items():
            self.note(what, times)
        news.clear()

    @property
    def is_in_doubt(self) -> bool:
        """Whether the frame that came last was dropped. It may be held: what the very next one says matters."""
        return self._dropped.holds(self.frames)

    @property
    def dropped_frames(self) -> int:
        """How many of its frames were dropped."""
        return self._dropped.count

    def seeded(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        """Take what an acked stream would have said last, which REST has told: it is quiet until its first frame."""
        if not self._is_dropped(message, now, received, out):
            self.last = now
            self.signal(Signal.LULL, now, out)

    def _is_dropped(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        """Let the takers have a message; whether one dropped it."""
        dropped = False
        for take in self.takers:
            if take(message, now, received, out):
                dropped = True
        return dropped

    def lost(self, cause: Cause, now: float) -> bool:
        """Its connection ended; whether that is news. The caller tells, once for all streams that were lost
        together."""
        blamed = self.blame(cause)
        if self.source is not None:
            self.interruptions += 1
        self.source = self._as_of = None
        self.delay.lost(now)
        return self._moves(Signal.LOST, now) or blamed

    def blame(self, cause: Cause | None) -> bool:
        """Note why the stream waits; whether that is news. The caller tells."""
        changed = cause is not self.cause
        self.cause = cause
        return changed

    def tell(self, out: list[Output]) -> None:
        """Let the listeners look again."""
        for listener in self._listeners:
            listener(out)

    @staticmethod
    def tell_all(streams: Iterable[Stream], out: list[Output]) -> None:
        """Let the listeners of all these look again, each once."""
        for listener in dict.fromkeys(listener for each in streams for listener in each._listeners):
            listener(out)

    def confirmed_at(self) -> float | None:
        """When what it says was true: when its last frame came, less that frame's delay; None before the first."""
        return None if self.last is None else self.last - (self.delay.delay or 0) / 1000

    def as_of(self) -> float | None:
        """For when what it says holds, while nothing contradicts it: frames keep their order on a connection, so one of
        any stream proves that none of this one was sent before it. As ``confirmed_at``, by the connection's frames.

        While the delay is not known, after a silence, frames prove no more than when it was known last.
        """
        if self.last is None or self.source is None:
            return self.confirmed_at()
        if self.delay.delay is None and self._as_of is not None:
            return self._as_of
        return (
            max(self.last, min(self.source.framed, self._dropped.unread_since(self.last)))
            - (self.delay.delay or 0) / 1000
        )

    def judge_delay(self, least: int | None, borne_out: bool, limit: int, now: float) -> bool:
        """Twice a second, as ``StreamDelay.judge``; the caller tells."""
        changed = self.delay.judge(least, limit, now, borne_out=borne_out, last=self.last)
        if self.delay.delay is not None:
            self._as_of = self.as_of()
        return changed

    def age(self, seconds: float) -> None:
        """Its last frame came that much longer ago than was thought."""
        if self.last is not None:
            self.last -= seconds

    def beat(self, now: float, stale_after: float, proven: bool) -> bool:
        """Twice a second: learn the pace, and notice a frame that should have come. Whether the phase changed; the
        caller tells. ``proven`` as in ``Pace.judge_first``."""
        self.pace.learn(self.frames, now)
        signal = None
        if self.phase is Phase.LIVE or self.phase is Phase.QUIET:
            # What was held up is as old as when it was sent, also once its connection is young again.
            silence = 0.0 if self.last is None else now - self.last + self.delay.outlived / 1000
            if self.last is not None and silence > stale_after:
                contradicted = self._dropped.contradict(self.last, stale_after)
                signal = Signal.SILENCE if contradicted else self.pace.judge(silence)
        elif self.phase is Phase.ACKED:
            heard = self.last is not None
            signal = self.pace.judge_first(
                now - self.since, self.parts, proven=proven, heard_before=heard, stale_after=stale_after
            )
        return signal is not None and self._moves(signal, now)

    def proves_silent(self, now: float, stale_after: float) -> bool:
        """Whether it shows that its connection ought not to be silent, as it is as a whole."""
        source = self.source
        is_missed = self.phase is Phase.SILENT and self.pace.is_known
        return is_missed and source is not None and now - source.last > stale_after

    def judge_connection(self, silent: Set[Carrier | None], now: float, stale_after: float) -> bool:
        """On a connection that is silent as a whole, and ought not to be, nothing shows that what comes seldom holds
        still; once it says something again, nothing contradicts it. Whether the phase changed; the caller tells."""
        if self.source in silent:
            is_old = now - (self.since if self.last is None else self.last) > stale_after
            if is_old and self.phase in (Phase.LIVE, Phase.QUIET) and self._moves(Signal.SILENCE, now):
                self._silent_with_connection = True
                return True
            return False
        return self._silent_with_connection and self._moves(Signal.ALIVE, now)

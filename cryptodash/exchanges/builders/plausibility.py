"""What an id or a time of a stream must be to be believed. Pure: times are arguments.

A frame whose id is far ahead of the last one, or whose time is far from the venue's clock, is *held*: it counts for
nothing until the very next frame that could be believed in its place agrees with it.

- Far ahead is an id more than ``FAR_AHEAD`` beyond the last one, for each second since that one came (at least one):
  where a venue numbers all its symbols together, a quiet one's ids leap, measured up to 60,000 a second.
- Far off is a time more than ``TOLERANCE_MS`` ahead of the venue's clock, or behind the newest of the same stream.
  While nothing is known of that clock (it then seems to be ours) the stream's newest time, gone on since, stands for
  it.
- The next frame agrees if its id lies beyond the held one, by no more than that, and its time is as far from our clock
  as the held one's, within ``TOLERANCE_MS``. A repeat of the held frame agrees with nothing, nor does an old one that
  is left out contradict it. A frame that is believed as before contradicts it: the held one is dropped at once.
- After ``HELD_FOR`` it is dropped, unless it lies within the venue's clock, now that more is known of that. What it
  said is still a witness: where a venue's ids or clock did leap, a slow stream's next frame agrees with the one before.
- Ids below the last one are old. They begin anew (a venue's maintenance sets them back) with the second frame in a row
  whose time is newer than the newest, and whose id goes on from the first one's: what is only late, or sent again,
  has an old time. Without times, after ``OLD_FOR`` of nothing else the stream's own word counts again.
- Where an order begins anew, only the stream's own times tell whether the venue's clock was set back: ids that begin
  anew say nothing of the clock.
"""

from __future__ import annotations

import enum

from cryptodash.exchanges.builders.doubt_counts import UNCOUNTED, DoubtCounts, Reason

FAR_AHEAD = 1_000_000
TOLERANCE_MS = 5_000
HELD_FOR = 5.0
OLD_FOR = 5.0


class Verdict(enum.Enum):
    """What a frame's id and time say of it."""

    TAKEN = "taken"
    REPEATED = "repeated"
    """It has the last id: what is known is confirmed."""
    OLD = "old"
    HELD = "held"
    ANEW = "anew"
    """The order begins anew with it: a second frame agreed, or nothing but old ids came for a while."""
    SET_BACK = "set back"
    """The same, and its time lies before the newest: the venue's clock was set back."""


def is_far_ahead(number: int, last: int, seconds: float) -> bool:
    """Whether an id is too far beyond the last one, which came so long ago."""
    return number - last > (FAR_AHEAD if seconds < 1.0 else FAR_AHEAD * seconds)


def latest_time(newest: int | None, seconds: float, venue_ms: int, received: int) -> int | None:
    """The latest time (ms) that need not be doubted of a stream whose ``newest`` came so long ago; None where nothing
    is known to measure it by."""
    if venue_ms != received:
        return venue_ms + TOLERANCE_MS
    return None if newest is None else max(newest + round(seconds * 1000), venue_ms) + TOLERANCE_MS


class Witness:
    """The last frame of a stream that was not believed: its id, its time, when it was received (ms, our clock), and
    since when it waits (monotonic). ``settled``: it does not wait any more, because it was dropped or believed.
    ``beside``: that of what the same frame said before, where it is of several trades."""

    __slots__ = ("_begun", "_number", "_received", "_since", "_time", "reason", "settled")

    def __init__(
        self,
        reason: Reason,
        number: int | None,
        time: int | None,
        received: int,
        now: float,
        beside: Witness | None = None,
    ) -> None:
        self.reason = reason
        self.settled = False
        self._number = number
        self._time = time
        self._begun: int | None = time if beside is None else beside._begun
        self._received = received
        self._since = now

    def agrees(self, number: int | None, time: int | None, received: int, now: float) -> bool:
        """Whether a later frame says the same: its id follows, and its time is as far from our clock."""
        before, then = self._number, self._time
        if (number is None) is not (before is None) or (time is None) is not (then is None):
            return False
        if number is not None and before is not None:
            if number <= before or is_far_ahead(number, before, now - self._since):
                return False
        elif time == then or time == self._begun:
            return False  # as far as one can see the same frame again
        return time is None or then is None or abs((time - received) - (then - self._received)) <= TOLERANCE_MS

    def lies_within(self, ahead_ms: int) -> bool:
        """Whether the venue's clock, so far ahead of ours, showed its time as it came; never while nothing is known of
        that clock (0)."""
        time = self._time
        return bool(ahead_ms) and time is not None and abs(time - self._received - ahead_ms) <= TOLERANCE_MS

    def is_over(self, now: float) -> bool:
        """Whether it has waited long enough."""
        return not self.settled and now - self._since >= HELD_FOR


class StreamOrder:
    """The order of one stream whose newest frame is what counts: by id where its frames have one, else by time.

    ``partial``: its frames say only what changed, so that one a little late is none the less of use.
    """

    __slots__ = ("_counts", "_old_since", "_partial", "_set_back", "at", "calm", "last", "newest", "witness")

    def __init__(self, counts: DoubtCounts = UNCOUNTED, *, partial: bool = False) -> None:
        self.last: int | None = None
        """The newest id believed."""
        self.at = 0.0
        """When it came (monotonic)."""
        self.newest: int | None = None
        """The newest time believed (ms, the venue's)."""
        self.calm = True
        """Whether nothing is held and nothing old has come since the last frame that was taken. Hot paths look at it
        and at the four above, and need not ask ``judge`` what is plain."""
        self._counts = counts
        self._partial = partial
        self.witness: Witness | None = None
        """The last frame that was not believed."""
        self._old_since: float | None = None
        self._set_back: tuple[int, int] | None = None
        """Id and time of the last frame with an old id and a newer time than any."""

    def judge(
        self, number: int | None, time: int | None, venue_ms: int, received: int, now: float, *, alone: bool = True
    ) -> Verdict:
        """Take a frame's id and time. ``venue_ms``: when it came by the venue's clock, ``received`` by ours (ms).
        ``alone`` False: what is held came in the same frame, so that this can be no second one."""
        if number is not None and self.last is not None and number <= self.last:
            latest = latest_time(self.newest, now - self.at, venue_ms, received)
            is_ahead = time is not None and latest is not None and time > latest
            verdict = self._not_beyond(number, self.last, None if is_ahead else time, now, alone)
            if verdict is not Verdict.ANEW:
                return verdict
            reason = Reason.FUTURE_TIME if is_ahead else None
        else:
            verdict, reason = Verdict.TAKEN, self._doubt(number, time, venue_ms, received, now)
        if reason is not None:
            witness = Witness(reason, number, time, received, now, None if alone else self.witness)
            if not self._hears_out(witness, number, time, received, now, alone):
                return Verdict.HELD
            verdict = Verdict.ANEW
        elif number is None and time is not None and self._is_late(time, venue_ms):
            if self.witness is not None and self.witness.agrees(number, time, received, now):
                self.witness.settled = True
                verdict = Verdict.ANEW  # the clock was set back by little more than what is late
            elif not self._partial:
                self._counts.dropped(Reason.OLD_TIME)
                return Verdict.OLD
            else:
                self._contradict()  # it is believed as any other
        elif self._is_borne_out(number, time, received, now):
            verdict = Verdict.ANEW
        else:
            self._contradict()
        anew = verdict is Verdict.ANEW
        if anew and self._is_behind(number, time):
            verdict = Verdict.SET_BACK
        self._take(number, time, now, anew=anew)
        return verdict

    def expire(self, now: float, ahead_ms: int = 0) -> bool | None:
        """Drop what has been held for too long; None while something waits. True: it was not dropped, because it lies
        within the venue's clock, ``ahead_ms`` before ours as is known by now; the order of the times begins anew, for
        it to be judged once more."""
        witness = self.witness
        if witness is None or witness.settled:
            return False
        if not witness.is_over(now):
            return None
        if witness.reason is not Reason.FUTURE_ID and witness.lies_within(ahead_ms):
            self.witness = self.newest = None
            return True
        witness.settled = True
        self._counts.dropped(witness.reason)
        return False

    def _doubt(self, number: int | None, time: int | None, venue_ms: int, received: int, now: float) -> Reason | None:
        if number is not None and self.last is not None and is_far_ahead(number, self.last, now - self.at):
            return Reason.FUTURE_ID
        if time is None:
            return None
        newest, latest = self.newest, venue_ms + TOLERANCE_MS
        if time > latest:
            allowed = latest_time(newest, now - self.at, venue_ms, received)
            return None if allowed is None or time <= allowed else Reason.FUTURE_TIME
        # Where it is the newest that is ahead of the venue's clock, this one is right.
        return Reason.OLD_TIME if newest is not None and time < newest - TOLERANCE_MS and newest <= latest else None

    def _is_late(self, time: int, venue_ms: int) -> bool:
        newest = self.newest
        return newest is not None and time < newest <= venue_ms + TOLERANCE_MS

    def _is_behind(self, number: int | None, time: int | None) -> bool:
        """Whether a time lies before the newest, by more than frames overtake each other where ids order them."""
        newest = self.newest
        return newest is not None and time is not None and newest - time > (0 if number is None else TOLERANCE_MS)

    def _hears_out(
        self, witness: Witness, number: int | None, time: int | None, received: int, now: float, alone: bool
    ) -> bool:
        """Whether a doubtful frame is believed, because the one before said the same; else it is held in its place."""
        before, self.witness = self.witness, witness
        self.calm = False
        witness.settled = alone and before is not None and before.agrees(number, time, received, now)
        if not witness.settled:
            self._counts.held(witness.reason)
            if before is not None and not before.settled:
                self._counts.dropped(before.reason)
        return witness.settled

    def _is_borne_out(self, number: int | None, time: int | None, received: int, now: float) -> bool:
        """Whether this frame, of which there is no doubt, says the same as the one that is held: more is known of the
        venue's clock than when that came."""
        witness = self.witness
        if witness is None or witness.settled or not witness.agrees(number, time, received, now):
            return False
        witness.settled = True
        return True

    def _not_beyond(self, number: int, last: int, time: int | None, now: float, alone: bool) -> Verdict:
        """An id that is not above the last one. ``time``: None also where it is not to be believed."""
        if number == last:
            self._counts.repeated()
            self._contradict()
            self._old_since = self._set_back = None
            self.calm = True
            return Verdict.REPEATED
        if self._is_set_back(number, time, alone):
            return Verdict.ANEW
        if self._old_since is None:
            self._old_since = now
            self.calm = False
        elif now - self._old_since >= OLD_FOR:
            return Verdict.ANEW
        self._counts.dropped(Reason.OLD_ID)
        return Verdict.OLD

    def _is_set_back(self, number: int, time: int | None, alone: bool) -> bool:
        """Whether an old id is the second in a row with a time newer than any."""
        if time is None or self.newest is None or time <= self.newest:
            return False
        before = self._set_back
        if before is None or alone:
            self._set_back = number, time
        return alone and before is not None and before[0] < number and before[1] <= time

    def _contradict(self) -> None:
        """A frame came that can be believed: what is held was wrong."""
        witness, self.witness = self.witness, None
        if witness is not None and not witness.settled:
            self._counts.dropped(witness.reason)

    def _take(self, number: int | None, time: int | None, now: float, *, anew: bool) -> None:
        self.last, self.at = number, now
        if time is not None and (
            anew or self.newest is None or time > self.newest or self.newest - time > TOLERANCE_MS
        ):
            self.newest = time
        self._old_since = self._set_back = None
        self.calm = self.witness is None

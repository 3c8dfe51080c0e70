"""How late frames come: the offset between a venue's clock and ours, the delay of each stream, and when that is too
much. Pure: times are arguments.

Monotonic time only, so that steps of our wall clock mean nothing. A *sample* is receive time less the time at which the
venue sent the frame: the offset between the two clocks plus the way of that frame. The offset of a host is its least
sample of ten minutes over all connections, never above what a probe allows: the answer to a request for the venue's
time was written before it came in. A frame's *delay* is its sample less the offset (CONTRACT, "stale(late)").
"""

from __future__ import annotations

from collections import deque

WINDOW = 600.0
"""Seconds over which the least sample counts."""
SPAN = 10.0
"""Seconds of that window that are kept as one number."""
PROBES = 8
"""How many probes are remembered; the best of them counts."""
DRIFT = 100e-6
"""Clocks go apart by so much at most (100 ppm): an old probe allows that much more."""
RISE_MS = 500
"""Samples that rise by more than this on all connections of a host are either late or a step of the venue's clock."""
PROBE_EVERY = 60.0
PROBE_GAP = 5.0
"""Seconds between two probes, in doubt."""
OWN_FOR = 2.0
"""Seconds for which a sample of its own, else of its connection, tells a stream's delay."""

WILD_MS = 5_000
"""A frame sent so much later than the venue's clock can show is believed once another of its connection agrees."""
AGREE_MS = 1_000

Sample = int
"""Milliseconds: receive time (monotonic) less the venue's time of sending."""


def sample_of(sent_ms: int, now: float) -> Sample:
    """A frame sent at ``sent_ms`` by the venue's clock came at ``now`` (monotonic seconds)."""
    return int(now * 1000) - sent_ms


class Offset:
    """The offset of one host: our monotonic clock less the venue's clock, in milliseconds.

    ``value`` is None until a sample or a probe has come. ``steps`` and ``assumed`` count how often it started anew
    because a probe proved a step of the venue's clock, and because the window ended without a probe.
    """

    def __init__(self) -> None:
        self.value: Sample | None = None
        self.steps = 0
        self.stepped_at = float("-inf")
        """When a step of the venue's clock was seen last (monotonic): samples of before tell nothing of what is now."""
        self.assumed = 0
        self._spans: deque[tuple[float, Sample]] = deque()
        """(begin, least sample) of the last ten minutes, oldest first."""
        self._probes: deque[tuple[float, int, int]] = deque(maxlen=PROBES)
        """(when answered, least and most that the offset can be, in ms)."""
        self._contradicting: Sample | None = None
        """What the last probe says, where it contradicts those before."""
        self._fell = False
        """Whether samples have fallen so far since the last probe that the clock stepped: what they fell to may be late
        as well."""

    def is_wild(self, sample: Sample) -> bool:
        """Whether a sample is of a time that the venue's clock, as far as it is known, has not reached by far."""
        return self.value is not None and sample < self.value - WILD_MS

    def sample(self, sample: Sample, now: float) -> int:
        """Take a sample that is believed; returns the delay (ms) of the frame it is of."""
        value = self.value
        spans = self._spans
        if not spans or now - spans[-1][0] >= SPAN:
            spans.append((now, sample))
        elif sample < spans[-1][1]:
            spans[-1] = (spans[-1][0], sample)
        if value is None:
            bound = self._bound(now)
            self.value = value = sample if bound is None else min(sample, bound)
        elif sample < value:
            if sample < value - RISE_MS:
                self._fell = True
            if self.is_wild(sample):
                self.stepped_at = now
            self.value = value = sample
        return sample - value

    def probe(self, asked: float, server_ms: int, now: float, rise: int) -> bool:
        """Take a probe: asked for at ``asked``, answered at ``now`` with the venue's time. ``rise``: the least delay
        (ms) that all connections have, 0 where they have none. Whether it proves a step of the venue's clock.

        The venue's time was read between the two: the offset lies between ``asked`` and ``now`` less that time. A step
        is proved where even the least of that is above what was known by more than ``RISE_MS``, and not by more than
        frames show; a slow answer proves nothing, nor does one that says a time long past (of some cache).
        """
        bound, least = sample_of(server_ms, now), sample_of(server_ms, asked)
        self._fell = False
        if self.value is not None and rise > RISE_MS and RISE_MS < least - self.value <= rise + RISE_MS:
            self._spans.clear()
            self._probes.clear()
            self._probes.append((now, least, bound))
            # An answer that was long under way leaves open how far it stepped: what was late must not become young.
            self.value = bound if bound - least <= RISE_MS else least
            self._spans.append((now, self.value))
            self._contradicting = None
            self.steps += 1
            self.stepped_at = now
            return True
        if self._contradicts(bound, now):
            return False
        self._probes.append((now, least, bound))
        if self.value is None or bound < self.value:
            self.value = bound
        return False

    def _contradicts(self, bound: int, now: float) -> bool:
        """Whether a probe says a time that the venue's clock had not reached, as the ones before prove, and no frame
        has said so either. A second one that says the same is believed."""
        proven = self.proven(now)
        if proven is None or bound >= min(proven[0], proven[1] if self.value is None else self.value) - RISE_MS:
            self._contradicting = None
            return False
        before, self._contradicting = self._contradicting, bound
        if before is None or abs(bound - before) > AGREE_MS:
            return True
        self._contradicting = None
        self._probes.clear()
        return False

    @property
    def is_in_doubt(self) -> bool:
        """Whether a probe contradicts those before, or frames do, so that another should tell soon."""
        return self._fell or self._contradicting is not None

    def settle(self, now: float) -> None:
        """From time to time: what is too old counts no more."""
        spans = self._spans
        while spans and now - spans[0][0] >= WINDOW + SPAN:
            spans.popleft()
        while self._probes and now - self._probes[0][0] >= WINDOW:
            self._probes.popleft()
        known = [least for _, least in spans]
        bound = self._bound(now)
        if bound is not None:
            known.append(bound)
        if not known:
            self.value = None
            return
        value = min(known)
        if self.value is not None and value - self.value > RISE_MS:
            self.assumed += 1
        self.value = value

    def proven(self, now: float) -> tuple[int, int] | None:
        """The least and the most (ms) that the offset can be, as probes prove; None where none was answered lately."""
        bound = self._bound(now)
        if bound is None:
            return None
        return max(least - _drift(now - answered) for answered, least, _ in self._probes), bound

    def _bound(self, now: float) -> int | None:
        return min((most + _drift(now - answered) for answered, _, most in self._probes), default=None)


def _drift(seconds: float) -> int:
    return int(DRIFT * 1000 * seconds)


class ConnectionDelay:
    """The least delay of a connection in the last two seconds: TCP keeps the order, so that one young frame proves the
    connection young."""

    def __init__(self) -> None:
        self._least: deque[tuple[float, Sample]] = deque()
        """Samples of the last two seconds that are less than every later one."""
        self._since_look: Sample | None = None
        self._sampled: deque[float] = deque(maxlen=2)
        """When the last two came."""
        self._doubted: tuple[Sample, int] | None = None
        """The last sample, where it was wild, and the venue's time of sending that it is of (ms)."""

    def believes(self, sample: Sample, sent_ms: int, *, wild: bool) -> bool:
        """Whether a sample is the venue's clock. One time from the future may be a fault of one frame; two in a row of
        one connection that say the same are not. What was sent at the same time is, as far as one can see, the same
        frame."""
        before, self._doubted = self._doubted, (sample, sent_ms) if wild else None
        return not wild or (before is not None and sent_ms != before[1] and abs(sample - before[0]) <= AGREE_MS)

    def sample(self, sample: Sample, now: float) -> None:
        """Take one."""
        if self._since_look is None or sample < self._since_look:
            self._since_look = sample
        self._sampled.append(now)
        least = self._least
        while least and least[-1][1] >= sample:
            least.pop()
        least.append((now, sample))
        if now - least[0][0] > OWN_FOR:
            least.popleft()

    def look(self) -> Sample | None:
        """The least sample since the last look; None where there was none."""
        least, self._since_look = self._since_look, None
        return least

    def least(self, now: float, since: float = float("-inf")) -> Sample | None:
        """The least sample, of those after ``since``; None where there was none lately."""
        least = self._least
        while least and (now - least[0][0] > OWN_FOR or least[0][0] < since):
            least.popleft()
        return least[0][1] if least else None

    def is_borne_out(self, now: float, since: float = float("-inf")) -> bool:
        """Whether the least sample, of those after ``since``, is the least of two at least."""
        return len(self._sampled) == 2 and self._sampled[0] >= max(now - OWN_FOR, since)

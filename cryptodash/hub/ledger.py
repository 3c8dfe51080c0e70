"""The ledger: how every upstream stream has done over the last hour, the last day and since the start.

Pure: the clock is an argument, nothing is scheduled; whoever runs it calls ``beat`` each second, which is how it knows
that nobody looked meanwhile (the machine slept, the process stood still): such time counts as nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import define, field
from zope.interface import implementer

from cryptodash.core.events import Cause, State
from cryptodash.core.quality import Count, Loss, StreamRecord
from cryptodash.core.tally import Labels, Tally
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IQuality
from cryptodash.hub.state_history import MOST_RUNS
from cryptodash.hub.stream_record import (
    NO_COUNTS,
    NO_DELAYS,
    STATE_WORDS,
    Figures,
    Record,
    StreamQuality,
    VenueQuality,
)

MOST_STREAMS: Final = 5_000
"""Streams that are known one by one."""
MOST_LOST: Final = 20_000
"""Degraded streams that are remembered when they are known one by one no more."""
UNOBSERVED_MS: Final = 10_000
"""Between two beats; more was not observed."""

Key = tuple[str, str]
"""Endpoint and name: one stream of a venue."""


@define
class Sums:
    """Figures that grow."""

    state_ms: list[int] = field(factory=lambda: [0] * len(STATE_WORDS))
    crossed_ms: int = 0
    counts: list[int] = field(factory=lambda: list(NO_COUNTS))
    delays: list[int] = field(factory=lambda: list(NO_DELAYS))

    def add(self, figures: Figures) -> None:
        """These as well."""
        self.crossed_ms += figures.crossed_ms
        for sums, more in (
            (self.state_ms, figures.state_ms),
            (self.counts, figures.counts),
            (self.delays, figures.delays),
        ):
            for at, each in enumerate(more):
                sums[at] += each

    def figures(self) -> Figures:
        """As they are now."""
        return Figures(tuple(self.state_ms), self.crossed_ms, tuple(self.counts), tuple(self.delays))


class VenueLedger:
    """The records of one venue (``StreamRecords``)."""

    def __init__(self, exchange: str, ledger: Ledger) -> None:
        self.exchange = exchange
        self.records: dict[Key, Record] = {}
        self.rest = Sums()
        """Of streams that are known one by one no more, and of none."""
        self.added = 0
        self.lost_for_good: dict[Key, tuple[Loss, int]] = {}
        """Every degraded stream, with the first loss of each and when that was."""
        self._ledger = ledger
        self._in_state = [0] * len(STATE_WORDS)
        self._state_ms = [0] * len(STATE_WORDS)
        self._settled = ledger.now()

    # -- StreamRecords

    def open(self, endpoint: str, name: str) -> StreamRecord:
        key = (endpoint, name)
        record = self.records.get(key)
        if record is None:
            if not self._ledger.has_room():
                return _Shared(self, endpoint, name)
            record = self.records[key] = Record(self, endpoint, name)
            record.degraded, record.degraded_at = self.lost_for_good.get(key, (None, None))
        self._ledger.used(self, record)
        record.opened()
        return record

    def count(self, what: Count, times: int = 1) -> None:
        self.rest.counts[what] += times
        self.counted(what, times)

    # -- RecordOwner

    def now(self) -> int:
        return self._ledger.now()

    def moved(self, before: int | None, after: int | None) -> None:
        self.settle(self.now())
        if before is not None:
            self._in_state[before] -= 1
        if after is not None:
            self._in_state[after] += 1

    def counted(self, what: Count, times: int) -> None:
        if times > 0:
            self._ledger.counter[self.exchange, what.name.lower()] += times

    def lost(self, endpoint: str, name: str, loss: Loss, at: int) -> None:
        self.lost_for_good.setdefault((endpoint, name), (loss, at))
        if len(self.lost_for_good) > MOST_LOST:
            del self.lost_for_good[next(iter(self.lost_for_good))]

    def unused(self, record: Record) -> None:
        self._ledger.unused(self, record)

    # -- time

    def settle(self, now: int) -> None:
        """Count the time of all streams until now, for the metrics."""
        passed, self._settled = now - self._settled, now
        if passed:
            for column, streams in enumerate(self._in_state):
                self._state_ms[column] += streams * passed

    def skip(self, since: int, now: int) -> None:
        """As of a record."""
        self.settle(since)
        self._settled = now
        for record in self.records.values():
            record.skip(since, now)

    def state_seconds(self) -> Mapping[str, float]:
        """Stream-seconds in each state since the start, also of what is known one by one no more."""
        self.settle(self.now())
        return {word: ms / 1000 for word, ms in zip(STATE_WORDS, self._state_ms, strict=True)}

    # -- who is forgotten

    def forget(self, record: Record) -> None:
        """It is in the totals only from now on."""
        del self.records[record.endpoint, record.name]
        self.rest.add(record.total())
        self.added += 1

    def begin_totals(self) -> Sums:
        """The totals without those streams that are known one by one."""
        sums = Sums()
        sums.add(self.rest.figures())
        return sums


@implementer(IQuality)
class Ledger:
    """All venues' records; at most ``most`` streams one by one. Of the others the longest unused is added into its
    venue's totals; while all are in use, a stream that is opened counts into the totals alone."""

    def __init__(self, clock: Clock, tally: Tally, most: int = MOST_STREAMS) -> None:
        self._monotonic = clock.monotonic
        self._most = most
        self._observed = int(clock.monotonic() * 1000)
        self._venues: dict[str, VenueLedger] = {}
        self._streams = 0
        self._unused: dict[tuple[str, Key], Record] = {}
        """Records of streams that nobody wants, the longest unused first."""
        self.counter = tally.counter(
            "cryptodash_stream_faults_total",
            "What is counted of upstream streams, by kind (docs/rest.md, /api/quality)",
            "exchange",
            "kind",
        ).values
        tally.gauge(
            "cryptodash_stream_state_seconds",
            "Stream-seconds in each state since the start: down is connecting or closed",
            lambda: {
                (exchange, word): seconds
                for exchange, venue in self._venues.items()
                for word, seconds in venue.state_seconds().items()
            },
            "exchange",
            "state",
        )
        tally.gauge("cryptodash_streams_degraded", "Streams with a loss that was not mended", self._lost, "exchange")

    def venue(self, exchange: str) -> VenueLedger:
        """The records of one venue, which is known from now on."""
        found = self._venues.get(exchange)
        if found is None:
            found = self._venues[exchange] = VenueLedger(exchange, self)
        return found

    def beat(self) -> None:
        """Each second."""
        self.now()

    def now(self) -> int:
        """The time in ms. Where nobody has asked for long, what has passed since then counts as nothing."""
        now = int(self._monotonic() * 1000)
        since, self._observed = self._observed, now
        if now - since > UNOBSERVED_MS:
            for venue in self._venues.values():
                venue.skip(since, now)
        return now

    # -- for ``/api/quality``

    def stream_quality(
        self, exchange: str | None = None, most_runs: int = MOST_RUNS
    ) -> Iterator[StreamQuality | VenueQuality]:
        """Every stream of one venue or of all, one at a time, and after those of each venue its totals. What changes
        meanwhile is shown as it was or as it is."""
        for venue in [each for name, each in self._venues.items() if exchange in (None, name)]:
            totals = venue.begin_totals()  # first: what is forgotten from now on is in the list all the same
            records = list(venue.records.values())
            for record in records:
                quality = record.quality(most_runs)
                totals.add(quality.total)
                yield quality
            yield VenueQuality(venue.exchange, len(records), venue.added, len(venue.lost_for_good), totals.figures())

    def streams(self, exchange: str | None = None) -> int:
        """How many are known one by one."""
        return sum(len(each.records) for name, each in self._venues.items() if exchange in (None, name))

    def _lost(self) -> Mapping[Labels, float]:
        return {(exchange,): float(len(venue.lost_for_good)) for exchange, venue in self._venues.items()}

    # -- for the venues' parts

    def has_room(self) -> bool:
        """Make room for one more stream, if need be; whether there is room."""
        if self._streams >= self._most:
            oldest = next(iter(self._unused), None)
            if oldest is None:
                return False
            self._venues[oldest[0]].forget(self._unused.pop(oldest))
            self._streams -= 1
        self._streams += 1
        return True

    def used(self, venue: VenueLedger, record: Record) -> None:
        """Somebody wants the stream."""
        self._unused.pop((venue.exchange, (record.endpoint, record.name)), None)

    def unused(self, venue: VenueLedger, record: Record) -> None:
        """Nobody does any more."""
        self._unused[venue.exchange, (record.endpoint, record.name)] = record


class _Shared:
    """A stream that is not known by itself: what happens to it counts into its venue's totals, its time does not."""

    __slots__ = ("_key", "_venue", "degraded")

    def __init__(self, venue: VenueLedger, endpoint: str, name: str) -> None:
        self._venue = venue
        self._key = endpoint, name
        self.degraded: Loss | None = venue.lost_for_good.get(self._key, (None, 0))[0]

    def changed(self, state: State, cause: Cause | None) -> None:
        pass

    def crossed(self, is_so: bool) -> None:
        pass

    def count(self, what: Count, times: int = 1) -> None:
        self._venue.count(what, times)

    def delayed(self, ms: int) -> None:
        pass

    def audited(self, diverged: bool) -> None:
        self.count(Count.AUDITS)
        if diverged:
            self.count(Count.DIVERGENCES)

    def degrade(self, loss: Loss) -> None:
        if self.degraded is None:
            self.degraded = loss
            self._venue.lost(*self._key, loss, self._venue.now())

    def closed(self) -> None:
        pass

"""How late frames come: an hour of a venue, its clock, its frames and its probes, in an instant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import define, field

from cryptodash.exchanges.connections.lateness import (
    PROBE_EVERY,
    PROBE_GAP,
    RISE_MS,
    WINDOW,
    ConnectionDelay,
    Offset,
    sample_of,
)
from cryptodash.exchanges.connections.sleep_watch import SleepWatch
from cryptodash.exchanges.connections.stream_delay import StreamDelay

LIMIT = 2000
HOUR = 3600.0
VENUE_AT_0 = 1_700_000_000_000


@define
class Host:
    """One venue host, one connection, one stream of ``rate`` frames a second, as the engine drives them.

    ``late`` is the way of a frame in seconds at a time, ``clock`` how far the venue's clock is ahead of the truth (s)
    at a time. ``answers``: a probe's way there and back, None where the venue does not answer.
    """

    late: Callable[[float], float] = lambda now: 0.02
    clock: Callable[[float], float] = lambda now: 0.0
    answers: Callable[[float], tuple[float, float] | None] = lambda now: (0.02, 0.02)
    rate: float = 4.0
    offset: Offset = field(factory=Offset)
    connection: ConnectionDelay = field(factory=ConnectionDelay)
    stream: StreamDelay = field(factory=StreamDelay)
    told: list[tuple[float, bool]] = field(factory=list)
    delays: list[tuple[float, int | None]] = field(factory=list)
    steps: list[float] = field(factory=list)
    probes: list[float] = field(factory=list)
    now: float = 0.0
    _probed: float = float("-inf")
    _arriving: list[tuple[float, int]] = field(factory=list)
    _sent: float = 0.0
    _last: float = 0.0

    def venue_ms(self, when: float) -> int:
        return VENUE_AT_0 + round(1000 * (when + self.clock(when)))

    def run(self, until: float) -> None:
        """Ten looks a second."""
        while self.now < until:
            self.now = round(self.now + 0.1, 6)
            while self._sent + 1 / self.rate <= self.now:
                self._sent += 1 / self.rate
                self._last = max(self._last, self._sent + self.late(self._sent))  # TCP keeps the order
                self._arriving.append((self._last, self.venue_ms(self._sent)))
            while self._arriving and self._arriving[0][0] <= self.now:
                arrived, sent_ms = self._arriving.pop(0)
                self.frame(sent_ms, arrived)
            if round(self.now * 10) % 5 == 0:
                self._beat()

    def frame(self, sent_ms: int, now: float, connection: ConnectionDelay | None = None) -> bool:
        """A frame of a connection comes; whether its time is believed."""
        connection, sample = connection or self.connection, sample_of(sent_ms, now)
        believed = connection.believes(sample, sent_ms, wild=self.offset.is_wild(sample))
        if believed:
            connection.sample(sample, now)
            self.stream.sample(self.offset.sample(sample, now), LIMIT, now)
        return believed

    def _beat(self) -> None:
        now = self.now
        self.offset.settle(now)
        least = self.connection.least(now, self.offset.stepped_at)
        delay = None if least is None or self.offset.value is None else least - self.offset.value
        recent = self.connection.look()
        rise = 0 if recent is None or self.offset.value is None else recent - self.offset.value
        if now - self._probed >= (PROBE_GAP if rise > RISE_MS else PROBE_EVERY):
            self._probe(now, rise)
        if self.stream.judge(delay, LIMIT, now):
            self.told.append((now, self.stream.late))
        self.delays.append((now, self.stream.delay))

    def _probe(self, now: float, rise: int) -> None:
        self._probed = now
        way = self.answers(now)
        self.probes.append(now)
        if way is not None:
            there, back = way
            if self.offset.probe(now, self.venue_ms(now + there), now + there + back, rise):
                self.steps.append(now)

    def worst(self, since: float, until: float) -> int:
        """The largest delay that was shown."""
        return max(delay for when, delay in self.delays if since <= when <= until and delay is not None)


def during(begin: float, end: float, value: float, else_: float = 0.02) -> Callable[[float], float]:
    return lambda now: value if begin <= now < end else else_


def test_a_quick_venue_is_never_late_and_probed_once_a_minute() -> None:
    host = Host()
    host.run(HOUR)
    assert host.told == [] and host.worst(0, HOUR) <= 40
    assert len(host.probes) == 60 and (host.offset.steps, host.offset.assumed) == (0, 0)


def test_late_from_the_first_frame() -> None:
    host = Host(late=during(0, HOUR, 5.0))
    host.run(60.0)
    (when, late), *more = host.told
    assert late and not more
    assert 5.0 < when <= 7.0, "the first frame comes after 5 s; one second of them proves it"
    assert 4900 <= host.worst(8, 60) <= 5100


def test_three_seconds_late_for_twenty_minutes_stays_late_all_the_time() -> None:
    host = Host(late=during(100.0, 1300.0, 3.0))
    host.run(1500.0)
    assert [late for _, late in host.told] == [True, False]
    (begun, _), (ended, _) = host.told
    assert 104.0 <= begun <= 105.5 and 1304.0 <= ended <= 1306.0
    assert all(delay is not None and delay > 2900 for when, delay in host.delays if 110.0 < when < 1299.0)
    assert host.offset.assumed == 0


def test_without_a_probe_it_is_late_for_the_window_at_most_and_then_assumed() -> None:
    host = Host(late=during(100.0, HOUR, 3.0), answers=lambda now: None)
    host.run(100.0 + WINDOW + 60.0)
    assert [late for _, late in host.told] == [True, False] and host.offset.assumed == 1
    assert WINDOW + 95.0 <= host.told[1][0] <= WINDOW + 120.0


@pytest.mark.parametrize("by", [HOUR, -HOUR, 2.0, -2.0])
def test_a_step_of_the_venues_clock_is_no_lateness(by: float) -> None:
    host = Host(clock=during(100.0, 2 * HOUR, by, 0.0))
    host.run(400.0)
    assert host.told == []
    assert sum(1 for when, delay in host.delays if (delay or 0) > 100) <= 12, "for a few looks at most"
    assert host.worst(110.0, 400.0) <= 40
    assert host.offset.steps == (1 if by < 0 else 0), "forward it follows at once"


def test_a_slow_answer_proves_no_step() -> None:
    """The whole way is slow, for REST as well: nothing can tell that from a step but that the answer took so long."""
    host = Host(
        late=during(100.0, 500.0, 5.0), answers=lambda now: (0.02, 5.0) if 100.0 <= now < 500.0 else (0.02, 0.02)
    )
    host.run(490.0)
    assert host.offset.steps == 0 and host.stream.late


@pytest.mark.parametrize("ppm", [100.0, -100.0])
def test_a_clock_that_drifts_for_a_day_is_not_late(ppm: float) -> None:
    host = Host(clock=lambda now: now * ppm / 1e6, rate=1.0)
    host.run(24 * HOUR)
    assert host.told == [] and host.worst(0, 24 * HOUR) <= 150
    assert (host.offset.steps, host.offset.assumed) == (0, 0)


def test_a_clock_that_drifts_without_probes_is_not_late_either() -> None:
    host = Host(clock=lambda now: -now * 100 / 1e6, rate=1.0, answers=lambda now: None)
    host.run(6 * HOUR)
    assert host.told == [] and host.worst(0, 6 * HOUR) <= 150 and host.offset.assumed == 0


HOUR_MS = 3_600_000


def test_one_wild_time_is_no_clock_and_two_are() -> None:
    host = Host()
    host.run(10.0)
    before = host.offset.value
    assert not host.frame(host.venue_ms(10.0) + HOUR_MS, 10.0)
    assert host.offset.value == before
    host.run(12.0)
    assert host.stream.delay is not None and host.stream.delay < 100
    for when in (12.0, 12.1):
        host.frame(host.venue_ms(when) + HOUR_MS, when)
    assert before is not None and host.offset.value is not None and before - host.offset.value > 3_599_000


def test_a_wild_time_that_is_seen_twice_is_no_clock() -> None:
    """A frame may be read as several messages, or come twice: it does not agree with itself."""
    host = Host()
    host.run(10.0)
    before, sent_ms = host.offset.value, host.venue_ms(10.0) + HOUR_MS
    for when in (10.0, 10.0, 10.3):
        assert not host.frame(sent_ms, when)
    assert host.offset.value == before


def test_wild_times_between_sound_ones_are_no_clock() -> None:
    host = Host()
    host.run(10.0)
    before = host.offset.value
    for _ in range(10):
        assert not host.frame(host.venue_ms(10.0) + HOUR_MS, 10.0)
        assert host.frame(host.venue_ms(10.0), 10.02)
    assert host.offset.value == before


def test_wild_times_of_two_connections_are_no_clock() -> None:
    """What contradicts the one may come by its own connection after the other."""
    host, other = Host(), ConnectionDelay()
    host.run(10.0)
    before = host.offset.value
    for step in range(10):
        when = 10.0 + step / 10
        assert not host.frame(host.venue_ms(when) + HOUR_MS, when)
        assert not host.frame(host.venue_ms(when) + HOUR_MS + 1, when + 0.01, other)
        assert host.frame(host.venue_ms(when), when + 0.02) and host.frame(host.venue_ms(when), when + 0.03, other)
    assert host.offset.value == before


def test_a_step_of_the_clock_is_believed_though_two_connections_take_turns() -> None:
    host, other = Host(), ConnectionDelay()
    host.run(10.0)
    assert not host.frame(host.venue_ms(10.0) + HOUR_MS, 10.02)
    assert not host.frame(host.venue_ms(10.0) + HOUR_MS, 10.02, other)
    assert host.frame(host.venue_ms(10.1) + HOUR_MS, 10.12)
    assert host.frame(host.venue_ms(10.1) + HOUR_MS, 10.12, other)


def test_after_a_step_of_the_clock_what_another_connection_brought_before_tells_no_delay() -> None:
    host, other = Host(), ConnectionDelay()
    host.run(10.0)
    host.frame(host.venue_ms(10.0), 10.02, other)
    for when in (10.1, 10.2):
        host.frame(host.venue_ms(when) + HOUR_MS, when + 0.02)
    assert other.least(10.3) is not None and other.least(10.3, host.offset.stepped_at) is None
    host.frame(host.venue_ms(10.4) + HOUR_MS, 10.43, other)
    host.frame(host.venue_ms(10.5) + HOUR_MS, 10.53, other)
    least = other.least(10.6, host.offset.stepped_at)
    assert host.offset.value is not None and least is not None and 0 <= least - host.offset.value <= 20


def test_a_burst_after_a_hiccup_is_not_late() -> None:
    """The line stood for 2.4 s and then brought everything at once: a few frames of over 2 s, not a second of them."""
    host = Host(late=lambda now: max(0.02, 102.4 - now) if 100.0 <= now < 102.4 else 0.02)
    host.run(120.0)
    assert host.told == []


def test_late_ends_after_two_seconds_below_half() -> None:
    stream = StreamDelay()
    for step in range(8):
        stream.sample(3000, LIMIT, step / 4)
    assert stream.judge(None, LIMIT, 2.0) and stream.late
    for step in range(8, 40):
        stream.sample(1500, LIMIT, step / 4)
    assert not stream.judge(None, LIMIT, 10.0), "not below half"
    for step in range(40, 47):
        stream.sample(500, LIMIT, step / 4)
    assert not stream.judge(None, LIMIT, 11.75)
    stream.sample(500, LIMIT, 12.0)
    assert stream.judge(None, LIMIT, 12.0) and not stream.late


def test_one_late_frame_alone_is_not_enough() -> None:
    stream = StreamDelay()
    stream.sample(9000, LIMIT, 0.0)
    assert not stream.judge(9000, LIMIT, 1.5), "at most two seconds old, its own sample counts, and it is one"


def test_a_stream_without_samples_of_its_own_goes_by_its_connection() -> None:
    stream, connection = StreamDelay(), ConnectionDelay()
    assert not stream.judge(connection.least(0.0), LIMIT, 0.0) and stream.delay is None
    looks = []
    for step in range(8):
        connection.sample(5000, step / 2)
        connection.sample(5100, step / 2)
        looks.append(stream.judge(connection.least(step / 2), LIMIT, step / 2))
    assert looks == [False, False, True] + [False] * 5 and stream.delay == 5000
    connection.sample(30, 4.0)
    stream.judge(connection.least(4.0), LIMIT, 4.0)
    assert stream.delay == 30, "one young frame proves the connection young"


def test_a_late_stream_that_falls_silent_does_not_become_young() -> None:
    stream = StreamDelay()
    for step in range(8):
        stream.sample(3000, LIMIT, step / 4)
    assert stream.judge(None, LIMIT, 2.0)
    assert not stream.judge(None, LIMIT, 60.0) and stream.late
    stream.lost(60.0)
    assert (stream.late, stream.delay) == (True, None)
    assert not stream.judge(None, LIMIT, 119.0) and stream.judge(None, LIMIT, 120.0)
    assert (stream.late, stream.delay) == (False, None)


def test_the_least_of_a_connection_is_of_two_seconds() -> None:
    connection = ConnectionDelay()
    for when, sample in ((0.0, 10), (1.0, 50), (1.5, 40), (3.0, 60)):
        connection.sample(sample, when)
    assert connection.least(3.0) == 40
    assert connection.least(3.6) == 60
    assert connection.least(5.1) is None


def test_percentiles_are_of_what_is_remembered() -> None:
    stream = StreamDelay()
    assert stream.percentile(0.5) is None
    for step in range(200):
        stream.sample(step, LIMIT, step / 4)
    assert (stream.percentile(0.0), stream.percentile(0.5), stream.percentile(0.99)) == (136, 168, 199)


def test_a_sleep_shows_in_the_wall_clock_and_in_the_samples() -> None:
    watch = SleepWatch()
    assert watch.beat(1_000_000, 10.0) == 0.0
    watch.fell(3_600_000, 10.4)
    assert watch.beat(4_600_500, 10.5) == 3600.0
    assert watch.beat(4_601_000, 11.0) == 0.0, "once"


@pytest.mark.parametrize(("wall_ms", "fall"), [(4_600_500, 0), (1_000_500, 3_600_000), (4_600_500, 1_800_000)])
def test_a_clock_that_was_set_is_no_sleep(wall_ms: int, fall: int) -> None:
    """Ours without a fall of the samples; the venue's without a step of ours; both, by different amounts."""
    watch = SleepWatch()
    watch.beat(1_000_000, 10.0)
    if fall:
        watch.fell(fall, 10.4)
    assert watch.beat(wall_ms, 10.5) == 0.0

"""The ledger against a model that forgets nothing: whatever happened, windows, totals and histories say it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Cause, State
from cryptodash.core.quality import Count, Loss
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.hub.ledger import MOST_STREAMS, UNOBSERVED_MS, Ledger
from cryptodash.hub.stream_record import (
    COLUMN_OF_STATE,
    DELAY_BOUNDS_MS,
    STATE_WORDS,
    Figures,
    StreamQuality,
    VenueQuality,
)

MINUTE, HOUR = 60_000, 3_600_000


@define
class Model:
    """One stream, as lists of everything."""

    times: list[tuple[int, int, State, Cause | None]] = field(factory=list)
    crossed: list[tuple[int, int]] = field(factory=list)
    counts: list[tuple[int, Count, int]] = field(factory=list)
    delays: list[tuple[int, int]] = field(factory=list)
    state: tuple[State, Cause | None] | None = None
    is_crossed: bool = False
    degraded: Loss | None = None

    def passed(self, begin: int, end: int) -> None:
        if self.state is not None and end > begin:
            self.times.append((begin, end, *self.state))
        if self.is_crossed and end > begin:
            self.crossed.append((begin, end))

    def figures(self, since: int) -> Figures:
        states = [0] * len(STATE_WORDS)
        for begin, end, state, _ in self.times:
            states[COLUMN_OF_STATE[state]] += max(0, end - max(begin, since))
        counts = Counter[int]()
        for at, what, times in self.counts:
            counts[what] += times if at >= since else 0
        bounds = (*DELAY_BOUNDS_MS, 10**12)
        delays = Counter(
            next(n for n, most in enumerate(bounds) if ms <= most) for at, ms in self.delays if at >= since
        )
        return Figures(
            tuple(states),
            sum(max(0, end - max(begin, since)) for begin, end in self.crossed),
            tuple(counts[what] for what in Count),
            tuple(delays[n] for n in range(len(bounds))),
        )

    def runs(self) -> list[tuple[int, int, State, Cause | None]]:
        """Neighbours of one state joined."""
        found: list[tuple[int, int, State, Cause | None]] = []
        for begin, end, state, cause in self.times:
            if found and (found[-1][1], *found[-1][2:]) == (begin, state, cause):
                found[-1] = (found[-1][0], end, state, cause)
            else:
                found.append((begin, end, state, cause))
        return found


class World:
    """A ledger of a few streams beside their models."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self.clock = ManualClock(monotonic=7_000.0)
        self.ledger = Ledger(self.clock, Tally(), most)
        self.models: defaultdict[tuple[str, str], Model] = defaultdict(Model)
        self.records: dict[tuple[str, str], Any] = {}

    @property
    def now(self) -> int:
        return int(self.clock.monotonic() * 1000)

    def advance(self, ms: int) -> None:
        begin = self.now
        self.clock.advance(ms / 1000)
        self.ledger.beat()
        if self.now - begin <= UNOBSERVED_MS:
            for each in self.models.values():
                each.passed(begin, self.now)

    def do(self, key: tuple[str, str], what: str, value: Any) -> None:
        model, record = self.models[key], self.records.get(key)
        if what == "open":
            self.records[key] = self.ledger.venue(key[0]).open("spot", key[1])
            model.state = (State.CONNECTING, None)
        elif record is None:
            return
        elif what == "state":
            if value == (State.STALE, Cause.LATE) != model.state:
                model.counts.append((self.now, Count.LATE, 1))
            record.changed(*value)
            model.state = value
        elif what == "crossed":
            record.crossed(value)
            model.is_crossed = value
        elif what == "count":
            record.count(*value)
            model.counts.append((self.now, *value))
        elif what == "delay":
            record.delayed(value)
            model.delays.append((self.now, value))
        elif what == "degrade":
            record.degrade(value)
            model.degraded = model.degraded or value
        else:
            record.closed()
            del self.records[key]
            model.state, model.is_crossed = None, False

    def qualities(self) -> tuple[dict[tuple[str, str], StreamQuality], dict[str, VenueQuality]]:
        streams, venues = {}, {}
        for each in self.ledger.stream_quality():
            if isinstance(each, VenueQuality):
                venues[each.exchange] = each
            else:
                streams[each.exchange, each.name] = each
        return streams, venues


causes = st.sampled_from([None, Cause.GAP, Cause.LATE, Cause.SILENT, Cause.CROSSED])
things = st.one_of(
    st.tuples(st.just("open"), st.none()),
    st.tuples(st.just("close"), st.none()),
    st.tuples(st.just("state"), st.tuples(st.sampled_from(State), causes)),
    st.tuples(st.just("crossed"), st.booleans()),
    st.tuples(st.just("count"), st.tuples(st.sampled_from(Count), st.integers(1, 1_000))),
    st.tuples(st.just("delay"), st.integers(0, 100_000)),
    st.tuples(st.just("degrade"), st.sampled_from(Loss)),
)
keys = st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["a", "b", "c"]))
waits = st.one_of(st.integers(0, 9_999), st.integers(10_001, 3 * HOUR), st.just(0))
steps = st.lists(st.tuples(waits, st.integers(1, 400), keys, things), max_size=25)


@given(steps)
@settings(max_examples=200, deadline=None)
def test_the_ledger_says_what_happened(history: list[Any]) -> None:
    world = World()
    for wait, times, key, thing in history:
        for _ in range(times if 5_000 < wait <= UNOBSERVED_MS else 1):  # up to an hour that is observed
            world.advance(wait)
        world.do(key, *thing)
    streams, venues = world.qualities()
    opened = {key for _, _, key, thing in history if thing[0] == "open"}
    assert streams.keys() == opened
    for key, quality in streams.items():
        model = world.models[key]
        assert quality.hour == model.figures((world.now // MINUTE - 60) * MINUTE) or delays_apart(quality, model, world)
        assert quality.day == model.figures((world.now // HOUR - 24) * HOUR)
        assert quality.total == model.figures(0)
        assert (quality.state, quality.cause) == (model.state or (None, None))
        assert quality.degraded is model.degraded
        runs = [(each.begin, each.end or world.now, each.state, each.cause) for each in quality.runs]
        runs = [each for each in runs if each[0] < each[1]]
        known = [each for each in model.runs() if each[1] >= world.now - HOUR]
        assert runs == known
    for exchange, venue in venues.items():
        figures = [streams[key].total for key in streams if key[0] == exchange]
        for at, what in enumerate(Count):
            assert venue.total.counts[what] == sum(each.counts[at] for each in figures)
        assert venue.degraded == sum(1 for key in streams if key[0] == exchange and streams[key].degraded is not None)


def delays_apart(quality: StreamQuality, model: Model, world: World) -> bool:
    """The hour of delays goes by slots of five minutes."""
    expected, slot = model.figures((world.now // MINUTE - 60) * MINUTE), 5 * MINUTE
    delays = model.figures((world.now // slot - 12) * slot).delays
    rest = (expected.state_ms, expected.crossed_ms, expected.counts, delays)
    return rest == (quality.hour.state_ms, quality.hour.crossed_ms, quality.hour.counts, quality.hour.delays)


many_keys = st.tuples(st.sampled_from(["one", "two"]), st.sampled_from("abcdefgh"))


@given(st.lists(st.tuples(st.integers(0, 9_999), many_keys, things), max_size=80))
@settings(max_examples=150, deadline=None)
def test_who_is_forgotten_is_in_the_totals(history: list[Any]) -> None:
    world = World(most=3)
    for wait, key, thing in history:
        world.advance(wait)
        if thing[0] == "open" and key in world.records:
            continue
        world.do(key, *thing)
        assert world.ledger.streams() <= 3
    streams, venues = world.qualities()
    for exchange, venue in venues.items():
        models = [model for key, model in world.models.items() if key[0] == exchange]
        totals = [model.figures(0) for model in models]
        late = sum(each.counts[Count.LATE] for each in totals)
        for what in Count:
            if what is not Count.LATE:
                assert venue.total.counts[what] == sum(each.counts[what] for each in totals)
        assert venue.total.counts[Count.LATE] <= late  # the time of a stream that found no room is not kept
        assert venue.degraded == sum(model.degraded is not None for model in models)
        listed = [quality for key, quality in streams.items() if key[0] == exchange]
        assert venue.streams == len(listed)
        assert all(
            sum(each.total.state_ms[n] for each in listed) <= venue.total.state_ms[n] for n in range(len(STATE_WORDS))
        )
    for key, quality in streams.items():
        assert quality.degraded is world.models[key].degraded


def test_the_longest_unused_goes_first_and_none_that_is_used() -> None:
    world = World(most=3)
    for name in "abc":
        world.do(("one", name), "open", None)
    world.do(("one", "b"), "close", None)
    world.do(("one", "a"), "close", None)
    world.do(("one", "d"), "open", None)
    assert {name for _, name in world.qualities()[0]} == {"a", "c", "d"}
    world.do(("one", "a"), "open", None)
    world.do(("one", "e"), "open", None)  # all are in use
    world.do(("one", "e"), "count", (Count.GAPS, 7))
    streams, venues = world.qualities()
    assert {name for _, name in streams} == {"a", "c", "d"}
    assert venues["one"].total.counts[Count.GAPS] == 7 and venues["one"].added == 1


def test_degraded_is_for_life_also_where_the_stream_was_forgotten() -> None:
    world = World(most=1)
    world.do(("one", "a"), "open", None)
    world.do(("one", "a"), "degrade", Loss.TRADES_MISSING)
    world.do(("one", "a"), "degrade", Loss.CANDLES_MISSING)
    world.do(("one", "a"), "close", None)
    world.do(("one", "b"), "open", None)
    world.do(("one", "b"), "close", None)
    world.do(("one", "a"), "open", None)
    assert world.qualities()[0]["one", "a"].degraded is Loss.TRADES_MISSING
    assert world.records["one", "a"].degraded is Loss.TRADES_MISSING


def test_a_closed_stream_stays_closed_whoever_tells_of_it_late() -> None:
    world = World()
    world.do(("one", "a"), "open", None)
    record = world.records["one", "a"]
    world.do(("one", "a"), "close", None)
    record.changed(State.LIVE, None)
    record.crossed(True)
    world.advance(5_000)
    quality = world.qualities()[0]["one", "a"]
    assert quality.state is None and sum(quality.total.state_ms) == quality.total.crossed_ms == 0


@pytest.mark.parametrize("hours", [1, 3, 26, 60])
def test_windows_roll(hours: int) -> None:
    world = World()
    world.do(("one", "a"), "open", None)
    world.do(("one", "a"), "state", (State.LIVE, None))
    world.do(("one", "a"), "count", (Count.GAPS, 3))
    for _ in range(hours * 360 + 12):
        world.advance(10_000)
    quality = world.qualities()[0]["one", "a"]
    passed = hours * HOUR + 120_000
    assert quality.total.state_ms[0] == passed and quality.total.counts[Count.GAPS] == 3
    assert min(passed, HOUR) <= quality.hour.state_ms[0] <= HOUR + MINUTE
    assert min(passed, 24 * HOUR) <= quality.day.state_ms[0] <= 25 * HOUR
    assert quality.hour.counts[Count.GAPS] == 0
    assert quality.day.counts[Count.GAPS] == (3 if hours < 24 else 0)
    assert [each.state for each in quality.runs] == [State.LIVE]


def test_more_than_its_share_of_bytes_is_never_kept() -> None:
    world = World()
    world.do(("one", "a"), "open", None)
    record = world.records["one", "a"]
    for step in range(3_000):
        world.advance(1_000 + step % 7)
        record.changed(list(State)[step % 5], Cause.GAP)
        record.count(list(Count)[step % len(Count)])
        record.delayed(step)
        record.crossed(bool(step % 2))
    assert record.__sizeof__() < 16_000


def test_what_was_never_counted_takes_no_room() -> None:
    """Of a stream that was live for a day, told a few things of it."""
    world = World()
    world.do(("one", "a"), "open", None)
    record = world.records["one", "a"]
    record.changed(State.LIVE, None)
    for step in range(24 * 60):
        world.advance(MINUTE)
        record.delayed(step % 3)
    record.count(Count.DUPLICATES)
    assert record.__sizeof__() < 3_500

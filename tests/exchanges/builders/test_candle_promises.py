"""What the contract says of closed bars, against a naive venue, over random sequences of faults."""

from __future__ import annotations

from collections import Counter

from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Candle
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Bar
from cryptodash.exchanges.builders.bar_times import possible
from cryptodash.exchanges.builders.candles import CandleBuilder
from cryptodash.exchanges.builders.rest_candles import candles_of

MINUTE = 60_000
START = 1_700_000_040_000
TOPIC = Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.CANDLE, interval="1m")
ONE = Number("1")


@define
class NaiveVenue:
    """One trade a second. A bar's volume is the number of its trades; its close names the last one."""

    now: int = START + 500
    frames: list[Bar] = field(factory=list)
    """All it ever sent, oldest first."""

    def bar(self, opened: int, until: int) -> Bar:
        """The bar as it was at ``until``."""
        count = max(1, min(60, (until - opened) // 1000 + 1))
        return Bar("", opened, ONE, ONE, ONE, Number(str(opened // 1000 + count)), Number(str(count)))

    def final(self, opened: int) -> Bar:
        return self.bar(opened, opened + MINUTE)

    def send(self, *, closing: bool, flags: bool, times: bool) -> Bar:
        """A frame of the running bar; ``closing``: of the one before, with its last figures."""
        running = self.now - self.now % MINUTE
        bar = self.final(running - MINUTE) if closing else self.bar(running, self.now)
        frame = Bar(
            "s", bar.open_time, ONE, ONE, ONE, bar.close, bar.volume, closing if flags else None,
            self.now if times else None,
        )  # fmt: skip
        self.frames.append(frame)
        return frame

    def answer(self, limit: int) -> list[Bar]:
        """What REST says."""
        running = self.now - self.now % MINUTE
        return [self.bar(running - back * MINUTE, self.now) for back in range(limit - 1, -1, -1)]


@define
class Feed:
    """The builder between the venue and a client that checks the promises."""

    venue: NaiveVenue
    flags: bool
    times: bool
    skew: int
    """How far the venue's clock as we know it is off."""
    builder: CandleBuilder = field(factory=lambda: CandleBuilder(TOPIC))
    told: list[Candle] = field(factory=list)
    asked: int | None = None
    """How many bars the request on its way covers."""
    begun: int = 0
    """The first frame that may come once more. Without times an old one looks like any other, and a connection brings
    none of the one before."""

    @property
    def clock(self) -> int:
        return self.venue.now + self.skew

    def take(self, frame: Bar) -> None:
        candles, fetch = self.builder.bar(frame, self.venue.now, self.clock)
        self.tell(candles)
        if fetch and self.asked is None:  # else the request on its way answers this one as well
            self.asked = self.builder.missing

    def reconnect(self) -> None:
        self.builder.reconnected()
        if not self.times:
            self.begun = len(self.venue.frames)

    def look(self) -> None:
        missing = self.builder.look(self.clock)
        if missing and self.asked is None:
            self.asked = missing

    def rest(self, *, works: bool, future: bool = False, lag: bool = False) -> None:
        """The answer to the request on its way."""
        if self.asked is None:
            return
        limit, self.asked = self.asked + 2, None
        if not works:
            self.tell(self.builder.fetch_failed())
            return
        bars = self.venue.answer(limit)
        if lag:
            bars = bars[:-1]
        if future:
            bars.append(self.venue.bar(self.venue.now + 900 * MINUTE, self.venue.now + 900 * MINUTE))
        self.tell(self.builder.fetched(candles_of(TOPIC, possible(bars, self.clock), self.clock, self.venue.now)))

    def tell(self, candles: list[Candle]) -> None:
        for each in candles:
            self.told.append(each)
            assert each.timestamp % MINUTE == 0 and each.timestamp <= self.venue.now, "no bar before it has begun"
            final = self.venue.final(each.timestamp)
            closed = {bar.timestamp for bar in self.told[:-1] if bar.closed}
            if each.closed:
                assert each.timestamp + MINUTE <= self.venue.now, "no bar is closed before its end"
                assert each.timestamp not in closed, "a closed bar is told once"
                if self.flags or each.source == "rest":
                    assert (each.close, each.volume) == (final.close, final.volume), "with its last figures"
            else:
                assert each.timestamp not in closed, "what is closed does not run again"
                if not self.builder.is_waiting:
                    begun = min(bar.timestamp for bar in self.told)
                    lost = set(range(begun, each.timestamp, MINUTE)) - closed
                    assert not lost, "the bars before are told closed before the next one is live"


ENDS = ("minute", "lost minute", "storm", "slow rest")
"""Steps that end a minute themselves."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("frame",) * 6,
                *("minute",) * 3,
                *("lost minute",) * 3,
                "lost frame",
                "repeat",
                "late",
                "late close",
                "far future",
                "near future",
                "dated future",
                "reconnect",
                *("rest",) * 3,
                "rest fails",
                "rest, later",
                "rest lags",
                "look",
                "quiet",
                *("storm",) * 2,
                *("slow rest",) * 2,
                *("overdue",) * 2,
            )
        ),
        st.integers(0, 50),
    ),
    max_size=60,
)


def play(feed: Feed, steps: list[tuple[str, int]]) -> None:
    venue = feed.venue

    def pass_time(ms: int) -> None:
        venue.now += ms

    def frame(*, lost: bool = False, closing: bool = False) -> None:
        sent = venue.send(closing=closing and feed.flags, flags=feed.flags, times=feed.times)
        if not lost:
            feed.take(sent)

    def end_minute(*, lost: bool) -> None:
        pass_time(MINUTE - venue.now % MINUTE - 1)
        if not feed.flags:
            frame(lost=lost)
            if lost:
                feed.reconnect()
        pass_time(6)
        if feed.flags:
            frame(closing=True, lost=lost)

    frame()
    minute = venue.now // MINUTE
    for step, number in steps:
        pass_time(200 + 10 * number)
        if step == "frame":
            frame()
        elif step in ("minute", "lost minute"):
            end_minute(lost=step == "lost minute")
        elif step == "lost frame":
            frame(lost=True)
        elif step in ("repeat", "late", "late close"):
            known = [each for each in venue.frames[feed.begun :] if each.closed or step != "late close"]
            if known:
                feed.take(known[-1] if step == "repeat" else known[-1 - number % min(len(known), 5)])
        elif step.endswith("future"):
            feed.take(odd(venue, step, number, flags=feed.flags, times=feed.times))
        elif step == "reconnect":
            feed.reconnect()
        elif step.startswith("rest"):
            feed.rest(works=step != "rest fails", future=step == "rest, later", lag=step == "rest lags")
        elif step == "look":
            feed.look()
        elif step == "storm":
            end_minute(lost=True)
            for _ in range(number):
                pass_time(300)
                frame()
                feed.rest(works=False)
        elif step == "slow rest":
            for _ in range(number % 7):
                end_minute(lost=True)
                frame()
            feed.rest(works=True)
        elif step == "overdue":
            pass_time(MINUTE - venue.now % MINUTE + 6_000)
            feed.look()
            feed.rest(works=number % 5 != 0, future=number % 2 == 0, lag=number % 3 == 0)
        elif step == "quiet":
            for _ in range(2 * number):
                pass_time(500)
                feed.look()
                feed.rest(works=number % 3 != 0)
        if (
            venue.now // MINUTE > minute
            and not feed.flags
            and step not in ("minute", "lost minute", "storm", "slow rest")
        ):
            feed.reconnect()  # without a flag only an interruption tells that the last frames of a bar are missing
        minute = venue.now // MINUTE


def odd(venue: NaiveVenue, step: str, number: int, *, flags: bool, times: bool) -> Bar:
    """A bar that has not begun: in ten minutes or more, in the next minute, or with a time of its own to match."""
    ahead = number + (1 if step == "near future" and times else 10)
    opened = venue.now - venue.now % MINUTE + ahead * MINUTE
    written = opened + 1 if step == "dated future" else venue.now
    closed = (number % 2 == 0 and step == "far future") if flags else None
    return Bar("s", opened, ONE, ONE, ONE, Number("9"), Number("9"), closed, written if times else None)


def settle(feed: Feed) -> None:
    """REST works again, frames come now and then, and time passes."""
    feed.reconnect()
    for number in range(600):
        feed.venue.now += 500
        if number % 10 == 0:
            if feed.venue.now % MINUTE < 5_000:
                feed.reconnect()
            feed.take(feed.venue.send(closing=False, flags=feed.flags, times=feed.times))
        feed.look()
        feed.rest(works=True)


@example(
    steps=[("storm", 0), ("minute", 0), ("lost minute", 0), ("quiet", 24), ("frame", 0)],
    flags=False,
    times=False,
    skew=0,
)
@example(
    # A frame of before the interruption comes once more after it: it does not show that nothing was missed.
    steps=[("minute", 0), ("overdue", 0), ("repeat", 0), ("frame", 0)],
    flags=False,
    times=True,
    skew=0,
)
@given(steps=STEPS, flags=st.booleans(), times=st.booleans(), skew=st.sampled_from((0, 0, 300, -300, -90_000)))
@settings(max_examples=400, deadline=None)
def test_closed_bars_are_always_told_and_once(
    steps: list[tuple[str, int]], flags: bool, times: bool, skew: int
) -> None:
    feed = Feed(NaiveVenue(), flags, times, skew)
    play(feed, steps)
    settle(feed)
    told = Counter(each.timestamp for each in feed.told if each.closed)
    first = min(each.timestamp for each in feed.told)
    last = feed.venue.now - feed.venue.now % MINUTE
    patience = 2 * MINUTE if skew > -MINUTE else 4 * MINUTE
    assert set(range(first, last - patience, MINUTE)) <= set(told), "every closed bar"
    assert max(told.values()) == 1, "once"
    assert feed.told[-1].timestamp >= last - MINUTE and feed.builder.refused < len(steps) + 1

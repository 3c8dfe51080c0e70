"""No wrong value live: what is shown as live was true, follows what was shown before, and is not long replaced."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from attrs import define

from cryptodash.core import time as core_time
from tests.chaos.history import Place, Tape
from tests.chaos.plan import Plan
from tests.chaos.subscriptions import GOOD, Subscription, Told, Violation
from tests.chaos.venues import TRADES_BY_TIME, UNNUMBERED_QUOTES

PATIENCE = 9.0
"""Seconds that a value may lag behind the market before it is called stale: at the run's settings a silence is told
after at most twice ``STALE_AFTER_S``, and some streams have usual intervals of a second."""

MOMENT = 0.02
"""Seconds: what is replaced at once, by the rest of what was sent with it, was on show for nobody."""
parse_time = lru_cache(maxsize=65536)(core_time.parse_time)


class Excuses:
    """What a plan's troubles make of the times within which something must be so."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def lateness(self, place: Place, at: float) -> float:
        """Seconds by which what comes from the venue is late."""
        exchange, market, symbol = place
        late = [
            each.amount
            for each in self._plan.troubles
            if each.name in ("slow", "net/delay")
            and each.concerns(exchange, market, symbol)
            and each.begin <= at <= each.end + 15.0
        ]
        return max(late, default=0.0)

    def reordered(self, subscription: Subscription, venues: Sequence[str]) -> tuple[tuple[float, float], ...]:
        """Times in which what comes of one of these venues may come in another order, and nobody can tell."""
        return tuple(
            (each.begin, each.end + self.patience(subscription, each.end))
            for each in self._plan.troubles
            if each.name == "reorder" and each.exchange in venues and each.concerns(*subscription.place)
        )

    def trades_disordered(self, subscription: Subscription) -> tuple[tuple[float, float], ...]:
        """Times in which trades may come in another order, and their times say nothing of it."""
        exchange, market, _ = subscription.place
        if (exchange, market) not in TRADES_BY_TIME:
            return ()
        steps = [each.begin for each in self._plan.troubles if (each.name, each.exchange) == ("clock", exchange)]
        changed = self.reordered(subscription, (exchange,))
        return tuple((begin, end) for begin, end in changed if any(begin <= step <= end for step in steps))

    def patience(self, subscription: Subscription, at: float, part: Place | None = None) -> float:
        """Seconds by which a value that is shown at a time may lag; ``part``: the instrument that it is of, where the
        channel is derived of several."""
        client = subscription.connection.client
        reading = 0.0 if client.rate is None else client.kernel / client.rate + 2.0  # its kernel holds it meanwhile
        own = client.delay + client.jitter + subscription.period + reading
        place = part or subscription.place
        exchange = place[0]
        stalled = [
            each.seconds
            for each in self._plan.troubles
            if (each.name, each.exchange) == ("net/stall", exchange)
            and each.end <= at + 0.5 <= each.end + 3.0 + reading
        ]
        # One that stands still can tell its clients nothing; of the others each says what it knows within two seconds.
        stalled += [end - begin for begin, end in self._plan.stalls(client.name) if begin <= at <= end + 3.0 + reading]
        return PATIENCE + own + self.lateness(place, at) + max(stalled, default=0.0)

    def seed_lead(self, subscription: Subscription, at: float) -> float:
        """Seconds by which a REST answer, which begins a quote, may be ahead of the stream that follows it."""
        return self.patience(subscription, at) - PATIENCE + 0.6


class Past:
    """Values one after the other, each from a time on: when one was true, and which comes next."""

    def __init__(self, values: Sequence[tuple[float, Hashable]]) -> None:
        self.starts = [at for at, _ in values]
        self._indexes: dict[Hashable, list[int]] = {}
        for index, (_, value) in enumerate(values):
            self._indexes.setdefault(value, []).append(index)

    def begin_of_step(self, index: int) -> int:
        """The first value of the same moment."""
        return bisect_left(self.starts, self.starts[index])

    def next(self, value: Hashable, index: int, until: float) -> int | None:
        """The first time at or after ``index`` that it was this value; None: never, or not by ``until``."""
        found = self._indexes.get(value)
        if found is None:
            return None
        place = bisect_left(found, index)
        return found[place] if place < len(found) and self.starts[found[place]] <= until + 1e-6 else None

    def was(self, value: Hashable, since: float, until: float) -> bool:
        """Whether it was this value at any moment between these times."""
        first = max(0, bisect_right(self.starts, since) - 1)
        found = self._indexes.get(value, [])
        place = bisect_left(found, first)
        return place < len(found) and self.starts[found[place]] <= until

    def last_before(self, value: Hashable, until: float) -> float:
        """When it was replaced the last time before ``until``; for messages."""
        found = [each for each in self._indexes.get(value, []) if self.starts[each] <= until]
        index = found[-1] + 1 if found else 0
        return self.starts[index] if index < len(self.starts) else until


@define
class Showing:
    """What a client knows of a channel as messages come."""

    state: str = ""
    fields: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.state in GOOD

    def take(self, told: Told) -> None:
        if told.kind == "status":
            self.state = told.payload["state"]
            self.fields = tuple(told.payload.get("fields", ()))


def spans(subscription: Subscription, kinds: Sequence[str]) -> Iterator[tuple[Told, Showing, float]]:
    """Each value, status and ``again``, how the channel was then, and until when that was on show. What came before an
    ``again`` is not on show any more: the answer brings the status first and the value right behind it."""
    wanted = (*kinds, "status", "again")
    told = [each for each in subscription.told if each.kind in wanted and each.at <= subscription.end]
    showing = Showing()
    for index, each in enumerate(told):
        showing.take(each)
        yield each, showing, told[index + 1].at if index + 1 < len(told) else subscription.end


def ended(subscription: Subscription, excuses: Excuses) -> float:
    return min(subscription.end, excuses._plan.seconds)


def check_ticker(subscription: Subscription, tape: Tape, excuses: Excuses) -> list[Violation]:
    """Bid and ask are a pair of best levels, in order; last the price of a trade, in order; neither long replaced. Of a
    ``bbo`` bid and ask alone."""
    return list(_TickerCheck(subscription, tape, excuses).run())


@define
class _TickerCheck:
    subscription: Subscription
    tape: Tape
    excuses: Excuses

    def run(self) -> Iterator[Violation]:
        quotes, lasts = _pasts(self.tape)
        said, kind = self.tape.said, self.subscription.kind
        reordered = self.excuses.reordered(self.subscription, UNNUMBERED_QUOTES)
        disordered = self.excuses.trades_disordered(self.subscription)
        last = [_Part(lasts, "last", disordered=disordered)] if kind == "ticker" else []
        parts = [_Part(quotes, "bid", reordered=reordered), *last]
        blame, end = self.subscription.blame, ended(self.subscription, self.excuses)
        timestamp, begun = 0, 0.0
        for told, showing, until in spans(self.subscription, (kind,)):
            until = min(until, end)
            if told.kind != kind:
                begun = told.at
            if told.kind == "again":
                for part in parts:
                    part.value = None
            elif told.kind == kind:
                payload = told.payload
                time = parse_time(payload["timestamp"])
                if time < timestamp and not self._venue_clock_went_back(told.at):
                    yield blame("live", told.at, f"timestamp goes back from {timestamp} to {time}")
                timestamp = time
                pair: Any = tuple(said(str(payload.get(name))) for name in ("bid", "ask", "bid_size", "ask_size"))
                for part, value in zip(parts, (pair, said(str(payload.get("last")))), strict=False):
                    lead = self.excuses.seed_lead(self.subscription, told.at)
                    wrong = part.show(value, told.at, showing, lead if told.at < begun + lead + 3.0 else 0.0)
                    if wrong:
                        yield blame("live", told.at, wrong)
            if until - told.at < MOMENT:
                continue
            for part in parts:
                wrong = part.overdue(until, self.excuses.patience(self.subscription, until), showing)
                if wrong:
                    yield blame("live", until, wrong)

    def _venue_clock_went_back(self, at: float) -> bool:
        return any(
            each.name == "clock" and each.exchange == self.subscription.place[0] and at > each.begin
            for each in self.excuses._plan.troubles
        )


@define
class _Part:
    """One part of a ticker: the quote, or the last price."""

    past: Past
    name: str
    value: Hashable = None
    index: int = 0
    blamed: bool = False
    absent: float | None = None
    """Since when there is no such part."""
    reordered: tuple[tuple[float, float], ...] = ()
    """Times in which two values of one moment may come in either order."""
    disordered: tuple[tuple[float, float], ...] = ()
    """Times in which values may come in any order."""

    def show(self, value: Hashable, at: float, showing: Showing, lead: float) -> str:
        """``lead``: seconds by which what was shown before may have been ahead."""
        self.value = value
        if value in _ABSENT:
            self.absent = at if self.absent is None else self.absent
            return ""  # it says nothing yet; that it goes on so is told by ``overdue``
        self.absent = None
        # Trades of one moment have one time: a 24 h ticker's last price may be ahead of the stream's within it.
        of_one_moment = self.name == "last" or any(begin <= at <= end for begin, end in self.reordered)
        first = self.past.begin_of_step(self.index) if of_one_moment else self.index
        found = self.past.next(value, first, at)
        if found is not None:
            self.index = max(found, self.index)
            return ""
        if not showing.good or self.name in showing.fields:
            return ""
        if any(begin <= at <= end for begin, end in self.disordered) and self.past.was(value, at - PATIENCE, at):
            return ""
        if lead and self.past.was(value, at - lead, at):
            self.index = self.past.next(value, max(0, bisect_right(self.past.starts, at - lead) - 1), at) or self.index
            return ""
        return f"{self.name}: {value} was never so, or is older than what was shown before"

    def overdue(self, until: float, patience: float, showing: Showing) -> str:
        if showing.state != "live" or self.name in showing.fields or self.value is None:
            self.blamed = self.blamed and showing.state == "live"
            return ""
        if self.absent is not None and until - self.absent < patience:
            return ""
        if self.past.was(self.value, until - patience, until):
            self.blamed = False
            return ""
        if self.blamed:
            return ""
        self.blamed = True
        return f"{self.name}: {self.value} was replaced at {self.past.last_before(self.value, until):.3f}"


_ABSENT = ("None", ("None",) * 4)


def _pasts(tape: Tape) -> tuple[Past, Past]:
    cached = _PASTS.get(id(tape))
    if cached is None or cached[0] is not tape:
        if len(_PASTS) >= 16:  # one run's
            _PASTS.clear()
        cached = _PASTS[id(tape)] = (tape, Past(tape.quotes), Past(tape.lasts))
    return cached[1], cached[2]


_PASTS: dict[int, tuple[Tape, Past, Past]] = {}

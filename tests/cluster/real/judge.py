"""Judges what clients of several processes were shown, by the promises of ``tests/chaos/invariants``: values against
every truth of the last two seconds and of the time in which the client's process did not answer."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from tests.chaos.history import History, Place, Tape
from tests.chaos.invariants import books, candles, trades, values
from tests.chaos.plan import Plan, Trouble, VenueLine
from tests.chaos.subscriptions import Subscription, Violation, sorted_out
from tests.cluster.real.watcher import Watcher

PATIENCE_S: Final = 2.0
"""What is shown as live was true so long ago, at most, and longer by the measured stall."""
ON_THE_WAY_S: Final = 0.3
"""What was heard last of a holder was itself under way, and so is the word of it to the client."""
CANDLE_PACE_S: Final = 2.0
"""Between two frames of a running bar."""
TRADE_ON_THE_WAY_S: Final = 2.0
_OF_TRADES: Final = 5.0
"""What the judge of trades takes off the patience to have what is on the way."""
PATIENCES_S: Final = (0.5, 1.0, 1.5, PATIENCE_S, 2.1, 2.2, 2.3, 2.4, 2.5, 3.0, 4.0, 6.0, 10.0)
"""Of which the least is looked for that nothing live exceeds."""


class MeasuredExcuses(values.Excuses):
    """No trouble excuses anything but a stall, and that for as long as it was measured."""

    def __init__(self, plan: Plan, seconds: float) -> None:
        super().__init__(plan)
        self._seconds = seconds

    def patience(self, subscription: Subscription, at: float, part: Place | None = None) -> float:
        stalls = self._plan.stalls(subscription.connection.client.name)
        stalled = max((end - begin for begin, end in stalls if begin <= at <= end + 1.0), default=0.0)
        return self._seconds + subscription.period + stalled

    def seed_lead(self, subscription: Subscription, at: float) -> float:
        return self.patience(subscription, at) - self._seconds + 0.6


@frozen
class Judgement:
    """``backwards``: where something newer had been shown before. ``suffices``: the patience (s) with which nothing was
    too old; above ``PATIENCE_S`` where something was.
    ``judged``: how many messages of each kind there were, of all channels; ``stalled`` the longest stall (s)."""

    violations: Sequence[Violation]
    backwards: Sequence[Violation]
    suffices: float
    judged: Counter[str]
    gaps: Counter[str]
    stalled: float

    def words(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.judged.items()))
        return (
            f"judged {kinds}; gaps {dict(self.gaps)}; longest stall {self.stalled:.2f} s;"
            f" nothing live is older than {self.suffices:g} s + stall; {len(self.violations)} violations,"
            f" {len(self.backwards)} went back"
        )


def judge(watchers: Sequence[Watcher], tapes: dict[Place, Tape], processes: int, now: float) -> Judgement:
    """``watchers`` in the order of the processes that they are at."""
    stalls = [(number, begin, end) for number, each in enumerate(watchers) for begin, end in each.stalls(now)]
    plan = Plan(
        seed=0,
        origin_ms=0,
        wall_skew_ms=0,
        wall_ppm=0,
        lines={exchange: VenueLine(0.0, 0.05, False, 0, 0) for exchange in {place[0] for place in tapes}},
        troubles=tuple(
            Trouble("process/stop", begin, end - begin, amount=number % processes) for number, begin, end in stalls
        ),
        clients=tuple(each.plan for each in watchers),
        seconds=now,
        processes=processes,
    )
    connections = [each for watcher in watchers for each in watcher.connections()]
    # What has been asked this moment has no answer yet: for the judges it ends here.
    ended = [evolve(each, ended=now) if each.ended is None else each for each in connections]
    history = History(plan, ended, tapes)
    subscriptions, found = sorted_out(history)
    judged = [*found, *_violations(subscriptions, tapes, plan, PATIENCE_S + ON_THE_WAY_S)]
    place = bisect_left(
        PATIENCES_S,
        True,
        key=lambda patience: not any(map(_is_old, _violations(subscriptions, tapes, plan, patience))),
    )
    suffices = PATIENCES_S[place] if place < len(PATIENCES_S) else float("inf")
    by_channel = {(each.connection.client.name, each.name): each for each in subscriptions}
    backwards = [each for each in judged if _went_back(each, by_channel.get((each.client, each.channel)), tapes)]
    violations = [each for each in judged if each not in backwards]
    told = [each for subscription in subscriptions for each in subscription.told]
    return Judgement(
        sorted(violations, key=lambda each: each.at),
        backwards,
        suffices,
        Counter(each.kind for each in told if each.kind != "again"),
        Counter(str(each.payload.get("reason")) for each in told if each.kind == "gap"),
        max((end - begin for _, begin, end in stalls), default=0.0),
    )


def _is_old(violation: Violation) -> bool:
    """Whether it is about a value that was true once, and shown as live for too long."""
    what = violation.what.removesuffix("or is older than what was shown before")
    return violation.invariant == "live" and (" older than " in what or " replaced at " in what)


def _went_back(violation: Violation, subscription: Subscription | None, tapes: dict[Place, Tape]) -> bool:
    """Whether what was shown had been true within the patience, and something newer had been shown before."""
    if subscription is None or violation.invariant != "live":
        return False
    if violation.what.startswith("the view goes back"):
        return True
    tape = tapes[subscription.place]
    if violation.what.endswith("or was so before what was shown"):
        bars = values.Past([(at, (bar.start, bar.values)) for at, bar in tape.bars])
        payload = next(each.payload for each in subscription.told if each.at == violation.at and each.kind == "candle")
        bar = tuple(tape.said(str(payload[name])) for name in ("open", "high", "low", "close", "volume"))
        said = (values.parse_time(payload["timestamp"]), bar)
        return bars.was(said, violation.at - PATIENCE_S - CANDLE_PACE_S, violation.at)
    if " older than what was shown before" not in violation.what:
        return False
    part = violation.what.partition(":")[0]
    past = values.Past(tape.quotes if part == "bid" else tape.lasts)
    shown = next(each.payload for each in subscription.told if each.at == violation.at and each.kind == "ticker")
    names = ("bid", "ask", "bid_size", "ask_size") if part == "bid" else ("last",)
    told = tuple(tape.said(str(shown.get(name))) for name in names)
    return past.was(told if part == "bid" else told[0], violation.at - PATIENCE_S, violation.at)


def _violations(
    subscriptions: Sequence[Subscription], tapes: dict[Place, Tape], plan: Plan, seconds: float
) -> list[Violation]:
    found: list[Violation] = []
    for each in subscriptions:
        tape = tapes[each.place]
        if each.kind == "ticker":
            found += values.check_ticker(each, tape, MeasuredExcuses(plan, seconds))
        elif each.kind == "order_book":
            found += books.check(each, tape, MeasuredExcuses(plan, seconds))
        elif each.kind == "candle":
            found += candles.check(each, tape, MeasuredExcuses(plan, seconds + CANDLE_PACE_S))
        else:
            found += trades.check(each, tape, MeasuredExcuses(plan, _OF_TRADES + TRADE_ON_THE_WAY_S))
    return found

"""Candles: a running bar was so, a closed one is final, and each is closed once and none is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.history import Tape
from tests.chaos.invariants.values import MOMENT, Excuses, Past, ended, parse_time, spans
from tests.chaos.resuming import Resumed
from tests.chaos.subscriptions import Subscription, Violation
from tests.chaos.venues import UNTIMED_BARS

MINUTE = 60_000


def check(subscription: Subscription, tape: Tape, excuses: Excuses) -> list[Violation]:
    return list(_CandleCheck(subscription, tape, excuses).run())


class _CandleCheck:
    def __init__(self, subscription: Subscription, tape: Tape, excuses: Excuses) -> None:
        self._subscription, self._tape, self._excuses = subscription, tape, excuses
        self._past = Past([(at, (bar.start, bar.values)) for at, bar in tape.bars])
        self._closed: dict[int, None] = {}
        self._running: int | None = None
        self._index = 0
        self._shown: tuple[int, tuple[str, ...]] | None = None
        self._blamed = False
        self._reordered = excuses.reordered(subscription, UNTIMED_BARS)
        # Bars of a venue whose clock is set overlap or have holes: which of them is true is another question.
        self._clock_stepped = any(
            each.name == "clock" and each.exchange == subscription.place[0] for each in excuses._plan.troubles
        )

    def run(self) -> Iterator[Violation]:
        blame, end = self._subscription.blame, ended(self._subscription, self._excuses)
        for told, showing, until in spans(self._subscription, ("candle", "gap")):
            if told.kind == "again":
                self._again(told.payload.get("resumed"))
                continue
            if told.kind == "gap":
                if told.payload.get("reason") == "expired":
                    self._again(None)
                elif told.payload.get("reason") in ("recording", "resume"):
                    self._running = None  # some bars are missing, and those that it has come no more
                continue
            if told.kind == "candle":
                payload = told.payload
                start = parse_time(payload["timestamp"])
                values = tuple(
                    self._tape.said(str(payload[name])) for name in ("open", "high", "low", "close", "volume")
                )
                # A closed bar that was fetched late, behind the running one, is none that says how things are now, nor
                # are those that come at first, before the running one.
                if not payload["closed"] or (self._shown is not None and start >= self._shown[0]):
                    self._shown = (start, values)
                for invariant, wrong in self._take(start, values, payload, showing.good, told.at):
                    yield blame(invariant, told.at, wrong)
            until = min(until, end)
            if until - told.at < MOMENT:
                continue  # bars that come together: the earlier ones are over
            if showing.state != "live" or self._shown is None:
                self._blamed = False
            elif not self._blamed:
                patience = self._excuses.patience(self._subscription, until)
                if not self._clock_stepped and not self._past.was(self._shown, until - patience, until):
                    self._blamed = True
                    yield blame("live", until, f"the bar {self._shown} is older than {until - patience:.3f}")

    def _again(self, resumed: Resumed | None) -> None:
        """The running bar comes anew, and behind what the client has the closed ones."""
        self._closed = dict.fromkeys(sorted(map(parse_time, resumed.had))) if resumed is not None else {}
        self._running = next(reversed(self._closed), None)
        self._shown = None

    def _take(
        self, start: int, values: tuple[str, ...], payload: Mapping[str, Any], good: bool, at: float
    ) -> Iterator[tuple[str, str]]:
        if payload["closed"]:
            if start in self._closed and not payload.get("corrected"):
                yield "candles", f"the bar of {start} was closed already"
            true = self._tape.closed.get(start)
            if true is not None and true != values and not self._clock_stepped:
                yield "candles", f"closed bar of {start}: {values} instead of {true}"
            self._closed[start] = None
        elif good:
            if start in self._closed:
                yield "candles", f"the bar of {start} goes on although it was closed"
            found = self._past.next((start, values), self._index, at)
            if found is None and any(begin <= at <= end for begin, end in self._reordered):
                return
            if found is None and not self._clock_stepped:
                yield "live", f"the bar of {start} never was {values}, or was so before what was shown"
            elif found is not None:
                self._index = found
        if good and self._running is not None and start > self._running and not self._clock_stepped:
            for left_out in range(self._running, start, MINUTE):
                if left_out not in self._closed and left_out not in self._tape.empty:
                    yield "candles", f"the bar of {start} comes and that of {left_out} was not closed"
        if self._running is None or start > self._running:
            self._running = start

"""Books: deltas fit, and what a client builds of them is the book's best levels at the view's own time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from cryptodash.hub.view_interval import interval_for
from tests.chaos.history import Tape
from tests.chaos.invariants.values import MOMENT, Excuses, Showing, ended, parse_time, spans
from tests.chaos.subscriptions import Subscription, Told, Violation
from tests.chaos.venues import UNTIMED_BOOK_FRAMES

Side = dict[str, str]
_NEAR_MS = 8_000
"""By how much a snapshot may be off its own time: a REST answer that overtook the stream."""
_ESTIMATED_MS = 500
"""By how much the time of a frame may be off that has none of its own, beyond the line's delay."""
_INTERVAL_MS = 100
"""How often a view is published at most, at the run's settings."""
_RECENT = 25.0
"""Seconds back in which it is looked for."""


def check(subscription: Subscription, tape: Tape, excuses: Excuses) -> list[Violation]:
    return list(_BookCheck(subscription, tape, excuses).run())


class _BookCheck:
    def __init__(self, subscription: Subscription, tape: Tape, excuses: Excuses) -> None:
        self._subscription, self._tape, self._excuses = subscription, tape, excuses
        self._depth = int(subscription.name.split(":")[4])
        self._sides: tuple[Side, Side] = ({}, {})
        self._sequence: int | None = None
        self._index = 0
        """The step of the market at which what was told last was true."""
        self._still = 0
        """A later step at which what is on show was true as well, as far as that was looked for."""
        self._by_time: dict[int, list[int]] = {}
        for index, time in enumerate(tape.times):
            self._by_time.setdefault(time, []).append(index)
        self._blamed = False
        self._behind = 0.0
        """Seconds by which the next view may be older than what was shown before."""

    def run(self) -> Iterator[Violation]:
        blame, end = self._subscription.blame, ended(self._subscription, self._excuses)
        for told, showing, until in spans(self._subscription, ("order_book_snapshot", "order_book_delta")):
            if told.kind == "again":
                self._again(told)
            elif told.kind != "status":
                payload, self._still = told.payload, 0
                is_snapshot = told.kind == "order_book_snapshot"
                unfit = self._take_snapshot(payload) if is_snapshot else self._take_delta(payload)
                self._sequence = int(payload["sequence"])
                if unfit:
                    yield blame("deltas", told.at, unfit)
                elif showing.good:
                    wrong = self._judge(payload, is_snapshot, told.at)
                    if wrong:
                        yield blame("live", told.at, wrong)
                else:
                    self._find(parse_time(payload["timestamp"]), is_snapshot, told.at)
            if min(until, end) - told.at < MOMENT:
                continue
            wrong = self._overdue(min(until, end), showing)
            if wrong:
                yield blame("live", min(until, end), wrong)

    def _again(self, told: Told) -> None:
        self._sides, self._sequence = ({}, {}), None
        rate = told.payload.get("max_rate")
        # Another rate may be another view: its snapshot is as it was published last, at most an interval ago.
        line = self._excuses._plan.lines[self._subscription.place[0]]
        self._behind = 0.0 if rate is None else interval_for(_INTERVAL_MS, rate) / 1000 + line.jitter

    def _take_snapshot(self, payload: Mapping[str, Any]) -> str:
        said = self._tape.said
        self._sides = (
            {said(level["price"]): said(level["quantity"]) for level in payload["bids"]},
            {said(level["price"]): said(level["quantity"]) for level in payload["asks"]},
        )
        fewest = min(map(len, self._sides))
        if payload["complete"] is not (fewest >= self._depth):
            return f"complete is {payload['complete']} with {fewest} of {self._depth} levels"
        return ""

    def _take_delta(self, payload: Mapping[str, Any]) -> str:
        if self._sequence is None:
            return "a delta before any snapshot"
        said = self._tape.said
        for side, name in zip(self._sides, ("bids", "asks"), strict=True):
            for price in payload["deletes"][name]:
                if side.pop(said(price), None) is None:
                    return f"deletes {price}, which is not there"
            for level in payload[f"{name}_upserts"]:
                side[said(level["price"])] = said(level["quantity"])
            if len(side) > self._depth:
                return f"{len(side)} {name} in a view of depth {self._depth}"
        sequence = int(payload["sequence"])
        return "" if sequence == self._sequence + 1 else f"sequence {sequence} after {self._sequence}"

    def _judge(self, payload: Mapping[str, Any], is_snapshot: bool, at: float) -> str:
        if not all(self._sides):
            return "a side without a level"
        found = self._find(parse_time(payload["timestamp"]), is_snapshot, at)
        if found is None:
            return f"the view is not the book of {payload['timestamp']}"
        behind, self._behind = self._behind, 0.0
        if found < self._index and self._tape.steps[found] < self._tape.steps[self._index] - behind - 1e-6:
            return f"the view goes back from {self._tape.steps[self._index]:.3f} to {self._tape.steps[found]:.3f}"
        self._index = found
        return ""

    def _find(self, time: int, is_snapshot: bool, at: float) -> int | None:
        """The step of that venue time at which the book was as it is shown."""
        candidates = self._by_time.get(time, [])
        for index in candidates:
            if index >= self._index and self._is_at(index):
                return index
        for index in candidates:
            if self._is_at(index):
                return index
        if is_snapshot:
            return self._near(time, at, _NEAR_MS)
        if self._subscription.place[0] in UNTIMED_BOOK_FRAMES:
            return self._near(time, at, _ESTIMATED_MS + int(1000 * self._excuses.lateness(self._subscription.place, at)))
        return None

    def _near(self, time: int, at: float, within: int) -> int | None:
        """A step of about that venue time: a snapshot is made between two steps, or ahead of the stream it joins."""
        for index in range(bisect_right(self._tape.steps, at) - 1, -1, -1):
            if abs(self._tape.times[index] - time) <= within and self._is_at(index):
                return index
            if self._tape.steps[index] < at - _RECENT:
                break
        return None

    def _is_at(self, index: int) -> bool:
        for shown, levels in zip(self._sides, self._tape.books[index], strict=True):
            count = len(shown)
            for price, size in levels[:count]:
                if shown.get(price) != size:
                    return False
            if count > len(levels):
                return False
        return True

    def _overdue(self, until: float, showing: Showing) -> str:
        if showing.state != "live" or self._sequence is None or not all(self._sides):
            self._blamed = False
            return ""
        limit = until - self._excuses.patience(self._subscription, until)
        steps = self._tape.steps
        if steps[max(self._index, self._still)] >= limit or self._blamed:
            return ""
        first = max(0, bisect_right(steps, limit) - 1)
        for index in range(min(bisect_right(steps, until), len(steps)) - 1, first - 1, -1):
            if self._is_at(index):
                self._still = index
                return ""
        self._blamed = True
        return f"the view, true at {steps[self._index]:.3f}, is older than {limit:.3f}"

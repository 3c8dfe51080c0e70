"""Clients that come back by cursor, over all their connections: each trade once, in order, and none left out, but where
a gap says so; and a gap only where the server was not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.chaos.history import History, Tape
from tests.chaos.invariants.values import parse_time
from tests.chaos.plan import Plan
from tests.chaos.subscriptions import Violation, name_of, name_told

AT_THE_END = 12.0
"""Seconds before the end of a run of whose trades nothing is asked: a client may be away."""
AROUND = 14.0
"""Seconds around the time without a process in which a gap may be: what a kill tears off, and until another has taken
over, or the topics are recorded again."""


class _Got(NamedTuple):
    at: float
    message: Mapping[str, Any]


def check(history: History) -> list[Violation]:
    if not history.plan.recorded:
        return []
    found: list[Violation] = []
    for client, channels in _by_client(history).items():
        for name, got in channels.items():
            tape = history.tapes.get((*name.split(":")[:3],))  # type: ignore[arg-type]
            if tape is not None:
                found += [
                    Violation("resumed", client, name, at, what) for at, what in _Check(tape, history.plan).run(got)
                ]
    return found


def _by_client(history: History) -> dict[str, dict[str, list[_Got]]]:
    """Trades and their gaps by client and channel, of those that always resume."""
    found: dict[str, dict[str, list[_Got]]] = {}
    for connection in history.connections:
        if not connection.client.resumes:
            continue
        channels = found.setdefault(connection.client.name, {})
        for event in connection.events:
            if event.kind != "got":
                continue
            message = event.value
            if message["type"] == "trade":
                channels.setdefault(name_told(message), []).append(_Got(event.at, message))
            elif message["type"] == "gap" and message["payload"]["channel"]["channel_type"] == "trade":
                channels.setdefault(name_of(message["payload"]["channel"]), []).append(_Got(event.at, message))
    return found


class _Check:
    def __init__(self, tape: Tape, plan: Plan) -> None:
        self._tape, self._plan = tape, plan
        self._index = {trade.id: index for index, trade in enumerate(tape.trades)}
        self._last = -1
        """The newest that the client has, by its place among all trades."""
        self._gap: _Got | None = None
        """Since then."""
        self._seen: dict[str, None] = {}

    def run(self, got: Sequence[_Got]) -> Iterator[tuple[float, str]]:
        for each in got:
            if each.message["type"] == "gap":
                yield from self._take_gap(each)
            else:
                yield from self._trade(each)
        yield from self._at_the_end()

    def _take_gap(self, each: _Got) -> Iterator[tuple[float, str]]:
        self._gap = each
        reason = each.message["payload"]["reason"]
        if not self._is_explained(each):
            yield each.at, f"a gap ({reason}) where nothing was missing"

    def _trade(self, each: _Got) -> Iterator[tuple[float, str]]:
        identity = str(each.message["payload"]["id"])
        index = self._index.get(identity)
        if index is None:
            return  # of before the run
        if identity in self._seen:
            yield each.at, f"trade {identity} came again"
            return
        self._seen[identity] = None
        if self._last >= 0 and index != self._last + 1 and self._gap is None:
            yield (
                each.at,
                f"after trade {self._tape.trades[self._last].id} comes {identity}: {index - self._last - 1} left out",
            )
        self._last, self._gap = max(index, self._last), None

    def _at_the_end(self) -> Iterator[tuple[float, str]]:
        until = self._plan.seconds - AT_THE_END
        left = [trade for trade in self._tape.trades[self._last + 1 :] if trade.at < until]
        if self._last >= 0 and left and self._gap is None:
            yield left[0].at, f"{len(left)} trades never came"

    def _is_explained(self, each: _Got) -> bool:
        """Whether a process was not there between the two trades around it."""
        payload = each.message["payload"]
        trades = self._tape.trades
        begin = trades[self._last].at if self._last >= 0 else 0.0
        end = each.at
        if "to" in payload:
            to = parse_time(str(payload["to"]))
            end = next((trade.at for trade in trades[max(0, self._last) :] if trade.time == to), end)
        return any(
            trouble.begin - AROUND <= end and begin <= trouble.end + AROUND
            for trouble in self._plan.troubles
            if trouble.name.startswith("process/")
        )

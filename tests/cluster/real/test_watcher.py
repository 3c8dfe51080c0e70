"""How long a process took to answer a client, or the client stood still itself, by what the client keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from tests.chaos.history import Connection, Event, Request
from tests.chaos.plan import ClientPlan
from tests.cluster.real.watcher import stalls_of

PONG: Final = {"type": "info", "payload": {"message": "pong"}}
PLAN: Final = ClientPlan("client 0", "fast", (), delay=0.0, resumes=True)


def connection(pings: Iterable[tuple[float, float | None]], ended: float | None = None) -> Connection:
    """Pings: when each was sent, and when it was answered; None: it was not."""
    events = [Event(sent, "sent", Request("ping")) for sent, _ in pings]
    events += [Event(at, "got", PONG) for _, at in pings if at is not None]
    return Connection(PLAN, 0.0, sorted(events, key=lambda each: each.at), ended=ended)


ON_TIME: Final = tuple((quarter / 4, quarter / 4 + 0.01) for quarter in range(1, 9))


@pytest.mark.parametrize(
    ("pings", "ended", "stalls"),
    [
        (ON_TIME, None, []),
        (ON_TIME, 2.1, []),
        ((*ON_TIME, (2.25, 3.0), (2.5, 3.0), (2.75, 3.0)), 3.05, [(2.25, 3.0), (2.5, 3.0), (2.75, 3.0)]),
        ((*ON_TIME, (2.25, None)), 2.4, [(2.25, 2.4)]),
        ((*ON_TIME, (4.75, 4.76)), None, [(2.25, 4.75)]),
        ((*ON_TIME, (2.3, 2.31), (2.58, 2.59)), None, []),
    ],
    ids=["on time", "ended", "answered late", "not answered", "stood still", "a little late"],
)
def test_a_stall_is_a_late_answer_or_a_late_ping(
    pings: Iterable[tuple[float, float | None]], ended: float | None, stalls: list[tuple[float, float]]
) -> None:
    made = connection(pings, ended)
    assert list(stalls_of(made, until=made.events[-1].at + 0.2)) == stalls


def test_a_client_that_stands_still_at_the_end_is_told_too() -> None:
    """What is judged is judged after that: what it was shown last was shown until now."""
    assert list(stalls_of(connection(ON_TIME), until=6.0)) == [(2.25, 6.0)]

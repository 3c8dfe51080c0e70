"""A client of one process that keeps all it got and when, knows how each channel is, and measures how long the process
takes to answer, and how long it stood still itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from twisted.internet.task import LoopingCall

from tests.chaos.clients import Client
from tests.chaos.history import Connection, Request
from tests.chaos.plan import ClientPlan
from tests.chaos.subscriptions import GOOD, name_of

PING_S: Final = 0.25
SLOW_S: Final = 0.1
"""An answer that takes longer is a stall, and so is a ping that is later."""


class Watcher(Client):
    """``names`` are those of channels, as ``binance:spot:BTC-USDT:ticker``."""

    def __init__(self, name: str, reactor: Any, port: int, names: Sequence[str]) -> None:
        super().__init__(ClientPlan(name, "fast", (), delay=0.0, resumes=True), reactor, port, 0)
        self.names = names
        self.states: dict[str, str] = {}
        self.good_since: dict[str, float] = {}
        self.bad: dict[str, list[tuple[float, str]]] = {}
        """By channel: when it was told to be bad, and why."""
        self._pings = LoopingCall(self._ping)
        self._pings.clock = reactor
        self._pings.start(PING_S, now=False)

    def begin_watching(self) -> None:
        """Connect, if it is not, and subscribe: with the cursors it has."""
        self.states.clear()
        self.good_since.clear()
        self.connect(())

    def buildProtocol(self, address: object) -> Any:
        peer = super().buildProtocol(address)
        self._say("subscribe", tuple(self.names))
        return peer

    def _ping(self) -> None:
        if self.peer is not None and self.peer._open:
            self.peer.say(Request("ping"))

    def took(self, message: Mapping[str, Any]) -> None:
        super().took(message)
        if message["type"] != "status":
            return
        payload = message["payload"]
        name, state, now = name_of(payload["channel"]), payload["state"], self.network.seconds()
        if state in GOOD:
            if self.states.get(name) not in GOOD:
                self.good_since[name] = now
        else:
            self.good_since.pop(name, None)
            self.bad.setdefault(name, []).append((now, f"{state}({payload.get('cause', '')})"))
        self.states[name] = state

    def not_good(self) -> list[str]:
        """Channels that are not good, or of which nothing was told yet."""
        if self.peer is None:
            return list(self.names)
        return [each for each in self.names if each not in self.good_since]

    def bad_after(self, at: float) -> dict[str, list[str]]:
        """What was told of channels that were not good since then."""
        found = {name: [what for when, what in told if when >= at] for name, told in self.bad.items()}
        return {name: told for name, told in found.items() if told}

    def stalls(self, until: float) -> Iterator[tuple[float, float]]:
        """When the process took long to answer, or the client stood still: from, to."""
        for connection in self.connections():
            yield from stalls_of(connection, until)

    def stop(self) -> None:
        if self._pings.running:
            self._pings.stop()
        self.abort()


def stalls_of(connection: Connection, until: float) -> Iterable[tuple[float, float]]:
    """Of one connection: pings that were answered late, or not by its end; and times in which a ping was due and not
    sent. Then the client did not read either, and what it was shown was as old as that: no process can help it."""
    sent: list[float] = []
    pings: list[float] = []
    for event in connection.events:
        if event.kind == "sent" and event.value.op == "ping":
            sent.append(event.at)
            pings.append(event.at)
        elif event.kind == "got" and sent and is_pong(event.value):
            begin = sent.pop(0)
            if event.at - begin > SLOW_S:
                yield begin, event.at
    end = until if connection.ended is None else connection.ended
    yield from ((begin, end) for begin in sent if end - begin > SLOW_S)
    for before, after in pairwise([*pings, end]):
        if after - (before + PING_S) > SLOW_S:
            yield before + PING_S, after


def is_pong(message: Mapping[str, Any]) -> bool:
    return message["type"] == "info" and str(message["payload"].get("message", "")).lower().startswith("pong")

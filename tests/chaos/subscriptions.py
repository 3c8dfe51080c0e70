"""What a client was sent, sorted: each connection's messages by channel, from the answer to the subscribe to that of
the unsubscribe. What fits nowhere breaks the promise that a client gets what it asked for and nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attrs import define, field

from tests.chaos.history import Connection, History, Request
from tests.chaos.resuming import Remembered

GOOD = ("live", "quiet")
_CHANNELS = {
    "ticker": "ticker",
    "bbo": "bbo",
    "trade": "trade",
    "candle": "candle",
    "order_book_snapshot": "order_book",
    "order_book_delta": "order_book",
}
_ANSWERS = {"Subscribed": "subscribe", "Unsubscribed": "unsubscribe", "Resynced": "resync", "Pong": "ping"}
PROMPT_KINDS = ("fast", "changing", "reconnecting")
ANSWER_WITHIN = 1.5
"""Seconds, beyond the line's own delay, within which a client that reads and sends at once has its answer."""


class Violation(NamedTuple):
    """A promise that was broken: ``invariant`` is one of ``invariants.ALL``."""

    invariant: str
    client: str
    channel: str
    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.at:.3f} {self.client} {self.channel}: {self.what}"


class Told(NamedTuple):
    """One message of a channel: ``kind`` is its type, or ``again`` where the channel was subscribed once more or
    resynced; ``payload`` then holds its new ``max_rate`` (0: none), if that is another than before, and as ``resumed``
    what the client had, if it gave a cursor."""

    at: float
    kind: str
    payload: Mapping[str, Any]


@define
class Subscription:
    """A channel on one connection, while it was subscribed. ``period`` is the greatest ``1 / max_rate`` it had (s),
    ``rate`` its newest ``max_rate`` (0: none)."""

    connection: Connection
    name: str
    begin: float
    end: float = float("inf")
    period: float = 0.0
    rate: float | None = None
    told: list[Told] = field(factory=list)
    ended_by_answer: bool = False

    @property
    def place(self) -> tuple[str, str, str]:
        exchange, market, symbol = self.name.split(":")[:3]
        return exchange, market, symbol

    @property
    def kind(self) -> str:
        return self.name.split(":")[3]

    @property
    def is_prompt(self) -> bool:
        """Whether its client reads everything at once."""
        return self.connection.client.kind in (*PROMPT_KINDS, "trickling") and not self.connection.frozen

    def blame(self, invariant: str, at: float, what: str) -> Violation:
        return Violation(invariant, self.connection.client.name, self.name, at, what)


def name_of(channel: Mapping[str, Any]) -> str:
    symbol = channel["symbol"]
    detail = channel.get("interval") or channel.get("depth")
    pair = f"{symbol['base']}-{symbol['quote']}" if isinstance(symbol, dict) else symbol
    name = f"{channel['exchange']}:{channel['market_type']}:{pair}:{channel['channel_type']}"
    return f"{name}:{detail}" if detail else name


def name_told(message: Mapping[str, Any]) -> str:
    """The name of the channel of which the message tells a value; empty for all others."""
    kind = message["type"]
    return name_of({**message["payload"], "channel_type": _CHANNELS[kind]}) if kind in _CHANNELS else ""


class _Sorter:
    """One connection's messages, in order. ``remembered``: what its client has."""

    def __init__(self, connection: Connection, remembered: Remembered, stalls: Sequence[tuple[float, float]]) -> None:
        self.connection = connection
        self._stalls = stalls
        """When the process that it is connected to stood still."""
        self._remembered = remembered
        self.found: list[Subscription] = []
        self.violations: list[Violation] = []
        self._active: dict[str, Subscription] = {}
        self._expecting: dict[str, str] = {}
        """Channels whose status must come before their value."""
        self._requests: deque[tuple[float, Request]] = deque()
        self._is_hostile = connection.client.kind == "hostile"
        self._greeted = False
        self._closed = False

    def sort(self) -> None:
        for event in self.connection.events:
            if event.kind == "sent":
                self._requests.append((event.at, event.value))
            elif event.kind == "got":
                self._take(event.at, event.value)
            elif event.kind == "closed":
                self._closed = True
            elif event.kind == "broken":
                self._blame(event.at, "", f"a frame of kind {event.value}")
        over = self._over()
        for subscription in self._active.values():
            subscription.end = over
        self._unanswered(over)

    def _over(self) -> float:
        ends = [self.connection.ended, self.connection.frozen, self.connection.stopped_reading]
        ends += [event.at for event in self.connection.events if event.kind in ("left", "closed")]
        return min((each for each in ends if each is not None), default=float("inf"))

    def _blame(self, at: float, channel: str, what: str) -> None:
        self.violations.append(Violation("asked", self.connection.client.name, channel, at, what))

    def _take(self, at: float, message: Mapping[str, Any]) -> None:
        kind, payload = message["type"], message["payload"]
        if self._closed:
            self._blame(at, "", f"{kind} after the close frame")
        if not self._greeted:
            self._greeted = True
            if not str(payload.get("message", "")).startswith("Connected to"):
                self._blame(at, "", f"{kind} before the greeting")
            return
        if kind == "info":
            self._answer(at, payload)
        elif kind == "error":
            if not self._is_hostile:
                self._blame(at, "", f"an error: {payload.get('message')}")
        elif kind in ("status", "gap"):
            self._told(at, kind, name_of(payload["channel"]), payload)
        elif name := name_told(message):
            self._remembered.take(at, name, kind, payload)
            self._told(at, kind, name, payload)
        else:
            self._blame(at, "", f"a message of type {kind}")

    def _told(self, at: float, kind: str, name: str, payload: Mapping[str, Any]) -> None:
        subscription = self._active.get(name)
        if subscription is None:
            self._blame(at, name, f"{kind} of a channel that is not subscribed")
            return
        if kind == "status":
            self._expecting.pop(name, None)
        elif name in self._expecting:
            self._blame(at, name, f"{kind} before the status that answers the {self._expecting.pop(name)}")
        subscription.told.append(Told(at, kind, payload))

    def _answer(self, at: float, payload: Mapping[str, Any]) -> None:
        first = str(payload.get("message", "")).split(" ")[0]
        op = _ANSWERS.get(first, "list" if "channels" in payload else "")
        while self._requests and self._requests[0][1].op != op:
            _, skipped = self._requests.popleft()
            if not self._is_hostile:
                self._blame(at, "", f"answer to {op} before that to {skipped.op}")
        if not self._requests:
            if not self._is_hostile:
                self._blame(at, "", f"an answer that nobody asked for: {payload.get('message')}")
            return
        sent, request = self._requests.popleft()
        client = self.connection.client
        if client.kind in PROMPT_KINDS and at - sent > self._patience(sent, at):
            self._blame(at, "", f"{op} was answered after {at - sent:.2f} s")
        getattr(self, f"_{op}", lambda *_: None)(at, payload, sent, request)

    def _subscribe(self, at: float, payload: Mapping[str, Any], sent: float, request: Request) -> None:
        names = request.names
        accepted = {name_of(each) for each in payload["accepted"]}
        wanted = {each.partition("@")[0] for each in names}
        if accepted != wanted:
            self._blame(at, "", f"accepted {sorted(accepted ^ wanted)} differently from what was asked")
        periods = {each.partition("@")[0]: each.partition("@")[2] for each in names}
        since = {each.partition("@")[0] for each in request.since}
        for name in sorted(accepted):
            subscription = self._active.get(name)
            if subscription is None:
                subscription = self._active[name] = Subscription(self.connection, name, at)
                self.found.append(subscription)
            rate = float(periods.get(name) or 0)
            if rate:
                subscription.period = max(subscription.period, 1 / rate)
            is_other = subscription.rate not in (None, rate)
            subscription.rate = rate
            changed: dict[str, Any] = {"max_rate": rate} if is_other else {}
            if name in since:
                changed["resumed"] = self._remembered.resumed(name, sent)
            self._again(at, subscription, "subscribe", changed)

    def _resync(self, at: float, payload: Mapping[str, Any], sent: float, request: Request) -> None:
        for name in sorted({each.partition("@")[0] for each in request.names}):
            if name in self._active:
                self._again(at, self._active[name], "resync", {})

    def _again(self, at: float, subscription: Subscription, op: str, changed: Mapping[str, Any]) -> None:
        subscription.told.append(Told(at, "again", changed))
        self._expecting[subscription.name] = op

    def _unsubscribe(self, at: float, payload: Mapping[str, Any], sent: float, request: Request) -> None:
        for name in {each.partition("@")[0] for each in request.names}:
            subscription = self._active.pop(name, None)
            self._expecting.pop(name, None)
            if subscription is not None:
                subscription.end, subscription.ended_by_answer = at, True

    def _patience(self, sent: float, until: float) -> float:
        """Seconds in which an answer comes to a client that reads and sends at once."""
        client = self.connection.client
        stalled = sum(end - begin for begin, end in self._stalls if begin <= until and end >= sent - client.delay)
        return ANSWER_WITHIN + 3 * client.delay + 2 * client.jitter + stalled

    def _unanswered(self, over: float) -> None:
        """Requests without an answer, on a connection that went on."""
        client = self.connection.client
        for sent, request in self._requests:
            within = self._patience(sent, over)
            if client.kind in PROMPT_KINDS and request.op != "attack" and sent + within < over:
                self._blame(sent, "", f"{request.op} was not answered")
        for name, op in self._expecting.items():
            began = max((told.at for told in self._active[name].told if told.kind == "again"), default=over)
            if client.kind in PROMPT_KINDS and began + self._patience(began, over) < over:
                self._blame(began, name, f"no status after the {op}")


def sorted_out(history: History) -> tuple[list[Subscription], list[Violation]]:
    """All subscriptions of a run, and what broke the promise ``asked``."""
    found: list[Subscription] = []
    violations: list[Violation] = []
    remembered: dict[str, Remembered] = {}
    for connection in history.connections:
        name = connection.client.name
        sorter = _Sorter(connection, remembered.setdefault(name, Remembered()), history.plan.stalls(name))
        sorter.sort()
        found += sorter.found
        violations += sorter.violations
    return found, violations

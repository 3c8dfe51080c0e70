"""The client library's state, driven by the very frames that a client of the run got, over its connections: what it
calls live was so, and not long ago; it is never fresher than the server says; it goes on from the right cursor.

The requests of the crowd have no ids and the library's have: each answer is given the one of its request. Some of the
clients are judged once more on a line that loses and repeats deltas, which TCP does not do.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from cryptodash.client.book import Book
from cryptodash.client.channels import Channel
from cryptodash.client.decoding import digits
from cryptodash.client.state import ClientState
from cryptodash.client.subscription import Subscription as Held
from cryptodash.client.values import Bbo, Candle, Liquidation, Ticker, Trade
from tests.chaos.history import Connection, Event, History, Request, Tape
from tests.chaos.invariants.books import _BookCheck
from tests.chaos.invariants.values import _ABSENT, Excuses, Showing, _pasts, parse_time
from tests.chaos.plan import channel_of
from tests.chaos.subscriptions import _ANSWERS, Subscription, Violation

LOSSY_KINDS = ("changing", "reconnecting")
LOST = 0.004
"""The share of deltas that such a line loses, and of those that it repeats."""
_LOOK_EVERY = 1.0
"""Seconds between two looks at everything that is called live, while nothing comes."""
_MOMENT = 0.02
_LIVE = Showing("live")


def check(history: History) -> list[Violation]:
    return judge(history)[0]


def judge(history: History) -> tuple[list[Violation], Counter[str]]:
    """What was wrong, and how often something was called live and looked at, by the type of its channel."""
    by_client: dict[str, list[Connection]] = {}
    for each in history.connections:
        if each.client.kind != "hostile":
            by_client.setdefault(each.client.name, []).append(each)
    looks: Counter[str] = Counter()
    found: list[Violation] = []
    for name, connections in by_client.items():
        if not any(each.frames for each in connections):
            continue  # it was told nothing, or is a scene that somebody wrote, without the text of what came
        runs = [_Run(history, connections, None, looks)]
        if connections[0].client.kind in LOSSY_KINDS:
            runs.append(_Run(history, connections, Random(f"{history.plan.seed}:{name}:loss"), looks))
        for run in runs:
            found += run.violations()
    return found, looks


class _Run:
    """One client, over all its connections. ``loss``: decides what of them is lost on the way."""

    def __init__(
        self, history: History, connections: Sequence[Connection], loss: Random | None, looks: Counter[str]
    ) -> None:
        self._history, self._connections, self._loss, self._looks = history, connections, loss, looks
        self._excuses = Excuses(history.plan)
        self._now = 0.0
        self._state = ClientState(lambda: self._now, pings=False)
        self._requests: deque[tuple[str, int | None]] = deque()
        self._early: list[Request] = []
        self._greeted = False
        self._judges: dict[str, _Judge] = {}
        self._told: dict[str, dict[str, None]] = {}
        self._unheard: set[str] = set()
        """Cursors of what came when the client of the run had left already: it took them, the library does not."""
        self._found: list[Violation] = []

    def violations(self) -> list[Violation]:
        connections = self._connections
        for number, connection in enumerate(connections):
            self._close()
            following = connections[number + 1].opened if number + 1 < len(connections) else float("inf")
            self._requests.clear()
            self._early.clear()
            self._greeted = False
            frames = iter(connection.frames)
            for event in connection.events:
                frame = next(frames) if event.kind == "got" else b""
                if event.at < following:
                    self._pass_until(event.at)
                    self._take(event, frame, connection)
                elif event.kind == "got":
                    self._unheard.add(_cursor_of(event.value))
            if connection.frozen is None and connection.stopped_reading is None:
                self._close()
            self._pass_until(min(following, self._history.plan.seconds))
        return self._found

    def _pass_until(self, at: float) -> None:
        """Look at everything while time goes on."""
        while self._now < at:
            long = at - self._now > _LOOK_EVERY
            self._now = self._now + _LOOK_EVERY if long else at
            if long:
                for held in self._state.subscriptions.values():
                    self._look(held, came=False)

    def _close(self) -> None:
        """It is told that the connection has ended: nothing is live from then on."""
        if not self._state.link.is_up:
            return
        self._state.closed()
        for held in self._state.subscriptions.values():
            if held.freshness.live:
                self._blame(str(held.channel), "live without a connection")

    def _take(self, event: Event, frame: bytes, connection: Connection) -> None:
        state = self._state
        if event.kind == "opened":
            state.opened()
        elif event.kind in ("left", "closed") and connection.frozen != event.at:
            self._close()
        elif event.kind == "sent":
            if self._greeted:
                self._ask(event.value)
            else:
                self._early.append(event.value)
        elif event.kind == "got" and state.link.is_up:
            self._receive(event.value, frame)
        elif event.kind == "got":
            self._unheard.add(_cursor_of(event.value))

    def _receive(self, message: Mapping[str, Any], frame: bytes) -> None:
        kind, state = message["type"], self._state
        if kind == "info" and self._greeted:
            frame = self._with_id(message["payload"], frame)
        times = 1
        if kind == "order_book_delta" and self._loss is not None:
            chance = self._loss.random()
            times = 0 if chance < LOST else 2 if chance < 2 * LOST else 1
        for _ in range(times):
            for told in state.received(frame):
                if isinstance(told, Trade | Liquidation | Candle):
                    self._once(told)
                if isinstance(told, Book | Bbo):
                    if isinstance(told, Book) and kind != "status" and str(told.channel) in self._judges:
                        self._judges[str(told.channel)].is_snapshot = kind == "order_book_snapshot"
                    self._look(state.subscriptions[told.channel.key], came=True)
        if kind == "status":
            self._compare(message["payload"])
        if kind == "info" and not self._greeted:
            self._greeted = True
            state.frames_to_send()
            early, self._early = self._early, []
            for request in early:
                self._ask(request)

    def _ask(self, request: Request) -> None:
        """What the client of the run asked for, the library asks for as well; it is sent nowhere."""
        state = self._state
        channels = [_channel(name) for name in request.names]
        if request.op == "subscribe":
            state.subscribe(channels)
            for name in request.names:
                self._begin(name)
        elif request.op == "unsubscribe":
            state.unsubscribe(channels)
            for channel in channels:
                self._told.pop(str(channel), None)  # another subscription begins with the recent ones again
        elif request.op == "resync":
            state.resync(channels)
        sent = [json.loads(each) for each in state.frames_to_send()]
        own = [each for each in sent if each["op"] == request.op]
        self._requests.append((request.op, own[-1]["id"] if own else None))
        for name, cursor in request.since.items() if own else ():
            channel = _channel(name)
            since = [each.get("since", cursor) for each in own[-1]["channels"] if each == {**each, **channel.wire()}]
            if since != [cursor] and cursor not in self._unheard:
                self._blame(name, f"goes on from {since}, though {cursor} was the last")

    def _with_id(self, payload: Mapping[str, Any], frame: bytes) -> bytes:
        first = str(payload.get("message", "")).split(" ")[0]
        op = _ANSWERS.get(first, "list" if "channels" in payload else "")
        while self._requests:
            asked, number = self._requests.popleft()
            if asked == op:
                return frame if number is None else frame.replace(b'"payload":{', b'"payload":{"id":%d,' % number, 1)
        return frame

    def _begin(self, name: str) -> None:
        name, _, rate = name.partition("@")
        held = self._state.subscriptions[_channel(name).key]
        judge = self._judges.get(str(held.channel))
        if judge is None:
            judge = self._judges[str(held.channel)] = _Judge(
                Subscription(self._connections[0], name, self._now),
                self._history.tapes.get((held.channel.exchange, held.channel.market_type, held.channel.symbol)),
                self._excuses,
            )
        judge.subscription.period = max(judge.subscription.period, 1 / float(rate) if rate else 0.0)

    def _blame(self, name: str, what: str) -> None:
        lossy = "" if self._loss is None else " (with losses)"
        self._found.append(Violation("client", self._connections[0].client.name, name, self._now, what + lossy))

    def _once(self, told: Trade | Liquidation | Candle) -> None:
        if isinstance(told, Candle) and (not told.closed or told.corrected):
            return
        identity = str(told.timestamp if isinstance(told, Candle) else told.id)
        seen = self._told.setdefault(str(told.channel), {})
        if identity in seen:
            self._blame(str(told.channel), f"{identity} is told twice")
        seen[identity] = None

    def _compare(self, payload: Mapping[str, Any]) -> None:
        """Never fresher than the server says."""
        held = self._state._find(payload["channel"])
        if held is None:
            return
        fresh, said = held.freshness, payload["state"]
        if fresh.live and said != "live":
            self._blame(str(held.channel), f"live, and the server says {said}")
        if "age_ms" not in payload:
            return
        at_least = int(payload["age_ms"]) / 1000
        named = payload.get("fields")
        age = fresh.fields_age if named else fresh.age
        if age is None or age < at_least - 1e-6:
            self._blame(str(held.channel), f"age {age}, and the server says {at_least}")

    def _look(self, held: Held, *, came: bool) -> None:
        """At what a program would be shown now, if it is called live."""
        judge = self._judges.get(str(held.channel))
        if judge is None or judge.tape is None or self._now > self._history.plan.seconds:
            return
        shown = held.book or held.newest
        if not isinstance(shown, Book | Bbo) or not shown.live:
            return
        self._looks[held.channel.channel_type] += 1
        for wrong in judge.of_book(shown, self._now, came) if isinstance(shown, Book) else judge.of(shown, self._now):
            self._blame(str(held.channel), wrong)


class _Judge:
    """What was true of one channel."""

    def __init__(self, subscription: Subscription, tape: Tape | None, excuses: Excuses) -> None:
        self.subscription, self.tape, self._excuses = subscription, tape, excuses
        self._book = _BookCheck(subscription, tape, excuses) if tape and subscription.kind == "order_book" else None
        self.is_snapshot = False
        """Whether the book's newest frame was one."""

    def of_book(self, book: Book, at: float, came: bool) -> Iterator[str]:
        """Its levels are those of its own time, and were so not long ago."""
        check, tape = self._book, self.tape
        assert check is not None and tape is not None
        sides = ({}, {})  # type: tuple[dict[str, str], dict[str, str]]
        for side, levels in zip(sides, (book.bids, book.asks), strict=True):
            side.update({tape.said(digits(price)): tape.said(digits(size)) for price, size in levels})
        check._sides, check._sequence = sides, book.sequence
        bid, ask = book.best_bid, book.best_ask
        if bid is None or ask is None or bid.price >= ask.price:
            yield f"live, with {bid} and {ask}"
        elif came:
            check._still = 0
            found = check._find(parse_time(book.timestamp), self.is_snapshot, at)
            if found is None:
                yield f"the book that is live is not that of {book.timestamp}"
            else:
                check._index = found
        wrong = check._overdue(at, _LIVE)
        if wrong:
            yield f"called live: {wrong}"

    def of(self, shown: Bbo, at: float) -> Iterator[str]:
        """A best quote, and the last price, that were so not long ago."""
        tape = self.tape
        assert tape is not None
        quotes, lasts = _pasts(tape)
        since = at - self._excuses.patience(self.subscription, at) - _MOMENT
        members = (shown.bid, shown.ask, shown.bid_size, shown.ask_size)
        pair = tuple("None" if each is None else tape.said(digits(each)) for each in members)
        stale = shown.freshness.fields
        if pair not in _ABSENT and "bid" not in stale and not quotes.was(pair, since, at):
            yield f"called live: {pair} was never so, or is long replaced"
        if isinstance(shown, Ticker) and shown.last is not None and "last" not in stale:
            last = tape.said(digits(shown.last))
            if not lasts.was(last, since, at):
                yield f"called live: last {last} was never so, or is long replaced"


def _cursor_of(message: Mapping[str, Any]) -> str:
    return str(message["payload"].get("cursor", ""))


def _channel(name: str) -> Channel:
    wire = channel_of(name)
    symbol = wire.pop("symbol")
    text = f"{symbol['base']}-{symbol['quote']}" if isinstance(symbol, dict) else symbol
    return Channel(**{**wire, "symbol": text})

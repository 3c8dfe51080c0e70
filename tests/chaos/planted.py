"""Planted errors: each is a small change to the server, or to the client library, that breaks one promise, half of them
by when something happens.
A search that does not find them would find nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import msgspec
from attrs import evolve, frozen

from cryptodash.api import private_names
from cryptodash.api.fanout.conflation import ConflationQueue
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.fanout.slow_clients import SlowClients
from cryptodash.api.ws.held_channels import HeldChannels
from cryptodash.api.ws.socket import ClientProtocol
from cryptodash.client.book import Book
from cryptodash.client.freshness import Freshness as ClientFreshness
from cryptodash.client.freshness import Link
from cryptodash.client.state import ClientState
from cryptodash.client.subscription import Subscription
from cryptodash.core.events import BookView, Candle, Gap, Side, Ticker, Trade
from cryptodash.exchanges.adapter.plan import Purpose
from cryptodash.exchanges.connections import stream_phase
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.reconnect import Retry
from cryptodash.exchanges.connections.stream_phase import Phase, Signal
from cryptodash.exchanges.service import VenueService
from cryptodash.exchanges.subscriptions import streams
from cryptodash.hub import book_view
from cryptodash.hub.book_view import View
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.hub.cache import Cache
from cryptodash.hub.demand import Demand
from cryptodash.hub.freshness import Freshness
from cryptodash.hub.outlets import Outlets
from cryptodash.hub.replay_buffers import Replay
from cryptodash.hub.tape_replay import TapeReplay

Change = tuple[Any, str, Callable[[Any], Any]]
"""An owner, the name of one of its members, and what is made of that."""


@frozen
class Planted:
    """``invariant`` is the promise that it breaks, ``timed`` whether it does so by when something happens. ``changes``
    makes them anew for each run, for some count."""

    name: str
    invariant: str
    timed: bool
    changes: Callable[[], Sequence[Change]]

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, member, make in self.changes():
                before = owner[member] if isinstance(owner, dict) else owner.__dict__[member]
                stack.callback(_set, owner, member, before)
                _set(owner, member, make(before))
            yield


def _set(owner: Any, member: Any, value: Any) -> None:
    if isinstance(owner, dict):
        owner[member] = value
    else:
        setattr(owner, member, value)


def _replaced(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _events(kind: type, change: Callable[[Any, int], Sequence[Any]]) -> Callable[[], Sequence[Change]]:
    """What the hub is told in place of the n-th event of a kind."""

    def changes() -> Sequence[Change]:
        number = count(1)

        def make(publish: Any) -> Any:
            def changed(self: Any, event: Any) -> None:
                for each in change(event, next(number)) if type(event) is kind else (event,):
                    publish(self, each)

            return changed

        return [(Broadcaster, "publish", make)]

    return changes


def _every(nth: int, change: Callable[[Any], Sequence[Any]]) -> Callable[[Any, int], Sequence[Any]]:
    return lambda event, number: (event,) if number % nth else change(event)


def _changed(event: Any, **members: Any) -> Sequence[Any]:
    return (msgspec.structs.replace(event, **members),)


def _late(kind: type, seconds: float) -> Callable[[], Sequence[Change]]:
    """Events of a kind reach the hub so much later."""

    def changes() -> Sequence[Change]:
        waiting: dict[Any, deque[tuple[float, Any]]] = {}

        def make(publish: Any) -> Any:
            def changed(self: Any, event: Any) -> None:
                if type(event) is not kind:
                    publish(self, event)
                    return
                now, queue = self._clock.monotonic(), waiting.setdefault(event.topic, deque())
                queue.append((now, event))
                while queue and queue[0][0] <= now - seconds:
                    publish(self, queue.popleft()[1])

            return changed

        return [(Broadcaster, "publish", make)]

    return changes


def _after(seconds: float) -> Callable[[Any], Any]:
    """A method of a session's that is called later."""

    def make(method: Any) -> Any:
        def later(self: Any, *arguments: Any) -> None:
            reactor = self._fanout._reactor if isinstance(self, HeldChannels) else self.clients.reactor
            reactor.callLater(seconds, method, self, *arguments)

        return later

    return make


def _quote_twice() -> Sequence[Change]:
    before: dict[Any, Any] = {}

    def change(event: Any, number: int) -> Sequence[Any]:
        old, before[event.topic] = before.get(event.topic), event
        return (event, old) if old is not None and not number % 25 else (event,)

    return _events(Ticker, change)()


def _lost_deltas() -> Sequence[Change]:
    number = count(1)

    def make(advance: Any) -> Any:
        def changed(self: Any) -> Any:
            message = advance(self)
            is_delta = message is not None and message.kind == "order_book_delta"
            return None if is_delta and not next(number) % 60 else message

        return changed

    return [(View, "advance", make)]


def _swapped_deltas() -> Sequence[Change]:
    number, held = count(1), dict[int, Any]()

    def make(deliver: Any) -> Any:
        def changed(self: Any, message: Any) -> None:
            if message.kind == "order_book_delta" and id(self) not in held and not next(number) % 60:
                held[id(self)] = message
                return
            deliver(self, message)
            if message.kind == "order_book_delta" and id(self) in held:
                deliver(self, held.pop(id(self)))

        return changed

    return [(Outlets, "deliver", make)]


def _no_deletes() -> Sequence[Change]:
    return [(book_view, "side_changes", lambda changes: lambda old, new: (changes(old, new)[0], []))]


def _values_first() -> Sequence[Change]:
    def make(both: Any) -> Any:
        def changed(self: Any, delivery: Any, unsent: int = 0) -> Any:
            status, *values = both(self, delivery, unsent)
            return iter([*values, status])

        return changed

    return [(ConflationQueue, "_status_and_values", make)]


def _replays_from(places: int) -> Callable[[], Sequence[Change]]:
    """Who comes back is told what it missed from so many events later on."""

    def make(init: Any) -> Any:
        def changed(self: Any, buffer: Any, cursor: Any) -> None:
            init(self, buffer, cursor)
            if self.is_complete:
                self._place = min(max(buffer.first, self._place + places), buffer.end)

        return changed

    return lambda: [(Replay, "__init__", make)]


def _wall_ages() -> Sequence[Change]:
    begun: dict[int, float] = {}

    def make(_: Any) -> Any:
        def age(self: Any, topic: Any) -> int | None:
            confirmed = self._upstreams[topic.exchange].confirmed_at(topic.upstream)
            now = self._clock.wall_ms() / 1000
            offset = begun.setdefault(id(self), now - self._clock.monotonic())
            return None if confirmed is None else max(0, round((now - offset - confirmed) * 1000))

        return age

    return [(Freshness, "age_ms", make)]


def _age(change: Callable[[int], int]) -> Callable[[], Sequence[Change]]:
    def make(age_ms: Any) -> Any:
        def changed(self: Any, topic: Any) -> int | None:
            age = age_ms(self, topic)
            return None if age is None else change(age)

        return changed

    return lambda: [(Freshness, "age_ms", make)]


def _early_close(event: Any, number: int) -> Sequence[Any]:
    return _changed(event, closed=True) if event.received >= event.timestamp + 57_000 else (event,)


def _linger() -> Sequence[Change]:
    def make(init: Any) -> Any:
        def changed(self: Any, *arguments: Any) -> None:
            init(self, *arguments)
            self._linger = 600.0

        return changed

    return [(Demand, "__init__", make)]


def _snapshots_lost() -> Sequence[Change]:
    number = count(1)

    def make(answered: Any) -> Any:
        def changed(self: Any, request: Any, body: bytes) -> None:
            if request.purpose is not Purpose.SNAPSHOT or next(number) <= 10:
                answered(self, request, body)

        return changed

    return [(VenueService, "_answered", make)]


def _forget_ping(self: Any) -> None:
    self.autoPingTimeoutCall = None


def _silence_unheard() -> Sequence[Change]:
    table = stream_phase.TRANSITIONS
    return [
        (table, (phase, signal), _replaced(phase))
        for phase in (Phase.LIVE, Phase.QUIET)
        for signal in (Signal.SILENCE, Signal.LULL)
        if (phase, signal) in table
    ]


def _fitting(book: Book, payload: Any) -> Book:
    """The book, with the sequence that makes the delta fit."""
    if book.sequence is not None:
        book.sequence = payload["sequence"] - 1
    return book


def _good_alone(take: Any, fresh: ClientFreshness, payload: Any) -> None:
    if payload["state"] in ("live", "quiet"):
        take(fresh, payload)


def _without_deletes(take: Any, book: Book, payload: Any) -> Any:
    """Nor does it notice that there are more levels than the view has."""
    channel = book.channel
    book.channel = evolve(channel, depth=1_000_000)
    try:
        return take(book, {**payload, "deletes": {}})
    finally:
        book.channel = channel


def _at_its_first(is_new: Any, subscription: Subscription, found: Any) -> Any:
    before = subscription.cursor
    result = is_new(subscription, found)
    subscription.cursor = before or subscription.cursor
    return result


class _Shifted:
    """What is kept, told from so many events later on."""

    def __init__(self, kept: Any, places: int) -> None:
        self._kept, self._places = kept, places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)

    def replay(self, topic: Any, cursor: Any) -> Any:
        replay = self._kept.replay(topic, cursor)
        if replay.is_complete:
            buffer = replay._buffer
            replay._place = min(max(buffer.first, replay._place + self._places), buffer.end)
        return replay


def _joined(places: int) -> Callable[[], Sequence[Change]]:
    """Behind the end of the recording."""

    def make(join: Any) -> Any:
        def changed(self: Any, **more: Any) -> None:
            kept, self._kept = self._kept, _Shifted(self._kept, places)
            join(self, **more)
            self._kept = kept

        return changed

    return lambda: [(TapeReplay, "_join", make)]


def _glued() -> Sequence[Change]:
    """Holes are passed over, and so is what is between the recording and what is kept."""

    def make(read: Any) -> Any:
        def changed(self: Any, limit: int) -> Any:
            self._gap = None
            return read(self, limit)

        return changed

    return [
        (TapeReplay, "_made", lambda made: lambda self, body: () if body is None else made(self, body)),
        (TapeReplay, "read", make),
    ]


ALL: Sequence[Planted] = (
    Planted(
        "a bid has the ask's size",
        "live",
        False,
        _events(Ticker, _every(40, lambda it: _changed(it, bid_size=it.ask_size))),
    ),
    Planted("a quote comes again after the next one", "live", True, _quote_twice),
    Planted(
        "a book lacks its best bid",
        "live",
        False,
        _events(BookView, _every(40, lambda it: _changed(it, bids=it.bids[1:]))),
    ),
    Planted("tickers are 14 s late", "live", True, _late(Ticker, 14.0)),
    Planted("silence is never noticed", "live", True, _silence_unheard),
    Planted(
        "a slow client is told that a book is good before it has it",
        "live",
        True,
        lambda: [(ConflationQueue, "_changed_state", _replaced(ConflationQueue._status_and_values))],
    ),
    Planted(
        "an unsubscribe takes effect a second later",
        "asked",
        True,
        lambda: [(HeldChannels, "deliver", _after(1.0))],
    ),
    Planted("values come before their status", "asked", False, _values_first),
    Planted("requests are answered 3 s late", "asked", True, lambda: [(ClientProtocol, "onMessage", _after(3.0))]),
    Planted("a delta is lost", "deltas", False, _lost_deltas),
    Planted("two deltas are swapped", "deltas", True, _swapped_deltas),
    Planted("levels are never deleted", "deltas", False, _no_deletes),
    Planted("a trade is lost", "trades", False, _events(Trade, _every(50, lambda it: ()))),
    Planted("gaps are not told", "trades", False, _events(Gap, lambda it, _: ())),
    Planted("a trade comes twice", "trades", False, _events(Trade, _every(50, lambda it: (it, it)))),
    Planted("trades are 20 s late", "trades", True, _late(Trade, 20.0)),
    Planted(
        "a buy is a sell",
        "trades",
        False,
        _events(Trade, _every(50, lambda it: _changed(it, side=Side.SELL if it.side is Side.BUY else Side.BUY))),
    ),
    Planted("a replay leaves out what came first", "trades", False, _replays_from(1)),
    Planted("a replay begins with what the client has", "trades", False, _replays_from(-1)),
    Planted("closed bars are lost", "candles", False, _events(Candle, lambda it, _: () if it.closed else (it,))),
    Planted(
        "closed bars come twice",
        "candles",
        False,
        lambda: [
            *_events(Candle, lambda it, _: (it, it) if it.closed else (it,))(),
            (Cache, "put_candle", lambda put: lambda self, bar: put(self, bar) or True),
        ],
    ),
    Planted("a bar closes three seconds early", "candles", True, _events(Candle, _early_close)),
    Planted("ages are always zero", "ages", True, _age(lambda age: 0)),
    Planted("ages are a second too small", "ages", True, _age(lambda age: max(0, age - 1000))),
    Planted("ages go by the wall clock", "ages", True, _wall_ages),
    Planted(
        "values are kept for ever", "memory", False, lambda: [(Cache, "forget", _replaced(lambda self, topic: None))]
    ),
    Planted(
        "cohorts are kept for ever",
        "memory",
        False,
        lambda: [(Fanout, "_end_if_empty", _replaced(lambda self, cohort: None))],
    ),
    Planted("topics linger for ten minutes", "memory", True, _linger),
    Planted(
        "every reconnect waits for a minute more",
        "recovery",
        True,
        lambda: [(Retry, "delay", lambda wait: lambda self, random: 60 + wait(self, random))],
    ),
    Planted(
        "a dead connection rejects what it does not answer",
        "recovery",
        True,
        lambda: [
            (Connection, "is_mute", _replaced(lambda self, now, seconds: False)),
            (streams, "ASK_AGAIN", _replaced(float("inf"))),
        ],
    ),
    Planted(
        "a client without pongs is kept",
        "recovery",
        True,
        lambda: [(private_names.ServerProtocol, "onAutoPingTimeout", _replaced(_forget_ping))],
    ),
    Planted(
        "a client that reads nothing is kept",
        "recovery",
        True,
        lambda: [
            (SlowClients, "_close", _replaced(lambda self, client: None)),
            (private_names.ServerProtocol, "onAutoPingTimeout", _replaced(_forget_ping)),
        ],
    ),
    Planted("snapshots of books are lost after a while", "recovery", False, _snapshots_lost),
    Planted(
        "the client library applies a delta over a gap",
        "client",
        False,
        lambda: [(Book, "take_delta", lambda take: lambda self, payload: take(_fitting(self, payload), payload))],
    ),
    Planted(
        "the client library leaves deleted levels where they are",
        "client",
        False,
        lambda: [(Book, "take_delta", lambda take: lambda self, payload: _without_deletes(take, self, payload))],
    ),
    Planted(
        "the client library hears only of what is good",
        "client",
        True,
        lambda: [
            (
                ClientFreshness,
                "take_status",
                lambda take: lambda self, payload: _good_alone(take, self, payload),
            )
        ],
    ),
    Planted(
        "the client library calls live what came by a link that is silent",
        "client",
        True,
        lambda: [(Link, "trouble", _replaced(property(lambda self: None if self.is_up else "link_lost")))],
    ),
    Planted(
        "the client library calls live what came by a link that is lost",
        "client",
        True,
        lambda: [(ClientState, "closed", _replaced(lambda self, reason="": None))],
    ),
    Planted(
        "the client library counts ages from the status on",
        "client",
        True,
        lambda: [(ClientFreshness, "take_status", lambda take: lambda self, it: take(self, {**it, "age_ms": 0}))],
    ),
    Planted(
        "the client library goes on from its first message",
        "client",
        False,
        lambda: [(Subscription, "_is_new", lambda is_new: lambda self, found: _at_its_first(is_new, self, found))],
    ),
    Planted(
        "the client library tells again what is replayed",
        "client",
        False,
        lambda: [(Subscription, "_is_new", _replaced(lambda self, found: True))],
    ),
    Planted("between the recording and what is kept a message is lost", "resumed", False, _joined(1)),
    Planted("the last message of the recording comes again", "resumed", False, _joined(-1)),
    Planted("a hole of the recording is glued over", "resumed", False, _glued),
    Planted(
        "what comes while the recording is read overtakes it",
        "resumed",
        True,
        lambda: [(ConflationQueue, "_is_replaying", _replaced(lambda self, topic: False))],
    ),
    Planted("what came while the recording was read is lost", "resumed", True, _joined(1_000_000)),
)
"""All of them; the first of each promise are what a test tries every day."""

"""The Bybit host: its WebSocket requests on ``/v5/public/spot`` and ``/v5/public/linear``,
and the pace of its topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

import msgspec
from twisted.internet.interfaces import IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator import bybit as wire
from cryptodash.simulator.candles import closes, opens
from cryptodash.simulator.faults import Fault
from cryptodash.simulator.host import Feed, Host, Refusal, Session, Stream
from cryptodash.simulator.limits import Ledger
from cryptodash.simulator.market import Instrument, Market

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
_PATHS = {"/v5/public/spot": SPOT, "/v5/public/linear": PERPETUAL}
_DEPTHS = {"1": 100, "50": 100, "200": 100, "1000": 200}
"""Depth of a topic and the least ms between two messages."""

_MAX_SPOT_ARGS = 10
_MAX_ARGS_LENGTH = 21_000
_PATIENCE = 60.0
"""Seconds after which a client that says nothing is dropped. The docs give no number for public connections;
clients ping every 20 s."""

_SILENCES = ("silent", "silent-venue", "delist")
_REPEAT_AFTER = 3_000


class Books:
    """``orderbook.<depth>.<symbol>``: the best levels, first whole, then what changed in the window.
    Level 1 is always sent whole."""

    def __init__(self, instrument: Instrument, topic: str, depth: int, every: int, first: int) -> None:
        self._instrument = instrument
        self._topic = topic
        self._depth = depth
        self._every = every
        self._next = self._sent = 0
        self.u = first
        self._sequence = instrument.update_id
        self._bids, self._asks = self._window()

    def _window(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = self._instrument.book.levels(self._depth)
        if self._instrument.crossed:
            bids = [(asks[0][0] + 1, 1), *bids[: self._depth - 1]] if self._depth > 1 else [(asks[0][0] + 1, 1)]
        return dict(bids), dict(asks)

    def opening(self, now: int) -> Sequence[str]:
        return (self._whole(now),)

    def _whole(self, now: int) -> str:
        ids = (self.u, self._sequence)
        return wire.order_book(
            self._instrument.listing, self._topic, "snapshot", now, ids, self._bids.items(), self._asks.items()
        )

    def frames(self, now: int) -> Sequence[str]:
        if now < self._next:
            return ()
        bids, asks = (
            (self._bids, self._asks)
            if self._sequence == self._instrument.update_id and not self._instrument.crossed
            else self._window()
        )
        self._sequence = self._instrument.update_id
        if bids == self._bids and asks == self._asks:
            if self._depth == 1 and now - self._sent >= _REPEAT_AFTER:
                self._sent = now
                return (self._whole(now),)
            return ()
        changes = _changes(self._bids, bids), _changes(self._asks, asks)
        self._bids, self._asks = bids, asks
        self.u += 1
        self._sent, self._next = now, now + self._every - 50
        if self._depth == 1:
            return (self._whole(now),)
        return (
            wire.order_book(self._instrument.listing, self._topic, "delta", now, (self.u, self._sequence), *changes),
        )


def _changes(before: dict[int, int], after: dict[int, int]) -> list[tuple[int, int]]:
    """New sizes, and 0 for what left the window."""
    gone = [(price, 0) for price in before if price not in after]
    return [(price, size) for price, size in after.items() if before.get(price) != size] + gone


class Trades:
    """``publicTrade.<symbol>``: the fills of a beat in one message; no history at the start."""

    def __init__(self, instrument: Instrument, topic: str) -> None:
        self._instrument = instrument
        self._topic = topic

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        fills = self._instrument.beat.trades
        return (wire.public_trade(self._instrument.listing, self._topic, now, fills),) if fills else ()


class Klines:
    """``kline.<i>.<symbol>``: about once a second; a closing bar comes together with the one after it."""

    def __init__(self, instrument: Instrument, topic: str, interval: str) -> None:
        self._instrument = instrument
        self._topic = topic
        self._name = interval
        self._interval = wire.INTERVALS[interval]
        self._open = opens(self._interval, instrument.candles.minute.start)
        self._next = 0

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        rows = []
        minute = self._instrument.candles.minute.start
        while closes(self._interval, self._open) <= minute:
            rows.append(self._row(now, closed=True))
            self._open = closes(self._interval, self._open)
        if not rows and now < self._next:
            return ()
        self._next = now + 950
        rows.append(self._row(now, closed=False))
        return (wire.kline(self._instrument.listing, self._topic, [row for row in rows if row], now),)

    def _row(self, now: int, *, closed: bool) -> str:
        bar = self._instrument.candles.candle(self._interval, self._open)
        if bar is None:
            return ""
        return wire.candle(
            self._instrument.listing, self._name, bar, closes(self._interval, self._open), now, closed=closed
        )


class Tickers:
    """``tickers.<symbol>``: spot always whole, linear only the changed fields after the first."""

    def __init__(self, instrument: Instrument, topic: str) -> None:
        self._instrument = instrument
        self._topic = topic
        self._next = 0
        self._fields: dict[str, str] = {}

    def _build(self, now: int) -> dict[str, str]:
        instrument = self._instrument
        return (
            wire.spot_ticker(instrument) if instrument.listing.market is SPOT else wire.linear_ticker(instrument, now)
        )

    def _frame(self, kind: str, fields: Mapping[str, str], now: int) -> str:
        return wire.ticker(self._instrument.listing, self._topic, kind, fields, self._instrument.update_id, now)

    def opening(self, now: int) -> Sequence[str]:
        if not self._fields:
            self._fields = self._build(now)
        return (self._frame("snapshot", self._fields, now),)

    def frames(self, now: int) -> Sequence[str]:
        if now < self._next:
            return ()
        self._next = now + 150
        before, self._fields = self._fields, self._build(now)
        if self._fields == before:
            return ()
        if self._instrument.listing.market is SPOT:
            return (self._frame("snapshot", self._fields, now),)
        changed = {name: text for name, text in self._fields.items() if before.get(name) != text}
        return (self._frame("delta", {"symbol": self._fields["symbol"]} | changed, now),)


class BybitHost(Host):
    """Spot and linear behind one host name; the path says which."""

    exchange = "bybit"

    def __init__(
        self,
        name: str,
        markets: Mapping[MarketType, Market],
        reactor: IReactorTime,
        clock: Clock,
        ledger: Ledger,
        rng: Random,
    ) -> None:
        super().__init__(name, markets, reactor, clock, ledger, rng)
        self._owed: list[tuple[Session, Stream]] = []
        self._counters: dict[tuple[MarketType, str], int] = {}

    def market_of(self, path: str) -> MarketType | None:
        return _PATHS.get(path)

    def blocked(self) -> Refusal:
        body = (
            b'{"retCode":10024,"retMsg":"The product or service you are seeking '
            b'to access is not available to you due to regulatory restrictions."}'
        )
        return Refusal(403, body, {"Content-Type": "application/json"})

    def greeted(self, session: Session, query: Mapping[str, str]) -> None:
        session.later(_PATIENCE, lambda: self._check(session))

    def _check(self, session: Session) -> None:
        if session.frozen:
            return
        silent = self.clock.monotonic() - session.heard
        if silent >= _PATIENCE:
            self.ledger.violate(f"no ping for {silent:.0f} s")
            session.link.abort()
            return
        session.later(max(1.0, _PATIENCE - silent), lambda: self._check(session))

    # --- requests ---

    def _connection(self, session: Session) -> str:
        return f"d9sim{session.number:015d}-{session.number % 65_536:05x}"

    def received(self, session: Session, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            request = None
        if not isinstance(request, dict):
            self.reply(session, wire.response(False, "Request not authorized", self._connection(session), "", None))
            return
        op, request_id = request.get("op"), request.get("req_id")
        if op == "ping":
            echoed = request_id if session.market is PERPETUAL else None
            self._say(session, True, "pong", "ping", echoed)
        elif op in ("subscribe", "unsubscribe"):
            args = request.get("args", [])
            if not isinstance(args, list) or not args or not all(isinstance(each, str) for each in args):
                self._say(session, False, "Params Error", op, request_id)
            else:
                self._change(session, op, args, request_id)
        else:
            self._say(session, False, f"error:request op not found,op:{str(op)[:40]}", str(op)[:40], request_id)

    def _say(self, session: Session, success: bool, message: str, op: str, request_id: object) -> None:
        self.reply(session, wire.response(success, message, self._connection(session), op, request_id))

    def _change(self, session: Session, op: str, args: Sequence[str], request_id: object) -> None:
        refusal = self._refusal(session, op, args)
        if refusal:
            self._say(session, False, refusal, op, request_id)
            return
        self._say(session, True, op if session.market is SPOT else "", op, request_id)
        for topic in args:
            if op == "subscribe":
                self._subscribe(session, topic)
            else:
                self.leave(session, topic)

    def _refusal(self, session: Session, op: str, args: Sequence[str]) -> str:
        """Why the whole request is refused: one bad topic is enough."""
        if session.market is SPOT and len(args) > _MAX_SPOT_ARGS:
            self.ledger.violate(f"{len(args)} args in one spot request")
            return f"args size >{_MAX_SPOT_ARGS}"
        if op == "unsubscribe":
            return ""
        if sum(map(len, session.names)) + sum(map(len, args)) > _MAX_ARGS_LENGTH:
            self.ledger.violate(f"args over {_MAX_ARGS_LENGTH} characters on one connection")
            return f"args length exceeds {_MAX_ARGS_LENGTH}"
        for topic in args:
            if topic in session.names or args.count(topic) > 1:
                return f"error:already subscribed,topic:{topic}"
            if self._maker(session.market, topic) is None:
                return f"error:handler not found,topic:{topic}"
        self.ledger.streams(len(session.names) + len(args))
        return ""

    def _subscribe(self, session: Session, topic: str) -> None:
        found = self._maker(session.market, topic)
        assert found is not None  # checked before anything of the request was applied
        kind, native, make = found
        stream = self.join(session, topic, kind, native, make)
        if stream is None:
            return
        self._open(session, stream)

    def _open(self, session: Session, stream: Stream) -> None:
        """Give a new subscriber its first frame, or owe it while a fault keeps the topic silent."""
        if any(fault.name in _SILENCES and fault.covers(stream.market, stream.native) for fault in self.faults):
            self._owed.append((session, stream))
            return
        for frame in stream.feed.opening(self.clock.wall_ms()):
            session.push(frame)

    def end(self, fault: Fault) -> None:
        super().end(fault)
        owed, self._owed = self._owed, []
        for session, stream in owed:
            if session in stream.sessions:
                self._open(session, stream)

    def _maker(self, market: MarketType, topic: str) -> tuple[str, str, Callable[[Instrument | None], Feed]] | None:
        """(kind, symbol, how to make the feed) of a topic that exists."""
        name, _, rest = topic.partition(".")
        argument, _, native = rest.rpartition(".")
        listing = self.markets[market].listing(native)
        if listing is None or not listing.trading:
            return None
        if name == "publicTrade" and not argument:
            return "trade", native, lambda each: Trades(_made(each), topic)
        if name == "tickers" and not argument:
            return "ticker", native, lambda each: Tickers(_made(each), topic)
        if name == "kline" and argument in wire.INTERVALS:
            return "candle", native, lambda each: Klines(_made(each), topic, argument)
        if name == "orderbook" and argument in _DEPTHS:
            depth, every = int(argument), _DEPTHS[argument]
            return (
                "quote" if depth == 1 else "book",
                native,
                lambda each: Books(_made(each), topic, depth, every, self._counter(market, topic)),
            )
        return None

    def _counter(self, market: MarketType, topic: str) -> int:
        """Where a topic's ``u`` goes on when somebody subscribes to it again."""
        start = self._counters.get((market, topic), 0) or self.rng.randrange(10**7, 10**8)
        self._counters[market, topic] = start + 100_000
        return start

    def update_of(self, market: MarketType, native: str) -> int:
        """The ``u`` REST shows: the 1000-level topic's."""
        topic = f"orderbook.1000.{native}"
        stream = self.streams.get((market, topic))
        if stream is not None and isinstance(stream.feed, Books):
            return stream.feed.u
        return self._counters.get((market, topic), 1)


def _made(instrument: Instrument | None) -> Instrument:
    assert instrument is not None  # topics of unknown symbols are refused before
    return instrument

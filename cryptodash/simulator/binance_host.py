"""A Binance host, spot or USD-M: its WebSocket requests, its tiers, and the pace of its streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

import msgspec
from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator import binance as wire
from cryptodash.simulator.binance_feeds import Diffs, Klines, Paced, Quotes, Sweep, Tops, Trades
from cryptodash.simulator.candles import INTERVALS
from cryptodash.simulator.host import Feed, Host, Refusal, Session, Stream
from cryptodash.simulator.limits import Ledger
from cryptodash.simulator.market import BEAT, Instrument, Market

SPOT = MarketType.SPOT

_SYMBOL = re.compile(r"([^@]+)@(.+)").fullmatch
_DEPTH = re.compile(r"depth(5|10|20)?(?:@(0|100|250|500|1000)ms)?").fullmatch
_KLINE = re.compile(r"kline_(\w+)").fullmatch
_MARK = re.compile(r"markPrice(@1s)?").fullmatch


class BinanceHost(Host):
    """One market of Binance behind its own host name."""

    exchange = "binance"
    lifetime = 86_400.0

    def __init__(
        self, name: str, market: Market, reactor: IReactorTime, clock: Clock, ledger: Ledger, rng: Random
    ) -> None:
        super().__init__(name, {market.market: market}, reactor, clock, ledger, rng)
        self.market = market
        self.is_spot = market.market is SPOT
        # Spot: a ping every 20 s, the pong within a minute. USD-M: every 3 minutes, within 10.
        self._ping_every, self._pong_within = (20.0, 60.0) if self.is_spot else (180.0, 600.0)

    # --- connections ---

    def market_of(self, path: str) -> MarketType | None:
        """``/ws``, ``/ws/a/b``, ``/stream``; on USD-M also below ``/public``, ``/market`` and ``/private``."""
        _, rest = self._tier(path)
        return self.market.market if rest in ("/ws", "/stream") or rest.startswith("/ws/") else None

    def _tier(self, path: str) -> tuple[str, str]:
        if not self.is_spot:
            for tier in ("public", "market", "private"):
                if path.startswith(f"/{tier}/"):
                    return tier, path[len(tier) + 1 :]
        return "", path

    def blocked(self) -> Refusal:
        body = (
            b'{"code":0,"msg":"Service unavailable from a restricted '
            b"location according to 'b. Eligibility' in the terms.\"}"
        )
        return Refusal(451, body, {"Content-Type": "application/json;charset=UTF-8"})

    def maintenance(self, session: Session) -> None:
        if self.is_spot:
            notice = f'{{"e":"serverShutdown","E":{self.clock.wall_ms()}}}'
            session.push(wire.wrapped("!serverShutdown", notice) if session.combined else notice)
        session.later(0.5, lambda: session.close(1012, "service restart"))

    def greeted(self, session: Session, query: Mapping[str, str]) -> None:
        _, rest = self._tier(session.path)
        session.combined = rest == "/stream"
        names = query.get("streams", "").split("/") if session.combined else rest.split("/")[2:]
        for name in names:
            if name:
                self._subscribe(session, name)
        session.later(self._ping_every, lambda: self._ping(session))

    def _ping(self, session: Session) -> None:
        if session.frozen:
            return
        now = self.clock.monotonic()
        if session.pinged is not None and now - session.pinged >= self._pong_within - 1:
            self.ledger.violate("no pong in time")
            session.close(1008, "Pong timeout")
            return
        session.pinged = session.pinged if session.pinged is not None else now
        session.link.ping(str(self.clock.wall_ms()).encode())
        session.later(self._ping_every, lambda: self._ping(session))

    def deliver(self, session: Session, stream: Stream, payload: str) -> None:
        session.push(wire.wrapped(stream.name, payload) if session.combined else payload)

    # --- requests ---

    def received(self, session: Session, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            self.reply(session, wire.error(3, "Invalid JSON: expected value at line 1 column 1"))
            return
        if not isinstance(request, dict):
            self.reply(session, wire.error(2, "Invalid request: request must be an object"))
            return
        self.reply(session, self._answer(session, request))

    def _answer(self, session: Session, request: Mapping[str, object]) -> str:
        request_id, method, params = request.get("id"), request.get("method"), request.get("params", [])
        if (
            isinstance(request_id, bool)
            or not isinstance(request_id, int | str | None)
            or (isinstance(request_id, str) and len(request_id) > 36)
        ):
            return wire.error(
                2, "Invalid request: request ID must be an unsigned integer or a string of at most 36 characters"
            )
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                return wire.error(2, "Invalid request: property params must be an array of strings", request_id)
            return self._change(session, method == "SUBSCRIBE", params, request_id)
        if method == "LIST_SUBSCRIPTIONS":
            return wire.result(list(session.names), request_id)
        if method == "SET_PROPERTY":
            return self._set_property(session, params, request_id)
        return wire.error(
            2,
            "Invalid request: unknown variant, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`",
            request_id,
        )

    def _change(self, session: Session, subscribe: bool, names: Sequence[str], request_id: object) -> str:
        if subscribe and not self.ledger.streams(len(session.names.keys() | set(names))):
            return wire.error(2, "Invalid request: too many streams", request_id)
        for name in names:
            if subscribe:
                self._subscribe(session, name)
            else:
                self.leave(session, name)
        return wire.ack(request_id)

    def _set_property(self, session: Session, params: object, request_id: object) -> str:
        if not isinstance(params, list) or len(params) != 2 or params[0] != "combined":
            return wire.error(0, "Unknown property", request_id)
        if not isinstance(params[1], bool):
            return wire.error(1, "Invalid value type: expected Boolean", request_id)
        session.combined = params[1]
        return wire.ack(request_id)

    # --- streams ---

    def _subscribe(self, session: Session, name: str) -> None:
        """Acked whatever it is: an unknown stream, an unknown symbol or the wrong tier is simply silent."""
        if name in session.names:
            return
        session.names[name] = None
        tier, _ = self._tier(session.path)
        found = self._sweep(name) if name.startswith("!") else self._stream(name)
        if found is None or not (self.is_spot or tier == found.tier or (not tier and found.tier == "public")):
            return
        self.join(session, name, found.kind, found.native, found.make)

    def _stream(self, name: str) -> Found | None:
        match = _SYMBOL(name)
        if match is None or match[1] != match[1].lower():
            return None
        native, kind = match[1].upper(), match[2]
        if kind == "bookTicker":
            return Found("public", "quote", native, lambda each: Quotes(_made(each)))
        if kind == "trade":
            return Found("public", "trade", native, lambda each: Trades(_made(each), aggregated=False))
        if kind == "aggTrade":
            return Found("market", "trade", native, lambda each: Trades(_made(each), aggregated=True))
        if kind in ("ticker", "miniTicker"):
            build = wire.ticker if kind == "ticker" else wire.mini_ticker
            return Found(
                "market", "ticker", native, lambda each: Paced(_made(each), build, 1_000 if self.is_spot else 2_000)
            )
        return self._depth(native, kind) or self._kline(native, kind) or self._mark(native, kind)

    def _depth(self, native: str, kind: str) -> Found | None:
        match = _DEPTH(kind)
        if match is None:
            return None
        count = match[1]
        every = max(BEAT, int(match[2] or (1_000 if self.is_spot else 250)))
        if count is None:
            return Found("public", "book", native, lambda each: Diffs(_made(each), every))
        return Found("public", "book", native, lambda each: Tops(_made(each), int(count), every))

    def _kline(self, native: str, kind: str) -> Found | None:
        match = _KLINE(kind)
        if match is None or match[1] not in INTERVALS:
            return None
        interval = match[1]
        return Found(
            "market", "candle", native, lambda each: Klines(_made(each), interval, 2_000 if self.is_spot else 250)
        )

    def _mark(self, native: str, kind: str) -> Found | None:
        match = _MARK(kind)
        if match is None or self.is_spot:
            return None
        return Found(
            "market", "mark", native, lambda each: Paced(_made(each), wire.mark_price, 1_000 if match[1] else 3_000)
        )

    def _sweep(self, name: str) -> Found | None:
        if name == "!miniTicker@arr":
            return Found("market", "sweep", "", lambda _: Sweep(self, wire.mini_ticker, 1_000))
        if self.is_spot:  # !ticker@arr and !bookTicker are gone there
            return None
        if name == "!ticker@arr":
            return Found("market", "sweep", "", lambda _: Sweep(self, wire.ticker, 1_000))
        if name in ("!markPrice@arr", "!markPrice@arr@1s"):
            every = 1_000 if name.endswith("s") else 3_000
            return Found("market", "sweep", "", lambda _: Sweep(self, wire.mark_price, every, all_of_them=True))
        if name == "!bookTicker":
            return Found("public", "sweep", "", lambda _: Sweep(self, _book_ticker, 5_000, all_of_them=True, each=True))
        return None

    def is_silent(self, native: str) -> bool:
        """Whether a fault keeps this instrument out of the sweeps."""
        return any(
            fault.name in ("silent", "delist") and fault.covers(self.market.market, native) for fault in self.faults
        )


@frozen
class Found:
    """A stream that exists: its USD-M tier, its kind, its instrument's name, and how to make its feed."""

    tier: str
    kind: str
    native: str
    make: Callable[[Instrument | None], Feed]


def _made(instrument: Instrument | None) -> Instrument:
    assert instrument is not None  # join makes a feed with a name only after it found the instrument
    return instrument


def _book_ticker(instrument: Instrument, now: int) -> str:
    return wire.book_ticker(instrument.listing, instrument.top(), now)

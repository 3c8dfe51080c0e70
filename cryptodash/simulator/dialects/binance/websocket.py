"""Binance's WebSocket side, spot and USD-M: its requests, its tiers, and which streams there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
from attrs import frozen

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.binance import messages
from cryptodash.simulator.dialects.binance.feeds import Diffs, ForcedOrders, Klines, Paced, Quotes, Sweep, Tops, Trades
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.intervals import INTERVALS
from cryptodash.simulator.resting_orders import STEP_MS
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import Stream, StreamFeed

SPOT = MarketType.SPOT

_SYMBOL = re.compile(r"([^@]+)@(.+)").fullmatch
_DEPTH = re.compile(r"depth(5|10|20)?(?:@(0|100|250|500|1000)ms)?").fullmatch
_KLINE = re.compile(r"kline_(\w+)").fullmatch
_CONTINUOUS = re.compile(r"(\w+)_PERPETUAL@continuousKline_(\w+)").fullmatch
_MARK = re.compile(r"markPrice(@1s)?").fullmatch


class BinanceWebSocket(VenueHost):
    """One market of Binance behind its own host name."""

    lifetime = 86_400.0
    id_members = ("u", "U", "pu", "t")
    time_members = ("E", "T")
    garbage = (
        '{"stream":1,"data":[]}',
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":"x","s":"BTCUSDT","t":1,"p":"NaN","q":"1e400","T":-1,"m":0}}',
        '{"e":"depthUpdate","U":' + "9" * 400 + "}",
        '{"stream":"btcusdt@trade","data":{"e":"trade","p":"\ufffd\u0000"}}',
    )

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        (self.market,) = environment.markets.values()
        self.is_spot = self.market.market is SPOT
        self.intervals = [each for each in INTERVALS if self.is_spot or each != "1s"]
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

    def blocked(self) -> HttpAnswer:
        body = (
            b'{"code":0,"msg":"Service unavailable from a restricted '
            b"location according to 'b. Eligibility' in the terms.\"}"
        )
        return HttpAnswer(451, body, {"Content-Type": "application/json;charset=UTF-8"})

    def announce_maintenance(self, session: ClientSession) -> None:
        if self.is_spot:
            notice = f'{{"e":"serverShutdown","E":{self.clock.wall_ms()}}}'
            session.push(messages.wrapped("!serverShutdown", notice) if session.combined else notice)
        session.later(0.5, lambda: session.close(1012, "service restart"))

    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:
        _, rest = self._tier(session.path)
        session.combined = rest == "/stream"
        names = query.get("streams", "").split("/") if session.combined else rest.split("/")[2:]
        names = list(dict.fromkeys(filter(None, names)))
        if names and self.ledger.streams(len(names)):
            for name in names:
                self._open_stream(session, name)
        session.later(self._ping_every, lambda: self._ping(session))

    def _ping(self, session: ClientSession) -> None:
        if session.frozen:
            return
        now = self.clock.monotonic()
        if session.pinged is not None and now - session.pinged >= self._pong_within - 1:
            self.ledger.violate("no pong in time")
            session.close(1008, "Pong timeout")
            return
        session.in_order(lambda: self._send_ping(session))
        session.later(self._ping_every, lambda: self._ping(session))

    def _send_ping(self, session: ClientSession) -> None:
        if session.frozen:
            return
        if session.pinged is None:
            session.pinged = self.clock.monotonic()
        session.transport.ping(str(self.clock.wall_ms()).encode())

    def deliver(self, session: ClientSession, stream: Stream, payload: str) -> None:
        session.push(messages.wrapped(stream.name, payload) if session.combined else payload)

    # --- requests ---

    def received(self, session: ClientSession, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            self.reply(session, messages.error(3, "Invalid JSON: expected value at line 1 column 1"))
            return
        if not isinstance(request, dict):
            self.reply(session, messages.error(2, "Invalid request: request must be an object"))
            return
        self.reply(session, self._answer(session, request))

    def _answer(self, session: ClientSession, request: Mapping[str, object]) -> str:
        request_id, method, params = request.get("id"), request.get("method"), request.get("params", [])
        if (
            isinstance(request_id, bool)
            or not isinstance(request_id, int | str | None)
            or (isinstance(request_id, str) and len(request_id) > 36)
        ):
            return messages.error(
                2, "Invalid request: request ID must be an unsigned integer or a string of at most 36 characters"
            )
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                return messages.error(2, "Invalid request: property params must be an array of strings", request_id)
            return self._change(session, method == "SUBSCRIBE", params, request_id)
        if method == "LIST_SUBSCRIPTIONS":
            return messages.result(list(session.names), request_id)
        if method == "SET_PROPERTY":
            return self._set_property(session, params, request_id)
        return messages.error(
            2,
            "Invalid request: unknown variant, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`",
            request_id,
        )

    def _change(self, session: ClientSession, subscribe: bool, names: Sequence[str], request_id: object) -> str:
        if subscribe and not self.ledger.streams(len(session.names.keys() | set(names))):
            return messages.error(2, "Invalid request: too many streams", request_id)
        for name in names:
            if subscribe:
                self._open_stream(session, name)
            else:
                self.unsubscribe(session, name)
        return messages.ack(request_id)

    def _set_property(self, session: ClientSession, params: object, request_id: object) -> str:
        if not isinstance(params, list) or len(params) != 2 or params[0] != "combined":
            return messages.error(0, "Unknown property", request_id)
        if not isinstance(params[1], bool):
            return messages.error(1, "Invalid value type: expected Boolean", request_id)
        session.combined = params[1]
        return messages.ack(request_id)

    # --- streams ---

    def _open_stream(self, session: ClientSession, name: str) -> None:
        """Acked whatever it is: an unknown stream, an unknown symbol or the wrong tier is simply silent."""
        if name in session.names:
            return
        session.names[name] = None
        tier, _ = self._tier(session.path)
        found = self._sweep(name) if name.startswith("!") else self._stream(name)
        if found is None or not (self.is_spot or tier == found.tier or (not tier and found.tier == "public")):
            return
        self.subscribe(session, name, found.kind, found.native, found.make)

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
        if kind == "forceOrder" and not self.is_spot:
            return Found("market", "liquidation", native, lambda each: ForcedOrders(_made(each)))
        if kind in ("ticker", "miniTicker"):
            build = messages.ticker if kind == "ticker" else messages.mini_ticker
            return Found(
                "market", "ticker", native, lambda each: Paced(_made(each), build, 1_000 if self.is_spot else 2_000)
            )
        return (
            self._depth(native, kind)
            or self._kline(native, kind)
            or self._mark(native, kind)
            or self._continuous(native, kind)
        )

    def _depth(self, native: str, kind: str) -> Found | None:
        match = _DEPTH(kind)
        if match is None:
            return None
        count = match[1]
        every = max(STEP_MS, int(match[2] or (1_000 if self.is_spot else 250)))
        if count is None:
            return Found("public", "book", native, lambda each: Diffs(_made(each), every))
        return Found("public", "book", native, lambda each: Tops(_made(each), int(count), every))

    def _kline(self, native: str, kind: str) -> Found | None:
        match = _KLINE(kind)
        if match is None or match[1] not in self.intervals:
            return None
        interval = match[1]
        return Found(
            "market", "candle", native, lambda each: Klines(_made(each), interval, 2_000 if self.is_spot else 250)
        )

    def _continuous(self, name: str, kind: str) -> Found | None:
        """``<pair>_<contractType>@continuousKline_<interval>``: here the pairs' perpetuals, which are named as they
        are; dated contracts are not traded."""
        match = _CONTINUOUS(f"{name}@{kind}")
        if match is None or self.is_spot or match[2] not in self.intervals:
            return None
        interval = match[2]
        return Found("market", "candle", match[1], lambda each: Klines(_made(each), interval, 250, continuous=True))

    def _mark(self, native: str, kind: str) -> Found | None:
        match = _MARK(kind)
        if match is None or self.is_spot:
            return None
        return Found(
            "market", "mark", native, lambda each: Paced(_made(each), messages.mark_price, 1_000 if match[1] else 3_000)
        )

    def _is_left_out(self, native: str) -> bool:
        return self.is_silent(self.market.market, native)

    def _sweep(self, name: str) -> Found | None:
        if name == "!miniTicker@arr":
            return self._found_sweep("market", messages.mini_ticker, 1_000)
        if self.is_spot:  # !ticker@arr and !bookTicker are gone there
            return None
        if name == "!ticker@arr":
            return self._found_sweep("market", messages.ticker, 1_000)
        if name in ("!markPrice@arr", "!markPrice@arr@1s"):
            every = 1_000 if name.endswith("s") else 3_000
            return self._found_sweep("market", messages.mark_price, every, all_of_them=True)
        if name == "!bookTicker":
            return self._found_sweep("public", _book_ticker, 5_000, all_of_them=True, each=True)
        return None

    def _found_sweep(
        self, tier: str, build: Callable[[SimulatedInstrument, int], str], every: int, **form: bool
    ) -> Found:
        return Found(tier, "sweep", "", lambda _: Sweep(self.market, self._is_left_out, build, every, **form))


@frozen
class Found:
    """A stream that exists: its USD-M tier, its kind, its instrument's name, and how to make its feed."""

    tier: str
    kind: str
    native: str
    make: Callable[[SimulatedInstrument | None], StreamFeed]


def _made(instrument: SimulatedInstrument | None) -> SimulatedInstrument:
    assert instrument is not None  # subscribe makes a feed with a name only after it found the instrument
    return instrument


def _book_ticker(instrument: SimulatedInstrument, now: int) -> str:
    return messages.book_ticker(instrument.spec, instrument.shown_top(), now)

"""Bybit's WebSocket side: its requests on ``/v5/public/spot`` and ``/v5/public/linear``, and which topics there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.bybit import messages
from cryptodash.simulator.dialects.bybit.feeds import Books, Klines, Liquidations, Tickers, Trades
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import StreamFeed

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
_PATHS = {"/v5/public/spot": SPOT, "/v5/public/linear": PERPETUAL}
_DEPTHS = {"1": 100, "50": 100, "200": 100, "1000": 200}
"""Depth of a topic and the least ms between two messages."""

_MAX_SPOT_ARGS = 10
_MAX_ARGS_LENGTH = 21_000
_PATIENCE = 60.0
"""Seconds after which a client that says nothing is dropped. The docs give no number for public connections;
clients ping every 20 s."""


class BybitWebSocket(VenueHost):
    """Spot and linear behind one host name; the path says which."""

    id_members = ("u", "seq")
    time_members = ("ts", "cts", "T")
    garbage = (
        '{"topic":{"a":1},"data":null}',
        '{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1e300,'
        '"data":{"s":"BTCUSDT","b":[["1_000"]],"a":[[]],"u":"1","seq":null}}',
    )

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        self._counters: dict[tuple[MarketType, str], int] = {}

    def market_of(self, path: str) -> MarketType | None:
        return _PATHS.get(path)

    def blocked(self) -> HttpAnswer:
        body = (
            b'{"retCode":10024,"retMsg":"The product or service you are seeking '
            b'to access is not available to you due to regulatory restrictions."}'
        )
        return HttpAnswer(403, body, {"Content-Type": "application/json"})

    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:
        session.later(_PATIENCE, lambda: self._check(session))

    def _check(self, session: ClientSession) -> None:
        if session.frozen:
            return
        silent = self.clock.monotonic() - session.heard
        if silent >= _PATIENCE:
            self.ledger.violate(f"no ping for {silent:.0f} s")
            session.transport.abort()
            return
        session.later(max(1.0, _PATIENCE - silent), lambda: self._check(session))

    # --- requests ---

    def _connection(self, session: ClientSession) -> str:
        return f"d9sim{session.number:015d}-{session.number % 65_536:05x}"

    def received(self, session: ClientSession, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            request = None
        if not isinstance(request, dict):
            self.reply(session, messages.response(False, "Request not authorized", self._connection(session), "", None))
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

    def _say(self, session: ClientSession, success: bool, message: str, op: str, request_id: object) -> None:
        self.reply(session, messages.response(success, message, self._connection(session), op, request_id))

    def _change(self, session: ClientSession, op: str, args: Sequence[str], request_id: object) -> None:
        refusal = self._refusal(session, op, args)
        if refusal:
            self._say(session, False, refusal, op, request_id)
            return
        self._say(session, True, op if session.market is SPOT else "", op, request_id)
        for topic in args:
            if op == "subscribe":
                self._open_topic(session, topic)
            else:
                self.unsubscribe(session, topic)

    def _refusal(self, session: ClientSession, op: str, args: Sequence[str]) -> str:
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
            if self._maker(_PATHS[session.path], topic) is None:
                return f"error:handler not found,topic:{topic}"
        self.ledger.streams(len(session.names) + len(args))
        return ""

    def _open_topic(self, session: ClientSession, topic: str) -> None:
        found = self._maker(_PATHS[session.path], topic)
        assert found is not None  # checked before anything of the request was applied
        kind, native, make = found
        self.subscribe(session, topic, kind, native, make)

    def _maker(
        self, market: MarketType, topic: str
    ) -> tuple[str, str, Callable[[SimulatedInstrument | None], StreamFeed]] | None:
        """(kind, symbol, how to make the feed) of a topic that exists."""
        name, _, rest = topic.partition(".")
        argument, _, native = rest.rpartition(".")
        spec = self.markets[market].spec(native)
        if spec is None or not spec.trading:
            return None
        if name == "publicTrade" and not argument:
            return "trade", native, lambda each: Trades(_made(each), topic)
        if name == "allLiquidation" and not argument and market is PERPETUAL:
            return "liquidation", native, lambda each: Liquidations(_made(each), topic)
        if name == "tickers" and not argument:
            return "ticker", native, lambda each: Tickers(_made(each), topic)
        if name == "kline" and argument in messages.INTERVALS:
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

    def book_number(self, instrument: SimulatedInstrument) -> int:
        """The ``u`` REST shows: the 1000-level topic's."""
        market, topic = instrument.spec.market, f"orderbook.1000.{instrument.spec.native}"
        stream = self.streams.get((market, topic))
        if stream is not None and isinstance(stream.feed, Books):
            return stream.feed.u
        return self._counters.get((market, topic), 1)


def _made(instrument: SimulatedInstrument | None) -> SimulatedInstrument:
    assert instrument is not None  # topics of unknown symbols are refused before
    return instrument

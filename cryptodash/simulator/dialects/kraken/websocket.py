"""Kraken's WebSocket v2: its requests on ``/v2``, its heartbeats, and which channels there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.kraken import messages
from cryptodash.simulator.dialects.kraken.feeds import Books, Candles, Instruments, Tickers, Trades
from cryptodash.simulator.dialects.kraken.requests import Refused, Wanted, read
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import Stream, StreamFeed

SPOT = MarketType.SPOT
_HEARTBEAT_EVERY = 1.0
_PATIENCE = 60.0
"""Seconds after which a client without a subscription that says nothing is dropped."""
_KINDS = {"book": "book", "ticker": "ticker", "trade": "trade", "ohlc": "candle"}

Make = Callable[[SimulatedInstrument | None], StreamFeed]


class KrakenWebSocket(VenueHost):
    """The spot market."""

    id_members = ("trade_id",)
    time_members = ("timestamp",)
    level_size = r'"qty":([0-9.]+)'
    garbage = (
        '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":"x","qty":-1}],"asks":7,'
        '"checksum":1e300,"timestamp":"yesterday"}]}',
        '{"channel":["trade"],"type":null,"data":[{"symbol":{},"price":1e999}]}',
        '{"channel":"ticker","type":"update","data":{"symbol":"BTC/USD"}}',
        '{"method":"subscribe","success":"maybe","result":[]}',
    )

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        self.market = self.markets[SPOT]

    # --- connections ---

    def market_of(self, path: str) -> MarketType | None:
        return SPOT if path == "/v2" else None

    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:
        self._tell(session, self._status("online"))
        session.later(_PATIENCE, lambda: self._check(session))
        session.later(_HEARTBEAT_EVERY, lambda: self._beat(session))

    def _status(self, system: str) -> str:
        return messages.status(system, self.rng.getrandbits(62) | 1 << 62)

    def _beat(self, session: ClientSession) -> None:
        """A heartbeat comes while data flows, too, but not before the first subscription."""
        if session.names:
            self._tell(session, messages.HEARTBEAT)
        session.later(_HEARTBEAT_EVERY, lambda: self._beat(session))

    def _check(self, session: ClientSession) -> None:
        if session.frozen:
            return
        silent = self.clock.monotonic() - session.heard
        if silent >= _PATIENCE and not session.names:
            self.ledger.violate(f"no subscription and no ping for {silent:.0f} s")
            session.transport.abort()
            return
        session.later(max(1.0, _PATIENCE - silent), lambda: self._check(session))

    def too_many_messages(self, session: ClientSession) -> None:
        session.push('{"Error":"Exceeded msg rate"}')

    def announce_maintenance(self, session: ClientSession) -> None:
        session.push(self._status("maintenance"))
        session.later(0.5, lambda: session.close(1012, "service restart"))

    def _tell(self, session: ClientSession, text: str) -> None:
        """Answers come in the order of the requests, and before the data that they announce."""
        if not self.faults.has("silent-venue", session.market):
            session.push(text)

    # --- requests ---

    def received(self, session: ClientSession, text: str) -> None:
        now = self.clock.wall_ms()
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            request = None
        method, request_id = (request.get("method"), request.get("req_id")) if isinstance(request, dict) else (None, 0)
        if not isinstance(method, str) or isinstance(request_id, bool) or not isinstance(request_id, int | None):
            self._tell(session, messages.refused("Malformed request", None, None, None, now))
        elif method == "ping":
            self._ping(session, request, request_id)
        elif method in ("subscribe", "unsubscribe"):
            self._change(session, method, request.get("params"), request_id)
        else:
            self._tell(session, messages.refused("Unsupported event", method[:40], None, request_id, now))

    def _ping(self, session: ClientSession, request: Mapping[str, object], request_id: int | None) -> None:
        now = self.clock.wall_ms()
        foreign = next((name for name in request if name not in ("method", "req_id")), None)
        if foreign is None:
            self._tell(session, messages.pong(request_id, now))
            return
        error = f"Unsupported field: '{foreign[:40]}' for the given msg type: ping"
        self._tell(session, messages.refused(error, "ping", None, request_id, now))

    def _change(self, session: ClientSession, method: str, params: object, request_id: int | None) -> None:
        """One answer for each symbol, and then the snapshots."""
        now = self.clock.wall_ms()
        try:
            wanted = read(params)
        except Refused as error:
            self._tell(session, messages.refused(error.error, method, error.symbol, request_id, now))
            return
        begun = []
        for symbol in wanted.symbols:
            try:
                echo = (
                    self._begin(session, wanted, symbol)
                    if method == "subscribe"
                    else self._end(session, wanted, symbol)
                )
            except Refused as error:
                self._tell(session, messages.refused(error.error, method, error.symbol, request_id, now))
                continue
            said = {**echo, **({"symbol": symbol} if symbol else {})}
            self._tell(session, messages.accepted(method, said, request_id, now))
            begun.append(symbol)
        if method == "subscribe":
            for symbol in begun:
                self._open_stream(session, wanted, symbol)

    def _begin(self, session: ClientSession, wanted: Wanted, symbol: str) -> Mapping[str, object]:
        if symbol and self.market.spec(symbol) is None:
            raise Refused(f"Currency pair not supported {symbol}", symbol)
        if self._held(session, wanted, symbol) is not None:
            raise Refused("Already subscribed", symbol or None)
        session.names[wanted.stream(symbol)] = None
        self.ledger.streams(len(session.names))
        return {**wanted.echo, "snapshot": wanted.snapshot}

    def _end(self, session: ClientSession, wanted: Wanted, symbol: str) -> Mapping[str, object]:
        """A book is named with its depth, a bar with its interval."""
        held = self._held(session, wanted, symbol) if wanted.channel == "ticker" else wanted.stream(symbol)
        if held is None or not self.unsubscribe(session, held):
            raise Refused("Subscription Not Found", symbol or None)
        return wanted.echo

    def _held(self, session: ClientSession, wanted: Wanted, symbol: str) -> str | None:
        """The stream of a connection in the place of which a request would put another."""
        family = wanted.family(symbol)
        return next((name for name in session.names if name == family or name.startswith(f"{family}:")), None)

    # --- streams ---

    def loss_shows(self, stream: Stream) -> bool:
        """There are no numbers: that a frame is missing is told by the checksum of the best ten levels alone."""
        return not isinstance(stream.feed, Books) or stream.feed.took_best

    def _open_stream(self, session: ClientSession, wanted: Wanted, symbol: str) -> None:
        """A pair that is listed and not traded is silent."""
        kind = _KINDS.get(wanted.channel, "sweep")
        make = self._maker(wanted)
        self.subscribe(session, wanted.stream(symbol), kind, symbol, make, opening=wanted.snapshot)

    def _maker(self, wanted: Wanted) -> Make:
        value = wanted.value
        makers: dict[str, Make] = {
            "book": lambda each: Books(_made(each), int(value), self.rng),
            "ticker": lambda each: Tickers(_made(each), str(value)),
            "trade": lambda each: Trades(_made(each)),
            "ohlc": lambda each: Candles(_made(each), int(value)),
            "instrument": lambda _: Instruments(lambda: self.market.specs, self.status_of),
        }
        return makers[wanted.channel]

    def status_of(self, spec: InstrumentSpec) -> str:
        """What the catalogue says of a pair."""
        if self.is_delisted(SPOT, spec.native):
            return "delisted"
        return "online" if spec.trading else "cancel_only"


def _made(instrument: SimulatedInstrument | None) -> SimulatedInstrument:
    assert instrument is not None  # subscribe makes a feed with a name only after it found the instrument
    return instrument

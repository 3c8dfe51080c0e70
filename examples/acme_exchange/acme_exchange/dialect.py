"""Acme as the simulator speaks it, written from Acme's manual alone: it shares no line with the venue, so that each
finds the other's mistakes. For the demo (``--demo``) and for the kit's faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.intervals import closes, opens
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec
from cryptodash.simulator.pace import Pace
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import StreamFeed

PERPETUAL = MarketType.PERPETUAL
LIMITS = HostLimits(messages=5, streams=200, connects=150, weight=600, weight_window=60_000)  # 4.1, 5.1
LEVELS = 100
"""Levels a side of the simulated book: what leaves them is sent as deleted."""
PATIENCE = 60.0
"""Seconds without a ping after which Acme closes a connection (4.7)."""

# asset, quote, price decimals, units of a tick, size decimals, units of a step (one contract), trades per hour
INSTRUMENTS = read_table(
    "acme",
    PERPETUAL,
    """
    BTC USDT 1 5 3 1 7200
    ETH USDT 2 5 2 1 7200
    """,
    native_name=lambda base, quote: f"{base}-PERP",
)


def contracts(steps: int) -> str:
    """A size as Acme writes it: a step of the simulated market is a contract."""
    return str(steps)


class Feed:
    """One stream; ``data`` is what there is to say now, None for nothing."""

    def __init__(self, name: str, instrument: SimulatedInstrument) -> None:
        self.name = name
        self.instrument = instrument
        self.spec: InstrumentSpec = instrument.spec

    def frame(self, now: int, data: object) -> str:
        return json.dumps({"stream": self.name, "time": now, "data": data}, separators=(",", ":"))

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        data = self.data(now)
        return () if data is None else (self.frame(now, data),)

    def data(self, now: int) -> object:
        """What there is to say now. A stream that writes its frames itself has none."""
        return None


class Quotes(Feed):
    """4.2: on every change."""

    _sent: object = None

    def data(self, now: int) -> object:
        top, price = self.instrument.top(), self.spec.price
        bid = top.ask + 1 if self.instrument.crossed else top.bid
        said = {
            "bid": price(bid),
            "bidSize": contracts(top.bid_size),
            "ask": price(top.ask),
            "askSize": contracts(top.ask_size),
        }
        if said == self._sent:
            return None
        self._sent = said
        return {"id": self.instrument.update_id, **said}


class Day(Feed):
    """4.3: every second."""

    def __init__(self, name: str, instrument: SimulatedInstrument) -> None:
        super().__init__(name, instrument)
        self._pace = Pace(1_000)

    def data(self, now: int) -> object:
        if not self._pace.take(now):
            return None
        day, price = self.instrument.candles.day(), self.spec.price
        figures = {"last": day.close, "open": day.open, "high": day.high, "low": day.low}
        return {**{name: price(ticks) for name, ticks in figures.items()}, "volume": contracts(day.volume)}


class Trades(Feed):
    """4.4: the fills of a moment together."""

    def data(self, now: int) -> object:
        fills = [
            {
                "id": each.id,
                "price": self.spec.price(each.price),
                "size": contracts(each.size),
                "side": "buy" if each.buy else "sell",
                "time": each.time,
            }
            for each in self.instrument.changes.trades
        ]
        return fills or None


class Books(Feed):
    """4.5: whole to a new subscriber, then what has changed."""

    def __init__(self, name: str, instrument: SimulatedInstrument) -> None:
        super().__init__(name, instrument)
        self._id = 5_000
        self._shown = self._levels()

    def _levels(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = self.instrument.book.levels(LEVELS)
        if self.instrument.crossed:
            bids = [(asks[0][0] + 1, 1), *bids]
        return dict(bids), dict(asks)

    def _said(self, kind: str, bids: Mapping[int, int], asks: Mapping[int, int]) -> object:
        sides = {
            name: [[self.spec.price(price), contracts(size)] for price, size in side.items()]
            for name, side in (("bids", bids), ("asks", asks))
        }
        return {"kind": kind, "id": self._id, **sides}

    def opening(self, now: int) -> Sequence[str]:
        return (self.frame(now, self._said("snapshot", *self._shown)),)

    def data(self, now: int) -> object:
        before, self._shown = self._shown, self._levels()
        if before == self._shown:
            return None
        self._id += 1
        return self._said("change", *map(changes, before, self._shown))


def changes(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """New sizes, and 0 for what is gone."""
    gone = {price: 0 for price in before if price not in after}
    return {**{price: size for price, size in after.items() if before.get(price) != size}, **gone}


class Candles(Feed):
    """4.6: about once a second; a bar that is over once more, as closed."""

    def __init__(self, name: str, instrument: SimulatedInstrument) -> None:
        super().__init__(name, instrument)
        self._interval = name.partition(":")[0].removeprefix("candles-")
        self._open = opens(self._interval, instrument.candles.running)
        self._pace = Pace(1_000)

    def frames(self, now: int) -> Sequence[str]:
        found, running = [], self.instrument.candles.running
        self._open = min(self._open, opens(self._interval, running))  # the clock may have been set back
        while closes(self._interval, self._open) <= running:
            found.append(self._bar(closed=True))
            self._open = closes(self._interval, self._open)
        if found or self._pace.is_due(now):
            self._pace.sent(now)
            found.append(self._bar(closed=False))
        return [self.frame(now, bar) for bar in found if bar is not None]

    def _bar(self, *, closed: bool) -> object:
        bar = self.instrument.candles.candle(self._interval, self._open)
        return None if bar is None else {**bar_of(self.spec, bar), "closed": closed}


def bar_of(spec: InstrumentSpec, bar: Any) -> dict[str, object]:
    """A bar as streams and REST write it (5.2)."""
    prices = {name: spec.price(getattr(bar, name)) for name in ("open", "high", "low", "close")}
    return {"openTime": bar.start, **prices, "volume": contracts(bar.volume)}


KINDS: Mapping[str, tuple[str, Callable[[str, SimulatedInstrument], StreamFeed]]] = {
    "quotes": ("quote", Quotes),
    "day": ("ticker", Day),
    "trades": ("trade", Trades),
    "book": ("book", Books),
    "candles-1m": ("candle", Candles),
    "candles-1h": ("candle", Candles),
}


class AcmeHost(VenueHost):
    """Acme's one host."""

    garbage = ('{"stream":{"a":1}}', '{"stream":"book:BTC-PERP","time":1e300,"data":{"kind":"change","id":"1"}}')

    def market_of(self, path: str) -> MarketType | None:
        return PERPETUAL if path == "/v1/stream" else None

    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:
        session.later(PATIENCE, lambda: self._check(session))

    def _check(self, session: ClientSession) -> None:
        silent = self.clock.monotonic() - session.heard
        if silent >= PATIENCE:
            self.ledger.violate(f"no ping for {silent:.0f} s")
            session.close(1000, "no ping")
        else:
            session.later(PATIENCE - silent, lambda: self._check(session))

    def announce_maintenance(self, session: ClientSession) -> None:
        session.push('{"op":"maintenance","inSeconds":0}')
        super().announce_maintenance(session)

    # 4.1, "Requests"

    def received(self, session: ClientSession, text: str) -> None:
        request = json.loads(text)
        if request["op"] == "ping":
            self.reply(session, '{"op":"pong"}')
            return
        act = self._begin if request["op"] == "subscribe" else self.unsubscribe
        refused = [name for name in request["streams"] if not act(session, name)]
        for name in refused:
            self.reply(session, self._answer(request, ok=False, error="no such stream", stream=name))
        if len(refused) < len(request["streams"]):
            self.reply(session, self._answer(request, ok=True))
        self.ledger.streams(len(session.names))

    def _answer(self, request: Mapping[str, Any], **members: object) -> str:
        return json.dumps({"id": request["id"], **members}, separators=(",", ":"))

    def _begin(self, session: ClientSession, name: str) -> bool:
        word, _, native = name.partition(":")
        if word not in KINDS or not native or name in session.names:
            return False
        kind, feed = KINDS[word]

        def make(instrument: SimulatedInstrument | None) -> StreamFeed:
            assert instrument is not None  # a stream without one is refused
            return feed(name, instrument)

        return self.subscribe(session, name, kind, native, make) is not None

    # 5, "REST"

    def answer(self, path: str, query: Mapping[str, str]) -> HttpAnswer:
        now = self.clock.wall_ms()
        if self.ledger.spend(1, now) > LIMITS.weight:
            self.ledger.violate("too many REST requests in a minute")
            return HttpAnswer(429, b"", {"Retry-After": "60"})
        if path == "/v1/time":
            return _json({"time": now})
        if path == "/v1/contracts":
            return _json({"contracts": [self._contract(each) for each in self.markets[PERPETUAL].specs]})
        instrument = self.markets[PERPETUAL].get(query.get("contract", ""))
        if path != "/v1/candles" or instrument is None:
            return HttpAnswer(404, b'{"error":"not found"}')
        instrument.catch_up(now)
        end = int(query.get("end", now))
        bars = instrument.candles.candles(query["interval"], None, end, int(query["limit"]))
        return _json({"candles": [bar_of(instrument.spec, bar) for bar in bars]})

    def _contract(self, spec: InstrumentSpec) -> dict[str, str]:
        is_gone = self.is_delisted(PERPETUAL, spec.native)
        return {
            "name": spec.native,
            "base": spec.base,
            "quote": spec.quote,
            "contractSize": spec.size(1),
            "tick": spec.price(1),
            "minContracts": "1",
            "state": "ended" if is_gone else "open",
        }


def _json(document: object) -> HttpAnswer:
    return HttpAnswer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


@implementer(IDialect)
class AcmeDialect:
    """One host, one market, every fault."""

    exchange = "acme"
    hosts: Sequence[HostSpec] = (HostSpec("acme", (PERPETUAL,), ("/v1/stream",), "/v1", LIMITS, AcmeHost),)
    markets: Mapping[MarketType, MarketSpec] = {PERPETUAL: MarketSpec(INSTRUMENTS)}
    faults: Collection[str] = FAULTS.keys()
    recordings: IRecordingReader | None = None


DIALECT = AcmeDialect()

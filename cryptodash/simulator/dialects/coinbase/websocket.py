"""Coinbase's Advanced Trade WebSocket: its requests, its channels, and the one series that numbers all frames of a
connection, whatever their channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.coinbase import messages
from cryptodash.simulator.dialects.coinbase.book_feed import Books
from cryptodash.simulator.dialects.coinbase.feeds import Candles, Heartbeats, Status, Tickers, Trades
from cryptodash.simulator.dialects.coinbase.instruments import ALIASES, depth
from cryptodash.simulator.dialects.coinbase.texts import Stamps
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import Stream, StreamFeed

SPOT = MarketType.SPOT
HEARTBEATS = "heartbeats"
KINDS: Mapping[str, str] = {
    "level2": "book",
    "market_trades": "trade",
    "ticker": "ticker",
    "ticker_batch": "ticker",
    "candles": "candle",
    "status": "sweep",
    HEARTBEATS: "heartbeat",
}
"""The channels that need no key, and what kind of stream each is."""
REFUSED = "authentication failure"
"""To a channel that needs a key, and to one that there is not."""
SUBSCRIBE_WITHIN = 5.0
SILENT_AT_MOST = 75.0
"""Seconds. "Most channels close within 60-90 seconds if no updates are sent"."""

_NUMBER = re.compile(r'"sequence_num":(\d+)')


class NumberedFrame(str):
    """A frame whose number is known on each connection that is to get it."""

    numbers: Mapping[ClientSession, int]


class CoinbaseWebSocket(VenueHost):
    """The public host: spot products, without a key."""

    id_members = ("sequence_num", "trade_id")
    time_members = ("timestamp", "event_time", "time")
    level_size = r'"new_quantity":"([0-9.]+)"'
    garbage = (
        '{"channel":7,"timestamp":[],"sequence_num":"1","events":{}}',
        '{"channel":"l2_data","timestamp":"0001-01-01T00:00:00Z","sequence_num":-1,"events":[{"type":"update",'
        '"product_id":"BTC-USD","updates":[{"side":"ask","event_time":"x","price_level":"1_000","new_quantity":"NaN"}]}]}',
        '{"channel":"market_trades","timestamp":"2026-99-99T99:99:99Z","events":[{"type":"update","trades":[null]}]}',
    )

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        self.market = environment.markets[SPOT]
        self._stamps = Stamps()
        self._next: dict[ClientSession, int] = {}
        """The number of the next frame of each connection."""
        self._spoke: dict[ClientSession, float] = {}
        """When the last frame of each went out."""
        self._awaited: set[ClientSession] = set()
        """Those that have subscribed to nothing yet."""
        self._uptime = self.rng.randrange(10_000, 900_000)

    def market_of(self, path: str) -> MarketType | None:
        return SPOT if path in ("", "/") else None

    # --- connections ---

    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:
        self._next[session] = 0
        self._awaited.add(session)
        self._spoke[session] = self.clock.monotonic()
        session.later(SUBSCRIBE_WITHIN, lambda: self._check_subscribed(session))
        session.later(SILENT_AT_MOST, lambda: self._check_silence(session))

    def closed(self, session: ClientSession) -> None:
        super().closed(session)
        self._awaited.discard(session)
        self._next.pop(session, None)
        self._spoke.pop(session, None)

    def _check_subscribed(self, session: ClientSession) -> None:
        if session in self._awaited and not session.frozen:
            self.ledger.violate(f"no subscribe within {SUBSCRIBE_WITHIN:.0f} s")
            session.close(1008, "no subscribe message")

    def _check_silence(self, session: ClientSession) -> None:
        """Close a connection on which nothing has been sent for long; heartbeats keep it."""
        if session.frozen:
            return
        if self.faults.has("silent-venue", session.market):
            self._spoke[session] = self.clock.monotonic()
        left = self._spoke[session] + SILENT_AT_MOST - self.clock.monotonic()
        if left <= 0:
            session.close(1001, "no updates")
        else:
            session.later(max(left, 1.0), lambda: self._check_silence(session))

    # --- the series ---

    def numbered(self, sessions: Sequence[ClientSession], stream: Stream, payload: str) -> str:
        """A frame of a stream that alone is late is numbered when it goes out: it delays no other."""
        if isinstance(payload, NumberedFrame):
            return payload
        frame = NumberedFrame(payload)
        frame.numbers = {
            each: self._take_number(each) for each in sessions if not stream.delay and not each.is_late(stream.name)
        }
        return frame

    def publish(self, stream: Stream, payload: str) -> None:
        """What a silent venue keeps back is lost, and had its number: the series has a hole when it goes on. Of one
        silent product there is nothing to number, as of one that is not traded."""
        if self.faults.concern(stream.market, stream.native, "silent-venue"):
            self.numbered(stream.sessions, stream, payload)
        super().publish(stream, payload)

    def _take_number(self, session: ClientSession) -> int:
        number = self._next.get(session, 0)
        self._next[session] = number + 1
        return number

    def deliver(self, session: ClientSession, stream: Stream, payload: str) -> None:
        """A frame without a number of its own, which a fault has made of another, has the number of that one."""
        if not isinstance(payload, NumberedFrame):
            self._send(session, payload, self._next.get(session, 1) - 1)
            return
        number = payload.numbers.get(session)
        self._send(session, payload, self._take_number(session) if number is None else number)

    def deliver_answer(self, session: ClientSession, text: str) -> None:
        if messages.NUMBER in text:
            self._send(session, text, self._take_number(session))
        else:
            session.push(text)

    def _send(self, session: ClientSession, text: str, number: int) -> None:
        """What stands in the place of the number is added to it: the fault ``future-id`` raises it."""
        self._spoke[session] = self.clock.monotonic()
        session.push(_NUMBER.sub(lambda found: f'"sequence_num":{number + int(found[1])}', text, count=1))

    # --- requests ---

    def received(self, session: ClientSession, text: str) -> None:
        """``{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}``"""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            request = None
        kind = request.get("type") if isinstance(request, dict) else None
        if kind not in ("subscribe", "unsubscribe"):
            self.reply(session, messages.error("invalid message"))
            return
        channel, products = request.get("channel"), request.get("product_ids") or []
        if not isinstance(channel, str) or channel not in KINDS or "jwt" in request:
            self.reply(session, messages.error(REFUSED))
        elif not isinstance(products, list) or not all(isinstance(each, str) for each in products):
            self.reply(session, messages.error("invalid product_ids"))
        elif kind == "subscribe":
            self._awaited.discard(session)
            self._subscribe(session, channel, products)
        else:
            for name in _names(channel, products):
                self.unsubscribe(session, name)
            self._acknowledge(session)

    def _subscribe(self, session: ClientSession, channel: str, products: Sequence[str]) -> None:
        """Data comes before the acknowledgement. A product that there is not is left out of it, without a word."""
        for name in _names(channel, products):
            native = name.partition(":")[2]
            if name not in session.names and (channel == HEARTBEATS or self._is_traded(native)):
                about = "" if channel in (HEARTBEATS, "status") else native
                self.subscribe(session, name, KINDS[channel], about, self._maker(channel, native))
        self.ledger.streams(len(session.names))
        self._acknowledge(session)

    def _acknowledge(self, session: ClientSession) -> None:
        self.reply(session, lambda: self._acknowledgement(session))

    def _acknowledgement(self, session: ClientSession) -> str:
        """All that the connection has subscribed to, as of the moment when it is sent."""
        channels: dict[str, list[str]] = {}
        for name in session.names:
            channel, _, native = name.partition(":")
            channels.setdefault(channel, []).append(native or channel)
        stamp = self._stamps.at(self.clock.wall_ms())
        return messages.frame("subscriptions", stamp, messages.subscriptions_event(channels))

    def _is_traded(self, native: str) -> bool:
        spec = self.market.spec(native)
        return spec is not None and spec.trading

    def _maker(self, channel: str, native: str) -> Callable[[SimulatedInstrument | None], StreamFeed]:
        stamps = self._stamps
        if channel == HEARTBEATS:
            return lambda _: Heartbeats(stamps, self._uptime + int(self.clock.monotonic()))
        if channel == "status":
            spec = self.market.spec(native)
            assert spec is not None  # only products that are traded get this far
            return lambda _: Status(spec, stamps, lambda each: self.is_delisted(SPOT, each))
        if channel == "level2":
            return lambda each: Books(_made(each), stamps, depth(_made(each).spec))
        if channel == "market_trades":
            return lambda each: Trades(_made(each), stamps)
        if channel == "candles":
            return lambda each: Candles(_made(each), stamps)
        return lambda each: Tickers(_made(each), stamps, channel)


def _names(channel: str, products: Sequence[str]) -> Sequence[str]:
    """The streams of a request: ``level2:BTC-USD``. A product that is another name of a book is that book."""
    if channel == HEARTBEATS:
        return (HEARTBEATS,)
    return tuple(dict.fromkeys(f"{channel}:{ALIASES.get(each, each)}" for each in products))


def _made(instrument: SimulatedInstrument | None) -> SimulatedInstrument:
    assert instrument is not None  # subscribe makes a feed with a name only after it found the instrument
    return instrument

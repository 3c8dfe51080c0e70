"""A /ws that says a given number of messages a second about whatever it is asked for, beside the real REST of a stage:
for budgets, not for truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any, Final

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource

from cryptodash.api.http.site import make_site
from cryptodash.core.tally import Tally
from cryptodash.core.time import rfc3339

BEAT_S: Final = 0.02
LEVELS: Final = 50
MIX: Final = ("ticker",) * 6 + ("trade",) * 3 + ("order_book",)
"""Of ten messages: 60 % tickers, 30 % trades, 10 % books."""


class Voice(WebSocketServerProtocol):
    """One client."""

    def onOpen(self) -> None:
        self.factory.flood.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.flood.asked(self, json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.flood.voices.discard(self)

    def say(self, kind: str, payload: dict[str, Any], **more: Any) -> None:
        self.sendMessage(json.dumps({"type": kind, "payload": payload, **more}, default=float).encode())


class Upgrades(Resource):
    """What the site hands upgrades to."""

    isLeaf = True

    def __init__(self, factory: WebSocketServerFactory) -> None:
        super().__init__()
        self._resource = WebSocketResource(factory)

    def render(self, request: Any) -> Any:
        return self._resource.render(request)


class Flood:
    """Listens on a port of its own. ``rate`` is messages a second in all, spread over the channels
    that are subscribed; 0 is silence."""

    def __init__(self, reactor: Any, stage: Any) -> None:
        self._clock = stage.clock
        self._reactor = reactor
        self._said_at = reactor.seconds()
        self._random = Random(11)
        self.rate = 0
        self.sent = 0
        """Value messages so far."""
        self.voices: set[Voice] = set()
        self.channels: dict[str, dict[str, Any]] = {}
        self.composite: dict[str, Any] = {}
        """What a ``bbo`` of ``composite`` says beside time and place; nothing at all while empty."""
        self.books: dict[str, dict[str, Any]] = {}
        """By exchange what its books say beside time and place, where they are not invented; merged ones never are."""
        self.last: dict[str, Any] = {}
        """What every ticker says of its last price; by chance while it is empty."""
        self._books: dict[str, tuple[int, list[list[Decimal]]]] = {}
        self._owed = 0.0
        self._turn = 0
        factory = WebSocketServerFactory(reactor=reactor)
        factory.protocol = Voice
        factory.flood = self
        server = stage.running
        site = make_site(server._rest, Upgrades(factory), server.config, stage.clock, reactor, Tally())
        self._port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}/"
        self._beat = LoopingCall(self._say_some)
        self._beat.clock = reactor
        self._beat.start(BEAT_S, now=False).addErrback(lambda failure: failure.printTraceback())

    async def stop(self) -> None:
        self._beat.stop()
        for voice in list(self.voices):
            voice.dropConnection(abort=True)
        await self._port.stopListening()

    def fall_silent(self) -> None:
        """Whoever is connected now never hears a word again, and is not closed."""
        self.voices.clear()

    def say_composite(self, **members: Any) -> None:
        """The composite best bid and offer becomes this one, for whoever is subscribed."""
        self.composite = members
        for channel in [each for each in self.channels.values() if each["channel_type"] == "bbo"]:
            for kind, payload in self._values(channel):
                for voice in self.voices:
                    voice.say(kind, payload)

    @staticmethod
    def quote(bid: float, ask: float, size: float = 1.0) -> dict[str, float]:
        """What a composite quote says of an exchange that counts."""
        return {"bid": bid, "bid_size": size, "ask": ask, "ask_size": size, "age_ms": 0}

    def say_status(self, kind: str, state: str, cause: str | None = None) -> None:
        """Every subscribed channel of this kind is in this state now."""
        why = {} if cause is None else {"cause": cause}
        for channel in [each for each in self.channels.values() if each["channel_type"] == kind]:
            place = {name: channel[name] for name in channel if name != "max_rate"}
            status = {"channel": place, "state": state, "since": self._now(), "age_ms": 0, "source": "simulated", **why}
            for voice in self.voices:
                voice.say("status", status)

    def say_values(self, kind: str) -> None:
        """The next value of every subscribed channel of this kind."""
        for channel in [each for each in self.channels.values() if each["channel_type"] == kind]:
            for name, payload in self._values(channel):
                for voice in self.voices:
                    voice.say(name, payload)

    def say(self, kind: str, exchange: str, market: str = "spot", **members: Any) -> None:
        """A value of this kind, of each symbol that is asked for; ``timestamp`` is now where none is given."""
        for channel in self.channels.values():
            place = (channel["channel_type"], channel["exchange"], channel.get("market_type", "spot"))
            if place == (kind, exchange, market):
                head = {
                    "timestamp": self._now(),
                    "exchange": exchange,
                    "market_type": market,
                    "symbol": _parts(channel),
                }
                for voice in self.voices:
                    voice.say(kind, {**head, **members})

    def say_book(self, exchange: str, **members: Any) -> None:
        """The books of this exchange (``composite``: the merged ones) become this one, for whoever is subscribed."""
        self.books[exchange] = members
        for channel in [each for each in self.channels.values() if each["channel_type"] == "order_book"]:
            if channel["exchange"] == exchange:
                for kind, payload in self._values(channel):
                    for voice in self.voices:
                        voice.say(kind, payload)

    def say_all(self, kind: str, message: str | None = None, **members: Any) -> None:
        """A message of every subscribed channel of this kind, ``message`` where its type is another."""
        for channel in [each for each in self.channels.values() if each["channel_type"] == kind]:
            place = {name: channel[name] for name in channel if name != "max_rate"}
            own = {name: place[name] for name in ("exchange", "market_type", "symbol")}
            head = {"channel": place} if message == "gap" else {"timestamp": self._now(), **own}
            for voice in self.voices:
                voice.say(message or kind, {**head, **members})

    def say_tickers(self, last: float) -> None:
        """This is the last price now, of everything that is subscribed."""
        self.last = {"last": last}
        self.say_values("ticker")

    def opened(self, voice: Voice) -> None:
        self.voices.add(voice)
        hello = {
            "message": "Connected",
            "session": "flood",
            "version": "1",
            "source": "simulated",
            "server_time": self._now(),
            "ping_ms": 20000,
        }
        voice.say("info", hello)

    def asked(self, voice: Voice, message: dict[str, Any]) -> None:
        operation, channels = message["op"], message.get("channels", [])
        if voice not in self.voices:
            return
        if operation == "ping":
            voice.say("info", {"message": "Pong", "timestamp": self._now(), "id": message.get("id")}, message="pong")
        elif operation == "unsubscribe":
            for channel in channels:
                self.channels.pop(_key(channel), None)
        else:
            voice.say(
                "info", {"message": "Subscribed", "accepted": len(channels), "rejected": [], "id": message.get("id")}
            )
            for channel in channels:
                self.channels[_key(channel)] = channel
                place = {name: channel[name] for name in channel if name != "max_rate"}
                voice.say(
                    "status",
                    {"channel": place, "state": "live", "since": self._now(), "age_ms": 0, "source": "simulated"},
                )
                for kind, payload in self._values(channel, first=True):
                    voice.say(kind, payload)

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms())

    def _say_some(self) -> None:
        now = self._reactor.seconds()
        self._owed += self.rate * min(now - self._said_at, 1.0)
        self._said_at = now
        while self._owed >= 1:
            self._owed -= 1
            self._turn += 1
            wanted = MIX[self._turn % len(MIX)]
            channels = [each for each in self.channels.values() if each["channel_type"] == wanted] or list(
                self.channels.values()
            )
            if not channels:
                return
            for kind, payload in self._values(channels[self._turn % len(channels)]):
                self.sent += 1
                for voice in self.voices:
                    voice.say(kind, payload)

    def _values(self, channel: dict[str, Any], first: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        if channel["symbol"] == "*":
            return  # a sweep tells nothing that a ticker of its own does not
        place = {
            "exchange": channel["exchange"],
            "market_type": channel.get("market_type", "spot"),
            "symbol": _parts(channel),
        }
        head = {"timestamp": self._now(), **place}
        random, mid = self._random, 60_000 + self._random.randrange(-500, 500)
        kind = channel["channel_type"]
        if kind == "ticker":
            sizes = {"bid_size": random.random(), "ask_size": random.random()}
            day = {
                "open_24h": 59_000,
                "high_24h": 61_000,
                "low_24h": 58_000,
                "volume_24h": 1234.5,
                "quote_volume_24h": 73456.5,
                "change_pct_24h": random.uniform(-3, 3),
            }
            yield (
                "ticker",
                {
                    **head,
                    "bid": mid - 0.25,
                    "ask": mid + 0.25,
                    "last": mid + random.choice((-0.25, 0.25)),
                    **sizes,
                    **day,
                    **self.last,
                },
            )
        elif kind == "bbo":
            if self.composite and channel["exchange"] == "composite":
                yield "bbo", {**head, **self.composite}
        elif kind == "trade":
            trade = {
                "id": str(self._turn),
                "price": mid,
                "quantity": random.random(),
                "side": random.choice(("buy", "sell")),
            }
            yield "trade", {**head, **trade}
        elif kind == "candle":
            bar = {
                "open": mid,
                "high": mid + 5,
                "low": mid - 5,
                "close": mid,
                "volume": 3.5,
                "closed": False,
                "source": "venue",
            }
            yield (
                "candle",
                {**head, "timestamp": f"{head['timestamp'][:17]}00.000Z", "interval": channel["interval"], **bar},
            )
        elif kind == "order_book" and (channel["exchange"] != "composite" or "composite" in self.books):
            yield self._book(channel, {**head, "depth": channel.get("depth", LEVELS)}, first)

    def _book(self, channel: dict[str, Any], head: dict[str, Any], first: bool) -> tuple[str, dict[str, Any]]:
        sequence, sides = self._books.get(_key(channel), (0, []))
        if head["exchange"] in self.books:
            self._books[_key(channel)] = (sequence + 1, [])
            return "order_book_snapshot", {**head, "sequence": sequence + 1, **self.books[head["exchange"]]}
        if first or not sides:
            sides = [[Decimal(60_000 + sign * (n + 1)) / 1 for n in range(LEVELS)] for sign in (-1, 1)]
            self._books[_key(channel)] = (sequence + 1, sides)
            bids, asks = ([{"price": price, "quantity": self._random.random()} for price in side] for side in sides)
            return "order_book_snapshot", {
                **head,
                "sequence": sequence + 1,
                "bids": bids,
                "asks": asks,
                "complete": True,
            }
        self._books[_key(channel)] = (sequence + 1, sides)
        bids, asks = (
            [{"price": price, "quantity": self._random.random()} for price in self._random.sample(side, 10)]
            for side in sides
        )
        return "order_book_delta", {
            **head,
            "sequence": sequence + 1,
            "bids_upserts": bids,
            "asks_upserts": asks,
            "deletes": {"bids": [], "asks": []},
        }


def _parts(channel: dict[str, Any]) -> dict[str, str]:
    """The symbol in its object form, whichever it was asked in."""
    symbol = channel["symbol"]
    base, quote = symbol.rsplit("-", 1) if isinstance(symbol, str) else symbol.values()
    return {"base": base, "quote": quote}


def _key(channel: dict[str, Any]) -> str:
    return json.dumps({name: channel[name] for name in sorted(channel) if name != "max_rate"})

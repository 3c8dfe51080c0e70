"""Faults by name: what can be made to go wrong with a simulated venue, and for how long.

``FAULTS`` is the list for people; ``Faults`` starts and stops them, from code and from the control port.
Every fault ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.errors import CryptodashError
from cryptodash.core.instruments import MarketType

if TYPE_CHECKING:
    from cryptodash.simulator.host import Host, Stream

DEFAULT_SECONDS = 10.0
MAX_SECONDS = 3_600.0
_MAX_ACTIVE = 100


class UnknownFault(CryptodashError, ValueError):
    """A fault that does not exist, or that cannot be applied as asked; the message says what is allowed."""


@frozen
class Kind:
    """What a fault does. ``per_symbol``: it can be limited to one instrument; ``once``:
    it happens at its start and is over."""

    description: str
    per_symbol: bool = False
    once: bool = False


FAULTS: dict[str, Kind] = {
    "drop": Kind("abort every connection of the venue, without a close frame", once=True),
    "half-open": Kind("existing connections stay open but neither answer nor send anything again", once=True),
    "silent": Kind("the streams of one symbol deliver nothing", per_symbol=True),
    "silent-venue": Kind("no data and no answers on any connection; pings and pongs go on"),
    "skip": Kind("lose one book frame of each matching stream: a sequence gap", per_symbol=True),
    "duplicate": Kind("send every frame twice", per_symbol=True),
    "reorder": Kind("swap every two frames of a stream", per_symbol=True),
    "old-snapshot": Kind("REST order books are answered as they were when the fault began", per_symbol=True),
    "crossed": Kind("books and quotes show a bid above the ask", per_symbol=True),
    "garbage": Kind(
        "broken frames between the good ones: bad JSON, wrong types, impossible numbers, deep nesting", per_symbol=True
    ),
    "429": Kind("REST answers that there were too many requests, with Retry-After"),
    "418": Kind("REST answers that the address is banned, with Retry-After"),
    "slow": Kind("every frame and REST answer comes two seconds late"),
    "maintenance": Kind("announce a shutdown, close with 1012, then refuse connections and requests with 503"),
    "cut24h": Kind("connections live 10 seconds instead of 24 hours"),
    "delist": Kind("the symbol stops trading: catalogue status changes and its streams fall silent", per_symbol=True),
    "451": Kind("the venue does not serve this country: REST and upgrades are refused with 451 (403 on Bybit)"),
}

GARBAGE: Sequence[str] = (
    "{",
    "null",
    "[1,2,3]",
    '"text"',
    '{"stream":1,"data":[]}',
    '{"topic":{"a":1},"data":null}',
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":"x","s":"BTCUSDT","t":1,"p":"NaN","q":"1e400","T":-1,"m":0}}',
    '{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1e300,'
    '"data":{"s":"BTCUSDT","b":[["1_000"]],"a":[[]],"u":"1","seq":null}}',
    "[" * 5_000,
    '{"e":"depthUpdate","U":' + "9" * 400 + "}",
    '{"stream":"btcusdt@trade","data":{"e":"trade","p":"\ufffd\u0000"}}',
)


@define(eq=False)
class Fault:
    """A fault that is running. ``natives`` are the venue's names it is limited to; None: all.
    ``memory`` is what it has to remember."""

    name: str
    exchange: str
    market: MarketType | None
    symbol: str | None
    natives: frozenset[str] | None
    until: float
    call: IDelayedCall | None = None
    hosts: list[Host] = field(factory=list)
    memory: dict[object, object] = field(factory=dict)
    _waiting: dict[Stream, str] = field(factory=dict)
    _garbage: int = 0

    def covers(self, market: MarketType, native: str) -> bool:
        """Whether an instrument is concerned."""
        return (self.market is None or self.market is market) and (self.natives is None or native in self.natives)

    def shape(self, stream: Stream, payload: str) -> Iterable[str]:
        """The frames that go out in the place of this one."""
        if self.name == "silent-venue":
            return ()
        if not self.covers(stream.market, stream.native):
            return (payload,)
        if self.name in ("silent", "delist"):
            return () if stream.native else (payload,)
        act = _SHAPES.get(self.name)
        return act(self, stream, payload) if act is not None else (payload,)

    def _skip(self, stream: Stream, payload: str) -> Iterable[str]:
        if stream.kind != "book" or stream in self.memory:
            return (payload,)
        self.memory[stream] = True
        return ()

    def _duplicate(self, stream: Stream, payload: str) -> Iterable[str]:
        return (payload, payload)

    def _reorder(self, stream: Stream, payload: str) -> Iterable[str]:
        earlier = self._waiting.pop(stream, None)
        if earlier is None:
            self._waiting[stream] = payload
            return ()
        return (payload, earlier)

    def _spoil(self, stream: Stream, payload: str) -> Iterable[str]:
        self._garbage += 1
        if self._garbage % 4:
            return (payload,)
        return (GARBAGE[self._garbage // 4 % len(GARBAGE)], payload)

    def held(self) -> list[tuple[Stream, str]]:
        """Frames kept back so far, to be sent now that the fault is over."""
        held, self._waiting = list(self._waiting.items()), {}
        return [(stream, payload) for stream, payload in held if stream.sessions]

    def report(self) -> dict[str, object]:
        """For the control port."""
        entry: dict[str, object] = {"exchange": self.exchange, "fault": self.name}
        if self.symbol is not None:
            entry["symbol"] = self.symbol
        if self.market is not None:
            entry["market"] = self.market.value
        return entry


_SHAPES = {"skip": Fault._skip, "duplicate": Fault._duplicate, "reorder": Fault._reorder, "garbage": Fault._spoil}


class Faults:
    """The faults of one simulator."""

    def __init__(self, reactor: IReactorTime, hosts: Sequence[Host]) -> None:
        self._reactor = reactor
        self._hosts = hosts
        self.active: list[Fault] = []

    def start(
        self,
        exchange: str,
        name: str,
        symbol: str | None = None,
        seconds: float | None = None,
        market: MarketType | str | None = None,
    ) -> Fault:
        """Begin a fault; it ends after ``seconds`` (10 by default, at most an hour).

        ``symbol`` is ``BTC-USDT`` or the venue's own name. Raises ``UnknownFault``.
        """
        kind = FAULTS.get(name)
        if kind is None:
            raise UnknownFault(f"{name[:40]!r} is not one of: {', '.join(FAULTS)}")
        only = _market(market)
        hosts = [host for host in self._hosts if host.exchange == exchange and (only is None or only in host.markets)]
        if not hosts:
            raise UnknownFault(
                f"{exchange[:40]!r} is not simulated; "
                f"one of: {', '.join(sorted({host.exchange for host in self._hosts}))}"
            )
        if len(self.active) >= _MAX_ACTIVE:
            raise UnknownFault(f"{_MAX_ACTIVE} faults are running already")
        lasting = DEFAULT_SECONDS if seconds is None else seconds
        if not 0 < lasting <= MAX_SECONDS:
            raise UnknownFault(f"seconds must be above 0 and at most {MAX_SECONDS:.0f}")
        fault = Fault(
            name,
            exchange,
            only,
            symbol,
            self._natives(hosts, kind, name, symbol),
            self._reactor.seconds() + lasting,
            hosts=hosts,
        )
        self.active.append(fault)
        fault.call = self._reactor.callLater(0 if kind.once else lasting, self._end, fault)
        for host in hosts:
            host.begin(fault)
        return fault

    def _natives(self, hosts: Sequence[Host], kind: Kind, name: str, symbol: str | None) -> frozenset[str] | None:
        if symbol is None:
            if name in ("silent", "delist"):
                raise UnknownFault(f"{name} needs a symbol")
            return None
        if not kind.per_symbol:
            raise UnknownFault(f"{name} concerns the whole venue: no symbol, please")
        wanted = symbol.upper()
        listed = [each for host in hosts for market in host.markets.values() for each in market.listings]
        natives = frozenset(
            each.native
            for each in listed
            if wanted in (each.native, f"{each.base}-{each.quote}") and each.kind != "future"
        )
        if not natives:
            raise UnknownFault(f"{symbol[:40]!r} is not listed there")
        return natives

    def stop(self, exchange: str | None = None, name: str | None = None, symbol: str | None = None) -> int:
        """End the running faults that match; all of them without arguments. Returns how many."""
        chosen = [
            fault
            for fault in self.active
            if (exchange is None or fault.exchange == exchange)
            and (name is None or fault.name == name)
            and (symbol is None or fault.symbol == symbol)
        ]
        for fault in chosen:
            self._end(fault)
        return len(chosen)

    def _end(self, fault: Fault) -> None:
        self.active.remove(fault)
        if fault.call is not None and fault.call.active():
            fault.call.cancel()
        for host in fault.hosts:
            host.end(fault)


def _market(market: MarketType | str | None) -> MarketType | None:
    if market is None:
        return None
    try:
        return MarketType(market)
    except ValueError:
        raise UnknownFault("market is spot or perpetual") from None

"""Faults by name: what can be made to go wrong with a simulated venue, and what a fault that runs does to its frames.

``FAULTS`` is the one description, for people and for the code. Who starts and stops faults is in ``fault_runner.py``,
what they do to streams in ``host_streams.py``, to connections and REST answers in ``host.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.raised import raised
from cryptodash.simulator.streams import Stream


@frozen
class FaultKind:
    """What a fault does, and ``client_sees``: how a client of the venue notices it.

    ``per_symbol``: it can be limited to one instrument; ``needs_symbol``: it must be. ``once``: it happens at its start
    and is over, so that it takes no seconds. ``whole_host``: it cannot be limited to one market of a host that serves
    several. ``options``: what may be said of it besides, of ``OPTIONS``.
    """

    does: str
    client_sees: str
    per_symbol: bool = False
    needs_symbol: bool = False
    once: bool = False
    whole_host: bool = False
    options: Sequence[str] = ()

    @property
    def takes(self) -> str:
        """What may be said of it on the command line: ``[SYMBOL] [SECONDS]``."""
        symbol = "SYMBOL" if self.needs_symbol else "[SYMBOL]" if self.per_symbol else ""
        return " ".join(filter(None, (symbol, "" if self.once else "[SECONDS]", *map(OPTIONS.get, self.options))))


OPTIONS = {"stream": "[--stream NAME]", "delay": "[--delay N]", "step": "--step N", "to": "--to BASE"}
"""Names of what a fault may take besides symbol and seconds, and how that is said on the command line."""
DEFAULT_DELAY = 5.0
MAX_DELAY = 60.0
MAX_STEP = 3_600.0
"""Seconds."""

FAULTS: dict[str, FaultKind] = {
    "drop": FaultKind(
        "abort every connection of the venue, without a close frame", "the connection is lost at once", once=True
    ),
    "half-open": FaultKind(
        "existing connections stay open but neither answer nor send anything again",
        "no data, no answer and no pong, and no end of the connection",
        once=True,
    ),
    "silent": FaultKind(
        "the streams of one symbol deliver nothing",
        "that symbol stands still, everything else goes on",
        per_symbol=True,
        needs_symbol=True,
    ),
    "silent-venue": FaultKind(
        "no data and no answers on any connection, to JSON pings neither; WebSocket pings and pongs go on",
        "connections that are alive and say nothing",
    ),
    "skip": FaultKind(
        "lose one book frame of each matching stream, one that will be missed, not of those that a new subscriber gets "
        "first",
        "a sequence gap in the book",
        per_symbol=True,
    ),
    "duplicate": FaultKind(
        "send every frame of data twice, also those that a new subscriber gets first; answers come once",
        "no difference: the second one changes nothing",
        per_symbol=True,
    ),
    "reorder": FaultKind(
        "swap every two frames of a stream, after those that a new subscriber gets first",
        "sequence gaps in books, trades that come late",
        per_symbol=True,
    ),
    "old-snapshot": FaultKind(
        "REST order books are answered as they were when the fault began",
        "snapshots too old for the stream: a book that needs one cannot be built",
        per_symbol=True,
    ),
    "crossed": FaultKind("books and quotes show a bid above the ask", "crossed books and quotes", per_symbol=True),
    "garbage": FaultKind(
        "broken frames between the good ones: bad JSON, wrong types, impossible numbers, deep nesting",
        "frames that cannot be read; the good ones are all there",
        per_symbol=True,
    ),
    "future-id": FaultKind(
        "before some quotes, trades and book frames comes a copy whose ids are far in the future",
        "ids that the venue has not reached; every true frame comes, too",
        per_symbol=True,
    ),
    "future-time": FaultKind(
        "before some quotes, trades, book frames and figures comes a copy whose times are an hour ahead",
        "times that the venue's clock has not reached; every true frame comes, too",
        per_symbol=True,
    ),
    "wrong-size": FaultKind(
        "every fourth book frame of each matching stream, not of those that a new subscriber gets first, has a wrong "
        "size at its last level",
        "books that are wrong though no id tells; only a checksum or a snapshot shows it",
        per_symbol=True,
    ),
    "wrong-contract": FaultKind(
        "the catalogue says that a contract of the symbol is worth ten times what it is",
        "quantities ten times too large for whoever believes it; the volumes of 24 hours, which come in contracts and "
        "in base, tell otherwise",
        per_symbol=True,
        needs_symbol=True,
    ),
    "429": FaultKind(
        "REST answers that there were too many requests, with Retry-After",
        "no REST answers until then; asking earlier breaks a limit",
    ),
    "418": FaultKind(
        "REST answers that the address is banned, with Retry-After",
        "no REST answers until then; asking earlier breaks a limit",
    ),
    "slow": FaultKind(
        f"every frame and REST answer comes N seconds late ({DEFAULT_DELAY:.0f}), in order, none lost; "
        "of one symbol or stream its frames alone",
        "values that are N seconds old",
        per_symbol=True,
        options=("stream", "delay"),
    ),
    "clock": FaultKind(
        "the venue's clock steps by N seconds (back if negative), and at the end steps back: all times in frames and "
        "REST answers, the server time too",
        "times that jump while the data goes on",
        whole_host=True,
        options=("step",),
    ),
    "maintenance": FaultKind(
        "announce a shutdown where the venue does so, close with 1012, then refuse connections and requests with 503",
        "closed connections, and a venue that cannot be reached",
    ),
    "cut24h": FaultKind(
        "connections live 10 seconds, not as long as the venue lets them",
        "every connection is closed with 1001 every 10 seconds",
    ),
    "delist": FaultKind(
        "the symbol stops trading: the catalogue says so and its streams fall silent",
        "the symbol is no longer tradable",
        per_symbol=True,
        needs_symbol=True,
    ),
    "list": FaultKind(
        "a symbol that there was not is listed and trades; at the end it is not there any more",
        "one more symbol in the catalogue",
        needs_symbol=True,
        per_symbol=True,
    ),
    "rename": FaultKind(
        "the symbol gets another base: the catalogue lists it under its new name, its streams fall silent but for "
        "that of its book; at the end it has its old name",
        "a symbol that is gone, and another one with the venue's same id",
        per_symbol=True,
        needs_symbol=True,
        options=("to",),
    ),
    "451": FaultKind(
        "REST and upgrades are refused with the venue's answer to a country that it does not serve (451, or its own)",
        "nothing new can be asked or opened; open connections go on",
    ),
}

GARBAGE: Sequence[str] = (
    "{",
    "null",
    "[1,2,3]",
    '"text"',
    "[" * 5_000,
    '{"a":' + "9" * 400 + "}",
    '{"data":"\ufffd\u0000"}',
)
"""Frames that no venue sends. A dialect adds some that are nearly right (``VenueHost.garbage``)."""


FUTURE_IDS = 10**12
FUTURE_MS = 3_600_000
_BY_ID = frozenset({"quote", "trade", "book"})
_BY_TIME = _BY_ID | {"ticker", "mark"}


@define(eq=False)
class Fault:
    """A fault that is running.

    ``natives`` are the venue's names of the instruments it is limited to, None: all. ``until`` is a time of the
    reactor. ``garbage`` are the frames that the fault of that name sends, ``ids`` and ``times`` the members of the
    venue's frames that ``future-id`` and ``future-time`` raise, ``loss_shows`` says of a stream whether ``skip`` may
    lose its last frame, ``level_size`` finds what ``wrong-size`` makes wrong. ``stream`` is the one stream it is
    limited to, as the venue names it, None: all. ``delay``: seconds by which it makes things late; ``step_ms`` by which
    it steps the clock; ``to``: the base that ``rename`` gives. ``memory`` is for what has to be remembered while it
    runs.
    """

    name: str
    exchange: str
    market: MarketType | None
    symbol: str | None
    natives: frozenset[str] | None
    until: float
    garbage: Sequence[str] = GARBAGE
    ids: Sequence[str] = ()
    times: Sequence[str] = ()
    loss_shows: Callable[[Stream], bool] = lambda _: True
    call: IDelayedCall | None = None
    memory: dict[object, object] = field(factory=dict)
    stream: str | None = None
    delay: float = 0.0
    step_ms: int = 0
    level_size: str = ""
    to: str = ""
    _waiting: dict[Stream, str] = field(factory=dict)
    _counts: dict[Stream, int] = field(factory=dict)
    _frames: int = 0

    def covers(self, market: MarketType, native: str) -> bool:
        """Whether an instrument is concerned."""
        return (self.market is None or self.market is market) and (self.natives is None or native in self.natives)

    @property
    def is_limited(self) -> bool:
        """Whether it is about some streams only."""
        return self.natives is not None or self.stream is not None

    def is_about(self, stream: Stream) -> bool:
        """Whether a stream is concerned."""
        return self.covers(stream.market, stream.native) and self.stream in (None, stream.name)

    def concerns(self, market: MarketType | None) -> bool:
        """Whether something of a market is concerned; None is the whole host."""
        return self.market is None or market is None or self.market is market

    def shape(self, stream: Stream, payload: str, *, opening: bool) -> Iterable[str]:
        """The frames that go out in the place of this one. ``opening``: one that a new subscriber gets first."""
        shape = _SHAPES.get(self.name)
        if shape is None or (opening and self.name not in _SHAPE_OPENINGS):
            return (payload,)
        return shape(self, stream, payload) if self.covers(stream.market, stream.native) else (payload,)

    def _swallow(self, stream: Stream, payload: str) -> Iterable[str]:
        return ()

    def _silence(self, stream: Stream, payload: str) -> Iterable[str]:
        """A stream about a whole market goes on: its feed leaves the instrument out."""
        return () if stream.native else (payload,)

    def _leave_book(self, stream: Stream, payload: str) -> Iterable[str]:
        """Of what has another name now, the stream of the book alone goes on under the old one."""
        return (payload,) if stream.kind == "book" or not stream.native else ()

    def _skip(self, stream: Stream, payload: str) -> Iterable[str]:
        if stream.kind != "book" or stream in self.memory or not self.loss_shows(stream):
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
        self._frames += 1
        if self._frames % 4:
            return (payload,)
        return (self.garbage[self._frames // 4 % len(self.garbage)], payload)

    def _foresee_ids(self, stream: Stream, payload: str) -> Iterable[str]:
        return self._foresee(stream, payload, self.ids, FUTURE_IDS) if stream.kind in _BY_ID else (payload,)

    def _foresee_times(self, stream: Stream, payload: str) -> Iterable[str]:
        return self._foresee(stream, payload, self.times, FUTURE_MS) if stream.kind in _BY_TIME else (payload,)

    def _foresee(self, stream: Stream, payload: str, members: Sequence[str], by: int) -> Iterable[str]:
        """Before every fourth frame of a stream a copy of it in which these members are higher, numbers or texts."""
        count = self._counts[stream] = self._counts.get(stream, 0) + 1
        if count % 4:
            return (payload,)
        return (raised(payload, members, by), payload)

    def _falsify(self, stream: Stream, payload: str) -> Iterable[str]:
        """The level farthest down in every fourth frame that has one: it stays as it is for the longest."""
        found = [each for each in re.finditer(self.level_size, payload) if each[1].strip("0.")]
        if stream.kind != "book" or not found:
            return (payload,)
        count = self._counts[stream] = self._counts.get(stream, 0) + 1
        if count % 4:
            return (payload,)
        at = found[-1].start(1)
        return (f"{payload[:at]}7{payload[at:]}",)

    def held(self) -> list[tuple[Stream, str]]:
        """Frames kept back so far, to be sent now that the fault is over."""
        held, self._waiting = list(self._waiting.items()), {}
        return held

    def forget(self, stream: Stream) -> None:
        """A stream has ended: one of its name that is opened later is another."""
        self.memory.pop(stream, None)
        self._waiting.pop(stream, None)

    @property
    def spellings(self) -> set[str]:
        """How the symbol may be named, in upper case; empty for all of them."""
        return {each.upper() for each in (self.symbol, *(self.natives or ())) if each is not None}

    def report(self) -> dict[str, object]:
        """For the control port."""
        entry: dict[str, object] = {"exchange": self.exchange, "fault": self.name}
        if self.symbol is not None:
            entry["symbol"] = self.symbol
        if self.market is not None:
            entry["market"] = self.market.value
        if self.stream is not None:
            entry["stream"] = self.stream
        if self.delay:
            entry["delay"] = self.delay
        if self.step_ms:
            entry["step"] = self.step_ms / 1000
        if self.to:
            entry["to"] = self.to
        return entry


_SHAPES: dict[str, Callable[[Fault, Stream, str], Iterable[str]]] = {
    "silent": Fault._silence,
    "silent-venue": Fault._swallow,
    "delist": Fault._silence,
    "rename": Fault._leave_book,
    "skip": Fault._skip,
    "duplicate": Fault._duplicate,
    "reorder": Fault._reorder,
    "garbage": Fault._spoil,
    "wrong-size": Fault._falsify,
    "future-id": Fault._foresee_ids,
    "future-time": Fault._foresee_times,
}
_SHAPE_OPENINGS = ("duplicate", "garbage")
"""Those that treat what a new subscriber gets first like any frame. The others remember something of a stream for all
its subscribers (and a silence lets nobody begin at all)."""

"""Starts and stops the faults of a simulator, from code and from the control port. Every fault ends by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime

from cryptodash.core.errors import CryptodashError
from cryptodash.core.instruments import MarketType
from cryptodash.simulator.faults import DEFAULT_DELAY, FAULTS, GARBAGE, MAX_DELAY, MAX_STEP, Fault, FaultKind
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.listing_changes import like

DEFAULT_SECONDS = 10.0
MAX_SECONDS = 3_600.0
_MOST_ACTIVE = 100
_LONGEST_STREAM = 200
_LONGEST_BASE = 20


class UnknownFault(CryptodashError, ValueError):
    """A fault that does not exist, or that cannot be applied as asked; the message says what is allowed."""


class FaultRunner:
    """The faults of one simulator. ``supported``: by venue, the names of those that its dialect does."""

    def __init__(
        self, reactor: IReactorTime, hosts: Sequence[VenueHost], supported: Mapping[str, Collection[str]]
    ) -> None:
        self._reactor = reactor
        self._hosts = hosts
        self._supported = supported
        self._affected: dict[Fault, list[VenueHost]] = {}

    @property
    def active(self) -> list[Fault]:
        """The running faults, in the order in which they began."""
        return list(self._affected)

    def start(
        self,
        exchange: str,
        name: str,
        symbol: str | None = None,
        seconds: float | None = None,
        market: MarketType | str | None = None,
        *,
        stream: str | None = None,
        delay: float | None = None,
        step: float | None = None,
        to: str | None = None,
    ) -> Fault:
        """Begin a fault; it ends after ``seconds`` (10 by default, at most an hour).

        ``symbol`` is ``BTC-USDT`` or the venue's own name. ``stream`` is the name by which clients subscribe to it;
        nobody has to be subscribed yet. ``delay`` in seconds is for ``slow`` (5 by default, at most 60), ``step`` in
        seconds, to the ms, for ``clock`` (at most an hour forward, or back), ``to`` is the new base of ``rename``.
        Raises ``UnknownFault``.
        """
        kind = FAULTS.get(name)
        if kind is None:
            raise UnknownFault(f"{name[:40]!r} is not one of: {', '.join(FAULTS)}")
        only = _market(market)
        hosts = self._hosts_of(exchange, only)
        if name not in self._supported[exchange]:
            named = ", ".join(each for each in FAULTS if each in self._supported[exchange])
            raise UnknownFault(f"the simulated {exchange} does not do {name}; it does: {named}")
        if len(self._affected) >= _MOST_ACTIVE:
            raise UnknownFault(f"{_MOST_ACTIVE} faults are running already")
        lasting = DEFAULT_SECONDS if seconds is None else seconds
        if not 0 < lasting <= MAX_SECONDS:
            raise UnknownFault(f"seconds must be above 0 and at most {MAX_SECONDS:.0f}")
        if kind.whole_host and only is not None and any(len(host.markets) > 1 for host in hosts):
            raise UnknownFault(f"{name} concerns all markets of {exchange}, which are on one host: no market, please")
        for option, given in (("stream", stream), ("delay", delay), ("step", step), ("to", to)):
            if given is not None and option not in kind.options:
                raise UnknownFault(f"{name} takes no {option}")
        if stream is not None and (symbol is not None or not 0 < len(stream) <= _LONGEST_STREAM):
            said = "not both" if symbol is not None else f"of at most {_LONGEST_STREAM} characters"
            raise UnknownFault(f"{name} takes a symbol or a stream, {said}")
        if delay is not None and not 0 < delay <= MAX_DELAY:
            raise UnknownFault(f"delay must be above 0 and at most {MAX_DELAY:.0f}")
        if "step" in kind.options and (step is None or not 0.001 <= abs(step) <= MAX_STEP):
            raise UnknownFault(f"{name} needs a step: seconds, at most {MAX_STEP:.0f} forward, or back if negative")
        if delay is None and "delay" in kind.options:
            delay = DEFAULT_DELAY
        if "to" in kind.options and not (to and len(to) <= _LONGEST_BASE and to.isprintable() and " " not in to):
            raise UnknownFault(f"{name} needs to: the new base, of at most {_LONGEST_BASE} characters")
        natives = _listed_anew(hosts, symbol, only) if name == "list" else _natives(hosts, kind, name, symbol, only)
        until = self._reactor.seconds() + lasting
        garbage = (*GARBAGE, *hosts[0].garbage)
        members = hosts[0].id_members, hosts[0].time_members
        fault = Fault(name, exchange, only, symbol, natives, until, garbage, *members, hosts[0].loss_shows)
        fault.stream, fault.delay, fault.step_ms = stream, delay or 0.0, round((step or 0.0) * 1000)
        fault.level_size = hosts[0].level_size
        fault.to = to or ""
        self._affected[fault] = hosts
        fault.call = self._reactor.callLater(0 if kind.once else lasting, self._end, fault)
        for host in hosts:
            host.begin(fault)
        return fault

    def _hosts_of(self, exchange: str, market: MarketType | None) -> list[VenueHost]:
        hosts = [
            each for each in self._hosts if each.exchange == exchange and (market is None or market in each.markets)
        ]
        if not hosts and any(each.exchange == exchange for each in self._hosts):
            raise UnknownFault(f"the simulated {exchange} has no {market} market")
        if not hosts:
            simulated = ", ".join(sorted({host.exchange for host in self._hosts}))
            raise UnknownFault(f"{exchange[:40]!r} is not simulated; one of: {simulated}")
        return hosts

    def stop(
        self,
        exchange: str | None = None,
        name: str | None = None,
        symbol: str | None = None,
        market: MarketType | str | None = None,
        *,
        stream: str | None = None,
    ) -> int:
        """End the running faults that match; all of them without arguments. Returns how many. ``symbol`` and
        ``stream`` as in ``start``. Raises ``UnknownFault`` for a market that there is not."""
        only = _market(market)
        chosen = [
            fault
            for fault in self._affected
            if (exchange is None or fault.exchange == exchange)
            and (name is None or fault.name == name)
            and (symbol is None or symbol.upper() in fault.spellings)
            and (only is None or fault.market is only)
            and (stream is None or fault.stream == stream)
        ]
        for fault in chosen:
            self._end(fault)
        return len(chosen)

    def _end(self, fault: Fault) -> None:
        hosts = self._affected.pop(fault)
        if fault.call is not None and fault.call.active():
            fault.call.cancel()
        for host in hosts:
            host.end(fault)


def _listed_anew(hosts: Sequence[VenueHost], symbol: str | None, only: MarketType | None) -> frozenset[str]:
    """The venue's names of what the fault ``list`` adds."""
    if symbol is None or len(symbol) > 2 * _LONGEST_BASE or not symbol.isprintable() or " " in symbol:
        raise UnknownFault("list needs a symbol: BASE-QUOTE")
    made = [
        like(market, symbol) for host in hosts for kept, market in host.markets.items() if only is None or kept is only
    ]
    natives = frozenset(each.native for each in made if each is not None)
    if not natives:
        raise UnknownFault(f"{symbol[:40]!r} cannot be listed there: it is, or nothing is quoted so")
    return natives


def _natives(
    hosts: Sequence[VenueHost], kind: FaultKind, name: str, symbol: str | None, only: MarketType | None
) -> frozenset[str] | None:
    """The venue's names of the instruments that a fault is limited to; None for all."""
    if symbol is None:
        if kind.needs_symbol:
            raise UnknownFault(f"{name} needs a symbol")
        return None
    if not kind.per_symbol:
        raise UnknownFault(f"{name} concerns the whole venue: no symbol, please")
    wanted = symbol.upper()
    listed = [
        each
        for host in hosts
        for kept, market in host.markets.items()
        if only is None or kept is only
        for each in market.specs
    ]
    natives = frozenset(
        each.native
        for each in listed
        if wanted in (each.native.upper(), f"{each.base}-{each.quote}".upper()) and each.kind != "future"
    )
    if not natives:
        raise UnknownFault(f"{symbol[:40]!r} is not listed there")
    return natives


def _market(market: MarketType | str | None) -> MarketType | None:
    if market is None:
        return None
    try:
        return MarketType(market)
    except ValueError:
        raise UnknownFault("market is spot or perpetual") from None

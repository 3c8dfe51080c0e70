"""The simulator as a service: every host of the simulated venues on a port of its own, one market behind them, faults,
ledgers and the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.web.server import Site

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator.assets import AssetValues
from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.control import control_site
from cryptodash.simulator.dialect import HostSpec, IDialect
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.fault_runner import FaultRunner
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.intervals import MINUTE
from cryptodash.simulator.limited_http import LimitedSite
from cryptodash.simulator.limits import Ledger, Ledgers
from cryptodash.simulator.market import Market
from cryptodash.simulator.resting_orders import STEP_MS
from cryptodash.simulator.truth import Truth
from cryptodash.simulator.web import VenueResource

LOOPBACK = "127.0.0.1"


class Simulator(MultiService):
    """Simulated venues, on loopback unless ``interface`` is another.

    ``exchanges`` are those to simulate, by default all that have a dialect. Their hosts (``hosts``, by name) listen on
    ``first_port`` and the ports after it: in the order of ``exchanges``, within one spot before perpetual; without
    ``first_port`` each takes a free one. ``listen`` may be called before ``startService``; from then on ``base_urls``
    is filled: (exchange, market) to (WebSocket base URL, REST base URL). ``control_port`` is the number to listen on
    for ``control`` (0: a free one), always on loopback; the attribute holds the bound one once listening. With
    ``or_any_control_port`` a taken one is no error, and a free one is taken in its place.
    ``record=True`` keeps the past of the books for ``truth``. ``lags`` says by how many ms the quotes of a venue follow
    the price that all venues of a pair share, where that is not what its dialect says (``MarketSpec.lag_ms``).

    Raises ``ConfigError`` for a venue without a dialect, ``CannotListenError`` (from ``listen``) for a taken port.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        *,
        seed: int = 1,
        exchanges: Iterable[str] | None = None,
        interface: str = LOOPBACK,
        first_port: int = 0,
        control_port: int | None = None,
        or_any_control_port: bool = False,
        record: bool = False,
        lags: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._clock = clock
        self._interface = interface
        self._first_port = first_port
        self._control_port = control_port
        self._or_any_control_port = or_any_control_port
        self._ports: list[IListeningPort] = []
        self._next_step: IDelayedCall | None = None
        self.base_urls: dict[tuple[str, MarketType], tuple[str, str]] = {}
        self.control_port: int | None = None
        self.ledger = Ledgers()
        names = registry.available() if exchanges is None else exchanges
        self.dialects = [registry.load(name) for name in dict.fromkeys(names)]
        # The market is a minute older than the simulator, so that there are recent trades from the start.
        assets: AssetValues = AssetValues(seed, clock.wall_ms() - MINUTE)
        bars: BarCache[Bar] = BarCache()
        self.markets = {
            (dialect.exchange, market): Market(
                dialect.exchange,
                market,
                evolve(spec, lag_ms=(lags or {}).get(dialect.exchange, spec.lag_ms)),
                assets,
                bars,
                record=record,
            )
            for dialect in self.dialects
            for market, spec in dialect.markets.items()
        }
        self.hosts: dict[str, VenueHost] = {}
        for dialect in self.dialects:
            for spec in self.hosts_of(dialect):
                self.hosts[spec.name] = self._make_host(dialect.exchange, spec, Random(f"{seed}:{spec.name}"))
        supported = {dialect.exchange: dialect.faults for dialect in self.dialects}
        self.faults = FaultRunner(reactor, list(self.hosts.values()), supported)
        self.truth = Truth(self.markets)

    def _make_host(self, exchange: str, spec: HostSpec, rng: Random) -> VenueHost:
        ledger = self.ledger.by_host[spec.name] = Ledger(spec.name, spec.limits)
        markets = {market: self.markets[exchange, market] for market in spec.markets}
        host = spec.make(HostEnvironment(spec.name, exchange, markets, self._reactor, self._clock, ledger, rng))
        host.stream_opened = self._wake
        return host

    @staticmethod
    def hosts_of(dialect: IDialect) -> list[HostSpec]:
        """A venue's hosts in the order of their ports: spot before perpetual."""
        return sorted(dialect.hosts, key=lambda each: MarketType.SPOT not in each.markets)

    def listen(self) -> None:
        """Bind every port now; a second call does nothing."""
        if self._ports:
            return
        for index, host in enumerate(self.hosts.values()):
            site = LimitedSite(VenueResource(host, self._reactor), self._reactor, idle_seconds=60)
            port = self._listen(self._first_port + index if self._first_port else 0, site, self._interface)
            at = f"[{self._interface}]:{port}" if ":" in self._interface else f"{self._interface}:{port}"
            for market in host.markets:
                self.base_urls[host.exchange, market] = (f"ws://{at}", f"http://{at}")
        if self._control_port is not None:
            self.control_port = self._listen_for_control(self._control_port)

    def _listen_for_control(self, number: int) -> int:
        """Wherever the hosts are: whoever reaches this port can break them, and the command looks for it here."""
        control = control_site(self.faults, self.ledger, self._reactor)
        try:
            return self._listen(number, control, LOOPBACK)
        except CannotListenError:
            if not self._or_any_control_port:
                raise
            return self._listen(0, control, LOOPBACK)

    def _listen(self, number: int, site: Site, interface: str) -> int:
        port = self._reactor.listenTCP(number, site, interface=interface)
        self._ports.append(port)
        return int(port.getHost().port)

    def startService(self) -> None:
        super().startService()
        self.listen()
        self._wake()

    async def _closed(self, ports: list[IListeningPort]) -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)

    def stopService(self) -> Deferred[list[None]]:
        """A Deferred that fires when all ports are closed; connections are aborted."""
        self.faults.stop()
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        for host in self.hosts.values():
            for session in list(host.sessions):
                session.transport.abort()
                host.closed(session)
        ports, self._ports = self._ports, []
        return gatherResults([Deferred.fromCoroutine(self._closed(ports)), super().stopService()])

    def _wake(self) -> None:
        if self._next_step is None and self.running and any(host.streams for host in self.hosts.values()):
            self._next_step = self._reactor.callLater(STEP_MS / 1000, self._step)

    def _step(self) -> None:
        self._next_step = None
        now = self._clock.wall_ms()
        try:
            for host in self.hosts.values():
                host.step(now)
        finally:
            self._wake()

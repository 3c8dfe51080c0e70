"""Everything that the connections of /ws share: who is there, what they may do, how all of them are told goodbye."""

from __future__ import annotations

import random as _random
import uuid
from typing import Final, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.api.access.access import Access
from cryptodash.api.addresses import Addresses
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.sockets import Sockets
from cryptodash.api.ws.session import Identity, Session
from cryptodash.core import codec
from cryptodash.core.config import Config
from cryptodash.core.recorded import ITapes
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDemand, IDirectory, IValues

RECONNECTS_PER_S: Final = 200
"""How densely a drain spreads the clients' reconnects."""


class Connection(Protocol):
    """One client's connection, as far as all of them are handled alike."""

    session: Session | None

    def close_with(self, code: int, reason: str) -> None:
        """Send a close frame; abort a second later if the peer does not answer."""

    def abort(self) -> None:
        """End it without a word."""


class Clients:
    """The clients of one server. ``start`` and ``stop`` with it; ``drain`` says goodbye.

    ``source`` is what the greeting says (``live``, ``simulated``, ...),
    ``random`` spreads reconnects and makes session ids. ``access``: the rules that both doors share; without it those
    of ``config``. ``tapes``: what was recorded, None where nothing is.
    """

    def __init__(
        self,
        directory: IDirectory,
        demand: IDemand,
        values: IValues,
        config: Config,
        source: str,
        version: str,
        reactor: IReactorTime,
        clock: Clock,
        tally: Tally,
        random: _random.Random,
        access: Access | None = None,
        tapes: ITapes | None = None,
    ) -> None:
        self.directory = directory
        self.demand = demand
        self.tapes = tapes
        self.config = config
        self.clock = clock
        self.reactor = reactor
        self.fanout = Fanout(values, config, reactor, clock, tally)
        self.traffic = self.fanout.traffic
        self.access = Access(config, clock, tally) if access is None else access
        self.addresses = Addresses(config.trusted_proxies)
        limits = config.limits
        self.sockets = Sockets(self.addresses.charged_to, limits.max_connections, limits.max_connections_per_ip, tally)
        self.identity = Identity(version, source, round(config.limits.ping_interval_s * 1000))
        self.sessions: dict[Connection, None] = {}
        self.draining = False
        self._random = random
        self._empty: Deferred[None] | None = None
        tally.gauge("cryptodash_ws_connections", "Open client connections.", lambda: {(): len(self.sessions)})

    def reconfigure(self, config: Config) -> None:
        """Origins and limits that new connections go by from now on; those that there are keep theirs."""
        limits = config.limits
        self.config = config
        self.sockets.limit(limits.max_connections, limits.max_connections_per_ip)
        self.fanout.limit(limits.client_buffer_bytes, config.client_stall_timeout_s)
        self.identity = evolve(self.identity, ping_ms=round(limits.ping_interval_s * 1000))

    def session_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def start(self) -> None:
        """Listen for topics that turn out not to exist."""
        self.directory.on_unknown.append(self._unknown)
        self.access.on_replaced.append(self._access_replaced)

    def stop(self) -> None:
        """Cancel the timers."""
        if self._unknown in self.directory.on_unknown:
            self.directory.on_unknown.remove(self._unknown)
            self.access.on_replaced.remove(self._access_replaced)
        self.fanout.stop()

    async def drain(self, deadline_s: float) -> None:
        """Close every client with 1012 and a ``retry_ms`` of its own; new ones are refused.
        Done when all have gone, or after ``deadline_s``."""
        self.draining = True
        self.fanout.flush()
        spread_ms = max(1000, len(self.sessions) * 1000 // RECONNECTS_PER_S)
        for connection in list(self.sessions):
            retry = {"retry_ms": self._random.randrange(spread_ms)}
            connection.close_with(1012, codec.text(retry))
        if not self.sessions:
            return
        self._empty = Deferred()
        timer: IDelayedCall = self.reactor.callLater(deadline_s, self._give_up)
        await self._empty
        if timer.active():
            timer.cancel()

    def _give_up(self) -> None:
        for connection in list(self.sessions):
            connection.abort()
        self._emptied()

    def left(self) -> None:
        """A client has gone."""
        if not self.sessions:
            self._emptied()

    def _emptied(self) -> None:
        empty, self._empty = self._empty, None
        if empty is not None:
            empty.callback(None)

    def _unknown(self, topic: Topic) -> None:
        for connection in list(self.sessions):
            if connection.session is not None:
                connection.session.unknown(topic)

    def _access_replaced(self) -> None:
        """Other rules of access are in force: every client is held to them."""
        for connection in list(self.sessions):
            if connection.session is not None:
                connection.session.access_replaced(self.access.still)

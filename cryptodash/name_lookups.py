"""Names looked up by ``getaddrinfo`` in threads of their own, so that one that hangs holds nobody up but those who want
that very name.

``getaddrinfo`` cannot be interrupted and takes minutes where the name service does not answer. Twisted has ten threads
for all lookups: as many attempts to reach one such name, and no other is looked up any more.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from cryptodash.daemon_threads import DaemonThread

ANEW_AFTER: Final = 10.0
"""Seconds after which a lookup that hangs gets a second one beside it: the name service may be back."""
MOST_OF_A_NAME: Final = 2
MOST: Final = 64
"""Threads at once. The names are those of the settings, so there are far fewer; beyond it a name is not found."""
MOST_WAITING: Final = 100
"""Those who wait for one name; the oldest, who has long given up, is told that it was not found."""

Addresses = Sequence[Any]
"""What ``getaddrinfo`` returns; empty where it finds nothing."""

_FAMILIES = {frozenset({IPv4Address}): socket.AF_INET, frozenset({IPv6Address}): socket.AF_INET6}
_ADDRESSES: dict[int, type[IPv4Address] | type[IPv6Address]] = {
    socket.AF_INET: IPv4Address,
    socket.AF_INET6: IPv6Address,
}
_TRANSPORTS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


class _Wanted(NamedTuple):
    host: str
    port: int
    family: int
    transport: str


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str, receiver: Any, cancelled: Callable[[_Resolution], None]) -> None:
        self.name = name
        self.receiver = receiver
        self._cancelled = cancelled

    def cancel(self) -> None:
        self._cancelled(self)


@define(eq=False)
class _Name:
    """Who waits for one name, and when the lookups of it that still run began."""

    waiting: list[_Resolution] = field(factory=list)
    running: list[float] = field(factory=list)


def _in_a_thread(work: Callable[[], None]) -> None:
    DaemonThread(target=work, name="name lookup").start()


@implementer(IHostnameResolver)
class NameLookups:
    """Everybody who wants a name while it is being looked up gets the answer of that lookup.

    ``look_up`` is called like ``getaddrinfo``, by ``start``, which does work in a thread; both exist for tests.
    """

    def __init__(
        self,
        reactor: Any,
        look_up: Callable[..., Addresses] | None = None,
        start: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._reactor = reactor
        self._look_up = look_up
        self._start = start
        self._names: dict[_Wanted, _Name] = {}
        self._threads = 0

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[Any]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """As ``IHostnameResolver`` says; whoever is cancelled is told nothing more."""
        family = _FAMILIES.get(frozenset(addressTypes or ()), socket.AF_UNSPEC)
        wanted = _Wanted(hostName, portNumber, family, transportSemantics)
        name = self._names.setdefault(wanted, _Name())
        resolution = _Resolution(hostName, resolutionReceiver, lambda gone: self._leave(wanted, gone))
        name.waiting.append(resolution)
        resolutionReceiver.resolutionBegan(resolution)
        if len(name.waiting) > MOST_WAITING:
            self._tell(name.waiting.pop(0), wanted, ())
        self._begin(wanted, name)
        return resolution

    def _begin(self, wanted: _Wanted, name: _Name) -> None:
        now = self._reactor.seconds()
        running = name.running
        if running and (len(running) >= MOST_OF_A_NAME or now - running[-1] < ANEW_AFTER):
            return
        if self._threads >= MOST:
            if not running:
                self._answered(wanted, None, ())
            return
        self._threads += 1
        running.append(now)
        self._start(lambda: self._work(wanted, now))

    def _work(self, wanted: _Wanted, began: float) -> None:
        """In a thread."""
        look_up = self._look_up or socket.getaddrinfo
        try:
            found = look_up(wanted.host, wanted.port, wanted.family, _TRANSPORTS[wanted.transport])
        except Exception:  # no such name, or one that cannot be one
            found = ()
        self._reactor.callFromThread(self._answered, wanted, began, found)

    def _answered(self, wanted: _Wanted, began: float | None, found: Addresses) -> None:
        name = self._names[wanted]
        if began is not None:
            self._threads -= 1
            name.running.remove(began)
        if found or not name.running:
            waiting, name.waiting = name.waiting, []
            for each in waiting:
                self._tell(each, wanted, found)
        if not name.running and not name.waiting:
            self._names.pop(wanted, None)

    def _tell(self, resolution: _Resolution, wanted: _Wanted, found: Addresses) -> None:
        receiver = resolution.receiver
        for family, _, _, _, address in found:
            kind = _ADDRESSES.get(family)
            if kind is not None:
                transport: Any = wanted.transport
                receiver.addressResolved(kind(transport, *address))
        receiver.resolutionComplete()

    def _leave(self, wanted: _Wanted, resolution: _Resolution) -> None:
        name = self._names.get(wanted)
        if name is not None and resolution in name.waiting:
            name.waiting.remove(resolution)

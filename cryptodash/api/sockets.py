"""Every open socket of the server's port, in whatever state: counted over all, and charged to the address it is of."""

from __future__ import annotations

from collections import Counter as _Counter
from collections.abc import Callable
from typing import Final

from cryptodash.api.addresses import address_group
from cryptodash.core.tally import Tally

RESERVE: Final = 256
"""Sockets above ``MAX_CONNECTIONS``: there ``/health`` and ``/metrics`` are answered, and WebSocket clients are told
that the server is full. Beyond, a socket is closed at once."""
ADDRESS_RESERVE: Final = 32
"""The same above ``MAX_CONNECTIONS_PER_IP``, for one address."""


class Place:
    """One open socket's."""

    __slots__ = ("key", "regular")

    def __init__(self, key: str | None) -> None:
        self.key = key
        """Whom it is charged to; None: it is a proxy's, until a request says whose it is."""
        self.regular = False
        """Whether it is within the limits; else it is one of the reserve."""


class Sockets:
    """The places of all sockets. One is entered when it is accepted, and left when it is gone; what happens on it
    meanwhile (a TLS handshake, half a request, an upgrade, a close) changes nothing of that.

    ``owner`` is the object that owns the socket: it stays the same when TLS is put around it or another protocol takes
    it over. ``charged_to`` finds the address for that of a peer, None if it is a proxy's.
    """

    def __init__(self, charged_to: Callable[[str], str | None], most: int, most_per_address: int, tally: Tally) -> None:
        self._charged_to = charged_to
        self._most = most
        self._most_per_address = most_per_address
        self._places: dict[object, Place] = {}
        self._regular = 0
        self._by_address: _Counter[str] = _Counter()
        self._regular_by_address: _Counter[str] = _Counter()
        self._refused = tally.counter(
            "cryptodash_sockets_refused_total", "Sockets closed as soon as they were accepted.", "reason"
        )
        for reason in ("limit", "ip_limit"):
            self._refused.begin(reason)  # an alert asks for them
        tally.gauge("cryptodash_sockets", "Open sockets of the server's port.", lambda: {(): len(self._places)})

    def __len__(self) -> int:
        return len(self._places)

    def limit(self, most: int, most_per_address: int) -> None:
        """Other limits from now on: whoever is in stays."""
        self._most = most
        self._most_per_address = most_per_address

    @property
    def charged(self) -> int:
        """How many addresses are charged now."""
        return len(self._by_address)

    def enter(self, owner: object, peer: str | None) -> bool:
        """A socket was accepted, of a peer with this address (of a unix socket: empty; None: not known yet). False, and
        not counted, where there are too many: it has to be closed at once."""
        if owner in self._places:
            return True
        if len(self._places) >= self._most + RESERVE:
            self._refused.add("limit")
            return False
        address = None if peer is None else self._charged_to(peer)
        key = None if address is None else address_group(address)
        if key is not None and self._by_address[key] >= self._most_per_address + ADDRESS_RESERVE:
            self._refused.add("ip_limit")
            return False
        place = self._places[owner] = Place(key)
        if key is not None:
            self._by_address[key] += 1
        self._settle(place)
        return True

    def leave(self, owner: object) -> None:
        """The socket is gone."""
        place = self._places.pop(owner, None)
        if place is None:
            return
        self._regular -= place.regular
        if place.key is not None:
            _less(self._by_address, place.key)
            if place.regular:
                _less(self._regular_by_address, place.key)

    def admit(self, owner: object, address: str) -> str:
        """A WebSocket client of this address (the forwarded one, behind a proxy) wants to stay. Empty if it may, else
        ``limit`` or ``ip_limit``."""
        place = self._places[owner]
        if place.key is None:
            key = address_group(address)
            if self._regular_by_address[key] >= self._most_per_address:
                return "ip_limit"
            place.key = key
            self._by_address[key] += 1
            self._regular_by_address[key] += place.regular
        return "" if place.regular else self._settle(place)

    def _settle(self, place: Place) -> str:
        """Make it a regular one if there is room; else which limit is reached."""
        if self._regular >= self._most:
            return "limit"
        if place.key is not None:
            if self._regular_by_address[place.key] >= self._most_per_address:
                return "ip_limit"
            self._regular_by_address[place.key] += 1
        self._regular += 1
        place.regular = True
        return ""


def _less(counts: _Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]

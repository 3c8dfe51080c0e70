"""Opening connections: their keys, and the venue's limits of attempts, which count per host."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.instruments import MarketType
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.connections.allowance import Allowance
from cryptodash.exchanges.connections.commands import Connect, Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.stream_group import StreamGroup


class Openings:
    """Makes the connections of one venue."""

    def __init__(self, venue: IVenue, hosts: Mapping[MarketType, Hosts]) -> None:
        self._venue = venue
        self._hosts = hosts
        self._serial = 0
        self._attempts: dict[str, Allowance] = {}

    def open(self, group: StreamGroup, now: float, out: list[Output]) -> Connection | None:
        """A new connection for the group; None where the host must be left alone for a moment."""
        attempts = self._attempts_of(group)
        if attempts.free_at() > now:
            return None
        attempts.take(now)
        self._serial += 1
        key = f"{self._venue.id}-{group.endpoint.key}-{self._serial}"
        out.append(Connect(key, group.endpoint.key, self._host_of(group) + group.endpoint.path))
        return Connection(key, group.endpoint, group.limits, self._venue, group.routes, now)

    def free_at(self, group: StreamGroup) -> float:
        """Monotonic time from which the group's host may be asked for another connection."""
        return self._attempts_of(group).free_at()

    def _attempts_of(self, group: StreamGroup) -> Allowance:
        host = self._host_of(group)
        attempts = self._attempts.get(host)
        if attempts is None:
            attempts = self._attempts[host] = Allowance(group.limits.connects)
        return attempts

    def _host_of(self, group: StreamGroup) -> str:
        return self._hosts[group.endpoint.market].ws

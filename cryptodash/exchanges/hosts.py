"""Where a venue is reached: its production hosts, or those that the settings put in their place."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.config import Config
from cryptodash.core.instruments import MarketType
from cryptodash.exchanges.adapter.venue import Hosts, IVenue


def hosts_of(venue: IVenue, config: Config) -> tuple[Mapping[MarketType, Hosts], str]:
    """The hosts to use and the ``source`` they make: ``live`` only where every one is the venue's
    built-in production host, else ``custom``.

    ``<exchange>_ws_url`` and ``_rest_url`` replace the spot host, and the perpetual one where production has the same
    for both; ``<exchange>_perpetual_ws_url`` and ``_rest_url`` replace the perpetual one.
    """
    spot = venue.hosts.get(MarketType.SPOT)
    hosts: dict[MarketType, Hosts] = {}
    for market, built_in in venue.hosts.items():
        chosen = {}
        for kind in ("ws", "rest"):
            production = getattr(built_in, kind)
            keys = [f"{venue.id}_perpetual_{kind}_url"] if market is MarketType.PERPETUAL else []
            if market is MarketType.SPOT or spot is None or getattr(spot, kind) == production:
                keys.append(f"{venue.id}_{kind}_url")
            chosen[kind] = next((config.endpoints[key] for key in keys if config.endpoints.get(key)), production)
        hosts[market] = Hosts(**chosen)
    return hosts, "live" if hosts == dict(venue.hosts) else "custom"

"""cryptodash as one process of several under test: the real adapter of Binance on ``venue.py``, and Redis.

    python -m benchmarks.member WS_URL REST_URL REDIS_URL|- [ROLE]

``-``: a server alone, without Redis. Every frame is read, as in the other rows that begin at the venue's socket.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from random import Random
from typing import Any

from attrs import evolve

from benchmarks.ours import CONFIG, NeverBehind
from benchmarks.peers.work import say
from cryptodash.core.time import SystemClock
from cryptodash.exchanges.transport.websocket_protocol import VenueSocketFactory
from cryptodash.exchanges.venues import registry
from cryptodash.service import Server, build


def member(reactor: Any, ws: str, rest: str, redis: str, role: str = "all") -> Server:
    """The server, not started."""
    endpoints = {
        f"binance_{market}{kind}_url": url
        for market in ("", "perpetual_")
        for kind, url in (("ws", ws), ("rest", rest))
    }
    config = evolve(CONFIG, endpoints=endpoints)
    if redis != "-":
        config = evolve(config, enable_redis=True, redis_url=redis, role=role)
    VenueSocketFactory.protocol = NeverBehind
    return build(config, reactor, clock=SystemClock(), random=Random(os.getpid()), venues=[registry.load("binance")])


def main(arguments: Sequence[str]) -> None:
    from twisted.internet import reactor as the_reactor

    reactor: Any = the_reactor
    server = member(reactor, *arguments)
    server.privilegedStartService()
    server.startService()
    say(port=server.port, pid=os.getpid())
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main(sys.argv[1:])

"""``twistd cryptodash simulate`` in a process of its own: where its hosts are, and what they answer."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from cryptodash.simulator.dialects import registry
from tests.processes import Process, direct

HOSTS = tuple(host.name for exchange in registry.available() for host in registry.load(exchange).hosts)
"""Names of all hosts of the simulator."""
SCHEMES = {"https": "http", "wss": "ws", "http": "http", "ws": "ws"}
_BLOCKS = range(21_000, 29_000, 10)
_TRIES = 100

Read = TypeVar("Read")
Asked = TypeVar("Asked")


class Simulated:
    """The running simulator. ``at``: the address (host:port) of each of its hosts by name."""

    def __init__(self, cwd: Path) -> None:
        port = _free_ports()
        self.process = Process(
            *("-n", "--pidfile=", "cryptodash", "simulate"),
            *("--port", str(port), "--control-port", str(port + len(HOSTS))),
            cwd=cwd,
        )
        self.at = {name: self.process.line(rf"^{name} \(.*?\): ws://(\S+)").group(1) for name in HOSTS}
        self.process.line("starting up")

    def read(self, host: str, path: str, **query: object) -> Any:
        """The JSON of a REST answer, read by no client but ours."""
        with direct(f"http://{self.at[host]}{quote(path)}?{urlencode(query)}", timeout=30) as answer:
            return json.load(answer)

    def instead(self, url: str, host: str) -> str:
        """A venue's URL with this host of the simulator in the place of the venue's, and without TLS."""
        parts = urlsplit(url)
        return urlunsplit((SCHEMES[parts.scheme], self.at[host], parts.path, parts.query, ""))

    def binance(self, url: str) -> str:
        """One of Binance's URLs; what is neither spot nor USD-M leads to the spot host, which does not know it."""
        usdm = re.match(r"\w+://(ws-)?f(api|stream)\.", url)
        return self.instead(url, "binance-perpetual" if usdm else "binance-spot")

    def bybit(self, url: str) -> str:
        """One of Bybit's URLs."""
        return self.instead(url, "bybit")

    def coinbase(self, url: str) -> str:
        """One of Coinbase's URLs."""
        return self.instead(url, "coinbase")

    def okx(self, url: str) -> str:
        """One of OKX's URLs."""
        return self.instead(url, "okx")

    def kraken(self, url: str) -> str:
        """One of Kraken's URLs."""
        return self.instead(url, "kraken")

    def is_here(self, url: str) -> bool:
        """Whether a URL leads to this simulator."""
        return urlsplit(url).netloc in self.at.values()


def steady(read: Callable[[], Read], ask: Callable[[], Asked]) -> tuple[Read, Asked]:
    """What the simulator says (``read``), and what a client was told between two equal answers of it. A watched
    instrument moves ten times a second, so that most answers hold for some tens of milliseconds."""
    before = read()
    for _ in range(_TRIES):
        answer = ask()
        after = read()
        if before == after:
            return before, answer
        before = after
    raise AssertionError(f"{_TRIES} times the market moved between two questions")


def _free_ports() -> int:
    """The first of as many neighbouring free ports as the simulator needs."""
    # In any order: several processes of tests may look at the same time.
    for first in SystemRandom().sample(_BLOCKS, len(_BLOCKS)):
        with ExitStack() as held:
            try:
                for port in range(first, first + len(HOSTS) + 1):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")

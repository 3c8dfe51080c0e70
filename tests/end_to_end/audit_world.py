"""A server, the simulated venues and no client in memory, under one clock: books are kept warm and audited."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.web.client import Agent, readBody

from cryptodash.core.interfaces import StreamReport
from cryptodash.core.layers import Layer, load
from cryptodash.exchanges.service import VenueService
from cryptodash.service import StandIn, build
from cryptodash.simulator.server import Simulator
from cryptodash.testing.network import MemoryNetwork

STEP = 1 / 16
"""Seconds; a sum of them is exact in binary."""
LATENCY = 0.06
WARM = 60.0
"""Seconds in which every book must have come."""


class AuditWorld:
    """``books`` are topics as SYMBOLS has them: ``okx:spot:BTC-USDT``."""

    def __init__(self, *books: str, seed: int = 1, **settings: str) -> None:
        venues = list(dict.fromkeys(book.partition(":")[0] for book in books))
        self.network = MemoryNetwork()
        self.network.latency = LATENCY
        self.simulator = Simulator(self.network, self.network, seed=seed, exchanges=venues)
        self.simulator.listen()
        given = {
            "BIND_ADDR": "127.0.0.1:0",
            "DEMO": "true",
            "EXCHANGES": ",".join(venues),
            "SYMBOLS": ",".join(f"{book}:order_book" for book in books),
            **settings,
        }
        self.server = build(
            load([Layer("test", given)], venues),
            self.network,
            clock=self.network,
            random=Random(7),
            stand_in=StandIn(self.simulator, self.simulator.base_urls, "simulated"),
        )
        self.server.privilegedStartService()
        self.server.startService()
        self.books = books

    @property
    def feeds(self) -> Sequence[VenueService]:
        return [each for each in self.server if isinstance(each, VenueService)]

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.network.advance(STEP)
            self.network.settle()

    def run_until(self, true: Any, seconds: float) -> float:
        """How long it took; ``AssertionError`` after the time."""
        begun = self.network.seconds()
        while not true():
            assert self.network.seconds() - begun < seconds, (
                f"not so after {seconds} s",
                self.results(),
                self.states(),
            )
            self.run(1.0)
        return float(self.network.seconds() - begun)

    def reports(self) -> dict[str, StreamReport]:
        """The stream of each book, by ``exchange:market:SYMBOL``."""
        found = {}
        for feed in self.feeds:
            for reports in feed.streams():
                for each in reports:
                    for topic in each.topics:
                        if topic.channel.value == "order_book":
                            found[f"{topic.exchange}:{topic.market.value}:{topic.symbol}"] = each
        return found

    def states(self) -> dict[str, tuple[str, str]]:
        return {
            name: (each.state.value, each.cause.value if each.cause is not None else "")
            for name, each in self.reports().items()
        }

    def results(self) -> Counter[tuple[str, str]]:
        """``cryptodash_book_audits_total``."""
        return self._counter("cryptodash_book_audits_total")

    def gaps(self) -> Counter[tuple[str, str]]:
        """``cryptodash_book_gaps_total``."""
        return self._counter("cryptodash_book_gaps_total")

    def _counter(self, name: str) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for labels, count in re.findall(rf"^{name}{{(.+)}} (\d+)", self.metrics(), re.MULTILINE):
            named = dict(re.findall(r'(\w+)="(\w+)"', labels))
            exchange = named.pop("exchange")
            found[exchange, *named.values()] += int(count)
        return found

    def metrics(self) -> str:
        """``/metrics``, as a client gets it."""
        answer: list[bytes] = []
        asked = Agent(self.network).request(b"GET", b"http://127.0.0.1:%d/metrics" % self.server.port)
        asked.addCallback(readBody).addCallback(answer.append)
        while not answer:
            self.run(STEP)
        return answer[0].decode()

    def stop(self) -> None:
        stopping = self.server.stopService()
        self.network.pass_time(6.0)
        assert stopping.called

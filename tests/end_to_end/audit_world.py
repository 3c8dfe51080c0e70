"""A server, the simulated venues and no client in memory, under one clock: books are kept warm and audited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from cryptodash import service
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.layers import Layer, load
from cryptodash.core.tally import Counter as TallyCounter
from cryptodash.core.tally import Tally
from cryptodash.exchanges.service import VenueService
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
        tallies: list[Tally] = []

        def make_tally() -> Tally:
            tallies.append(Tally())
            return tallies[-1]

        # What the server counts cannot be asked of it here: its answers over HTTP need the real reactor.
        before, service.Tally = service.Tally, make_tally
        try:
            self.server = self._build(given, venues)
        finally:
            service.Tally = before
        (self.tally,) = tallies
        self.server.privilegedStartService()
        self.server.startService()
        self.books = books

    def _build(self, given: dict[str, str], venues: Sequence[str]) -> service.Server:
        return service.build(
            load([Layer("test", given)], venues),
            self.network,
            clock=self.network,
            random=Random(7),
            stand_in=service.StandIn(self.simulator, self.simulator.base_urls, "simulated"),
        )

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
        metric = self.tally.metrics.get(name)
        if not isinstance(metric, TallyCounter):
            return Counter()
        return Counter({(labels[0], labels[1]): int(count) for labels, count in metric.values.items() if count})

    def stop(self) -> None:
        stopping = self.server.stopService()
        self.network.pass_time(6.0)
        assert stopping.called

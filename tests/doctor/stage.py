"""An examination of simulated venues on a network in memory: half a minute passes in a second or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from cryptodash.core.config import Config
from cryptodash.doctor.examination import Examination, Means
from cryptodash.doctor.facts import VenueFacts
from cryptodash.exchanges.adapter.venue import Hosts
from cryptodash.exchanges.venues import registry
from cryptodash.simulator.server import Simulator
from cryptodash.testing.network import MemoryNetwork

STEP = 1 / 16
LATENCY = 0.03


class Stage:
    """Simulated venues, and a doctor who looks at one of them."""

    def __init__(self, exchange: str, *, seconds: float = 30.0, save: Path | None = None, **config: Any) -> None:
        self.network = MemoryNetwork()
        self.network.latency = LATENCY
        self.simulator = Simulator(self.network, self.network, exchanges=[exchange])
        self.simulator.listen()
        self.simulator.startService()
        venue = registry.load(exchange)
        hosts = {market: Hosts(*self.simulator.base_urls[exchange, market]) for market in venue.markets}
        means = Means(
            config=Config(exchanges=(exchange,), **config),
            reactor=self.network,
            clock=self.network,
            random=Random(1),
            seconds=seconds,
            save=save,
        )
        self.examination = Examination(venue, hosts, "simulated", means)
        self.notes = self.examination.notes

    def examine(self, at: Sequence[tuple[float, Callable[[], object]]] = ()) -> VenueFacts:
        """Run it; ``at``: what is done in the meantime, each so many seconds after the beginning."""
        outcome: list[Any] = []
        for seconds, do in at:
            self.network.callLater(seconds, do)
        Deferred.fromCoroutine(self.examination.run()).addBoth(outcome.append)
        for _ in range(round(120 / STEP)):
            if outcome:
                break
            self.network.advance(STEP)
            self.network.settle()
        facts = outcome[0]
        assert isinstance(facts, VenueFacts), facts
        return facts

    def stop(self) -> None:
        self.simulator.stopService()
        self.network.pass_time(2.0)

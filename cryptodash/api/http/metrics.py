"""``/metrics``: every tally as Prometheus text, rendered in the reactor (the tallies change there),
a family at a time."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.steps import Steps
from cryptodash.core.tally import Counter, Gauge, Histogram, Tally
from cryptodash.core.time import Clock

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "cryptodash_"
LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class TallyCollector(Collector):
    """Hands the tallies to prometheus_client. A name without our prefix gets it;
    the library itself adds ``_total`` to counters."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        for metric in list(self._tally.metrics.values()):
            name = metric.name if metric.name.startswith(PREFIX) else PREFIX + metric.name
            if isinstance(metric, Counter):
                yield _counter(name, metric)
            elif isinstance(metric, Gauge):
                yield _gauge(name, metric)
            else:
                yield _histogram(name, metric)


def _counter(name: str, counter: Counter) -> Metric:
    family = CounterMetricFamily(name, counter.help, labels=counter.labels)
    for labels, value in counter.values.items():
        family.add_metric(labels, value)
    if not counter.labels and not counter.values:
        family.add_metric((), 0)
    return family


def _gauge(name: str, gauge: Gauge) -> Metric:
    family = GaugeMetricFamily(name, gauge.help, labels=gauge.labels)
    for labels, value in gauge.read().items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(name, histogram.help, labels=histogram.labels)
    bounds = [f"{bound:g}" for bound in histogram.bounds] + ["+Inf"]
    for labels, series in histogram.series.items():
        family.add_metric(labels, list(zip(bounds, accumulate(series.counts), strict=True)), series.sum)
    return family


class _One(Collector):
    """One family, where the library wants a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


class Metrics:
    """The text of ``/metrics``: our tallies, the process, the garbage collector, the interpreter, the build."""

    def __init__(self, tally: Tally, clock: Clock, cryptodash_version: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(TallyCollector(tally))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        build = (cryptodash_version, _version("twisted"), _version("autobahn"), platform.python_version())
        started = clock.wall_ms() / 1000
        tally.gauge(
            "cryptodash_build_info",
            "Always 1; the labels are the versions.",
            lambda: {build: 1},
            "version",
            "twisted",
            "autobahn",
            "python",
        )
        tally.gauge(
            "cryptodash_start_time_seconds", "When this server was built, seconds since 1970.", lambda: {(): started}
        )

    def rendering(self) -> Steps[bytes]:
        """Steps whose outcome is the Prometheus text."""
        families: list[bytes] = []
        for family in self._registry.collect():
            families.append(generate_latest(_One(family)))
            yield
        return b"".join(families)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


class ReactorLag(Service):
    """Measures how late the reactor runs its timers: what a client of this server waits on top of the network."""

    name = "reactor-lag"

    def __init__(self, scheduler: IReactorTime, clock: Clock, tally: Tally, every: float = 0.25) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._every = every
        self._buckets = tally.histogram("cryptodash_reactor_lag_seconds", "How late a timer ran.", LAG_BOUNDS).at()
        self._call: IDelayedCall | None = None
        self._due = 0.0

    def startService(self) -> None:
        super().startService()
        self._next()

    def stopService(self) -> None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _next(self) -> None:
        self._due = self._clock.monotonic() + self._every
        self._call = self._scheduler.callLater(self._every, self._measure)

    def _measure(self) -> None:
        self._buckets.observe(max(0.0, self._clock.monotonic() - self._due))
        self._next()

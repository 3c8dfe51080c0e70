"""Tallies as Prometheus text."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryptodash.api.http.metrics import LAG_BOUNDS, Metrics, ReactorLag
from cryptodash.core.steps import outcome_of
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock


@pytest.fixture
def tally() -> Tally:
    return Tally()


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text.decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def test_counters_gauges_and_histograms_become_samples(tally: Tally) -> None:
    tally.counter("cryptodash_upstream_messages_total", "m", "exchange", "channel").add("binance", "trade", by=3)
    tally.gauge("ws_paused_connections", "p", lambda: {(): 2})
    buckets = tally.histogram("cryptodash_wait_seconds", "w", (0.1, 1.0), "kind").at("a")
    for value in (0.05, 0.1, 0.5, 7):
        buckets.observe(value)
    found = samples(outcome_of(Metrics(tally, ManualClock(), "1.2.3").rendering()))
    assert found["cryptodash_upstream_messages_total", (("channel", "trade"), ("exchange", "binance"))] == 3
    assert found["cryptodash_ws_paused_connections", ()] == 2
    assert {labels: value for (name, labels), value in found.items() if name == "cryptodash_wait_seconds_bucket"} == {
        (("kind", "a"), ("le", "0.1")): 2,
        (("kind", "a"), ("le", "1")): 3,
        (("kind", "a"), ("le", "+Inf")): 4,
    }
    assert found["cryptodash_wait_seconds_count", (("kind", "a"),)] == 4
    assert found["cryptodash_wait_seconds_sum", (("kind", "a"),)] == pytest.approx(7.65)


def test_a_counter_without_labels_starts_at_zero(tally: Tally) -> None:
    tally.counter("cryptodash_ws_connections_accepted_total", "a")
    assert (
        samples(outcome_of(Metrics(tally, ManualClock(), "1").rendering()))[
            "cryptodash_ws_connections_accepted_total", ()
        ]
        == 0
    )


def test_build_process_and_collector_are_told(tally: Tally) -> None:
    text = outcome_of(Metrics(tally, ManualClock(wall_ms=1_700_000_000_500), "1.2.3").rendering())
    found = samples(text)
    assert found["cryptodash_start_time_seconds", ()] == 1_700_000_000.5
    (labels,) = [dict(labels) for name, labels in found if name == "cryptodash_build_info"]
    assert labels["version"] == "1.2.3" and labels["twisted"] != "unknown"
    names = {name for name, _ in found}
    assert {"python_info", "python_gc_collections_total", "process_resident_memory_bytes"} <= names


def test_the_text_is_made_at_most_once_a_second(web: Any) -> None:
    reads: list[int] = []
    web.tally.gauge("cryptodash_x", "x", lambda: {(): reads.append(1) or len(reads)})
    first = web.get("/metrics").body
    web.scheduler.advance(0.9)
    assert web.get("/metrics").body == first
    web.scheduler.advance(0.1)
    assert web.get("/metrics").body != first and len(reads) == 2


def test_reactor_lag_is_how_late_a_timer_runs(tally: Tally) -> None:
    from twisted.internet.task import Clock

    scheduler, clock = Clock(), ManualClock()
    lag = ReactorLag(scheduler, clock, tally, every=0.25)
    lag.startService()
    for late in (0.0, 0.03, 3.0):
        clock.advance(0.25 + late)
        scheduler.advance(0.25)
    buckets = tally.histogram("cryptodash_reactor_lag_seconds", "", LAG_BOUNDS).at()
    assert [(bound, count) for bound, count in zip(LAG_BOUNDS, buckets.counts, strict=False) if count] == [
        (0.001, 1),
        (0.05, 1),
        (5.0, 1),
    ]
    lag.stopService()
    assert not scheduler.getDelayedCalls()


def test_the_endpoint_serves_what_was_counted(web: Any) -> None:
    web.get("/health")
    answer = web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.body)
    assert found["cryptodash_http_requests_total", (("method", "GET"), ("route", "/health"), ("status", "200"))] == 1
    assert found["cryptodash_http_request_duration_seconds_count", (("route", "/health"),)] == 1

"""Every metric and every label of the dashboard and the alerts is one that the server has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from twisted.internet.testing import MemoryReactorClock

from cryptodash import service
from cryptodash.core.layers import Layer, load
from cryptodash.core.tally import Counter, Histogram, Tally
from cryptodash.core.time import SystemClock
from tests.monitoring.files import alerts, dashboard, groupings, panel_queries, selectors

OF_PROMETHEUS = {"job", "instance"}
"""Labels that a scrape gives to everything; ``process`` is the server's, of several processes."""
TOPICS = "binance:spot:BTC-USDT:order_book,binance:spot:BTC-USDT:trade"
"""Of which more is counted."""
EXPRESSIONS = {**panel_queries(), **{rule["alert"]: rule["expr"] for rule in alerts()}}


@pytest.fixture(scope="module")
def known() -> Mapping[str, set[str]]:
    """The labels of each series that a server with every part exposes, by its name as Prometheus reads it."""
    tally = Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "Tally", lambda: tally)
        for redis in ("true", "false"):
            layer = Layer("test", {"ENABLE_REDIS": redis, "EXCHANGES": "binance,bybit", "SYMBOLS": TOPICS})
            config = load([layer], ("binance", "bybit"))
            made = service.build(config, MemoryReactorClock(), clock=SystemClock(), random=Random(1))
            for topic in config.symbols:
                made.hub.hold(topic, 0)
    found: dict[str, set[str]] = {"up": set()}
    for metric in tally.metrics.values():
        labels = {*metric.labels}
        if isinstance(metric, Histogram):
            found[f"{metric.name}_bucket"] = {*labels, "le"}
            found |= {f"{metric.name}_{suffix}": labels for suffix in ("sum", "count")}
        else:
            assert metric.name.endswith("_total") == isinstance(metric, Counter), metric.name
            found[metric.name] = labels
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for family in registry.collect():
        found |= {sample.name: set() for sample in family.samples}
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_metrics_and_labels_are_those_of_the_server(expression: str, known: Mapping[str, set[str]]) -> None:
    used = list(selectors(expression))
    assert used
    for each in used:
        assert each.metric in known, each.metric
        assert each.labels.keys() <= known[each.metric] | OF_PROMETHEUS, each
    kept = set().union(*(known[each.metric] for each in used))
    assert groupings(expression) <= kept | OF_PROMETHEUS | {"process"}, expression


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_functions_fit_the_kinds(expression: str) -> None:
    for name in re.findall(r"\b(?:rate|increase)\((\w+)", expression):
        assert name.endswith(("_total", "_bucket", "_state_seconds")), f"{name} does not only grow"
    for name in re.findall(r"\b(?:delta|changes|last_over_time)\((\w+)", expression):
        assert not name.endswith(("_total", "_bucket")), f"{name} only grows"


def test_each_panel_says_its_unit_and_asks_the_chosen_source() -> None:
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["fieldConfig"]["defaults"]["unit"] and panel["targets"], panel["title"]
        sources: list[Any] = [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
        assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
        assert all("$instance" in each["expr"] for each in panel["targets"]), panel["title"]


def test_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    identities = [panel["id"] for panel in dashboard()["panels"]]
    assert len(identities) == len(set(identities))


def test_what_the_issue_asks_to_be_seen_is_on_the_dashboard() -> None:
    shown = {each.metric for expression in panel_queries().values() for each in selectors(expression)}
    assert shown >= {
        "cryptodash_stream_state_seconds",
        "cryptodash_upstream_last_message_age_seconds",
        "cryptodash_upstream_event_delay_seconds_bucket",
        "cryptodash_book_gaps_total",
        "cryptodash_ws_connections",
        "cryptodash_ws_queue_bytes",
        "cryptodash_reactor_lag_seconds_bucket",
        "cryptodash_cluster_redis_connections",
    }


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_says_whom_it_is_for_and_why(rule: Mapping[str, Any]) -> None:
    assert rule["alert"].startswith("Cryptodash")
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "why"}
    assert len(rule["annotations"]["why"]) > 60, "a why that says nothing"

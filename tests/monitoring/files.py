"""The monitoring files of ``deploy/`` as a test reads them: expressions, and the names and labels in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from attrs import frozen

from tests.processes import ROOT

DEPLOY: Final = ROOT / "deploy"
WORDS: Final = frozenset(
    (
        *("abs", "changes", "count", "delta", "histogram_quantile", "increase", "last_over_time", "max", "min", "rate"),
        *("sum", "time", "and", "bool", "by", "on", "or", "unless", "without"),
    )
)
"""What is no metric in an expression: functions and keywords of PromQL that the files use."""
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8")))


def panel_queries() -> dict[str, str]:
    """By "panel, legend" what each line of the dashboard asks for."""
    return {
        f"{panel['title']}, {target['legendFormat']}": target["expr"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    }


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@frozen
class Selector:
    """One metric in an expression, with the labels that it is selected by."""

    metric: str
    labels: Mapping[str, str]


def selectors(expression: str) -> Iterator[Selector]:
    """Every metric of an expression."""
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub("", expression))
    for name, matchers in _SELECTOR.findall(bare):
        if name not in WORDS and not re.fullmatch(r"e\d*", name):
            yield Selector(name, {label: value for label, _, value in _MATCHER.findall(matchers)})


def groupings(expression: str) -> set[str]:
    """Labels that an expression keeps, or joins by."""
    return {label.strip() for found in _GROUPING.findall(expression) for label in found.split(",") if label.strip()}

"""No two modules of the package know each other, however indirectly: not at run time, and not for the type checker.

A circle of imports means that none of its modules can be read, tested or replaced alone; hiding it behind
``if TYPE_CHECKING`` hides it from Python only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

KNOWN_CYCLES: frozenset[frozenset[str]] = frozenset()
"""Cycles that are being taken apart. Whoever ends one takes it out here; the list must become (and then stay) empty."""


def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in sorted((ROOT / "cryptodash").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(source: str, known: Mapping[str, object]) -> set[str]:
    """The modules, of those ``known``, that a source imports: anywhere in it, functions and ``if TYPE_CHECKING``
    included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known.keys()
            if names - known.keys():  # something in the module itself
                found.add(node.module)
    return found & known.keys()


def cycles(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """The groups of nodes that reach each other (Tarjan's strongly connected components), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[list[str]]:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                yield from visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            group, stack[at:] = stack[at:], []
            if len(group) > 1 or node in graph[node]:
                yield sorted(group)

    for node in sorted(graph):
        if node not in index:
            yield from visit(node)


def way_round(group: list[str], graph: Mapping[str, set[str]]) -> str:
    """One circle in the group, in words: ``a -> b -> a``."""
    way = [group[0]]
    while True:
        following = min(graph[way[-1]] & set(group))
        if following in way:
            return " -> ".join([*way[way.index(following) :], following])
        way.append(following)


def test_a_cycle_is_found_wherever_it_hides() -> None:
    known = {"p.a": 1, "p.b": 1, "p.c": 1, "p": 1}
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import A\ndef f():\n    from p import c\n"
    assert imports_of(lazy, known) == {"p.a", "p.c"}
    graph = {"p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": {"p.b"}, "p": set()}
    assert list(cycles(graph)) == [["p.b", "p.c"]]
    assert way_round(["p.b", "p.c"], graph) == "p.b -> p.c -> p.b"


def test_no_modules_import_each_other() -> None:
    known = modules()
    graph = {name: imports_of(path.read_text(encoding="utf-8"), known) for name, path in known.items()}
    found = {frozenset(group): way_round(group, graph) for group in cycles(graph)}
    new = [way for group, way in found.items() if group not in KNOWN_CYCLES]
    assert not new, "modules import each other: " + "; ".join(new)

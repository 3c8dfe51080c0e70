"""A smaller plan that breaks the same promise: without the clients, troubles and actions that it does not need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from attrs import evolve

from tests.chaos.plan import Plan

T = TypeVar("T")
TRIALS = 40
"""Runs that a shrinking may take."""


def shrunk(plan: Plan, fails: Callable[[Plan], bool], trials: int = TRIALS) -> tuple[Plan, int]:
    """The smallest plan found that still ``fails``, and how many runs that took. Greedy: halves first, then one by one,
    again and again until nothing can be left out."""
    used = 0
    changed = True
    while changed and used < trials:
        changed = False
        for smaller in _smaller(plan):
            if used >= trials:
                break
            used += 1
            if fails(smaller):
                plan, changed = smaller, True
                break
    return plan, used


def _smaller(plan: Plan) -> Iterator[Plan]:
    for clients in _without(plan.clients):
        if clients:
            yield evolve(plan, clients=clients)
    for troubles in _without(plan.troubles):
        yield evolve(plan, troubles=troubles)
    for index, client in enumerate(plan.clients):
        for actions in _without(client.actions):
            smaller = evolve(client, actions=actions)
            yield evolve(plan, clients=(*plan.clients[:index], smaller, *plan.clients[index + 1 :]))


def _without(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Without a half, then without a quarter, at last without one."""
    size = (len(items) + 1) // 2
    while size >= 1:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        if size == 1:
            return
        size = (size + 1) // 2

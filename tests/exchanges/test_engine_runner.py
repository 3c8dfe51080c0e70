"""The order in which one engine's outputs are carried out, and what becomes of them after an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cryptodash.exchanges.connections.commands import Connect
from cryptodash.exchanges.engine_runner import EngineRunner
from cryptodash.testing.network import MemoryNetwork

CONNECT = Connect("c1", "spot", "wss://spot.example")


class Said:
    """An engine that says what it was given to say, and wants to look at the clock once."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []
        self.deadline_moved = False
        self.due: float | None = None

    def received(self, connection: str, frame: bytes, received: int) -> list[Any]:
        return self.outputs

    def deadline(self) -> float | None:
        return self.due

    def tick(self) -> list[Any]:
        self.due = None
        return []


def make_runner(engine: Said, network: MemoryNetwork, publish: Callable[[Any], None]) -> EngineRunner:
    return EngineRunner(engine, {Connect: publish}, {}, publish, network, network)  # type: ignore[arg-type]


@pytest.mark.parametrize("by_frame", [True, False])
def test_what_an_output_causes_comes_after_those_that_wait(by_frame: bool) -> None:
    told: list[Any] = []

    def publish(output: Any) -> None:
        told.append(output)
        if output == "first":
            runner.perform(["caused"])

    engine = Said()
    runner = make_runner(engine, MemoryNetwork(), publish)
    if by_frame:
        engine.outputs = ["first", "second"]
        runner.received("c1", [b"{}"])
    else:
        runner.perform(["first", "second"])
    assert told == ["first", "second", "caused"]


def test_after_an_error_the_rest_is_carried_out_at_the_engines_next_deadline() -> None:
    told: list[Any] = []

    def publish(output: Any) -> None:
        if output == "bad":
            raise ValueError
        told.append(output)

    engine, network = Said(), MemoryNetwork()
    runner = make_runner(engine, network, publish)
    engine.deadline_moved, engine.due = True, network.monotonic() + 0.5
    with pytest.raises(ValueError):
        runner.perform(["bad", CONNECT])
    assert told == []
    network.pass_time(1)
    assert told == [CONNECT]

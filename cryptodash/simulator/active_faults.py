"""The faults that one host is under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.faults import Fault
from cryptodash.simulator.streams import Stream


class ActiveFaults:
    """The faults that one host is under, in the order in which they began."""

    def __init__(self) -> None:
        self._running: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._running)

    def add(self, fault: Fault) -> None:
        self._running.append(fault)

    def remove(self, fault: Fault) -> None:
        self._running.remove(fault)

    def forget(self, stream: Stream) -> None:
        """A stream has ended."""
        for fault in self._running:
            fault.forget(stream)

    def of(self, market: MarketType | None) -> list[Fault]:
        """Those that concern a market; None is the whole host."""
        return [fault for fault in self._running if fault.concerns(market)]

    def has(self, name: str, market: MarketType | None) -> bool:
        """Whether a fault of this name runs for a market, for whichever instrument; None is the whole host."""
        return any(fault.name == name for fault in self.of(market))

    def concern(self, market: MarketType, native: str, *names: str) -> bool:
        """Whether a fault of one of these names runs for the instrument."""
        return any(fault.name in names and fault.covers(market, native) for fault in self._running)

    def shape(self, stream: Stream, payload: str, *, opening: bool = False) -> Sequence[str]:
        """The frames that go out in the place of this one. ``opening``: one that a new subscriber gets first."""
        payloads = [payload]
        for fault in self._running:
            payloads = [shaped for each in payloads for shaped in fault.shape(stream, each, opening=opening)]
        return payloads

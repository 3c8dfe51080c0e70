"""A stream of a simulated host: who gets it, and what makes its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import define, field

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.session import ClientSession


class StreamFeed(Protocol):
    """Makes one stream's frames."""

    def opening(self, now: int) -> Sequence[str]:
        """What a new subscriber gets first; nothing on most venues. The dialect sends it, ``subscribe`` does not."""

    def frames(self, now: int) -> Sequence[str]:
        """What is to be sent now (ms); asked once after each step of the instrument."""


@define(eq=False)
class Stream:
    """One stream with its subscribers.

    ``kind`` is ``quote``, ``trade``, ``liquidation``, ``book``, ``candle``, ``ticker``, ``mark``, ``sweep``, or
    ``heartbeat`` for one that says only that the connection lives. ``instrument`` is None for a stream that is about a
    whole market. ``delay``: seconds by which its frames alone are late.
    """

    name: str
    market: MarketType
    kind: str
    instrument: SimulatedInstrument | None
    feed: StreamFeed
    sessions: list[ClientSession] = field(factory=list)
    delay: float = 0.0

    @property
    def native(self) -> str:
        """The venue's name of the instrument; empty for a whole market."""
        return self.instrument.spec.native if self.instrument is not None else ""

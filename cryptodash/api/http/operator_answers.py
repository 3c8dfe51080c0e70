"""What an operator asks for and takes long to say (streams, the ledger, metrics): made once a second at most for all
who ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from cryptodash.api.http.answers import Stored
from cryptodash.api.http.metrics import Metrics
from cryptodash.api.http.quality import listing_quality
from cryptodash.api.http.recent import RECENT_S, Recent
from cryptodash.api.http.reports import listing_streams
from cryptodash.api.slices import Slices
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IDemand, IDirectory, IQuality

STREAMS_A_SECOND: Final = 500
"""A ledger of more streams than this is told less often: it costs a tenth of a second for as many."""


class OperatorAnswers(Protocol):
    """Bodies of answers."""

    async def streams(self) -> Stored:
        """Of ``/api/streams``."""

    async def quality(self, exchange: str | None) -> Stored:
        """Of ``/api/quality``, for an enabled exchange or for all."""

    async def metrics(self) -> bytes:
        """Of ``/metrics``."""


class OwnAnswers:
    """Those of this process alone. ``surveyed`` has the venues looked at: gauges read what that has found. ``process``:
    what it is called, where there are several."""

    def __init__(
        self,
        directory: IDirectory,
        demand: IDemand,
        ledger: IQuality,
        metrics: Metrics,
        surveyed: Callable[[], Awaitable[None]],
        clock: Clock,
        slices: Slices,
        process: str = "",
    ) -> None:
        self._ledger = ledger
        self._surveyed = surveyed
        self._clock = clock
        self._slices = slices
        self._process = process
        self._streams = Recent(clock, lambda: slices.outcome(listing_streams(directory, demand, process)))
        self._metrics = Recent(clock, lambda: slices.outcome(metrics.rendering()))
        self._quality: dict[str | None, Recent[Stored]] = {}

    async def streams(self) -> Stored:
        return await self._streams.get()

    async def quality(self, exchange: str | None) -> Stored:
        recent = self._quality.get(exchange)
        if recent is None:
            steps = partial(listing_quality, self._ledger, self._clock, exchange, self._process)
            keep = partial(self.quality_is_kept, exchange)
            recent = Recent(self._clock, lambda: self._slices.outcome(steps()), lambda _: keep())
            self._quality[exchange] = recent
        return await recent.get()

    async def metrics(self) -> bytes:
        await self._surveyed()
        return await self._metrics.get()

    def quality_is_kept(self, exchange: str | None) -> float:
        """For how many seconds."""
        return max(RECENT_S, self._ledger.streams(exchange) / STREAMS_A_SECOND)

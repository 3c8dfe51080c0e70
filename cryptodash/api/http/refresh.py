"""Reading catalogues again because somebody asks for it: not more often than a venue should be bothered."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from cryptodash.core.errors import TryLater
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IDirectory

REFRESH_EVERY_S: Final = 10.0


class CatalogueRefresh:
    """Reads catalogues again, each at most once in ``REFRESH_EVERY_S``."""

    def __init__(self, directory: IDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._read_at: dict[str, float] = {}

    async def run(self, exchanges: Sequence[str]) -> dict[str, int]:
        """How many instruments each has now. Raises ``TryLater`` (then none is read), ``UpstreamError``."""
        now = self._clock.monotonic()
        wait = max(
            (self._read_at[each] + REFRESH_EVERY_S - now for each in exchanges if each in self._read_at), default=0
        )
        if wait > 0:
            message = f"a catalogue is read again at most every {REFRESH_EVERY_S:g} s"
            raise TryLater("rate_limited", message, ceil(wait))
        for exchange in exchanges:
            self._read_at[exchange] = now
        return {exchange: await self._directory.refresh_catalogue(exchange) for exchange in exchanges}

"""What the streams of one ticker said and is not believed yet, at most one message a stream.

A second message that agrees makes up for the one that was held. Of a quiet instrument none may come for an hour: what
was held is then told after all, if by the end of its time more is known of the venue's clock, and it lies within that.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptodash.core.events import Ticker
from cryptodash.exchanges.builders.plausibility import StreamOrder

Take = Callable[[int, int, float], Ticker | None]
"""Takes the message once more: (venue_ms, received, now)."""


class HeldNews:
    """By the order of its stream."""

    def __init__(self) -> None:
        self._held: dict[StreamOrder, tuple[Take, int]] = {}

    def hold(self, order: StreamOrder, take: Take, received: int) -> None:
        """This is held, and what was held of the stream before is of no interest any more."""
        self._held[order] = take, received

    def forget(self, order: StreamOrder) -> None:
        """The stream begins anew."""
        self._held.pop(order, None)

    def expire(self, ahead_ms: int, now: float) -> Ticker | None:
        """Twice a second: drop what no second message agreed with, or take it, where it lies within the venue's clock,
        which is ``ahead_ms`` before our wall clock as far as is known by now (0: nothing is known)."""
        told: Ticker | None = None
        for order, (take, received) in list(self._held.items()):
            believed = order.expire(now, ahead_ms)
            if believed is not None:
                del self._held[order]
            if believed:
                told = take(received + ahead_ms, received, now) or told
        return told

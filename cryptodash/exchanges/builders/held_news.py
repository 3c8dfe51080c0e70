"""What the streams of one ticker said and is not believed yet, at most one frame a stream.

A second frame that agrees brings the one that was held with it. Of a quiet instrument none may come for an hour: what
was held is then told after all, if by the end of its time more is known of the venue's clock, and it lies within that.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from cryptodash.core.events import Ticker
from cryptodash.exchanges.builders.plausibility import StreamOrder, Verdict, Witness

Again = Callable[[int, int, float], Ticker | None]
"""Judges the message once more: (venue_ms, received, now)."""
Take = Callable[[Verdict, int, int], Ticker | None]
"""Takes the message, which is believed: (verdict, venue_ms, received)."""


@define(eq=False)
class _Held:
    """The messages of one frame, which the order knows as its ``witness``."""

    witness: Witness | None
    received: int
    messages: list[tuple[Again, Take | None]]
    waits: bool = True
    """Whether its time is not over. Then it is dropped, but a frame that comes later may still agree with it."""


class HeldNews:
    """By the order of its stream."""

    def __init__(self) -> None:
        self._held: dict[StreamOrder, _Held] = {}

    def hold(self, order: StreamOrder, again: Again, received: int, take: Take | None = None) -> None:
        """This is held, and what was held of the stream before is of no interest any more, but for what came in the
        same frame. ``take``: where it is of use although a second frame has agreed."""
        held = self._held.get(order)
        if held is not None and held.witness is order.witness:
            held.messages.append((again, take))
        else:
            self._held[order] = _Held(order.witness, received, [(again, take)])

    def agreed(self, order: StreamOrder, witness: Witness | None) -> list[tuple[Take, int]]:
        """The stream has begun anew because a frame agreed with this witness: what is to be taken after all, and when
        it was received (ms, our clock)."""
        held = self._held.pop(order, None)
        if held is None or held.witness is not witness:
            return []
        return [(take, held.received) for _, take in held.messages if take is not None]

    def forget(self, order: StreamOrder) -> None:
        """The stream begins anew."""
        self._held.pop(order, None)

    def expire(self, ahead_ms: int, now: float) -> Ticker | None:
        """Twice a second: drop what no second message agreed with, or take it, where it lies within the venue's clock,
        which is ``ahead_ms`` before our wall clock as far as is known by now (0: nothing is known)."""
        told: Ticker | None = None
        for order, held in list(self._held.items()):
            believed = order.expire(now, ahead_ms) if held.waits else False
            if believed is None:
                continue
            held.waits = False
            if believed or order.witness is not held.witness:
                del self._held[order]
            if believed:
                for again, _ in held.messages:
                    told = again(held.received + ahead_ms, held.received, now) or told
        return told

    def __len__(self) -> int:
        """How many frames wait."""
        return sum(each.waits for each in self._held.values())

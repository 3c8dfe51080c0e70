"""Where trades or liquidations of a topic may be missing because its stream was interrupted, and whether any are."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from cryptodash.core.events import Gap, Liquidation, Trade
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Fill
from cryptodash.exchanges.builders.trades import TradeBuilder


@frozen
class Interruption:
    """The stream lost its connection, or was begun ``anew`` on it, where frames of before may come until the venue has
    answered. ``begin``: the time of the last trade told before (ms, the venue's clock); the others are the builder's
    count then."""

    begin: int
    anew: bool
    missed: int
    counted_from: int


class TradeGaps:
    """Tells of each interruption once: by the first frame after it, which proves that nothing is missing (its trades
    follow by number, or repeat what is known) or tells how many are, or that nobody knows.

    What was missed before the topic was good for the first time is missing for nobody. Liquidations are trades without
    numbers here.
    """

    def __init__(self, topic: Topic, builder: TradeBuilder) -> None:
        self.open: Interruption | None = None
        """The one that nothing has been told of yet; of several the first."""
        self._topic = topic
        self._builder = builder
        self.complete_until: int | None = None
        """Trades have been told as far as this (ms, the venue's clock); None until the topic has been good."""

    def interrupted(self, *, anew: bool) -> None:
        """Frames may have been missed."""
        begin, builder, known = self.complete_until, self._builder, self.open
        if known is not None:
            self.open = Interruption(known.begin, anew, known.missed, known.counted_from)
        elif begin is not None:
            self.open = Interruption(begin, anew, builder.missed, builder.counted_from)

    def repeats(self, fills: Sequence[Fill]) -> bool:
        """Whether one of these is known already; to be asked before they are taken."""
        return any(self._builder.knows(each) for each in fills)

    def close(self, told: Sequence[Trade] | Sequence[Liquidation], repeats: bool, venue_ms: int) -> Gap | None:
        """What to tell, once the first frame after the interruption was taken, or the stream is quiet: these of it are
        news. ``venue_ms``: now by the venue's clock."""
        interruption, self.open = self.open, None
        builder = self._builder
        if interruption is None:
            return None
        end = self.complete_until = max(interruption.begin, told[0].timestamp if told else venue_ms)
        if builder.number is not None and builder.counted_from == interruption.counted_from:
            missed = builder.missed - interruption.missed
            return Gap(self._topic, interruption.begin, end, missed) if missed > 0 else None
        return None if repeats else Gap(self._topic, interruption.begin, end)

"""One instrument's liquidations, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cryptodash.core.events import Liquidation, Trade
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Fill, LiquidationOrder
from cryptodash.exchanges.builders.doubt_counts import UNCOUNTED, DoubtCounts
from cryptodash.exchanges.builders.trades import TradeBuilder


class LiquidationBuilder:
    """By the rules of uncounted trades: told as they come, known by the last ids, held while their time is ahead of the
    venue's clock. Where the venue gives no id all that it says of one stands for it: what one frame holds twice are
    two, what a later frame says again is a repeat (two connections bring the same while one takes over)."""

    def __init__(self, topic: Topic, doubts: DoubtCounts = UNCOUNTED) -> None:
        self.trades = TradeBuilder(topic, doubts)
        """What knows which of them are new."""
        self.repeated = False
        """Whether the last frame said something again that is known."""
        self._topic = topic
        self._orders: dict[str, tuple[LiquidationOrder, bool]] = {}
        """Those of this frame, and what is held, by id: the order, and whether its venue tells all of them."""

    @property
    def dropped(self) -> bool:
        """Whether the last frame confirms nothing, because all of it was held."""
        return self.trades.dropped

    def orders(
        self, orders: Sequence[LiquidationOrder], complete: bool, venue_ms: int, received: int, now: float
    ) -> list[Liquidation]:
        """Those among these, one frame's, that are new; times as in ``TradeBuilder.fills``."""
        fills = []
        seen: Counter[str] = Counter()
        for each in orders:
            known = each.id or f"{each.time} {each.side} {each.price} {each.quantity} {each.average_price}"
            seen[known] += not each.id
            key = f"{known} {seen[known]}"
            self._orders[key] = each, complete
            fills.append(Fill(key, each.price, each.quantity, each.side, each.time, None))
        self.repeated = any(self.trades.knows(each) for each in fills)
        return self._told(self.trades.fills(fills, venue_ms, received, now))

    def expire(self, venue_ms: int, wall_ms: int, now: float) -> list[Liquidation]:
        """Twice a second, as ``TradeBuilder.expire``."""
        return self._told(self.trades.expire(venue_ms, wall_ms, now)) if self.trades.is_holding else []

    def _told(self, trades: Iterable[Trade]) -> list[Liquidation]:
        told = []
        for each in trades:
            order, complete = self._orders[each.id]
            told.append(
                Liquidation(
                    self._topic,
                    each.timestamp,
                    each.received,
                    each.side,
                    each.price,
                    each.quantity,
                    order.id,
                    order.average_price,
                    complete,
                )
            )
        if not self.trades.is_holding:
            self._orders.clear()
        else:
            self._orders = {each: self._orders[each] for each in self.trades.held_ids}
        return told

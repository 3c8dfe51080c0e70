"""One instrument's best bid and offer."""

from __future__ import annotations

from cryptodash.core.events import Bbo, Ticker
from cryptodash.exchanges.adapter.messages import Message, Quote
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.subscriptions.ticker_subscription import TickerSubscription
from cryptodash.exchanges.subscriptions.topic_subscription import TopicSubscription


class BboSubscription(TickerSubscription):
    """The quote of a ticker, by the same rules, and nothing else: no last price is waited for, and what else its stream
    may bring is left to others."""

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        return super().take(message, now, received, out) if isinstance(message, Quote) else False

    def event(self, ticker: Ticker) -> Bbo:
        """A quote of its own: what was known of a ticker is not in it."""
        return Bbo(
            ticker.topic, ticker.timestamp, ticker.received, ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size
        )

    def fields(self) -> tuple[str, ...]:
        """None: it has no parts that could be stale by themselves."""
        return ()

    def confirmed_at(self) -> float | None:
        return self.part_confirmed_at(Part.QUOTE) if Part.QUOTE in self.sources else None

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        """Trades are no news of a quote."""

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        """Likewise."""

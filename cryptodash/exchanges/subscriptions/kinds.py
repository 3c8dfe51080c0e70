"""The kind of subscription that each topic needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptodash.core.instruments import Catalogue, Instrument, MarketType
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions.bbo_subscription import BboSubscription
from cryptodash.exchanges.subscriptions.book_subscription import BookSubscription
from cryptodash.exchanges.subscriptions.candle_fetches import CandleFetches
from cryptodash.exchanges.subscriptions.candle_subscription import CandleSubscription
from cryptodash.exchanges.subscriptions.liquidation_subscription import LiquidationSubscription
from cryptodash.exchanges.subscriptions.snapshots import Snapshots
from cryptodash.exchanges.subscriptions.sweep_subscription import SweepSubscription
from cryptodash.exchanges.subscriptions.ticker_subscription import TickerSubscription
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, TopicSubscription
from cryptodash.exchanges.subscriptions.trade_subscription import TradeSubscription

MakeSubscription = Callable[[Topic], TopicSubscription]


def subscription_maker(
    venue: IVenue,
    basics: Basics,
    catalogue: Catalogue,
    clocks: Mapping[MarketType, VenueClock],
    snapshots: Snapshots,
    tally: Tally,
    stale_after: float,
) -> MakeSubscription:
    """Makes the subscriptions of one venue, each with the parts that its kind needs."""

    fetches = CandleFetches()

    def sweep(topic: Topic) -> TopicSubscription:
        def lookup(native: str) -> Instrument | None:
            """Without those whose symbol is another's: a sweep says which instrument a row is of by its symbol."""
            found = catalogue.native(topic.market, native)
            shown = None if found is None else catalogue.get(topic.market, found.symbol)
            return found if found is not None and shown is not None and shown.native == found.native else None

        return SweepSubscription(topic, basics, clocks[topic.market], lookup, tally)

    makers: dict[Channel, MakeSubscription] = {
        Channel.TICKER: lambda topic: TickerSubscription(topic, basics, clocks[topic.market], tally),
        Channel.BBO: lambda topic: BboSubscription(topic, basics, clocks[topic.market], tally),
        Channel.TRADE: lambda topic: TradeSubscription(topic, basics, clocks[topic.market], tally, stale_after),
        Channel.LIQUIDATION: lambda topic: LiquidationSubscription(topic, basics, clocks[topic.market], tally),
        Channel.CANDLE: lambda topic: CandleSubscription(
            topic, basics, venue, clocks[topic.market], fetches, tally, stale_after
        ),
        Channel.ORDER_BOOK: lambda topic: BookSubscription(
            topic, basics, venue, clocks[topic.market], snapshots, tally, stale_after
        ),
    }
    return lambda topic: sweep(topic) if topic.is_sweep else makers[topic.channel](topic)

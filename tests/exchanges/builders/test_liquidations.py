"""What is kept of liquidations that are held."""

from __future__ import annotations

from cryptodash.core.events import Side
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import LiquidationOrder
from cryptodash.exchanges.builders.liquidations import LiquidationBuilder

TOPIC = Topic("madeup", MarketType.PERPETUAL, Symbol("BTC", "USDT"), Channel.LIQUIDATION)
AN_HOUR = 3_600_000


def test_only_what_is_held_is_kept_from_one_frame_to_the_next() -> None:
    builder = LiquidationBuilder(TOPIC)
    for at in range(500):
        wall = 10**9 + 1_000 * at
        ahead = 10_000 if at % 2 else AN_HOUR  # of the venue's clock, so that something is held most of the time
        order = LiquidationOrder("BTC", Side.BUY, Number("1"), Number("1"), wall + ahead)
        builder.orders([order], True, wall + 7, wall, float(at))
        if at % 2:
            builder.expire(wall, wall, float(at))
        assert len(builder._orders) <= 2
    assert builder.trades.is_holding

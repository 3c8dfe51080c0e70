"""How many streams a topic will need."""

from __future__ import annotations

import pytest

from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.topics import parse_topic
from cryptodash.exchanges.plan_sizes import PlanSizes
from cryptodash.testing.venue import MadeUpVenue, make_catalogue, make_instrument


@pytest.mark.parametrize(
    ("topic", "streams"),
    [
        ("spot:BTC-USDT:ticker", 2),
        ("perpetual:BTC-USDT:ticker", 4),
        ("spot:BTC-USDT:trade", 1),
        ("spot:BTC-USDT:candle:1m", 1),
        ("spot:BTC-USDT:order_book:50", 1),
        ("spot:*", 1),
        ("spot:NOT-THERE:ticker", 0),
    ],
)
def test_a_topic_needs_what_its_plan_has(topic: str, streams: int) -> None:
    sizes = PlanSizes(MadeUpVenue(), make_catalogue("BTC-USDT"))
    assert sizes.of(parse_topic(f"madeup:{topic}")) == streams


def test_what_the_catalogue_must_tell_first_is_not_known() -> None:
    catalogue = Catalogue("madeup")
    sizes, topic = PlanSizes(MadeUpVenue(), catalogue), parse_topic("madeup:spot:BTC-USDT:ticker")
    assert sizes.of(topic) is None
    catalogue.replace(MarketType.SPOT, [make_instrument(MarketType.SPOT, "BTC", "USDT")])
    assert sizes.of(topic) == 2

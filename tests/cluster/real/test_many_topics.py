"""With two hundred topics at each client of three real processes everything is back in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import pytest_twisted

from tests.cluster.real.faults import kill_holder, pause_redis
from tests.cluster.real.world import World

SYMBOLS: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "TRX", "SUI", "BNB")
NAMES: Final = tuple(
    f"{exchange}:{market}:{symbol}-USDT:{kind}"
    for exchange in ("binance", "bybit")
    for market in ("spot", "perpetual")
    for symbol in SYMBOLS
    for kind in ("ticker", "trade", "order_book:20", "candle:1m")
)
BACK_S: Final = 10.0
SNAPSHOTS_S: Final = 60.0
"""Books of an exchange that needs a REST snapshot for each come at the pace of its budget."""


def late_channels(world: World, kind: str, due: float) -> list[str]:
    """Channels of that kind that were good only later. A stream of trades has nothing to tell before the first one, and
    is ``connecting`` until then: it is late where there was a trade since the instrument's ticker was good."""
    found = []
    for watcher in world.watchers:
        for name, at in watcher.good_since.items():
            if f":{kind}" not in name or at <= due:
                continue
            exchange, market, symbol, *_ = name.split(":")
            ticker = watcher.good_since[f"{exchange}:{market}:{symbol}:ticker"]
            trades = world.record.recorders[exchange, market, symbol].tape.trades
            if kind != "trade" or any(ticker + 1.0 < each.at < at - 0.5 for each in trades):
                found.append(f"{watcher.plan.name} {name}: {at - due:.1f} s")
    return found


@pytest.mark.parametrize("fault", [kill_holder, pause_redis])
@pytest_twisted.ensureDeferred
async def test_two_hundred_topics_are_back_within_ten_seconds(
    fault: Callable[[World], Awaitable[float]], world: World, long: bool, record_property: Callable[[str, object], None]
) -> None:
    if not long:
        pytest.skip("only with --long")
    assert len(NAMES) >= 200
    await world.repair()
    await world.watch()
    await world.sleep(3.0)
    begun = world.reactor.seconds()
    over = await fault(world)
    await world.until(lambda: not world.bad(), SNAPSHOTS_S, lambda: world.bad()[:10])
    await world.sleep(3.0)
    await world.until(lambda: not world.bad(), SNAPSHOTS_S, lambda: world.bad()[:10])
    kinds = ("ticker", "trade", "candle", "order_book")
    took = {kind: max(0.0, world.good_since(f":{kind}") - over) for kind in kinds}
    judgement = world.judged()
    words = f"{ {kind: round(each, 1) for kind, each in took.items()} } s ({world.slowest(begun)}); {judgement.words()}"
    record_property("measured", f"{len(NAMES)} topics, {fault.__name__}: good again after {words}")
    assert not judgement.violations, f"{words}\n" + "\n".join(map(str, judgement.violations[:30]))
    assert world.exceptions() == []
    late = [each for kind in kinds[:3] for each in late_channels(world, kind, over + BACK_S)]
    assert not late, f"{words}\n{late}"
    assert took["order_book"] <= SNAPSHOTS_S, words

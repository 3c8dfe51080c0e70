"""What the page costs at 500 messages a second. The figures are printed after the tests; what is asserted leaves a
slow, shared machine room.

``--long`` watches it for two minutes: a serious look at memory.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_twisted import ensureDeferred

RATE = 500
LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 20"
VIEWS = {
    "market": (
        "#/market/binance/spot/BTC-USDT?ov=ema20,vwap",
        "document.querySelectorAll('table.tape tbody tr:not([hidden])').length > 5",
        1.0,
    ),
    "layers": (
        "#/market/binance/spot/BTC-USDT?lay=cvd,heat",
        "/CVD .*book since/.test(document.querySelector('.chart-legend').innerText)",
        0.5,
    ),
    "markets": ("#/markets?m=all", "document.querySelectorAll('table.grid tbody tr').length > 30", 0.5),
}
PROBE = (
    "({applied: cryptodash.applied, received: cryptodash.received, lag: "
    "cryptodash.lagP99, flush: cryptodash.flushP99, rate: cryptodash.rate})"
)


async def measure(page: Any, flood: Any, reactor: Any, until: Any, seconds: float) -> dict[str, float]:
    """The page's figures over a time in which the flood says its messages."""
    before, metrics, sent, began = await page.evaluate(PROBE), await page.metrics(), flood.sent, reactor.seconds()
    await until(lambda: reactor.seconds() - began >= seconds, seconds + 5)
    sent = flood.sent - sent
    after, later, took = await page.evaluate(PROBE), await page.metrics(), reactor.seconds() - began
    per_second = {
        name: (later[f"{name}Duration"] - metrics[f"{name}Duration"]) * 1000 / took
        for name in ("Script", "Task", "Layout")
    }
    return {
        "messages/s": sent / took,
        "applied": (after["applied"] - before["applied"]) / sent,
        "lag p99 ms": after["lag"],
        "flush p99 ms": after["flush"],
        "draws/s": after["rate"],
        **{f"{name.lower()} ms/s": value for name, value in per_second.items()},
    }


@pytest.mark.parametrize("view", VIEWS)
@ensureDeferred
async def test_five_hundred_messages_a_second_are_taken_in_and_drawn_without_falling_behind(
    page: Any, flood: Any, reactor: Any, until: Any, record_property: Any, view: str, soak_seconds: float
) -> None:
    fragment, there, share = VIEWS[view]
    seconds = share * soak_seconds
    flood.rate = RATE
    await page.goto(flood.url + fragment)
    await page.wait_for(f"{LIVE} && {there}", 15)
    await until(lambda: flood.sent > 3 * RATE, 15)  # until bounded buffers are full
    heap = await page.heap()
    figures = await measure(page, flood, reactor, until, seconds)
    figures["heap MB"] = await page.heap() / 1e6
    figures["heap growth MB"] = figures["heap MB"] - heap / 1e6
    figures["nodes"] = (await page.metrics())["Nodes"]
    record_property(
        "measured",
        f"page, {view}, {seconds:g} s: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()),
    )
    assert figures["messages/s"] > 0.6 * RATE, "the flood itself"
    assert figures["applied"] >= 0.95
    assert figures["lag p99 ms"] < 2000
    assert figures["script ms/s"] < 400
    assert figures["flush p99 ms"] < 300
    assert figures["heap growth MB"] < 2
    assert figures["nodes"] < 20_000

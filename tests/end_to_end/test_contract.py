from __future__ import annotations
from typing import Any
from pytest_twisted import ensureDeferred

@ensureDeferred
async def test_smoke(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    client = await running.connect()
    client.subscribe(channel("ticker"), channel("trade"), channel("order_book"), channel("candle", interval="1m"))
    await client.until_type("trade")
    await client.until_type("order_book_delta")
    await client.until_type("ticker")
    import json
    seen = set()
    for m in client.messages:
        if m["type"] not in seen or m["type"] == "status":
            seen.add(m["type"])
            print(str(m)[:700])

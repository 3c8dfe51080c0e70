"""What a client that has gone needed is free at once: nothing refers to itself in a circle, which would wait for a
collection of garbage and stop all others for as long as that takes."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_twisted import ensureDeferred


@contextmanager
def garbage() -> Iterator[Counter[str]]:
    """Counts what of ours only a collection would find, by class, of all that is made meanwhile."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.freeze()  # what is older, of other tests, may be let go meanwhile
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        kinds = [type(each) for each in gc.garbage]
        found.update(each.__qualname__ for each in kinds if each.__module__.startswith("cryptodash."))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


@pytest.mark.parametrize("max_rate", [None, 5])
@ensureDeferred
async def test_nothing_of_a_client_that_has_gone_is_garbage(start: Any, helpers: Any, max_rate: int | None) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="0.1")
    rate = {} if max_rate is None else {"max_rate": max_rate}

    async def visit() -> None:
        client = await running.connect()
        client.subscribe(
            channel("trade"),
            channel("ticker", **rate),
            channel("ticker", "bybit", "*", **rate),
            channel("order_book", **rate),
            channel("candle", interval="1m", **rate),
        )
        await client.until_type("order_book_snapshot")
        await client.until_type("trade")
        client.say("no request")
        client.say({"op": "list"})
        await client.synced()
        await client.leave()
        await eventually(lambda: not running.upstream_streams())

    await visit()
    for _ in range(5):
        with garbage() as found:
            await visit()
        if "Closed" not in found:  # else a connection to a venue has ended meanwhile, which is no client
            break
    assert found == {}

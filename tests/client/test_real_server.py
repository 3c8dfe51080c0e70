"""The client library and the real server, a demo of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptodash.client import (
    AccessDenied,
    Book,
    Channel,
    ChannelRejected,
    Client,
    Gap,
    RecordedMessage,
    Trade,
    replay,
)
from tests.client.scripted import within
from tests.processes import Process, all_ended

TOKEN = "token-of-this-test-0123456789"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("demo")
    with all_ended() as started:
        words = ("-n", "--pidfile=", "cryptodash", "run", "--demo", "--bind-addr", "127.0.0.1:0")
        started.append(Process(*words, cwd=folder, EXCHANGES="binance,bybit"))
        yield f"ws://127.0.0.1:{started[0].port()}/ws"


def test_the_real_server_is_understood(demo: str) -> None:
    async def work() -> None:
        async with Client(demo) as client:
            assert client.source == "simulated"
            book: Book = await _first(client.books("binance", "spot", "BTC-USDT", depth=10), lambda it: it.live)
            assert len(book.bids) == len(book.asks) == 10 and not book.crossed and book.age is not None
            seen = await _first(client.tickers("bybit", "perpetual", "BTC-USDT"), lambda it: it.live)
            assert seen.bid is not None and seen.ask is not None and seen.bid < seen.ask and seen.mark_price
            merged = await _first(client.quotes("composite", "spot", "BTC-USDT"), lambda it: it.bid is not None)
            assert set(merged.payload["venues"]) <= {"binance", "bybit"}
            bar = await _first(client.candles("binance", "spot", "BTC-USDT"), lambda it: not isinstance(it, Gap))
            assert bar.low <= bar.close <= bar.high
            swept = await _first(client.sweep("binance"), lambda it: it.symbol != "BTC-USDT")
            assert swept.last is not None
            trades = client.trades("binance", "spot", "BTC-USDT")
            live = await _first(trades, lambda it: isinstance(it, Trade) and not it.replayed)
            assert live.cursor is not None
            await trades.aclose()
            again = client.trades("binance", "spot", "BTC-USDT", since=live.cursor)
            following = await _first(again, lambda it: True)
            assert isinstance(following, Trade) and int(following.id) == int(live.id) + 1
            with pytest.raises(ChannelRejected):
                await anext(client.tickers("binance", "spot", "NO-SUCH"))

    within(work())


def test_a_server_with_access_rules_lets_in_who_has_the_token(tmp_path: Path) -> None:
    words = ("-n", "--pidfile=", "cryptodash", "run", "--demo", "--bind-addr", "127.0.0.1:0")
    with all_ended() as started:
        started.append(Process(*words, cwd=tmp_path, EXCHANGES="binance", AUTH_TOKEN=TOKEN))
        url = f"ws://127.0.0.1:{started[0].port()}/ws"

        async def work() -> None:
            async with Client(url, token=TOKEN) as client:
                seen = await _first(client.tickers("binance", "spot", "BTC-USDT"), lambda it: it.live)
                assert seen.last is not None
            for wrong in (None, "a-token-of-somebody-else"):
                with pytest.raises(AccessDenied):
                    async with Client(url, token=wrong) as client:
                        await anext(client.tickers("binance", "spot", "BTC-USDT"))

        within(work())


async def _first(stream: Any, wanted: Callable[[Any], bool]) -> Any:
    async for each in stream:
        if wanted(each):
            return each
    raise AssertionError("the stream has ended")


def test_what_was_recorded_is_played(tmp_path: Path) -> None:
    words = ("-n", "--pidfile=", "cryptodash", "run", "--demo", "--bind-addr", "127.0.0.1:0")
    with all_ended() as started:
        started.append(Process(*words, cwd=tmp_path, EXCHANGES="binance", RECORD_DIR="recordings"))
        url = f"ws://127.0.0.1:{started[0].port()}/ws"
        channel = Channel("trade", "binance", "BTC-USDT")

        async def work() -> None:
            async with Client(url) as client:
                trades = client.trades("binance", "spot", "BTC-USDT")
                live: list[Trade] = []
                played: list[RecordedMessage] = []
                # A second until it is recorded at all, and some until that is on the tape.
                while not {each.payload.get("id") for each in played if each.kind == "trade"} & {it.id for it in live}:
                    live.append(await _first(trades, lambda it: isinstance(it, Trade) and not it.replayed))
                    begin, end = live[0].received, live[-1].received
                    played = await _played(url, channel, begin, end)
                assert {each.payload["source"] for each in played} == {"recorded"}
                assert {each.payload["state"] for each in played if each.kind == "status"} == {"recorded"}
            with pytest.raises(ChannelRejected, match="not_recorded"):
                [each async for each in replay(url, [Channel("bbo", "binance", "BTC-USDT")], begin, end)]

        within(work())


async def _played(url: str, channel: Channel, begin: str, end: str) -> list[RecordedMessage]:
    """What there is by now; nothing, where that is nothing."""
    try:
        return [each async for each in replay(url, [channel], begin, end)]
    except ChannelRejected as rejected:
        assert rejected.code == "not_recorded", rejected
        return []

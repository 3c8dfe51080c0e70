"""The asyncio shell, with a small server that says what a test wants."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from cryptodash.client import (
    AccessDenied,
    Backoff,
    ChannelRejected,
    Client,
    ClientClosed,
    ClientError,
    Gap,
    Notice,
    Ticker,
    Trade,
    Unreachable,
)
from cryptodash.client.connection import is_loopback
from cryptodash.client.freshness import Link
from tests.client.frames import BOOK, GREETING, TICKER, TRADES, delta, snapshot, status, ticker, trade
from tests.client.scripted import Scripted, Visit, quick, within


@pytest.fixture(autouse=True)
def _expected_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "cryptodash.client")


def test_after_a_restart_it_comes_back_when_told_and_goes_on_at_its_cursor() -> None:
    async def first(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TRADES, "live"), trade(1, replayed=True), trade(2))
        await visit.socket.close(1012, '{"retry_ms":30}')

    async def second(visit: Visit) -> None:
        asked = await visit.greet()
        assert asked["channels"] == [TRADES.wire("c-2")]
        await visit.say(status(TRADES, "live"), trade(3, replayed=True), trade(4))
        await visit.stay()

    async def work() -> None:
        waits: list[float] = []

        class Noted(Backoff):
            def delay(self, retry_ms: int | None = None) -> float:
                waits.append(super().delay(retry_ms))
                return waits[-1]

        async with Scripted(first, second) as server, Client(server.url, backoff=Noted(lambda: 0.0)) as client:
            ids = []
            async with client.trades("binance", "spot", "BTC-USDT") as trades:
                async for each in trades:
                    assert isinstance(each, Trade)
                    ids.append(each.id)
                    if len(ids) == 4:
                        break
            assert ids == ["1", "2", "3", "4"]
            assert waits == [0.03]
            assert client.source == "simulated"

    within(work())


def test_a_ticker_comes_again_when_it_is_fresh_no_more() -> None:
    async def cut(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TICKER, "live"), ticker("7"))
        await visit.until("subscribe")  # the consumer has seen it
        await visit.say(status(TICKER, "stale", 6000, cause="silent"))
        await visit.until("subscribe")
        await visit.socket.close(1011)

    async def again(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TICKER, "live"), ticker("8"))
        await visit.stay()

    async def work() -> None:
        async with Scripted(cut, again) as server, Client(server.url, backoff=quick()) as client:
            told = []
            async for each in client.tickers("binance", "spot", "BTC-USDT"):
                assert isinstance(each, Ticker)
                told.append((str(each.last), each.state, each.cause))
                if told.count(told[-1]) == 1:
                    client.quotes("binance", "spot", f"A{len(told)}-USDT")
                if each.last == 8 and each.live:
                    break
            assert ("7", "live", None) in told and ("7", "stale", "silent") in told
            assert told[-1] == ("8", "live", None)

    within(work())


def test_a_link_that_falls_silent_is_told_given_up_and_made_again() -> None:
    async def deaf(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(BOOK, "live"), snapshot(1))
        await visit.socket.wait_closed()  # and never a pong

    async def again(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(BOOK, "live"), snapshot(1))
        await visit.stay()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        link = Link(loop.time, silent_after=0.4, dead_after=0.8)
        async with (
            Scripted(deaf, again) as server,
            Client(server.url, backoff=quick(), clock=loop.time, link=link) as client,
        ):
            states = []
            async for book in client.books("binance", "spot", "BTC-USDT", depth=3):
                states.append((book.live, book.cause))
                if len(server.visits) > 1 and book.live:
                    break
            assert states[0] == (True, None) or states[1] == (True, None)
            assert (False, "link_silent") in states

    within(work())


def test_a_book_is_mended_by_a_resync() -> None:
    async def script(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(BOOK, "live"), snapshot(1), delta(3))
        asked = await visit.until("resync")
        assert asked["channels"] == [BOOK.wire()]
        await visit.answer(asked)
        await visit.say(status(BOOK, "live"), snapshot(4))
        await visit.stay()

    async def work() -> None:
        async with Scripted(script) as server, Client(server.url) as client:
            async for book in client.books("binance", "spot", "BTC-USDT", depth=3):
                if book.live and book.sequence == 4:
                    return

    within(work())


def test_a_frame_that_cannot_be_read_ends_the_connection_and_another_is_made() -> None:
    async def mad(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TICKER, "live"), ticker("1"), "{")
        await visit.socket.wait_closed()

    async def sane(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TICKER, "live"), ticker("2"))
        await visit.stay()

    async def work() -> None:
        async with Scripted(mad, sane) as server, Client(server.url, backoff=quick()) as client:
            async for each in client.tickers("binance", "spot", "BTC-USDT"):
                if each.last == 2:
                    return

    within(work())


def test_a_consumer_that_is_slow_has_a_gap_of_trades_and_the_newest_ticker() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(GREETING)
        for _ in range(2):
            await visit.answer(await visit.until("subscribe"))
        await visit.say(status(TRADES, "live"), *[trade(n) for n in range(20)])
        await visit.say(status(TICKER, "live"), *[ticker(str(n)) for n in range(1, 20)])
        await visit.stay()

    async def work() -> None:
        async with Scripted(script) as server, Client(server.url, waiting=5) as client:
            tickers = client.tickers("binance", "spot", "BTC-USDT")
            trades = client.trades("binance", "spot", "BTC-USDT")
            async for each in tickers:
                if each.last == 19:
                    break
            told = [await anext(trades) for _ in range(6)]
            assert told[0] == Gap(TRADES, "consumer", 15)
            assert [each.id for each in told[1:] if isinstance(each, Trade)] == ["15", "16", "17", "18", "19"]

    within(work())


def test_two_streams_share_a_subscription_and_the_last_one_ends_it() -> None:
    async def script(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TICKER, "live"), ticker("1"))
        await visit.stay()

    async def work() -> None:
        async with Scripted(script) as server, Client(server.url) as client:
            one, two = (client.tickers("binance", "spot", "BTC-USDT") for _ in range(2))
            assert (await anext(one)).last == (await anext(two)).last == 1
            await one.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(one)
            async with asyncio.timeout(5), two:
                pass
            while [each["op"] for each in server.visits[0].asked].count("unsubscribe") < 1:
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            assert client.trouble is None

    within(work())


def test_what_is_rejected_is_raised_where_it_is_read() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(GREETING)
        asked = await visit.until("subscribe")
        rejected = [{"index": 0, "code": "unknown_symbol", "message": "no such"}]
        await visit.answer(asked, accepted=[], rejected=rejected)
        await visit.stay()

    async def work() -> None:
        async with Scripted(script) as server, Client(server.url) as client:
            with pytest.raises(ChannelRejected, match="no such") as raised:
                await anext(client.tickers("binance", "spot", "NO-SUCH"))
            assert raised.value.code == "unknown_symbol"

    within(work())


def test_the_token_is_a_header_and_a_callable_is_asked_at_each_connection_and_before_the_end() -> None:
    async def ends(visit: Visit) -> None:
        await visit.greet()
        await visit.say('{"type":"info","payload":{"message":"about to end","auth":"expiring"}}')
        renewed = await visit.until("auth")
        assert renewed["token"] == "t-2"
        await visit.socket.close(1008, "the token has ended")

    async def stays(visit: Visit) -> None:
        await visit.greet()
        await visit.say(status(TICKER, "live"), ticker("1"))
        await visit.stay()

    async def work() -> None:
        tokens = iter(["t-1", "t-2", "t-3"])
        notices: list[Notice] = []
        async with (
            Scripted(ends, stays) as server,
            Client(server.url, token=lambda: next(tokens), backoff=quick(), on_notice=notices.append) as client,
        ):
            assert (await anext(client.tickers("binance", "spot", "BTC-USDT"))).last == 1
            assert [each["Authorization"] for each in server.headers] == ["Bearer t-1", "Bearer t-3"]
            assert [each.payload.get("auth") for each in notices] == [None, "expiring", None]

    within(work())


def test_a_token_that_is_not_wanted_is_not_tried_again() -> None:
    async def asks(visit: Visit) -> None:
        await visit.say('{"type":"info","payload":{"message":"Authentication required","auth":"required"}}')
        await visit.socket.wait_closed()

    async def ends(visit: Visit) -> None:
        await visit.greet()
        await visit.socket.close(1008, "the token has ended")

    async def work() -> None:
        async with Scripted(asks) as server:
            with pytest.raises(AccessDenied, match="wants a token"):
                await Client(server.url).__aenter__()
            body = b'{"error":{"code":"unauthorized","message":"wrong token"}}'
            server.refusal = Response(HTTPStatus.UNAUTHORIZED.value, "no", Headers({"Content-Length": "57"}), body)
            with pytest.raises(AccessDenied, match=r"^401: "):
                await Client(server.url, token="wrong").__aenter__()
        async with Scripted(ends) as server, Client(server.url, token="old") as client:
            with pytest.raises(AccessDenied, match="has ended"):
                await anext(client.tickers("binance", "spot", "BTC-USDT"))
            with pytest.raises(AccessDenied):
                client.tickers("binance", "spot", "ETH-USDT")
            assert len(server.visits) == 1

    within(work())


def test_a_token_that_cannot_be_had_ends_the_client_with_the_reason() -> None:
    async def script(visit: Visit) -> None:
        await visit.stay()

    def token() -> str:
        raise OSError("the vault is shut")

    async def work() -> None:
        async with Scripted(script) as server:
            with pytest.raises(ClientError, match="OSError: the vault is shut"):
                await Client(server.url, token=token).__aenter__()
            assert server.visits == []

    within(work())


def test_nobody_there_is_said_at_once_and_the_end_of_the_client_is_the_end_of_its_streams() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(GREETING)
        await visit.stay()
        assert visit.socket.close_code == 1000

    async def work() -> None:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            await Client("ws://127.0.0.1:9/ws", first_within=0.3, backoff=quick()).__aenter__()
        async with Scripted(script) as server:
            async with Client(server.url) as client:
                waiting = asyncio.ensure_future(anext(client.tickers("binance", "spot", "BTC-USDT")))
            with pytest.raises(StopAsyncIteration):
                await waiting
            with pytest.raises(ClientClosed):
                client.tickers("binance", "spot", "BTC-USDT")

    within(work())


def test_a_consumer_that_is_cancelled_leaves_nothing_behind() -> None:
    async def script(visit: Visit) -> None:
        await visit.greet()
        await visit.stay()

    async def work() -> None:
        async with Scripted(script) as server:

            async def consume() -> None:
                async with (
                    Client(server.url) as client,
                    client.tickers("binance", "spot", "BTC-USDT") as tickers,
                ):
                    started.set()
                    async for _ in tickers:
                        pass

            started = asyncio.Event()
            consumer = asyncio.create_task(consume())
            await started.wait()
            consumer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await consumer
            own = asyncio.current_task()
            left = [task for task in asyncio.all_tasks() if task is not own and "cryptodash/client" in repr(task)]
            assert left == []

    within(work())


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("ws://127.0.0.1:8080/ws", True),
        ("ws://localhost/ws", True),
        ("ws://[::1]:8080/ws", True),
        ("wss://prices.example/ws", False),
        ("ws://10.0.0.7/ws", False),
        ("ws:", False),
    ],
)
def test_no_proxy_leads_to_this_machine(url: str, is_here: bool) -> None:
    assert is_loopback(url) is is_here

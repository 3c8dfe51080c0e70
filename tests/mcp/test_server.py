"""The MCP server as an assistant has it: by stdio, with the SDK's own client, on a real demo."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.processes import ROOT, Process, all_ended, environment, run

WITHIN = 45.0
PLACE = {"exchange": "binance", "symbol": "BTC-USDT"}
Talk = Callable[["Assistant"], Awaitable[None]]


class Assistant:
    """``ask`` is the answer of a tool; ``fault`` what it says where it has none."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        found: dict[str, Any] = json.loads(result.content[0].text)  # type: ignore[union-attr]
        assert found["freshness"]
        return found

    async def now(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The first answer that is of now: on a machine that is busy the demo itself may be late for a moment."""
        while not (told := await self.ask(tool, **arguments))["may_be_quoted_as_current"]:
            assert "now" not in told
        return told

    async def fault(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return str(result.content[0].text)  # type: ignore[union-attr]


def talk(url: str, tmp_path: Path, conversation: Talk, *options: str, **variables: str) -> None:
    """With a server process of its own, which has ended afterwards."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "cryptodash.mcp", "--url", url, *options],
        env={"PYTHONPATH": str(ROOT), **variables},
        cwd=tmp_path,
    )

    async def conversing() -> None:
        with open(os.devnull, "w") as log:
            async with asyncio.timeout(WITHIN), Client(stdio_client(server, log)) as client:
                await conversation(Assistant(client))

    asyncio.run(conversing())


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[Process, str, str]]:
    """The process, its URL, and the port by which its simulator is told what goes wrong."""
    with all_ended() as started:
        words = ("-n", "--pidfile=", "cryptodash", "run", "--demo", "--bind-addr", "127.0.0.1:0", "--control-port", "0")
        process = Process(*words, cwd=tmp_path, EXCHANGES="binance,bybit", STALE_AFTER_S="2")
        started.append(process)
        url = f"http://127.0.0.1:{process.port()}"
        yield process, url, process.line(r"fault --control-port (\d+)")[1]


def test_every_tool_answers_with_its_freshness(demo: tuple[Process, str, str], tmp_path: Path) -> None:
    async def conversation(it: Assistant) -> None:
        tools = (await it.client.list_tools()).tools
        assert sorted(each.name for each in tools) == ["book", "candles", "markets", "quality", "ticker"]
        assert all(each.description for each in tools)
        ticker = await it.now("ticker", **PLACE)
        assert re.fullmatch(r"(live|quiet).*, \d+\.\d s old", ticker["freshness"]) and "SIMULATED" in ticker["source"]
        assert Decimal(ticker["now"]["bid"]) < Decimal(ticker["now"]["ask"])
        assert re.fullmatch(r"\d+\.\d{8}", ticker["now"]["last"]), "as many digits as Binance writes"
        book = await it.now("book", **PLACE, depth=3)
        assert [len(book["now"][side]) for side in ("bids", "asks")] == [3, 3]
        candles = await it.now("candles", **PLACE, interval="1m", limit=3)
        assert len(candles["closed"]) == 2 and candles["running_now"]
        assert "final" in candles["freshness"]
        markets = await it.ask("markets", search="BTC", exchange="bybit")
        assert ["bybit", "spot", "BTC-USDT", "trading"] in markets["markets"]
        quality = await it.ask("quality", exchange="binance")
        assert quality["exchanges"][0]["exchange"] == "binance"
        for tool, arguments, word in (
            ("ticker", {**PLACE, "symbol": "NO-SUCH"}, "unknown_symbol"),
            ("ticker", {**PLACE, "exchange": "mtgox"}, "unknown_exchange"),
            ("candles", {**PLACE, "interval": "7m"}, "invalid_interval"),
        ):
            said = await it.fault(tool, **arguments)
            assert word in said and "do not quote" in said
        assert "less than or equal to 50" in await it.fault("book", **PLACE, depth=51)

    talk(demo[1], tmp_path, conversation)


def test_a_stale_price_is_not_told_as_one_of_now_and_a_server_that_stopped_knows_none(
    demo: tuple[Process, str, str], tmp_path: Path
) -> None:
    process, url, control = demo

    async def conversation(it: Assistant) -> None:
        await it.now("ticker", **PLACE)
        words = ("fault", "--control-port", control, "binance", "silent", "BTC-USDT", "60")
        done = await asyncio.to_thread(run, "cryptodash", *words, cwd=tmp_path)
        assert done.returncode == 0, done
        while "silent" not in (told := await it.ask("ticker", **PLACE))["freshness"]:
            assert told["may_be_quoted_as_current"] is ("now" in told)
        assert re.match(r"STALE for \d+ s: silent: do not quote as current", told["freshness"])
        assert "now" not in told and told["last_known"]["last"]
        bars = await it.ask("candles", **PLACE, interval="1m", limit=2)
        assert "running_now" not in bars and "STALE" in bars["freshness"]
        process.interrupt()
        await asyncio.to_thread(process.ended, 15)
        said = await it.fault("ticker", **PLACE)
        assert "cannot reach" in said and "not even from earlier answers" in said

    talk(url, tmp_path, conversation)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--url", "127.0.0.1:8080"), "http://host:port or https://host is meant"),
        (("--token-file", "nowhere"), "nowhere"),
        (("--token", "secret"), "unrecognized arguments: --token"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "cryptodash.mcp", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and done.stdout == ""
    assert said in done.stderr.splitlines()[-1]

"""The tools. Each answer is bounded, exact, and says how fresh it is; a fault says that nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from cryptodash import __version__
from cryptodash.mcp import answers
from cryptodash.mcp.answers import Answer
from cryptodash.mcp.rest import Rest, Unanswered

INSTRUCTIONS = """Crypto market data of a cryptodash server. Every answer begins with its freshness in words. Quote a
price as current only where may_be_quoted_as_current is true; else say how old it is and why, in the words of freshness.
Always repeat a source that is SIMULATED or REPLAYED. Prices are texts with the exchange's own digits: do not round them
unless asked. An answer is of the moment it was asked (asked_at): ask again instead of repeating an old one."""

Exchange = Annotated[str, Field(description="binance, bybit, okx, coinbase, kraken; for book also composite")]
Symbol = Annotated[str, Field(description="BASE-QUOTE, as in BTC-USDT", min_length=1, max_length=40)]
Market = Annotated[Literal["spot", "perpetual"], Field(description="which market of the exchange")]
Interval = Annotated[str, Field(description="1m 3m 5m 15m 30m 1h 2h 4h 6h 12h 1d 1w 1M, where the exchange has it")]
NOTHING_KNOWN = "No price is known: do not quote one, not even from earlier answers."


def make(rest: Rest, now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> MCPServer:
    """A server whose tools ask ``rest``."""
    server = MCPServer("cryptodash", instructions=INSTRUCTIONS, version=__version__)

    async def ask(path: str, **parameters: str | int | None) -> Any:
        try:
            return await asyncio.to_thread(rest.get, path, **parameters)
        except Unanswered as why:
            raise ToolError(f"{why} ({why.code}). {NOTHING_KNOWN}") from None

    def shaped(shape: Callable[..., Answer], *payloads: Any, **about: Any) -> Answer:
        try:
            found = shape(*payloads)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ToolError(f"the server's answer is not understood. {NOTHING_KNOWN}") from None
        return {"asked_at": now().isoformat(timespec="milliseconds"), **about, **found}

    @server.tool()
    async def markets(
        search: Annotated[str, Field(description="part of a symbol, as in BTC", min_length=1, max_length=40)],
        exchange: Exchange | None = None,
        market: Market | None = None,
    ) -> dict[str, Any]:
        """Which instruments there are, and how each exchange is. No prices."""
        found = await ask("/api/symbols", search=search, exchange=exchange, market_type=market)
        venues = await ask("/api/exchanges")
        return shaped(answers.markets, found, venues)

    @server.tool()
    async def ticker(exchange: Exchange, symbol: Symbol, market: Market = "spot") -> dict[str, Any]:
        """The latest price, best bid and ask, and 24 h figures, with their freshness."""
        found = await ask("/api/ticker", exchange=exchange, symbol=symbol, market_type=market)
        return shaped(answers.ticker, found, exchange=exchange, market=market, symbol=symbol)

    @server.tool()
    async def book(
        exchange: Exchange,
        symbol: Symbol,
        market: Market = "spot",
        depth: Annotated[int, Field(description="levels a side", ge=1, le=50)] = 10,
    ) -> dict[str, Any]:
        """The order book: best levels first, with its freshness."""
        found = await ask("/api/orderbook", exchange=exchange, symbol=symbol, market_type=market, depth=depth)
        return shaped(answers.book, found, exchange=exchange, market=market, symbol=symbol)

    @server.tool()
    async def candles(
        exchange: Exchange,
        symbol: Symbol,
        interval: Interval = "1h",
        market: Market = "spot",
        limit: Annotated[int, Field(description="how many bars", ge=1, le=200)] = 24,
    ) -> dict[str, Any]:
        """Bars, oldest first: those that have closed, and the running one with its freshness."""
        place = {"exchange": exchange, "symbol": symbol, "market_type": market}
        bars = await ask("/api/candles", **place, interval=interval, limit=limit)
        try:
            now_told = await asyncio.to_thread(rest.get, "/api/ticker", **place)
            current = answers.freshness(now_told.get("status", {}), str(now_told.get("source")))
        except Unanswered as why:
            current = {"freshness": f"UNKNOWN: {why}: do not quote as current", "may_be_quoted_as_current": False}
        return shaped(
            answers.candles, bars, current, exchange=exchange, market=market, symbol=symbol, interval=interval
        )

    @server.tool()
    async def quality(exchange: Exchange | None = None) -> dict[str, Any]:
        """How good the data has been: the share of time in each state, gaps, faults, and what is not good now."""
        return shaped(answers.quality, await ask("/api/quality", exchange=exchange))

    return server

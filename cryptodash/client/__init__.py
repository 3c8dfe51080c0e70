"""A typed asyncio client of cryptodash (``pip install cryptodash[client]``).

    async with Client("ws://127.0.0.1:8080/ws") as client:
        async for ticker in client.tickers("binance", "spot", "BTC-USDT"):
            print(ticker.last, ticker.words)

Prices are ``Decimal`` with the venue's own digits, and every value says how fresh it is at this moment. The logic is
``cryptodash.client.state.ClientState``, which knows no socket; docs/clients.md describes both.
"""

from cryptodash.client.book import Book, Level
from cryptodash.client.channels import Channel
from cryptodash.client.client import Client
from cryptodash.client.connection import Unreachable
from cryptodash.client.decoding import digits
from cryptodash.client.errors import AccessDenied, ChannelRejected, ClientClosed, ClientError, MalformedFrame
from cryptodash.client.freshness import in_words
from cryptodash.client.replay import RecordedMessage, replay
from cryptodash.client.retry import Backoff
from cryptodash.client.state import ClientState
from cryptodash.client.streams import Stream
from cryptodash.client.values import Bbo, Candle, Gap, Liquidation, Notice, Rejected, StatusChange, Ticker, Trade

__all__ = [
    "AccessDenied",
    "Backoff",
    "Bbo",
    "Book",
    "Candle",
    "Channel",
    "ChannelRejected",
    "Client",
    "ClientClosed",
    "ClientError",
    "ClientState",
    "Gap",
    "Level",
    "Liquidation",
    "MalformedFrame",
    "Notice",
    "RecordedMessage",
    "Rejected",
    "StatusChange",
    "Stream",
    "Ticker",
    "Trade",
    "Unreachable",
    "digits",
    "in_words",
    "replay",
]

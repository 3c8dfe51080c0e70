"""Keep an order book from a snapshot and its deltas, over a connection that may break at any time.

    python examples/book_client.py --exchange binance --symbol BTC-USDT --depth 20

Needs `pip install 'cryptodash[client]'`. The library keeps the book (cryptodash/client/book.py is a page, for those who
want it in another language) and says whether it is live.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from cryptodash.client import Client, ClientError, Level, digits


def level(found: Level | None) -> str:
    return "-" if found is None else f"{digits(found.price)} x {digits(found.quantity)}"


async def show(options: argparse.Namespace) -> None:
    async with Client(options.url) as client:
        left = options.count
        stream = client.books(options.exchange, options.market, options.symbol, depth=options.depth, max_rate=1.0)
        async for book in stream:
            # The same object each time, kept up to date: ask `live` when you use it, not when it came.
            sides = f"bid {level(book.best_bid)} ask {level(book.best_ask)}"
            print(f"{options.exchange} {options.symbol} {sides} sequence {book.sequence} | {book.words}", flush=True)
            left -= 1
            if left == 0:
                return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws")
    parser.add_argument("--exchange", default="binance")
    parser.add_argument("--market", default="spot", choices=["spot", "perpetual"])
    parser.add_argument("--symbol", default="BTC-USDT")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--count", type=int, default=0, help="end after so many lines")
    options = parser.parse_args()
    try:
        asyncio.run(show(options))
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

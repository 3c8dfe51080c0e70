"""One line for each change of a ticker: the prices, and how fresh they are.

    python examples/ticker_client.py --exchange binance --symbol BTC-USDT

Needs `pip install 'cryptodash[client]'`. A server that wants a token: --token-file, or CRYPTODASH_TOKEN.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from cryptodash.client import Client, ClientError, digits


async def show(options: argparse.Namespace, token: str | None) -> None:
    async with Client(options.url, token=token) as client:
        print(f"source: {client.source}")  # "simulated" is no real market
        left = options.count
        stream = client.tickers(options.exchange, options.market, options.symbol, max_rate=options.max_rate)
        async for ticker in stream:
            prices = (ticker.last, ticker.bid, ticker.ask)
            last, bid, ask = ("-" if price is None else digits(price) for price in prices)
            # What is not live is shown with its reason, never as a price alone.
            print(f"{options.exchange} {ticker.symbol} last {last} bid {bid} ask {ask} | {ticker.words}", flush=True)
            left -= 1
            if left == 0:
                return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws")
    parser.add_argument("--exchange", default="binance")
    parser.add_argument("--market", default="spot", choices=["spot", "perpetual"])
    parser.add_argument("--symbol", default="BTC-USDT")
    parser.add_argument("--max-rate", type=float, default=2.0, help="lines a second at most")
    parser.add_argument("--count", type=int, default=0, help="end after so many lines")
    parser.add_argument("--token-file", type=Path)
    options = parser.parse_args()
    token = options.token_file.read_text().strip() if options.token_file else os.environ.get("CRYPTODASH_TOKEN")
    try:
        asyncio.run(show(options, token or None))
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Every trade to a CSV file, once each, over lost connections and over restarts of this program.

    python examples/trades_to_csv.py trades.csv --exchange binance --symbol BTC-USDT

Needs `pip install 'cryptodash[client]'`. The last column is the cursor: started again on the same file, it goes on
behind its last line. Where trades are missing (the server keeps the last minute), a line begins with `gap`.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
from pathlib import Path

from cryptodash.client import Client, ClientError, Gap, digits

COLUMNS = ("time", "id", "side", "price", "quantity", "cursor")


def last_cursor(file: Path) -> str | None:
    """Of the last whole line. A line that was being written when the program was killed is cut off."""
    if not file.exists():
        return None
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        file.write_bytes(whole)
    cursors = [row["cursor"] for row in csv.DictReader(whole.decode().splitlines()) if row["cursor"]]
    return cursors[-1] if cursors else None


async def write(options: argparse.Namespace) -> None:
    since = last_cursor(options.file)
    async with Client(options.url) as client:
        with options.file.open("a", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                rows.writerow(COLUMNS)
            left = options.count
            async for trade in client.trades(options.exchange, options.market, options.symbol, since=since):
                if isinstance(trade, Gap):
                    missed = "some" if trade.missed is None else trade.missed
                    rows.writerow(("gap", "", trade.reason, "", missed, ""))
                else:
                    price, quantity = digits(trade.price), digits(trade.quantity)
                    rows.writerow((trade.timestamp, trade.id, trade.side, price, quantity, trade.cursor))
                    left -= 1
                file.flush()
                if left == 0:
                    return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws")
    parser.add_argument("--exchange", default="binance")
    parser.add_argument("--market", default="spot", choices=["spot", "perpetual"])
    parser.add_argument("--symbol", default="BTC-USDT")
    parser.add_argument("--count", type=int, default=0, help="end after so many trades")
    options = parser.parse_args()
    try:
        asyncio.run(write(options))
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

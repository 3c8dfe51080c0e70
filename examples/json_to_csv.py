"""An answer of REST as CSV, for a spreadsheet; every digit as the exchange wrote it. Python's own library only.

    curl -s 'localhost:8080/api/candles?exchange=binance&symbol=BTC-USDT&interval=1h' | python3 examples/json_to_csv.py
    curl -s 'localhost:8080/api/ticker?exchange=binance&symbol=BTC-USDT' | python3 examples/json_to_csv.py > btc.csv

Of candles and trades a line each, of a book a line per level, of a ticker one line. What has a freshness has it in the
columns `state`, `cause` and `age_ms` of every line: a cell with a price that is not live is not taken for one that is.
"""

from __future__ import annotations

import csv
import json
import sys
from typing import Any

Row = dict[str, Any]


def rows_of(answer: Any) -> list[Row]:
    """The lines of an answer; ``ValueError`` for one that has none."""
    if "error" in answer:
        raise ValueError(f"{answer['error']['code']}: {answer['error']['message']}")
    status = answer.get("status", {})
    fresh = {name: status.get(name, "") for name in ("state", "cause", "age_ms")} if status else {}
    for name in ("candles", "trades"):
        if name in answer:
            return [{**flat(each), **fresh} for each in answer[name]]
    if "bids" in answer:
        sides = [(side, each) for side in ("bids", "asks") for each in answer[side]]
        return [{"side": side[:3], **flat(each), "time": answer["timestamp"], **fresh} for side, each in sides]
    return [{**flat({name: value for name, value in answer.items() if name != "status"}), **fresh}]


def flat(values: Row) -> Row:
    """A symbol as ``BTC-USDT``; what is no plain value is left out."""
    symbol = values.get("symbol")
    pair = {"symbol": f"{symbol['base']}-{symbol['quote']}"} if isinstance(symbol, dict) else {}
    return {name: value for name, value in values.items() if not isinstance(value, dict | list)} | pair


def main() -> int:
    try:
        rows = rows_of(json.load(sys.stdin, parse_float=str))  # as text: a float would lose digits
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    columns = {name: None for row in rows for name in row}
    writer = csv.DictWriter(sys.stdout, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

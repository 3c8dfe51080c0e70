"""Binance spot frames made up by a seed: the mix of a recorded minute (68 % book ticker, 24 % trade, 8 % depth),
several symbols, books that chain.

Prices stay around a fixed middle, so that books never cross; every book has 1,000 levels a side to begin with,
which the REST snapshot shows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

NAMES = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "BNB-USDT", "ADA-USDT", "DOGE-USDT", "LTC-USDT")
MIDDLE = 6_184_000
"""In ticks of 0.01."""
LEVELS = 1000
REACH = 300
"""How many ticks from the middle the changes go."""
FIRST_UPDATE = 50_000_000_000
TIME = 1_723_161_255_000


def price(ticks: int) -> str:
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def size(units: int) -> str:
    return f"{units // 1000}.{units % 1000:03d}00000"


class Market:
    """One symbol: its book, and frames that change it. ``flavour`` ``agg`` names trades as cryptofeed
    reads them (``aggTrade``)."""

    def __init__(self, name: str, seed: int, flavour: str = "trade") -> None:
        self.native = name.replace("-", "")
        self._stream = self.native.lower()
        self._random = random.Random(f"{name}{seed}")
        self._bids = {MIDDLE - 1 - level: 1500 + level for level in range(LEVELS)}
        self._asks = {MIDDLE + 1 + level: 1500 + level for level in range(LEVELS)}
        self._update = self._book_update = FIRST_UPDATE
        self._trade = 3_735_683_259
        self._time = TIME
        self._agg = flavour == "agg"
        self._best: tuple[int, int] | None = None

    def snapshot(self) -> str:
        """The REST answer for the book as it is now."""
        bids = [[price(ticks), size(self._bids[ticks])] for ticks in sorted(self._bids, reverse=True)]
        asks = [[price(ticks), size(self._asks[ticks])] for ticks in sorted(self._asks)]
        return json.dumps({"lastUpdateId": self._book_update, "bids": bids, "asks": asks}, separators=(",", ":"))

    def _wrap(self, stream: str, data: str) -> bytes:
        return f'{{"stream":"{self._stream}@{stream}","data":{{{data}}}}}'.encode()

    def day(self) -> bytes:
        """The 24 h ticker."""
        numbers = ",".join(f'"{key}":"61000.00000000"' for key in "cohlwx")
        return self._wrap(
            "ticker",
            f'"e":"24hrTicker","E":{TIME},"s":"{self.native}","p":"10.00000000",'
            f'"P":"0.016",{numbers},"v":"14724.65375000","q":"940099726.82861850"',
        )

    def quote(self, bid_size: str | None = None) -> bytes:
        """The best levels of the book as it is."""
        bid, ask = self.best()
        self._update += 1
        bid_size = bid_size or size(self._random.randrange(1, 9999))
        return self._wrap(
            "bookTicker",
            f'"u":{self._update},"s":"{self.native}","b":"{price(bid)}","B":"{bid_size}",'
            f'"a":"{price(ask)}","A":"{size(self._random.randrange(1, 9999))}"',
        )

    def best(self) -> tuple[int, int]:
        """Best bid and ask, in ticks."""
        if self._best is None:
            self._best = max(self._bids), min(self._asks)
        return self._best

    def trade(self, quantity: str | None = None) -> bytes:
        """One trade."""
        self._trade += 1
        self._time += 1
        kind, number = ("aggTrade", "a") if self._agg else ("trade", "t")
        return self._wrap(
            kind,
            f'"e":"{kind}","E":{self._time},"s":"{self.native}",'
            f'"{number}":{self._trade},"p":"{price(self._random.choice(self.best()))}",'
            f'"q":"{quantity or size(self._random.randrange(1, 9999))}",'
            f'"T":{self._time},"m":{self._random.choice(("true", "false"))},"M":true',
        )

    def depth(self) -> bytes:
        """Five to twelve levels a side change."""
        first = self._book_update + 1
        self._book_update = self._update = self._update + self._random.randrange(8, 24)
        self._time += 1
        self._best = None
        sides = []
        for side, sign in ((self._bids, -1), (self._asks, 1)):
            changes = []
            for offset in sorted({1 + self._random.randrange(REACH) for _ in range(self._random.randrange(5, 13))}):
                ticks, units = MIDDLE + sign * offset, self._random.choice((0, self._random.randrange(1, 9999)))
                if units:
                    side[ticks] = units
                else:
                    side.pop(ticks, None)
                changes.append(f'["{price(ticks)}","{size(units)}"]')
            sides.append(",".join(changes))
        return self._wrap(
            "depth@100ms",
            f'"e":"depthUpdate","E":{self._time},"s":"{self.native}",'
            f'"U":{first},"u":{self._update},"b":[{sides[0]}],"a":[{sides[1]}]',
        )


def mix(markets: Sequence[Market], count: int, seed: int) -> Iterator[bytes]:
    """``count`` frames of all markets; the first and the last are marked trades of the first one."""
    chance = random.Random(seed)
    yield markets[0].trade("111.0")
    for _ in range(count - 2):
        market, draw = chance.choice(markets), chance.random()
        yield market.quote() if draw < 0.68 else market.trade() if draw < 0.92 else market.depth()
    for market in markets:
        yield market.quote()
    yield markets[0].trade("999.0")


HOLE = "8" * 20
"""Stands where the time of sending will stand."""


def stamp(nanoseconds: int) -> bytes:
    """A time as a number as long as ``HOLE``."""
    return f"{nanoseconds}.".ljust(len(HOLE), "0").encode()


def flood(markets: Sequence[Market], books: int, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Kinds and frames: 80 % quotes, 10 % trades, 10 % changes of the books of the first ``books`` markets. Quotes and
    trades have a ``HOLE``. Each market begins with a quote, so that every ticker has a time."""
    chance = random.Random(seed)
    for market in markets[:count]:
        yield "quote", market.quote(HOLE)
    for _ in range(count - len(markets)):
        market, draw = chance.choice(markets), chance.random()
        if draw < 0.8:
            yield "quote", market.quote(HOLE)
        elif draw < 0.9:
            yield "trade", market.trade(HOLE)
        else:
            yield "book", chance.choice(markets[:books]).depth()

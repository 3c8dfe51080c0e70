"""Times, checksums, bars and 24-hour statistics as Kraken writes them, from whole ticks and steps."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from cryptodash.simulator.bars import Bar, merged
from cryptodash.simulator.candles import Candles
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY, MINUTE

INTERVALS = {1: "1m", 5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d", 10080: "", 21600: ""}
"""Minutes of a bar, and how the simulator's candles name it. The two longest are put together from days."""

CHECKED_LEVELS = 10
"""The checksum is about so many levels a side."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def stamp(now: int, digits: int = 6) -> str:
    """``2026-08-12T19:29:00.921000Z`` of a time in ms, with so many digits of the second."""
    return stamp_ns(now * 1_000_000, digits)


def stamp_ns(now: int, digits: int = 6) -> str:
    """The same of a time in ns."""
    seconds, rest = divmod(now, 10**9)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}"[: 20 + digits] + "Z"


def trade_ns(fill: Trade) -> int:
    """The time of a fill in ns: within its ms another for each id, so that pages by time lose none."""
    return fill.time * 1_000_000 + fill.id % 1_000_000


def checksum(spec: InstrumentSpec, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> int:
    """CRC32 of the best ten asks, then the best ten bids (best first), each price and quantity without its point and
    its leading zeros. docs.kraken.com, guide "Book checksum v2"."""
    texts = ([(spec.price(ticks), spec.size(steps)) for ticks, steps in side] for side in (bids, asks))
    return text_checksum(*texts)


def text_checksum(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
    """The same of prices and quantities as the venue writes them."""
    best = (level for side in (asks, bids) for level in side[:CHECKED_LEVELS])
    return zlib.crc32("".join(_digits(text) for level in best for text in level).encode())


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")


def increment(units: int, decimals: int) -> str:
    """A tick or step as the instrument channel has it: ``0.1``, ``0.00001``, but ``1E-8``."""
    return str(Decimal(units).scaleb(-decimals))


def mean_price(bar: Bar) -> int:
    """The volume-weighted price of a bar in ticks, to the nearest; 0 without a trade. Within the bar's range: the
    turnover of planned bars is a share of a longer bar's, which may miss it a little."""
    if not bar.volume:
        return 0
    return min(bar.high, max(bar.low, (2 * bar.turnover + bar.volume) // (2 * bar.volume)))


def change_percent(day: Bar) -> str:
    """How far the price is from that of 24 hours ago: percent with two decimals, to the nearest."""
    moved = day.close - day.open
    hundredths = (20_000 * abs(moved) + day.open) // (2 * day.open)
    return f"{'-' if moved < 0 and hundredths else ''}{hundredths // 100}.{hundredths % 100:02d}"


def opens(minutes: int, at: int) -> int:
    """The open time (ms) of the bar that holds ``at``. All lengths are counted from 1970, weeks from a Thursday."""
    return at - at % (minutes * MINUTE)


def bar_at(candles: Candles, minutes: int, start: int) -> Bar | None:
    """The bar that opens at ``start``, the running one included; None where nothing is known."""
    name = INTERVALS[minutes]
    if name:
        return candles.candle(name, start)
    days = (candles.bar(DAY, at) for at in range(start, start + minutes * MINUTE, DAY))
    return merged(start, (day for day in days if day is not None))


def recent_bars(candles: Candles, minutes: int, count: int) -> list[Bar]:
    """The last so many bars, oldest first, the running one last."""
    newest, found = opens(minutes, candles.running), []
    for at in range(newest, newest - count * minutes * MINUTE, -minutes * MINUTE):
        bar = bar_at(candles, minutes, at)
        if bar is None:
            break
        found.append(bar)
    return found[::-1]

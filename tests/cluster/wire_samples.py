"""Events of every kind, with all of their members and with as few as they can have, and what else crosses."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from cryptodash.cluster import event_records, wire
from cryptodash.core.events import (
    Bbo,
    BookView,
    Candle,
    Cause,
    Event,
    Gap,
    Liquidation,
    Side,
    State,
    StreamStatus,
    Sweep,
    Ticker,
    Trade,
)
from cryptodash.core.instruments import Symbol
from cryptodash.core.interfaces import ExchangeReport
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic, parse_topic

ROOT = "binance:perpetual:BTC-USDT"
TICKERS, QUOTES, TRADES, LIQUIDATIONS, BARS, BOOK, VIEW, SWEEP, OTHER, OWN_SPELLING = TOPICS = (
    *(parse_topic(f"{ROOT}:{each}") for each in ("ticker", "bbo", "trade", "liquidation", "candle:1m")),
    parse_topic(f"{ROOT}:order_book"),
    parse_topic(f"{ROOT}:order_book:20"),
    parse_topic("binance:perpetual:*:ticker"),
    parse_topic("binance:perpetual:ETH-USDT:ticker"),
    event_records.topic_of("binance:perpetual:kPEPE-USDT:ticker"),
)
KNOWN: dict[str, Topic] = {each.text: each for each in TOPICS}
N = Number

FULL_TICKER = Ticker(
    TICKERS,
    1_700_000_000_001,
    1_700_000_000_002,
    *(N(f"{number}.{number:018d}") for number in range(1, 15)),
    funding_rate=N("-0.000125"),
    funding_interval_h=8,
    next_funding_time=1_700_000_000_003,
    open_interest=N("0.10"),
    quote_time=4,
    last_time=5,
    stats_time=6,
    figures='"open_24h":"4.0"',
)
LEVELS = ((N("61837.63"), N("0.10")), (N("61837.60"), N("120")))
EVENTS: tuple[Event, ...] = (
    FULL_TICKER,
    Ticker(OWN_SPELLING, 1, 2, N("3")),
    Bbo(QUOTES, 1, 2, N("3"), N("4.0"), N("5"), N("6")),
    Bbo(QUOTES, 1, 2),
    Trade(TRADES, 1, 2, "an é id", N("3"), N("4"), Side.BUY),
    Trade(TRADES, 1, 2, "", N("3"), N("4"), Side.SELL),
    Liquidation(LIQUIDATIONS, 1, 2, Side.SELL, N("3"), N("4"), "id", N("5"), False),
    Liquidation(LIQUIDATIONS, 1, 2, Side.BUY, N("3"), N("4")),
    Gap(TRADES, 1, 2, 3),
    Gap(TRADES, 1, 2),
    Candle(BARS, 1, 2, N("3"), N("4"), N("5"), N("6"), N("0"), True, "trades", True),
    Candle(BARS, 1, 2, N("3"), N("4"), N("5"), N("6"), N("7"), False),
    BookView(VIEW, 100, 1, 2, LEVELS, LEVELS[:1], True),
    BookView(VIEW, 0, 1, 2, (), ()),
    Sweep(SWEEP, [FULL_TICKER, Ticker(OWN_SPELLING, 1, 2, N("3"))]),
    Sweep(SWEEP, []),
    *(StreamStatus(TICKERS, state, since=1) for state in State),
    *(StreamStatus(TICKERS, State.STALE, cause, ("quote", "stats"), 1, Symbol("NEW", "USDT")) for cause in Cause),
)
REPORT = ExchangeReport(
    "binance", "Binance", "degraded", False, Cause.LATE, "slow", "live", "wss://a", "https://b",
    {"weight": {"used": 1, "of": [2, None]}}, 3, 4, 5, 0.25, ("binance:spot:X-Y",), -7, "a",
)  # fmt: skip


def crossed(event: Event) -> Event:
    """As it is on the other side: figures are made anew there."""
    if isinstance(event, Ticker):
        return msgspec.structs.replace(event, figures=None)
    if isinstance(event, Sweep):
        return Sweep(event.topic, [msgspec.structs.replace(each, figures=None) for each in event.tickers])
    return event


def contents(record: bytes) -> tuple[int, msgspec.Raw, int | None]:
    """The one record of a frame."""
    (found,) = wire.read_frame(wire.frame_of(1, 2, 3.5, [record])).records
    return found


def read(record: bytes, known: Callable[[str], Topic | None] = KNOWN.get) -> Event | None:
    kind, content, _ = contents(record)
    return event_records.read_event(kind, content, known)

"""``RECORD``: which topics are recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from attrs import frozen

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import COMPOSITE, Channel, Topic, check_interval, parse_channel

HELD = "held"
"""In place of a pattern: whatever is held anyway."""
ALLOWED = "held, or patterns channel:exchange:market:SYMBOL[:interval] such as trade:*:spot:*-USDT, separated by commas"
MOST_CHARACTERS = 200
"""Of a pattern."""
DEFAULT_INTERVAL = "1m"
"""Of candles, where a pattern names none."""


@frozen
class RecordPattern:
    """``channel`` and ``market`` None: any; ``symbol`` is BASE-QUOTE in
    upper case, perhaps with ``*``. ``interval``: of candles."""

    channel: Channel | None
    exchange: str
    market: MarketType | None
    symbol: str
    interval: str = DEFAULT_INTERVAL

    def __str__(self) -> str:
        return f"{self.channel or '*'}:{self.exchange}:{self.market or '*'}:{self.symbol}:{self.interval}"

    def matches(self, topic: Topic) -> bool:
        """Whether the topic is meant, of an order book at whatever depth. A sweep is none of an instrument."""
        return (
            self.channel in (None, topic.channel)
            and self.exchange in ("*", topic.exchange)
            and self.market in (None, topic.market)
            and (topic.channel is not Channel.CANDLE or topic.interval == self.interval)
            and not topic.is_sweep
            and fnmatchcase(str(topic.symbol).upper(), self.symbol)
        )

    def topics_of(self, instrument: Instrument, depth: int, intervals: Sequence[str]) -> Iterator[Topic]:
        """The topics of a listed instrument that are meant; ``intervals``: the candles that its market has."""
        ticker = Topic(instrument.exchange, instrument.market, instrument.symbol, Channel.TICKER)
        for channel in Channel if self.channel is None else (self.channel,):
            if channel is Channel.LIQUIDATION and instrument.market is not MarketType.PERPETUAL:
                continue
            if channel is Channel.CANDLE and self.interval not in intervals:
                continue
            topic = ticker.sibling(
                channel,
                depth=depth if channel is Channel.ORDER_BOOK else 0,
                interval=self.interval if channel is Channel.CANDLE else "",
            )
            if self.matches(topic):
                yield topic


def record_patterns(text: str) -> tuple[str | RecordPattern, ...]:
    """Raises ``ValueError`` that says what is allowed, and what of which pattern is wrong."""
    words = dict.fromkeys(part.strip() for part in text.split(",") if part.strip())
    return tuple(HELD if word.lower() == HELD else _pattern(word) for word in words)


def _pattern(word: str) -> RecordPattern:
    parts = word.split(":")
    if not 4 <= len(parts) <= 5 or not all(parts) or len(word) > MOST_CHARACTERS:
        raise _wrong(word, f"not four or five parts of {MOST_CHARACTERS} characters at most")
    channel, exchange, market, symbol, *interval = parts
    try:
        kind = None if channel == "*" else parse_channel(channel.lower())
        checked = check_interval(interval[0]) if interval else DEFAULT_INTERVAL
    except Refused as error:
        raise _wrong(word, error.message) from None
    try:
        of = None if market == "*" else MarketType(market.lower())
    except ValueError:
        raise _wrong(word, f"market {market[:40]!r} is not one of: *, {', '.join(MarketType)}") from None
    if interval and kind not in (None, Channel.CANDLE):
        raise _wrong(word, "an interval goes with candle only")
    if exchange.lower() == COMPOSITE:
        raise _wrong(word, f"{COMPOSITE} is recorded while it is held, and no pattern holds it")
    if kind is Channel.LIQUIDATION and of is MarketType.SPOT:
        raise _wrong(word, f"liquidation goes with market {MarketType.PERPETUAL} only")
    if not set(symbol) & set("-*?"):
        raise _wrong(word, f"symbol {symbol[:40]!r} is not BASE-QUOTE, perhaps with '*'")
    if "[" in symbol:
        raise _wrong(word, "'[' is in no symbol; '*' stands for anything")
    return RecordPattern(kind, exchange.lower(), of, symbol.upper(), checked)


def _wrong(word: str, reason: str) -> ValueError:
    return ValueError(f"{ALLOWED}: {word[:MOST_CHARACTERS]!r}: {reason}")

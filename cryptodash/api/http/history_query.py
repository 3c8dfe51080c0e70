"""What a request for history asks: its topic, also one that is traded no more, and its time. Pure."""

from __future__ import annotations

import re
from typing import Final

from twisted.web.http import Request

from cryptodash.api.http.queries import Query
from cryptodash.core.errors import Refused
from cryptodash.core.instruments import MarketType
from cryptodash.core.recorded import BookAt, History
from cryptodash.core.symbols import Symbol, make_symbol, split_symbol
from cryptodash.core.topics import Channel, Topic, check_depth, check_interval
from cryptodash.hub.interfaces import IDirectory

MOST_ROWS: Final = 100_000
DEFAULT_ROWS: Final = 1_000
DEFAULT_MS: Final = 3_600_000
MOST_MS: Final = 366 * 86_400_000
ARROW: Final = "application/vnd.apache.arrow.stream"
_exchange = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}").fullmatch
_after = re.compile(r"([0-9]{1,18})-([0-9]{1,6})").fullmatch


def takes_arrow(request: Request) -> bool:
    """Whether ``Accept`` names Arrow, with a quality above zero: what every browser accepts (``*/*``) does not."""
    for token in ",".join(request.requestHeaders.getRawHeaders("accept", [])).lower().split(","):
        name, *parameters = (each.strip() for each in token.split(";"))
        if name == ARROW:
            quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
            return quality.strip("0.") != ""
    return False


def recorded_topic(
    directory: IDirectory, query: Query, channel: Channel, *, exchange: str, market: str, interval: str | None = None
) -> Topic:
    """The topic, of an order book without a depth. ``exchange`` and ``market``: the names of those parameters. What the
    catalogue does not know (any more) may have been recorded: it is taken as it is spelled. Raises ``Refused``."""
    kind, symbol, named = query.market(market), query.symbol(), query.need(exchange)
    try:
        found = directory.resolve(named, kind.value if kind else None, channel.value, symbol, None, interval)
        return found.sibling(channel, interval=found.interval)
    except Refused as error:
        if error.code not in ("unknown_exchange", "unknown_symbol"):
            raise
        spelled = _as_spelled(symbol)
        if spelled is None or not _exchange(named.lower()):
            raise
    checked = check_interval(interval) if channel is Channel.CANDLE else ""
    return Topic(named.lower(), kind or MarketType.SPOT, spelled, channel, interval=checked)


def _as_spelled(symbol: object) -> Symbol | None:
    if isinstance(symbol, dict):
        found: Symbol | None = make_symbol(symbol.get("base"), symbol.get("quote"))
    else:
        found = split_symbol(symbol) if isinstance(symbol, str) else None
    return None if found is None or ":" in str(found) or "*" in str(found) else found


def history_of(query: Query, topic: Topic, now_ms: int, *, is_arrow: bool, is_packed: bool) -> History:
    """The question for trades or closed bars. Raises ``Refused``."""
    end = query.time("to")
    end = now_ms if end is None else end
    after, skip = _place(query)
    begin = query.time("from")
    if begin is None:
        begin = max(0, end - DEFAULT_MS) if after is None else after // 1000
    if after is not None and not begin * 1000 <= after <= end * 1000 + 999:
        raise Refused("invalid_after", "after does not lie between from and to: give the next of the answer before")
    if begin > end:
        raise Refused("invalid_from", "from is later than to")
    if end - begin > MOST_MS:
        raise Refused("invalid_from", f"from and to are more than {MOST_MS // 86_400_000} days apart")
    limit = query.limit(DEFAULT_ROWS, MOST_ROWS)
    begin_us = begin * 1000 if after is None else after
    return History(str(topic), begin_us, end * 1000 + 999, limit, now_ms * 1000, skip, is_arrow, is_packed)


def _place(query: Query) -> tuple[int | None, int]:
    text = query.get("after")
    if text is None:
        return None, 0
    found = _after(text)
    if found is None:
        raise Refused("invalid_after", "after is not the next of an answer")
    return int(found[1]), int(found[2])


def book_of(query: Query, topic: Topic, now_ms: int, *, is_arrow: bool, is_packed: bool) -> BookAt:
    """The question for an order book. Raises ``Refused``."""
    query.need("at")
    at = query.time("at")
    assert at is not None
    if at > now_ms:
        raise Refused("invalid_at", "at lies in the future")
    depth = query.whole("depth")
    checked = 0 if depth is None else check_depth(depth)
    named = topic.sibling(Channel.ORDER_BOOK, depth=checked)
    return BookAt(str(named), checked, at * 1000 + 999, is_arrow, is_packed)

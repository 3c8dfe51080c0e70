"""What an assistant is told: exact digits as texts, and how fresh they are in words.

A value that must not be quoted as current does not stand where a current one would: ``last_known`` takes the place of
``now``, so that who reads only the numbers does not take them for the price of this moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from cryptodash.client.decoding import digits
from cryptodash.client.freshness import in_words

TRUSTED = ("live", "quiet")
SIMULATED = "SIMULATED: invented prices of a simulator, of no real market"
SOURCES = {"simulated": SIMULATED, "replay": "REPLAYED from a recording: not of now", "live": "the exchange itself"}
_PRICES = ("bid", "bid_size", "ask", "ask_size", "last", "mark_price", "index_price", "funding_rate", "open_interest")
_FIGURES = ("open_24h", "high_24h", "low_24h", "volume_24h", "quote_volume_24h", "change_24h", "change_pct_24h")
_SIDES = ("bids", "asks")
_TIMES = ("timestamp", "quote_time", "last_time", "stats_time", "next_funding_time")
MOST_BAD_STREAMS = 10
MOST_MARKETS = 50

Answer = dict[str, Any]


def exact(value: object) -> str:
    """A number as the venue wrote it."""
    return digits(value) if isinstance(value, Decimal) else str(value)


def freshness(status: Mapping[str, Any], source: str) -> Answer:
    """In words, and whether the value may be quoted as that of this moment. A replay never may."""
    state, age = str(status.get("state", "unknown")), status.get("age_ms")
    said = in_words(state, status.get("cause"), None if age is None else int(age) / 1000)
    named = status.get("fields")
    if named:
        said += f" ({', '.join(map(str, named))} stale)"
    return {
        "freshness": said,
        "may_be_quoted_as_current": state in TRUSTED and source != "replay",
        "source": SOURCES.get(source, f"{source}: an address set by the operator, not the exchange's own"),
    }


def _answer(status: Mapping[str, Any], payload: Mapping[str, Any], values: Answer) -> Answer:
    found = freshness(status, str(payload.get("source", "unknown")))
    place = "now" if found["may_be_quoted_as_current"] else "last_known"
    return {**found, place: values}


def ticker(payload: Mapping[str, Any]) -> Answer:
    status = payload.get("status", {})
    values = {name: exact(payload[name]) for name in (*_PRICES, *_FIGURES) if name in payload}
    times = {name: payload[name] for name in _TIMES if name in payload}
    found = _answer(status, payload, {**values, **times})
    if "now" in found:  # though some members may be older than the rest
        old = {name: found["now"].pop(name) for name in status.get("fields", ()) if name in found["now"]}
        if old:
            found["last_known"] = old
    return found


def book(payload: Mapping[str, Any]) -> Answer:
    """Levels as [price, size], best first."""
    sides = {side: [[exact(each["price"]), exact(each["quantity"])] for each in payload[side]] for side in _SIDES}
    values = {**sides, "complete": payload.get("complete"), "timestamp": payload.get("timestamp")}
    return _answer(payload.get("status", {}), payload, values)


def candles(payload: Mapping[str, Any], now: Answer) -> Answer:
    """``now`` is the freshness of the instrument's ticker: bars that have closed are history whatever it says."""
    bars = payload["candles"]
    closed = [_bar(each) for each in bars if each.get("closed")]
    running = [_bar(each) for each in bars if not each.get("closed")]
    found: Answer = {
        "freshness": f"closed bars are final. The running bar: {now['freshness']}",
        "may_be_quoted_as_current": now["may_be_quoted_as_current"],
        "source": SOURCES.get(str(payload.get("source")), str(payload.get("source"))),
        "columns": ["open_time", "open", "high", "low", "close", "volume"],
        "closed": closed,
    }
    if running:
        place = "running_now" if now["may_be_quoted_as_current"] else "running_last_known"
        found[place] = running[-1]
    return found


def _bar(bar: Mapping[str, Any]) -> list[str]:
    return [str(bar["timestamp"]), *(exact(bar[name]) for name in ("open", "high", "low", "close", "volume"))]


def markets(payload: Mapping[str, Any], venues: Mapping[str, Any]) -> Answer:
    """What ``/api/symbols`` and ``/api/exchanges`` say. At most fifty instruments."""
    states = {each["id"]: f"{each['status']}{' (idle)' if each.get('idle') else ''}" for each in venues["exchanges"]}
    rows = [
        [each["exchange"], one["market_type"], one["symbol"], one.get("status", "unknown")]
        for each in payload["exchanges"]
        for one in each["symbols"]
    ]
    found: Answer = {
        "freshness": "a catalogue, no prices: ask ticker for those",
        "exchanges": states,
        "columns": ["exchange", "market", "symbol", "status"],
        "markets": rows[:MOST_MARKETS],
    }
    if len(rows) > MOST_MARKETS:
        found["left_out"] = f"{len(rows) - MOST_MARKETS} more: narrow the search"
    return found


def quality(payload: Mapping[str, Any]) -> Answer:
    """The ledger's totals, and streams that are not good now."""
    bad = [
        {name: each[name] for name in ("exchange", "name", "state", "cause") if name in each}
        for each in payload.get("streams", ())
        if each.get("in_use") and each.get("state") not in TRUSTED
    ]
    return {
        "freshness": f"as of {payload.get('as_of')}, by the server's clock",
        "exchanges": [_totals(each) for each in payload.get("exchanges", ())],
        "streams_not_good_now": bad[:MOST_BAD_STREAMS],
        "streams_not_good_now_count": len(bad),
    }


_COUNTS: Sequence[str] = ("gaps", "resyncs", "checksum_failures", "missed_trades", "late", "decode_errors")


def _totals(each: Mapping[str, Any]) -> Answer:
    total = each.get("since_start", {})
    share = {name: exact(value) for name, value in total.get("share", {}).items()}
    counts = {name: total[name] for name in _COUNTS if name in total}
    return {"exchange": each.get("exchange"), "streams": each.get("streams"), "share_of_time": share, **counts}

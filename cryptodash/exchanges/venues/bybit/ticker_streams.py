"""Bybit's ticker figures in our words: those of a ``tickers`` topic, which REST sends in the same spelling.

The rules of ``streams.py`` hold here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from cryptodash.core.numbers import Number, scale
from cryptodash.exchanges.adapter.decode import MAX_TIME_MS, Name, Time, amount, decoder, misdirected, price, signed
from cryptodash.exchanges.adapter.messages import BadFrame, Mark, Message, Stats


# linear, then a delta, then spot:
# {"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"ZeroMinusTick",
#  "price24hPcnt":"-0.00506","lastPrice":"63958.60","prevPrice24h":"64283.90","highPrice24h":"64477.00",
#  "lowPrice24h":"63183.10","prevPrice1h":"64246.90","markPrice":"63958.60","indexPrice":"63986.67",
#  "openInterest":"57798.137",...,"turnover24h":"3947254153.7179","volume24h":"61874.6390","fundingIntervalHour":"8",
#  ...,"nextFundingTime":"1786550400000","fundingRate":"0.0000544","bid1Price":"63958.60",...,"preOpenPrice":"",...},
#  "cs":760580211302,"ts":1786540397684}
# {"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","indexPrice":"63986.66"},"cs":760580218857,
#  "ts":1786540397983}
# {"topic":"tickers.BTCUSDT","ts":1786538729776,"type":"snapshot","cs":112571857121,"data":{"symbol":"BTCUSDT",
#  "lastPrice":"64057.7","highPrice24h":"64500","lowPrice24h":"63232.1","prevPrice24h":"64326.9",
#  "volume24h":"7217.990977","turnover24h":"460629823.77866687","price24hPcnt":"-0.0042",
#  "usdIndexPrice":"63989.741059"}}
class TickerFields(Struct, gc=False):
    """A ticker's figures, of a stream or of REST. Missing in a delta: unchanged. Blank: not applicable."""

    native: Name = field(name="symbol")
    last: str = field(name="lastPrice", default="")
    open: str = field(name="prevPrice24h", default="")
    high: str = field(name="highPrice24h", default="")
    low: str = field(name="lowPrice24h", default="")
    volume: str = field(name="volume24h", default="")
    turnover: str = field(name="turnover24h", default="")
    change_fraction: str = field(name="price24hPcnt", default="")
    mark: str = field(name="markPrice", default="")
    index: str = field(name="indexPrice", default="")
    funding_rate: str = field(name="fundingRate", default="")
    next_funding: Annotated[str, Meta(max_length=15)] = field(name="nextFundingTime", default="")
    interest: str = field(name="openInterest", default="")
    funding_hours: Annotated[str, Meta(max_length=4)] = field(name="fundingIntervalHour", default="")

    def stats(self, stream: str, time: int, full: bool) -> Stats:
        return Stats(
            stream,
            time,
            full,
            price(self.last),
            price(self.open),
            price(self.high),
            price(self.low),
            amount(self.volume),
            amount(self.turnover),
            None,
            _percent(self.change_fraction),
        )

    def has_stats(self) -> bool:
        return bool(
            self.last or self.open or self.high or self.low or self.volume or self.turnover or self.change_fraction
        )

    def has_mark(self) -> bool:
        funding = self.funding_rate or self.next_funding or self.funding_hours
        return bool(self.mark or self.index or funding or self.interest)

    def mark_of(self, stream: str, time: int, full: bool) -> Mark:
        mark, index, funding_rate = price(self.mark), price(self.index), signed(self.funding_rate)
        next_funding, hours = _funding_time(self.next_funding), _funding_hours(self.funding_hours)
        return Mark(stream, time, full, mark, index, funding_rate, next_funding, amount(self.interest), hours)


def _percent(fraction: str) -> Number | None:
    """``price24hPcnt`` is a fraction: -0.0042 is -0.42 %."""
    number = signed(fraction)
    return None if number is None else scale(number, 2)


def _funding_time(text: str) -> int | None:
    """Milliseconds as text; blank or "0" where there is no funding."""
    if not text or text == "0":
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_TIME_MS):
        raise BadFrame("schema", f"nextFundingTime {text!r}")
    return int(text)


def _funding_hours(text: str) -> int | None:
    """Whole hours as text; blank where there is no funding."""
    if not text or text == "0":
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadFrame("schema", f"fundingIntervalHour {text!r}")
    return int(text)


class _Ticker(Struct, gc=False):
    kind: Literal["snapshot", "delta"] = field(name="type")
    time: Time = field(name="ts")
    data: TickerFields


_ticker = decoder(_Ticker)


def read_ticker(topic: str, frame: bytes) -> Sequence[Message]:
    """Linear: a snapshot, then deltas of the fields that changed. Spot: snapshots only. The quote comes from
    ``orderbook.1``, which is faster.

    A delta of other fields confirms these and changes nothing: it is an empty partial ``Mark``.
    """
    ticker = _ticker(frame)
    data, time, full = ticker.data, ticker.time, ticker.kind == "snapshot"
    if not topic.endswith(f".{data.native}") and data.native:
        raise misdirected(topic, data.native)
    messages: list[Message] = []
    if data.has_mark() or not data.has_stats():
        # first: with the last price comes the first ticker, and it shall be whole
        messages.append(data.mark_of(topic, time, full))
    if data.has_stats():
        messages.append(data.stats(topic, time, full))
    return messages

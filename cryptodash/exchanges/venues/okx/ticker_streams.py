"""OKX's ticker in our words: best bid and ask, 24 h figures, and what swaps have besides. The rules of ``streams.py``
hold here as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct, field

from cryptodash.core.errors import NumberRejected
from cryptodash.core.events import Level as BookLevel
from cryptodash.core.numbers import Number, admit, is_zero, ratio, subtract
from cryptodash.exchanges.adapter.decode import Best, Name, amount, decoder, misdirected, price, side, signed
from cryptodash.exchanges.adapter.messages import BadFrame, Mark, Message, Quote, Stats
from cryptodash.exchanges.venues.okx.streams import Level, Whole
from cryptodash.exchanges.venues.okx.wire import Read, Subject, time_of

_T = TypeVar("_T")

HOUR_MS = 3_600_000
PERCENT_DECIMALS = 3
"""Of the change in percent, which is rounded."""


# {"arg":{"channel":"bbo-tbt","instId":"BCH-USDT-SWAP"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111.05",
#  "57745","0","2"]],"ts":"1670324386802","seqId":363996337}]}
class _Bbo(Struct, gc=False):
    data: list[Whole]


_bbo = decoder(_Bbo)


def read_best(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """One level a side, the whole of it each time, every 10 ms at most; sent again after about 60 s without a change.
    ``ts`` is the matching engine's. An empty side is an empty list."""
    (data,) = _one(_bbo(frame).data)
    _check(stream, data.native, subject)
    best: Best = (*_side(data.bids, subject), *_side(data.asks, subject))
    return (Quote(stream, *best, data.sequence, time_of(data.time)),)


def _side(raw: Sequence[Level], subject: Subject) -> BookLevel | tuple[None, None]:
    if not raw:
        return None, None
    number, size = price(raw[0].price), subject.size(raw[0].size)
    return (None, None) if number is None or is_zero(size) else (number, size)


# {"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"64028.6",
#  "lastSz":"0.0011553","askPx":"64028.7","askSz":"2.31126955","bidPx":"64028.6","bidSz":"0.00503393",
#  "open24h":"64324","high24h":"64496.9","low24h":"63237.6","sodUtc0":"63589.4","sodUtc8":"63606.7",
#  "volCcy24h":"374703695.177360964","vol24h":"5874.19398956","ts":"1786538789464"}]}
class TickerFields(Struct, gc=False):
    """A ticker, of a stream or of REST. Blank: not traded yet. Volumes: ``vol24h`` is base on spot and contracts on
    swap, ``volCcy24h`` quote on spot and base on swap."""

    native: Name = field(name="instId")
    time: str = field(name="ts")
    last: str = ""
    open: str = field(name="open24h", default="")
    high: str = field(name="high24h", default="")
    low: str = field(name="low24h", default="")
    volume: str = field(name="vol24h", default="")
    volume_currency: str = field(name="volCcy24h", default="")
    bid: str = field(name="bidPx", default="")
    bid_size: str = field(name="bidSz", default="")
    ask: str = field(name="askPx", default="")
    ask_size: str = field(name="askSz", default="")

    def stats(self, stream: str, *, is_swap: bool) -> Stats:
        last, opened = price(self.last), price(self.open)
        return Stats(
            stream,
            time_of(self.time),
            True,
            last,
            opened,
            price(self.high),
            price(self.low),
            amount(self.volume_currency if is_swap else self.volume),
            None if is_swap else amount(self.volume_currency),
            None,
            _change_pct(last, opened),
        )

    def quote(self, stream: str, *, is_swap: bool) -> Quote:
        """For a sweep. Sizes of swaps are left out: they are contracts, of a size that nobody knows here."""
        bid, bid_size = side(self.bid, self.bid_size)
        ask, ask_size = side(self.ask, self.ask_size)
        sizes = (None, None) if is_swap else (bid_size, ask_size)
        return Quote(stream, bid, sizes[0], ask, sizes[1], None, time_of(self.time))


def _change_pct(last: Number | None, opened: Number | None) -> Number | None:
    """The venue does not say it: last less open, over open."""
    if last is None or opened is None:
        return None
    try:
        change = ratio(Decimal(subtract(last, opened)), Decimal(opened), 100, PERCENT_DECIMALS)
        return None if change is None else admit(change)
    except (NumberRejected, ArithmeticError):
        return None  # prices that no market has


class _Tickers(Struct, gc=False):
    data: list[TickerFields]


_tickers = decoder(_Tickers)


def read_tickers(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """Sent on change, every 100 ms at most. Its bid and ask are older than those of ``bbo-tbt`` and not used."""
    (data,) = _one(_tickers(frame).data)
    _check(stream, data.native, subject)
    return (data.stats(stream, is_swap=subject.is_swap),)


# {"arg":{"channel":"mark-price","instId":"LTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"LTC-USDT-SWAP",
#  "markPx":"0.1","ts":"1597026383085"}]}
# {"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"0.1","high24h":"0.5",
#  "low24h":"0.1","open24h":"0.1","sodUtc0":"0.1","sodUtc8":"0.1","ts":"1597026383085"}]}
# {"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"formulaType":"noRate",
#  "fundingRate":"0.0001875391284828","fundingTime":"1700726400000","instId":"BTC-USDT-SWAP","instType":"SWAP",
#  "method":"current_period","nextFundingTime":"1700755200000","settState":"settled","ts":"1700724675402",...}]}
# {"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP",
#  "oi":"2216113.01000000309","oiCcy":"22161.1301000000309","oiUsd":"1939251795.54769270396321","ts":"1743041250440"}]}
class _Figures(Struct, gc=False):
    native: Name = field(name="instId")
    time: str = field(name="ts")
    mark: str = field(name="markPx", default="")
    index: str = field(name="idxPx", default="")
    funding_rate: str = field(name="fundingRate", default="")
    funding_time: str = field(name="fundingTime", default="")
    funding_time_after: str = field(name="nextFundingTime", default="")
    interest: str = field(name="oiCcy", default="")


class _Marks(Struct, gc=False):
    data: list[_Figures]


_marks = decoder(_Marks)


def read_mark(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """Mark price, index price, funding and open interest come by a channel each, so none is ``full``. ``fundingTime``
    is when ``fundingRate`` will be settled, ``nextFundingTime`` the time after that: what lies between is the interval;
    ``oiCcy`` is ``oi`` in base."""
    (data,) = _one(_marks(frame).data)
    _check(stream, data.native, subject)
    funding_time = time_of(data.funding_time) if data.funding_time else None
    mark, index, rate = price(data.mark), price(data.index), signed(data.funding_rate)
    hours = _hours(funding_time, data.funding_time_after)
    return (Mark(stream, time_of(data.time), False, mark, index, rate, funding_time, amount(data.interest), hours),)


def _hours(settled: int | None, after: str) -> int | None:
    """Whole hours from one settlement to the next; None where the venue does not say both, or says no such time."""
    if settled is None or not after:
        return None
    hours, rest = divmod(time_of(after) - settled, HOUR_MS)
    return hours if hours > 0 and not rest else None


def _one(data: Sequence[_T]) -> Sequence[_T]:
    """The only element."""
    if len(data) != 1:
        raise BadFrame("schema", f"{len(data)} elements in a frame that holds one")
    return data


def _check(stream: str, native: str, subject: Subject) -> None:
    if native and native != subject.native:
        raise misdirected(stream, native)


CHANNELS: Mapping[str, Read] = {
    "bbo-tbt": read_best,
    "tickers": read_tickers,
    "mark-price": read_mark,
    "index-tickers": read_mark,
    "funding-rate": read_mark,
    "open-interest": read_mark,
}
"""Readers by channel."""

"""Writes down, while a run goes on, what is true in the simulated market and which frames reach the server."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar as SimulatedBar
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.intervals import MINUTE
from cryptodash.simulator.truth import Truth
from tests.chaos.history import Arrivals, Bar, Place, Tape, WireTrade
from tests.chaos.network import BadNetwork, End, Link
from tests.chaos.venues import HEAD, WITHOUT_EMPTY_BARS, bar_text_of, said_of, stream_of, text_of, told_as

LEVELS = 20
"""The deepest view that clients of a run ask for."""
PROVEN = LEVELS * 3 // 2
"""Levels a side that the server may let a book made from a REST snapshot come down to before it fetches another."""
FETCHED_IN = 1.0
"""Seconds in which that comes. A price that goes past them meanwhile, at once or by steps, leaves nothing proven."""


class Recorder:
    """The tape of one instrument, written as the market goes on."""

    def __init__(self, place: Place, truth: Truth, network: BadNetwork) -> None:
        exchange, market, symbol = place
        self.tape = Tape(place, said=said_of(exchange))
        self._truth, self._network = truth, network
        self._instrument = instrument = truth.instrument(exchange, MarketType(market), symbol)
        self._spec = spec = instrument.spec
        self._text, self._bar_text = text_of(exchange, market), bar_text_of(exchange)
        text = self._text  # the same few numbers come again and again
        self._price = lru_cache(maxsize=4096)(lambda ticks: text(spec.price(ticks)))
        self._size = lru_cache(maxsize=4096)(lambda steps: text(spec.size(steps)))
        self._skips_empty = exchange in WITHOUT_EMPTY_BARS
        self._minute = 0
        self._newest_top = -1
        self._last_trade = instrument.trade_id
        self._seen = (-1, -1, -1)
        self._orders: dict[str, int] = {}
        self._proven: deque[tuple[float, int, int]] = deque()
        """When, and as far as (price below and above), the book was proven within ``FETCHED_IN``."""
        self._took_quote(instrument.top())
        self.tape.lasts.append((network.seconds(), self._text(spec.price(instrument.last_price))))
        self.look()

    def look(self) -> None:
        """Note what has happened since the last look."""
        it = self._instrument
        seen = (it.time, it.update_id, it.clock_step)
        if seen == self._seen:
            return
        self._seen = seen
        tape, now = self.tape, self._network.seconds()
        for top in reversed(
            [top for _, top in takewhile(lambda each: each[1].id > self._newest_top, reversed(it.quotes or ()))]
        ):
            self._took_quote(top)
        for trade in reversed(list(takewhile(lambda each: each.id > self._last_trade, reversed(it.trades)))):
            self._took_trade(trade)
        self._last_trade = it.trade_id
        price, size = self._price, self._size
        bids, asks = it.book.levels(PROVEN)
        proven = self._proven
        while proven and proven[0][0] < now - FETCHED_IN:
            proven.popleft()
        if any(high < asks[0][0] or bids[0][0] < low for _, low, high in proven):
            tape.leaps.append(now)
        proven.append((now, bids[-1][0], asks[-1][0]))
        tape.steps.append(now)
        tape.times.append(it.time + it.clock_step)
        tape.books.append(
            (
                tuple([(price(p), size(s)) for p, s in bids[:LEVELS]]),
                tuple([(price(p), size(s)) for p, s in asks[:LEVELS]]),
            )
        )
        minute = it.candles.minute
        before = self._minute or minute.start
        self._minute = minute.start
        ended = it.candles.bar(MINUTE, before) if before < minute.start else None
        if ended is not None and (ended.count or not self._skips_empty):
            self._took_bar(ended)  # one step may hold the last trade of a minute and its end
        if minute.count or not self._skips_empty:
            self._took_bar(minute)
        elif not tape.bars and (ended := it.candles.bar(MINUTE, minute.start - MINUTE)) is not None:
            self._took_bar(ended)

    def _took_bar(self, bar: SimulatedBar) -> None:
        price, text = self._price, self._bar_text
        values = tuple(text(price(each)) for each in (bar.open, bar.high, bar.low, bar.close))
        self.tape.bars.append((self._network.seconds(), Bar(bar.start, (*values, text(self._size(bar.volume))))))

    def _took_quote(self, top: Any) -> None:
        price, size = self._price, self._size
        self._newest_top = top.id
        pair = (price(top.bid), price(top.ask), size(top.bid_size), size(top.ask_size))
        self.tape.quotes.append((self._network.seconds(), pair))

    def _took_trade(self, trade: Any) -> None:
        spec, now = self._spec, self._network.seconds()
        order, wire = told_as(spec, trade)
        price = self._text(spec.price(trade.price))
        size = trade.size
        side = "buy" if trade.buy else "sell"
        if order in self._orders:  # another fill of the same order, told in one
            size += self._orders[order]
            self.tape.trades.pop()
        self._orders = {order: size}
        self.tape.trades.append(WireTrade(now, wire, price, self._text(spec.size(size)), side, trade.time))
        self.tape.lasts.append((now, price))

    def finish(self) -> None:
        """The bars that have closed."""
        exchange, market, symbol = self.tape.place
        text = self._bar_text
        for bar in self._truth.candles(exchange, MarketType(market), symbol, "1m", 50):
            if self._skips_empty and not float(bar.volume):
                self.tape.empty[bar.start] = None
            elif bar.closed:
                values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
                self.tape.closed[bar.start] = tuple(map(text, values))


class Record:
    """The tapes of all instruments of a run."""

    def __init__(self, network: BadNetwork) -> None:
        self._network = network
        self.recorders: dict[Place, Recorder] = {}

    def add(self, place: Place, truth: Truth) -> None:
        self.recorders[place] = Recorder(place, truth, self._network)

    def follow(self, hosts: Iterable[VenueHost]) -> None:
        """Look after every step of the market, before anybody can hear of it: a subscription and a request bring it up
        to date as well."""
        for host in hosts:
            for name in ("step", "text", "rest"):
                setattr(host, name, partial(self._then_look, getattr(host, name)))

    def _then_look(self, step: Any, *arguments: Any) -> Any:
        result = step(*arguments)
        for recorder in self.recorders.values():
            recorder.look()
        return result


class Tap:
    """Reads what comes on one connection from a venue, as far as to know of which stream each frame is."""

    def __init__(
        self, link: Link, exchange: str, markets: frozenset[str], arrivals: Arrivals, network: BadNetwork
    ) -> None:
        self._link, self._exchange, self._markets = link, exchange, markets
        self._arrivals, self._network = arrivals, network
        self._data, self._head = bytearray(), bytearray()
        self._market: str | None = None
        self._open = False
        link.tap = self._took

    def _took(self, end: End, data: bytes) -> None:
        if end is self._link.client:
            if self._market is None:
                self._head += data
                if b"\r\n" in self._head:
                    self._market = _market_of(bytes(self._head[:200]), self._markets)
            return
        self._data += data
        if not self._open:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._arrivals.answers.setdefault(self._exchange, []).append(self._network.seconds())
                self._data = bytearray()
                return
            self._open, self._data = True, rest
        self._frames()

    def _frames(self) -> None:
        data, start, now = self._data, 0, self._network.seconds()
        arrivals, exchange = self._arrivals.frames, self._exchange
        while len(data) - start >= 2:
            size, begin = data[start + 1] & 0x7F, start + 2
            if size == 126:
                size, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
            elif size == 127:
                size, begin = int.from_bytes(data[begin : begin + 8], "big"), begin + 8
            if len(data) < begin + size:
                break
            found = stream_of(exchange, self._market, bytes(data[begin : begin + min(HEAD, size)]))
            if found is not None:
                market, stream = found
                arrivals.setdefault((exchange, market), {}).setdefault(stream, []).append(now)
            start = begin + size
        del data[:start]


def _market_of(head: bytes, markets: frozenset[str]) -> str:
    """The market that a connection is about: the host's only one, or that of its first line."""
    if len(markets) == 1:
        return next(iter(markets))
    return "perpetual" if b"/linear" in head else "spot"

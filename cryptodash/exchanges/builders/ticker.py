"""What frames say, merged into events: one assembly per topic, outside any connection,
so that it survives a change of connections.

Nothing here knows a socket or a clock. Older news never replaces newer, duplicates of two overlapping connections fall
away, and everything that is remembered is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define
from msgspec.structs import replace

from cryptodash.core import codec
from cryptodash.core.errors import NumberRejected
from cryptodash.core.events import Sweep, Ticker, Trade
from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import Number, reaches, subtract
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Fill, Mark, Quote, Stats, SweepRow, SweepRows
from cryptodash.exchanges.builders.candles import CandleBuilder, CandleOutcome

__all__ = ["CandleBuilder", "CandleOutcome", "SweepBuilder", "TickerBuilder", "TradeBuilder"]

KNOWN_IDS = 10_000
"""Trade ids remembered where the venue does not count its trades."""
KNOWN_HOLES = 1_000
"""Numbers of trades remembered that were passed over."""
RESTART_MS = 60_000
"""A trade this much newer than the newest with a lower number: the venue counts anew."""
SWEEP_INTERVAL = 1.0
"""Least seconds between two tickers of one instrument in a sweep."""
QUOTE_AGE = 5.0
"""Seconds after which a sweep no longer shows a bid and ask."""
_PURGE_EVERY = 600.0

_STATS = (
    ("open", "open_24h"),
    ("high", "high_24h"),
    ("low", "low_24h"),
    ("volume", "volume_24h"),
    ("quote_volume", "quote_volume_24h"),
    ("change_pct", "change_pct_24h"),
    ("last", "last"),
)
_MARK = tuple(
    (each, each) for each in ("mark_price", "index_price", "funding_rate", "next_funding_time", "open_interest")
)


class TickerBuilder:
    """The ticker of one instrument from its quote, last, 24 h and mark streams.

    Every method returns the new ticker, or None where nothing is to be told: no ``last`` is known yet, or the news is
    old, a repeat or crossed. ``received`` is when the frame came, in our wall clock (ms). ``trades_open``: set while a
    trade stream is open; ``last`` then comes from trades, except for a first one.
    """

    def __init__(self, topic: Topic) -> None:
        self.trades_open = False
        self.crossed = 0
        """Quotes dropped because bid >= ask."""
        self.is_crossed = False
        """Whether the newest quote was such a one, so that the quote known is not the venue's any more."""
        # Collects what is known before there is a last; its ``last`` is then empty and it is never shown.
        self._known = Ticker(topic, 0, 0, Number(""))
        self._quote_id: int | None = None
        self._stats_last: Number | None = None
        self._times: dict[str, int] = {}
        """When the venue said each of the 24 h and mark figures."""

    @property
    def ticker(self) -> Ticker | None:
        """The current ticker; None while no ``last`` is known."""
        return self._known if self._known.last else None

    def reset_quote_order(self) -> None:
        """The next quote counts whatever its update id: ids may begin anew after a reconnect."""
        self._quote_id = None
        self.is_crossed = False

    def quote(self, m: Quote, venue_ms: int, received: int) -> Ticker | None:
        """Take the best bid and ask. ``venue_ms``, now in the venue's clock as far as it is known, is its time where
        the venue gives none."""
        known = self._known
        time = venue_ms if m.time is None else m.time
        if m.update_id is None or self._quote_id is None:
            if m.update_id is None and known.quote_time is not None and time < known.quote_time:
                return None
        elif m.update_id <= self._quote_id:
            return None
        if m.bid is not None and m.ask is not None and reaches(m.bid, m.ask):
            self.crossed += 1
            self.is_crossed = True
            return None
        self.is_crossed = False
        self._quote_id = m.update_id
        if known.quote_time is not None and known.quote_time > time:
            time = known.quote_time
        bid_size, ask_size = None if m.bid is None else m.bid_size, None if m.ask is None else m.ask_size
        if time == known.quote_time and (m.bid, bid_size, m.ask, ask_size) == (
            known.bid,
            known.bid_size,
            known.ask,
            known.ask_size,
        ):
            return None
        return self._keep(
            replace(
                known,
                timestamp=time if time > known.timestamp else known.timestamp,
                received=received,
                bid=m.bid,
                bid_size=bid_size,
                ask=m.ask,
                ask_size=ask_size,
                quote_time=time,
            )
        )

    def holds(self, m: Quote) -> bool:
        """Whether this quote is the one known: just taken, or confirmed by a repeat."""
        return (self._known.bid, self._known.ask) == (m.bid, m.ask)

    def trade(self, price: Number, time: int, received: int) -> Ticker | None:
        """Take a trade's price as ``last``."""
        known = self._known
        if known.last_time is not None and time < known.last_time:
            return None
        if time == known.last_time and price == known.last:
            return None
        timestamp = time if time > known.timestamp else known.timestamp
        return self._keep(replace(known, timestamp=timestamp, received=received, last=price, last_time=time))

    def stats(self, m: Stats, received: int) -> Ticker | None:
        """Take 24 h figures: all of them (``full``), or those that are said."""
        known = self._known
        changes = self._newest(m, _STATS, m.time, m.full)
        if not changes and known.stats_time is not None and m.time < known.stats_time:
            return None
        if "last" in changes:
            self._stats_last = m.last
            del changes["last"]
        if m.last is not None and self._takes_last(m.time):
            changes.update(last=m.last, last_time=m.time)
        changes.update(timestamp=max(known.timestamp, m.time), stats_time=max(known.stats_time or 0, m.time))
        merged = replace(known, **changes)
        return self._tell(_written(replace(merged, change_24h=self._change(m, merged))), received)

    def mark(self, m: Mark, received: int) -> Ticker | None:
        """Take a perpetual's figures. Open interest may come by another way than the mark price, and later."""
        changes = self._newest(m, _MARK, m.time, m.full)
        if not changes:
            return None
        timestamp = max(self._known.timestamp, m.time)
        return self._tell(_written(replace(self._known, timestamp=timestamp, **changes)), received)

    def _newest(self, m: Stats | Mark, members: Sequence[tuple[str, str]], time: int, full: bool) -> dict[str, Any]:
        """What a message says, less what is known from a newer one.
        A delta that comes late still brings what the newer ones left out."""
        times = self._times
        found: dict[str, Any] = {}
        for said, field in members:
            value = getattr(m, said)
            if (value is not None or full) and time >= times.get(field, 0):
                times[field] = time
                found[field] = value
        return found

    def _takes_last(self, time: int) -> bool:
        known = self._known
        if not known.last:
            return True
        return not self.trades_open and (known.last_time is None or time >= known.last_time)

    def _change(self, m: Stats, merged: Ticker) -> Number | None:
        """The venue's change, else its own last minus its own open: a trade that is newer than the
        figures does not belong in them."""
        if m.change is not None:
            return m.change
        if not m.full and m.last is None and m.open is None:
            return merged.change_24h
        if self._stats_last is None or merged.open_24h is None:
            return None
        try:
            return subtract(self._stats_last, merged.open_24h)
        except NumberRejected:
            return None

    def _tell(self, ticker: Ticker, received: int) -> Ticker | None:
        """A ticker that still has the receive time of the known one: a repeat shows by being equal to it."""
        return None if ticker == self._known else self._keep(replace(ticker, received=received))

    def _keep(self, ticker: Ticker) -> Ticker | None:
        self._known = ticker
        return ticker if ticker.last else None


def _written(ticker: Ticker) -> Ticker:
    """With its figures as text, which the quotes and trades to come hand on:
    a message then takes 1.0 us instead of 3.1."""
    return replace(ticker, figures=codec.figures(ticker))


class TradeBuilder:
    """The trades of one instrument, each once. They are told as they come:
    one that the venue sends late is told late."""

    def __init__(self, topic: Topic) -> None:
        self.missed = 0
        """Trades that the venue's count says exist and that we have never seen."""
        self.late = 0
        """Trades among those that came after all, out of their turn."""
        self._topic = topic
        self._number: int | None = None
        self._time = 0
        self._holes: dict[int, None] = {}
        """The newest numbers passed over: their trades may still come."""
        self._order: deque[str] = deque()
        self._ids: set[str] = set()

    @property
    def number(self) -> int | None:
        """The venue's number of the newest trade, where it counts."""
        return self._number

    def fills(self, fills: Sequence[Fill], received: int) -> list[Trade]:
        """The trades among these that are new. ``received`` is when their frame came, in our wall clock (ms)."""
        topic = self._topic
        return [
            Trade(topic, each.time, received, each.id, each.price, each.quantity, each.side)
            for each in fills
            if self._is_new(each)
        ]

    def _is_new(self, fill: Fill) -> bool:
        if fill.number is None:
            return self._is_new_id(fill.id)
        last = self._number
        if last is not None:
            if fill.number <= last and fill.time < self._time + RESTART_MS:
                return self._fills_a_hole(fill.number)
            if fill.number > last + 1:
                self._pass_over(last + 1, fill.number)
        self._number, self._time = fill.number, fill.time
        return True

    def _pass_over(self, first: int, end: int) -> None:
        self.missed += end - first
        for number in range(max(first, end - KNOWN_HOLES), end):
            self._holes[number] = None
        while len(self._holes) > KNOWN_HOLES:
            del self._holes[next(iter(self._holes))]

    def _fills_a_hole(self, number: int) -> bool:
        if number not in self._holes:
            return False
        del self._holes[number]
        self.missed -= 1
        self.late += 1
        return True

    def _is_new_id(self, trade_id: str) -> bool:
        if trade_id in self._ids:
            return False
        if len(self._order) >= KNOWN_IDS:
            self._ids.discard(self._order.popleft())
        self._order.append(trade_id)
        self._ids.add(trade_id)
        return True


@define
class _Row:
    """One instrument of a sweep. Times are monotonic seconds."""

    assembly: TickerBuilder
    quoted_at: float = float("-inf")
    sent_at: float = float("-inf")
    sent: Ticker | None = None


class SweepBuilder:
    """The tickers of a whole market: per instrument at most one a second, and only when something
    but its times has changed.

    ``lookup`` gives the instrument of a native name; names it does not know are passed over, and instruments it no
    longer knows are forgotten.
    """

    def __init__(self, topic: Topic, lookup: Callable[[str], Instrument | None]) -> None:
        self._topic = topic
        self._lookup = lookup
        self._rows: dict[str, _Row] = {}
        self._changed: set[str] = set()
        self._purge_at = 0.0

    def rows(self, m: SweepRows, now: float, venue_ms: int, received: int) -> Sweep | None:
        """Take one all-market frame or answer; returns what may be told now. ``now`` is monotonic, ``venue_ms`` and
        ``received`` are as in ``TickerBuilder.quote``."""
        for said in m.rows:
            row = self._row(said.native)
            if row is not None and self._merge(row, said, now, venue_ms, received):
                self._changed.add(said.native)
        return self.due(now)

    def due(self, now: float) -> Sweep | None:
        """The changed tickers whose second is over; None if there are none."""
        if now >= self._purge_at:
            self._purge(now)
        tickers = [ticker for native in list(self._changed) if (ticker := self._settle(native, now)) is not None]
        return Sweep(self._topic, tickers) if tickers else None

    def _row(self, native: str) -> _Row | None:
        instrument = self._lookup(native)
        if instrument is None:
            self._forget(native)
            return None
        row = self._rows.get(native)
        if row is None:
            topic = Topic(self._topic.exchange, self._topic.market, instrument.symbol, Channel.TICKER)
            row = self._rows[native] = _Row(TickerBuilder(topic))
        return row

    def _merge(self, row: _Row, said: SweepRow, now: float, venue_ms: int, received: int) -> bool:
        """Whether anything new was said."""
        assembly, news = row.assembly, []
        if said.stats is not None:
            news.append(assembly.stats(said.stats, received))
        if said.mark is not None:
            news.append(assembly.mark(said.mark, received))
        if said.quote is not None:
            news.append(assembly.quote(said.quote, venue_ms, received))
            if assembly.holds(said.quote):
                row.quoted_at = now
        return any(each is not None for each in news)

    def _settle(self, native: str, now: float) -> Ticker | None:
        """The ticker to tell now, if its second is over and it differs from the one told last."""
        row = self._rows[native]
        ticker = row.assembly.ticker
        if ticker is None or now < row.sent_at + SWEEP_INTERVAL:
            return None
        self._changed.discard(native)
        if now > row.quoted_at + QUOTE_AGE:
            ticker = replace(ticker, bid=None, bid_size=None, ask=None, ask_size=None, quote_time=None)
        content = replace(ticker, timestamp=0, received=0, quote_time=None, last_time=None, stats_time=None)
        if content == row.sent:
            return None
        row.sent, row.sent_at = content, now
        return ticker

    def _forget(self, native: str) -> None:
        self._rows.pop(native, None)
        self._changed.discard(native)

    def _purge(self, now: float) -> None:
        self._purge_at = now + _PURGE_EVERY
        for native in [native for native in self._rows if self._lookup(native) is None]:
            self._forget(native)

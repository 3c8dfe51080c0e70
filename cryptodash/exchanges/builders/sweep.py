"""The tickers of a whole market, merged from all-market frames or REST answers."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from msgspec.structs import replace

from cryptodash.core.events import Sweep, Ticker
from cryptodash.core.instruments import Instrument, Symbol
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import SweepRow, SweepRows
from cryptodash.exchanges.builders.doubt_counts import UNCOUNTED, DoubtCounts
from cryptodash.exchanges.builders.ticker import TickerBuilder

SWEEP_INTERVAL = 1.0
"""Least seconds between two tickers of one instrument in a sweep."""
QUOTE_AGE = 5.0
"""Seconds after which a sweep no longer shows a bid and ask."""
_PURGE_EVERY = 600.0


@define
class _Row:
    """One instrument of a sweep. Times are monotonic seconds."""

    symbol: Symbol
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

    def __init__(
        self, topic: Topic, lookup: Callable[[str], Instrument | None], doubts: DoubtCounts = UNCOUNTED
    ) -> None:
        self.dropped = False
        """Whether the last frame confirms nothing, because all its rows are old or held."""
        self._topic = topic
        self._doubts = doubts
        self._lookup = lookup
        self._rows: dict[str, _Row] = {}
        self._changed: set[str] = set()
        self._purge_at = 0.0
        self._aged_at = 0.0

    def rows(self, m: SweepRows, now: float, venue_ms: int, received: int) -> Sweep | None:
        """Take one all-market frame or answer; returns what may be told now. ``now`` is monotonic, ``venue_ms`` and
        ``received`` are as in ``TickerBuilder.quote``."""
        known = dropped = 0
        for said in m.rows:
            row = self._row(said.native)
            if row is None:
                continue
            known += 1
            if self._merge(row, said, now, venue_ms, received):
                self._changed.add(said.native)
            elif row.assembly.dropped:
                dropped += 1
        self.dropped = 0 < known == dropped
        return self.due(now)

    def due(self, now: float) -> Sweep | None:
        """The changed tickers whose second is over; None if there are none."""
        if now >= self._purge_at:
            self._purge(now)
        if now >= self._aged_at + SWEEP_INTERVAL:
            self._age(now)
        tickers = [ticker for native in list(self._changed) if (ticker := self._settle(native, now)) is not None]
        return Sweep(self._topic, tickers) if tickers else None

    def _row(self, native: str) -> _Row | None:
        instrument = self._lookup(native)
        if instrument is None:
            self._forget(native)
            return None
        row = self._rows.get(native)
        if row is None or row.symbol != instrument.symbol:  # the same name at the venue, and another one here
            topic = Topic(self._topic.exchange, self._topic.market, instrument.symbol, Channel.TICKER)
            row = self._rows[native] = _Row(instrument.symbol, TickerBuilder(topic, self._doubts))
        return row

    def _merge(self, row: _Row, said: SweepRow, now: float, venue_ms: int, received: int) -> bool:
        """Whether anything new was said; where not, ``assembly.dropped`` is true if all of it was left out."""
        assembly, news, taken = row.assembly, [], False
        if said.stats is not None:
            news.append(assembly.stats(said.stats, venue_ms, received, now))
            taken = not assembly.dropped
        if said.mark is not None:
            news.append(assembly.mark(said.mark, venue_ms, received, now))
            taken |= not assembly.dropped
        if said.quote is not None:
            news.append(assembly.quote(said.quote, venue_ms, received, now))
            taken |= not assembly.dropped
            if not assembly.dropped and assembly.holds(said.quote):
                row.quoted_at = now
        assembly.dropped = not taken
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

    def _age(self, now: float) -> None:
        """Whoever was told a quote that has grown old meanwhile is told the ticker without it."""
        self._aged_at = now
        for native, row in self._rows.items():
            if row.sent is not None and now > row.quoted_at + QUOTE_AGE and (row.sent.bid or row.sent.ask):
                self._changed.add(native)

    def _forget(self, native: str) -> None:
        self._rows.pop(native, None)
        self._changed.discard(native)

    def _purge(self, now: float) -> None:
        self._purge_at = now + _PURGE_EVERY
        for native in [native for native in self._rows if self._lookup(native) is None]:
            self._forget(native)

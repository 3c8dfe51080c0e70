"""One instrument's ticker, merged from what its streams say.

Like every builder it belongs to a topic and to no connection, so that it survives a change of connections; it knows no
socket and no clock; older news never replaces newer, and everything that is remembered is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from cryptodash.core import codec
from cryptodash.core.errors import NumberRejected
from cryptodash.core.events import Ticker
from cryptodash.core.numbers import Number, reaches, subtract
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Mark, Quote, Stats

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
        """Take the best bid and ask. ``venue_ms``, when it came by the venue's clock as far as that is known, is its
        time where the venue gives none."""
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

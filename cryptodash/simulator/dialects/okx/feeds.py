"""OKX's channels: what each sends, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from cryptodash.simulator.book_image import Sides
from cryptodash.simulator.dialects.okx import messages
from cryptodash.simulator.dialects.okx.bars import BarKind
from cryptodash.simulator.dialects.okx.numbers import sequence
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.liquidations import liquidations
from cryptodash.simulator.market import Market
from cryptodash.simulator.pace import Pace

BOOK_DEPTH = 400
_EVERY = 100
_KEEP_ALIVE = 60_000
_MOST_QUOTES = 10
"""``bbo-tbt`` comes every 10 ms at most, a step is 100 ms."""


class Books:
    """``books``: the 400 best levels, first whole, then what changed in the window, each frame chained to the one
    before; an empty one after a minute without a change."""

    def __init__(self, instrument: SimulatedInstrument, name: str) -> None:
        self._instrument = instrument
        self._name = name
        self._pace = Pace(_EVERY)
        self._repeats = Pace(_KEEP_ALIVE, slack=0)
        self._seen = self._state()
        self._seq: int | None = None
        self._bids, self._asks = self._window()

    def _state(self) -> tuple[int, bool]:
        return self._instrument.update_id, self._instrument.crossed

    def _window(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = self._instrument.shown_levels(BOOK_DEPTH)
        return dict(bids), dict(asks)

    def opening(self, now: int) -> Sequence[str]:
        """The window as last sent, so that the next frame follows from it."""
        if self._seq is None:
            self._seq = sequence(self._seen[0], now)
            self._repeats.sent(now)
        spec = self._instrument.spec
        row = messages.book(spec, now, (self._seq, -1), self._bids.items(), self._asks.items())
        return (messages.data(self._name, row, action="snapshot"),)

    def frames(self, now: int) -> Sequence[str]:
        if self._seq is None or not self._pace.is_due(now):
            return ()
        state = self._state()
        if state == self._seen:
            return self._kept_alive(now)
        self._seen = state
        bids, asks = self._window()
        changes = _changes(self._bids, bids)[::-1], _changes(self._asks, asks)
        self._bids, self._asks = bids, asks
        if not any(changes):
            return self._kept_alive(now)
        self._pace.sent(now)
        self._repeats.sent(now)
        before, self._seq = self._seq, sequence(state[0], now)
        row = messages.book(self._instrument.spec, now, (self._seq, before), *changes)
        return (messages.data(self._name, row, action="update"),)

    def _kept_alive(self, now: int) -> Sequence[str]:
        """Documents, "Sequence ID": no updates for 60 s, then an empty one with ``seqId`` equal to ``prevSeqId``."""
        assert self._seq is not None
        if not self._repeats.take(now):
            return ()
        row = messages.book(self._instrument.spec, now, (self._seq, self._seq), (), ())
        return (messages.data(self._name, row, action="update"),)


def _changes(before: dict[int, int], after: dict[int, int]) -> list[tuple[int, int]]:
    """New sizes, and 0 for what left the window, by price."""
    gone = [(price, 0) for price in before if price not in after]
    return sorted([(price, size) for price, size in after.items() if before.get(price) != size] + gone)


class BestLevels:
    """``books5``: the five best levels, whole, when they have changed."""

    def __init__(self, instrument: SimulatedInstrument, name: str) -> None:
        self._instrument = instrument
        self._name = name
        self._pace = Pace(_EVERY)
        self._sent = instrument.shown_levels(5)

    def opening(self, now: int) -> Sequence[str]:
        """As it is now, of which those who are here already are told at their pace."""
        return (self._frame(now, self._instrument.shown_levels(5)),)

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.is_due(now):
            return ()
        before, self._sent = self._sent, self._instrument.shown_levels(5)
        if self._sent == before:
            return ()
        self._pace.sent(now)
        return (self._frame(now, self._sent),)

    def _frame(self, now: int, sides: Sides) -> str:
        seq = sequence(self._instrument.update_id, now)
        return messages.data(self._name, messages.best_levels(self._instrument.spec, now, seq, *sides))


class Quotes:
    """``bbo-tbt``: the best levels, at first and at every change."""

    def __init__(self, instrument: SimulatedInstrument, name: str) -> None:
        self._instrument = instrument
        self._name = name

    def opening(self, now: int) -> Sequence[str]:
        instrument = self._instrument
        return (messages.data(self._name, messages.quote(instrument.spec, now, instrument.shown_top())),)

    def frames(self, now: int) -> Sequence[str]:
        instrument = self._instrument
        tops = instrument.changes.tops[-_MOST_QUOTES:]
        shown = [top.crossed() for top in tops] if instrument.crossed else tops
        return [messages.data(self._name, messages.quote(instrument.spec, now, top)) for top in shown]


class Trades:
    """``trades``: one frame for each order at one price; ``trades-all``: one for each fill. No history at the start."""

    def __init__(self, instrument: SimulatedInstrument, name: str, *, aggregated: bool) -> None:
        self._instrument = instrument
        self._name = name
        self._aggregated = aggregated

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        spec, fills = self._instrument.spec, self._instrument.changes.trades
        rows = (
            [messages.trade(spec, list(group)) for _, group in groupby(fills, key=lambda fill: fill.order)]
            if self._aggregated
            else [messages.fill_row(spec, fill) for fill in fills]
        )
        return [messages.data(self._name, row) for row in rows]


class LiquidationOrders:
    """``liquidation-orders`` of all swaps: a sample, "at most one order in a second" of an instrument (documents,
    "Liquidation orders channel"); here of those instruments that somebody has another stream of."""

    def __init__(self, market: Market, name: str) -> None:
        self._market = market
        self._name = name
        self._paces: dict[str, Pace] = {}

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        told = []
        for each in self._market.made():
            orders = liquidations(each.changes.trades) if each.watched else ()
            pace = self._paces.setdefault(each.spec.native, Pace(1_000, slack=0))
            if orders and pace.take(now):
                told.append(messages.data(self._name, messages.liquidation(each.spec, orders[-1])))
        return told


class Candles:
    """``candle<bar>``: the running bar at first, then when it has changed, at most once a second; a closed one with its
    last word before the one after it."""

    def __init__(self, instrument: SimulatedInstrument, name: str, kind: BarKind) -> None:
        self._instrument = instrument
        self._name = name
        self._kind = kind
        self._open = kind.opens(instrument.candles.running)
        self._pace = Pace(1_000)
        self._sent = ""

    def opening(self, now: int) -> Sequence[str]:
        row = self._row(self._kind.opens(self._instrument.candles.running), closed=False)
        self._sent = self._sent or row
        return self._rows(row)

    def frames(self, now: int) -> Sequence[str]:
        rows, kind = [], self._kind
        running = self._instrument.candles.running
        self._open = min(self._open, kind.opens(running))  # the venue's clock may have been set back
        while kind.closes(self._open) <= running:
            rows.append(self._row(self._open, closed=True))
            self._open = kind.closes(self._open)
        if not rows and not self._pace.is_due(now):
            return ()
        row = self._row(self._open, closed=False)
        if row == self._sent and not rows:
            return ()
        self._sent = row
        self._pace.sent(now)
        return self._rows(*rows, row)

    def _rows(self, *rows: str) -> Sequence[str]:
        return [messages.data(self._name, row) for row in rows if row]

    def _row(self, start: int, *, closed: bool) -> str:
        bar = self._kind.bar(self._instrument.candles, start)
        return messages.candle(self._instrument.spec, bar, closed=closed) if bar is not None else ""


class Figures:
    """Figures of one instrument: tickers, mark and index price, open interest, funding. At first, then every ``every``
    ms; with ``unchanged`` only if they have changed, or so many ms have passed."""

    def __init__(
        self,
        instrument: SimulatedInstrument,
        name: str,
        build: Callable[[SimulatedInstrument, int], str],
        every: int,
        unchanged: int = 0,
    ) -> None:
        self._instrument = instrument
        self._name = name
        self._build = build
        self._pace = Pace(every)
        self._repeats = Pace(unchanged)
        self._sent = ""

    def opening(self, now: int) -> Sequence[str]:
        if not self._sent:
            self._note(now)
        return (messages.data(self._name, self._build(self._instrument, now)),)

    def _note(self, now: int) -> None:
        self._sent = self._build(self._instrument, 0)
        self._pace.sent(now)
        self._repeats.sent(now)

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.is_due(now):
            return ()
        # Told at a time that does not move: what is left of the text is what can have changed.
        figures = self._build(self._instrument, 0)
        if figures == self._sent and not self._repeats.is_due(now):
            return ()
        self._note(now)
        return (messages.data(self._name, self._build(self._instrument, now)),)


class Listing:
    """``instruments``: since 2026-09-30 those alone whose entry in the catalogue has changed. ``entries`` gives the
    catalogue by native name."""

    def __init__(self, name: str, entries: Callable[[], Mapping[str, str]]) -> None:
        self._name = name
        self._entries = entries
        self._sent = entries()

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        before, self._sent = self._sent, self._entries()
        changed = [entry for native, entry in self._sent.items() if before.get(native) != entry]
        return (messages.data(self._name, *changed),) if changed else ()

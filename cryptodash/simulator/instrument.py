"""One instrument's market: a book that follows the price, orders that come and go, trades that take from the book.

Nothing moves by itself: ``step`` takes it to a time. What somebody watches is stepped ten times a second, what somebody
asks about catches up first, what nobody looks at costs nothing. All of it is integer arithmetic and one seeded source
of chance per instrument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from cryptodash.simulator.assets import STABLE, AssetValues
from cryptodash.simulator.bars import TradeRate, skipped, split
from cryptodash.simulator.book import Book, Side
from cryptodash.simulator.candles import Candles
from cryptodash.simulator.changes import BookChange, StepChanges, Top, Trade
from cryptodash.simulator.fair_price import FairPrice
from cryptodash.simulator.history import BarCache, History
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import HOUR, MINUTE

STEP_MS = 100
"""Milliseconds between two steps of a watched instrument."""

_BOOK_USD = 4_000
_TRADE_USD = 600
_MAX_TRADES_PER_STEP = 20
_STRIDE = 3_000
"""Milliseconds of a step while an instrument nobody watches catches up."""

_REFILL_LEVELS = 8
_MOST_TOUCHED = 500
_SETTLED_AT_ONCE = 8
_MOST_RECORDED = 20_000


class SimulatedInstrument:
    """One instrument's live state: book, trades, candles, and what a perpetual has besides."""

    def __init__(
        self,
        spec: InstrumentSpec,
        assets: AssetValues,
        next_id: Callable[[], int],
        bars: BarCache,
        *,
        record: bool = False,
    ) -> None:
        self.spec = spec
        self._next_id = next_id
        key = f"{assets.seed}:{spec.exchange}:{spec.native}:{spec.market}"
        self._rng = Random(key)
        self.time = assets.start
        """How far it has come (ms), by the simulator's clock."""
        self.clock_step = 0
        """By how many ms the venue's clock is off; trades and candles are in its time."""
        self.fair = FairPrice(spec, assets, self._rng)
        fair = self.fair.at_start
        self._spread = 1 if spec.trades_per_hour > 100 else 3
        self._unit = self.fair.steps_worth(_BOOK_USD)
        self._mean_trade = self.fair.steps_worth(_TRADE_USD)
        self.update_id = next_id()
        self.book = self._new_book(fair)
        self.trade_id = 4_000_000_000 + self._rng.getrandbits(30)
        self.order_id = self.trade_id // 3
        self.tick_direction = "ZeroPlusTick"
        self.last_price = fair
        self.last_size = self._mean_trade
        self.trades: deque[Trade] = deque(maxlen=1000)
        self._rate = TradeRate(spec.trades_per_hour, self._mean_trade)
        minute = assets.start - assets.start % MINUTE
        shape = f"{assets.seed}:{spec.asset}:{'USD' if spec.quote in STABLE else spec.quote}"
        history = History(shape, self._rate, fair, minute, self.trade_id + 1, bars)
        self.candles = Candles(history, assets.start, fair)
        self.changes = StepChanges(self.time)
        self.watched = 0
        """Streams that need it stepped."""
        self.book_changes: deque[BookChange] | None = deque(maxlen=_MOST_RECORDED) if record else None
        self.quotes: deque[tuple[int, Top]] | None = deque(maxlen=_MOST_RECORDED) if record else None
        self.crossed = False
        """Whether the fault ``crossed`` holds: frames show a bid above the ask; the book itself stays sound."""
        self._top = self.book.top()

    def _new_book(self, bid: int) -> Book:
        self._gap = max(1, bid // 250_000)
        return Book(bid, bid + self._spread, self._gap, self._unit, self._rng)

    @property
    def index(self) -> int:
        """The index price in ticks: the assets' value without the venue's premium."""
        return self.fair.index(self.time)

    @property
    def mark(self) -> int:
        """The mark price in ticks: between the index and the middle of the book."""
        bid, _, ask, _ = self._top
        return (2 * self.index + bid + ask) // 4

    @property
    def funding_ppb(self) -> int:
        """The funding rate in billionths."""
        return self.fair.funding_ppb

    @property
    def open_interest(self) -> int:
        """Open contracts in steps of base."""
        return self._unit * 5_000 + self.trade_id % 997

    def catch_up(self, now: int) -> None:
        """Bring an instrument nobody watches to ``now`` (ms, by the venue's clock); a watched one is as of its last
        step already."""
        now -= self.clock_step
        if self.watched or now <= self.time:
            return
        if now - self.time > 4 * MINUTE:
            self._jump(now - MINUTE)
        while now - self.time > _STRIDE:
            self._step(self.time + _STRIDE)
        self._step(now)

    def _jump(self, now: int) -> None:
        """Whole minutes at once: bars without single trades, and a new book at the new price."""
        self.candles.roll(self.time + self.clock_step)
        begin = self.candles.minute.start + MINUTE
        count = (now + self.clock_step - begin) // MINUTE
        fair = self.fair.at(now)
        parent = skipped(begin, count * MINUTE, self.last_price, fair, self._rate, self.trade_id + 1)
        self.candles.jump(split(parent, count, MINUTE, self._rng))
        self.trade_id += parent.count
        self.order_id += parent.count
        self.trades.clear()
        self.last_price = parent.close
        self.book = self._new_book(fair)
        self.update_id = max(self._next_id(), self.update_id + 1)
        self._top = self.book.top()
        if self.book_changes is not None:
            self.book_changes.clear()
        self.time = now

    def step(self, now: int) -> StepChanges:
        """Let the market go on until ``now`` (ms, by the venue's clock) and return what happened."""
        return self._step(now - self.clock_step)

    def _step(self, now: int) -> StepChanges:
        elapsed = max(0, now - self.time)
        self.time = max(self.time, now)
        venue_time = self.time + self.clock_step
        changes = self.changes = StepChanges(venue_time)
        closed = self.candles.closed
        self.candles.roll(venue_time)
        changes.minute_closed = self.candles.closed > closed
        if elapsed:
            self.fair.drift(self._rng)
            self._churn(elapsed)
            fair = self.fair.at(self.time)
            self._follow(fair)
            self._refill(self.book.bids)
            self._refill(self.book.asks)
            self._random_trades(elapsed)
            self._follow(fair)
        return changes

    def _follow(self, bid: int) -> None:
        """Take or withdraw what stands in the way of the wanted price, then quote there."""
        book, ask = self.book, bid + self._spread
        taken = 0
        while book.ask <= bid:
            self._remove_best(book.asks, taken)
            taken += 1
        while book.bid >= ask:
            self._remove_best(book.bids, taken)
            taken += 1
        if book.bid < bid:
            self._set(book.bids, -bid, self._level_size())
        if book.ask > ask:
            self._set(book.asks, ask, self._level_size())

    def _refill(self, side: Side) -> None:
        """Quote behind the best price where a move has left a hole, or the next trade would fall into it."""
        key = side.best
        if side.after(key) - key <= 8 * self._gap:
            return
        for _ in range(_REFILL_LEVELS):
            key += 1 + self._rng.randrange(2 * self._gap)
            if side.sign > 0 or key < 0:
                self._set(side, key, self._level_size())

    def _remove_best(self, side: Side, taken: int) -> None:
        if taken < 2 and self._spread == 1:
            self._take(side, side.size(side.best))
        else:
            self._set(side, side.best, 0)

    def _level_size(self) -> int:
        bits = self._rng.getrandbits
        return 1 + (self._unit * bits(8) * (1 + bits(8)) >> 14)

    def _random_trades(self, elapsed: int) -> None:
        expected = self.spec.trades_per_hour * elapsed
        count = expected // HOUR + (self._rng.getrandbits(24) * HOUR >> 24 < expected % HOUR)
        for _ in range(min(count, _MAX_TRADES_PER_STEP)):
            side = self.book.asks if self._rng.getrandbits(1) else self.book.bids
            bits = self._rng.getrandbits
            wanted = 1 + (self._mean_trade * bits(8) * (1 + bits(8)) >> 14)
            self._take(side, min(wanted, side.size(side.best)))

    def _take(self, side: Side, size: int) -> None:
        """A taker takes ``size`` steps of the best level, in one or two fills."""
        key, buy = side.best, side.sign > 0
        price = side.sign * key
        left = side.size(key) - size
        self.order_id += 1
        self._set(side, key, left)
        parts = (
            (size,) if size < 2 or self._rng.getrandbits(2) else (size - size // 3, size // 3) if size >= 3 else (1, 1)
        )
        for part in parts:
            self._fill(price, part, buy)

    def _fill(self, price: int, size: int, buy: bool) -> None:
        self.trade_id += 1
        if price != self.last_price:
            self.tick_direction = "PlusTick" if price > self.last_price else "MinusTick"
        elif not self.tick_direction.startswith("Zero"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last_price, self.last_size = price, size
        time = self.time + self.clock_step
        trade = Trade(self.trade_id, time, price, size, buy, self.order_id, self.update_id, self.tick_direction)
        self.trades.append(trade)
        self.changes.trades.append(trade)
        self.candles.add(price, size, buy, trade.id)

    def _churn(self, elapsed: int) -> None:
        """Orders come and go behind the best price, most of them near it."""
        if self._spread == 1 and not self._rng.getrandbits(1):
            side = self.book.asks if self._rng.getrandbits(1) else self.book.bids
            self._set(side, side.best, self._level_size())  # the best level's size flickers all the time
        busy = min(4, 1 + elapsed // STEP_MS) if self._spread == 1 else int(not self._rng.getrandbits(5))
        for _ in range(busy):
            bits = self._rng.getrandbits
            side = self.book.asks if bits(1) else self.book.bids
            distance = bits(12) if not bits(4) else bits(5)
            kept = side.kept(1 + distance // 2)
            if bits(1) or kept is None:
                key = side.untouched(1 + distance)
                if key > side.best and (side.sign > 0 or key < 0):
                    self._set(side, key, 0 if side.size(key) and not bits(3) else self._level_size())
            else:
                self._set(side, kept, self._level_size() if side.is_regular(kept) and bits(3) else 0)
        for side in (self.book.bids, self.book.asks):
            if side.touched > _MOST_TOUCHED:
                self._settle(side)

    def _settle(self, side: Side) -> None:
        """What the price has left behind becomes as it was before: a book that is followed for hours does not grow."""
        for key in side.farthest(_SETTLED_AT_ONCE):
            self._set(side, key, side.untouched_size(key))

    def _set(self, side: Side, key: int, size: int) -> None:
        """Change one level: every change has an id of its own."""
        self.update_id = self._next_id()
        if self.book_changes is not None:
            self.book_changes.append(BookChange(self.update_id, side.sign, key, side.size(key)))
        side.set(key, size)
        changes = self.changes
        changes.first = changes.first or self.update_id
        changes.last = self.update_id
        (changes.asks if side.sign > 0 else changes.bids)[side.sign * key] = size
        if key > side.best:
            return
        top = self.book.top()
        if top != self._top:
            self._top = top
            best = Top(self.update_id, *top)
            changes.tops.append(best)
            if self.quotes is not None:
                self.quotes.append((self.time, best))

    def top(self) -> Top:
        """The best levels now, with the id of the last change of the whole book."""
        return Top(self.update_id, *self._top)

    def shown_top(self) -> Top:
        """The best levels as frames and REST show them: a bid above the ask under the fault ``crossed``."""
        top = self.top()
        return top.crossed() if self.crossed else top

    def shown_levels(self, count: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as frames and REST show them, (price, size), best first: the same."""
        bids, asks = self.book.levels(count)
        return ([(self.book.ask + 1, 1), *bids[: count - 1]] if self.crossed else bids), asks

"""One instrument's market: a book that follows the price, orders that come and go, trades that take from the book.

Nothing moves by itself: ``step`` takes it to a time. What somebody watches is stepped ten times a second, what somebody
asks about catches up first, what nobody looks at costs nothing. The price and the orders that trade are planned
(``price_path.py``, ``order_flow.py``), so that they are the same whether somebody watches or not; the book between them
is up to chance. All of it is integer arithmetic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from attrs import evolve

from cryptodash.simulator.assets import AssetValues
from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import Bar, TradeRate
from cryptodash.simulator.book import Book, Side
from cryptodash.simulator.candles import Candles
from cryptodash.simulator.changes import BookChange, StepChanges, Top, Trade
from cryptodash.simulator.fair_price import FairPrice
from cryptodash.simulator.history import History
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import HOUR, MINUTE
from cryptodash.simulator.order_flow import OrderFlow
from cryptodash.simulator.recent_trades import RecentTrades
from cryptodash.simulator.resting_orders import RestingOrders

_MOST_ADDED_TRADES = 20
"""In one step, where an instrument has been made busier than its history."""

_STRIDE = 3_000
"""Milliseconds of a step while an instrument nobody watches catches up."""

_MOST_RECORDED = 20_000
_TRADES_KEPT = 1_000
"""As many as the longest REST answer has."""


class SimulatedInstrument:
    """One instrument's live state: book, trades, candles, and what a perpetual has besides."""

    def __init__(
        self,
        spec: InstrumentSpec,
        assets: AssetValues,
        next_id: Callable[[bool], int],
        bars: BarCache[Bar],
        *,
        lag: int = 0,
        record: bool = False,
    ) -> None:
        """``next_id``: counts its book changes; True for one of the past, when nobody watched. ``lag``: ms by which its
        quotes follow the pair's price."""
        self.spec = spec
        self._next_id = next_id
        key = f"{assets.seed}:{spec.exchange}:{spec.native}:{spec.market}"
        self._rng = Random(key)
        self.time = minute = assets.start - assets.start % MINUTE
        """How far it has come (ms), by the simulator's clock."""
        self.clock_step = 0
        """By how many ms the venue's clock is off; trades and candles are in its time."""
        self.fair = FairPrice(spec, assets, lag)
        pace = spec.trades_per_hour
        self._unit = self.fair.steps_worth(300 + pace // 8)
        self._rate = TradeRate(pace, self.fair.steps_worth(40 + pace // 60))
        shared = f"{assets.seed}:{spec.asset}:{spec.quote}"
        history = History(key, shared, self.fair, self._rate, minute, bars, halted=not spec.trading)
        self._flow = OrderFlow(history, key, minute)
        self._history = history
        self._catching_up = False
        self.update_id = next_id(False)
        self._quote_anew()
        before = history.bar(MINUTE, minute - MINUTE)
        assert before is not None
        self.trade_id = before.first + before.count - 1
        self.order_id = self.trade_id // 3
        self.tick_direction = "ZeroPlusTick"
        self.last_price = before.close
        self.last_size = self._rate.mean_size
        self.trades = RecentTrades(_TRADES_KEPT)
        self.candles = Candles(history, minute, before.close)
        self.changes = StepChanges(self.time)
        self.watched = 0
        """Streams that need it stepped."""
        self.book_changes: deque[BookChange] | None = deque(maxlen=_MOST_RECORDED) if record else None
        self.quotes: deque[tuple[int, Top]] | None = deque(maxlen=_MOST_RECORDED) if record else None
        self.crossed = False
        """Whether the fault ``crossed`` holds: frames show a bid above the ask; the book itself stays sound."""
        self.halted = not spec.trading
        """Whether nothing is traded: bars go on, flat at the last price and without volume."""

    def _quote_anew(self) -> None:
        """A new book at the wanted price."""
        bid = self.fair.bid(self.time)
        gap = max(1, bid // 50_000)  # a hundred levels reach farther than the price jumps
        self.book = Book(bid, bid + self.fair.spread, gap, self._unit, self._rng)
        pace = self._rate.trades_per_hour
        self._orders = RestingOrders(self.book, gap, self._unit, pace, self._rng, self._set)
        self._top = self.book.top()

    @property
    def index(self) -> int:
        """The index price in ticks: the pair's price without the basis."""
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
        self._catching_up = True
        if now - self.time > 4 * MINUTE:
            self._stride(self.time - self.time % MINUTE + MINUTE)
            self._jump(now - now % MINUTE - MINUTE)
        self._stride(now)
        self._catching_up = False

    def _stride(self, now: int) -> None:
        while now - self.time > _STRIDE:
            self._step(self.time + _STRIDE)
        self._step(now)

    def _jump(self, now: int) -> None:
        """To a full minute at once: bars as they were planned, without single trades, and a new book."""
        bars = [self._skipped(start) for start in range(self.time, now, MINUTE)]
        self.candles.jump(bars)
        self.trades.clear()
        self.last_price = bars[-1].close
        self.time = now
        self._flow.restart(now)
        self._quote_anew()
        self.update_id = max(self._next_id(True), self.update_id + 1)
        if self.book_changes is not None:
            self.book_changes.clear()

    def _skipped(self, start: int) -> Bar:
        """A planned minute in the venue's time, its trades counted on from those before it."""
        bar = self._history.bar(MINUTE, start)
        assert bar is not None
        begin = start + self.clock_step
        begin -= begin % MINUTE
        if self.halted:
            last = self.last_price
            return Bar(begin, last, last, last, last, first=self.trade_id + 1)
        first = self.trade_id + 1
        self.trade_id += bar.count
        self.order_id += bar.count
        return evolve(bar, start=begin, first=first)

    def step(self, now: int) -> StepChanges:
        """Let the market go on until ``now`` (ms, by the venue's clock) and return what happened."""
        return self._step(now - self.clock_step)

    def _step(self, now: int) -> StepChanges:
        elapsed = max(0, now - self.time)
        self.time = max(self.time, now)
        venue_time = self.time + self.clock_step
        changes = self.changes = StepChanges(venue_time)
        closed = self.candles.closed
        if elapsed:
            self._orders.churn(elapsed)
            for order in self._flow.until(self.time):
                if not self.halted:
                    self._follow(order.time)
                    self._take(order.buy, order.fills, order.time)
            self._follow(self.time)
            if not self.halted and self.spec.trades_per_hour > self._rate.trades_per_hour:
                self._add_trades(elapsed)
        self.candles.roll(venue_time)
        changes.minute_closed = self.candles.closed > closed
        return changes

    def _follow(self, now: int) -> None:
        bid = self.fair.bid(now)
        self._orders.follow(bid, bid + self.fair.spread)

    def _add_trades(self, elapsed: int) -> None:
        """Trades beyond the planned ones, of an instrument whose ``spec`` was replaced by that of a busier one."""
        expected = (self.spec.trades_per_hour - self._rate.trades_per_hour) * elapsed
        bits = self._rng.getrandbits
        count = expected // HOUR + (bits(24) * HOUR >> 24 < expected % HOUR)
        for _ in range(min(count, _MOST_ADDED_TRADES)):
            buy = bool(bits(1))
            side = self.book.asks if buy else self.book.bids
            wanted = 1 + (self._rate.mean_size * bits(8) * (1 + bits(8)) >> 14)
            self._take(buy, (min(wanted, side.size(side.best)),), self.time)

    def _take(self, buy: bool, fills: tuple[int, ...], time: int) -> None:
        """A taker takes from the best level, which holds enough for it: an order as large as this finds more there."""
        side = self.book.asks if buy else self.book.bids
        key, size = side.best, sum(fills)
        left = side.size(key) - size
        if left < 0:
            self._set(side, key, size)
            left = 0
        self.order_id += 1
        self._set(side, key, left)
        for fill in fills:
            self._fill(side.sign * key, fill, buy, time + self.clock_step)

    def _fill(self, price: int, size: int, buy: bool, time: int) -> None:
        self.trade_id += 1
        if price != self.last_price:
            self.tick_direction = "PlusTick" if price > self.last_price else "MinusTick"
        elif not self.tick_direction.startswith("Zero"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last_price, self.last_size = price, size
        trade = Trade(self.trade_id, time, price, size, buy, self.order_id, self.update_id, self.tick_direction)
        self.trades.append(trade)
        self.changes.trades.append(trade)
        self.candles.roll(time)
        self.candles.add(price, size, buy, trade.id)

    def _set(self, side: Side, key: int, size: int) -> None:
        """Change one level: every change has an id of its own."""
        self.update_id = self._next_id(self._catching_up)
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

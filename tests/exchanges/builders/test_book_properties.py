"""Whatever the network does to the frames: a book that says it is synced is the market at its sequence,
level by level, at every depth it shows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook

RANGE = BookRules(SnapshotSource.REST, Chaining.RANGE)
PREVIOUS = BookRules(SnapshotSource.REST, Chaining.PREVIOUS)
COUNTER = BookRules(SnapshotSource.STREAM, Chaining.COUNTER)

Values = list[tuple[Decimal, Decimal]]
Side = dict[int, int]

TICK = 100
SPAN = 400
LIMIT = 60
WATCHED = 30
DEPTHS = (1, 5, 30, 60, 1000)


class Market:
    """A true book of several hundred levels whose every change has an id;
    it cuts frames and snapshots as a venue does."""

    def __init__(self, chance: random.Random, rule: BookRules, tier: int = 0) -> None:
        self.chance, self.rule, self.tier = chance, rule, tier
        self.middle = 50_000
        self.id = 1_000
        self.bids: Side = {self.middle - n: chance.randint(1, 99) for n in range(1, SPAN) if chance.random() < 0.7}
        self.asks: Side = {self.middle + n: chance.randint(1, 99) for n in range(1, SPAN) if chance.random() < 0.7}
        self.told = self.id
        self.seen = self._window()
        self.first: int | None = None
        self.changed: list[tuple[bool, int]] = []
        self.history: dict[int, tuple[Values, Values]] = {}
        self.remember()

    def _window(self) -> tuple[Side, Side]:
        """What a stream of ``tier`` levels shows."""
        bids, asks = sorted(self.bids, reverse=True)[: self.tier], sorted(self.asks)[: self.tier]
        return {price: self.bids[price] for price in bids}, {price: self.asks[price] for price in asks}

    def remember(self, last: int | None = None) -> None:
        bids, asks = self._window() if self.tier else (self.bids, self.asks)
        true = sorted(bids.items(), reverse=True), sorted(asks.items())
        self.history[self.told if last is None else last] = (self._values(true[0]), self._values(true[1]))

    @staticmethod
    def _values(side: Sequence[tuple[int, int]]) -> Values:
        return [(Decimal(price) / TICK, Decimal(size) / TICK) for price, size in side]

    def trade(self, changes: int) -> None:
        """Let the market move; ids of a ``PREVIOUS`` venue jump, because other symbols share them."""
        for _ in range(changes):
            self.id += self.chance.randint(1, 5) if self.rule is PREVIOUS else 1
            self.first = self.first or self.id
            self.middle += self.chance.choice((-3, -1, 0, 0, 0, 0, 0, 1, 3))
            is_bid = self.chance.random() < 0.5
            distance = min(int(self.chance.expovariate(1 / 25)) + 1, SPAN)
            price = self.middle - distance if is_bid else self.middle + distance
            side = self.bids if is_bid else self.asks
            if self.chance.random() < 0.35:
                side.pop(price, None)
            else:
                side[price] = self.chance.randint(1, 99)
            self.changed.append((is_bid, price))
            for each in [each for each in self.bids if each >= self.middle]:
                del self.bids[each]
                self.changed.append((True, each))
            for each in [each for each in self.asks if each <= self.middle]:
                del self.asks[each]
                self.changed.append((False, each))

    def _level(self, price: int, size: int) -> tuple[Number, Number]:
        """Text as a venue may write it: padded in several ways."""
        places = self.chance.choice((2, 2, 2, 8))
        return Number(f"{Decimal(price) / TICK:.{places}f}"), Number(
            f"{Decimal(size) / TICK:.{places}f}" if size else self.chance.choice(("0", "0.000"))
        )

    def frame(self) -> Depth:
        """The changes since the last frame."""
        self.trade(self.chance.randint(1, 12))
        if self.tier:
            return self._window_frame()
        first, previous = (self.first or self.id), self.told
        bids = [self._level(price, self.bids.get(price, 0)) for is_bid, price in self.changed if is_bid]
        asks = [self._level(price, self.asks.get(price, 0)) for is_bid, price in self.changed if not is_bid]
        self.first, self.changed, self.told = None, [], self.id
        self.remember()
        return Depth("s", False, first, self.told, previous if self.rule is PREVIOUS else None, bids, asks, None)

    def _window_frame(self) -> Depth:
        before, self.seen = self.seen, self._window()
        self.told += 1
        self.remember()
        sides = []
        for old, new in zip(before, self.seen, strict=True):
            gone = [self._level(price, 0) for price in old if price not in new]
            sides.append(gone + [self._level(price, size) for price, size in new.items() if old.get(price) != size])
        return Depth("s", False, self.told, self.told, None, sides[0], sides[1], None)

    def snapshot(self, limit: int) -> Depth:
        """The book as it is now, between two frames."""
        bids = [self._level(price, self.bids[price]) for price in sorted(self.bids, reverse=True)[:limit]]
        asks = [self._level(price, self.asks[price]) for price in sorted(self.asks)[:limit]]
        last = self.told if self.tier or not self.first else self.id
        self.remember(last)
        return Depth("s", True, last, last, None, bids, asks, None)

    def stream_snapshot(self) -> Depth:
        frame = self._window_frame()
        shown = [[self._level(price, size) for price, size in side.items()] for side in self.seen]
        return Depth("s", True, frame.last, frame.last, None, shown[0], shown[1], None)


def check(book: OrderBook, market: Market) -> None:
    if not book.synced:
        assert book.top(1000) == ([], [])
        return
    assert book.sequence is not None
    true = market.history[book.sequence]
    for depth in DEPTHS:
        for shown, truth in zip(book.top(depth), true, strict=True):
            values = [(Decimal(price), Decimal(size)) for price, size in shown]
            assert values == truth[: len(values)]
            assert len(values) <= depth
    best = tuple(side[0][0] if side else None for side in book.top(1))
    if best[0] is not None and best[1] is not None:
        assert Decimal(best[0]) < Decimal(best[1])


STEPS = ("frame",) * 8 + (
    "drop",
    "repeat",
    "swap",
    "older",
    "pause",
    "early",
    "ask",
    "answer",
    "answer",
    "fail",
    "reset",
)
steps = st.lists(st.sampled_from(STEPS), min_size=20, max_size=120)
seeds = st.integers(0, 2**32)
relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Run:
    """A venue, a network that misbehaves on command, and the book at its end."""

    def __init__(self, seed: int, rule: BookRules) -> None:
        self.chance = random.Random(seed)
        self.market = Market(self.chance, rule)
        self.book = OrderBook(rule)
        self.book.watch(WATCHED)
        self.past: list[Depth] = []
        self.answers: list[Depth] = []

    def step(self, name: str) -> None:
        getattr(self, name)()
        check(self.book, self.market)

    def take(self, frame: Depth) -> None:
        self.past.append(frame)
        self.book.received(frame)

    def frame(self) -> None:
        self.take(self.market.frame())
        if self.book.wants_snapshot() and not self.answers:
            self.ask()

    def drop(self) -> None:
        self.market.frame()

    def repeat(self) -> None:
        if self.past:
            self.book.received(self.past[-1])

    def older(self) -> None:
        if self.past:
            self.book.received(self.chance.choice(self.past))

    def swap(self) -> None:
        first, second = self.market.frame(), self.market.frame()
        self.take(second)
        check(self.book, self.market)
        self.take(first)

    def pause(self) -> None:
        self.market.trade(5)

    def early(self) -> None:
        """A snapshot that overtakes the stream."""
        self.market.trade(3)
        self.book.snapshot_begun()
        self.book.snapshot(self.market.snapshot(LIMIT), LIMIT)

    def ask(self) -> None:
        self.book.snapshot_begun()
        self.answers.append(self.market.snapshot(LIMIT))

    def answer(self) -> None:
        """Late or early, old or of now: the answer is what the market was at some moment."""
        if self.answers:
            self.book.snapshot(
                self.answers.pop(0) if self.chance.random() < 0.7 else self.market.snapshot(LIMIT), LIMIT
            )

    def fail(self) -> None:
        self.answers.clear()
        self.book.snapshot_failed()

    def reset(self) -> None:
        self.book.reset()


@given(steps=steps, seed=seeds)
@relaxed
def test_a_synced_spot_book_is_the_truth_at_its_sequence(steps: list[str], seed: int) -> None:
    walk(Run(seed, RANGE), steps)


@given(steps=steps, seed=seeds)
@relaxed
def test_a_synced_perpetual_book_is_the_truth_at_its_sequence(steps: list[str], seed: int) -> None:
    walk(Run(seed, PREVIOUS), steps)


def walk(run: Run, steps: list[str]) -> None:
    for name in steps:
        run.step(name)
    # When the network behaves again, the book comes back by itself and stays deep enough.
    for _ in range(40):
        frame = run.market.frame()
        outcome = run.book.received(frame)
        check(run.book, run.market)
        if run.book.wants_snapshot() or outcome is Outcome.OUTDATED:
            run.book.snapshot_begun()
            run.book.snapshot(run.market.snapshot(LIMIT), LIMIT)
            check(run.book, run.market)
        elif run.answers:
            run.answers.clear()
            run.book.snapshot_failed()
    assert run.book.synced
    assert run.book.sequence == run.market.told
    assert min(len(side) for side in run.book.top(1000)) >= WATCHED // 2


COUNTER_STEPS = st.lists(
    st.sampled_from(("frame",) * 6 + ("drop", "repeat", "older", "snapshot", "reset")), min_size=10, max_size=100
)


@given(steps=COUNTER_STEPS, seed=seeds)
@relaxed
def test_a_stream_of_its_own_snapshots_is_the_truth_too(steps: list[str], seed: int) -> None:
    chance = random.Random(seed)
    market = Market(chance, COUNTER, tier=20)
    book = OrderBook(COUNTER, tier=20)
    past = [market.stream_snapshot()]
    book.received(past[0])
    for name in steps:
        if name == "snapshot":
            past.append(market.stream_snapshot())
            assert book.received(past[-1]) is Outcome.REBUILT
        elif name == "frame":
            past.append(market.frame())
            book.received(past[-1])
        elif name == "drop":
            market.frame()
        elif name == "repeat":
            book.received(past[-1])
        elif name == "older":
            book.received(chance.choice([each for each in past if not each.snapshot] or past[-1:]))
        else:
            book.reset()
        check(book, market)
    book.received(market.stream_snapshot())
    assert book.received(market.frame()) is Outcome.CHANGED
    check(book, market)

"""The composite market, pure: which venues count, and what their quotes are together. Times are arguments.

A venue counts while its topic is live or quiet and as young as the others: its quote holds *as of* the last frame of
its connection less the delay of its frames, and only quotes whose as-of times lie within ``LATE_AFTER_MS`` of the
newest are compared. Whoever does not count is named with its cause; the older ones, measured from the newest, are
``late``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Struct

from cryptodash.core.events import Bbo, Cause, State
from cryptodash.core.numbers import EXACT, Number, key, ratio, subtract_exactly
from cryptodash.core.topics import Topic

BPS_PLACES: Final = 4
"""Decimals of basis points; the last is rounded half to even."""

V = TypeVar("V")


class Constituent(Struct, Generic[V], frozen=True, gc=False):
    """One venue's part. ``value`` is None where none is known; ``as_of`` is monotonic seconds, None likewise."""

    topic: Topic
    state: State
    cause: Cause | None
    value: V | None
    as_of: float | None


class Counted(Struct, Generic[V], frozen=True, gc=False):
    """One that counts."""

    topic: Topic
    state: State
    value: V
    as_of: float

    @property
    def exchange(self) -> str:
        return self.topic.exchange


class Excluded(Struct, frozen=True, gc=False):
    """A venue that has the instrument and does not count. ``connecting`` without a cause: nothing has come yet;
    ``closed`` without one: it was asked for by name and has not got it."""

    exchange: str
    state: State
    cause: Cause | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been said of it so far."""
        return self.state is State.CONNECTING and self.cause is None


class Selection(NamedTuple, Generic[V]):
    """Who counts and who does not, each in the order of the constituents."""

    counted: tuple[Counted[V], ...]
    excluded: tuple[Excluded, ...]


def select(constituents: Sequence[Constituent[V]], window: float | None) -> Selection[V]:
    """Who counts; ``window`` is how many seconds an as-of time may be before the newest, None: any number (recorded
    time runs at any speed)."""
    good = [
        Counted(each.topic, each.state, each.value, each.as_of)
        for each in constituents
        if each.state.is_good and each.value is not None and each.as_of is not None
    ]
    if window is not None and good:
        oldest = max(each.as_of for each in good) - window
        counted = {each.exchange: each for each in good if each.as_of >= oldest}
    else:
        counted = {each.exchange: each for each in good}
    late = {each.exchange for each in good} - counted.keys()
    excluded = tuple(_excluded(each, late) for each in constituents if each.topic.exchange not in counted)
    return Selection(tuple(counted.values()), excluded)


def _excluded(constituent: Constituent[V], late: set[str]) -> Excluded:
    exchange = constituent.topic.exchange
    if exchange in late:
        return Excluded(exchange, State.STALE, Cause.LATE)
    if constituent.state.is_good:
        return Excluded(exchange, State.CONNECTING)
    return Excluded(exchange, constituent.state, constituent.cause)


_BEST_FIRST: Final = (State.RESYNCING, State.STALE, State.CONNECTING, State.CLOSED)


def condition(selection: Selection[V]) -> tuple[State, Cause | None]:
    """State and cause of the whole: ``live`` if one that counts is, ``quiet`` if all that count are; where none counts
    that of the one nearest to counting again (``resyncing``, ``stale``, ``connecting``, ``closed``)."""
    if selection.counted:
        return (State.LIVE if any(each.state is State.LIVE for each in selection.counted) else State.QUIET), None
    nearest = min(selection.excluded, key=lambda each: _BEST_FIRST.index(each.state), default=None)
    return (State.CONNECTING, None) if nearest is None else (nearest.state, nearest.cause)


class Best(Struct, frozen=True, gc=False):
    """The best of one side, and whose it is; of equal prices the largest size, of these the first venue's."""

    price: Number
    size: Number | None
    exchange: str


class VenueQuote(Struct, frozen=True, gc=False):
    """What one venue that counts has put in. ``quote`` is its quote currency where that is another one."""

    exchange: str
    bid: Number | None
    bid_size: Number | None
    ask: Number | None
    ask_size: Number | None
    age_ms: int
    quote: str | None = None


class CompositeBbo(Struct, frozen=True, gc=False):
    """The best bid and offer over venues. ``timestamp`` and ``received`` are the newest of the quotes that count;
    None where none counts.

    ``spread`` is exact and not above zero where the market is crossed or locked between venues. ``crossed_bps`` is then
    what lies between bid and ask in basis points of their mean (0 where locked), ``crossed_size`` the base quantity
    that could be bought at one venue and sold at another without a loss, by the best levels of all; else None.
    """

    topic: Topic
    timestamp: int | None
    received: int | None
    bid: Best | None
    ask: Best | None
    spread: Number | None
    spread_bps: Number | None
    crossed_bps: Number | None
    crossed_size: Number | None
    venues: tuple[VenueQuote, ...]
    excluded: tuple[Excluded, ...]
    state: State
    cause: Cause | None
    """As ``condition`` has them; the wire tells them by the topic's status."""
    takes_back: bool = False
    """Whether a venue that counted in the one before does not count any more."""
    since: int = 0
    """Of one that was asked for: from when on, at the latest, it has been in that state (our wall clock, ms)."""

    @property
    def is_telling(self) -> bool:
        """Whether there is anything to tell: a quote, or why there is none."""
        return bool(self.venues) or not all(each.is_silent for each in self.excluded)

    @property
    def content(self) -> tuple[object, ...]:
        """All that makes it news: not how old it is."""
        quotes = tuple((each.exchange, each.bid, each.bid_size, each.ask, each.ask_size) for each in self.venues)
        return (quotes, self.excluded)


def composite_bbo(topic: Topic, selection: Selection[Bbo], now: float, not_before: int = 0) -> CompositeBbo:
    """The quotes that count as one; ``timestamp`` as ``in_order`` has it."""
    counted = selection.counted
    quotes = [each.value for each in counted]
    bid = _best([(each.exchange, each.value.bid, each.value.bid_size) for each in counted], highest=True)
    ask = _best([(each.exchange, each.value.ask, each.value.ask_size) for each in counted], highest=False)
    newest = max((each.timestamp for each in quotes), default=None)
    if newest is not None:
        newest = in_order(newest, not_before)
    spread, spread_bps = (None, None) if bid is None or ask is None else spread_of(bid.price, ask.price)
    is_crossed = bid is not None and ask is not None and key(bid.price) >= key(ask.price)
    return CompositeBbo(
        topic,
        newest,
        max((each.received for each in quotes), default=None),
        bid,
        ask,
        spread,
        spread_bps,
        _unsigned(spread_bps) if is_crossed else None,
        crossed_size(quotes) if is_crossed else None,
        tuple(_venue_quote(each, topic, now) for each in counted),
        selection.excluded,
        *condition(selection),
    )


_STEP_MS: Final = 5_000
"""A time further ahead than this of what counts now was of a venue's clock that was wrong."""


def in_order(newest: int, not_before: int) -> int:
    """The time to tell of values whose newest time this is, after the time that was told last: no earlier than that,
    unless it is over 5 s ahead."""
    return not_before if newest < not_before <= newest + _STEP_MS else newest


def _venue_quote(counted: Counted[Bbo], topic: Topic, now: float) -> VenueQuote:
    quote, currency = counted.value, counted.topic.symbol.quote
    return VenueQuote(
        counted.exchange,
        quote.bid,
        quote.bid_size,
        quote.ask,
        quote.ask_size,
        age_ms(counted.as_of, now),
        None if currency == topic.symbol.quote else currency,
    )


def age_ms(as_of: float, now: float) -> int:
    return max(0, round((now - as_of) * 1000))


def _best(sides: Iterable[tuple[str, Number | None, Number | None]], *, highest: bool) -> Best | None:
    best: Best | None = None
    rank: tuple[int, int] = (0, 0)
    for exchange, price, size in sides:
        if price is None:
            continue
        value = key(price)
        ranked = (value if highest else -value, key(size) if size is not None else 0)
        if best is None or ranked > rank:
            best, rank = Best(price, size, exchange), ranked
    return best


def spread_of(bid: Number, ask: Number) -> tuple[Number, Number | None]:
    """(ask less bid, exactly; the same in basis points of their mean, rounded half to even to ``BPS_PLACES``)."""
    low, high = Decimal(bid), Decimal(ask)
    between = EXACT.subtract(high, low)
    return subtract_exactly(ask, bid), ratio(2 * between, EXACT.add(high, low), 10_000, BPS_PLACES)


def _unsigned(number: Number | None) -> Number | None:
    return None if number is None else Number(number.lstrip("-"))


def crossed_size(quotes: Iterable[Bbo]) -> Number:
    """The base quantity that the bids could take of the asks at or below them, best first on both sides; what has no
    size has none to give. No venue's own quote is crossed, so each such pair is of two venues."""
    sides = list(quotes)
    bids = sorted(
        ((Decimal(each.bid), Decimal(each.bid_size)) for each in sides if each.bid and each.bid_size), reverse=True
    )
    asks = sorted((Decimal(each.ask), Decimal(each.ask_size)) for each in sides if each.ask and each.ask_size)
    total = Decimal(0)
    while bids and asks and bids[0][0] >= asks[0][0]:
        (bid, wanted), (ask, offered) = bids[0], asks[0]
        taken = min(wanted, offered)
        total = EXACT.add(total, taken)
        bids[:1] = [(bid, EXACT.subtract(wanted, taken))] if wanted > taken else []
        asks[:1] = [(ask, EXACT.subtract(offered, taken))] if offered > taken else []
    return Number(format(total, "f"))

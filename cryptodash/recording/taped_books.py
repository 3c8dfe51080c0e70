"""Order books, tickers and instruments of a checkpoint, read. Tapes may come from anybody: what is wrong with one is
``BadTape``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from cryptodash.core.errors import NumberRejected
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, admit, is_zero, key, positive, unsigned
from cryptodash.recording import records
from cryptodash.recording.tape_errors import BadTape

MOST_LEVELS: Final = 200_000
"""Of one side, those counted that are told twice."""

Levels = tuple[tuple[Number, Number], ...]


@frozen
class TapedBook:
    """An order book as the frames before have made it: ``core.checkpoints.BookImage`` with its levels in order, best
    first. ``at``: tape time in seconds. ``is_fresh``: its connection was opened since the tape was read, or since what
    was lost last, so that all it is made of has been read."""

    at: float
    market: str
    native: str
    depth: int | None
    sequence: int | None
    time: int | None
    bids: Levels
    asks: Levels
    bids_end: bool
    asks_end: bool
    is_fresh: bool


@frozen
class TapedFigures:
    """What was known of a ticker: ``core.checkpoints.FiguresImage``. ``at`` and ``is_fresh`` as of a book."""

    at: float
    market: str
    native: str
    time: int
    figures: Mapping[str, str]
    is_fresh: bool


@frozen
class TapedInstruments:
    """Instruments whose streams were wanted then."""

    at: float
    instruments: tuple[Instrument, ...]


def book_of(at: float, said: records.Book, *, is_fresh: bool) -> TapedBook:
    """Raises ``BadTape``."""
    if not _is_name(said.native):
        raise BadTape("a book of no instrument")
    bids, asks = _side(said.bids, -1), _side(said.asks, 1)
    return TapedBook(
        at,
        said.market,
        said.native,
        said.depth,
        said.sequence,
        said.time,
        bids,
        asks,
        said.bids_end,
        said.asks_end,
        is_fresh,
    )


def figures_of(at: float, said: records.Figures, *, is_fresh: bool) -> TapedFigures:
    """Raises ``BadTape``."""
    if not _is_name(said.native):
        raise BadTape("figures of no instrument")
    try:
        figures = {name: admit(text) for name, text in said.figures.items()}
    except NumberRejected as error:
        raise BadTape(f"a figure that is none: {error}"[:200]) from None
    return TapedFigures(at, said.market, said.native, said.time, figures, is_fresh)


def instruments_of(at: float, exchange: str, said: records.Instruments) -> TapedInstruments:
    """Raises ``BadTape``."""
    try:
        return TapedInstruments(
            at, tuple(_instrument(exchange, MarketType(said.market), each) for each in said.instruments)
        )
    except (NumberRejected, ValueError) as error:
        raise BadTape(f"instruments that are none: {error}"[:200]) from None


def _instrument(exchange: str, market: MarketType, said: records.Listed) -> Instrument:
    if not all(map(_is_name, (said.native, said.base, said.quote))):
        raise ValueError("one has no name")
    return Instrument(
        exchange,
        market,
        Symbol(said.base, said.quote),
        said.native,
        positive(said.tick),
        positive(said.step),
        contract_size=positive(said.contract) if said.contract else None,
    )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 100 and text.isprintable() and not {'"', "\\"} & set(text)


def _side(text: str, sign: int) -> Levels:
    words = text.split(" ") if text else []
    if len(words) % 2 or len(words) > 2 * MOST_LEVELS:
        raise BadTape("a book whose levels cannot be told apart, or are too many")
    found: dict[int, tuple[Number, Number]] = {}
    try:
        for price, size in zip(words[::2], words[1::2], strict=True):
            found[sign * key(positive(price))] = positive(price), unsigned(size)
    except NumberRejected as error:
        raise BadTape(f"a level that is none: {error}"[:200]) from None
    return tuple(found[place] for place in sorted(found) if not is_zero(found[place][1]))

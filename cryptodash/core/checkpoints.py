"""What a recording of a venue's frames has to know besides the frames, to be read from the middle on: the instruments,
and each order book and ticker as the frames so far have made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen
from zope.interface import Interface

from cryptodash.core.instruments import Instrument, MarketType


@frozen
class BookImage:
    """One order book now. ``stream`` is ours for the venue's stream that it is made from, on ``connection``, ``depth``
    how many levels a side that carries (None: all); ``sequence`` is the venue's id of the last change (None: it has
    none), ``time`` the venue's (ms; None: not known).

    ``bids`` and ``asks`` are price and size in turn, apart by spaces, in no order, with the venue's digits but for the
    sizes of contracts, which are base quantities; of two levels with one price the last counts, one of size zero is
    none. ``bids_end`` and ``asks_end``: there are no levels beyond these, within the depth; else nothing is known of
    them.
    """

    market: MarketType
    native: str
    connection: str
    stream: str
    depth: int | None
    sequence: int | None
    time: int | None
    bids: str
    asks: str
    bids_end: bool
    asks_end: bool


@frozen
class FiguresImage:
    """What is known of an instrument's 24 h figures, mark price and quote now, for streams that tell only what has
    changed. ``figures`` are members of ``events.Ticker`` as text, those that are known; ``stream`` and ``connection``
    are those of the 24 h figures, ``time`` (ms, the venue's) when these were told."""

    market: MarketType
    native: str
    connection: str
    stream: str
    time: int
    figures: Mapping[str, str]


TakeImage = Callable[[], BookImage | FiguresImage | None]
"""The book, or the figures, now. None where there are none to be had: a book is not in sync, or something that came in
is not in it yet."""


class ICheckpointSource(Interface):
    """A venue that is open, as far as its frames' recording needs to know it."""

    def instruments() -> Iterable[Instrument]:
        """Those whose streams are wanted now, each once."""

    def images() -> Sequence[TakeImage]:
        """All order books that are in sync now, and all figures that are known. An image is to be taken and kept in one
        turn of the reactor: it holds exactly what has come in until then."""

"""An order book as REST shows it."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

Sides = tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]
"""(bids, asks): (price, size) levels, best first."""


@frozen
class BookImage:
    """A book at one moment: the id of its last change, (price, size) levels, best first, the venue's time (ms), and
    ``number`` as ``HostBehaviour.book_number``."""

    last: int
    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]
    time: int
    number: int

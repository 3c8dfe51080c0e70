"""What is counted of one venue's order books."""

from __future__ import annotations

from cryptodash.core.events import Cause
from cryptodash.core.tally import Tally
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts

LOST: dict[Outcome, tuple[Cause, str]] = {
    Outcome.GAP: (Cause.GAP, "sequence"),
    Outcome.CROSSED: (Cause.CROSSED, "crossed"),
    Outcome.CHECKSUM: (Cause.CHECKSUM, "checksum"),
    Outcome.DIVERGED: (Cause.GAP, "audit"),
    Outcome.OVERFLOW: (Cause.GAP, "overflow"),
    Outcome.USED_UP: (Cause.GAP, "used_up"),
}
"""What is wrong with the book, in the contract's words and in the metric's."""

RESYNC_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class BookMeters:
    """The metrics of one venue's order books."""

    def __init__(self, exchange: str, tally: Tally) -> None:
        self.exchange = exchange
        self.doubts = DoubtCounts(exchange, "order_book", tally)
        self.gaps = tally.counter(
            "cryptodash_book_gaps_total", "Order books that lost their place", "exchange", "cause"
        )
        for _, cause in LOST.values():
            self.gaps.begin(exchange, cause)
        self.resyncs = tally.counter(
            "cryptodash_book_resyncs_total", "Attempts to rebuild an order book", "exchange", "result"
        )
        self.duration = tally.histogram(
            "cryptodash_book_resync_duration_seconds",
            "From losing an order book to showing it again",
            RESYNC_BOUNDS,
            "exchange",
        ).at(exchange)

"""What is counted of every upstream stream for the ledger (``hub/ledger.py``): the words, and the interface that the
venues' side counts into. Like a ``Tally`` it is given from outside; without one nothing is counted."""

from __future__ import annotations

import enum
from typing import Final, Protocol

from cryptodash.core.events import Cause, State


class Count(enum.IntEnum):
    """What is counted by number. The lower-case name is the member of ``/api/quality``."""

    GAPS = 0
    """Times that data of the stream was, or may have been, missed: a book lost its place in the sequence, a tape of
    trades or liquidations was interrupted and nothing proves that none is missing, a closed bar did not come in its
    turn."""
    RESYNCS = 1
    """Times that a book was rebuilt after it was lost."""
    CHECKSUM_FAILURES = 2
    CROSSED = 3
    """Quotes left out, and books lost, because they were crossed (bid >= ask) in themselves."""
    DUPLICATES = 4
    """Frames (of trades: trades) whose id had come already."""
    OUT_OF_ORDER = 5
    """Frames dropped because a newer one had come, and trades that came after a later one."""
    IMPLAUSIBLE = 6
    """Frames left out because their id or time was too far ahead; listings because the size of a contract was wrong."""
    LATE = 7
    """Times that the stream became late."""
    MISSED_TRADES = 8
    """Trades that exist by the venue's own numbers and did not come; less those that came after all."""
    DECODE_ERRORS = 9
    AUDITS = 10
    """Comparisons of the live book with a REST snapshot: where the venue numbers its books, at the same number."""
    DIVERGENCES = 11
    """Those of them that did not agree."""


class Loss(enum.Enum):
    """Why a stream is degraded: what cannot be mended any more."""

    TRADES_MISSING = "trades_missing"
    """The venue's own numbers say so, and the trades have not come within a minute."""
    TRADES_UNPROVEN = "trades_unproven"
    """The stream was interrupted, and nothing tells whether trades or liquidations are missing."""
    TRADES_UNREADABLE = "trades_unreadable"
    """A trade or liquidation came that could not be read."""
    CANDLES_MISSING = "candles_missing"
    """A closed bar did not come, and REST does not reach back to it any more."""


class StreamRecord(Protocol):
    """One stream, as whoever runs it tells of it. Every call is cheap; none raises."""

    @property
    def degraded(self) -> Loss | None:
        """The first loss of the stream's data that could not be mended."""

    def changed(self, state: State, cause: Cause | None) -> None:
        """The stream is in this state from now on; a repeat is no news."""

    def crossed(self, is_so: bool) -> None:
        """Whether its book or quote is crossed from now on; a repeat is no news."""

    def count(self, what: Count, times: int = 1) -> None:
        """Something happened, so many times (negative: trades that were counted as missed came after all)."""

    def delayed(self, ms: int) -> None:
        """A sampled frame came so late."""

    def audited(self, diverged: bool) -> None:
        """The live book was compared with a REST snapshot (``Count.AUDITS``)."""

    def degrade(self, loss: Loss) -> None:
        """Data of the stream is lost for good: so it stays for the life of the process."""

    def closed(self) -> None:
        """The stream is wanted no more: its time counts no more."""


class StreamRecords(Protocol):
    """The records of one venue's streams."""

    def open(self, endpoint: str, name: str) -> StreamRecord:
        """The record of the stream of this name there, from now on in use: the one of before, where it was open
        before."""

    def count(self, what: Count, times: int = 1) -> None:
        """The same as a record's, of what no stream can be blamed for."""


class _Unrecorded:
    """A record and the records of nobody."""

    degraded: Loss | None = None

    def open(self, endpoint: str, name: str) -> StreamRecord:
        return self

    def changed(self, state: State, cause: Cause | None) -> None:
        pass

    def crossed(self, is_so: bool) -> None:
        pass

    def count(self, what: Count, times: int = 1) -> None:
        pass

    def delayed(self, ms: int) -> None:
        pass

    def audited(self, diverged: bool) -> None:
        pass

    def degrade(self, loss: Loss) -> None:
        pass

    def closed(self) -> None:
        pass


UNRECORDED: Final = _Unrecorded()
"""For engines and streams whose quality nobody reads."""

"""How a venue's order books are put together: where snapshots come from, and what shows that no frame is missing."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from attrs import frozen

from cryptodash.core.events import Level
from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import divide


class SnapshotSource(str, enum.Enum):
    """Where whole books come from."""

    STREAM = "stream"
    REST = "rest"
    EITHER = "either"
    """From the stream; by REST where none has come for a while."""


class Chaining(str, enum.Enum):
    """How a venue's book frames show that none is missing (``Depth.first``, ``last``, ``previous``)."""

    RANGE = "range"
    """``first`` is at most the last id + 1."""
    PREVIOUS = "previous"
    """``previous`` is the last id."""
    COUNTER = "counter"
    """``last`` is the last id + 1."""
    CONNECTION = "connection"
    """Not at all: the frames of the connection are counted (``Sequenced``)."""
    CHECKSUM = "checksum"
    """Not at all: a wrong ``Depth.checksum`` tells that something was missed."""


class AuditBy(str, enum.Enum):
    """How a REST snapshot is compared with a live book, to find what no id and no checksum shows."""

    UPDATE_ID = "update_id"
    """``Depth.last`` of the snapshot counts as in the stream, and the venue documents how the two are joined: changes
    beyond that id are put into the snapshot, and both must say the same."""
    SEQUENCE = "sequence"
    """The same by ``Depth.sequence``. A difference counts at once only where the book was at exactly that number, else
    when a second snapshot shows it again: frames may leave out what changed and changed back between two of them."""
    UNCHANGED = "unchanged"
    """Nothing joins them: compared are levels that the stream did not touch from some seconds before the request until
    some seconds after the answer. A difference counts when a second snapshot shows it again."""


Checksum = Callable[[Sequence[Level], Sequence[Level]], int]
"""From (bids, asks), best first, at most ``BookRules.checksum_depth`` of each, with the venue's own digits."""

_BY_ID = frozenset({Chaining.RANGE, Chaining.PREVIOUS, Chaining.COUNTER})


@frozen
class BookRules:
    """How a market's books are put together. Raises ``ValueError`` for rules that cannot work: a REST snapshot can only
    be joined to frames that have ids, and frames without ids need another way to notice a loss.

    ``audit``: how a REST snapshot is compared with the live book; None: never. ``snapshot_request`` and
    ``read_snapshot`` must then serve, also where whole books come from the stream. ``audit_rounded``: sizes in such a
    snapshot are rounded to their last place.

    ``in_contracts``: the checksum covers sizes in contracts. It is then given them as the venue wrote them, though the
    books that we hold are in base quantities; the book's ``StreamSpec.instrument`` must be there."""

    snapshots: SnapshotSource
    chaining: Chaining
    checksum: Checksum | None = None
    checksum_depth: int = 0
    in_contracts: bool = False
    audit: AuditBy | None = None
    audit_rounded: bool = False

    def __attrs_post_init__(self) -> None:
        if self.snapshots is not SnapshotSource.STREAM and self.chaining not in _BY_ID:
            raise ValueError(
                f"a REST snapshot cannot be joined to frames chained by {self.chaining.value}: they have no ids"
            )
        if self.chaining is Chaining.CHECKSUM and self.checksum is None:
            raise ValueError("books chained by checksum need one")
        if self.audit is AuditBy.UPDATE_ID and self.chaining not in _BY_ID:
            raise ValueError(f"no update id to compare by: frames chained by {self.chaining.value} have none")
        if self.checksum is not None and self.checksum_depth < 1:
            raise ValueError("a checksum covers at least one level a side")

    def checksum_for(self, instrument: Instrument | None) -> Checksum | None:
        """The checksum of a book of this instrument, as we hold it."""
        checksum, contract = self.checksum, None if instrument is None else instrument.contract_size
        if checksum is None or contract is None or not self.in_contracts:
            return checksum

        def of_contracts(bids: Sequence[Level], asks: Sequence[Level]) -> int:
            sides = [[(price, divide(size, contract)) for price, size in side] for side in (bids, asks)]
            return checksum(*sides)

        return of_contracts

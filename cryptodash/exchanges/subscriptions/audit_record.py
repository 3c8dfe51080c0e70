"""What the audits of one book have found so far, and when the next one may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptodash.core.numbers import Number
from cryptodash.exchanges.builders.book_audit import Finding, Place, Verdict

SPACING: Final = 30.0
"""Least seconds between two audits of one book."""
AGAIN: Final = 5.0
"""Seconds until the second look at a difference that is not certain, and until the one after a resync."""
LONGEST: Final = 3600.0
"""Most seconds to wait, where one divergence has followed another."""


class AuditRecord:
    """One book's audits. A divergence is a difference that is certain, or one that two snapshots in a row show at the
    same level with the same size of ours."""

    def __init__(self) -> None:
        self.audits = 0
        """How many compared something."""
        self.divergences = 0
        self.in_a_row = 0
        """Divergences since the last audit that found both the same."""
        self.due = 0.0
        """When the next one may begin."""
        self._suspected: Mapping[Place, Number | None] = {}

    @property
    def is_disputed(self) -> bool:
        """Whether the book was different again after it had been rebuilt: which of the two is wrong is open."""
        return self.in_a_row >= 2

    def failed(self, now: float) -> None:
        """No snapshot came. What is suspected waits for one that does."""
        self.due = now + SPACING

    def take(self, finding: Finding, now: float) -> str:
        """What an audit found, in a word of the metric: ``equal``, ``diverged``, ``suspected`` or ``unmatched``."""
        suspected, self._suspected = self._suspected, {}
        self.due = now + SPACING
        if finding.verdict is Verdict.UNMATCHED:
            return "unmatched"
        self.audits += 1
        if finding.verdict is Verdict.EQUAL:
            self.in_a_row = 0
            return "equal"
        found = finding.differences
        if not finding.certain and not any(each in suspected and suspected[each] == found[each] for each in found):
            self._suspected, self.due = found, now + AGAIN
            return "suspected"
        self.divergences += 1
        self.in_a_row += 1
        # The first is looked at again soon; one that comes again would else be a resync after the other.
        self.due = now + (AGAIN if self.in_a_row == 1 else min(SPACING * 2.0 ** min(self.in_a_row, 8), LONGEST))
        return "diverged"

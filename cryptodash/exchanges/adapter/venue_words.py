"""A venue's words for a listing in ours, by tables that stand beside their source; what no table has is told."""

from __future__ import annotations

from collections.abc import Mapping

LONGEST = 40
"""Characters of a word that are told."""


class VenueWords:
    """Reads the words of one listing. ``unknown`` is for ``Instrument.unknown_words``."""

    def __init__(self) -> None:
        self._unknown: list[str] = []

    @property
    def unknown(self) -> tuple[str, ...]:
        """What stood in no table, each with its member: ``status=Paused``."""
        return tuple(self._unknown)

    def read(self, member: str, word: str, table: Mapping[str, str], otherwise: str) -> str:
        """Our word for the venue's; ``otherwise`` for one that the table lacks."""
        found = table.get(word)
        if found is None:
            self._unknown.append(f"{member}={word[:LONGEST]}")
            return otherwise
        return found

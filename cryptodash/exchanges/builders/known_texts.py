"""The last ids that were seen of a venue that does not count, by their hashes: texts take ten times as much room."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from cryptodash.exchanges.builders.known_numbers import KNOWN_IDS

_FRESH = 1_000


class KnownTexts:
    """A set of at least the last ``most`` texts added, and of less than twice as many and three times ``fresh``. They
    take 8 bytes each, up to ``fresh`` of the newest some 80. One that was not added passes for a known one with a
    chance of 2 ``most`` to 2**64."""

    def __init__(self, most: int = KNOWN_IDS, fresh: int = _FRESH) -> None:
        self._most = most
        self._fresh = fresh
        self._newest: set[int] = set()
        self._newer = array("q")
        self._older = array("q")
        """Both sorted."""

    def __len__(self) -> int:
        return len(self._newest) + len(self._newer) + len(self._older)

    def __contains__(self, text: str) -> bool:
        return self._has(hash(text))

    def add(self, text: str) -> bool:
        """Remember it; False where it is remembered already."""
        known = hash(text)
        if self._has(known):
            return False
        if len(self._newest) >= self._fresh:
            if len(self._newer) >= self._most:
                self._older, self._newer = self._newer, array("q")
            self._newer = array("q", sorted([*self._newer, *self._newest]))
            self._newest = set()
        self._newest.add(known)
        return True

    def _has(self, known: int) -> bool:
        if known in self._newest:
            return True
        for chunk in (self._newer, self._older):
            at = bisect_left(chunk, known)
            if at < len(chunk) and chunk[at] == known:
                return True
        return False

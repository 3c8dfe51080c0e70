"""Who may connect: allowed origins, and a cap per address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cryptodash.api.addresses import address_group


def origin_allowed(origin: str, allowed: Sequence[str]) -> bool:
    """Whether a page of this origin may connect. ``*`` allows any;
    no Origin at all (not a browser) is always allowed."""
    if not origin or "*" in allowed:
        return True
    return origin.strip().lower().rstrip("/") in {each.strip().lower().rstrip("/") for each in allowed}


class AddressCap:
    """Counts connections per address; IPv6 by /64, since one customer owns that many.
    The empty address, a unix peer that no trusted proxy names, is one like any other."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one connection in; False (and not counted) when the address has too many."""
        key = address_group(address)
        if self._counts[key] >= self._limit:
            return False
        self._counts[key] += 1
        return True

    def leave(self, address: str) -> None:
        """One connection less."""
        key = address_group(address)
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]

    def __len__(self) -> int:
        return len(self._counts)

"""Which pages may connect."""

from __future__ import annotations

from collections.abc import Sequence


def origin_allowed(origin: str, allowed: Sequence[str]) -> bool:
    """Whether a page of this origin may connect. ``*`` allows any;
    no Origin at all (not a browser) is always allowed."""
    if not origin or "*" in allowed:
        return True
    return origin.strip().lower().rstrip("/") in {each.strip().lower().rstrip("/") for each in allowed}

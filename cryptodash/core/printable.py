"""Texts of anybody, for a terminal or a log."""

from __future__ import annotations

from typing import Final

MOST_CHARACTERS: Final = 1_000


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """On one line, without what would move a cursor or change a colour, and of so many characters at most."""
    shown = text if len(text) <= most else f"{text[:most]}..."
    return shown if shown.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in shown)

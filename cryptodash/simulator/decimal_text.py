"""Whole numbers of the smallest unit as decimal text."""

from __future__ import annotations


def fixed(units: int, decimals: int, places: int) -> str:
    """``units`` of ``10**-decimals`` as plain text with ``places`` decimals;
    digits beyond them are cut off, never rounded."""
    sign = "-" if units < 0 else ""
    units = abs(units)
    units = units * 10 ** (places - decimals) if places >= decimals else units // 10 ** (decimals - places)
    if not places:
        return f"{sign}{units}"
    text = str(units).rjust(places + 1, "0")
    return f"{sign}{text[:-places]}.{text[-places:]}"


def trim(text: str) -> str:
    """Without padding zeros: ``78715.00`` is ``78715``."""
    return text.rstrip("0").rstrip(".") if "." in text else text

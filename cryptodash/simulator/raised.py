"""A copy of a frame in which some members are higher: ids as numbers or as text, times as those or in RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache


def raised(payload: str, members: Sequence[str], by: int) -> str:
    """The frame with ``by`` added to what these members hold: a number, the same in text (``"t":"1712192400"``), or a
    time in text (``"2026-08-24T22:34:13.483122Z"``), to which it is ms."""
    return _pattern(tuple(members)).sub(lambda found: _raised(found, by), payload)


@lru_cache(maxsize=64)
def _pattern(members: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(map(re.escape, members))
    return re.compile(rf'("(?:{names})":"?)(?:(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d)|(\d+)(?![-\d]))')


def _raised(found: re.Match[str], by: int) -> str:
    head, moment, number = found.groups()
    if number is not None:
        return f"{head}{int(number) + by}"
    return f"{head}{(datetime.fromisoformat(moment) + timedelta(milliseconds=by)).isoformat()}"

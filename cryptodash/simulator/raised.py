"""Members of a frame made higher: ids and times that a venue has not reached."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z"


def raised(payload: str, members: Sequence[str], by: int) -> str:
    """The frame with these members higher by so much: whole numbers, bare or quoted, and RFC 3339 times, which are
    higher by so many ms (whole seconds of them)."""

    def higher(found: re.Match[str]) -> str:
        name, quote, text = found[1], found[2], found[3]
        return f'"{name}":{quote}{_higher(text, by)}{quote}'

    return re.sub(rf'"({"|".join(members)})":("?)(\d+|{_TIME})\2', higher, payload)


def _higher(text: str, by: int) -> str:
    if text.isdigit():
        return str(int(text) + by)
    return (datetime.fromisoformat(text[:19]) + timedelta(seconds=by // 1_000)).isoformat() + text[19:]

"""What a ``replay`` asks for: from when to when, and how fast. Everything wrong is ``Refused``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from cryptodash.core.errors import Refused
from cryptodash.core.time import is_time_ms, parse_time, rfc3339

MIN_SPEED: Final = 0.1
MAX_SPEED: Final = 1000.0


@frozen
class PlayedTime:
    """``begin`` to ``end`` (ms, both included) at so many times its speed; 0: as fast as the client reads."""

    begin: int
    end: int
    speed: float

    @property
    def members(self) -> dict[str, Any]:
        """As a client is told it."""
        speed = int(self.speed) if self.speed == int(self.speed) else self.speed
        return {"from": rfc3339(self.begin), "to": rfc3339(self.end), "speed": speed}


def read_played_time(message: Mapping[str, Any], now_ms: int) -> PlayedTime:
    """The message's ``from``, ``to`` (by default now) and ``speed`` (1 by default). Raises ``Refused``:
    ``invalid_range``, ``invalid_speed``."""
    begin = _time(message.get("from"), "from")
    # Not "now" at most: tape time goes on where the wall clock is set back.
    end = max(begin, now_ms) if message.get("to") is None else _time(message["to"], "to")
    if begin > end:
        raise Refused("invalid_range", f'"from" {rfc3339(begin)} is later than "to" {rfc3339(end)}')
    speed = message.get("speed", 1)
    if type(speed) not in (int, float) or not (speed == 0 or MIN_SPEED <= speed <= MAX_SPEED):
        raise Refused(
            "invalid_speed",
            f"speed {repr(speed)[:24]} is not a number from {MIN_SPEED} to {MAX_SPEED:g}, nor 0: as fast as you read",
        )
    return PlayedTime(begin, end, float(speed))


def _time(value: object, name: str) -> int:
    try:
        if isinstance(value, str):
            return parse_time(value)
        if type(value) is int and is_time_ms(value):
            return value
    except ValueError:
        pass
    raise Refused("invalid_range", f'"{name}" {repr(value)[:40]} is not a time: RFC 3339, or milliseconds since 1970')

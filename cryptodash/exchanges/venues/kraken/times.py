"""Kraken's times: RFC 3339 text in UTC, to the microsecond or the nanosecond."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from re import compile as pattern
from typing import Annotated

import msgspec
from msgspec import Meta

from cryptodash.exchanges.adapter.decode import UNREADABLE
from cryptodash.exchanges.adapter.messages import BadFrame

Moment = Annotated[datetime, Meta(tz=True)]
"""A time of the venue's, checked while decoding."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)

_moment = msgspec.json.Decoder(Moment).decode
_first_timestamp = pattern(rb'"timestamp": ?("[^"\\]{1,64}")').search


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970. Raises ``BadFrame`` for a time before that."""
    found = (moment - _EPOCH) // _MILLISECOND
    if found < 0:
        raise BadFrame("schema", f"time {moment.isoformat()}")
    return found


def time_of_update(frame: bytes) -> int | None:
    """The first ``timestamp`` of an update: of a book when it changed, of a bar when the frame was written. Both are
    within milliseconds of when the frame is sent. A snapshot shows an old state."""
    found = _first_timestamp(frame) if b'"type":"update"' in frame[:200] else None
    try:
        return None if found is None else milliseconds(_moment(found[1]))
    except UNREADABLE:
        return None

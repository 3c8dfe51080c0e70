"""Recorded messages as a client is to get them: what was sent then, byte for byte, and that it is recorded."""

from __future__ import annotations

import re
from typing import Final

_STATUS: Final = b'{"type":"status"'
_state = re.compile(rb'"state":"([a-z]+)"').search
# A quote in a text is escaped: these bytes are the member, wherever they stand. Only statuses and candles have one.
_source = re.compile(rb'"source":"[a-z]+"').subn


def kind_of(body: bytes) -> str:
    """Its ``type``; empty for what is no message of ours."""
    begin = len(b'{"type":"')
    end = body.find(b'"', begin)
    return body[begin:end].decode("ascii", "replace") if body.startswith(b'{"type":"') and end > 0 else ""


def marked(body: bytes, mark: bytes) -> bytes | None:
    """The message with ``mark`` (``mark_of``) as the last members of its payload. A status has the state ``recorded``,
    and what it was then in ``recorded_state``. None for what is no message of ours."""
    if not body.startswith(b'{"type":"') or not body.endswith(b"}}") or body.endswith(b"{}}"):
        return None
    if body.startswith(_STATUS):
        found = _state(body)
        if found is None:
            return None
        body = b'%b"state":"recorded","recorded_state":"%b"%b' % (body[: found.start()], found[1], body[found.end() :])
    if body.startswith((_STATUS, b'{"type":"candle"')):
        body, count = _source(b'"source":"recorded"', body, 1)
        if count:
            mark = mark.replace(b'"source":"recorded",', b"")
    return b"%b%b}}" % (body[:-2], mark)


def mark_of(replay_id: str) -> bytes:
    """What tells a message of this replay from those of now."""
    return f',"source":"recorded","replay_id":"{replay_id}"'.encode()

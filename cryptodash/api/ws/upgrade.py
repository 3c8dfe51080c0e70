"""The upgrade request as nearly every client sends it, read in one go; no I/O.

On the usual way twisted.web and then Autobahn read a request line by line and take everything that HTTP allows. Here
only a request is taken that no rule of either could refuse. At any doubt the answer is ``None``: the request goes the
usual way, where every refusal has its one place and its words.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

MAX_HEAD: Final = 4096
"""Far below the limits of the usual way, so that none of them can be reached here; with cookies,
browsers send less than half."""
MAX_FIELDS: Final = 40

# Labels of 1..63 characters, or an address in brackets, and a port: whatever else a Host is,
# no part of us has to read it.
_LABEL: Final = "[A-Za-z0-9_-]{1,63}"
_HOST: Final = rf"(?:{_LABEL}(?:\.{_LABEL}){{0,8}}\.?|\[[0-9A-Fa-f:.]{{2,45}}\])(?::[0-9]{{1,5}})?"
valid_host = re.compile(_HOST.encode()).fullmatch
"""Whether a Host header names a host (and a port)."""

_host = re.compile(_HOST).fullmatch
_request_line = re.compile(r"GET /ws(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)? HTTP/1\.1").fullmatch
_name = re.compile(r"[A-Za-z0-9-]+").fullmatch
_key = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch
_origin = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,4})?"
).fullmatch  # of a port of five digits Autobahn asks whether it exists

_UNUSUAL: Final = frozenset(("content-length", "transfer-encoding", "expect", "sec-websocket-protocol"))
"""A body, something to be said before the answer, or something to be chosen."""
_OFFERS: Final = frozenset(("permessage-deflate", "permessage-deflate; client_max_window_bits"))
"""What browsers and the common libraries offer. Only these: parameters can be wrong,
and then the request is refused."""
_CONNECTION: Final = frozenset(("upgrade", "keep-alive, upgrade"))


@frozen
class Upgrade:
    """What counts of a request that can be granted. ``deflate``: it offers compression; ``rest``:
    bytes that came behind it; ``may_hold_token``: there is a header or a query that one may stand in."""

    key: str
    origin: str
    forwarded: str
    deflate: bool
    rest: bytes
    may_hold_token: bool = False


def read_upgrade(data: bytes) -> Upgrade | None:
    """The upgrade request that the first bytes of a connection hold, or ``None`` if there is
    anything unusual about it."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0 or not data.startswith(b"GET /ws"):
        return None
    head = data[:end]
    if not head.isascii():
        return None
    request_line, *lines = head.decode().split("\r\n")
    if len(lines) > MAX_FIELDS or not _request_line(request_line):
        return None
    fields = _read_fields(lines)
    if fields is None or not _speaks_websocket(fields):
        return None
    origin, offer = fields.get("origin"), fields.get("sec-websocket-extensions")
    if (origin is not None and not _origin(origin)) or (offer is not None and offer not in _OFFERS):
        return None
    return Upgrade(
        fields["sec-websocket-key"],
        origin or "",
        fields.get("x-forwarded-for", ""),
        offer is not None,
        data[end + 4 :],
        "authorization" in fields or "?" in request_line,
    )


def _read_fields(lines: list[str]) -> dict[str, str] | None:
    """Fields by their names in small letters. Nothing unusual: no field twice, no folded line,
    only printable characters."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not (colon and _name(name) and line.isprintable()):
            return None
        fields[name.lower()] = value.strip(" ")
    return fields if len(fields) == len(lines) and not _UNUSUAL & fields.keys() else None


def _speaks_websocket(fields: dict[str, str]) -> bool:
    """Whether the fields are those of RFC 6455, section 4.2.1."""
    get = fields.get
    return bool(
        _host(get("host", ""))
        and get("upgrade", "").lower() == "websocket"
        and get("connection", "").lower() in _CONNECTION
        and get("sec-websocket-version") == "13"
        and _key(get("sec-websocket-key", ""))
    )

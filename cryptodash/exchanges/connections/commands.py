"""What the engine asks of the world; ``service.py`` carries it out.
Inputs come back by the same connection id or request."""

from __future__ import annotations

from attrs import frozen

from cryptodash.core.events import Event
from cryptodash.exchanges.adapter.plan import RestRequest


@frozen
class Connect:
    """Open a WebSocket to ``url``; answer with ``Engine.opened`` or ``Engine.closed``."""

    connection: str
    endpoint: str
    url: str


@frozen
class Send:
    """Send one text frame; answer with ``Engine.may_send`` once the next one may follow, as far apart as the venue
    wants."""

    connection: str
    payload: bytes


@frozen
class Disconnect:
    """Close the connection; ``abort`` without a closing handshake (a half-open peer never answers one).
    ``why`` for the log and the counter."""

    connection: str
    why: str
    abort: bool = False


@frozen
class Fetch:
    """Make a REST request within the budget; answer with ``Engine.rest_answer`` or ``Engine.rest_failed``."""

    request: RestRequest


@frozen
class Closed:
    """How a connection ended, for ``Engine.closed``.

    ``status`` is the HTTP status of a refused handshake, ``code`` the WebSocket close code, ``kind`` one of: ``dns``,
    ``tcp``, ``tls``, ``timeout``, ``http``, ``remote``, ``local``, ``gap`` (frames are missing, so that we gave it up).
    """

    kind: str
    code: int | None = None
    status: int | None = None
    retry_after: float | None = None
    reason: str = ""


Output = Connect | Send | Disconnect | Fetch | Event

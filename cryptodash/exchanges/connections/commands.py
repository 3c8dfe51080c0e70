"""What the engine asks of the world; ``service.py`` carries it out.
Inputs come back by the same connection id or request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen
from msgspec import Struct

from cryptodash.core.events import Event, Level
from cryptodash.core.topics import Topic
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


class ReadableBook(Protocol):
    """The read side of a live order book."""

    @property
    def synced(self) -> bool:
        """Whether it is a state of the venue's book."""

    def top(self, depth: int) -> tuple[Sequence[Level], Sequence[Level]]:
        """(bids, asks), best first: at most ``depth`` levels a side, and only levels that are *proven* (inside the
        horizon)."""


class BookChanged(Struct, frozen=True, gc=False):
    """Show the book of ``topic`` (depth 0), which holds a new consistent state, to those who look at it: at once or
    after further changes, to be read from ``book`` then.

    ``rebuilt`` says that it was resynchronised and does not follow from the state before. Times are those of
    ``core.events``.
    """

    topic: Topic
    book: ReadableBook
    timestamp: int
    received: int
    rebuilt: bool = False


Publication = BookChanged | Event
"""News for the hub; a book's goes by ``BookPublisher``."""

Output = Connect | Send | Disconnect | Fetch | Publication

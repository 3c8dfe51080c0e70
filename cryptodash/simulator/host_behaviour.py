"""What one venue's hosts do in their own way: the methods a dialect writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import Stream


class HostBehaviour(ABC):
    """To be implemented in a subclass of ``VenueHost``: what must be said first, then what may be."""

    lifetime: float | None = None
    """Seconds after which the venue cuts a connection."""
    garbage: Sequence[str] = ()
    """Broken frames that are nearly the venue's, for the fault ``garbage``."""
    id_members: Sequence[str] = ()
    """The members of its quotes, trades and book frames that are an id which grows, for the fault ``future-id``."""
    time_members: Sequence[str] = ()
    """Those of these and of its figures that are a time (ms, or RFC 3339 text), for the fault ``future-time``."""

    level_size: str = r'\["[0-9.]+","([0-9.]+)"'
    """Pattern that finds a level in the frames of its books, with the size as its group, for the fault ``wrong-size``;
    here ``["63005.1","0.25"``."""

    # --- what a dialect must say ---

    @abstractmethod
    def market_of(self, path: str) -> MarketType | None:
        """The market a WebSocket path serves; None for a path that does not exist, or that serves several."""

    @abstractmethod
    def received(self, session: ClientSession, text: str) -> None:
        """A text frame came: read it, ``subscribe`` and ``unsubscribe``, and ``reply``."""

    @abstractmethod
    def answer(self, path: str, query: Mapping[str, str]) -> HttpAnswer:
        """The answer to a GET request; the faults have let it through."""

    # --- what a dialect may say ---

    def has_path(self, path: str) -> bool:
        """Whether a WebSocket path exists; for venues on which one connection carries several markets."""
        return self.market_of(path) is not None

    # A hook and no abstract method: most venues wait for the client to speak, and their dialects leave it out.
    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:  # noqa: B027
        """A connection has opened: the venue may speak first, and begin to watch heartbeats."""

    def rest_market(self, path: str, query: Mapping[str, str]) -> MarketType | None:
        """The market that a REST request is about, on a host with several; None where it is about all of them. A fault
        of one market leaves the requests of the others alone."""
        return None

    def numbered(self, sessions: Sequence[ClientSession], stream: Stream, payload: str) -> str:
        """A frame on its way to these sessions, before faults lose it or let others overtake it: the place to number
        it, for venues that number all frames of a connection in one series. A frame that comes a second time (one that
        a fault held back) keeps its numbers."""
        return payload

    def deliver(self, session: ClientSession, stream: Stream, payload: str) -> None:
        """One frame to one session."""
        session.push(payload)

    def deliver_answer(self, session: ClientSession, text: str) -> None:
        """The answer to a request, now that it goes out."""
        session.push(text)

    def loss_shows(self, stream: Stream) -> bool:
        """Whether a client can know, sooner or later, that it lacks the frame of a book which the stream has just made:
        the fault ``skip`` waits for one. A venue that numbers its frames makes no other."""
        return True

    def book_number(self, instrument: SimulatedInstrument) -> int:
        """The number by which REST names the state of a book, where that is another than the id of its last change."""
        return 0

    def too_many_messages(self, session: ClientSession) -> None:
        """A client sent more frames than it may: nothing is done for this one."""
        session.close(1008, "Too many requests")

    def announce_maintenance(self, session: ClientSession) -> None:
        """The venue goes down for maintenance: say so the venue's way, and close."""
        session.close(1012, "service restart")

    def blocked(self) -> HttpAnswer:
        """To REST requests and upgrades from a country that the venue does not serve."""
        return HttpAnswer(451, b"Unavailable For Legal Reasons")

    def too_many_requests(self, retry_after: str) -> HttpAnswer:
        """To a REST request beyond the limit."""
        return HttpAnswer(429, b"Too Many Requests", {"Retry-After": retry_after})

    def banned(self, retry_after: str) -> HttpAnswer:
        """To a REST request of a banned address."""
        return HttpAnswer(418, b"I'm a teapot", {"Retry-After": retry_after})

    def out_of_service(self) -> HttpAnswer:
        """To a REST request during maintenance."""
        return HttpAnswer(503, b"Service Unavailable")

"""What the simulator is told of one venue. To simulate a venue, write a dialect.

A dialect is a folder ``dialects/<venue id>/`` with ``dialect.py`` and in it ``DIALECT``, or an object that another
distribution announces in the entry-point group ``cryptodash.dialects`` under the venue's id. It is written from the
venue's documents, never from our adapter for the venue: the two are to find each other's mistakes.

- ``IDialect`` lists what is asked of it; ``implementer(IDialect)`` on its class.
- Each of its hosts is a subclass of ``VenueHost`` (``host.py``): ``market_of``, ``received`` and ``answer`` must be
  written, the rest of ``HostBehaviour`` where the venue differs.
- Where one connection carries several markets, ``market_of`` is None, ``has_path`` tells the paths, and ``subscribe``
  is given the market of each stream; a fault of one market meets the connections that have streams of it.
- Each stream is made by a ``StreamFeed`` (``streams.py``) from the ``SimulatedInstrument`` (``instrument.py``): its
  book, its candles, and what its last step has changed.
- Faults work by themselves, but for these: ``old-snapshot`` needs REST order books to come from
  ``VenueHost.book_image``, ``crossed`` needs feeds and REST answers to take ``shown_top`` and ``shown_levels`` of
  ``SimulatedInstrument`` or to look at its ``crossed``, ``delist`` needs the catalogue to ask
  ``VenueHost.is_delisted``, ``clock`` needs all times to be the ``now`` that a feed is given, ``VenueHost.clock`` and
  the times of trades and candles, and feeds that keep a pace to do so by ``Pace`` (``pace.py``), ``skip`` needs
  ``VenueHost.loss_shows`` where frames of a book have no numbers. Feeds about a whole
  market leave out what ``VenueHost.is_silent`` names. A fault that the dialect does not do is left out of
  ``IDialect.faults``.
- A venue that numbers all frames of a connection in one series does so in ``VenueHost.numbered``, so that a fault that
  loses frames or changes their order shows in it, and in ``VenueHost.deliver_answer``.
- ``IRecordingReader`` is for recordings of the venue and their replay, ``IBookSnapshots`` and ``IFiguresSnapshots``
  for those that begin in the middle, ``ITextHeartbeats`` for a venue whose clients send heartbeats that are not JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from zope.interface import Attribute, Interface

from cryptodash.core.instruments import MarketType
from cryptodash.core.numbers import Number
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec
from cryptodash.simulator.recorded_files import RecordedAnswer


@frozen
class HostSpec:
    """One host name of a venue.

    ``name`` is the venue's id, followed by ``-`` and the market where there are several hosts (``acme-spot``).
    ``websocket_paths`` and ``rest_path`` are where it answers, for people who point a client at it. ``make`` is the
    class of the host.
    """

    name: str
    markets: tuple[MarketType, ...]
    websocket_paths: tuple[str, ...]
    rest_path: str
    limits: HostLimits
    make: Callable[[HostEnvironment], VenueHost]


@frozen
class StreamRequest:
    """A client's request as the venue understands it: the streams it begins and ends by name, and the answer;
    ``further_answers`` where the venue gives several."""

    subscribes: tuple[str, ...]
    unsubscribes: tuple[str, ...]
    answer: str
    further_answers: tuple[str, ...] = ()


@frozen
class SnapshotRequest:
    """A REST request for an order book. ``market`` is None where the URL does not tell it."""

    market: MarketType | None
    native: str
    limit: int


class IRecordingReader(Interface):
    """How recorded frames of a venue are read, so that they can be played again."""

    perpetual_words: Collection[str] = Attribute(
        "words in a file's name that say that it holds perpetuals; a file with none of them holds spot"
    )

    def read_request(message: Mapping[str, Any]) -> StreamRequest | None:
        """What a client's message asks for, or what was asked for by what an answer repeats of it; None for one that is
        neither. Names that are no texts are passed over."""

    def read_data(
        message: Mapping[str, Any] | Sequence[Any], text: str, requested: Sequence[str]
    ) -> tuple[str, str] | None:
        """(stream, frame) of a recorded data frame, ``message`` being what ``text`` says, an object or an array; None
        for everything else, answers above all. Frames that are neither are passed over without a call.

        ``requested`` are the streams the recorder asked for: the one way to know the stream of a frame that does not
        say it. The frame is ``text``, in the form that a client of the stream gets.
        """

    def native_of(stream: str) -> str:
        """The venue's name of the instrument that a stream is about, in upper case; empty for a whole market."""

    def prices_in(text: str) -> Iterable[str]:
        """Prices that a frame mentions, as their text: a recording has no catalogue, so that the tick size is told from
        these."""

    def read_snapshot_request(url: str) -> SnapshotRequest | None:
        """What a REST URL asks for, with or without a host; None if it is no order book. Raises ``ValueError`` for a
        limit that is no number."""


Levels = Sequence[tuple[Number, Number]]
"""Price and size, best first."""


@frozen
class RecordedBook:
    """An order book at a moment of a recording. ``depth``: how many levels a side its stream carries (None: all),
    ``sequence`` the venue's id of its last change (None: it has none), ``time`` the venue's (ms). Texts have the
    venue's digits, but sizes are base quantities: ``contract_size`` of them are a contract (None: they are none).
    ``limit``: a REST answer with so many levels a side says as much as is known."""

    market: MarketType
    native: str
    depth: int | None
    sequence: int | None
    time: int
    bids: Levels
    asks: Levels
    limit: int
    contract_size: Number | None = None


class IBookSnapshots(Interface):
    """What the ``IRecordingReader`` of a venue provides besides, whose recordings can be played from the middle on."""

    def book_snapshot(book: RecordedBook) -> str | RecordedAnswer:
        """How the venue would have told the book then: a frame of the book's stream, or the answer to a REST request,
        where the stream has changes only. Raises ``ValueError`` for a book that the venue cannot have."""


@frozen
class RecordedFigures:
    """What was known of an instrument's ticker at a moment of a recording: by members of ``core.events.Ticker``, as
    text. ``time``: when the venue told its 24 h figures (ms)."""

    market: MarketType
    native: str
    time: int
    figures: Mapping[str, str]


class IFiguresSnapshots(Interface):
    """What the ``IRecordingReader`` of a venue provides besides, which tells of figures only what has changed."""

    def figures_snapshot(figures: RecordedFigures) -> str | None:
        """The frame by which the venue would have told all of them; None where each of its frames does so. Raises
        ``ValueError`` for figures that the venue cannot have."""


class INumberedFrames(Interface):
    """What the ``IRecordingReader`` of a venue provides besides, which numbers all frames of a connection in one
    series: a replay leaves out answers and heartbeats, and gives answers of its own."""

    def numbered(text: str, number: int) -> str:
        """A frame, or an answer, as the one with this number, from 0, on its connection. What the recorder itself had
        lost is then no gap in the series."""


class ITextHeartbeats(Interface):
    """What the ``IRecordingReader`` of a venue provides besides, whose clients send heartbeats that are not JSON."""

    def answer_text(text: str) -> str | None:
        """The answer to a client's frame that is no JSON object; None for one that is no request."""


class IDialect(Interface):
    """One venue's wire as the simulator speaks it."""

    exchange: str = Attribute("the venue's id: its folder's or its entry point's name")
    hosts: Sequence[HostSpec] = Attribute("each market belongs to one of them")
    markets: Mapping[MarketType, MarketSpec] = Attribute("what each market of its hosts lists")
    faults: Collection[str] = Attribute("names of the faults it does; ``faults.FAULTS`` if it does all of them")
    recordings: IRecordingReader | None = Attribute("None if recordings of the venue cannot be played")

"""A venue as it was recorded: the venue's own words, with the streams that the recording has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from attrs import evolve
from msgspec.structs import replace
from zope.interface import directlyProvides

from cryptodash.core.errors import ConfigError, NumberRejected, UpstreamError
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.intervals import INTERVALS
from cryptodash.core.numbers import admit
from cryptodash.core.topics import FREE_DEPTHS, Channel, Topic
from cryptodash.exchanges.adapter.book_rules import SnapshotSource
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Depth, Mark, Message, Quote, Reader, Stats, Trades
from cryptodash.exchanges.adapter.plan import Part, Plan, Purpose, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import IVenue

PARTS_OF: dict[type, Part] = {
    Quote: Part.QUOTE,
    Stats: Part.STATS,
    Mark: Part.MARK,
    Trades: Part.TRADES,
    Depth: Part.BOOK,
    Bar: Part.CANDLE,
}


class _Row(msgspec.Struct):
    native: str
    base: str
    quote: str
    tick: str


class RecordedVenue:
    """Everything of ``venue`` but its plans and catalogue, which follow the recording.

    A recorder may have chosen other streams than we do today (another speed, a book tier since withdrawn). A plan's
    stream that was not recorded is replaced by a recorded one of the same instrument that says the same kind of thing,
    or left out. ``samples`` holds one frame of each recorded stream, ``limits`` by native name the levels a side that
    the recorded book snapshot was asked for, ``listed`` what the venue's own catalogue, where it was recorded, said of
    an instrument (how much a contract is, say).

    A quote without a time of its own gets the newest time of the frames before it: our clock, which would do for a live
    venue, is not of that day.
    """

    def __init__(
        self,
        venue: Any,
        samples: Mapping[str, str],
        limits: Mapping[str, int] | None = None,
        listed: Mapping[str, Instrument] | None = None,
    ) -> None:
        self._venue = venue
        self._listed = listed or {}
        self._limits = limits or {}
        # A recording answers no request that was not made when it was: nothing of it is compared with a snapshot.
        self.book_rules = {market: evolve(rules, audit=None) for market, rules in venue.book_rules.items()}
        self._pool = next(iter(venue.rest_limits))
        self._time = 0
        self._kinds = {name: self._kind(name, text) for name, text in samples.items()}
        directlyProvides(self, IVenue)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def _kind(self, name: str, text: str) -> Part | None:
        endpoint = next(iter(self._venue.endpoints))
        try:
            read = self._venue.reader(StreamSpec(endpoint, name, frozenset()))
            messages = reading(read, name, text.encode())
        except BadFrame:
            return None
        for time in filter(None, map(_time_of, messages)):
            self._time = min(self._time or time, time)
        return next((PARTS_OF[type(message)] for message in messages if type(message) in PARTS_OF), None)

    def reader(self, stream: StreamSpec) -> Reader:
        read = self._venue.reader(stream)
        return lambda name, frame: [self._timed(message) for message in read(name, frame)]

    def _timed(self, message: Message) -> Message:
        time = _time_of(message)
        if time is not None:
            self._time = max(self._time, time)
        elif isinstance(message, Quote) and self._time:
            return replace(message, time=self._time)
        return message

    def topics(self, exchange: str, market: MarketType, symbols: Mapping[str, Symbol], depth: int) -> list[Topic]:
        """Every topic the recording can feed. Raises ``ConfigError`` where there is none."""
        found = [
            topic
            for name, kind in self._kinds.items()
            for native, symbol in symbols.items()
            for topic in self._topics_of(kind, Topic(exchange, market, symbol, Channel.TICKER), depth)
            if self._feeds(name, kind, topic, native)
        ]
        if not found:
            raise ConfigError(
                "replay: no stream of this recording carries what "
                f"{exchange} is read for here: {', '.join(self._kinds)[:200]}"
            )
        return list(dict.fromkeys(found))

    def _topics_of(self, kind: Part | None, ticker: Topic, depth: int) -> list[Topic]:
        """What a stream of this kind could be for, of the instrument of ``ticker``."""
        if kind is Part.BOOK:
            return [ticker.sibling(Channel.ORDER_BOOK, depth=depth)]
        if kind is Part.CANDLE:
            known = self._venue.intervals(ticker.market)
            return [ticker.sibling(Channel.CANDLE, interval=each) for each in INTERVALS if each in known]
        if kind is Part.TRADES:
            return [ticker.sibling(Channel.TRADE)]
        return [] if kind is None else [ticker]

    def _feeds(self, name: str, kind: Part | None, topic: Topic, native: str) -> bool:
        """Whether a recorded stream is what the venue plans for the topic, or the like of it for the same
        instrument."""
        instrument = Instrument(topic.exchange, topic.market, topic.symbol, native, admit("1"), admit("1"))
        planned = [spec.name for spec in self._venue.plan(topic.upstream, instrument, 0).streams]
        if kind is Part.CANDLE:
            return name in planned
        return any(_is_of_same(name, each, native) for each in planned)

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        """As the venue plans, of what there is. Raises ``UpstreamError`` for a topic that was not recorded:
        it is then shown as rejected."""
        plan: Plan = self._venue.plan(topic, instrument, depth)
        streams = [spec for each in plan.streams if (spec := self._recorded(each, topic, instrument)) is not None]
        unique = tuple({spec.name: spec for spec in streams}.values())
        if not unique:
            raise UpstreamError("rejected", f"the recording has nothing of {topic}")
        parts = frozenset[Part]().union(*(spec.parts for spec in unique))
        return Plan(unique, (), plan.required & parts)

    def _recorded(self, spec: StreamSpec, topic: Topic, instrument: Instrument | None) -> StreamSpec | None:
        """The stream to take for this one. No tier of a book: a recording has one, whatever depth is watched,
        and its own deletes keep to it."""
        if spec.name in self._kinds:
            return evolve(spec, promise=None, depth=self._tier(spec.name, topic, instrument), seed="")
        if instrument is None or Part.CANDLE in spec.parts:
            return None
        for name, kind in self._kinds.items():
            if kind in spec.parts and _is_of_same(name, spec.name, instrument.native):
                return evolve(spec, name=name, promise=None, depth=self._tier(name, topic, instrument), seed="")
        return None

    def _tier(self, name: str, topic: Topic, instrument: Instrument | None) -> int | None:
        """The depth of a recorded book of which checksums are sent: what is pushed out of it is not deleted, and one
        that holds it still is another book."""
        if topic.channel is not Channel.ORDER_BOOK or self.book_rules[topic.market].checksum is None:
            return None
        plans = (self._venue.plan(topic, instrument, depth) for depth in FREE_DEPTHS)
        return next((spec.depth for plan in plans for spec in plan.streams if spec.name == name), None)

    def snapshot_request(self, topic: Topic, instrument: Instrument, levels: int) -> RestRequest | None:
        """Says how many levels the recorded snapshot was asked for: beyond those nothing is proven,
        however many are asked for now."""
        if self.book_rules[topic.market].snapshots is SnapshotSource.STREAM:
            return None
        request: RestRequest | None = self._venue.snapshot_request(topic, instrument, levels)
        return None if request is None else evolve(request, limit=self._limits.get(instrument.native, 1))

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        return (RestRequest(Purpose.CATALOGUE, market, "/replay/catalogue", pool=self._pool),)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        step = admit("0.00000001")
        try:
            rows = msgspec.json.decode(body, type=list[_Row])
            instruments = [
                Instrument(
                    self._venue.id, request.market, Symbol(row.base, row.quote), row.native, admit(row.tick), step
                )
                for row in rows
            ]
        except (msgspec.MsgspecError, NumberRejected) as error:
            raise BadFrame("schema", str(error)) from None
        return self._as_listed(instruments), None

    def _as_listed(self, instruments: Sequence[Instrument]) -> Sequence[Instrument]:
        """With the size of a contract. What no catalogue has, and is called as something that it has, is no instrument
        of this market: an index, of which there are streams too."""
        listed = {each.native: found for each in instruments if (found := self._listed.get(each.native)) is not None}
        taken = {each.symbol for each in instruments if each.native in listed}
        return [
            evolve(each, contract_size=listed[each.native].contract_size) if each.native in listed else each
            for each in instruments
            if each.native in listed or each.symbol not in taken
        ]

    def probe_request(self, market: MarketType) -> RestRequest:
        return RestRequest(Purpose.PROBE, market, "/replay/time", pool=self._pool)

    def rest_error(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
        """The stand-in's own answers: its 503 means that the recording has no further snapshot."""
        return None if status == 200 else ("", f"the recording has no answer ({status})", None)


def _time_of(message: Message) -> int | None:
    if isinstance(message, Trades):
        return message.fills[-1].time if message.fills else None
    return getattr(message, "time", None)


def _is_of_same(recorded: str, planned: str, native: str) -> bool:
    """Whether a recorded stream is of the instrument that a planned one is of: its name holds the native name between
    the same characters. A venue does not say how it makes names, but its plan shows it."""
    places = _neighbours(planned, native)
    return bool(places & _neighbours(recorded, native))


def _neighbours(stream: str, native: str) -> set[tuple[str, str]]:
    """The characters before and after each place where a native name stands in a stream's name; empty at its ends."""
    folded, name = stream.casefold(), native.casefold()
    starts = (match.start() for match in re.finditer(re.escape(name), folded))
    return {(folded[max(0, start - 1) : start], folded[start + len(name) :][:1]) for start in starts}

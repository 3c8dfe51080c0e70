"""What a recording's streams and instruments are called here. Where a venue names no streams, the recording's reader
and the adapter each have names of their own; what a subscription says is the same in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.topics import FREE_DEPTHS, Channel, Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.plan import RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import IVenue


def own_names(
    venue: IVenue,
    market: MarketType,
    symbols: Mapping[str, Symbol],
    asked: Callable[[bytes], Sequence[str]],
    samples: Mapping[str, str],
) -> dict[str, str]:
    """``samples`` (a frame of each stream by its name in the recording) by the adapter's names, where it has one.
    ``asked``: the recording's names of the streams that a subscribe frame asks for."""
    own: dict[str, str] = {}
    for native, symbol in symbols.items():
        one = admit("1")
        instrument = Instrument(venue.id, market, symbol, native, one, one, contract_size=one)
        for spec in _plannable(venue, instrument):
            for name in asked(venue.subscribe(spec.endpoint, [spec.name], "1")):
                own.setdefault(name, spec.name)
    return {own.get(name, name): text for name, text in samples.items()}


def listed(
    venue: IVenue, market: MarketType, answers: Callable[[RestRequest], Iterable[bytes]]
) -> dict[str, Instrument]:
    """By native name, the instruments of recorded answers to the requests for the catalogue; an answer that cannot be
    read says nothing."""
    found: dict[str, Instrument] = {}
    for request in venue.catalogue_requests(market):
        for body in answers(request):
            try:
                page, _ = reading(venue.read_catalogue, request, body)
            except BadFrame:
                continue
            found.update((each.native, each) for each in page if isinstance(each, Instrument))
    return found


def _plannable(venue: IVenue, instrument: Instrument) -> Iterator[StreamSpec]:
    """Every stream that may be planned for an instrument."""
    topic = Topic(venue.id, instrument.market, instrument.symbol, Channel.TICKER)
    wanted = [(topic.sibling(each), 0) for each in Channel if each not in (Channel.ORDER_BOOK, Channel.CANDLE)]
    wanted += [(topic.sibling(Channel.ORDER_BOOK), depth) for depth in FREE_DEPTHS]
    wanted += [(topic.sibling(Channel.CANDLE, interval=each), 0) for each in venue.intervals(instrument.market)]
    for each, depth in wanted:
        try:
            yield from venue.plan(each, instrument, depth).streams
        except UpstreamError:
            continue

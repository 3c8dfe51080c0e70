"""``/api/compare``: the composite best bid and offer of some symbols, over all venues or some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptodash.api.http import payloads
from cryptodash.api.http.errors import not_yet_known
from cryptodash.api.http.queries import Query
from cryptodash.core.errors import Refused
from cryptodash.core.events import StreamStatus
from cryptodash.core.time import Clock
from cryptodash.core.topics import COMPOSITE, Channel, Topic, check_exchange
from cryptodash.hub.composite import CompositeBbo
from cryptodash.hub.composite_messages import bbo_payload
from cryptodash.hub.interfaces import IDirectory, IValues

MOST_SYMBOLS: Final = 20


def named_topics(directory: IDirectory, query: Query) -> list[Topic]:
    """The topics of ``symbols``, each once. Raises ``Refused``: as ``IDirectory.resolve``, and ``too_many_symbols``."""
    names = list(dict.fromkeys(name.strip() for name in query.need("symbols").split(",") if name.strip()))
    if not names:
        raise Refused("missing_parameter", "parameter 'symbols' names no symbol")
    if len(names) > MOST_SYMBOLS:
        raise Refused("too_many_symbols", f"{len(names)} symbols: at most {MOST_SYMBOLS} can be compared at a time")
    market = query.market()
    word = market.value if market else None
    return list(dict.fromkeys(directory.resolve(COMPOSITE, word, Channel.BBO.value, name) for name in names))


def named_exchanges(directory: IDirectory, query: Query) -> frozenset[str] | None:
    """The venues of ``exchanges``; None: all. Raises ``Refused`` ``unknown_exchange``."""
    text = query.get("exchanges")
    if text is None:
        return None
    enabled = directory.exchanges()
    return frozenset(check_exchange(name.strip(), enabled) for name in text.split(",") if name.strip()) or None


def check_listed(topics: Sequence[Topic], exchanges: frozenset[str] | None, values: IValues) -> None:
    """Raises ``Refused`` ``unknown_symbol`` where none of the venues has any of the symbols: no value will ever come.
    Where they have one of several, the others say that they are closed."""
    if exchanges is not None and not any(exchanges.intersection(values.constituents(topic)) for topic in topics):
        names, symbols = ", ".join(sorted(exchanges)), ", ".join(str(topic.symbol) for topic in topics)
        raise Refused("unknown_symbol", f"{names}: no {topics[0].market} symbol {symbols}", 404)


async def first_values(values: IValues, topics: Sequence[Topic], clock: Clock, seconds: float) -> None:
    """Wait until every venue of every topic has said what there is to say, for so long altogether."""
    over = clock.monotonic() + seconds
    for topic in topics:
        await values.first_value(topic, 0, max(0.0, over - clock.monotonic()))


def comparison(
    topics: Sequence[Topic], exchanges: frozenset[str] | None, values: IValues, directory: IDirectory
) -> str:
    """The answer. One symbol without any quote says why; raises ``Refused`` ``not_yet_known`` where nothing at all is
    known of any."""
    found = [(topic, values.composite(topic, exchanges)) for topic in topics]
    known = [(topic, quote) for topic, quote in found if quote is not None]
    if not any(quote.is_telling for _, quote in known):
        raise not_yet_known(topics[0])
    source = directory.source(COMPOSITE)
    rows = [_item(quote, values.stream_status(topic) if exchanges is None else None, source) for topic, quote in known]
    return f'{{"quotes":[{",".join(rows)}]}}'


def _item(quote: CompositeBbo, told: StreamStatus | None, source: str) -> str:
    """``told``: the status that those who watch it have got, where it is of all venues."""
    status = StreamStatus(quote.topic, quote.state, quote.cause, since=quote.since)
    if told is not None and (told.state, told.cause) == (status.state, status.cause):
        status = told
    ages = [each.age_ms for each in quote.venues]
    return payloads.with_status(bbo_payload(quote), status, max(ages, default=None), source)

"""What is derived of several venues, as messages: encoded once for everybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptodash.core import codec
from cryptodash.core.events import Level
from cryptodash.core.numbers import Number
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Topic
from cryptodash.hub.composite import Best, CompositeBbo, Excluded, VenueQuote
from cryptodash.hub.composite_book import MergedQuantity
from cryptodash.hub.interfaces import Message


def bbo_message(event: CompositeBbo) -> Message:
    return Message(event.topic, "bbo", codec.message("bbo", bbo_payload(event)), event.topic, urgent=event.takes_back)


def bbo_payload(event: CompositeBbo) -> str:
    """The JSON object; what is not known is left out."""
    e = event
    members = [*_time("timestamp", e.timestamp), e.topic.json, *_best("bid", e.bid), *_best("ask", e.ask)]
    for name in ("spread", "spread_bps", "crossed_bps", "crossed_size"):
        members += _member(name, getattr(e, name))
    members += [f'"venues":{{{",".join(map(_venue, e.venues))}}}', f'"excluded":{excluded_json(e.excluded)}']
    return "{" + ",".join([*members, *_time("received", e.received)]) + "}"


def excluded_json(excluded: Iterable[Excluded]) -> str:
    """``[{"exchange":...,"state":...,"cause":...}]``; without a cause while nothing has come yet."""
    rows = []
    for each in excluded:
        cause = "" if each.cause is None else f',"cause":"{each.cause.value}"'
        rows.append(f'{{"exchange":"{each.exchange}","state":"{each.state.value}"{cause}}}')
    return f"[{','.join(rows)}]"


def _time(name: str, ms: int | None) -> list[str]:
    return [] if ms is None else [f'"{name}":"{rfc3339(ms)}"']


def _member(name: str, value: Number | None) -> list[str]:
    return [] if value is None else [f'"{name}":{value}']


def _best(side: str, best: Best | None) -> list[str]:
    if best is None:
        return []
    return [f'"{side}":{best.price}', *_member(f"{side}_size", best.size), f'"{side}_exchange":"{best.exchange}"']


def _venue(quote: VenueQuote) -> str:
    members = [part for name in ("bid", "bid_size", "ask", "ask_size") for part in _member(name, getattr(quote, name))]
    if quote.quote is not None:
        members.append(f'"quote":{codec.text(quote.quote)}')
    members.append(f'"age_ms":{quote.age_ms}')
    return f'"{quote.exchange}":{{{",".join(members)}}}'


def snapshot_message(
    topic: Topic,
    timestamp: int,
    received: int,
    sequence: int,
    bids: Sequence[Level],
    asks: Sequence[Level],
    complete: bool,
    excluded: Iterable[Excluded],
) -> Message:
    """The merged view as published."""
    sides = f'"bids":{_levels(bids)},"asks":{_levels(asks)}'
    payload = _book(topic, timestamp, received, sequence, sides, complete, excluded)
    return Message(topic, "order_book_snapshot", codec.message("order_book_snapshot", payload), topic)


def delta_message(
    topic: Topic,
    timestamp: int,
    received: int,
    sequence: int,
    upserts: tuple[Sequence[Level], Sequence[Level]],
    deletes: tuple[Sequence[Number], Sequence[Number]],
    complete: bool,
    excluded: Iterable[Excluded],
) -> Message:
    """What turns the view before into this one; ``complete`` and ``excluded`` are those of all of it."""
    changes = f'"bids_upserts":{_levels(upserts[0])},"asks_upserts":{_levels(upserts[1])}'
    gone = f'"deletes":{{"bids":[{",".join(deletes[0])}],"asks":[{",".join(deletes[1])}]}}'
    payload = _book(topic, timestamp, received, sequence, f"{changes},{gone}", complete, excluded)
    return Message(topic, "order_book_delta", codec.message("order_book_delta", payload), topic)


def _book(
    topic: Topic,
    timestamp: int,
    received: int,
    sequence: int,
    levels: str,
    complete: bool,
    excluded: Iterable[Excluded],
) -> str:
    head = f'"timestamp":"{rfc3339(timestamp)}",{topic.json},"sequence":{sequence}'
    tail = f'"complete":{codec.text(complete)},"excluded":{excluded_json(excluded)},"received":"{rfc3339(received)}"'
    return f"{{{head},{levels},{tail}}}"


def _levels(side: Sequence[Level]) -> str:
    rows = [f'{{"price":{price},"quantity":{_quantity(size)}}}' for price, size in side]
    return f"[{','.join(rows)}]"


def _quantity(size: Number) -> str:
    return size.json if isinstance(size, MergedQuantity) else size

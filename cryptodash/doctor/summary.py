"""Puts together what was noted, what the streams report and what was counted. Pure."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Collection, Iterable, Mapping, Sequence

from cryptodash.core.instruments import Catalogue, Instrument, MarketType
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.tally import Counter
from cryptodash.doctor.choice import Choice
from cryptodash.doctor.facts import AuditFacts, ChecksumFacts, ChoiceFacts, DelayFacts, MarketFacts, VenueFacts
from cryptodash.doctor.notes import MOST_LEFT_OUT, Notes
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.builders.doubt_counts import Reason

AUDITS = "cryptodash_book_audits_total"
"""The counter of audits, where there are any: a label for the result."""
_AHEAD = (Reason.FUTURE_ID.value, Reason.FUTURE_TIME.value)
"""Old ones are no sign of anything: they come after every reconnect."""


def summary(
    venue: IVenue,
    notes: Notes,
    catalogue: Catalogue,
    streams: Sequence[StreamReport],
    counters: Mapping[str, Counter],
    chosen: Mapping[MarketType, Sequence[Choice]],
    not_served: Mapping[MarketType, tuple[str, ...]],
) -> VenueFacts:
    """What was seen of a venue."""
    markets = []
    for market in venue.markets:
        own = [each for each in streams if any(topic.market is market for topic in each.topics)]
        noted = notes.markets[market]
        rules = venue.book_rules.get(market)
        markets.append(
            MarketFacts(
                market=market.value,
                statuses=_statuses(each for each in catalogue if each.market is market),
                unknown=tuple(noted.unknown),
                unknown_words=_unknown_words(each for each in catalogue if each.market is market),
                wrong_contracts=tuple(noted.wrong_contracts),
                chosen=tuple(map(_choice, chosen.get(market, ()))),
                connections=tuple(each.facts() for each in notes.connections.values() if each.market is market),
                topics=tuple(each.facts() for each in notes.of_market(market)),
                not_served=not_served.get(market, ()),
                requests=tuple(each.facts() for each in noted.requests.values()),
                unreadable=noted.unreadable,
                gaps=sum(each.gaps for each in own),
                resyncs=sum(each.resyncs for each in own),
                checksums=ChecksumFacts(
                    rules is not None and rules.checksum is not None, noted.checksums, noted.checksums_wrong
                ),
                delay=_latest(own),
                alternative=venue.alternative.get(market, ""),
                rest_proxy=noted.rest_proxy,
            )
        )

    def total(name: str, words: Collection[str] = ()) -> int:
        """What a counter has counted; with these words among its labels, if some are given."""
        counter = counters.get(name)
        items = () if counter is None else counter.values.items()
        return sum(count for labels, count in items if not words or not set(labels).isdisjoint(words))

    return VenueFacts(
        exchange=venue.id,
        name=venue.name,
        source="",
        seconds=0.0,
        markets=tuple(markets),
        clock_steps=total("cryptodash_upstream_clock_steps_total"),
        left_out=tuple(notes.left_out_elements),
        unknown_messages=total("cryptodash_upstream_unknown_messages_total"),
        implausible=total("cryptodash_frames_held_total") + total("cryptodash_frames_dropped_total", _AHEAD),
        repeated=total("cryptodash_frames_repeated_total"),
        quotes_crossed=total("cryptodash_quotes_crossed_total"),
        audit=_audit(counters.get(AUDITS)),
    )


def _audit(counter: Counter | None) -> AuditFacts | None:
    """By result, the last of the counter's labels."""
    if counter is None:
        return None
    results: Counts[str] = Counts()
    for labels, count in counter.values.items():
        if count:
            results[labels[-1]] += count
    return AuditFacts(dict(results))


def _statuses(instruments: Iterable[Instrument]) -> dict[str, int]:
    """By our word, with the venue's beside it where it does not trade."""
    words = (
        each.status if each.status == "trading" else f"{each.status} ({each.venue_status or 'no word'})"
        for each in instruments
    )
    return dict(Counts(words).most_common())


def _unknown_words(instruments: Iterable[Instrument]) -> tuple[str, ...]:
    """The most frequent ones, each with how many instruments it is said of and the first of them."""
    said: dict[str, list[str]] = {}
    for each in instruments:
        for word in each.unknown_words:
            said.setdefault(word, []).append(each.native)
    most = sorted(said.items(), key=lambda each: -len(each[1]))[:MOST_LEFT_OUT]
    return tuple(f"{word} of {len(natives)}, the first: {natives[0]}" for word, natives in most)


def _choice(choice: Choice) -> ChoiceFacts:
    turnover = "" if choice.turnover is None else format(choice.turnover.quantize(1), "f")
    return ChoiceFacts(choice.role, str(choice.instrument.symbol), choice.instrument.native, turnover)


def _latest(streams: Sequence[StreamReport]) -> DelayFacts | None:
    known = [each for each in streams if each.delay_p50_ms is not None and each.delay_p99_ms is not None]
    worst = max(known, key=lambda each: each.delay_p50_ms or 0, default=None)
    if worst is None:
        return None
    return DelayFacts(worst.name, worst.delay_p50_ms or 0, worst.delay_p99_ms or 0)

"""Judges what was seen: from facts to findings. Pure.

A finding is ``wrong`` (something does not work, or did not while we looked: exit code 1) or a ``note`` (worth knowing,
nothing to mend). Each has a word of a fixed set (``what``) for programs, a text for people, and what can be done.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from cryptodash.core.events import Cause, State
from cryptodash.core.topics import Channel
from cryptodash.doctor import words
from cryptodash.doctor.choice import MOST_TRADED
from cryptodash.doctor.facts import ConnectionFacts, MarketFacts, RequestFacts, TopicFacts, VenueFacts

SLOW_MS = 3000
"""From here on the answer to the cheapest request is late. A catalogue of many megabytes may take longer."""
LATE_BOOK_MS = 10_000
"""From here on an order book has taken too long to open."""
_SLOW = "the venue or the way to it is slow; another run shows if it lasts"
CLOCK_OFF_MS = 1000
"""From here on a difference between the venue's clock and ours is wrong."""
ADAPTER = "the adapter must be looked at: send what --save wrote"
WEB_PAGE = (
    "a web page came instead of data: a login page of this network, or a proxy or firewall, answers for the venue"
)
MAY_SAY_NOTHING = (Channel.TRADE, Channel.LIQUIDATION, Channel.CANDLE)
"""Channels of which a good stream may bring nothing in half a minute."""


class Severity(str, enum.Enum):
    """Whether it makes the exit code 1."""

    WRONG = "wrong"
    NOTE = "note"

    def __str__(self) -> str:
        return self.value


@frozen
class Finding:
    """``market`` is empty for what concerns the whole venue."""

    severity: Severity
    exchange: str
    market: str
    what: str
    text: str
    advice: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.severity is Severity.WRONG


_OF_CAUSE = {
    Cause.GAP: ("gap", "updates are missing in its sequence"),
    Cause.CHECKSUM: ("checksum", "the book is not the venue's, by the venue's checksum"),
    Cause.CROSSED: ("crossed", "bid and ask are crossed"),
    Cause.SILENT: ("silent", "nothing came where the venue promises frames"),
    Cause.LATE: ("late", "its frames come late"),
    Cause.MAINTENANCE: ("maintenance", "the venue says that it is in maintenance"),
    Cause.BLOCKED: ("geo-block", "the venue does not serve this address"),
    Cause.BANNED: ("ban", "the venue has had too many requests from this address"),
    Cause.CAPACITY: ("budget", "it waited for room in a limit of ours"),
    Cause.REJECTED: ("rejected", "the venue refuses the subscription"),
    Cause.HALTED: ("halted", "it stopped trading"),
    Cause.DELISTED: ("delisted", "it was taken off the venue's list"),
    Cause.DISCONNECTED: ("disconnected", "its connection was lost"),
}
_MOST_NAMED = 3


def findings(facts: VenueFacts) -> Sequence[Finding]:
    """Everything to be said of a venue, what is wrong first."""
    found = [each for market in facts.markets for each in _of_market(facts, market)]
    found += _of_venue(facts)
    unique = {(each.market, each.what, each.text): each for each in found}
    return sorted(unique.values(), key=lambda each: not each.is_wrong)


def _of_market(facts: VenueFacts, market: MarketFacts) -> Iterator[Finding]:
    def wrong(what: str, text: str, advice: str = "") -> Finding:
        return Finding(Severity.WRONG, facts.exchange, market.market, what, text, advice)

    def note(what: str, text: str, advice: str = "") -> Finding:
        return Finding(Severity.NOTE, facts.exchange, market.market, what, text, advice)

    for request in market.requests:
        if request.failed:
            yield _of_request(market, request, wrong)
        elif request.purpose == "probe" and (request.least_ms or 0) >= SLOW_MS:
            yield wrong("late", f"REST {request.purpose}: no answer came before {request.least_ms} ms", _SLOW)
    for connection in market.connections:
        found = _of_connection(connection, market)
        if found is not None:
            yield wrong(found.what, found.text, found.advice)
    yield from (wrong(*found) for found in _of_topics(market))
    yield from (note(*found) for found in _silent_topics(market))
    if market.unreadable.count:
        first = market.unreadable
        text = f"{first.count} frames or answers cannot be read; the first: {first.error}"
        yield wrong("decode", text, _of_unreadable(market))
    missed = sum(each.missed for each in market.topics)
    if missed:
        yield wrong("trades", f"{missed} trades are missing by the venue's own count", "another run shows if it lasts")
    read = market.request("catalogue")
    if not market.chosen and read is not None and read.answered:
        yield wrong("catalogue", "the catalogue lists nothing that trades", ADAPTER)
    if market.chosen and not market.connections:
        yield wrong("connection", "no WebSocket connection was tried", ADAPTER)
    if market.unknown:
        text = f"{len(market.unknown)} listings cannot be used; the first: {market.unknown[0]}"
        yield note("catalogue", text, "send the line, if you want to see the instrument here")
    if market.unknown_words:
        text = f"the catalogue says {len(market.unknown_words)} words that we do not know: {market.unknown_words[0]}"
        yield note("catalogue", text, "send the line: whether or as what such an instrument trades may be shown wrong")
    if market.wrong_contracts:
        text = f"{len(market.wrong_contracts)} contracts have a wrong size; the first: {market.wrong_contracts[0]}"
        yield wrong("contract-size", text, "the exchange has to mend its listing; until then they are not shown")
    if market.not_served:
        yield note("channels", f"the adapter has no {', '.join(market.not_served)} here")


def _of_request(market: MarketFacts, request: RequestFacts, wrong: Callable[[str, str, str], Finding]) -> Finding:
    said = words.by_proxy(words.of_request(request.cause, request.error), market.rest_proxy)
    advice = f"{said.advice}; {market.alternative}" if said.what == "geo-block" and market.alternative else said.advice
    if said.what == "unreadable":
        advice = _of_unreadable(market)
    return wrong(said.what, f"REST {request.purpose}{_way(market.rest_proxy)}: {said.text}", advice)


def _of_unreadable(market: MarketFacts) -> str:
    """What can be done about what cannot be read: no venue sends markup, so that the adapter is not at fault there."""
    return WEB_PAGE if market.unreadable.sample.lstrip().startswith("<") else ADAPTER


def _way(proxy: str) -> str:
    return f" through the proxy {proxy}" if proxy else ""


def _of_connection(connection: ConnectionFacts, market: MarketFacts) -> words.Words | None:
    """What is wrong with a connection, if anything is."""
    where = f"{connection.origin} ({connection.endpoint})"
    way = _way(connection.proxy)
    end = connection.end
    if end is None:
        if connection.open_ms is not None and connection.first_frame_ms is None:
            return words.Words("silent", f"{where} is open{way} and sends nothing", ADAPTER)
        return None
    if not end.opened:
        said = words.by_proxy(words.of_failure(end.kind, end.status, end.reason), connection.proxy)
        advice = said.advice
        if said.what == "geo-block" and market.alternative:
            advice = f"{advice}; {market.alternative}"
        return words.Words(said.what, f"{where} cannot be reached{way}: {said.text}", advice)
    if end.kind == "local" and end.asked in words.OUR_DOING:
        return None
    if end.kind == "local":
        asked = end.asked or end.reason
        return words.Words("disconnected", f"we gave {where} up: {words.GIVEN_UP.get(asked, asked)}", "")
    what = "maintenance" if end.code == 1012 else "disconnected"
    return words.Words(what, f"{where} was ended by the venue: {words.of_end(end.code, end.reason)}", "")


def _of_topics(market: MarketFacts) -> Iterator[tuple[str, str, str]]:
    """Topics that were not good: what they ended as, or were in between, by cause."""
    by_cause: dict[Cause, list[TopicFacts]] = {}
    for topic in market.topics:
        for cause in {each.cause for each in topic.states if each.cause and not each.state.is_good}:
            by_cause.setdefault(cause, []).append(topic)
        if topic.crossed:
            yield "crossed", f"{topic.text} showed bid above ask as live {topic.crossed} times", ADAPTER
        if topic.channel == Channel.ORDER_BOOK and (topic.first_value_ms or 0) >= LATE_BOOK_MS:
            yield "late", f"{topic.text} could be shown only after {topic.first_value_ms} ms", _SLOW
        if _never_came(topic):
            yield "no-value", f"{topic.text} never became live", ADAPTER
    for cause, topics in by_cause.items():
        what, text = _OF_CAUSE[cause]
        yield what, f"{text}: {_names(topics)}", _advice_of(cause)


def _advice_of(cause: Cause) -> str:
    if cause is Cause.LATE:
        return _SLOW
    if cause is Cause.REJECTED:
        return ADAPTER
    return words.of_request(str(cause), "").advice if cause in (Cause.BLOCKED, Cause.BANNED, Cause.MAINTENANCE) else ""


def _never_came(topic: TopicFacts) -> bool:
    """Whether a topic that should be good by now is not, for no cause that is told elsewhere."""
    last = topic.last
    if last is None:
        return True
    if last.state.is_good or last.cause is not None or any(each.state.is_good for each in topic.states):
        return False
    return not (topic.channel in MAY_SAY_NOTHING and (topic.channel == Channel.CANDLE or topic.role != MOST_TRADED))


def _silent_topics(market: MarketFacts) -> Iterator[tuple[str, str]]:
    silent = [
        each
        for each in market.topics
        if each.last is not None
        and each.last.state is State.CONNECTING
        and each.last.cause is None
        and not _never_came(each)
        and not any(state.state.is_good for state in each.states)
    ]
    if silent:
        yield "no-value", f"said nothing yet (run longer, over a full minute): {_names(silent)}"


def _names(topics: Sequence[TopicFacts]) -> str:
    names = [each.text.partition(":")[2].partition(":")[2] for each in topics]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of_venue(facts: VenueFacts) -> Iterator[Finding]:
    def wrong(what: str, text: str, advice: str = "") -> Finding:
        return Finding(Severity.WRONG, facts.exchange, "", what, text, advice)

    ahead = facts.clock_ahead_ms
    if ahead is not None and abs(ahead) >= CLOCK_OFF_MS:
        side = "ahead of" if ahead > 0 else "behind"
        text = f"its clock is at least {abs(ahead)} ms {side} ours"
        yield wrong("clock", text, "set this machine's clock (chrony, systemd-timesyncd), if it is ours that is off")
    if facts.clock_steps:
        yield wrong("clock", f"its clock stepped {facts.clock_steps} times", "another run shows if it lasts")
    if facts.implausible:
        text = f"{facts.implausible} frames had an id or a time that is too far off to be believed at once"
        yield wrong("implausible", text, ADAPTER)
    if facts.quotes_crossed:
        text = f"{facts.quotes_crossed} quotes were left out because bid was not below ask"
        yield wrong("crossed", text, "another run shows if it lasts")
    if facts.audit is not None and facts.audit.diverged:
        yield wrong("audit", f"{facts.audit.diverged} audits found a book that is not the venue's", ADAPTER)
    if facts.left_out:
        yield wrong(
            "left-out", f"{len(facts.left_out)} elements were left out; the first: {facts.left_out[0]}", ADAPTER
        )
    if facts.save_error:
        yield wrong("save", f"saving ended: {facts.save_error}", "make room, or name another directory")

"""The facts and findings as text for people and as JSON for programs. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import asdict, frozen

from cryptodash.doctor.facts import ConnectionFacts, MarketFacts, TopicFacts, VenueFacts
from cryptodash.doctor.findings import Finding, findings

VERDICTS = {False: "all is well", True: "something is wrong"}
_LABEL = 16
_STATES_SHOWN = 6


@frozen
class Report:
    """What the doctor says of one venue."""

    facts: VenueFacts
    findings: Sequence[Finding]

    @property
    def is_wrong(self) -> bool:
        return any(each.is_wrong for each in self.findings)


def report_of(facts: VenueFacts) -> Report:
    """The facts, judged."""
    return Report(facts, findings(facts))


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """Everything, in JSON's types."""
    return {
        "wrong": any(each.is_wrong for each in reports),
        "venues": [
            asdict(each.facts, value_serializer=_plain) | {"findings": [_finding(found) for found in each.findings]}
            for each in reports
        ],
    }


def _finding(found: Finding) -> dict[str, Any]:
    return asdict(found, value_serializer=_plain)


def _plain(instance: object, field: object, value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def as_text(reports: Sequence[Report]) -> str:
    """A block of lines for each market of each venue, then what is wrong, then the verdict."""
    lines: list[str] = []
    for report in reports:
        for market in report.facts.markets:
            lines += [f"{report.facts.name} {market.market} ({report.facts.source})", *_market_lines(market), ""]
        lines += [f"{report.facts.name}", *_venue_lines(report.facts), ""]
    found = [each for report in reports for each in report.findings]
    for each in found:
        where = " ".join(filter(None, (each.exchange, each.market)))
        lines.append(f"{each.severity.value.upper():5} {where}: [{each.what}] {each.text}")
        if each.advice:
            lines.append(f"{'':6}what can be done: {each.advice}")
    wrong = sum(each.is_wrong for each in found)
    lines.append(f"{VERDICTS[bool(wrong)]}: {wrong} wrong, {len(found) - wrong} notes")
    return "\n".join(lines)


def _line(label: str, *parts: str) -> str:
    return f"  {label:{_LABEL}}{'; '.join(filter(None, parts)) or '-'}"


def _market_lines(market: MarketFacts) -> Iterator[str]:
    statuses = ", ".join(f"{count} {status}" for status, count in market.statuses.items())
    unknown = [f"{len(market.unknown)} not understood"] if market.unknown else []
    unknown += [f"{len(market.unknown_words)} unknown words"] if market.unknown_words else []
    yield _line("catalogue", statuses or "not read", *((unknown or ["nothing unknown"]) if market.statuses else []))
    for each in (*market.unknown[:3], *market.unknown_words[:3]):
        yield _line("", each)
    for choice in market.chosen:
        quote = choice.symbol.rpartition("-")[2]
        yield _line(choice.role, f"{choice.symbol} ({choice.native})", _turnover(choice.turnover, quote))
    for connection in market.connections:
        yield _line("connection", *_connection(connection))
    if not market.connections:
        yield _line("connection", "none")
    for request in market.requests:
        took = "" if request.first_ms is None else f"{request.first_ms} ms"
        failed = f"{request.failed} failed" if request.failed else ""
        yield _line(f"REST {request.purpose}", f"{request.answered} answered", took, request.holds, failed)
    unreadable = market.unreadable
    yield _line("decode errors", str(unreadable.count), unreadable.error)
    if unreadable.count:
        yield _line("", f"first at {unreadable.at_ms} ms: {unreadable.sample}")
    yield _line("gaps", str(market.gaps), f"{market.resyncs} resyncs")
    sums = market.checksums
    yield _line("checksums", f"{sums.compared} compared, {sums.wrong} wrong" if sums.has else "the venue sends none")
    delay = market.delay
    told = "not known" if delay is None else f"p50 {delay.p50_ms} ms, p99 {delay.p99_ms} ms ({delay.stream})"
    yield _line("delay", told)
    for topic in market.topics:
        yield _line(topic.channel, _topic(topic))


def _turnover(turnover: str, quote: str) -> str:
    return f"{int(turnover):,} {quote} in 24 h" if turnover else "turnover not known"


def _connection(connection: ConnectionFacts) -> Iterator[str]:
    yield f"{connection.origin} ({connection.endpoint})"
    yield f"through {connection.proxy}" if connection.proxy else "direct"
    if connection.open_ms is None:
        yield "not open"
    else:
        yield f"open after {connection.open_ms} ms"
        first = connection.first_frame_ms
        yield "no frame" if first is None else f"first frame after {first} ms"
        yield f"{connection.frames} frames, {connection.bytes} bytes"
    end = connection.end
    if end is not None:
        yield f"ended at {end.at_ms} ms ({end.code or end.status or end.kind})"


def _topic(topic: TopicFacts) -> str:
    name = topic.text.split(":")[2]
    states = [each.text for each in topic.states]
    if len(states) > _STATES_SHOWN:
        states = [*states[: _STATES_SHOWN - 1], "...", states[-1]]
    first = (
        "no value" if topic.first_value_ms is None else f"{topic.values} values, first after {topic.first_value_ms} ms"
    )
    return f"{name}: {' > '.join(states) or 'nothing'}; {first}"


def _venue_lines(facts: VenueFacts) -> Iterator[str]:
    ahead = facts.clock_ahead_ms
    probes = [each.request("probe") for each in facts.markets]
    told = any(each is not None and each.answered for each in probes)
    why = "the venue tells whole seconds" if told else "it did not tell its time"
    offset = f"not known ({why})" if ahead is None else f"at least {ahead:+d} ms"
    yield _line("clock offset", offset, f"{facts.clock_steps} steps" if facts.clock_steps else "")
    results = {} if facts.audit is None else facts.audit.results
    audited = ", ".join(f"{count} {result}" for result, count in sorted(results.items()) if count)
    yield _line("audits", "not run" if facts.audit is None else audited or "none yet")
    yield _line(
        "besides",
        f"{facts.repeated} repeated frames",
        f"{facts.implausible} not believed at once",
        f"{facts.unknown_messages} messages without meaning to us",
        f"{len(facts.left_out)} left out",
    )
    if facts.saved:
        yield _line("saved", facts.saved)

"""What REST says about the server itself: health, readiness, venues and streams, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cryptodash.api.http.answers import Stored
from cryptodash.core import codec
from cryptodash.core.config import Config
from cryptodash.core.interfaces import ClusterReport, ExchangeReport, RecordingReport, StreamReport
from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock, rfc3339, wall_clock_error
from cryptodash.hub.interfaces import IDemand, IDirectory

SERVICE = "crypto-dash-api"


def is_up(report: ExchangeReport) -> bool:
    """Whether the venue counts for readiness: good streams where something is wanted,
    a successful probe where nothing is."""
    if report.status not in ("online", "degraded"):
        return False
    return report.status == "online" if report.idle else report.good_streams > 0


def why_down(report: ExchangeReport) -> str:
    """One line for a person."""
    parts = [f"{report.exchange} is {report.status}"]
    if report.cause is not None:
        parts.append(f"cause {report.cause}")
    if report.reason:
        parts.append(report.reason)
    elif not report.good_streams and not report.idle:
        parts.append("no live stream")
    return ": ".join(parts)


def readiness(
    reports: Iterable[ExchangeReport],
    draining: bool,
    config: Config,
    timestamp: str,
    unknown: Sequence[str] = (),
    cluster: ClusterReport | None = None,
    certificate: Mapping[str, object] | None = None,
    recording: RecordingReport | None = None,
) -> tuple[bool, dict[str, object]]:
    """Whether the server is ready, and the body that says so. ``unknown``: topics of ``SYMBOLS`` that are of no one
    venue and that none has. ``certificate``: how that of our own TLS does, no reason not to be ready: whoever asks
    judges it himself."""
    known = list(reports)
    hub: dict[str, object] = {"status": "draining" if draining else "ok"}
    if unknown:
        hub["unknown_symbols"] = list(unknown)
    ready = not draining and any(is_up(each) for each in known)
    cache: dict[str, object] = {"status": "ok"}
    if cluster is not None:
        cache = {"status": "degraded", "reason": cluster.trouble} if cluster.trouble else {"status": "ok"}
        cache |= {"process": cluster.process, "role": cluster.role, "holds": list(cluster.holds)}
        cache["processes"] = cluster.processes
        if cluster.lag_ms is not None:
            cache["lag_ms"] = cluster.lag_ms
    dependencies: dict[str, object] = {
        "stream_hub": hub,
        "cache": cache,
        "clock": _own_clock(known),
        **({} if certificate is None else {"certificate": dict(certificate)}),
        "exchanges": {each.exchange: _dependency(each) for each in known},
    }
    document: dict[str, object] = {
        "status": "ready" if ready else "not_ready",
        "service": SERVICE,
        "timestamp": timestamp,
        "dependencies": dependencies,
    }
    if recording is not None:
        dependencies["recording"] = _recording(recording)
    if config.demo and config.control_port:
        document["control_port"] = config.control_port
    if not ready:
        document["reasons"] = (
            ["the server is shutting down"]
            if draining
            else [why_down(each) for each in known] or ["no exchange is enabled"]
        )
    return ready, document


def _recording(report: RecordingReport) -> dict[str, object]:
    """No reason not to be ready: who is served notices nothing of it."""
    status = {"status": "degraded", "reason": report.trouble} if report.trouble else {"status": "ok"}
    return {**status, "topics": report.topics, "lost_blocks": report.lost_blocks}


def _own_clock(reports: Iterable[ExchangeReport]) -> dict[str, object]:
    """What the venues' clocks say of ours: no reason not to be ready, but wrong all the same."""
    ahead = {each.exchange: each.clock_ahead_ms for each in reports if each.clock_ahead_ms is not None}
    error = wall_clock_error(ahead.values())
    if not error:
        return {"status": "ok" if ahead else "unknown"}
    direction = "ahead" if error > 0 else "behind"
    reason = f"the wall clock is {abs(error) / 1000:g} s {direction} by what {', '.join(ahead)} say"
    return {"status": "degraded", "error_ms": error, "reason": reason}


def _dependency(report: ExchangeReport) -> dict[str, object]:
    document: dict[str, object] = {"status": report.status, "idle": report.idle, "source": report.source}
    _add_cause(document, report)
    document["streams"] = report.streams
    document["good_streams"] = report.good_streams
    if report.unknown_topics:
        document["unknown_symbols"] = list(report.unknown_topics)
    return document


def exchange_members(report: ExchangeReport, clock: Clock) -> dict[str, object]:
    """One venue of ``/api/exchanges``."""
    document: dict[str, object] = {
        "id": report.exchange,
        "name": report.name,
        "status": report.status,
        "idle": report.idle,
    }
    _add_cause(document, report)
    document["rate_limits"] = report.rate_limits
    document["ws_url"] = report.ws_url
    document["rest_url"] = report.rest_url
    document["source"] = report.source
    document["connections"] = report.connections
    document["streams"] = report.streams
    if report.process:
        document["process"] = report.process
    if report.last_message is not None:
        document["last_message_at"] = rfc3339(clock.wall_ms() - round(report.last_message * 1000))
    return document


def _add_cause(document: dict[str, object], report: ExchangeReport) -> None:
    if report.cause is not None:
        document["cause"] = report.cause.value
    if report.reason:
        document["reason"] = report.reason


def listing_streams(directory: IDirectory, demand: IDemand, process: str = "") -> Steps[Stored]:
    """Steps whose outcome is the body of ``/api/streams``; ``process``: who has them open, where there are several."""
    whose = {"process": process} if process else {}
    found: list[bytes] = []
    for reports in directory.stream_reports():
        members = [
            {**whose, **stream_members(report, sum(map(demand.clients_of, report.topics)))} for report in reports
        ]
        if members:
            found.append(codec.encode(members)[1:-1])
        yield
    return Stored(b'{"streams":[%s]}' % b",".join(found), level=1)


def stream_members(report: StreamReport, clients: int) -> dict[str, object]:
    """One stream of ``/api/streams``; ``clients`` is how many hold its topics, ``rate`` is events per second."""
    document: dict[str, object] = {
        "exchange": report.exchange,
        "name": report.name,
        "connection": report.connection,
        "topics": [str(each) for each in report.topics],
        "clients": clients,
        "state": report.state.value,
    }
    if report.cause is not None:
        document["cause"] = report.cause.value
    if report.endpoint:
        document["endpoint"] = report.endpoint
    if report.degraded is not None:
        document["degraded"] = report.degraded.value
    if report.age is not None:
        document["age_ms"] = round(report.age * 1000)
    document["rate"] = round(report.rate, 3)
    if report.sequence is not None:
        document["sequence"] = report.sequence
    document["gaps"] = report.gaps
    document["resyncs"] = report.resyncs
    if report.audits:
        document["audits"], document["divergences"] = report.audits, report.divergences
    if report.disputed:
        document["disputed"] = True
    for member in ("delay_ms", "delay_p50_ms", "delay_p99_ms"):
        value = getattr(report, member)
        if value is not None:
            document[member] = value
    return document

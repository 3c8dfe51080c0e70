"""``/api/quality``: what the ledger knows, as JSON, made in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptodash.api.http.answers import Stored
from cryptodash.core import codec
from cryptodash.core.quality import Count
from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock, rfc3339
from cryptodash.hub.interfaces import IQuality
from cryptodash.hub.state_history import MOST_RUNS, Run
from cryptodash.hub.stream_record import DELAY_BOUNDS_MS, STATE_WORDS, Figures, StreamQuality, VenueQuality

PERCENTILES: Final = {"delay_p50_ms": 50, "delay_p90_ms": 90, "delay_p99_ms": 99}
MORE_MS: Final = 60_000
"""What is said of a delay above the last bound."""
MOST_RUNS_OF_ALL: Final = 60_000
"""Runs of all streams that one answer lists: with many streams the older runs of each are merged further."""


def listing_quality(ledger: IQuality, clock: Clock, exchange: str | None, process: str = "") -> Steps[Stored]:
    """Steps whose outcome is the body; ``process``: whose ledger it is, where there are several."""
    whose = {"process": process} if process else {}
    as_of = rfc3339(clock.wall_ms())
    streams: list[bytes] = []
    venues: list[bytes] = []
    most = max(1, min(MOST_RUNS, MOST_RUNS_OF_ALL // max(1, ledger.streams(exchange))))
    for each in ledger.stream_quality(exchange, most):
        if isinstance(each, VenueQuality):
            venues.append(codec.encode({**whose, **venue_members(each)}))
        else:
            streams.append(codec.encode({**whose, **stream_members(each, clock)}))
        yield
    body = b'{"as_of":"%s","exchanges":[%s],"streams":[%s]}'
    return Stored(body % (as_of.encode(), b",".join(venues), b",".join(streams)), level=1)


def venue_members(quality: VenueQuality) -> dict[str, object]:
    """One venue: ``streams`` are listed one by one, ``added`` ones were and are in the totals only."""
    return {
        "exchange": quality.exchange,
        "streams": quality.streams,
        "added": quality.added,
        "degraded": quality.degraded,
        "since_start": figures_members(quality.total),
    }


def stream_members(quality: StreamQuality, clock: Clock) -> dict[str, object]:
    """One stream."""
    ahead = clock.wall_ms() - int(clock.monotonic() * 1000)
    document: dict[str, object] = {
        "exchange": quality.exchange,
        "endpoint": quality.endpoint,
        "name": quality.name,
        "in_use": quality.state is not None,
    }
    if quality.state is not None:
        document["state"] = quality.state.value
    if quality.cause is not None:
        document["cause"] = quality.cause.value
    if quality.degraded is not None and quality.degraded_at is not None:
        document["degraded"] = quality.degraded.value
        document["degraded_at"] = rfc3339(quality.degraded_at + ahead)
    document["last_1h"] = figures_members(quality.hour)
    document["last_24h"] = figures_members(quality.day)
    document["since_start"] = figures_members(quality.total)
    document["history"] = [_run_members(run, ahead) for run in quality.runs]
    return document


def figures_members(figures: Figures) -> dict[str, object]:
    """What was counted over some time; shares are of the time that was observed, with six decimals."""
    observed = sum(figures.state_ms)
    document: dict[str, object] = {"observed_ms": observed}
    if observed:
        shares = zip(STATE_WORDS, figures.state_ms, strict=True)
        document["share"] = {word: round(ms / observed, 6) for word, ms in shares}
    for what in Count:
        document[what.name.lower()] = max(0, figures.counts[what])
    document["crossed_ms"] = figures.crossed_ms
    if any(figures.delays):
        for member, percent in PERCENTILES.items():
            document[member] = percentile(figures.delays, percent)
    return document


def percentile(buckets: Sequence[int], percent: int) -> int:
    """So many of a hundred samples were at most this (ms): the upper bound of the bucket that holds the last of
    them."""
    wanted = -(-sum(buckets) * percent // 100)
    seen = 0
    for bound, count in zip((*DELAY_BOUNDS_MS, MORE_MS), buckets, strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return MORE_MS


def _run_members(run: Run, ahead: int) -> dict[str, object]:
    document: dict[str, object] = {"from": rfc3339(run.begin + ahead)}
    if run.end is not None:
        document["to"] = rfc3339(run.end + ahead)
    document["state"] = run.state.value
    if run.cause is not None:
        document["cause"] = run.cause.value
    if run.merged > 1:
        document["merged"] = run.merged
    return document

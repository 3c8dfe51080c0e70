"""When to connect again after a connection ended: one pure function, and the count of failures it depends on."""

from __future__ import annotations

from random import Random

from attrs import define, frozen

from cryptodash.core.events import Cause
from cryptodash.exchanges.adapter.decode import firewall_refusal
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Closed

FIRST = 1.0
CAP = 30.0
HEALTHY = 30.0
"""Seconds a connection must have lived, with good data, before its failures are forgotten."""

BLOCKED = 300.0
BLOCKED_MOST = 3600.0
LIMITED = 60.0
REFUSED = 60.0
UNTRUSTED = 60.0
LONGEST = 86_400.0


@frozen
class Retry:
    """Wait ``floor`` seconds, then a random part of ``spread`` seconds more. ``reason`` is for a person."""

    floor: float
    spread: float
    cause: Cause
    reason: str

    def delay(self, random: Random) -> float:
        """Seconds to wait (full jitter over ``spread``)."""
        return self.floor + random.uniform(0.0, self.spread)


def ban_of(venue: IVenue, how: Closed) -> float | None:
    """Seconds that the venue bans an address for, if that is what its answer to the handshake means."""
    verdict = None if how.status is None else venue.rest_error(how.status, {}, b"")
    if verdict is None or verdict[0] != Cause.BANNED.value:
        return None
    return LIMITED if verdict[2] is None else verdict[2]


def decide(how: Closed, attempt: int, alternative: str = "", ban: float | None = None, forbidden: int = 0) -> Retry:
    """What to do about the ``attempt``-th ending in a row (0: the first after good data). ``spread`` is min(30,
    2**attempt) seconds throughout. ``ban``: seconds that the venue bans an address for when it answers the handshake
    with this status; None where the status says no such thing. ``forbidden``: how many handshakes before this one were
    answered with 403 in a row, which is most often a firewall's.

    ============================  =====================================  ============
    how it ended                  least wait in seconds                  cause
    ============================  =====================================  ============
    HTTP 401, 451                 300; the reason names ``alternative``  blocked
    HTTP 403                      300, doubled each time up to 3600;     blocked
                                  the reason names ``alternative``
    HTTP 429, a status of a ban   ``retry_after`` or ``ban`` or 60       banned
    HTTP 503                      ``retry_after`` or 0                   maintenance
    HTTP 400, 404, 410            60 (wrong path: soon is no better)     disconnected
    any other HTTP status         ``retry_after`` or 0                   disconnected
    close 1008 (policy, limits)   10 (repeated offenders get banned)     banned
    close 1001, 1012, 1013        0                                      maintenance
    we gave it up: frames missing 0                                      gap
    TLS                           60, doubled each time up to 600        disconnected
    DNS, TCP, timeout, the rest   0                                      disconnected
    ============================  =====================================  ============
    """
    spread = min(CAP, FIRST * 2.0 ** min(attempt, 16))
    if how.status is not None:
        return _refused(how, how.status, spread, alternative, ban, forbidden)
    text = how.reason[:200]
    if how.code == 1008:
        return Retry(10.0, spread, Cause.BANNED, text or "closed for breaking a limit (1008)")
    if how.code in (1001, 1012, 1013):
        return Retry(0.0, spread, Cause.MAINTENANCE, text or f"the venue restarts ({how.code})")
    if how.kind == "gap":
        return Retry(0.0, spread, Cause.GAP, text or "frames are missing on the connection")
    if how.kind == "tls":
        return Retry(min(UNTRUSTED * 2.0 ** min(attempt, 16), 600.0), spread, Cause.DISCONNECTED, text or "TLS failed")
    return Retry(0.0, spread, Cause.DISCONNECTED, text or f"connection lost ({how.kind})")


def _refused(how: Closed, status: int, spread: float, alternative: str, ban: float | None, forbidden: int) -> Retry:
    text = f"the venue answered HTTP {status} to the WebSocket handshake"
    named = None if how.retry_after is None else min(max(how.retry_after, 0.0), LONGEST)
    if ban is not None or status == 429:
        wait = named if named is not None else ban if ban is not None else LIMITED
        return Retry(wait, spread, Cause.BANNED, text)
    if status in (401, 403, 451):
        firewall = firewall_refusal(status, b"")
        wait = BLOCKED if firewall is None else min(BLOCKED * 2.0 ** min(forbidden, 16), BLOCKED_MOST)
        text = text if firewall is None else f"{text}, {firewall}"
        return Retry(wait, spread, Cause.BLOCKED, f"{text}; try {alternative}" if alternative else text)
    if status in (400, 404, 410):
        return Retry(REFUSED, spread, Cause.DISCONNECTED, text)
    return Retry(named or 0.0, spread, Cause.MAINTENANCE if status == 503 else Cause.DISCONNECTED, text)


@define
class Backoff:
    """Failures in a row. Only a connection that gave good data and lived ``HEALTHY`` seconds starts the count again,
    so a venue that accepts and closes at once is left in peace all the same."""

    attempt: int = 0
    forbidden: int = 0
    """How many of the last were handshakes answered with 403."""

    def ended(self, how: Closed, lived: float, good: bool, alternative: str = "", ban: float | None = None) -> Retry:
        """Count one ending of a connection that lived ``lived`` seconds and did (``good``) or did not bring data; the
        rest as in ``decide``."""
        if good and lived >= HEALTHY:
            self.attempt = 0
        retry = decide(how, self.attempt, alternative, ban, self.forbidden)
        self.attempt += 1
        self.forbidden = self.forbidden + 1 if how.status == 403 else 0
        return retry

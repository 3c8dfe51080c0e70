"""How fresh a value is: what the server says of it, and whether the link to the server is trusted.

Ages run on a monotonic clock alone: ``age_ms`` of a status, and the time since it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from cryptodash.client.decoding import maybe_words, whole, words

Clock = Callable[[], float]
"""Monotonic seconds."""

SILENT_AFTER = 3.0
"""Seconds without a frame after which nothing is live: a ping after one second has then had two to be answered."""
MOST_SYMBOLS = 20_000
"""Of one sweep whose newest ticker is remembered; there is no market with so many."""
BEHIND_AFTER = 5.0
"""Seconds without the answer to a ping after which nothing is live: what is read is at least as old."""
DEAD_AFTER = 10.0
"""Seconds without a frame after which the connection is given up."""


@define
class Link:
    """The connection to the server. ``heard``: when the last frame came; ``asked``: since when a ping has no answer."""

    clock: Clock
    silent_after: float = SILENT_AFTER
    behind_after: float = BEHIND_AFTER
    dead_after: float = DEAD_AFTER
    is_up: bool = False
    heard: float = 0.0
    asked: float | None = None

    @property
    def is_dead(self) -> bool:
        """Whether to give it up, for no end of it will be told."""
        return self.is_up and self.clock() - self.heard > self.dead_after

    @property
    def trouble(self) -> str | None:
        """Why nothing that came by it is live; None: it is trusted."""
        if not self.is_up:
            return "link_lost"
        now = self.clock()
        if now - self.heard > self.silent_after:
            return "link_silent"
        if self.asked is not None and now - self.asked > self.behind_after:
            return "link_behind"
        return None


@define
class Freshness:
    """Of the value of one subscription. ``state`` and ``cause`` are the server's words."""

    link: Link
    told_state: str = "connecting"
    told_cause: str | None = None
    fields: tuple[str, ...] = ()
    since: str | None = None
    fault: str | None = None
    """What the client itself found wrong: ``gap`` or ``crossed``; such a value is ``resyncing``."""
    has_latest: bool = True
    """Whether the channel has a latest value that is on show (trades and liquidations are told once each)."""
    awaits_value: bool = field(init=False)
    """What was there before a subscription or a lost link counts no more; nothing has come since."""
    _newest: dict[str, int] = field(factory=dict)
    """The number of each symbol's newest value: one that was replaced is not live."""
    _count: int = 0
    _confirmed: float | None = field(default=None)
    _fields_confirmed: float | None = field(default=None)
    _lag: float = 0.0

    @awaits_value.default
    def _awaits_at_first(self) -> bool:
        return self.has_latest

    def take_status(self, payload: Mapping[str, Any]) -> None:
        """``age_ms`` is the age of the value, or of the ``fields`` that the status names."""
        self.told_state = words(payload, "state")
        self.told_cause = maybe_words(payload, "cause")
        self.since = maybe_words(payload, "since")
        named = payload.get("fields", [])
        self.fields = tuple(map(str, named)) if isinstance(named, list) else ()
        confirmed = None
        if "age_ms" in payload:
            confirmed = self.link.clock() - whole(payload, "age_ms") / 1000
        self._fields_confirmed = confirmed if self.fields else None
        if not (self.fields and self.told_state == "live"):  # then the age is of what a ticker can do without
            self._confirmed = confirmed
        is_late = (self.told_state, self.told_cause) == ("stale", "late")
        self._lag = whole(payload, "age_ms") / 1000 if is_late and "age_ms" in payload else 0.0

    def take_value(self, symbol: str, *, is_news: bool) -> int:
        """A value came; its number. One that was known already (``is_news`` false: the first after a subscribe) is as
        old as the status before it says. While a part is stale, or all of it, it makes nothing younger."""
        self.awaits_value = False
        self._count += 1
        if symbol in self._newest or len(self._newest) < MOST_SYMBOLS:
            self._newest[symbol] = self._count
        if is_news:
            now = self.link.clock()
            if self.told_state in ("live", "quiet"):
                self._confirmed = now
            elif self._lag and not self.fields:
                self._confirmed = now - self._lag
        return self._count

    def is_newest(self, symbol: str, serial: int) -> bool:
        return self._newest.get(symbol) == serial

    def begin_anew(self) -> None:
        """The subscription was answered, or the link is lost: what was shown is not on show any more."""
        self.awaits_value, self.fault = self.has_latest, None

    @property
    def state(self) -> str:
        """``connecting``, ``live``, ``quiet``, ``stale``, ``resyncing``, ``closed`` or ``recorded``."""
        if self.link.trouble is not None:
            return "stale"
        if self.told_state in ("live", "quiet"):
            if self.fault is not None:
                return "resyncing"
            if self.awaits_value:
                return "connecting"
        return self.told_state

    @property
    def cause(self) -> str | None:
        """The server's word, or ``link_lost``, ``link_silent``, ``link_behind``, ``gap``, ``crossed`` of our own."""
        return self.link.trouble or self.fault or self.told_cause

    @property
    def live(self) -> bool:
        return self.state == "live"

    @property
    def trusted(self) -> bool:
        """Live or quiet: nothing contradicts the value."""
        return self.state in ("live", "quiet")

    @property
    def age(self) -> float | None:
        """Seconds since a frame of the venue confirmed the value; None: not known."""
        return None if self._confirmed is None else max(0.0, self.link.clock() - self._confirmed)

    @property
    def fields_age(self) -> float | None:
        """Seconds since the ``fields`` that are stale were confirmed."""
        return None if self._fields_confirmed is None else max(0.0, self.link.clock() - self._fields_confirmed)


def in_words(state: str, cause: str | None, age: float | None) -> str:
    """Freshness as a sentence: ``live, 0.4 s old``; ``STALE for 12 s: silent: do not quote as current``."""
    old = "of unknown age" if age is None else f"{age:.1f} s old"
    if state == "live":
        return f"live, {old}"
    if state == "quiet":
        return f"quiet (nothing happens, nothing contradicts it), {old}"
    if state == "recorded":
        return "recorded, not of now: do not quote as current"
    since = "" if age is None else f" for {age:.0f} s"
    return f"{state.upper()}{since}: {cause or 'no cause told'}: do not quote as current"


class Fresh:
    """What every value has: its freshness at this moment, by the client's clock."""

    freshness: Freshness
    symbol: str
    serial: int
    replayed: bool = False
    """Of the past: sent again, after a subscription."""

    @property
    def live(self) -> bool:
        """Whether it is confirmed, moving, and the newest one. What was replaced, or is replayed, is not."""
        return self.freshness.live and self._is_newest

    @property
    def trusted(self) -> bool:
        """Live, or quiet: nothing happens and nothing contradicts it."""
        return self.freshness.trusted and self._is_newest

    @property
    def _is_newest(self) -> bool:
        return not self.replayed and self.freshness.is_newest(self.symbol, self.serial)

    @property
    def state(self) -> str:
        """Of its channel."""
        return self.freshness.state

    @property
    def cause(self) -> str | None:
        """Why it is not live, in one word."""
        return self.freshness.cause

    @property
    def age(self) -> float | None:
        """Seconds since a frame of the venue confirmed the newest value of its channel; None: not known."""
        return None if self.replayed else self.freshness.age

    @property
    def words(self) -> str:
        """``live, 0.4 s old``, or why it must not be quoted."""
        if not self._is_newest:
            return "replaced or replayed: do not quote as current"
        return in_words(self.state, self.cause, self.age)

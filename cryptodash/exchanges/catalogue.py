"""Keeps one market's catalogue read, and probes the venue while nobody wants anything of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Catalogue, Instrument, MarketType
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.catalogue_changes import CatalogueChanges
from cryptodash.exchanges.catalogue_diff import compare
from cryptodash.exchanges.catalogue_pages import CataloguePages
from cryptodash.exchanges.connections.left_out import CONTRACT_SIZE, INSTRUMENT, SAME_SYMBOL
from cryptodash.exchanges.contract_sizes import ContractSizes
from cryptodash.exchanges.transport.rest import RestClient

REFRESH = 600.0
"""Seconds between two readings, unless a setting says otherwise."""
LONGEST_WAIT = 3600.0
"""Seconds that a venue may ask us to wait for another reading."""
PROBE_EVERY = 60.0
FIRST_RETRY = 1.0
LAST_RETRY = 20.0
PROBE_SHARE = 0.1
"""Of its budget that probes of an idle venue may cost: one that counts by the hour is probed less often."""
FRESH = 150.0
"""Seconds for which a successful probe or reading speaks for the venue: two probes may be lost. Longer where probes are
rarer."""

LEAST_GAP = 10.0
"""Seconds between two readings that somebody asks for."""

_log = Logger(namespace="cryptodash.exchanges.catalogue")


class CatalogueReader:
    """Reads one market's instruments into ``catalogue``: at ``start`` (again after 1 s to 20 s while
    that fails), every ``refresh`` seconds, and on request.

    A listing that cannot be read is left out, and said to ``left_out`` (as ``LeftOutElements.add``); an instrument that
    is known already stays as it was, as do those of a list that is refused (``CataloguePages``). One whose contract
    cannot be of its size (``ContractSizes``) is left out and said as well, known or not, and the catalogue says why it
    is not listed. What is different from the reading before is said to ``changes``; what was renamed, the catalogue
    knows as well. ``changed(market)`` is called after each reading, ``failed(market, error)`` after one that failed.
    While ``idle()`` the venue is probed every 60 s, or less often (``PROBE_SHARE``); ``error`` is what the last reading
    or probe met (None: it succeeded), ``good_at`` the monotonic time of the last success.
    """

    def __init__(
        self,
        venue: IVenue,
        market: MarketType,
        catalogue: Catalogue,
        rest: RestClient,
        reactor: Any,
        clock: Clock,
        random: Random,
        *,
        changed: Callable[[MarketType], None],
        failed: Callable[[MarketType, UpstreamError], None],
        idle: Callable[[], bool],
        left_out: Callable[[str, Iterable[tuple[str, str]], str], None] = lambda kind, elements, of: None,
        changes: CatalogueChanges | None = None,
        refresh: float = REFRESH,
    ) -> None:
        self.error: UpstreamError | None = None
        self.good_at: float | None = None
        probe = venue.probe_request(market)
        budget = venue.rest_limits[probe.pool]
        self._probe_every = max(PROBE_EVERY, probe.weight * budget.per / (PROBE_SHARE * budget.weight))
        self._fresh = FRESH * self._probe_every / PROBE_EVERY
        self._venue = venue
        self._market = market
        self._catalogue = catalogue
        self._rest = rest
        self._pages = CataloguePages(venue, market, rest, left_out)
        self._reactor = reactor
        self._clock = clock
        self._random = random
        self._changed = changed
        self._failed = failed
        self._idle = idle
        self._left_out = left_out
        self._changes = changes
        self._refresh = refresh
        self._stopped = False
        self._failures = 0
        self._are_volumes_odd = False
        """Whether the volumes last read contradict most sizes."""
        self._read_error: UpstreamError | None = None
        """What the last reading met (``error`` may be a probe's)."""
        self._busy_at = float("-inf")
        """When last somebody wanted something of the venue, as far as is known: no probe was due then."""
        self._began_at: float | None = None
        self._timers: dict[str, Any] = {}
        self._reading: Deferred[None] | None = None
        self._probing: Deferred[None] | None = None
        self._waiters: list[Deferred[None]] = []

    @property
    def is_good(self) -> bool:
        """Whether the venue's REST side answered lately and as it should, the time left out in which nobody asked it
        because its streams were in use."""
        if self.error is not None or self.good_at is None:
            return False
        return self._clock.monotonic() - max(self.good_at, self._busy_at) <= self._fresh

    def start(self) -> None:
        self._later("probe", self._probe_every, self._probe)
        self.begin()

    def stop(self) -> None:
        """Cancel everything under way, for good; whoever waits gets an error."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in (self._reading, self._probing):
            if task is not None:
                task.cancel()

    def begin(self) -> None:
        """Read now unless a reading is under way, or all is over."""
        if self._reading is not None or self._stopped:
            return
        self._cancel("read")
        self._began_at = self._clock.monotonic()
        self._reading = Deferred.fromCoroutine(self._read())
        self._reading.addBoth(self._ended)

    async def read(self) -> None:
        """Read anew, or join the reading under way; within 10 s of the last one its result stands.
        Raises ``UpstreamError``, and ``CancelledError`` once it was stopped."""
        if self._stopped:
            raise CancelledError
        recent = self._began_at is not None and self._clock.monotonic() - self._began_at < LEAST_GAP
        if self._reading is None and recent:
            if self._read_error is not None:
                raise self._read_error
            return
        waiter: Deferred[None] = Deferred(self._waiters_forget)
        self._waiters.append(waiter)
        self.begin()
        await waiter

    def _waiters_forget(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    async def _read(self) -> None:
        pages = await self._pages.read()
        found, odd, others = pages.found, pages.odd, pages.others
        unread = pages.missing.union(name for name, _ in odd)
        known = self._known(unread.difference(each.native for each in found))
        wrong = self._wrong(ContractSizes(pages.volumes), [*found, *known])
        # Nor is what was known shown instead: the venue may have changed the size, and its volumes are of before.
        found = [each for each in found if each.native not in wrong]
        if not found:
            raise UpstreamError("disconnected", f"{self._venue.id} lists no {self._market} instrument")
        found.extend(each for each in known if each.native not in wrong)
        others.extend(wrong.items())
        same_symbol = self._replace(found, others)
        self._left_out(INSTRUMENT, odd, self._market.value)
        why = "{} trades under the same symbol, {}, and has it".format
        described = [(other.native, why(shown.native, shown.symbol)) for shown, other in same_symbol]
        self._left_out(SAME_SYMBOL, described, self._market.value)
        self._changed(self._market)

    def _wrong(self, sizes: ContractSizes, listed: Sequence[Instrument]) -> Mapping[str, str]:
        """Instruments whose contract cannot be of its size, by native name, and why."""
        wrong = sizes.wrong(listed)
        if wrong is None and not self._are_volumes_odd:
            _log.warn(
                "{exchange} {market}: the traded volumes contradict most of the listed contract sizes: they are no "
                "proof any more, and the listed sizes are believed",
                exchange=self._venue.id,
                market=self._market.value,
            )
        self._are_volumes_odd = wrong is None
        self._left_out(CONTRACT_SIZE, (wrong or {}).items(), self._market.value)
        return wrong or {}

    def _replace(self, found: list[Instrument], others: list[tuple[str, str]]) -> list[tuple[Instrument, Instrument]]:
        market, catalogue, changes = self._market, self._catalogue, self._changes
        is_first, before = not catalogue.loaded(market), catalogue.listed(market)
        same_symbol = catalogue.replace(market, found, others)
        after = catalogue.listed(market)
        if changes is not None:
            changes.read(market, after.values(), others)
        if is_first:
            return same_symbol
        diff = compare(before, after)
        for old, new in diff.renamed:
            if old.symbol != new.symbol and catalogue.get(market, old.symbol) is None:
                catalogue.rename(market, old.symbol, new.symbol)
        if diff and changes is not None:
            changes.differ(market, diff)
        return same_symbol

    def _known(self, names: Iterable[str]) -> list[Instrument]:
        """Those of these native names that were read before: a listing that has become odd ends no topic."""
        known = [self._catalogue.native(self._market, name) for name in sorted(names)]
        return [each for each in known if each is not None]

    def _ended(self, result: object) -> None:
        self._reading = None
        waiters, self._waiters = self._waiters, []
        error = self._outcome(result)
        if isinstance(error, CancelledError):
            self._release(waiters, error)
            return
        self._read_error = error
        self._judge(error)
        if error is None:
            self._failures = 0
            self._later("read", self._refresh * self._random.uniform(0.95, 1.05), self.begin)
        else:
            self._retry(error)
        self._release(waiters, error)

    def _retry(self, error: UpstreamError) -> None:
        ceiling = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(self._failures, 16))
        wait = max(self._random.uniform(ceiling / 2, ceiling), min(error.retry_after or 0.0, LONGEST_WAIT))
        if self._failures == 0:
            _log.warn(
                "{exchange} {market}: the catalogue cannot be read: {error}",
                exchange=self._venue.id,
                market=self._market.value,
                error=str(error),
            )
        self._failures += 1
        self._failed(self._market, error)
        self._later("read", wait, self.begin)

    def _probe(self) -> None:
        self._later("probe", self._probe_every, self._probe)
        is_idle = self._idle()
        if not is_idle:
            self._busy_at = self._clock.monotonic()
        if is_idle and self._reading is None and self._probing is None and self._catalogue.loaded(self._market):
            self._probing = Deferred.fromCoroutine(self._probe_once())
            self._probing.addBoth(self._probed)

    async def _probe_once(self) -> None:
        await self._rest.fetch(self._venue.probe_request(self._market))

    def _probed(self, result: object) -> None:
        self._probing = None
        error = self._outcome(result)
        if not isinstance(error, CancelledError):
            self._judge(error)

    def _outcome(self, result: object) -> UpstreamError | CancelledError | None:
        """What a task ended with, in our words; an error that is none of a venue's is logged."""
        if not isinstance(result, Failure):
            return None
        error = result.value
        if isinstance(error, UpstreamError | CancelledError):
            return error
        if isinstance(error, BadFrame):
            return UpstreamError("disconnected", f"{self._venue.id} {self._market}: unreadable answer: {error}"[:300])
        _log.failure("reading the catalogue of {exchange} failed", failure=result, exchange=self._venue.id)
        return UpstreamError("disconnected", f"{self._venue.id} {self._market}: {type(error).__name__}")

    def _judge(self, error: UpstreamError | None) -> None:
        self.error = error
        if error is None:
            self.good_at = self._clock.monotonic()

    def _release(self, waiters: list[Deferred[None]], error: Exception | None) -> None:
        for waiter in waiters:
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(Failure(error))

    def _later(self, name: str, delay: float, call: Callable[[], None]) -> None:
        self._cancel(name)
        if self._stopped:
            return

        def due() -> None:
            self._timers.pop(name, None)
            call()

        self._timers[name] = self._reactor.callLater(delay, due)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

"""Audits of one venue's live books by turns: a REST snapshot now and then, from a small share of the budget.

One audit at a time. While a book's own snapshot is on its way there is none; nor of a book that is not live. How the
two are compared is in ``builders/book_audit.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from attrs import define, evolve
from twisted.logger import Logger

from cryptodash.core.errors import UpstreamError
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import RestLimits
from cryptodash.exchanges.builders.book_audit import BookAudit, Finding, Sides
from cryptodash.exchanges.connections.commands import Fetch, Output
from cryptodash.exchanges.subscriptions.audit_record import AuditRecord

LEAD: Final = 4.0
"""Seconds from the beginning of an audit to its request: an answer may come from a cache of some seconds ago."""
SETTLED: Final = 2.5
"""Seconds after the answer by which the stream is taken to have brought what the venue sent before it. One that is
later than that may be live all the same (``STALE_AFTER_S``): what then differs is looked at again before it counts."""
PATIENCE: Final = 10.0
"""Seconds after the answer in which the stream must reach its number."""
LEAST_PAUSE: Final = 1.0
"""Seconds between two audits of a venue, however large its budget."""
AFTER_FAILURE: Final = 60.0
"""Seconds without an audit of any book after a request that failed, but for one that was refused for what it asked: the
budget is short, or the venue in trouble."""
LOOKED_AT: Final = 16
"""Books looked at in one beat for one that may be audited."""
LOG_EVERY: Final = 60.0

_log = Logger(namespace="cryptodash.exchanges.subscriptions.book_audits")


class AuditedBook(Protocol):
    """A live book that may be audited now."""

    audit_record: AuditRecord

    @property
    def name(self) -> str:
        """Of its stream."""

    @property
    def is_good(self) -> bool:
        """Whether it is still shown as live or quiet."""

    def audit_request(self) -> RestRequest | None:
        """The snapshot to ask for; None where there is none."""

    def begin_audit(self) -> BookAudit:
        """An audit that is told of the book's frames from now on."""

    def end_audit(self) -> None:
        """It is told no more; one that has not found anything is void."""

    def audited(self, diverged: bool) -> None:
        """It was compared: for the ledger."""

    @property
    def sides(self) -> Sides:
        """The book now."""

    def diverged(self, now: float, received: int, out: list[Output]) -> None:
        """The book is not the venue's: lose it and begin again."""


Look = Callable[[float], AuditedBook | None]
"""From now to a book, if it may be audited now."""


@define(eq=False)
class _Running:
    look: Look
    book: AuditedBook
    audit: BookAudit
    request: RestRequest
    begun: float
    is_asked: bool = False
    answered: float | None = None


class BookAudits:
    """``limits`` are the venue's REST budgets by pool, of which audits may use ``share`` (0: none).
    ``candidates`` gives for each open book how to ask whether it may be audited."""

    def __init__(
        self,
        exchange: str,
        limits: Mapping[str, RestLimits],
        share: float,
        candidates: Callable[[], Iterable[Look]],
        tally: Tally,
    ) -> None:
        self._exchange = exchange
        self._limits = limits
        self._share = share
        self._candidates = candidates
        self._audits = tally.counter(
            "cryptodash_book_audits_total",
            "Comparisons of a live order book with a REST snapshot of it.",
            "exchange",
            "result",
        )
        self._audits.begin(exchange, "diverged")  # an alert asks for it
        self._turns: deque[Look] = deque()
        self._again: tuple[float, Look] | None = None
        """When to look at a book again before the others: its difference is to be confirmed, or it was rebuilt."""
        self._running: _Running | None = None
        self._next_at = 0.0
        self._logged_at = float("-inf")
        self._unlogged = 0

    def beat(self, is_busy: bool, now: float, received: int, out: list[Output]) -> None:
        """Twice a second. ``is_busy``: a book's own snapshot is on its way, or will be at once. ``received`` is our
        wall clock (ms)."""
        running = self._running
        if running is not None:
            self._go_on(running, is_busy, now, received, out)
        elif self._share > 0 and not is_busy and now >= self._next_at:
            self._begin(now)

    def answered(self, request: RestRequest, depth: Depth, now: float, received: int, out: list[Output]) -> None:
        """The snapshot has come."""
        running = self._running
        if running is None or running.request is not request:
            return
        running.answered = now
        running.audit.answered(depth)
        self._go_on(running, False, now, received, out)

    def failed(self, request: RestRequest, error: UpstreamError, now: float) -> None:
        """None will come."""
        running = self._running
        if running is None or running.request is not request:
            return
        self._end(running, "failed", now)
        running.book.audit_record.failed(now)
        if error.cause != "rejected":  # that is of this one book
            self._next_at = max(self._next_at, now + max(AFTER_FAILURE, error.retry_after or 0.0))

    def _begin(self, now: float) -> None:
        if self._again is not None:
            due, look = self._again
            if now < due:
                return
            self._again = None
            self._turns.appendleft(look)
        if not self._turns:
            self._turns.extend(self._candidates())
        for _ in range(min(LOOKED_AT, len(self._turns))):
            look = self._turns.popleft()
            book = look(now)
            asked = None if book is None else book.audit_request()
            if book is None or asked is None:
                continue
            request = evolve(asked, purpose=Purpose.AUDIT)
            self._next_at = now + max(LEAST_PAUSE, self._pause(request))
            self._running = _Running(look, book, book.begin_audit(), request, now)
            return

    def _pause(self, request: RestRequest) -> float:
        """Seconds until audits have been allowed so much."""
        limits = self._limits.get(request.pool)
        return AFTER_FAILURE if limits is None else request.weight * limits.per / (limits.weight * self._share)

    def _go_on(self, running: _Running, is_busy: bool, now: float, received: int, out: list[Output]) -> None:
        if running.audit.is_void or not running.book.is_good:
            if running.answered is not None or not running.is_asked:  # else one more must not be asked for yet
                self._end(running, "abandoned", now)
        elif not running.is_asked:
            if is_busy:
                self._end(running, "abandoned", now)
            elif now - running.begun >= LEAD:
                running.is_asked = True
                out.append(Fetch(running.request))
        elif running.answered is not None:
            waited = now - running.answered
            finding = running.audit.finding(running.book.sides, settled=waited >= SETTLED)
            if finding is not None:
                self._found(running, finding, now, received, out)
            elif waited >= PATIENCE:
                self._end(running, "unmatched", now)

    def _found(self, running: _Running, finding: Finding, now: float, received: int, out: list[Output]) -> None:
        book = running.book
        word = book.audit_record.take(finding, now)
        self._end(running, word, now)
        if word != "unmatched":
            book.audited(word == "diverged")
        if word == "suspected" or (word == "diverged" and not book.audit_record.is_disputed):
            self._again = book.audit_record.due, running.look
        if word == "diverged":
            self._tell(book, finding, now)
            book.diverged(now, received, out)

    def _end(self, running: _Running, word: str, now: float) -> None:
        self._running = None
        running.book.end_audit()
        self._audits.add(self._exchange, word)

    def _tell(self, book: AuditedBook, finding: Finding, now: float) -> None:
        if now - self._logged_at < LOG_EVERY:
            self._unlogged += 1
            return
        self._logged_at = now
        _log.warn(
            "{exchange}: the book of {name} is not the venue's at {count} of {compared} levels{again}: rebuilt"
            " ({unlogged} more since the last such line)",
            exchange=self._exchange,
            name=book.name,
            count=len(finding.differences),
            compared=finding.compared,
            again=", again after a rebuild" if book.audit_record.is_disputed else "",
            unlogged=self._unlogged,
        )
        self._unlogged = 0

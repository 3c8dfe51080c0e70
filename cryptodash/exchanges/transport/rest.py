"""REST of one venue: every request waits for the weight budget, ends within a deadline and returns
bytes or raises ``UpstreamError``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger
from twisted.web.iweb import IAgent

from cryptodash._version import __version__
from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import MarketType
from cryptodash.core.settings import origin_of
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.decode import firewall_refusal
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.transport.dialer import failure_text, was_cancelled
from cryptodash.exchanges.transport.rate_limit import RateLimit, Ticket
from cryptodash.exchanges.transport.rest_body import PACKED_AS, LeftPacked, read_body

DEADLINE = 10.0
"""Seconds from the start of a request to the end of its body."""

PATIENCE = 10.0
"""Seconds a request waits for its place in the budget."""

BAN = 60.0
"""Seconds without a request after a rate-limit answer that names no time."""

FIREWALL = 300.0
"""Seconds without a request after a firewall has refused one, doubled each time up to ``FIREWALL_MOST``: asking on is
what keeps such a refusal up."""
FIREWALL_MOST = 3600.0

HEADERS = {"User-Agent": f"cryptodash/{__version__}", "Accept": "application/json"}

_log = Logger(namespace="cryptodash.exchanges.transport.rest")


class RestClient:
    """All REST requests of one venue. Market types whose ``RestLimits`` name the same pool share a
    budget; a ban stops all of them.

    ``agent`` carries the bytes. ``used_weight`` and ``banned_for`` are for metrics.
    """

    def __init__(
        self, venue: IVenue, hosts: Mapping[MarketType, Hosts], reactor: Any, clock: Clock, tally: Tally, agent: IAgent
    ) -> None:
        self._venue = venue
        self._hosts = hosts
        self._reactor = reactor
        self._agent = LeftPacked(agent)
        self._budgets = {
            pool: RateLimit(limits.weight, limits.per, clock) for pool, limits in venue.rest_limits.items()
        }
        self._clock = clock
        self.dated: Callable[[MarketType, int], None] = lambda market, date_ms: None
        """Called with the market and the ``Date`` of each answer (ms)."""
        self.sent: Callable[[RestRequest], None] = lambda request: None
        """Called when a request has got its place in the budget and is sent."""
        self.answered: Callable[[RestRequest, bytes], None] = lambda request, body: None
        """Called with the body of each good answer."""
        self.unanswered: Callable[[], None] = lambda: None
        """Called when a request was not answered in time."""
        self._waiting: dict[Ticket, Deferred[None]] = {}
        self._timer: Any = None
        self._blocked: set[MarketType] = set()
        self._firewalled: dict[str, int] = {}
        """Refusals of a firewall in a row, by pool."""
        self._limited = tally.counter(
            "cryptodash_upstream_ratelimited_total",
            "Requests refused by the venue's limits or held back by our own budget.",
            "exchange",
            "kind",
        )

    @property
    def used_weight(self) -> int:
        """Weight that counts against the fullest budget now."""
        return max((budget.used for budget in self._budgets.values()), default=0)

    @property
    def banned_for(self) -> float:
        """Seconds until the venue may be asked again; 0 when it may now."""
        return max((budget.blocked_for for budget in self._budgets.values()), default=0.0)

    def stop(self) -> None:
        """Cancel the timer; whoever awaits a ``fetch`` cancels that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def fetch(self, request: RestRequest, *, for_client: bool = False) -> bytes:
        """The body of the answer. ``for_client``: a client has asked for it, so the budget's reserve is not for it.

        Raises ``UpstreamError`` with a cause of the contract: ``banned`` and ``blocked`` as the venue says,
        ``capacity`` where the budget had no room within 10 s, ``disconnected`` where the network or the answer failed.
        Cancelling drops the request and its connection.
        """
        budget = self._budget_of(request)
        # An audit keeps off the reserve as well: nobody waits for it.
        ticket = await self._started(budget, request, for_client or request.purpose is Purpose.AUDIT)
        try:
            self.sent(request)
            answer = Deferred.fromCoroutine(self._exchange(budget, request))
            return await answer.addTimeout(DEADLINE, self._reactor)
        except TimeoutError:
            self.unanswered()
            raise UpstreamError(
                "disconnected", f"{self._host(request)} did not answer within {DEADLINE:.0f} s"
            ) from None
        finally:
            budget.finish(ticket)
            self._pump()

    def _budget_of(self, request: RestRequest) -> RateLimit:
        budget = self._budgets.get(request.pool)
        if budget is None:
            raise UpstreamError("", f"{self._venue.id} has no REST budget {request.pool!r}")
        return budget

    async def _started(self, budget: RateLimit, request: RestRequest, for_client: bool) -> Ticket:
        """Wait in the budget's queue."""
        try:
            ticket = budget.enqueue(request.weight, request.purpose, for_client=for_client)
        except UpstreamError:
            self._limited.add(self._venue.id, "local_bucket")
            raise
        turn = self._waiting[ticket] = Deferred()
        self._pump()
        try:
            await turn.addTimeout(PATIENCE, self._reactor)
        except TimeoutError:
            self._limited.add(self._venue.id, "local_bucket")
            raise UpstreamError(
                "capacity", f"the REST budget of {self._venue.id} had no room within {PATIENCE:.0f} s"
            ) from None
        finally:
            self._waiting.pop(ticket, None)
            if budget.withdraw(ticket):
                self._pump()  # it may have stood before lighter ones for which there is room
        return ticket

    def _pump(self) -> None:
        """Start what may start, and come back when the next may."""
        for budget in self._budgets.values():
            for ticket in budget.start():
                turn = self._waiting.pop(ticket, None)
                if turn is None:  # cancelled by what an earlier one of this round did
                    budget.finish(ticket)
                else:
                    turn.callback(None)
        self.stop()
        times = [when for budget in self._budgets.values() if (when := budget.next_start()) is not None]
        if times:
            self._timer = self._reactor.callLater(max(0.001, min(times) - self._clock.monotonic()), self._due)

    def _due(self) -> None:
        self._timer = None
        self._pump()

    async def _exchange(self, budget: RateLimit, request: RestRequest) -> bytes:
        url = self._hosts[request.market].rest.rstrip("/") + request.path
        try:
            response = await HTTPClient(self._agent).get(  # one each: it keeps cookies
                url, params=request.params, headers=HEADERS, allow_redirects=False, unbuffered=True
            )
            headers = _lowered(response.headers)
            self._note_date(request, headers)
            self._adopt(budget, request, headers)
            body = await read_body(response, headers.get(PACKED_AS, ""))
        except UpstreamError:
            raise
        except Exception as error:
            if was_cancelled(error):
                raise CancelledError from None
            raise UpstreamError("disconnected", f"{self._host(request)}: {failure_text(error)}") from None
        self._judge(budget, request, response.code, headers, body)
        self.answered(request, body)
        return body

    def _note_date(self, request: RestRequest, headers: Mapping[str, str]) -> None:
        """Tell whoever wants to know what the venue's clock says."""
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError, OverflowError):
            return
        self.dated(request.market, int(date.timestamp()) * 1000)

    def _adopt(self, budget: RateLimit, request: RestRequest, headers: Mapping[str, str]) -> None:
        header = self._venue.rest_limits[request.pool].used_header.lower()
        used = headers.get(header, "") if header else ""
        if used.isdecimal() and len(used) < 10:
            budget.adopt(int(used))

    def _judge(
        self, budget: RateLimit, request: RestRequest, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Raise ``UpstreamError`` unless the answer is good."""
        verdict = self._venue.rest_error(status, headers, body)
        firewall = firewall_refusal(status, body)
        if firewall is not None and (verdict is None or verdict[0] != "banned"):
            self._refused_by_firewall(budget, request, f"{self._host(request)}: {firewall}")
        self._firewalled.pop(request.pool, None)
        if verdict is None and status == 200:
            self._blocked.discard(request.market)
            return
        cause, message, wait = verdict or ("", f"HTTP {status}", None)
        message = f"{self._host(request)}: {message}"
        if cause == "banned":
            self._ban(status, wait if wait is not None else BAN, message)
        elif cause == "blocked":
            message = self._with_alternative(request.market, message)
        raise UpstreamError(cause or "disconnected", message, wait)

    def _refused_by_firewall(self, budget: RateLimit, request: RestRequest, message: str) -> NoReturn:
        """Ask nothing more of this budget for a while. Requests that were under way together are one refusal."""
        message = self._with_alternative(request.market, message)
        if not budget.blocked_for:
            times = self._firewalled.get(request.pool, 0)
            self._firewalled[request.pool] = times + 1
            seconds = min(FIREWALL * 2.0 ** min(times, 16), FIREWALL_MOST)
            self._limited.add(self._venue.id, "http_403")
            for ticket in budget.block(seconds, "blocked", message):
                self._waiting.pop(ticket).errback(UpstreamError("blocked", message, seconds))
        raise UpstreamError("blocked", message, budget.blocked_for)

    def _ban(self, status: int, seconds: float, message: str) -> None:
        self._limited.add(self._venue.id, f"http_{status}")
        _log.warn(
            "{exchange} wants no REST requests for {seconds} s: {message}",
            exchange=self._venue.id,
            seconds=seconds,
            message=message[:512],
        )
        for budget in self._budgets.values():
            for ticket in budget.block(seconds):
                self._waiting.pop(ticket).errback(UpstreamError("banned", message, seconds))

    def _with_alternative(self, market: MarketType, message: str) -> str:
        """Name the host to try instead, and log it once until the venue answers again."""
        alternative = self._venue.alternative.get(market, "")
        if alternative and alternative not in message:
            message = f"{message}; {alternative}"
        if market not in self._blocked:
            self._blocked.add(market)
            _log.error(
                "{exchange} {market} is blocked here: {message}",
                exchange=self._venue.id,
                market=market.value,
                message=message[:512],
            )
        return message

    def _host(self, request: RestRequest) -> str:
        """Whom we ask, for a person: the path of a proxy may hold a key."""
        return origin_of(self._hosts[request.market].rest)


def _lowered(headers: Any) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in headers.getAllRawHeaders()
        if values
    }

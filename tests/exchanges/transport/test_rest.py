"""REST under the budget, against a real web server over a network in memory."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import MarketType
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, RestLimits
from cryptodash.exchanges.transport import rest_body
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.rest import RestClient
from cryptodash.exchanges.transport.rest_body import MAX_BODY
from cryptodash.exchanges.transport.rest_requests import RestRequests
from cryptodash.testing.authority import Authority
from cryptodash.testing.network import MemoryNetwork

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL


class Words:
    """The part of a venue that REST needs."""

    id = "somewhere"
    rest_limits = {"one": RestLimits(100, 60.0, "X-Used"), "two": RestLimits(100, 60.0)}
    alternative = {SPOT: "try https://elsewhere.example"}

    def rest_error(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
        wait = float(headers["retry-after"]) if "retry-after" in headers else None
        causes = {451: "blocked", 429: "banned", 418: "banned", 400: "rejected", 503: "maintenance", 500: ""}
        if status in causes:
            return causes[status], f"status {status}", 600.0 if status == 418 and wait is None else wait
        return ("rejected", "says no", None) if b'"bad"' in body else None


class Server(Resource):
    """Answers every request with ``handler(request)``."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.handler: Callable[[Any], Any] = lambda request: b"{}"
        self.requests: list[Any] = []

    def render_GET(self, request: Any) -> Any:
        self.requests.append(request)
        return self.handler(request)


class Bench:
    """A client and the server it talks to."""

    def __init__(self, *, rest: str = "http://api.example", trust_root: Any = None) -> None:
        self.network = MemoryNetwork()
        self.server = Server()
        self.site = Site(self.server, reactor=self.network)
        self.network.listen(80, self.site)
        self.tally = Tally()
        self.pool = HTTPConnectionPool(self.network)
        agent = Agent.usingEndpointFactory(self.network, Dialer(self.network, trust_root=trust_root), self.pool)
        hosts = {market: Hosts("wss://unused", rest) for market in (SPOT, PERPETUAL)}
        self.client = RestClient(Words(), hosts, self.network, self.network, self.tally, agent)  # type: ignore[arg-type]

    def fetch(
        self,
        path: str = "/time",
        *,
        market: MarketType = SPOT,
        weight: int = 1,
        purpose: Purpose = Purpose.POLL,
        **more: Any,
    ) -> Outcome:
        pool = "one" if market is SPOT else "two"
        outcome = Outcome(self.client, RestRequest(purpose, market, path, weight=weight, pool=pool, **more))
        self.network.settle()
        return outcome

    def limited(self) -> dict[tuple[str, ...], int]:
        return dict(self.tally.metrics["cryptodash_upstream_ratelimited_total"].values)  # type: ignore[union-attr]


class Outcome:
    """What became of one fetch."""

    def __init__(self, client: RestClient, request: RestRequest) -> None:
        self.body: bytes | None = None
        self.failure: Any = None
        self.deferred = Deferred.fromCoroutine(client.fetch(request))
        self.deferred.addCallbacks(self._good, self._bad)

    def _good(self, body: bytes) -> None:
        self.body = body

    def _bad(self, failure: Failure) -> None:
        self.failure = failure.value

    @property
    def error(self) -> UpstreamError:
        assert isinstance(self.failure, UpstreamError), self.failure
        return self.failure


@pytest.fixture
def bench() -> Any:
    bench = Bench()
    yield bench
    finish(bench)


def finish(bench: Bench) -> None:
    bench.client.stop()
    bench.pool.closeCachedConnections()
    for wire in bench.network.wires:
        wire.client.abortConnection()
        wire.server.abortConnection()
    bench.network.settle()
    for call in bench.network.getDelayedCalls():
        assert "HTTPChannel" in repr(call) or "TimeoutMixin" in repr(call), call


def test_gets_the_body_with_params_and_our_name(bench: Bench) -> None:
    bench.server.handler = lambda request: b'{"serverTime":1}'
    outcome = bench.fetch("/api/v3/depth", params=(("symbol", "币安人生USDT"), ("limit", "5")))
    assert outcome.body == b'{"serverTime":1}'
    [request] = bench.server.requests
    assert request.path == b"/api/v3/depth" and request.args == {b"symbol": ["币安人生USDT".encode()], b"limit": [b"5"]}
    assert request.getHeader("user-agent").startswith("cryptodash/")
    assert "gzip" in request.getHeader("accept-encoding")


def test_gzip_is_unpacked(bench: Bench) -> None:
    def packed(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return gzip.compress(b"[1,2,3]")

    bench.server.handler = packed
    assert bench.fetch().body == b"[1,2,3]"


def test_broken_gzip_is_an_error(bench: Bench) -> None:
    def broken(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return b"this is not gzip"

    bench.server.handler = broken
    assert bench.fetch().error.cause == "disconnected"


def test_connections_are_used_again_and_cookies_are_not(bench: Bench) -> None:
    def biscuit(request: Any) -> bytes:
        request.addCookie("__bm", "1")
        return b"{}"

    bench.server.handler = biscuit
    for _ in range(3):
        assert bench.fetch().body == b"{}"
    assert len(bench.network.wires) == 1
    assert all(request.getHeader("cookie") is None for request in bench.server.requests)


@pytest.mark.parametrize(
    ("status", "cause", "wait"),
    [
        (400, "rejected", None),
        (503, "maintenance", None),
        (500, "disconnected", None),
        (404, "disconnected", None),
        (302, "disconnected", None),
    ],
)
def test_an_error_status_has_its_cause(bench: Bench, status: int, cause: str, wait: float | None) -> None:
    def refuse(request: Any) -> bytes:
        request.setResponseCode(status)
        request.setHeader("Location", "http://evil.example/")
        return b"{}"

    bench.server.handler = refuse
    error = bench.fetch().error
    assert (error.cause, error.retry_after) == (cause, wait)
    assert "http://api.example" in str(error)
    assert len(bench.server.requests) == 1, "redirects are not followed"


def test_an_error_inside_a_good_status(bench: Bench) -> None:
    bench.server.handler = lambda request: b'{"bad":1}'
    assert bench.fetch().error.cause == "rejected"


def test_a_rate_limit_stops_the_whole_venue_for_as_long_as_it_says(bench: Bench) -> None:
    def limited(request: Any) -> bytes:
        request.setResponseCode(429)
        request.setHeader("Retry-After", "7")
        return b"{}"

    bench.server.handler = limited
    error = bench.fetch().error
    assert (error.cause, error.retry_after) == ("banned", 7.0)
    assert bench.client.banned_for == pytest.approx(7)
    for market in (SPOT, PERPETUAL):
        assert bench.fetch(market=market).error.cause == "banned"
    bench.network.pass_time(6.9)
    assert bench.fetch().error.retry_after == pytest.approx(0.1)
    assert len(bench.server.requests) == 1, "not one request while banned"
    bench.network.pass_time(0.2)
    bench.server.handler = lambda request: b"{}"
    assert bench.fetch().body == b"{}"
    assert bench.limited() == {("somewhere", "http_429"): 1, ("somewhere", "local_bucket"): 3}


def test_a_ban_fails_those_who_wait(bench: Bench) -> None:
    bench.server.handler = lambda request: NOT_DONE_YET
    running = bench.fetch(weight=100)
    waiting = bench.fetch(weight=1)
    assert len(bench.server.requests) == 1
    bench.server.requests[0].setResponseCode(418)
    bench.server.requests[0].finish()
    bench.network.settle()
    assert running.error.retry_after == waiting.error.retry_after == 600.0
    assert waiting.error.cause == "banned"
    assert ("somewhere", "http_418") in bench.limited()


def test_a_blocked_host_names_the_alternative_and_is_logged_once(bench: Bench) -> None:
    logged: list[str] = []

    def observe(event: Any) -> None:
        if "is blocked here" in str(event.get("log_format")):
            logged.append(event["message"])

    def blocked(request: Any) -> bytes:
        request.setResponseCode(451)
        return b"restricted location"

    bench.server.handler = blocked
    globalLogPublisher.addObserver(observe)
    try:
        errors = [bench.fetch().error for _ in range(3)]
    finally:
        globalLogPublisher.removeObserver(observe)
    assert {error.cause for error in errors} == {"blocked"}
    assert "https://elsewhere.example" in str(errors[0])
    assert len(logged) == 1


HTML = b"<html><body>Request blocked.</body></html>"


def refusing(status: int, body: bytes) -> Callable[[Any], bytes]:
    def handler(request: Any) -> bytes:
        request.setResponseCode(status)
        return body

    return handler


def test_a_firewalls_refusal_is_waited_out_for_minutes_and_longer_each_time(bench: Bench) -> None:
    bench.server.handler = refusing(403, HTML)
    waits = []
    for _ in range(6):
        asked = len(bench.server.requests)
        error = bench.fetch().error
        assert error.cause == "blocked" and "https://elsewhere.example" in str(error)
        assert "this place is not served, or too many requests came from here" in str(error)
        waits.append(error.retry_after)
        bench.network.pass_time(waits[-1] - 1.0)
        later = bench.fetch().error
        assert (later.cause, later.retry_after) == ("blocked", pytest.approx(1.0))
        assert "too many requests" in str(later)
        assert len(bench.server.requests) == asked + 1, "nothing is asked meanwhile"
        bench.network.pass_time(1.1)
    assert waits == pytest.approx([300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0])
    bench.server.handler = lambda request: b"{}"
    assert bench.fetch().body == b"{}"
    bench.server.handler = refusing(403, b"")
    assert bench.fetch().error.retry_after == 300.0


def test_a_firewalls_refusal_counts_for_its_budget_only_and_once_for_all_under_way(bench: Bench) -> None:
    bench.server.handler = lambda request: NOT_DONE_YET
    both = bench.fetch("/a"), bench.fetch("/b")
    waiting = bench.fetch("/c", weight=100)
    for request in list(bench.server.requests):
        request.setResponseCode(403)
        request.write(HTML)
        request.finish()
    bench.network.settle()
    assert [each.error.retry_after for each in (*both, waiting)] == [300.0] * 3
    assert bench.limited() == {("somewhere", "http_403"): 1}
    bench.server.handler = lambda request: b"{}"
    assert bench.fetch(market=PERPETUAL).body == b"{}"


@pytest.mark.parametrize(
    ("status", "body"), [(451, HTML), (451, b""), (403, b'{"code":0,"msg":"restricted location"}')]
)
def test_what_the_api_says_itself_is_asked_again_as_before(bench: Bench, status: int, body: bytes) -> None:
    bench.server.handler = refusing(status, body)
    for _ in range(2):
        error = bench.fetch().error
        assert error.retry_after is None and "too many requests" not in str(error)
    assert len(bench.server.requests) == 2


def test_the_budget_paces_and_the_most_urgent_goes_first(bench: Bench) -> None:
    bench.server.handler = lambda request: NOT_DONE_YET
    bench.fetch("/heavy", weight=95)
    probe = bench.fetch("/probe", weight=5, purpose=Purpose.PROBE)
    poll = bench.fetch("/poll", weight=10, purpose=Purpose.POLL)
    snapshot = bench.fetch("/snapshot", weight=10, purpose=Purpose.SNAPSHOT)
    assert [request.path for request in bench.server.requests] == [b"/heavy", b"/probe"]
    for request in list(bench.server.requests):
        request.finish()
    bench.network.pass_time(9)
    assert len(bench.server.requests) == 2, "their weight counts for a minute more"
    bench.network.pass_time(2)
    assert probe.body == b"" and poll.error.cause == snapshot.error.cause == "capacity"


def test_waiting_requests_start_as_the_window_moves_on(bench: Bench) -> None:
    bench.fetch("/first", weight=60)
    bench.network.pass_time(55)
    bench.fetch("/second", weight=30)
    low, urgent = (
        bench.fetch("/low", weight=20, purpose=Purpose.PROBE),
        bench.fetch("/urgent", weight=50, purpose=Purpose.SNAPSHOT),
    )
    bench.network.pass_time(6)
    assert [request.path for request in bench.server.requests] == [b"/first", b"/second", b"/urgent", b"/low"]
    assert low.body == urgent.body == b"{}"


def test_who_gives_up_waiting_lets_those_behind_go(bench: Bench) -> None:
    bench.fetch("/first", weight=60)
    bench.network.pass_time(1)
    heavy = bench.fetch("/heavy", weight=50, purpose=Purpose.SNAPSHOT)
    bench.network.pass_time(5)
    light = bench.fetch("/light", weight=20)
    bench.network.pass_time(4)
    assert light.body is None, "a light one does not overtake"
    bench.network.pass_time(7)
    assert (heavy.error.cause, light.body) == ("capacity", b"{}")


def test_the_used_weight_of_the_venue_is_believed(bench: Bench) -> None:
    def used(request: Any) -> bytes:
        request.setHeader("X-Used", "95")
        return b"{}"

    bench.server.handler = used
    bench.fetch()
    assert bench.client.used_weight == 95
    waiting = bench.fetch(weight=10)
    assert len(bench.server.requests) == 1
    waiting.deferred.cancel()
    bench.fetch(weight=10, market=PERPETUAL)
    assert len(bench.server.requests) == 2, "another pool has its own budget"


@pytest.mark.parametrize("value", ["", "x", "-5", "99999999999999999999", "1e5"])
def test_a_strange_used_weight_is_ignored(bench: Bench, value: str) -> None:
    def used(request: Any) -> bytes:
        request.setHeader("X-Used", value)
        return b"{}"

    bench.server.handler = used
    assert bench.fetch().body == b"{}"
    assert bench.client.used_weight == 1


def test_the_date_of_an_answer_is_handed_on_and_nonsense_is_not(bench: Bench) -> None:
    told: list[tuple[MarketType, int]] = []
    bench.client.dated = lambda market, date_ms: told.append((market, date_ms))

    def answer(date: str) -> Callable[[Any], bytes]:
        def handle(request: Any) -> bytes:
            request.setHeader("Date", date)
            return b"{}"

        return handle

    for date in ("Tue, 14 Nov 2023 22:13:20 GMT", "yesterday", "", "Tue, 99 Nov 2023 22:13:20 GMT"):
        bench.server.handler = answer(date)
        assert bench.fetch().body == b"{}"
    assert told == [(MarketType.SPOT, 1_700_000_000_000)]


def test_a_silent_server_is_given_ten_seconds(bench: Bench) -> None:
    bench.server.handler = lambda request: NOT_DONE_YET
    outcome = bench.fetch()
    bench.network.pass_time(9.5)
    assert outcome.failure is None
    bench.network.pass_time(1)
    assert outcome.error.cause == "disconnected" and "10 s" in str(outcome.error)
    assert bench.network.wires[0].client.connected == 0


def test_what_cut_one_connection_costs_one_deadline_however_many_are_idle(bench: Bench) -> None:
    network, waiting = bench.network, []
    hosts = {market: Hosts("wss://unused", "http://api.example") for market in (SPOT, PERPETUAL)}
    requests = RestRequests(Words(), hosts, network, network, bench.tally, Dialer(network), None)  # type: ignore[arg-type]
    bench.server.handler = lambda request: waiting.append(request) or NOT_DONE_YET
    first = [Outcome(requests.client, RestRequest(Purpose.POLL, SPOT, "/time", weight=1, pool="one")) for _ in range(3)]
    network.settle()
    dead = {request.channel for request in waiting}
    for request in waiting:
        request.write(b"{}")
        request.finish()
    network.settle()
    assert [each.body for each in first] == [b"{}"] * 3 and len(dead) == 3
    bench.server.handler = lambda request: NOT_DONE_YET if request.channel in dead else b"[]"
    lost = Outcome(requests.client, RestRequest(Purpose.POLL, SPOT, "/time", weight=1, pool="one"))
    network.pass_time(10.5)
    assert lost.error.cause == "disconnected"
    again = Outcome(requests.client, RestRequest(Purpose.POLL, SPOT, "/time", weight=1, pool="one"))
    network.settle()
    assert again.body == b"[]"
    requests.stop()
    network.pass_time(2.0)


def test_a_body_that_drips_for_ever_is_cut_off(bench: Bench) -> None:
    def drip(request: Any) -> Any:
        request.write(b"[")
        return NOT_DONE_YET

    bench.server.handler = drip
    outcome = bench.fetch()
    for _ in range(11):
        bench.network.pass_time(1)
        if not bench.server.requests[0]._disconnected:
            bench.server.requests[0].write(b"1,")
    bench.network.settle()
    assert "10 s" in str(outcome.error)
    assert bench.network.wires[0].client.connected == 0


def test_an_endless_body_is_cut_off_at_16_mib(bench: Bench) -> None:
    def flood(request: Any) -> Any:
        for _ in range(17):
            request.write(b"x" * 1024 * 1024)
        return NOT_DONE_YET

    bench.server.handler = flood
    outcome = bench.fetch()
    assert "longer than 16 MiB" in str(outcome.error)
    bench.network.settle()
    assert bench.network.wires[0].client.connected == 0


def test_a_small_packed_body_that_unpacks_to_much_is_cut_off(bench: Bench) -> None:
    def bomb(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return gzip.compress(bytes(MAX_BODY + 1))

    bench.server.handler = bomb
    assert "longer than 16 MiB" in str(bench.fetch().error)


def test_a_bomb_costs_little_more_than_what_a_body_may_have(bench: Bench) -> None:
    """64 KiB packed, as one read brings it, are 64 MiB."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 2**16 + 1024

    def packed(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return bomb

    bench.server.handler = packed
    tracemalloc.start()
    try:
        error = bench.fetch().error
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "longer than 16 MiB" in str(error)
    assert most < MAX_BODY + 2**21
    bench.network.settle()
    assert bench.network.wires[0].client.connected == 0


@pytest.mark.parametrize("cut", [1, 4, 8, 12])
def test_a_packed_body_without_its_end_is_no_body(bench: Bench, cut: int) -> None:
    def packed(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return gzip.compress(b"[1,2,3]")[:-cut]

    bench.server.handler = packed
    assert bench.fetch().error.cause == "disconnected"


def test_members_of_gzip_are_one_body(bench: Bench) -> None:
    def packed(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return gzip.compress(b"[1,2") + gzip.compress(b"") + gzip.compress(b",3]")

    bench.server.handler = packed
    assert bench.fetch().body == b"[1,2,3]"


def test_a_packing_that_was_not_asked_for_is_an_error(bench: Bench) -> None:
    def packed(request: Any) -> bytes:
        request.setHeader("Content-Encoding", "br")
        return b"[1,2,3]"

    bench.server.handler = packed
    error = bench.fetch().error
    assert error.cause == "disconnected" and "'br'" in str(error)


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 60), st.integers(1, 40))
def test_whatever_the_pieces_what_comes_out_is_what_went_in(members: list[bytes], piece: int, step: int) -> None:
    found: list[bytes] = []

    def take(data: bytes) -> bool:
        found.append(data)
        return True

    packed = b"".join(map(gzip.compress, members))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest_body, "STEP", step)
        inflated = rest_body.Inflated()
        for at in range(0, len(packed), piece):
            assert inflated.feed(packed[at : at + piece], take)
    assert b"".join(found) == b"".join(members) and inflated.is_whole()
    assert all(len(each) <= step for each in found)


def test_a_body_cut_short_is_no_body(bench: Bench) -> None:
    def cut(request: Any) -> Any:
        request.setHeader("Content-Length", "100")
        request.write(b"[1,2")
        request.transport.loseConnection()
        return NOT_DONE_YET

    bench.server.handler = cut
    assert bench.fetch().error.cause == "disconnected"


def test_refused_unknown_and_garbage_are_disconnected(bench: Bench) -> None:
    bench.network.servers.clear()
    refused = bench.fetch()
    bench.network.pass_time(1)
    assert refused.error.cause == "disconnected"
    bench.network.unknown_names.add("api.example")
    assert "DNSLookupError" in str(bench.fetch().error)
    bench.network.unknown_names.clear()

    class Garbage(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(b"\x00\x01\x02 what\r\n\r\n")

    bench.network.listen(80, Factory.forProtocol(Garbage))
    assert bench.fetch().error.cause == "disconnected"


def test_cancelling_frees_the_place_and_the_connection(bench: Bench) -> None:
    bench.server.handler = lambda request: NOT_DONE_YET
    running = [bench.fetch() for _ in range(4)]
    waiting = bench.fetch("/waiting")
    assert len(bench.server.requests) == 4
    waiting.deferred.cancel()
    assert isinstance(waiting.failure, CancelledError)
    last = bench.fetch("/last")
    running[0].deferred.cancel()
    bench.network.settle()
    assert isinstance(running[0].failure, CancelledError)
    assert [request.path for request in bench.server.requests][4:] == [b"/last"]
    assert bench.network.wires[0].client.connected == 0
    last.deferred.cancel()
    for each in running[1:]:
        each.deferred.cancel()


def test_too_many_waiting_are_refused(bench: Bench) -> None:
    bench.server.handler = lambda request: NOT_DONE_YET
    outcomes = [Outcome(bench.client, RestRequest(Purpose.POLL, SPOT, "/time", pool="one")) for _ in range(1004)]
    extra = Outcome(bench.client, RestRequest(Purpose.POLL, SPOT, "/time", pool="one"))
    assert extra.error.cause == "capacity"
    for outcome in outcomes:
        outcome.deferred.cancel()
    bench.network.settle()


def test_tls_is_verified() -> None:
    authority = Authority()
    for name, trusted in (("api.example", True), ("other.example", True), ("api.example", False)):
        bench = Bench(rest="https://api.example", trust_root=(authority if trusted else Authority()).trust_root)
        bench.network.listen(443, TLSMemoryBIOFactory(authority.options(name), False, bench.site, clock=bench.network))
        outcome = bench.fetch()
        if name == "api.example" and trusted:
            assert outcome.body == b"{}"
        else:
            assert outcome.error.cause == "disconnected" and bench.server.requests == []
        finish(bench)

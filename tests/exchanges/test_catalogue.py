"""When a market's catalogue is read, what becomes of an answer, and when the venue is probed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Catalogue, Instrument, MarketType
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes
from cryptodash.exchanges.adapter.elements import kept
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import RestLimits
from cryptodash.exchanges.catalogue import (
    FRESH,
    LEAST_GAP,
    LONGEST_WAIT,
    PROBE_EVERY,
    REFRESH,
    CatalogueReader,
)
from cryptodash.exchanges.catalogue_pages import MAX_PAGES
from cryptodash.exchanges.connections.left_out import LeftOutElements
from cryptodash.testing.network import MemoryNetwork
from cryptodash.testing.venue import SPOT, MadeUpVenue, make_instrument

DOWN = UpstreamError("disconnected", "the venue is down")
HOLD = object()
"""An answer that does not come by itself."""

Answer = Any
"""A body, an error, ``HOLD``, or a function from the request to one of them."""


def page(*pairs: str, following: str = "") -> bytes:
    return json.dumps({"pairs": list(pairs), "next": following}).encode()


class PagedVenue(MadeUpVenue):
    """Lists its instruments on pages, from one first page or from several."""

    def __init__(self, *first: str) -> None:
        super().__init__()
        self._first = first or ("/page/1",)

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        return [RestRequest(Purpose.CATALOGUE, market, path) for path in self._first]

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        said = json.loads(body)
        found = [make_instrument(request.market, *each.split("-")) for each in said["pairs"]]
        return found, evolve(request, path=said["next"]) if said["next"] else None


class ListingVenue(MadeUpVenue):
    """Lists its instruments on one page, each as ``pair:status``; what is not so is odd."""

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        return [RestRequest(Purpose.CATALOGUE, market, "/page/1")]

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        def read(listing: str) -> Instrument:
            native, _, rest = listing.partition("=")
            pair, colon, status = rest.partition(":")
            if not colon:
                raise BadFrame("schema", "no status")
            return evolve(make_instrument(request.market, *pair.split("-"), status), native=native)

        return kept(json.loads(body), read, lambda listing: listing.partition("=")[0]), None


class Fetcher:
    """Answers by path. What has no answer is refused as ``DOWN``."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[float, str]] = []
        self.held: list[Deferred[bytes]] = []
        self.dropped = 0

    async def fetch(self, request: RestRequest) -> bytes:
        self.asked.append((self._network.seconds(), request.path))
        answer = self.answers.get(request.path, DOWN)
        if callable(answer):
            answer = answer(request)
        if answer is HOLD:
            held: Deferred[bytes] = Deferred(self._drop)
            self.held.append(held)
            answer = await held
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, bytes)
        return answer

    def _drop(self, held: Deferred[bytes]) -> None:
        self.held.remove(held)
        self.dropped += 1

    def release(self, answer: Answer) -> None:
        held = self.held.pop(0)
        if isinstance(answer, Exception):
            held.errback(Failure(answer))
        else:
            held.callback(answer)


class Desk:
    """A reader, its clock, and all it tells."""

    def __init__(self, venue: MadeUpVenue | None = None, answers: dict[str, Answer] | None = None) -> None:
        self.network = MemoryNetwork()
        self.fetcher = Fetcher(self.network)
        self.fetcher.answers = {"/page/1": page("BTC-USDT")} if answers is None else answers
        self.catalogue = Catalogue("madeup")
        self.told: list[str] = []
        self.tally = Tally()
        self.left_out = LeftOutElements("madeup", self.tally)
        self.idle = False
        self.on_change: Callable[[], None] = lambda: None
        self.reader = CatalogueReader(
            venue or PagedVenue(),
            SPOT,
            self.catalogue,
            self.fetcher,  # type: ignore[arg-type]
            self.network,
            self.network,
            Random(1),
            changed=self._changed,
            failed=lambda market, error: self.told.append(f"failed: {error}"),
            idle=lambda: self.idle,
            left_out=self.left_out.add,
        )

    def _changed(self, market: MarketType) -> None:
        self.told.append("changed")
        self.on_change()

    def pass_time(self, seconds: float) -> None:
        """From one thing that is due to the next, each at its very time."""
        end = self.network.seconds() + seconds
        while self.network.calls and self.network.calls[0].getTime() <= end:
            self.network.advance(max(self.network.calls[0].getTime() - self.network.seconds(), 0.0))
        self.network.advance(end - self.network.seconds())

    def read(self) -> list[object]:
        """Ask for a reading; what comes of it is put into the list: ``"read"``, or an error."""
        outcome: list[object] = []
        Deferred.fromCoroutine(self.reader.read()).addCallbacks(
            lambda _: outcome.append("read"), lambda failure: outcome.append(failure.value)
        )
        return outcome

    @property
    def names(self) -> set[str]:
        return {each.native for each in self.catalogue}

    @property
    def paths(self) -> list[str]:
        return [path for _, path in self.fetcher.asked]

    def times(self, path: str = "/page/1") -> list[float]:
        return [at for at, asked in self.fetcher.asked if asked == path]


# -- one reading


def endless(request: RestRequest) -> bytes:
    number = int(request.path.rpartition("/")[2])
    return page(f"C{number}-USDT", following=f"/page/{number + 1}")


class Endless(dict[str, Answer]):
    def get(self, key: str, default: Answer = None) -> Answer:
        return endless


READINGS: dict[str, tuple[tuple[str, ...], dict[str, Answer], set[str], list[str], str]] = {
    # first pages, answers, instruments, what is asked for, the error
    "one page": ((), {"/page/1": page("BTC-USDT", "ETH-USDT")}, {"BTCUSDT", "ETHUSDT"}, ["/page/1"], ""),
    "pages are followed": (
        (),
        {"/page/1": page("A-USDT", following="/page/2"), "/page/2": page("B-USDT")},
        {"AUSDT", "BUSDT"},
        ["/page/1", "/page/2"],
        "",
    ),
    "several first pages, each followed": (
        ("/a/1", "/b/1"),
        {"/a/1": page("A-USDT", following="/a/2"), "/b/1": page("B-USDT"), "/a/2": page("C-USDT")},
        {"AUSDT", "BUSDT", "CUSDT"},
        ["/a/1", "/a/2", "/b/1"],
        "",
    ),
    "an empty page among others": (
        (),
        {"/page/1": page(following="/page/2"), "/page/2": page("B-USDT")},
        {"BUSDT"},
        ["/page/1", "/page/2"],
        "",
    ),
    "the first page fails": ((), {}, set(), ["/page/1"], "the venue is down"),
    "a later page fails: nothing of the others is taken": (
        (),
        {"/page/1": page("A-USDT", following="/page/2")},
        set(),
        ["/page/1", "/page/2"],
        "the venue is down",
    ),
    "no JSON": ((), {"/page/1": b"<html>"}, set(), ["/page/1"], "unreadable answer: json"),
    "not what was expected": (
        (),
        {"/page/1": BadFrame("schema", "no pairs")},
        set(),
        ["/page/1"],
        "unreadable answer: schema",
    ),
    "an unreadable later page": (
        (),
        {"/page/1": page("A-USDT", following="/page/2"), "/page/2": b"{"},
        set(),
        ["/page/1", "/page/2"],
        "unreadable answer: json",
    ),
    "empty": ((), {"/page/1": page()}, set(), ["/page/1"], "lists no spot instrument"),
    "endless": ((), Endless(), set(), [f"/page/{number + 1}" for number in range(MAX_PAGES)], "has no end"),
}


@pytest.mark.parametrize(("first", "answers", "names", "asked", "error"), READINGS.values(), ids=READINGS)
def test_one_reading(
    first: tuple[str, ...], answers: dict[str, Answer], names: set[str], asked: list[str], error: str
) -> None:
    desk = Desk(PagedVenue(*first), answers)
    desk.reader.start()
    assert desk.names == names
    assert desk.paths == asked
    assert len(desk.told) == 1
    assert desk.catalogue.loaded(SPOT) is desk.reader.is_good is (not error)
    if error:
        assert desk.told[0].startswith("failed: ") and error in desk.told[0]
        assert desk.reader.error is not None and desk.reader.error.cause == "disconnected"
        assert desk.reader.good_at is None
    else:
        assert desk.told == ["changed"]
        assert desk.reader.error is None
        assert desk.reader.good_at == desk.network.monotonic()
    desk.reader.stop()
    assert not desk.network.getDelayedCalls()


def test_what_a_venue_says_is_shortened() -> None:
    desk = Desk(answers={"/page/1": BadFrame("schema", "x" * 5000)})
    desk.reader.start()
    assert len(str(desk.reader.error)) <= 300


def test_an_error_of_our_own_is_logged_and_tried_again() -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        desk = Desk(answers={"/page/1": KeyError("ours")})
        desk.reader.start()
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert [event["log_failure"].type for event in logged if "log_failure" in event] == [KeyError]
    assert "KeyError" in str(desk.reader.error)
    desk.fetcher.answers["/page/1"] = page("BTC-USDT")
    desk.pass_time(1)
    assert desk.reader.error is None


def test_a_failed_reading_leaves_what_was_known() -> None:
    desk = Desk()
    desk.reader.start()
    desk.fetcher.answers = {}
    desk.pass_time(1.05 * REFRESH)
    assert desk.told[0] == "changed" and set(desk.told[1:]) == {f"failed: {DOWN}"}
    assert desk.names == {"BTCUSDT"}
    desk.fetcher.answers["/page/1"] = page("ETH-USDT")
    desk.pass_time(20)
    assert desk.names == {"ETHUSDT"}


# -- when it is read


def test_it_is_tried_again_after_one_to_twenty_seconds() -> None:
    desk = Desk(answers={})
    desk.reader.start()
    desk.pass_time(200)
    times = desk.times()
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for number, pause in enumerate(pauses):
        ceiling = min(20.0, 2.0**number)
        assert ceiling / 2 - 1e-9 <= pause <= ceiling + 1e-9
    assert len(pauses) > 10


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [(None, 0.5, 1.0), (0.0, 0.5, 1.0), (0.6, 0.5, 1.0), (300.0, 300.0, 300.0), (1e9, LONGEST_WAIT, LONGEST_WAIT)],
)
def test_a_wait_that_the_venue_names_is_kept_up_to_an_hour(said: float | None, least: float, most: float) -> None:
    desk = Desk(answers={"/page/1": UpstreamError("banned", "slower", said)})
    desk.reader.start()
    desk.pass_time(most)
    first, second, *_ = desk.times()
    assert least - 1e-9 <= second - first <= most + 1e-9


def test_a_success_makes_failures_forgotten() -> None:
    desk = Desk(answers={})
    desk.reader.start()
    desk.pass_time(100)
    desk.fetcher.answers = {"/page/1": page("BTC-USDT")}
    desk.pass_time(20)
    assert desk.told[-1] == "changed"
    desk.fetcher.answers = {}
    before = len(desk.times())
    desk.pass_time(1.05 * REFRESH)
    first, second = desk.times()[before : before + 2]
    assert second - first <= 1.0 + 1e-9


def test_it_is_read_hourly_and_not_on_the_minute() -> None:
    desk = Desk()
    desk.reader.start()
    desk.pass_time(30 * REFRESH)
    times = desk.times()
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) >= 28
    assert 0.95 * REFRESH <= min(pauses) < 0.99 * REFRESH
    assert 1.01 * REFRESH < max(pauses) <= 1.05 * REFRESH
    assert desk.told == ["changed"] * len(times)


# -- when somebody asks


def test_a_request_within_ten_seconds_gets_the_result_of_the_last_reading() -> None:
    desk = Desk()
    desk.reader.start()
    desk.pass_time(LEAST_GAP - 0.1)
    assert desk.read() == ["read"]
    assert len(desk.paths) == 1
    desk.pass_time(0.1)
    assert desk.read() == ["read"]
    assert len(desk.paths) == 2


def test_the_ten_seconds_begin_with_the_reading() -> None:
    desk = Desk(answers={"/page/1": HOLD})
    desk.reader.start()
    desk.pass_time(LEAST_GAP + 1)
    desk.fetcher.release(page("BTC-USDT"))
    outcome = desk.read()
    assert outcome == [] and len(desk.paths) == 2


def test_the_first_request_may_come_before_the_start() -> None:
    desk = Desk()
    assert desk.read() == ["read"]
    assert desk.names == {"BTCUSDT"}


def test_requests_join_the_reading_under_way() -> None:
    desk = Desk(answers={"/page/1": HOLD})
    desk.reader.start()
    outcomes = [desk.read(), desk.read()]
    desk.pass_time(LEAST_GAP + 1)
    outcomes.append(desk.read())
    desk.reader.begin()
    assert len(desk.paths) == 1
    assert outcomes == [[], [], []]
    desk.fetcher.release(page("BTC-USDT"))
    assert outcomes == [["read"]] * 3


def test_those_who_wait_hear_of_a_failure_and_so_does_who_asks_soon_after() -> None:
    desk = Desk(answers={"/page/1": HOLD})
    desk.reader.start()
    waiting = desk.read()
    desk.fetcher.release(DOWN)
    assert waiting == [DOWN]
    assert desk.read() == [DOWN]
    assert len(desk.paths) == 1


def test_a_request_takes_the_place_of_the_next_try() -> None:
    desk = Desk(answers={})
    desk.reader.start()
    desk.pass_time(100)
    desk.fetcher.answers = {"/page/1": page("BTC-USDT")}
    while desk.network.monotonic() - 1_000.0 - desk.times()[-1] < LEAST_GAP:
        desk.pass_time(0.1)
    assert desk.read() == ["read"]
    tries = len(desk.paths)
    desk.pass_time(60)
    assert len(desk.paths) == tries


def test_who_stops_waiting_stops_nobody_else() -> None:
    desk = Desk(answers={"/page/1": HOLD})
    desk.reader.start()
    impatient = Deferred.fromCoroutine(desk.reader.read())
    patient = desk.read()
    impatient.addErrback(lambda failure: failure.trap(CancelledError) and None)
    impatient.cancel()
    assert desk.fetcher.dropped == 0
    desk.fetcher.release(page("BTC-USDT"))
    assert patient == ["read"]


@pytest.mark.parametrize(("reading", "probe", "outcome"), [(page("A-USDT"), DOWN, "read"), (DOWN, b"{}", DOWN)])
def test_a_probe_in_between_does_not_change_what_the_reading_came_to(
    reading: Answer, probe: Answer, outcome: object
) -> None:
    desk = Desk()
    desk.reader.start()
    desk.idle = True
    desk.fetcher.answers = {"/page/1": reading, "/time": probe}
    desk.pass_time(PROBE_EVERY - 0.1)
    first = desk.read()
    assert first == [outcome]
    desk.pass_time(0.2)
    assert desk.paths.count("/time") == 1
    readings = desk.paths.count("/page/1")
    assert desk.read() == [outcome]
    assert desk.paths.count("/page/1") == readings


# -- probes


@pytest.mark.parametrize(
    ("idle", "loaded", "reading", "probes"),
    [
        (True, True, False, 3),
        (False, True, False, 0),
        (True, False, False, 0),  # the readings show how the venue is
        (True, True, True, 0),
    ],
)
def test_the_venue_is_probed_only_while_idle_loaded_and_not_read(
    idle: bool, loaded: bool, reading: bool, probes: int
) -> None:
    desk = Desk(answers={"/page/1": page("BTC-USDT") if loaded else DOWN, "/time": b"{}"})
    desk.reader.start()
    desk.idle = idle
    if reading:
        desk.pass_time(LEAST_GAP)
        desk.fetcher.answers["/page/1"] = HOLD
        desk.reader.begin()
    desk.pass_time(3 * PROBE_EVERY)
    assert desk.paths.count("/time") == probes


def test_probes_take_little_of_a_budget_that_is_counted_by_the_hour() -> None:
    venue = PagedVenue()
    venue.rest_limits = {"": RestLimits(96, REFRESH)}
    desk = Desk(venue, {"/page/1": page("BTC-USDT"), "/time": b"{}"})
    desk.reader.start()
    desk.idle = True
    for _ in range(60):
        desk.pass_time(REFRESH / 60)
        assert desk.reader.is_good
    assert 3 <= desk.paths.count("/time") <= 9


def test_probes_do_not_overlap() -> None:
    desk = Desk()
    desk.fetcher.answers["/time"] = HOLD
    desk.reader.start()
    desk.idle = True
    desk.pass_time(3 * PROBE_EVERY)
    assert desk.paths.count("/time") == 1
    desk.fetcher.release(b"{}")
    desk.pass_time(PROBE_EVERY)
    assert desk.paths.count("/time") == 2


@pytest.mark.parametrize(
    ("passed", "error", "good"),
    [(0.0, None, True), (FRESH, None, True), (FRESH + 0.1, None, False), (PROBE_EVERY, DOWN, False)],
)
def test_a_success_speaks_for_the_venue_for_a_while(passed: float, error: Exception | None, good: bool) -> None:
    desk = Desk()
    assert not desk.reader.is_good
    desk.reader.start()
    desk.idle = True
    desk.fetcher.answers["/time"] = HOLD if error is None else error
    desk.pass_time(passed)
    assert desk.reader.is_good is good
    assert desk.reader.error is error


def test_a_venue_that_was_in_use_is_not_down_the_moment_nobody_wants_it() -> None:
    desk = Desk()
    desk.reader.start()
    desk.pass_time(10 * PROBE_EVERY)
    desk.idle = True
    assert "/time" not in desk.paths, "there was no reason to ask"
    assert desk.reader.is_good
    desk.fetcher.answers["/time"] = HOLD
    desk.pass_time(FRESH + 1.0)
    assert not desk.reader.is_good


def test_a_probe_tells_of_recovery() -> None:
    desk = Desk()
    desk.reader.start()
    desk.idle = True
    desk.pass_time(PROBE_EVERY)
    assert desk.reader.error is DOWN
    desk.fetcher.answers["/time"] = b"{}"
    desk.pass_time(PROBE_EVERY)
    assert desk.reader.is_good
    assert desk.reader.good_at == desk.network.monotonic()
    assert desk.told == ["changed"]  # a probe reads no catalogue


# -- the end


@pytest.mark.parametrize("path", ["/page/1", "/time", ""])
def test_stopped_it_drops_what_is_under_way_and_leaves_no_timer(path: str) -> None:
    desk = Desk()
    desk.idle = True
    if path == "/page/1":
        desk.fetcher.answers[path] = HOLD
    desk.fetcher.answers["/time"] = HOLD if path == "/time" else b"{}"
    desk.reader.start()
    desk.pass_time(PROBE_EVERY)
    told, asked = list(desk.told), len(desk.paths)
    desk.reader.stop()
    assert desk.fetcher.dropped == (path != "")
    assert not desk.network.getDelayedCalls()
    desk.pass_time(2 * REFRESH)
    assert (desk.told, len(desk.paths)) == (told, asked)
    assert desk.reader.error is None


def test_stopped_while_somebody_waits_who_hears_of_it() -> None:
    desk = Desk(answers={"/page/1": HOLD})
    desk.reader.start()
    waiting = [desk.read(), desk.read()]
    desk.reader.stop()
    assert [[type(each) for each in outcome] for outcome in waiting] == [[CancelledError]] * 2


@pytest.mark.parametrize("held", [False, True])
def test_stopped_by_who_hears_of_a_reading_it_leaves_no_timer(held: bool) -> None:
    desk = Desk(answers={"/page/1": HOLD if held else page("BTC-USDT")})
    desk.on_change = lambda: desk.reader.stop()
    desk.reader.start()
    if held:
        desk.fetcher.release(page("BTC-USDT"))
    assert desk.told == ["changed"]
    assert not desk.network.getDelayedCalls()


def test_stopped_before_it_was_started_or_twice_does_nothing() -> None:
    desk = Desk()
    desk.reader.stop()
    desk.reader.stop()
    assert desk.paths == []


def test_asked_after_it_was_stopped_it_says_so_and_asks_nobody() -> None:
    desk = Desk()
    desk.reader.start()
    asked = len(desk.paths)
    desk.reader.stop()
    desk.pass_time(LEAST_GAP + 1.0)
    assert [type(each) for each in desk.read()] == [CancelledError]
    desk.reader.begin()
    assert len(desk.paths) == asked


# -- odd listings


def listed(*listings: str) -> bytes:
    return json.dumps(listings).encode()


def counted(desk: Desk) -> dict[tuple[str, ...], int]:
    return dict(desk.tally.metrics["cryptodash_upstream_left_out_total"].values)  # type: ignore[union-attr]


def test_an_odd_listing_is_left_out_counted_and_logged_once() -> None:
    desk = Desk(ListingVenue(), {"/page/1": listed("BTCUSDT=BTC-USDT:trading", "ODD")})
    with capturedLogs() as logged:
        desk.reader.start()
        desk.pass_time(3 * REFRESH)
    assert desk.names == {"BTCUSDT"}
    assert desk.told == ["changed"] * len(desk.fetcher.asked) and len(desk.told) >= 3
    assert counted(desk) == {("madeup", "instrument"): len(desk.told)}
    (line,) = [formatEvent(each) for each in logged if "left out" in str(each.get("log_format"))]
    assert line == "madeup: instrument 'spot ODD' is left out: schema: no status"


def test_a_page_of_nothing_but_odd_listings_is_an_error() -> None:
    desk = Desk(ListingVenue(), {"/page/1": listed("ODD", "ODDER")})
    desk.reader.start()
    assert desk.told == ["failed: madeup spot: unreadable answer: schema: no status"]


def test_a_known_instrument_whose_listing_becomes_odd_stays_as_it_was() -> None:
    desk = Desk(ListingVenue(), {"/page/1": listed("BTCUSDT=BTC-USDT:trading", "ETHUSDT=ETH-USDT:trading")})
    desk.reader.start()
    desk.fetcher.answers["/page/1"] = listed("BTCUSDT=BTC-USDT:trading", "ETHUSDT=ETH-USDT", "NEWUSDT=NEW-USDT")
    desk.pass_time(1.1 * REFRESH)
    assert desk.names == {"BTCUSDT", "ETHUSDT"}
    desk.fetcher.answers["/page/1"] = listed("BTCUSDT=BTC-USDT:trading")
    desk.pass_time(1.1 * REFRESH)
    assert desk.names == {"BTCUSDT"}


@pytest.mark.parametrize("turned", [False, True])
def test_two_that_trade_under_one_symbol_are_counted_and_logged_once(turned: bool) -> None:
    listings = ["BTCUSDT=BTC-USDT:trading", "BTCUSDT2=BTC-USDT:trading", "BTCUSDTOLD=BTC-USDT:halted"]
    desk = Desk(ListingVenue(), {"/page/1": listed(*(listings[::-1] if turned else listings))})
    with capturedLogs() as logged:
        desk.reader.start()
        desk.pass_time(2.2 * REFRESH)
    assert desk.names == {"BTCUSDT"}
    assert counted(desk) == {("madeup", "same_symbol"): len(desk.told)}
    (line,) = [formatEvent(each) for each in logged if "left out" in str(each.get("log_format"))]
    assert "BTCUSDT2" in line and "BTCUSDT trades under the same symbol" in line


def test_a_firewalls_refusal_is_not_asked_again_before_its_time() -> None:
    refused = UpstreamError("blocked", "this place is not served, or too many requests", 300.0)
    desk = Desk(answers={"/page/1": refused})
    desk.reader.start()
    desk.pass_time(299.0)
    assert len(desk.paths) == 1
    desk.pass_time(1.5)
    assert len(desk.paths) == 2


# Further lists


def test_a_further_list_that_the_venue_does_not_give_here_is_left_out_and_said_once() -> None:
    refused = UpstreamError("rejected", "Invalid arguments")
    desk = Desk(PagedVenue("/page/1", "/page/more"), {"/page/1": page("BTC-USDT"), "/page/more": refused})
    with capturedLogs() as logged:
        desk.reader.start()
        desk.pass_time(REFRESH * 3.3)
    assert desk.told.count("changed") >= 3
    assert [str(each.symbol) for each in desk.catalogue] == ["BTC-USDT"]
    (said,) = [line for line in map(formatEvent, logged) if "Invalid arguments" in line]
    assert "/page/more" in said
    desk.fetcher.answers["/page/more"] = page("AAPL-USD")
    desk.pass_time(REFRESH * 1.1)
    assert [str(each.symbol) for each in desk.catalogue] == ["BTC-USDT", "AAPL-USD"]


def test_a_further_list_that_was_given_and_is_refused_ends_nothing_of_its_own_and_stops_no_other() -> None:
    answers = {"/page/1": page("BTC-USDT", "ETH-USDT"), "/page/more": page("AAPL-USD")}
    desk = Desk(PagedVenue("/page/1", "/page/more"), answers)
    desk.reader.start()
    desk.pass_time(1)
    desk.fetcher.answers["/page/more"] = UpstreamError("rejected", "Invalid arguments")
    desk.fetcher.answers["/page/1"] = page("BTC-USDT", "SOL-USDT")
    desk.pass_time(REFRESH * 2.2)
    assert desk.told[-1] == "changed"
    assert [str(each.symbol) for each in desk.catalogue] == ["BTC-USDT", "SOL-USDT", "AAPL-USD"]
    desk.fetcher.answers["/page/more"] = page("TSLA-USD")
    desk.pass_time(REFRESH * 1.1)
    assert [str(each.symbol) for each in desk.catalogue] == ["BTC-USDT", "SOL-USDT", "TSLA-USD"]


def test_a_further_list_that_fails_of_anything_else_is_waited_for() -> None:
    answers = {"/page/1": page("BTC-USDT"), "/page/more": UpstreamError("disconnected", "no answer")}
    desk = Desk(PagedVenue("/page/1", "/page/more"), answers)
    desk.reader.start()
    desk.pass_time(1)
    assert not desk.catalogue.loaded(SPOT)


# Lists of volumes


class ContractsVenue(MadeUpVenue):
    """Lists contracts of size 0.01 (of "size" in the listing otherwise), and what was traded of them."""

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        listed = RestRequest(Purpose.CATALOGUE, market, "/page/1")
        return [listed, evolve(listed, path="/volumes", volumes=True)]

    def read_catalogue(
        self, request: RestRequest, body: bytes
    ) -> tuple[Sequence[Instrument | ContractVolumes], RestRequest | None]:
        def volumes(row: dict[str, str]) -> ContractVolumes:
            if "base" not in row:
                raise BadFrame("schema", "no base volume")
            return ContractVolumes(row["native"], Number("12345"), Number(row["base"]))

        def instrument(row: dict[str, str]) -> Instrument:
            made = make_instrument(request.market, row["native"], "USDT")
            return evolve(made, native=row["native"], contract_size=Number(row.get("size", "0.01")))

        read: Callable[[dict[str, str]], Instrument | ContractVolumes] = volumes if request.volumes else instrument
        return kept(json.loads(body), read, lambda row: row["native"]), None


def rows(*made: dict[str, str]) -> bytes:
    return json.dumps(made).encode()


A, B, C = ({"native": each} for each in "ABC")
PROVEN = {"base": "123.45"}


@pytest.mark.parametrize(
    "answer",
    [
        *(UpstreamError(cause, "no") for cause in ("rejected", "disconnected", "banned", "blocked")),
        b"<html>",
        rows(A, B),
    ],
    ids=str,
)
def test_volumes_may_lack_and_it_is_said_once(answer: Answer) -> None:
    desk = Desk(ContractsVenue(), {"/page/1": rows(A, B), "/volumes": answer})
    with capturedLogs() as logged:
        desk.reader.start()
        desk.pass_time(REFRESH * 3.3)
    assert desk.told.count("changed") >= 3 and set(desk.told) == {"changed"}
    assert desk.names == {"A", "B"}
    (said,) = [line for line in map(formatEvent, logged) if "left out" in line]
    assert "/volumes" in said


def test_while_volumes_lack_those_of_before_prove_sizes() -> None:
    wrong = {**B, "size": "0.1"}
    desk = Desk(ContractsVenue(), {"/page/1": rows(A, wrong), "/volumes": rows({**A, **PROVEN}, {**B, **PROVEN})})
    desk.reader.start()
    desk.pass_time(1)
    assert desk.names == {"A"}
    desk.fetcher.answers["/volumes"] = DOWN
    desk.pass_time(REFRESH * 1.1)
    assert desk.names == {"A"} and desk.told[-1] == "changed"
    desk.fetcher.answers["/page/1"] = rows(A, B)
    desk.pass_time(REFRESH * 1.1)
    assert desk.names == {"A", "B"}


def test_a_known_instrument_is_not_shown_with_the_size_of_before_in_place_of_another() -> None:
    volumes = rows({**A, **PROVEN}, {**B, **PROVEN})
    desk = Desk(ContractsVenue(), {"/page/1": rows(A, B), "/volumes": volumes})
    desk.reader.start()
    desk.pass_time(1)
    assert desk.names == {"A", "B"}
    desk.fetcher.answers["/page/1"] = rows(A, {**B, "size": "0.1"})
    desk.pass_time(REFRESH * 1.1)
    assert desk.names == {"A"}
    why = "a contract is 0.1 in the catalogue and 0.01 by the traded volume"
    assert desk.catalogue.not_listed() == ((SPOT, "B", why),)
    desk.fetcher.answers["/volumes"] = rows({**A, **PROVEN}, {**B, "base": "1234.5"})
    desk.pass_time(REFRESH * 1.1)
    assert desk.names == {"A", "B"} and desk.catalogue.not_listed() == ()


def test_most_sizes_contradicted_are_believed_and_it_is_said_once() -> None:
    names = [{"native": each} for each in "ABCD"]
    desk = Desk(
        ContractsVenue(), {"/page/1": rows(*names), "/volumes": rows(*({**each, "base": "555.5"} for each in names))}
    )
    with capturedLogs() as logged:
        desk.reader.start()
        desk.pass_time(REFRESH * 2.2)
    assert desk.names == set("ABCD")
    (said,) = map(formatEvent, logged)
    assert "the listed sizes are believed" in said


def test_an_odd_row_of_volumes_leaves_no_instrument_out_and_brings_none_back() -> None:
    desk = Desk(ContractsVenue(), {"/page/1": rows(A, B, C), "/volumes": rows({**A, **PROVEN})})
    desk.reader.start()
    desk.pass_time(1)
    desk.fetcher.answers = {"/page/1": rows(A, B), "/volumes": rows({**A, **PROVEN}, B, C)}
    with capturedLogs() as logged:
        desk.pass_time(REFRESH * 1.1)
    assert desk.names == {"A", "B"}, "C is delisted"
    assert not any("instrument" in line for line in map(formatEvent, logged))
    assert counted(desk) == {("madeup", "sweep"): 2}


# The first list


@pytest.mark.parametrize("cause", ["rejected", "disconnected", "banned"])
def test_the_first_list_must_be_had(cause: str) -> None:
    answers = {"/page/1": UpstreamError(cause, "no"), "/page/more": page("AAPL-USD")}
    desk = Desk(PagedVenue("/page/1", "/page/more"), answers)
    desk.reader.start()
    desk.pass_time(10)
    assert not desk.catalogue.loaded(SPOT)

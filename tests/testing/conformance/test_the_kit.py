"""The kit finds what is wrong: venues that break one rule each, and the check that must say so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import read_data
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import Ack, Fill, Message, Reader, Readers, Side, SweepRow, SweepRows, Trades
from cryptodash.exchanges.adapter.plan import Part, Plan, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import RestLimits
from cryptodash.testing import wire
from cryptodash.testing.conformance import (
    Answer,
    Body,
    Evidence,
    NotConforming,
    Recording,
    Refusal,
    Request,
    checks,
    recorded_checks,
)
from cryptodash.testing.venue import LIMITS, Habits, MadeUpVenue, make_instrument

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
INSTRUMENTS = (make_instrument(SPOT, "BTC", "USDT"), make_instrument(PERPETUAL, "BTC", "USDT"))
NOW = 1_700_000_000_000


class Broken(MadeUpVenue):
    """A made-up venue; what is broken is set on a subclass."""


def broken(**members: Any) -> Evidence:
    """A venue with other members."""
    return Evidence(type("Broken", (Broken,), members)(), INSTRUMENTS)


def replanned(change: Any) -> Evidence:
    """A venue with another plan of what ``change`` gives a plan for."""

    def plan(self: MadeUpVenue, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        return change(MadeUpVenue.plan(self, topic, instrument, depth), topic)  # type: ignore[no-any-return]

    return broken(plan=plan)


def with_stream(**changes: Any) -> Evidence:
    return replanned(lambda plan, topic: evolve(plan, streams=tuple(evolve(each, **changes) for each in plan.streams)))


def said(evidence: Evidence) -> dict[str, str]:
    """What each check that fails says."""
    found: dict[str, str] = {}
    for check in checks(evidence):
        try:
            check()
        except NotConforming as error:
            found[check.name] = str(error)
    return found


def slow(plan: Plan, topic: Topic) -> Plan:
    return evolve(plan, polls=tuple(evolve(each, every=0.001) for each in plan.polls))


def heavy(self: MadeUpVenue, market: MarketType) -> Sequence[RestRequest]:
    return (evolve(MadeUpVenue.catalogue_requests(self, market)[0], weight=5_000),)


def from_nowhere(self: MadeUpVenue, market: MarketType) -> RestRequest:
    return evolve(MadeUpVenue.probe_request(self, market), pool="other")


def refuses_trades(self: MadeUpVenue, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
    if topic.channel is Channel.TRADE:
        raise UpstreamError("rejected", "none here")
    return MadeUpVenue.plan(self, topic, instrument, depth)


class Stateful(Broken):
    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        self._count += 1
        return b"%d" % self._count


class WithoutProbe(Broken):
    probe_request = None  # type: ignore[assignment]


COUNTED = BookRules(SnapshotSource.STREAM, Chaining.CONNECTION)

GENERAL: list[tuple[str, Evidence, str, str]] = [
    ("a method is missing", Evidence(WithoutProbe(), INSTRUMENTS), "interface", "probe_request"),
    ("the id is upper case", broken(id="Acme"), "data", "id 'Acme'"),
    ("a market has no host", broken(hosts={}), "data", "hosts has []"),
    ("no instrument", Evidence(MadeUpVenue(), INSTRUMENTS[:1]), "data", "none of perpetual"),
    (
        "silence before the pong",
        Evidence(MadeUpVenue(evolve(LIMITS, silent_after=10.0)), INSTRUMENTS),
        "endpoints and limits",
        "before its pong",
    ),
    (
        "no bound on connects",
        Evidence(MadeUpVenue(evolve(LIMITS, connects=())), INSTRUMENTS),
        "endpoints and limits",
        "no bound",
    ),
    ("a prefix and no end", broken(data_prefix=b"{", name_end=b""), "routing", "name_end"),
    (
        "a prefix beside counted frames",
        Evidence(type("Counted", (Broken,), {"data_prefix": b"{"})(habits=Habits(books=COUNTED)), INSTRUMENTS),
        "routing",
        "leave it empty",
    ),
    ("a request too heavy", broken(catalogue_requests=heavy), "budgets", "weighs 5000"),
    ("a pool that is not there", broken(probe_request=from_nowhere), "budgets", "pool 'other'"),
    ("no catalogue", broken(catalogue_requests=lambda self, market: ()), "catalogue and probe", "is empty"),
    (
        "no snapshot",
        broken(snapshot_request=lambda self, topic, instrument, levels: None),
        "snapshot requests",
        "says rest",
    ),
    (
        "no snapshot to compare with",
        Evidence(
            type("Unaudited", (Broken,), {"snapshot_request": lambda self, topic, instrument, levels: None})(
                habits=Habits(books=evolve(COUNTED, audit=AuditBy.UNCHANGED))
            ),
            INSTRUMENTS,
        ),
        "snapshot requests",
        "says audit by unchanged",
    ),
    (
        "a smaller snapshot where more is wanted",
        broken(
            snapshot_request=lambda self, topic, instrument, levels: (
                None
                if topic.market is PERPETUAL
                else evolve(MadeUpVenue.snapshot_request(self, topic, instrument, levels), limit=max(1, 1000 - levels))
            )
        ),
        "snapshot requests",
        "asks for fewer",
    ),
    ("an interval of its own", broken(intervals=lambda self, market: ("7m",)), "candle requests", "['7m']"),
    ("a poll beyond the budget", replanned(slow), "plans", "bears"),
    (
        "a part nobody brings",
        replanned(lambda plan, topic: evolve(plan, required=plan.required | {Part.MARK})),
        "plans",
        "mark",
    ),
    ("nothing required", replanned(lambda plan, topic: evolve(plan, required=frozenset())), "plans", "never be live"),
    ("a channel refused", broken(plan=refuses_trades), "plans", "Evidence.without"),
    ("an endpoint that is not there", with_stream(endpoint="other"), "plans", "endpoint 'other'"),
    ("a stream that nobody reads", with_stream(name="what"), "plans", "BadFrame: unknown: stream what"),
    ("a name too long", with_stream(name="trade:" + "x" * 200), "plans", "206 characters"),
    ("a promise of nothing", with_stream(promise=0.0), "plans", "promises a frame in 0.0 s"),
    ("trades that may be skipped", with_stream(conflate_by="id"), "plans", "only quotes may be skipped"),
    ("every depth of one tier", with_stream(depth=5), "book tiers", ""),
    ("a request with a state", Evidence(Stateful(), INSTRUMENTS), "every request", "each time"),
    ("unsubscribe subscribes", broken(unsubscribe=MadeUpVenue.subscribe), "every request", "the same frame"),
    (
        "failures pass for answers",
        broken(rest_error=lambda self, status, headers, body: None),
        "http answers",
        "is None",
    ),
    ("a cause of its own", broken(rest_error=lambda self, *rest: ("tired", "x", None)), "http answers", "'tired'"),
    (
        "no tick",
        Evidence(MadeUpVenue(), (evolve(INSTRUMENTS[0], tick_size=Number("0")), INSTRUMENTS[1])),
        "instruments",
        "tick_size",
    ),
]
TIERS_ARE_FINE = {"every depth of one tier"}
"""One tier for every depth is what a venue has that has one."""


@pytest.mark.parametrize(("evidence", "check", "words"), [pytest.param(*each[1:], id=each[0]) for each in GENERAL])
def test_a_rule_that_is_broken_is_named(
    evidence: Evidence, check: str, words: str, request: pytest.FixtureRequest
) -> None:
    found = said(evidence)
    if request.node.callspec.id in TIERS_ARE_FINE:
        assert check not in found
        return
    assert check in found, found
    assert words in found[check]


def test_the_made_up_venue_itself_breaks_none() -> None:
    assert said(Evidence(MadeUpVenue(), INSTRUMENTS)) == {}


# Tables and recordings

TRADE = wire.trade("BTCUSDT", 1, "100.50", NOW)


def reading(read: Any) -> MadeUpVenue:
    """A venue that reads the frames of its streams so."""

    def reader(self: MadeUpVenue, stream: StreamSpec) -> Reader:
        return read  # type: ignore[no-any-return]

    venue: MadeUpVenue = type("Broken", (Broken,), {"reader": reader})()
    return venue


def trade(**members: Any) -> MadeUpVenue:
    """A venue whose trades have other members."""
    fill = Fill("1", Number("100.50"), Number("1"), Side.BUY, NOW, 1)
    values = {name: getattr(fill, name) for name in fill.__struct_fields__} | members
    return reading(lambda stream, frame: [Trades(stream, [Fill(**values)])])


def raises(error: Exception) -> Any:
    def read(stream: str, frame: bytes) -> Sequence[Message]:
        if frame != TRADE:
            raise error
        return MadeUpVenue().reader(StreamSpec("spot", stream, frozenset()))(stream, frame)

    return reading(read)


def lax(endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
    return [Ack("1", argument="ETHUSDT")]


def recorded(venue: MadeUpVenue, **members: Any) -> dict[str, str]:
    values: dict[str, Any] = {"source": [TRADE], "topics": ["spot:BTC-USDT:trade"], **members}
    recording = Recording("trades", "spot", **values)
    computed = frozenset({"Fill.quantity"})
    evidence = Evidence(venue, INSTRUMENTS, recordings=[recording], computed=computed)
    found: dict[str, str] = {}
    for check in recorded_checks(evidence):
        try:
            check()
        except NotConforming as error:
            found[check.name.partition(" ")[0]] = str(error)
    return found


def conflating(member: str) -> MadeUpVenue:
    """Frames of its quotes may be skipped, ordered by this member."""

    def plan(self: MadeUpVenue, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        plan = MadeUpVenue.plan(self, topic, instrument, depth)
        quotes = frozenset({Part.QUOTE})
        changed = (evolve(each, conflate_by=member) if each.parts == quotes else each for each in plan.streams)
        return evolve(plan, streams=tuple(changed))

    venue: MadeUpVenue = type("Conflating", (MadeUpVenue,), {"plan": plan})()
    return venue


@pytest.mark.parametrize(("member", "is_told"), [("u", False), ("t", True), ("none", True)])
def test_quotes_that_are_ordered_by_another_member_than_their_id_are_told(member: str, is_told: bool) -> None:
    source = [wire.quote("BTCUSDT", "1", "2", 7, NOW)]  # sizes are one
    found = recorded(conflating(member), source=source, topics=[]).get("frames", "")
    assert ("whose update_id is 7" in found) is is_told


@pytest.mark.parametrize(
    ("venue", "check", "words"),
    [
        (trade(price=Number("100.5")), "frames", "Fill.price is 100.5, which does not stand so"),
        (trade(price=100.5), "frames", "Fill.price is 100.5"),
        (trade(time=NOW // 1000), "frames", "is that in ms?"),
        (trade(side="buy"), "frames", "Side"),
        (trade(price=Number("1e3")), "frames", "plain notation"),
        (trade(quantity=Number("0")), "frames", "above zero"),
        (raises(KeyError("price")), "mutants", "KeyError"),
        (raises(TypeError("none")), "mutants", "TypeError"),
    ],
)
def test_what_a_reader_does_wrong_is_named(venue: MadeUpVenue, check: str, words: str) -> None:
    found = recorded(venue)
    assert check in found
    assert words in found[check]


@pytest.mark.parametrize(
    ("members", "check", "words"),
    [
        ({"messages": {"Quote": 1}}, "frames", "wanted {'Quote': 1}"),
        ({"counts": {"trade": 2}}, "events", "wanted {'trade': 2}"),
        ({"events": []}, "events", "1 events, wanted 0"),
        ({"last": {"spot:BTC-USDT:trade": {"price": "100.5"}}}, "events", "price is '100.50', wanted '100.5'"),
        ({"last": {"spot:ETH-USDT:trade": {}}}, "events", "nothing of spot:ETH-USDT:trade"),
        ({"topics": ["spot:DOGE-USDT:trade"]}, "events", "nothing was subscribed to"),
        ({"source": []}, "frames", "no frame"),
        ({"source": [b"{"]}, "frames", "cannot be read"),
        (
            {
                "source": [
                    wire.book("book:BTCUSDT", at, at, {"100": "1"}, {"101": "1"}, time=NOW) for at in (9, 10, 11, 15)
                ],
                "topics": ["spot:BTC-USDT:order_book:5"],
                "snapshots": {"BTCUSDT": wire.book("", 10, 10, {"100": "1"}, {"101": "1"}, snapshot=True)},
            },
            "events",
            "1 times frames of a book were missing",
        ),
    ],
)
def test_what_a_recording_should_say_and_does_not_is_named(members: Mapping[str, Any], check: str, words: str) -> None:
    found = recorded(MadeUpVenue(), **members)
    assert check in found
    assert words in found[check]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Request("spot", ["trade:BTCUSDT"], b"{}"), "wanted b'{}'"),
        (Request("spot", ["trade:BTCUSDT"], {"op": "unsub"}), "wanted {'op': 'unsub'}"),
        (Request("spot", ["a", "b", "c", "d"], b""), "args_per_message"),
        (Answer("spot", b"{", []), "cannot be read"),
        (Answer("spot", wire.ack("1"), [Ack("2")]), "wanted [Ack(request_id='2'"),
        (Answer("spot", wire.ack(symbol="DOGE"), [Ack(argument="DOGE")]), "wait for ever"),
        (Refusal(404, b"", "rejected"), "wanted 'rejected'"),
        (Refusal(404, b"", None), "wanted cause None"),
        (Body(RestRequest(MadeUpVenue().probe_request(SPOT).purpose, SPOT, "/time"), b"1"), "nothing reads"),
        (Body(MadeUpVenue().catalogue_requests(SPOT)[0], b"{"), "cannot be read"),
        (Body(MadeUpVenue().catalogue_requests(SPOT)[0], b'["BTC-USDT"]', count=2), "1 rows, wanted 2"),
        (
            Body(MadeUpVenue().catalogue_requests(SPOT)[0], b'["BTC-USDT"]', rows={0: {"native": "BTC"}}),
            "native is 'BTCUSDT', wanted 'BTC'",
        ),
    ],
)
def test_a_row_that_is_not_so_is_named(row: Request | Answer | Refusal | Body, words: str) -> None:
    table = {Request: "requests", Answer: "answers", Refusal: "refusals", Body: "bodies"}[type(row)]
    rows: Any = {table: [row]}
    found = said(Evidence(MadeUpVenue(), INSTRUMENTS, **rows))
    assert any(words in text for text in found.values()), found


def test_a_poll_is_weighed_by_how_often_it_is_made() -> None:
    class Slow(Broken):
        rest_limits: Mapping[str, RestLimits] = {"": RestLimits(1, 60.0), "books": RestLimits(20, 60.0)}

    assert "bears" in said(Evidence(Slow(), INSTRUMENTS))["plans"]


class AllOrNothing(Broken):
    """One odd listing, and none is known."""

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        with wire.checked():
            return [make_instrument(request.market, *each.split("-")) for each in json.loads(body)], None


class Silent(Broken):
    """Leaves out what is odd, and says nothing of it."""

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        found, following = super().read_catalogue(request, body)
        return list(found), following


class Forgetful(Broken):
    """Takes a good one for odd, too."""

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        found, following = super().read_catalogue(request, body)
        if left_out_of(found):
            found.pop()  # type: ignore[attr-defined]
        return found, following


@pytest.mark.parametrize(
    ("venue", "words"),
    [
        (AllOrNothing(), "an odd element must never take the good ones with it"),
        (Silent(), "nobody would know"),
        (Forgetful(), "these are not what they were"),
    ],
)
def test_what_an_odd_element_may_cost_is_named(venue: MadeUpVenue, words: str) -> None:
    body = Body(venue.catalogue_requests(SPOT)[0], b'["BTC-USDT","ETH-USDT"]')
    assert words in said(Evidence(venue, INSTRUMENTS, bodies=[body]))["odd elements of body catalogue 0"]


class OddRows(Broken):
    """One odd row, and the frame of the whole market is bad."""

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        with wire.checked():
            rows = [SweepRow(str(each["n"]), None, None, None) for each in json.loads(frame)]
        return [SweepRows("all", rows)]


def test_what_an_odd_row_of_a_frame_may_cost_is_named() -> None:
    recording = Recording("a market", "spot", [b'[{"n":"A"}]', b'[{"n":"A"},{"n":"B"}]'])
    found = said(Evidence(OddRows(), INSTRUMENTS, recordings=[recording]))
    assert "must never take the good ones with it" in found["odd rows of a market"]


def test_a_stream_that_no_request_has_room_for_is_named() -> None:
    evidence = Evidence(MadeUpVenue(evolve(LIMITS, max_request=40)), INSTRUMENTS)
    assert "over limits.max_request" in said(evidence)["plans"]


def test_changes_of_a_book_that_carry_no_checksum_are_told_where_nothing_else_would() -> None:
    rules = BookRules(SnapshotSource.STREAM, Chaining.CHECKSUM, wire.checksum, checksum_depth=wire.CHECKED_LEVELS)
    frames = [
        wire.book("book50:BTCUSDT", None, None, {"99": "1"}, {"101": "1"}, snapshot=True, time=NOW),
        wire.book("book50:BTCUSDT", None, None, {"98": "1"}, {}, time=NOW),
    ]
    recording = Recording("a book", "perp", frames, ["perpetual:BTC-USDT:order_book:50"])
    evidence = Evidence(MadeUpVenue(habits=Habits(books=rules)), INSTRUMENTS, recordings=[recording])
    assert "no Depth of 1 has a checksum" in said(evidence)["frames of a book"]


def test_an_ending_that_forgets_the_depth_is_told() -> None:
    def unsubscribe(self: MadeUpVenue, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return MadeUpVenue.unsubscribe(self, endpoint, [name.replace("50:", "5:") for name in names], request_id)

    assert "book5:BTCUSDT and book50:BTCUSDT" in said(broken(unsubscribe=unsubscribe))["every request"]


class Shared(MadeUpVenue):
    """Sends the trades of several instruments in one frame; a careless one takes them all for the first."""

    def __init__(self, careless: bool) -> None:
        super().__init__()
        self._careless = careless

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> list[Message]:
        found: list[Message] = []
        with wire.checked():
            rows = json.loads(frame)
            for row in rows:
                native = rows[0]["of"] if self._careless else row["of"]
                found += read_data(readers, f"trade:{native}", wire.trade(str(native), row["n"], row["p"], NOW))
        return found


@pytest.mark.parametrize("careless", [False, True])
def test_a_frame_that_instruments_share_gives_each_its_own(careless: bool) -> None:
    frame = json.dumps([{"of": "BTCUSDT", "n": 1, "p": "100"}, {"of": "BTCUSDT", "n": 2, "p": "101"}]).encode()
    found = recorded(Shared(careless), source=[frame])
    words = found.get("other", "")
    assert ("names another instrument" in words) is careless


class Keyed(Broken):
    """Lists its instruments in an object, and reads them as its list is read."""

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        with wire.checked():
            listed = list(json.loads(body)["listed"].values())
        return super().read_catalogue(request, json.dumps(listed).encode())


class KeyedAllOrNothing(Keyed):
    """The same, but that with one odd listing none is known."""

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        with wire.checked():
            listed = json.loads(body)["listed"].values()
            return [make_instrument(request.market, *each.split("-")) for each in listed], None


@pytest.mark.parametrize(("venue", "is_named"), [(Keyed(), False), (KeyedAllOrNothing(), True)])
def test_elements_that_stand_in_an_object_are_put_to_the_test_as_well(venue: MadeUpVenue, is_named: bool) -> None:
    text = b'{"errors":[],"listed":{"a":"BTC-USDT","b":"ETH-USDT"}}'
    body = Body(venue.catalogue_requests(SPOT)[0], text, count=2, elements=("listed",))
    found = said(Evidence(venue, INSTRUMENTS, bodies=[body]))
    assert ("odd elements of body catalogue 0" in found) is is_named


class Depthless(MadeUpVenue):
    """Its frames do not say which depth of a book they are of; a connection has one."""

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        name = "book5:BTCUSDT" if "book5:BTCUSDT" in readers else "book50:BTCUSDT"
        return super().read(endpoint, frame.replace(b"book:BTCUSDT", name.encode()), readers)


def test_a_recording_whose_frames_are_of_whatever_stream_is_subscribed_to_is_played() -> None:
    frames = [
        wire.book("book:BTCUSDT", 10, 10, {"99": "1"}, {"101": "1"}, snapshot=True, time=NOW),
        wire.book("book:BTCUSDT", 11, 11, {"98": "1"}, {}, time=NOW),
    ]
    recording = Recording("a book", "perp", frames, ["perpetual:BTC-USDT:order_book:50"], counts={"book": 2})
    assert "events of a book" not in said(Evidence(Depthless(), INSTRUMENTS, recordings=[recording]))

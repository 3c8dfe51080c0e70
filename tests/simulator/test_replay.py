"""The stand-in of a recorded venue: whom it waits for, at which pace it plays, what it answers, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, field
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from treq import content
from twisted.internet.endpoints import HostnameEndpoint
from twisted.web.client import Agent

from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.recording import Frame, Recording
from cryptodash.simulator.replay import BURST, HOLE_S, PATIENCE, PING_EVERY, Replay
from cryptodash.testing.network import MemoryNetwork

TRADES, DEPTH = "btcusdt@trade", "btcusdt@depth@100ms"
FRAMES = [
    Frame(0.0, TRADES, "t0"),
    Frame(0.0, DEPTH, "d0"),
    Frame(1.0, TRADES, "t1"),
    Frame(1.5, DEPTH, "d1"),
    Frame(9.0, TRADES, "t9"),
]


def recording(frames: list[Frame], *further_snapshots: bytes) -> Recording:
    btc = {"BTCUSDT": Symbol("BTC", "USDT")}
    return Recording(
        "binance",
        MarketType.SPOT,
        registry.load("binance").recordings,
        frames,
        btc,
        {"BTCUSDT": "0.01"},
        {"BTCUSDT": b'{"lastUpdateId":7}'},
        {"BTCUSDT": 1000},
        {"BTCUSDT": further_snapshots},
    )


class Client(WebSocketClientProtocol):
    """The server under test, as the stand-in sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[str] = []
        self.closed: int | None = None
        self.pings = 0

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(payload.decode())

    def onPing(self, payload: bytes) -> None:
        self.pings += 1
        super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.closed = code

    @property
    def frames(self) -> list[str]:
        """What came but answers."""
        return [each for each in self.got if not each.startswith("{")]


@define
class Stage:
    """A replay that listens in a network in memory."""

    network: MemoryNetwork
    replay: Replay
    ended: list[float] = field(factory=list)

    def connect(self, *streams: str) -> Client:
        """A connection that has subscribed to these."""
        factory = WebSocketClientFactory("ws://127.0.0.1/stream", reactor=self.network)
        factory.protocol = Client
        factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=0, closeHandshakeTimeout=0)
        client: Any = self._result(HostnameEndpoint(self.network, "127.0.0.1", self.port).connect(factory))
        if streams:
            self.ask(client, "SUBSCRIBE", *streams)
        return client  # type: ignore[no-any-return]

    def ask(self, client: Client, method: str, *streams: str) -> None:
        client.sendMessage(json.dumps({"method": method, "params": streams, "id": 1}).encode())
        self.network.settle()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a REST answer."""
        response = self._result(Agent(self.network).request(b"GET", f"http://127.0.0.1:{self.port}{path}".encode()))
        return response.code, self._result(content(response))

    @property
    def port(self) -> int:
        return int(self.replay.base_urls["binance", MarketType.SPOT][1].rpartition(":")[2])

    def _result(self, deferred: Any) -> Any:
        self.network.settle()
        found: list[Any] = []
        deferred.addCallback(found.append)
        return found[0]


@pytest.fixture
def begin() -> Iterator[Any]:
    """Start a replay: ``begin(frames, speed=..., delay=...)``."""
    stages: list[Stage] = []

    def make(frames: list[Frame] = FRAMES, further: tuple[bytes, ...] = (), **options: Any) -> Stage:
        network = MemoryNetwork()
        stage = Stage(network, None)  # type: ignore[arg-type]
        stage.replay = Replay(
            network, recording(frames, *further), ended=lambda: stage.ended.append(network.seconds()), **options
        )
        stage.replay.listen()
        stage.replay.startService()
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.replay.stopService()
        stage.network.settle()


def test_it_begins_a_while_after_the_last_stream_is_wanted(begin: Any) -> None:
    stage = begin(delay=3.0)
    client = stage.connect(TRADES)
    stage.network.pass_time(5.0)
    assert client.frames == [] and stage.replay.missing == {DEPTH}
    stage.ask(client, "SUBSCRIBE", DEPTH)
    assert stage.replay.missing == set()
    stage.network.pass_time(2.75, 0.25)
    assert client.frames == []
    stage.network.pass_time(0.25)
    assert client.frames == ["t0", "d0"]


def test_streams_may_be_wanted_on_several_connections_and_each_gets_its_own(begin: Any) -> None:
    stage = begin(delay=1.0, speed=0.0)
    first, second, third = stage.connect(TRADES), stage.connect(DEPTH), stage.connect(TRADES, DEPTH)
    stage.network.pass_time(1.0)
    assert (first.frames, second.frames) == (["t0", "t1", "t9"], ["d0", "d1"])
    assert third.frames == ["t0", "d0", "t1", "d1", "t9"]
    assert stage.replay.played == 5


def test_a_stream_that_is_being_subscribed_to_again_is_waited_for(begin: Any) -> None:
    stage = begin(delay=1.0)
    client = stage.connect(TRADES, DEPTH)
    stage.ask(client, "UNSUBSCRIBE", DEPTH)
    stage.network.pass_time(5.0)
    assert client.frames == []
    stage.ask(client, "SUBSCRIBE", DEPTH)
    stage.network.pass_time(1.0)
    assert client.frames == ["t0", "d0"]


def test_a_stream_that_nobody_ever_wants_is_done_without(begin: Any) -> None:
    stage = begin(delay=1.0)
    client = stage.connect(TRADES)
    stage.network.pass_time(PATIENCE - 0.5)
    assert client.frames == []
    stage.network.pass_time(1.0)
    assert client.frames == ["t0"]
    stage.network.pass_time(9.0)
    assert client.frames == ["t0", "t1", "t9"] and stage.replay.played == 5


@pytest.mark.parametrize(
    ("speed", "played"),
    [(1.0, [(0.0, 2), (0.5, 2), (1.0, 3), (1.5, 4), (8.5, 4), (9.0, 5)]), (2.0, [(0.0, 2), (0.5, 3), (4.5, 5)])],
)
def test_it_keeps_the_recorded_pace_or_a_multiple_of_it(
    begin: Any, speed: float, played: list[tuple[float, int]]
) -> None:
    stage = begin(delay=0.0, speed=speed)
    client = stage.connect(TRADES, DEPTH)
    stage.network.settle()
    passed = 0.0
    for at, count in played:
        if at:
            stage.network.pass_time(at - passed, 0.25)
        passed = at
        assert (stage.replay.played, len(client.frames)) == (count, count), at
    assert stage.ended == [pytest.approx(9.0 / speed)]


def test_a_client_that_comes_late_gets_the_rest(begin: Any) -> None:
    stage = begin(delay=0.0)
    stage.connect(TRADES, DEPTH)
    stage.network.pass_time(1.0)
    late = stage.connect(TRADES, DEPTH)
    stage.network.pass_time(9.0)
    assert late.frames == ["d1", "t9"]


def test_as_fast_as_it_goes_means_no_faster_than_it_is_read(begin: Any) -> None:
    frames = [Frame(float(index), TRADES, f"f{index}") for index in range(BURST * 3)]
    stage = begin(frames, delay=None, speed=0.0)
    client = stage.connect(TRADES)
    (protocol,) = stage.replay._factory.protocols
    stage.replay.begin()
    protocol.pauseProducing()
    stage.network.settle()
    assert stage.replay.played == len(client.frames) == BURST
    stage.network.pass_time(30.0)
    assert stage.replay.played == BURST and stage.ended == []
    protocol.resumeProducing()
    stage.network.settle()
    assert client.frames == [each.text for each in frames] and len(stage.ended) == 1


def test_the_end_of_a_connection_that_was_full_holds_nobody_up(begin: Any) -> None:
    frames = [Frame(0.0, TRADES, f"f{index}") for index in range(BURST + 1)]
    stage = begin(frames, delay=None, speed=0.0)
    slow, client = stage.connect(TRADES), stage.connect(TRADES)
    stage.replay.begin()
    stage.replay._factory.protocols[0].pauseProducing()
    stage.network.settle()
    assert len(client.frames) == BURST
    slow.transport.abortConnection()
    stage.network.settle()
    assert len(client.frames) == BURST + 1


def test_without_a_delay_it_waits_to_be_told(begin: Any) -> None:
    stage = begin(delay=None)
    client = stage.connect(TRADES, DEPTH)
    stage.network.pass_time(60.0)
    assert client.frames == []
    stage.replay.begin()
    stage.replay.begin()
    stage.network.settle()
    assert client.frames == ["t0", "d0"]


def test_a_driver_may_send_at_its_own_pace(begin: Any) -> None:
    stage = begin(delay=None)
    client = stage.connect(TRADES, DEPTH)
    for expected in (["t0", "d0", "t1"], ["t0", "d0", "t1", "d1", "t9"]):
        stage.replay.send_next(3)
        stage.network.settle()
        assert client.frames == expected
    assert len(stage.ended) == 1
    stage.replay.send_next(3)
    assert len(stage.ended) == 1 and stage.replay.played == 5


def test_requests_are_answered_as_the_venue_does(begin: Any) -> None:
    stage = begin(delay=None)
    client = stage.connect(TRADES)
    stage.ask(client, "LIST_SUBSCRIPTIONS")
    assert client.got == ['{"result":null,"id":1}'] * 2


@pytest.mark.parametrize(
    "garbage", [b"hello", b"[1]", b"\xff", b"7", b'{"method":"SUBSCRIBE","params":7}', b"[" * 100_000]
)
def test_what_is_no_request_ends_the_connection(begin: Any, garbage: bytes) -> None:
    stage = begin(delay=0.0)
    client = stage.connect()
    client.sendMessage(garbage, isBinary=True)
    stage.network.settle()
    assert client.closed == 3000
    assert stage.replay._factory.protocols == []


def test_the_catalogue_is_what_was_recorded(begin: Any) -> None:
    status, body = begin().get("/replay/catalogue")
    assert (status, json.loads(body)) == (200, [{"native": "BTCUSDT", "base": "BTC", "quote": "USDT", "tick": "0.01"}])


def test_a_snapshot_is_given_once(begin: Any) -> None:
    stage = begin()
    assert stage.get("/api/v3/depth?symbol=BTCUSDT&limit=5000") == (200, b'{"lastUpdateId":7}')
    assert stage.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")[0] == 503
    assert stage.get("/api/v3/depth?symbol=ETHUSDT")[0] == 503
    assert stage.get("/api/v3/depth")[0] == 503
    assert stage.get("/api/v3/depth?symbol=BTCUSDT&limit=many")[0] == 400


def test_further_snapshots_follow_in_their_order_each_once(begin: Any) -> None:
    stage = begin(further=(b'{"lastUpdateId":8}', b'{"lastUpdateId":9}'))
    given = [stage.get("/api/v3/depth?symbol=BTCUSDT&limit=5000") for _ in range(4)]
    assert given[:3] == [(200, b'{"lastUpdateId":%d}' % number) for number in (7, 8, 9)]
    assert given[3][0] == 503


def test_a_probe_is_answered(begin: Any) -> None:
    assert begin().get("/replay/time") == (200, b"{}")


def test_it_shows_that_it_is_alive_while_nothing_is_due(begin: Any) -> None:
    stage = begin(delay=None)
    client = stage.connect(TRADES)
    stage.network.pass_time(3 * PING_EVERY + 1)
    assert client.pings == 3


def test_stopping_ends_its_connections_and_leaves_no_timer(begin: Any) -> None:
    stage = begin(delay=0.0)
    client = stage.connect(TRADES, DEPTH)
    stage.network.pass_time(0.5)
    stage.replay.stopService()
    stage.network.settle()
    assert client.closed is not None and stage.network.servers == {}
    assert stage.replay.played == 2 and stage.ended == []
    stage.network.pass_time(60.0)
    assert stage.replay.played == 2


def test_a_long_time_of_which_something_is_missing_is_passed_over(begin: Any) -> None:
    """A recorder that stood still overnight: what follows comes after ten seconds, at the pace of before."""
    frames = [
        Frame(0.0, TRADES, "t0"),
        Frame(5.0, TRADES, "t5"),
        Frame(30_000.0, TRADES, "t30000", is_behind_hole=True),
        Frame(30_002.0, TRADES, "t30002"),
    ]
    stage = begin(frames, delay=0.0)
    client = stage.connect(TRADES)
    stage.network.pass_time(6.0)
    assert client.frames == ["t0", "t5"] and client.closed is not None
    client = stage.connect(TRADES)
    stage.network.pass_time(HOLE_S - 1.5)
    assert client.frames == []
    stage.network.pass_time(1.0)
    assert client.frames == ["t30000"]
    stage.network.pass_time(1.0)
    assert client.frames == ["t30000"]
    stage.network.pass_time(1.0)
    assert client.frames == ["t30000", "t30002"]
    assert len(stage.ended) == 1

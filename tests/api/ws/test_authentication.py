"""A token's way into /ws and its end: by header, query and first message, over the whole front, in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.logger import globalLogPublisher
from twisted.test.iosim import FakeTransport

from cryptodash.api.access.tokens import hash_of
from cryptodash.api.http.metrics import Metrics
from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import make_site
from cryptodash.api.ws.factory import ClientFactory
from cryptodash.core.config import Config

KEY = bytes(range(32))
JWT_KEYS = f"HS256:{base64.urlsafe_b64encode(KEY).decode()}"
PAGE, DESK = "page-token-0123456789", "desk-token-0123456789"
BTC = {"channel_type": "ticker", "exchange": "binance", "market_type": "spot", "symbol": "BTC-USDT"}
ETH = {**BTC, "symbol": "ETH-USDT"}
TRADES = {**BTC, "channel_type": "trade"}
BOOK = {**BTC, "channel_type": "order_book", "depth": 20}
LEEWAY_S = 10


class Front:
    """Both doors over a world, with a file of tokens."""

    def __init__(self, make_world: Any, folder: Path, short: bool = True, **settings: Any) -> None:
        self.file = folder / "tokens"
        self.write(page=(PAGE, "read"), desk=(DESK, "read"))
        settings = {"auth_tokens_file": str(self.file), "auth_jwt_keys": JWT_KEYS} | settings
        self.world = make_world(Config(**settings))
        world = self.world
        self.clients = world.clients()
        self.clients.start()
        self.factory = ClientFactory(self.clients)
        rest = Rest(
            *(world.hub, world.hub, world.hub, world.config, world.time, world.time, world.tally, "1.2.3"),
            *(lambda: False, 0.0, self.clients.fanout.slices, world.hub.ledger, None, self.clients.access),
        )
        self.site = make_site(rest, self.factory, world.config, world.time, world.time, world.tally)
        if not short:
            self.site._clients = None

    def write(self, **tokens: tuple[str, str]) -> None:
        lines = [f"{name}:{hash_of(token).hex()}:{scopes}" for name, (token, scopes) in tokens.items()]
        self.file.write_text("\n".join(lines))

    def replace(self, **tokens: tuple[str, str]) -> None:
        self.write(**tokens)
        assert self.clients.access.replace(self.world.config)

    def signed(self, seconds: float, scope: str = "read", **claims: Any) -> str:
        """A JSON Web Token that ends, with the leeway, so many seconds from now."""
        exp = self.world.time.wall_ms() / 1000 + seconds - LEEWAY_S
        return jwt.encode({"exp": exp, "scope": scope, "sub": "desk", **claims}, KEY, "HS256")

    def peer(self, query: str = "", token: str | None = None, address: str = "10.0.0.1") -> Peer:
        return Peer(self, query, token, address)

    def refused(self) -> dict[str, int]:
        counter = self.world.tally.metrics["cryptodash_auth_refused_total"]
        return {labels[0]: count for labels, count in counter.values.items()}


class Peer:
    """A client on a transport in memory."""

    def __init__(self, front: Front, query: str, token: str | None, address: str) -> None:
        self.front = front
        there = IPv4Address("TCP", address, 5000)
        self.transport = FakeTransport(front.site.buildProtocol(there), isServer=True, peerAddress=there)
        self.transport.pauseProducing = self.transport.resumeProducing = lambda: None
        self.transport.protocol.makeConnection(self.transport)
        header = "" if token is None else f"Authorization: Bearer {token}\r\n"
        self.write(
            f"GET /ws{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{header}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.head, _, rest = self.read().partition(b"\r\n\r\n")
        self.body = rest
        self.first = list(frames(rest)) if self.status == 101 else []
        self.closed: tuple[int, str] | None = None

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def write(self, data: bytes) -> None:
        self.transport.protocol.dataReceived(data)

    def read(self) -> bytes:
        return bytes(self.transport.getOutBuffer() or b"") if self.transport.stream else b""

    def ask(self, op: str, **members: Any) -> list[dict[str, Any]]:
        payload = json.dumps({"op": op, **members}).encode()
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        self.write(b"\x81" + size + bytes(4) + payload)
        return self.got()

    def got(self) -> list[dict[str, Any]]:
        """Messages since the last call; a close frame is kept in ``closed``."""
        self.front.world.flush()
        found = list(frames(self.read()))
        for opcode, payload in found:
            if opcode == 8:
                self.closed = (int.from_bytes(payload[:2], "big"), payload[2:].decode())
        return [json.loads(payload) for opcode, payload in found if opcode == 1]

    def auth(self, token: str) -> list[dict[str, Any]]:
        return self.ask("auth", token=token)

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Time passes; the server's pings are answered."""
        said = []
        while seconds > 0:
            step = min(5.0, seconds)
            self.front.world.time.advance(step)
            seconds -= step
            data = self.read()
            for opcode, payload in frames(data):
                if opcode == 9:
                    self.write(bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload)
                elif opcode == 8:
                    self.closed = (int.from_bytes(payload[:2], "big"), payload[2:].decode())
                elif opcode == 1:
                    said.append(json.loads(payload))
        return said


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        yield data[0] & 15, data[start : start + size]
        data = data[start + size :]


def words(messages: list[dict[str, Any]]) -> list[str]:
    return [each["payload"].get("auth") or each["payload"].get("code") or each["type"] for each in messages]


@pytest.fixture(params=[True, False], ids=["short", "usual"])
def front(make_world: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Front:
    """By the short way in, and by the usual one."""
    return Front(make_world, tmp_path, request.param)


def greeting(peer: Peer) -> str:
    return str(json.loads(peer.first[0][1])["payload"]["message"])


def test_by_header_and_by_query(front: Front) -> None:
    for peer in (front.peer(token=PAGE), front.peer(f"?token={PAGE}"), front.peer(f"?x=1&token={PAGE}&y=")):
        assert peer.status == 101 and greeting(peer).startswith("Connected to crypto-dash API. Session: ")
        assert words(peer.ask("ping")) == ["info"]


def test_a_wrong_token_of_the_upgrade_is_401_and_too_many_are_429(front: Front) -> None:
    for peer in (front.peer(token="wrong"), front.peer("?token=wrong"), front.peer("?token=a&token=b")):
        assert (peer.status, json.loads(peer.body)["error"]["code"]) == (401, "unauthorized")
        assert b"WWW-Authenticate: Bearer" in peer.head
    statuses = [front.peer(token=f"guess-{at}").status for at in range(40)]
    assert set(statuses) == {401, 429} and statuses[-1] == 429
    assert b"Retry-After: 6" in front.peer(token="guess").head
    assert front.peer(token=PAGE).status == 429
    assert front.peer(token=PAGE, address="10.0.0.2").status == 101


def test_one_without_a_token_is_asked_for_it_and_has_five_seconds(front: Front) -> None:
    peer = front.peer()
    assert [json.loads(payload)["payload"]["auth"] for _, payload in peer.first] == ["required"]
    assert words(peer.ask("subscribe", channels=[BTC])) == ["unauthorized"]
    assert peer.wait(4.9) == [] and peer.closed is None
    peer.wait(0.2)
    assert peer.closed == (1008, "no token came in time")
    assert front.refused() == {"missing": 1, "late": 1}


def test_by_the_first_message(front: Front) -> None:
    peer = front.peer()
    front.world.time.advance(4.9)
    said, welcome = peer.auth(PAGE)
    assert said["payload"]["auth"] == "ok" and welcome["payload"]["session"]
    peer.wait(600)
    assert peer.closed is None
    assert peer.ask("subscribe", channels=[BTC])[0]["payload"]["accepted"]


def test_a_wrong_first_message_ends_it(front: Front) -> None:
    peer = front.peer()
    assert words(peer.auth("wrong")) == ["unauthorized"]
    assert peer.closed == (1008, "the token is not known")
    for at in range(30):
        again = front.peer()
        again.auth(f"guess-{at}")
    assert again.closed == (1008, "too many wrong tokens came from this address")


def test_a_token_that_ends_warns_and_ends_the_connection(front: Front) -> None:
    peer = front.peer(token=front.signed(300))
    assert peer.status == 101
    assert peer.wait(239.9) == []
    [warning] = peer.wait(0.2)
    assert (warning["type"], warning["payload"]["auth"]) == ("info", "expiring")
    assert warning["payload"]["expires"] == "2024-01-01T00:05:00.000Z"
    peer.wait(59.8)
    assert peer.closed is None
    peer.wait(0.2)
    assert peer.closed == (1008, "the token has ended")


def test_one_that_is_about_to_end_is_warned_at_once_and_a_renewal_goes_on_in_place(front: Front) -> None:
    peer = front.peer()
    said = peer.auth(front.signed(30))
    assert words(said) == ["ok", "info", "expiring"]
    peer.ask("subscribe", channels=[BTC])
    assert words(peer.auth(front.signed(100))) == ["ok"]
    assert words(peer.wait(50)) == ["expiring"]
    assert words(peer.auth("wrong")) == ["unauthorized"], "and the old one stays"
    assert words(peer.auth(PAGE)) == ["ok"]
    peer.wait(3600)
    assert peer.closed is None
    front.world.ticker("1.5")
    assert [each["type"] for each in peer.got()] == ["ticker"]


def test_an_ended_token_opens_nothing(front: Front) -> None:
    assert front.peer(token=front.signed(-1)).status == 401
    peer = front.peer()
    peer.auth(front.signed(-1))
    assert peer.closed == (1008, "the token has ended, or has not begun")


def test_a_wall_clock_that_is_set_forward_ends_a_token_within_minutes(front: Front) -> None:
    peer = front.peer(token=front.signed(7 * 86_400))
    time = front.world.time
    wall_ms = time.wall_ms
    time.wall_ms = lambda: wall_ms() + 8 * 86_400_000
    peer.wait(299)
    assert peer.closed is None
    peer.wait(2)
    assert peer.closed == (1008, "the token has ended")


def test_a_renewal_replaces_the_scopes_and_closes_what_they_do_not_allow(front: Front) -> None:
    peer = front.peer(token=PAGE)
    peer.ask("subscribe", channels=[BTC, ETH, TRADES, BOOK])
    said = peer.auth(front.signed(300, "read:ticker:binance:spot:BTC-USDT read:order_book"))
    assert words(said)[:2] == ["ok", "forbidden"]
    closed = [each["payload"] for each in said if each["type"] == "status"]
    assert [(each["channel"]["channel_type"], each["state"], each["cause"]) for each in closed] == [
        ("ticker", "closed", "rejected"),
        ("trade", "closed", "rejected"),
    ]
    [listed] = peer.ask("list")
    assert [each["channel_type"] for each in listed["payload"]["channels"]] == ["ticker", "order_book"]
    front.world.trade(1)
    front.world.ticker("2.5", "ETH")
    assert peer.got() == []
    front.world.ticker("1.5")
    assert [each["type"] for each in peer.got()] == ["ticker"]


def test_the_number_of_channels_is_bounded_by_the_token(front: Front) -> None:
    peer = front.peer(token=front.signed(300, "read max_channels=2"))
    refused = peer.ask("subscribe", channels=[BTC, ETH, TRADES])
    assert words(refused) == ["too_many_channels"] and "at most 2" in refused[0]["payload"]["message"]
    assert len(peer.ask("subscribe", channels=[BTC, ETH])[0]["payload"]["accepted"]) == 2
    assert words(peer.ask("subscribe", channels=[TRADES])) == ["too_many_channels"]
    said = peer.auth(front.signed(300, "read max_channels=1"))
    assert [each["payload"]["channel"]["symbol"]["base"] for each in said if each["type"] == "status"] == ["ETH"]
    assert len(peer.ask("list")[0]["payload"]["channels"]) == 1


def test_the_rate_of_a_token_bounds_every_channel_that_has_one(front: Front) -> None:
    peer = front.peer(token=front.signed(3000, "read max_rate=2"))
    asked = [{**BTC, "max_rate": 50}, {**ETH, "max_rate": 1}, BOOK, TRADES]
    accepted = peer.ask("subscribe", channels=asked)[0]["payload"]["accepted"]
    assert [each.get("max_rate") for each in accepted] == [2, 1, 2, None]
    got = 0
    for at in range(100):
        front.world.time.advance(0.1)
        front.world.ticker(f"{at + 1}.5")
        got += sum(each["type"] == "ticker" for each in peer.got())
    assert 18 <= got <= 21, "of 100 in ten seconds"
    assert words(peer.auth(front.signed(300, "read max_rate=0.5")))[0] == "ok"
    listed = peer.ask("list")[0]["payload"]["channels"]
    assert [each.get("max_rate") for each in listed] == [0.5, 0.5, 0.5, None]


def test_removed_tokens_end_and_changed_ones_are_held_to_what_they_are_now(front: Front) -> None:
    page, desk, signed = front.peer(token=PAGE), front.peer(token=DESK), front.peer(token=front.signed(300))
    waiting = front.peer()
    for each in (page, desk, signed):
        each.ask("subscribe", channels=[BTC, TRADES])
    front.replace(page=(PAGE, "read:trade"), other=("another-token-0123", "read"))
    said = page.got()
    assert [(each["type"], each["payload"].get("cause")) for each in said][1:] == [("status", "rejected")]
    for each in (desk, signed, waiting):
        each.got()
    assert (page.closed, desk.closed) == (None, (1008, "the token is not valid any more"))
    assert (signed.closed, waiting.closed) == (None, None)
    assert front.refused() == {"forbidden": 1, "revoked": 1}
    config = evolve(front.world.config, auth_jwt_keys="")
    assert front.clients.access.replace(config)
    signed.got()
    assert signed.closed == (1008, "the token is not valid any more")


def test_rules_that_come_while_a_request_is_served_count_when_it_is_done(front: Front) -> None:
    peer = front.peer(token=PAGE)
    session = next(iter(front.clients.sessions)).session
    assert session is not None

    def busy() -> Iterator[None]:
        yield
        front.replace(page=(PAGE, "read:trade"))
        assert session.rights.grant.reads_all, "not in the middle"
        yield

    session._begin(busy())
    assert not session.rights.grant.reads_all
    rejected = peer.ask("subscribe", channels=[BTC])[0]["payload"]["rejected"]
    assert [each["code"] for each in rejected] == ["forbidden"]


def test_rules_that_come_to_an_open_server_end_those_who_have_no_token(make_world: Any, tmp_path: Path) -> None:
    front = Front(make_world, tmp_path, auth_tokens_file="", auth_jwt_keys="")
    peer = front.peer()
    assert greeting(peer).startswith("Connected")
    assert front.clients.access.replace(evolve(front.world.config, auth_token=PAGE))
    peer.got()
    assert peer.closed == (1008, "the token is not valid any more")
    assert json.loads(front.peer().first[0][1])["payload"]["auth"] == "required"


def test_no_timer_outlives_its_connection(front: Front) -> None:
    idle = len(front.world.time.getDelayedCalls())
    for token in (None, PAGE, front.signed(300)):
        peer = front.peer(token=token)
        peer.transport.disconnectReason = None
        peer.transport.protocol.connectionLost(ConnectionError("gone"))
    front.world.flush()
    assert len(front.world.time.getDelayedCalls()) == idle


def test_a_token_stands_in_no_log_no_metric_and_no_answer(front: Front) -> None:
    secrets = ["S3CRET-wrong", PAGE, front.signed(300), front.signed(-1), front.signed(300) + "x"]
    events: list[Any] = []
    told = b""
    globalLogPublisher.addObserver(events.append)
    try:
        for secret in secrets:
            for peer in (front.peer(token=secret), front.peer(f"?token={secret}"), front.peer()):
                told += peer.head + peer.body
                if peer.status == 101:
                    told += json.dumps(peer.auth(secret) + peer.ask("list")).encode() + str(peer.closed).encode()
        for at in range(30):
            front.peer(token=f"{secrets[0]}-{at}")
        front.replace(page=(PAGE, "read"))
    finally:
        globalLogPublisher.removeObserver(events.append)
    logged = repr([{name: str(value) for name, value in event.items()} for event in events])
    steps = Metrics(front.world.tally, front.world.time, "1").rendering()
    try:
        while True:
            next(steps)
    except StopIteration as ended:
        metrics = ended.value.decode()
    assert "too many wrong tokens" in logged
    assert 'cryptodash_auth_refused_total{reason="wrong"}' in metrics
    for where in (logged, metrics, told.decode("latin-1"), repr(front.clients.access._rules)):
        assert not [secret for secret in secrets if secret in where]
        assert hash_of(PAGE).hex() not in where and "page" not in metrics

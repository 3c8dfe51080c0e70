"""The crowd: clients of /ws that do what their plan says, with a WebSocket of their own that can break every rule."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random
from typing import Any

from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.chaos.history import Connection, Event, Request
from tests.chaos.network import BadNetwork, Conditions, Link
from tests.chaos.plan import Action, ClientPlan, channel_of
from tests.chaos.processes import FIRST_PORT
from tests.chaos.resuming import Remembered
from tests.chaos.subscriptions import name_told

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_MASKED = 0x80


@lru_cache(maxsize=8192)
def decoded(payload: bytes) -> Any:
    """The JSON of a message, numbers as the texts they are written in. The same message goes to many: read once."""
    return json.loads(payload, parse_float=str, parse_int=str)


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """One frame of a client, with whatever rule broken. The mask is of zeros, so that the payload can be read."""
    first, size, mask = (0x80 if fin else 0) | reserved << 4 | opcode, len(payload), _MASKED if masked else 0
    if size < 126:
        head = bytes([first, mask | size])
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (bytes(4) if masked else b"") + payload


class Peer(Protocol):
    """One connection. Everything it gets and sends goes into ``record``."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.record = Connection(client.plan, client.network.seconds())
        self.link: Link | None = None
        self._data = bytearray()
        self._open = False
        self._waiting: list[bytes] = []
        self._unsent = bytearray()
        self._dripping = False

    def connectionMade(self) -> None:
        self.write(HANDSHAKE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.record.ended = self.client.network.seconds()
        self.client.lost(self)

    def note(self, kind: str, value: object) -> None:
        self.record.events.append(Event(self.client.network.seconds(), kind, value))

    def dataReceived(self, data: bytes) -> None:
        self.client.hash(data)
        self._data += data
        if not self._open:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            self._open = head.startswith(b"HTTP/1.1 101")
            self.note("opened" if self._open else "refused", bytes(head[:40]))
            self._data = rest
            if not self._open:  # the process ends: the rest is no frames
                self.transport.loseConnection()
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                self.write(each)
        self._read_frames()

    def _read_frames(self) -> None:
        data, start = self._data, 0
        while self._open and len(data) - start >= 2:
            size, begin = data[start + 1], start + 2
            if size == 126:
                size, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
            elif size == 127:
                size, begin = int.from_bytes(data[begin : begin + 8], "big"), begin + 8
            if len(data) < begin + size:
                break
            self._frame(data[start], bytes(data[begin : begin + size]))
            start = begin + size
        del data[:start]

    def _frame(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == _TEXT and first & 0x80:
            message = decoded(payload)
            self.note("got", message)
            self.record.frames.append(payload)
            self.client.took(message)
        elif opcode == _PING:
            self.write(frame(_PONG, payload))
        elif opcode == _CLOSE:
            self.note("closed", int.from_bytes(payload[:2], "big") if payload else None)
            self.write(frame(_CLOSE, payload[:2]))
            self.transport.loseConnection()
        elif opcode != _PONG:
            self.note("broken", first)

    def write(self, data: bytes) -> None:
        """Send, or a byte at a time."""
        if not self.client.plan.trickle:
            self.transport.write(data)
            return
        self._unsent += data
        if not self._dripping:
            self._dripping = True
            self._drip()

    def _drip(self) -> None:
        if self.record.ended is not None or not self._unsent:
            self._dripping = False
            return
        self.transport.write(bytes(self._unsent[:1]))
        del self._unsent[:1]
        self.client.network.callLater(self.client.plan.trickle, self._drip)

    def say(self, request: Request) -> None:
        """A request, once the connection is open."""
        message: dict[str, Any] = {"op": request.op}
        if request.names:
            since = request.since
            message["channels"] = [
                {**channel_of(each), "since": since[each]} if each in since else channel_of(each)
                for each in request.names
            ]
        self.note("sent", request)
        self.send_raw(frame(_TEXT, json.dumps(message, separators=(",", ":")).encode()))

    def send_raw(self, data: bytes) -> None:
        if self._open:
            self.write(data)
        else:
            self._waiting.append(data)


class Client(ClientFactory):
    """One of the crowd, for the whole run."""

    noisy = False

    def __init__(self, plan: ClientPlan, network: BadNetwork, port: int, seed: int) -> None:
        self.plan, self.network, self.port = plan, network, port
        self.peers: list[Peer] = []
        self.messages = 0
        self.remembered = Remembered()
        self.digest = hashlib.sha256(plan.name.encode())
        self.peer: Peer | None = None
        self._rng = Random(f"{seed}:{plan.name}")
        self._dialling = False

    def begin(self, end: float) -> None:
        """Plan everything it will do before the end."""
        for action in [each for each in self.plan.actions if each.at < end]:
            self.network.callLater(max(0.0, action.at - self.network.seconds()), self._act, action)

    def took(self, message: Mapping[str, Any]) -> None:
        self.messages += 1
        payload = message.get("payload")
        if isinstance(payload, dict) and "cursor" in payload:
            self.remembered.take(self.network.seconds(), name_told(message), message["type"], payload)

    def hash(self, data: bytes) -> None:
        self.digest.update(repr(self.network.seconds()).encode())
        self.digest.update(data)

    def conditions(self) -> Conditions:
        plan = self.plan
        return Conditions(plan.delay, plan.jitter, None, plan.split)

    def buildProtocol(self, address: object) -> Peer:
        self._dialling = False
        self.peer = Peer(self)
        self.peers.append(self.peer)
        return self.peer

    def clientConnectionFailed(self, connector: object, reason: object) -> None:
        self._dialling = False

    def lost(self, peer: Peer) -> None:
        if self.peer is peer:
            self.peer = None

    def made(self, link: Link) -> None:
        """The connection that is being made: how the server's kernel and the line treat it."""
        link.server.capacity = self.plan.kernel
        if self.plan.rate is not None:
            link.server.conditions = Conditions(self.plan.delay, self.plan.jitter, self.plan.rate, self.plan.split)
        if self.peer is not None:
            self.peer.link = link

    def connections(self) -> list[Connection]:
        """All it had, in order."""
        for peer in self.peers:
            peer.record.gone = peer.link.server.lost_at if peer.link is not None else None
        return [peer.record for peer in self.peers]

    def _act(self, action: Action) -> None:
        ACTIONS[action.do](self, action.what)

    # what it can do

    def connect(self, process: tuple[str, ...]) -> None:
        """To its own process, or that of another number."""
        if self.peer is None and not self._dialling:
            self._dialling = True
            port = FIRST_PORT + int(process[0]) if process else self.port
            self.network.connectTCP("127.0.0.1", port, self, timeout=5)

    def _say(self, op: str, names: tuple[str, ...]) -> None:
        if self.peer is None:
            return
        since = {}
        if op == "subscribe" and self.plan.resumes:
            cursors = {each: self.remembered.cursor(each.partition("@")[0]) for each in names}
            since = {each: cursor for each, cursor in cursors.items() if cursor is not None}
        self.peer.say(Request(op, names, since))

    def abort(self, _: tuple[str, ...] = ()) -> None:
        if self.peer is not None:
            self.peer.note("left", None)
            self.peer.transport.abortConnection()
            self.peer = None

    def close(self, _: tuple[str, ...]) -> None:
        if self.peer is not None:
            self.peer.note("left", 1000)
            self.peer.send_raw(frame(_CLOSE, struct.pack("!H", 1000)))
            self.peer = None

    def freeze(self, _: tuple[str, ...]) -> None:
        """Its cable is pulled: the server hears nothing of it any more."""
        if self.peer is not None and self.peer.link is not None:
            self.peer.note("left", None)
            self.peer.record.frozen = self.network.seconds()
            self.peer.link.freeze()
            self.peer = None

    def stop_reading(self, _: tuple[str, ...]) -> None:
        if self.peer is not None and self.peer.link is not None:
            self.peer.record.stopped_reading = self.network.seconds()
            self.peer.link.client.reads = False

    def attack(self, what: tuple[str, ...]) -> None:
        if self.peer is not None:
            self.peer.note("sent", Request("attack", what))
            for each in _attack(what[0], self._rng):
                self.peer.send_raw(each)


def _attack(what: str, rng: Random) -> list[bytes]:
    """The frames of an attack."""
    if what.startswith("text:"):
        return [frame(_TEXT, what[5:].encode())]
    made: Mapping[str, Callable[[], list[bytes]]] = {
        "binary": lambda: [frame(_BINARY, bytes(rng.randrange(1, 5_000)))],
        "unasked-pong": lambda: [frame(_PONG, b"nobody asked")] * rng.randrange(1, 40),
        "flood-pings": lambda: [frame(_PING, b"p")] * 300,
        "flood-requests": lambda: [frame(_TEXT, b'{"op":"ping"}')] * 300,
        "fragments": lambda: [frame(_TEXT, b"{", fin=False), *[frame(0, b" ", fin=False)] * 1_200],
        "huge": lambda: [frame(_TEXT, b" " * 300_000)],
        "reserved-bits": lambda: [frame(_TEXT, b"{}", reserved=rng.randrange(1, 8))],
        "unmasked": lambda: [frame(_TEXT, b'{"op":"list"}', masked=False)],
        "bad-utf8": lambda: [frame(_TEXT, b'"\xff\xfe"')],
        "bad-opcode": lambda: [frame(rng.choice((3, 7, 11, 15)), b"")],
        "half-a-frame": lambda: [frame(_TEXT, bytes(200))[: rng.randrange(1, 150)]],
    }
    return made[what]() if what in made else [frame(_TEXT, what.encode())]


def _op(name: str) -> Callable[[Client, tuple[str, ...]], None]:
    return lambda client, names: client._say(name, names)


ACTIONS: Mapping[str, Callable[[Client, tuple[str, ...]], None]] = {
    **{name: _op(name) for name in ("subscribe", "unsubscribe", "resync", "list", "ping")},
    "connect": Client.connect,
    "abort": Client.abort,
    "close": Client.close,
    "freeze": Client.freeze,
    "stop_reading": Client.stop_reading,
    "attack": Client.attack,
}

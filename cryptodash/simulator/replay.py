"""A stand-in venue that plays recorded frames, byte for byte, to whoever subscribes to their streams.

What a recording does not hold (the catalogue) is served under ``/replay/``.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.recording import Frame, Recording

BURST = 500
"""Most frames sent in one reactor turn."""

_log = Logger(namespace="cryptodash.replay")


class ReplayProtocol(WebSocketServerProtocol):
    """One connection of the server under test: acknowledges everything, gets the frames of its streams."""

    factory: ReplayFactory

    def __init__(self) -> None:
        super().__init__()
        self.streams: set[str] = set()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        request = json.loads(payload)
        names = request.get("params") or request.get("args") or []
        method = str(request.get("method") or request.get("op")).lower()
        if method == "subscribe":
            self.streams.update(names)
        elif method == "unsubscribe":
            self.streams.difference_update(names)
        self.sendMessage(json.dumps(self._answer(request, method), separators=(",", ":")).encode())
        self.factory.stand_in.subscribed()

    def _answer(self, request: dict[str, Any], method: str) -> dict[str, Any]:
        if "method" in request:
            return {"result": None, "id": request.get("id")}
        answer = {"success": True, "ret_msg": "pong" if method == "ping" else method, "conn_id": "replay", "op": method}
        if "req_id" in request:
            answer["req_id"] = str(request["req_id"])
        return answer

    def onOpen(self) -> None:
        self.factory.protocols.append(self)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self in self.factory.protocols:
            self.factory.protocols.remove(self)


class ReplayFactory(WebSocketServerFactory):
    protocol = ReplayProtocol

    def __init__(self, stand_in: Replay, reactor: Any) -> None:
        super().__init__(reactor=reactor)
        self.stand_in = stand_in
        self.protocols: list[ReplayProtocol] = []


class ReplayRest(Resource):
    """Any path: the catalogue, a recorded snapshot (each once: a later one would be out of date), or an empty object for a probe."""

    isLeaf = True

    def __init__(self, recording: Recording, ws: WebSocketResource) -> None:
        super().__init__()
        self._recording = recording
        self._snapshots = dict(recording.snapshots)
        self._ws = ws

    def render(self, request: Request) -> Any:
        if request.getHeader("upgrade"):
            return self._ws.render(request)
        request.setHeader("Content-Type", "application/json")
        if request.path == b"/replay/catalogue":
            rows = [
                {"native": native, "base": symbol.base, "quote": symbol.quote, "tick": self._recording.tick_sizes[native]}
                for native, symbol in self._recording.symbols.items()
            ]
            return json.dumps(rows).encode()
        if b"depth" in request.path:
            body = self._snapshots.pop(request.args.get(b"symbol", [b""])[0].decode("latin-1"), None)
            if body is None:
                request.setResponseCode(503)
                return b'{"code":-1,"msg":"no further snapshot in this recording"}'
            return body
        return b"{}"


class Replay(Service):
    """Plays a recording on loopback, once, starting ``delay`` seconds after the last of its streams was subscribed to.

    ``speed`` is how many times faster than recorded; 0 means as fast as it is read.
    """

    name = "replay"

    def __init__(
        self, reactor: Any, recording: Recording, *, speed: float = 1.0, delay: float = 3.0, ended: Callable[[], None] | None = None
    ) -> None:
        self.recording = recording
        self.played = 0
        self._reactor = reactor
        self._speed = speed
        self._delay = delay
        self._ended = ended
        self._frames: deque[Frame] = deque(recording.frames)
        self._began: float | None = None
        self._call: IDelayedCall | None = None
        self._port: IListeningPort | None = None
        self._factory = ReplayFactory(self, reactor)

    def listen(self) -> None:
        """Take a free port on loopback; ``hosts`` is known from then on."""
        site = Site(ReplayRest(self.recording, WebSocketResource(self._factory)))
        self._port = self._reactor.listenTCP(0, site, interface="127.0.0.1")

    @property
    def hosts(self) -> dict[tuple[str, MarketType], tuple[str, str]]:
        """(WebSocket, REST) base URLs by exchange and market."""
        assert self._port is not None, "listen first"
        port = self._port.getHost().port  # type: ignore[attr-defined]  # (IAddress names no port)
        return {(self.recording.exchange, market): (f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}") for market in MarketType}

    def subscribed(self) -> None:
        """Called after each subscription: once all streams of the recording are wanted, it begins."""
        wanted = set().union(*(protocol.streams for protocol in self._factory.protocols))
        if self._began is None and self._call is None and wanted >= set(self.recording.streams):
            self._call = self._reactor.callLater(self._delay, self._begin)

    def _begin(self) -> None:
        _log.info(
            "playing {count} frames of {exchange} {market}", count=len(self._frames), exchange=self.recording.exchange, market=self.recording.market
        )
        self._began = self._reactor.seconds()
        self._play()

    def _play(self) -> None:
        """Send what is due, then wait for the next frame."""
        self._call = None
        assert self._began is not None
        elapsed = self._reactor.seconds() - self._began
        for _ in range(BURST):
            if not self._frames or (self._speed and self._frames[0].at / self._speed > elapsed):
                break
            self._send(self._frames.popleft())
        if self._frames:
            wait = self._frames[0].at / self._speed - elapsed if self._speed else 0.0
            self._call = self._reactor.callLater(max(0.0, wait), self._play)
            return
        _log.info("the recording has ended after {count} frames", count=self.played)
        if self._ended is not None:
            self._ended()

    def _send(self, frame: Frame) -> None:
        self.played += 1
        for protocol in self._factory.protocols:
            if frame.stream in protocol.streams:
                protocol.sendMessage(frame.text.encode())

    def stopService(self) -> Any:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for protocol in list(self._factory.protocols):
            protocol.transport.abortConnection()
        return self._port.stopListening() if self._port is not None else None

"""The demo in a process of its own, and something to break between it and the browser. The reactor is an argument."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import treq
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import HTTPConnectionPool

from tests.processes import Process


class Demo:
    """``cryptodash run --demo`` with its own defaults: it can be stopped as a whole, and its venues broken."""

    def __init__(self, folder: Path, reactor: Any) -> None:
        self._process = Process(
            *("-n", "--pidfile=", "cryptodash", "run", "--demo", "--exchanges", "binance,bybit"),
            *("--bind-addr", "127.0.0.1:0"),
            cwd=folder,
        )
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self.port = self._process.port()
        self._control = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def freeze(self) -> None:
        """Stop the whole process, which keeps its connections; ``thaw`` lets it go on."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)

    async def fault(self, **asked: object) -> None:
        """Begin (or with ``stop`` end) a fault of a simulated venue."""
        if not self._control:
            ready = await treq.get(f"{self.url}ready", pool=self._pool, timeout=10)
            self._control = (await ready.json())["control_port"]
        url = f"http://127.0.0.1:{self._control}/faults"
        said = json.dumps({name: value for name, value in asked.items() if value is not None}).encode()
        head = {"content-type": "application/json"}
        answer = await treq.post(url, data=said, headers=head, pool=self._pool, timeout=10)
        body = await answer.json()
        assert answer.code == 200, (asked, body)

    async def calm(self) -> None:
        await self.fault(stop=True)

    def kill(self) -> None:
        self._process.kill()


class BlackHole(Factory):
    """In front of a server, on a port of its own. While ``silent`` nothing passes, in no direction, and nobody is told:
    no connection is closed or refused."""

    def __init__(self, reactor: Any, port: int) -> None:
        self.reactor = reactor
        self.target = port
        self.ends: set[_End] = set()
        self._silent = False
        self._port = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}/"

    @property
    def silent(self) -> bool:
        return self._silent

    @silent.setter
    def silent(self, on: bool) -> None:
        self._silent = on
        if not on:  # what was in it is lost: no connection of before can go on
            for end in list(self.ends):
                end.transport.abortConnection()

    def buildProtocol(self, address: Any) -> Protocol:
        return _End(self, inward=True)

    async def stop(self) -> None:
        for end in list(self.ends):
            end.transport.abortConnection()
        await self._port.stopListening()


class _End(Protocol):
    """One side of a connection."""

    transport: Any

    def __init__(self, hole: BlackHole, *, inward: bool) -> None:
        self._hole = hole
        self._inward = inward
        self._waiting: list[bytes] = []
        self.other: _End | None = None

    def connectionMade(self) -> None:
        self._hole.ends.add(self)
        if not self._inward or self._hole.silent:
            return
        outward = _End(self._hole, inward=False)
        outward.other = self
        endpoint = TCP4ClientEndpoint(self._hole.reactor, "127.0.0.1", self._hole.target)
        endpoint.connect(Factory.forProtocol(lambda: outward)).addCallbacks(
            self._joined, lambda _: self.transport.abortConnection()
        )

    def _joined(self, outward: _End) -> None:
        self.other = outward
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            outward.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        if self._hole.silent:
            return
        if self.other is None:
            self._waiting.append(data)
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self._hole.ends.discard(self)
        if self.other is not None and not self._hole.silent:
            self.other.transport.loseConnection()

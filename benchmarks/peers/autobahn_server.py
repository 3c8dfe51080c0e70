"""Autobahn on Twisted, as its documentation shows it: ``sendMessage`` per client, or a prepared message for all.

autobahn_server.py BODIES sendMessage|broadcast
"""

from __future__ import annotations

import socket
import sys
from collections import defaultdict
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.protocol import DatagramProtocol
from work import Work, announce, control_socket, drain, read_bodies

SEND_BUFFER = 128 * 1024


class Client(WebSocketServerProtocol):
    """One client: its first message names its topics."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        for topic in payload.decode().split(","):
            self.factory.topics[int(topic)].append(self)
        self.sendMessage(b"ok")


class TwistedDriver(DatagramProtocol):
    """Runs ``Work`` on the reactor."""

    def __init__(self, work: Work, control: socket.socket, reactor: Any) -> None:
        self._work, self._reactor = work, reactor
        self.control = control
        self._call: Any = None

    def fileno(self) -> int:
        return self.control.fileno()

    def logPrefix(self) -> str:
        return "control"

    def connectionLost(self, reason: Any = None) -> None:
        """Never: the process ends with its orders."""

    def doRead(self) -> None:
        drain(self.control, self._work)
        if self._call is None:
            self._call = self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        wait = self._work.turn()
        self._call = None if wait is None else self._reactor.callLater(wait, self._turn)


def main() -> None:
    from twisted.internet import reactor as the_reactor

    reactor: Any = the_reactor
    bodies = read_bodies(sys.argv[1])
    factory = WebSocketServerFactory("ws://127.0.0.1")
    factory.protocol = Client
    factory.setProtocolOptions(openHandshakeTimeout=60)
    topics: dict[int, list[Any]] = defaultdict(list)
    factory.topics = topics
    prepared = sys.argv[2] == "broadcast"

    def emit(topic: int, number: int) -> None:
        before, after = bodies[topic]
        body = b"%b%d%b" % (before, number, after)
        if prepared:
            message = factory.prepareMessage(body)
            for client in topics[topic]:
                client.sendPreparedMessage(message)
        else:
            for client in topics[topic]:
                client.sendMessage(body)

    driver = TwistedDriver(Work(emit), control_socket(), reactor)
    reactor.addReader(driver)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=4096)
    announce(port.getHost().port, driver.control)
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main()

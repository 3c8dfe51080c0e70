"""Our server's and our client's production classes with the ``websockets`` library at the other end,
on loopback. Prints what went wrong.

A process of its own, run by ``test_websockets.py``: the library wants its own event loop, and a reactor runs once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import echo
from twisted.internet import reactor as _reactor  # noqa: TID253 (a program of its own)
from websockets.sync.client import connect
from websockets.sync.server import serve

reactor: Any = _reactor
MESSAGES: list[str | bytes] = [
    "",
    "hello",
    "pri\u00e7e \u20ac \U0001f600",
    "x" * 125,
    "x" * 126,
    "x" * 70_000,
    b"",
    b"\xff\x00" * 500,
]


def their_client(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/", compression=None) as them:
        for message in MESSAGES:
            them.send(message)
            assert them.recv(timeout=10) == message, message
        them.send(iter(["one ", "two ", "three"]))
        assert them.recv(timeout=10) == "one two three"
        assert them.ping(b"payload").wait(10)
    assert them.close_code == 1000, them.close_code


def their_server(handled: list[BaseException | None], connection: Any) -> None:
    try:
        for message in MESSAGES:
            connection.send(message)
            assert connection.recv(timeout=10) == message, message
        connection.send(iter(["one ", "two"]))
        assert connection.recv(timeout=10) == "one two"
        assert connection.ping(b"payload").wait(10)
        handled.append(None)
        connection.close(1001, "enough")
    except BaseException as error:
        handled.append(error)


def our_server() -> None:
    port = reactor.listenTCP(0, echo.server_factory(reactor), interface="127.0.0.1").getHost().port
    in_thread(lambda: their_client(port))


def our_client() -> None:
    handled: list[BaseException | None] = []
    server = serve(lambda connection: their_server(handled, connection), "127.0.0.1", 0, compression=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def closed() -> None:
        if not handled or handled[0] is not None:
            failures.append(handled[0] if handled else RuntimeError("closed too early"))
        reactor.stop()

    echo.feed_client(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/", reactor, closed)


def in_thread(work: Callable[[], None]) -> None:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        reactor.callFromThread(reactor.stop)

    threading.Thread(target=run, daemon=True).start()


def too_late() -> None:
    failures.append(TimeoutError("not done after a minute"))
    reactor.stop()


failures: list[BaseException | None] = []

if __name__ == "__main__":
    reactor.callWhenRunning({"server": our_server, "client": our_client}[sys.argv[1]])
    reactor.callLater(60, too_late)
    reactor.run()
    for failure in failures:
        print(repr(failure))  # noqa: T201
    sys.exit(bool(failures))

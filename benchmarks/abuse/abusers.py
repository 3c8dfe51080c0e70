"""One client at its worst, in each way that was found to hurt.

    python -m benchmarks.abuse.abusers NAME PORT

It connects and prepares (subscribes, say) like anybody, and is quiet until ``go`` comes on stdin; ``stop`` ends it with
what it did. It reads all that it is sent. When it is closed it comes back at once.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.request import ProxyHandler, build_opener

from benchmarks.abuse.guesser import PER_MINUTE, RULES, Guesser
from benchmarks.abuse.wire import BINARY, CONTINUATION, PING, PONG, TEXT, Reader, connect, frame, request
from benchmarks.peers.work import say

CHUNK = 64 * 1024
MANY = 1000
"""Channels in one request: as many as are allowed."""
INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M"]
THREADS = 4
RECORDED = {"exchange": "binance", "market_type": "spot", "symbol": "BTC-USDT"}
HISTORY = "/api/history/trades?exchange=binance&symbol=BTC-USDT&limit=100000"
DEPTHS = (5, 10, 20, 50, 100, 200, 500, 1000, *range(993, 1000))
"""Of one book: those that anybody may have, and as many others as are allowed."""
_get = build_opener(ProxyHandler({})).open

Channel = dict[str, Any]


def instruments(port: int) -> list[Channel]:
    """Every instrument that the server lists, as the members of a channel that name it."""
    with _get(f"http://127.0.0.1:{port}/api/symbols", timeout=30) as answer:
        document = json.load(answer)
    return [
        {"exchange": venue["exchange"], "market_type": each["market_type"], "symbol": each["symbol"]}
        for venue in document["exchanges"]
        for each in venue["symbols"]
    ]


def candles(port: int) -> list[Channel]:
    """All candles of all instruments."""
    return [
        {"channel_type": "candle", "interval": interval, **instrument}
        for interval, instrument in itertools.product(INTERVALS, instruments(port))
    ]


def everything(port: int) -> list[Channel]:
    """As many streams as the server's venues have, but books."""
    kinds = ({"channel_type": "ticker"}, {"channel_type": "trade"})
    return [{**kind, **instrument} for kind, instrument in itertools.product(kinds, instruments(port))] + candles(port)


def composite(port: int) -> list[Channel]:
    """The best quotes and merged books of every instrument."""
    kinds = ({"channel_type": "bbo"}, {"channel_type": "order_book", "depth": 20})
    names = {(each["market_type"], each["symbol"]): {**each, "exchange": "composite"} for each in instruments(port)}
    return [{**kind, **name} for kind, name in itertools.product(kinds, names.values())]


def merged_books() -> bytes:
    """One merged book at one depth after the other."""
    book = {"channel_type": "order_book", "exchange": "composite", "market_type": "spot", "symbol": "BTC-USDT"}
    return b"".join(
        request(op, channels=[{**book, "depth": depth}]) for depth in DEPTHS for op in ("subscribe", "unsubscribe")
    )


def unknown() -> list[Channel]:
    return [{"channel_type": "ticker", "exchange": "binance", "symbol": f"NO{index:04d}-USDT"} for index in range(MANY)]


def repeated(piece: bytes) -> bytes:
    """As many of it as fill a chunk."""
    return piece * max(1, CHUNK // len(piece))


class Abuser:
    """A connection that sends ``again`` as fast as it is taken, after ``first``. ``opening`` is sent when it connects,
    in peace."""

    def __init__(self, port: int, again: bytes, *, first: bytes = b"", opening: bytes = b"", piece: int = 0) -> None:
        self._port = port
        self._again, self._first, self._opening = again, first, opening
        self._piece = piece
        self.done = {"sent": 0, "read": 0, "connections": 0}
        self.going = False
        self._open()

    def _open(self) -> None:
        self._socket = connect(self._port)
        self._socket.setblocking(True)
        self._reader = Reader()
        self._socket.sendall(self._opening + (self._first if self.going else b""))
        self._socket.setblocking(False)
        self._waiting = memoryview(b"")
        self.done["connections"] += 1

    def go(self) -> None:
        self.going = True
        self._waiting = memoryview(self._first)

    def turn(self) -> None:
        """Send and read what goes now."""
        try:
            readable, writable, _ = select.select([self._socket], [self._socket] if self.going else [], [], 0.05)
            if readable:
                self._read()
            if writable:
                self._write()
        except OSError:
            self._socket.close()
            with contextlib.suppress(OSError):
                self._open()

    def _read(self) -> None:
        data = self._socket.recv(256 * 1024)
        if not data:
            raise ConnectionError
        self.done["read"] += len(data)
        for opcode, payload in self._reader.feed(data):
            if opcode == PING and not self.going:
                self._socket.send(frame(PONG, payload))

    def _write(self) -> None:
        if not self._waiting:
            self._waiting = memoryview(self._again)
        size = self._socket.send(self._waiting[: self._piece] if self._piece else self._waiting)
        self._waiting = self._waiting[size:]
        self.done["sent"] += size


class Comer(Abuser):
    """Connects, sends, and leaves without a word, over and over."""

    def turn(self) -> None:
        super().turn()
        if self.going and not self._waiting:
            self._socket.close()
            with contextlib.suppress(OSError):
                self._open()


class Asker(Abuser):
    """Asks for the same by REST from several threads."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(port, b"")
        self._url = f"http://127.0.0.1:{port}{path}"

    def ask(self) -> bytes:
        with _get(self._url, timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def go(self) -> None:
        for _ in range(THREADS):
            threading.Thread(target=self._ask_on, daemon=True).start()

    def _ask_on(self) -> None:
        while True:
            try:
                self.done["read"] += len(self.ask())
            except (OSError, HTTPException):  # refused, or cut off: it asks on
                self.done["refused"] = self.done.get("refused", 0) + 1


class StreamsReader(Asker):
    """Holds as many streams as there are, and asks for their list."""

    def __init__(self, port: int) -> None:
        super().__init__(port, "/api/streams")
        channels = everything(port)
        self._holding = [connect(port) for _ in range(0, len(channels), MANY)]
        for index, connection in enumerate(self._holding):
            connection.sendall(request("subscribe", channels=channels[index * MANY : (index + 1) * MANY]))
            threading.Thread(target=self._drain, args=(connection,), daemon=True).start()
        time.sleep(3)
        self.done["streams"] = len(json.loads(self.ask())["streams"])

    def _drain(self, connection: socket.socket) -> None:
        reader = Reader()
        connection.settimeout(None)
        with contextlib.suppress(OSError):
            while data := connection.recv(256 * 1024):
                for opcode, payload in reader.feed(data):
                    if opcode == PING:
                        connection.sendall(frame(PONG, payload))


def _replays(port: int) -> Abuser:
    """Plays what was recorded as fast as it can be read, and begins anew."""
    channels = [{"channel_type": kind, **RECORDED} for kind in ("ticker", "trade")]
    begin = int(time.time() * 1000) - 3_600_000
    return Abuser(port, request("replay", channels=channels, speed=0, **{"from": begin}) + request("replay_stop"))


def _off_and_on(channels: list[Channel]) -> bytes:
    return request("unsubscribe", channels=channels) + request("subscribe", channels=channels)


def _text(port: int, make: Callable[[list[Channel]], bytes]) -> Abuser:
    """Works on a thousand channels that it has."""
    channels = candles(port)[:MANY]
    return Abuser(port, make(channels), opening=request("subscribe", channels=channels))


FRAGMENT = frame(CONTINUATION, final=False)
ABUSERS: dict[str, tuple[str, Callable[[int], Abuser | Guesser]]] = {
    "fragments": (
        "empty fragments",
        lambda port: Abuser(port, repeated(FRAGMENT), first=frame(TEXT, final=False)),
    ),
    "binary": ("empty binary messages", lambda port: Abuser(port, repeated(frame(BINARY)))),
    "pongs": ("pongs nobody asked for", lambda port: Abuser(port, repeated(frame(PONG)))),
    "pings": ("pings", lambda port: Abuser(port, repeated(frame(PING)))),
    "garbage": ("text that is no request", lambda port: Abuser(port, repeated(frame(TEXT, b"{")))),
    "large": ("binary messages of 256 KiB", lambda port: Abuser(port, frame(BINARY, bytes(256 * 1024)))),
    "drip": (
        "a large message byte by byte",
        lambda port: Abuser(port, frame(TEXT, b" " * 200_000), piece=1),
    ),
    "resync": ("resync of 1,000 channels", lambda port: _text(port, lambda all: request("resync", channels=all))),
    "unknown": (
        "subscribe of 1,000 unknown symbols",
        lambda port: Abuser(port, request("subscribe", channels=unknown())),
    ),
    "list": ("list of 1,000 channels", lambda port: _text(port, lambda all: repeated(request("list")))),
    "churn": (
        "1,000 channels off and on",
        lambda port: _text(port, _off_and_on),
    ),
    "composite": (
        "all composite channels off and on",
        lambda port: Abuser(port, _off_and_on(composite(port))),
    ),
    "merged": ("a merged book at ever other depths", lambda port: Abuser(port, merged_books())),
    "reconnect": (
        "reconnecting, each time 190 binary messages",
        lambda port: Comer(port, frame(BINARY) * 190),
    ),
    "streams": (f"/api/streams, {THREADS} threads", StreamsReader),
    "replay": ("replay off and on", _replays),
    "history": (f"/api/history/trades, {THREADS} threads", lambda port: Asker(port, HISTORY)),
    "tokens": (f"{PER_MINUTE:,} wrong tokens a minute", Guesser),
}
_RECORDING = {
    "RECORD_DIR": "{directory}",
    "SYMBOLS": "binance:spot:BTC-USDT:ticker,binance:spot:BTC-USDT:trade",
}
SETTINGS: dict[str, Mapping[str, str]] = {"tokens": RULES, "replay": _RECORDING, "history": _RECORDING}
"""What the server of a row is told besides; ``{directory}`` is one that is gone afterwards."""


def main(arguments: Sequence[str]) -> None:
    os.nice(19)  # beside the clients whose time is taken
    abuser = ABUSERS[arguments[0]][1](int(arguments[1]))
    say(ready=True)
    control = select.epoll()
    control.register(sys.stdin.fileno(), select.EPOLLIN)
    while True:
        abuser.turn()
        if control.poll(0):
            if sys.stdin.readline().strip() != "go":
                say(**abuser.done)
                return
            abuser.go()


if __name__ == "__main__":
    main(sys.argv[1:])

"""One client takes book after book: ``python -m benchmarks.book_churn [SECONDS] [PORT]``.

It subscribes to 90 order books, drops them, takes the next 90 and so on, with two requests a second, well within every
limit on requests. Meanwhile others, from another address, open one book each and wait for it to be live, keep three
books, and ask for candles. A line each ten seconds, and the result as JSON at the end.

The venue is a process of its own: it speaks Binance's wire for 4,000 symbols, 40 levels a frame, two frames a second.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from struct import pack, unpack
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from benchmarks.processes import ROOT, Child, python

BOOKS = 90
CHURNER, OTHERS = "127.0.0.66", "127.0.0.77"
WAIT = 60.0
EVERY = 4.0
"""Seconds between two of the others' new books."""
TWISTD = "from twisted.scripts.twistd import run; run()"


class Socket:
    """A client of /ws, blocking: text frames out, JSON in."""

    def __init__(self, port: int, address: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10, (address, 0))
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self._socket.recv(65536)
        self._data = self._data.partition(b"\r\n\r\n")[2]

    def say(self, op: str, channels: list[dict[str, object]]) -> None:
        body = json.dumps({"op": op, "channels": channels}).encode()
        size = pack("!BBH", 0x81, 0xFE, len(body)) if len(body) > 125 else pack("!BB", 0x81, 0x80 | len(body))
        self._socket.sendall(size + b"\0\0\0\0" + body)

    def messages(self, seconds: float) -> Iterator[dict[str, Any]]:
        """What comes until the time is over. Pings are answered."""
        until = time.monotonic() + seconds
        while True:
            frame = self._frame()
            if frame is None:
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._socket.settimeout(left)
                try:
                    got = self._socket.recv(262_144)
                except TimeoutError:
                    return
                if not got:
                    raise ConnectionError("closed")
                self._data += got
            elif frame[0] == 9:
                self._socket.sendall(pack("!BB", 0x8A, 0x80 | len(frame[1])) + b"\0\0\0\0" + frame[1])
            elif frame[0] == 8:
                raise ConnectionError(f"closed: {frame[1]!r}")
            else:
                yield json.loads(frame[1])

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        size, at = data[1] & 127, 2
        if size == 126:
            size, at = unpack("!H", data[2:4].ljust(2, b"\0"))[0], 4
        elif size == 127:
            size, at = unpack("!Q", data[2:10].ljust(8, b"\0"))[0], 10
        if len(data) < at + size:
            return None
        self._data = data[at + size :]
        return data[0] & 15, data[at : at + size]

    def close(self) -> None:
        self._socket.close()


def channel(number: int) -> dict[str, object]:
    symbol = {"base": f"C{number:04d}", "quote": "USDT"}
    return {"channel_type": "order_book", "exchange": "binance", "symbol": symbol, "depth": 50}


class Churn(threading.Thread):
    """The client that takes book after book. ``refused`` counts what it was not given."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.rounds = 0
        self.fault = ""
        self.over = False

    def run(self) -> None:
        client = Socket(self._port, CHURNER)
        at = 0
        try:
            while not self.over:
                books = [channel((at + each) % 3000) for each in range(BOOKS)]
                client.say("subscribe", books)
                self._read(client, 0.5)
                client.say("unsubscribe", books)
                self._read(client, 0.5)
                at += BOOKS
                self.rounds += 1
        except OSError as error:
            self.fault = str(error)

    def _read(self, client: Socket, seconds: float) -> None:
        for _ in client.messages(seconds):
            pass


class Others(threading.Thread):
    """``live_after``: seconds from subscribing to a new book until it was live, each (None: not in time)."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.live_after: list[float | None] = []
        self.over = False

    def run(self) -> None:
        number = 3000
        while not self.over:
            begun = time.monotonic()
            self.live_after.append(self._one(number))
            number += 1
            time.sleep(max(0.0, EVERY - (time.monotonic() - begun)))

    def _one(self, number: int) -> float | None:
        begun = time.monotonic()
        client = Socket(self._port, OTHERS)
        try:
            client.say("subscribe", [channel(number)])
            for each in client.messages(WAIT):
                if each["type"] == "status" and each["payload"]["state"] in ("live", "quiet"):
                    return time.monotonic() - begun
            return None
        except OSError:
            return None
        finally:
            client.close()


class Candles(threading.Thread):
    """``codes``: how often each status came; ``slowest`` in seconds."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{port}/api/candles?exchange=binance&interval=1m&limit=50&symbol=C{{:04d}}-USDT"
        self._open = build_opener(ProxyHandler({})).open
        self.codes: dict[str, int] = {}
        self.slowest = 0.0
        self.over = False

    def run(self) -> None:
        number = 3500
        while not self.over:
            begun = time.monotonic()
            try:
                with self._open(self._url.format(number), timeout=20) as answer:
                    code = str(answer.status)
            except HTTPError as error:
                code = str(error.code)
            except (URLError, OSError) as error:
                code = type(error).__name__
            self.codes[code] = self.codes.get(code, 0) + 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            number = 3500 + (number + 1) % 500
            time.sleep(max(0.0, 2.0 - (time.monotonic() - begun)))


def resident_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else 0.0


class Server:
    """The server under test, pointed at the venue."""

    def __init__(self, port: int, venue: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [python(), "-P", "-c", TWISTD, "--nodaemon", "--pidfile=", "cryptodash", "--exchanges", "binance"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env={
                **os.environ,
                "PYTHONPATH": os.environ.get("SERVER_ROOT", str(ROOT)),
                "BIND_ADDR": f"127.0.0.1:{port}",
                "BINANCE_WS_URL": f"ws://127.0.0.1:{venue}",
                "BINANCE_REST_URL": f"http://127.0.0.1:{venue}",
                "BINANCE_PERPETUAL_WS_URL": f"ws://127.0.0.1:{venue}",
                "BINANCE_PERPETUAL_REST_URL": f"http://127.0.0.1:{venue}",
            },
        )
        self.pid = self._process.pid
        time.sleep(5.0)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def measure(seconds: float, port: int) -> dict[str, object]:
    """The result of one run."""
    venue = Child("book-venue", [python(), "-m", "benchmarks.book_venue", "4000", str(port + 1)], 1)
    venue.hear(30)
    server = Server(port, port + 1)
    try:
        others, candles, churn = Others(port), Candles(port), Churn(port)
        begun, before = time.monotonic(), resident_mib(server.pid)
        for each in (others, candles):
            each.start()
        time.sleep(10.0)
        alone = [each for each in others.live_after if each is not None]
        churn.start()
        most = before
        while time.monotonic() - begun < seconds + 10.0:
            time.sleep(10.0)
            most = max(most, resident_mib(server.pid))
            line = f"{time.monotonic() - begun:5.0f} s  {resident_mib(server.pid):6.0f} MiB  rounds {churn.rounds}"
            sys.stderr.write(f"{line}  live after {_shown(others.live_after[-3:])}  candles {candles.codes}\n")
        for each in (others, candles, churn):
            each.over = True
        with_churn = others.live_after[len(alone) :]
        in_time = [each for each in with_churn if each is not None]
        return {
            "rss_mib": [round(before), round(most)],
            "rounds": churn.rounds,
            "fault": churn.fault,
            "live_after_alone_s": _shown(alone),
            "live_after_s": _shown(with_churn),
            "live_after_median_s": round(median(in_time), 2) if in_time else None,
            "not_live_in_time": len(with_churn) - len(in_time),
            "candles": candles.codes,
            "candles_slowest_s": round(candles.slowest, 2),
        }
    finally:
        server.end()
        venue.end()


def _shown(times: list[float | None]) -> list[float | None]:
    return [None if each is None else round(each, 2) for each in times]


def main(arguments: list[str]) -> int:
    seconds = float(arguments[0]) if arguments else 100.0
    port = int(arguments[1]) if len(arguments) > 1 else 9730
    sys.stdout.write(json.dumps(measure(seconds, port), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

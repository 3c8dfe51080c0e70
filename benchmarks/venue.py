"""A venue that speaks Binance's wire to the servers under test:
catalogue and snapshots over REST, frames over WebSocket.

    python -m benchmarks.venue SYMBOLS FRAMES [agg|overload]

Commands on stdin: ``blast`` sends the mix of frames as fast as the server reads; ``trades RATE SECONDS`` sends trades
of the first symbol at random moments, each with the nanosecond of its sending as its quantity; ``feed PORT RATE
SECONDS`` the same, ready made, to a peer's ``/feed``. With ``overload`` the frames are those for ``flood RATE``, which
sends them at set times (0: as fast as the server reads).
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from struct import pack, unpack
from urllib.parse import parse_qs, urlsplit

from benchmarks.frames import HOLE, MIDDLE, NAMES, Market, flood, mix, price, stamp
from benchmarks.ours import MOST_BOOKS
from benchmarks.peers.work import say

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK = 64 * 1024
FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
]


def frame(payload: bytes, *, masked: bool = False) -> bytes:
    """A final text frame; as a client's, with a mask of zeros."""
    size, bit = len(payload), 0x80 if masked else 0
    head = (
        bytes((0x81, bit | size))
        if size < 126
        else pack("!BBH", 0x81, bit | 126, size)
        if size < 65536
        else pack("!BBQ", 0x81, bit | 127, size)
    )
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Venue:
    """The listening side. All REST answers are made before anybody asks."""

    def __init__(self, names: Sequence[str], frames: int, flavour: str) -> None:
        self._flavour = flavour
        self._markets = [Market(name, 5, flavour) for name in names]
        symbols = [self._listing(name) for name in names]
        self._catalogue = json.dumps({"symbols": symbols}).encode()
        self._snapshots: dict[str, bytes] = {}
        self._opening = {market.native: self._openings(market) for market in self._markets}
        self._kinds: Counter[str] = Counter()
        self._frames = list(self._prepared(frames)) if frames else []
        self._subscribed: socket.socket | None = None
        self._lock = threading.Lock()

    def _prepared(self, count: int) -> Iterator[bytes]:
        if self._flavour != "overload":
            yield from map(frame, mix(self._markets, count, 3))
            return
        for kind, payload in flood(self._markets, MOST_BOOKS, count, 3):
            self._kinds[kind] += 1
            yield frame(payload)

    def _openings(self, market: Market) -> dict[str, list[bytes]]:
        """What a subscription to each stream brings at once; a book asks for its snapshot, which is of the middle
        of these changes, once some have come. (cryptofeed subscribes by the URL and asks after the first:
        for it the snapshot is of the end.)"""
        first = {"ticker": [market.day()], "bookTicker": [market.quote()], "trade": [market.trade()]}
        depths = []
        for index in range(10):
            depths.append(market.depth())
            if index == (9 if self._flavour == "agg" else 4):
                self._snapshots[market.native] = market.snapshot().encode()
        return {**first, "depth": depths}

    def _listing(self, name: str) -> dict[str, object]:
        base, quote = name.split("-")
        return {
            "symbol": base + quote,
            "status": "TRADING",
            "baseAsset": base,
            "quoteAsset": quote,
            "isSpotTradingAllowed": True,
            "filters": FILTERS,
        }

    def truth(self) -> dict[str, str]:
        """The best bid that each symbol ends with."""
        return {market.native: price(market.best()[0]) for market in self._markets}

    def mixed(self) -> dict[str, int]:
        """How many frames of each kind the mix holds."""
        marks = {"trade": (b'@trade"', b'@aggTrade"'), "ticker": (b'@bookTicker"',), "book": (b'@depth@100ms"',)}
        return {
            kind: sum(any(word in each[:64] for word in words) for each in self._frames)
            for kind, words in marks.items()
        }

    # -- the wire

    def serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve_one, args=(connection,), daemon=True).start()

    def _serve_one(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
                }
                target = urlsplit(head.split(b" ", 2)[1].decode())
                if b"sec-websocket-key" in headers:
                    self._upgrade(connection, headers[b"sec-websocket-key"], "streams" in parse_qs(target.query))
                    self._listen(connection, data)
                    return
                body = self._answer(target.path, parse_qs(target.query))
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(body), body)
                )

    def _answer(self, path: str, query: dict[str, list[str]]) -> bytes:
        if path == "/api/v3/exchangeInfo":
            return self._catalogue
        if path == "/api/v3/depth":
            return self._snapshots[query["symbol"][0]]
        return b'{"symbols":[]}'

    def _upgrade(self, connection: socket.socket, key: bytes, subscribed: bool) -> None:
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        if subscribed:
            self._subscribed = connection

    def _listen(self, connection: socket.socket, data: bytes) -> None:
        """Acknowledge subscriptions; each symbol's first depth stream brings its opening frames."""
        while True:
            while len(data) >= 6:
                size, at = data[1] & 127, 2
                if size == 126:
                    size, at = unpack("!H", data[2:4])[0], 4
                if len(data) < at + 4 + size:
                    break
                mask = data[at : at + 4]
                payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data[at + 4 : at + 4 + size]))
                if data[0] & 15 == 1:
                    self._request(connection, json.loads(payload))
                data = data[at + 4 + size :]
            try:
                more = connection.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more

    def _request(self, connection: socket.socket, request: dict[str, object]) -> None:
        answer = [frame(json.dumps({"result": None, "id": request["id"]}).encode())]
        names = request.get("params")
        for name in names if request["method"] == "SUBSCRIBE" and isinstance(names, list) else ():
            native, _, stream = str(name).partition("@")
            opening = self._opening.get(native.upper(), {})
            answer += [frame(payload) for payload in opening.pop(stream.partition("@")[0], ())]
        with self._lock:
            connection.sendall(b"".join(answer))
        self._subscribed = connection

    # -- what is measured

    def blast(self) -> None:
        """Everything, as fast as it is read."""
        assert self._subscribed is not None, "nobody subscribed"
        for chunk in chunks(self._frames):
            with self._lock:  # an answer to a request may come between two frames, never within one
                self._subscribed.sendall(chunk)

    def flood(self, rate: float) -> dict[str, int]:
        """All frames, ``rate`` a second in ticks of a millisecond, each with the time at which it was due."""
        assert self._subscribed is not None, "nobody subscribed"
        frames, done, hole = self._frames, 0, HOLE.encode()
        begun = time.monotonic()
        while done < len(frames):
            now = time.monotonic()
            until = min(len(frames), round((now - begun) * rate) if rate else done + 200)
            if until == done:
                time.sleep(0.0005)
                continue
            for first in range(done, until, 200):
                last = min(first + 200, until)
                due = begun + last / rate if rate else now
                with self._lock:
                    self._subscribed.sendall(b"".join(frames[first:last]).replace(hole, stamp(int(due * 1e9))))
            done = until
        return {"sent": done, "trades": self._kinds["trade"], "quotes": self._kinds["quote"]}

    def trade_at(self, rate: float, seconds: float) -> int:
        """Trades at random moments, of ``rate`` a second on average."""
        subscribed, market = self._subscribed, self._markets[0]
        assert subscribed is not None, "nobody subscribed"

        def send() -> None:
            with self._lock:
                subscribed.sendall(frame(market.trade(f"{time.monotonic_ns()}")))

        return at_random(rate, seconds, send)


def chunks(frames: Sequence[bytes]) -> Iterator[bytes]:
    """Whole frames, about ``CHUNK`` bytes at a time."""
    some: list[bytes] = []
    size = 0
    for each in frames:
        some.append(each)
        size += len(each)
        if size >= CHUNK:
            yield b"".join(some)
            some, size = [], 0
    yield b"".join(some)


def at_random(rate: float, seconds: float, send: Callable[[], object]) -> int:
    """Call ``send`` at moments with exponential gaps, the same for everybody; returns how often."""
    chance, count = random.Random(13), 0
    begun = due = time.monotonic()
    while True:
        due += chance.expovariate(rate)
        if due - begun >= seconds:
            return count
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        send()
        count += 1


def feed(port: int, rate: float, seconds: float, name: str) -> int:
    """The same trades, as our server would say them, to a peer that passes them on."""
    base, quote = name.split("-")
    before = (
        '{"type":"trade","payload":{"timestamp":"2024-08-08T23:54:15.343Z",'
        '"exchange":"binance","market_type":"spot","symbol":'
        f'{{"base":"{base}","quote":"{quote}"}},"id":"'
    )
    after = f'","price":{price(MIDDLE)},"quantity":'
    numbers = iter(range(1, 1 << 62))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(
            b"GET /feed HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        while b"\r\n\r\n" not in connection.recv(65536):
            pass

        def send() -> None:
            body = f'{before}{next(numbers)}{after}{time.monotonic_ns()},"side":"buy"}}}}'
            connection.sendall(frame(body.encode(), masked=True))

        count = at_random(rate, seconds, send)
        time.sleep(0.2)
    return count


def main(arguments: Sequence[str]) -> None:
    names = arguments[0].split(",") if arguments[0] != "-" else list(NAMES)
    venue = Venue(names, int(arguments[1]), arguments[2] if len(arguments) > 2 else "trade")
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=venue.serve, args=(listener,), daemon=True).start()
    say(port=listener.getsockname()[1], truth=venue.truth(), mix=venue.mixed())
    for line in sys.stdin:
        words = line.split()
        if words[0] == "blast":
            venue.blast()
            say(sent=True)
        elif words[0] == "flood":
            say(**venue.flood(float(words[1])))
        elif words[0] == "trades":
            say(sent=venue.trade_at(float(words[1]), float(words[2])))
        elif words[0] == "feed":
            say(sent=feed(int(words[1]), float(words[2]), float(words[3]), names[0]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Binance's spot wire for many symbols at little cost, order books above all: ``python -m benchmarks.book_venue SYMBOLS
PORT``. Every book that is subscribed to changes twice a second; a snapshot answers after a tenth of a second, and
requests over 6,000 of weight a minute are refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.venue import FILTERS, GUID, frame

LEVELS = 20
"""A side and frame."""
EVERY = 0.5
LATENCY = 0.1
WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))


def levels(start: int, step: int, count: int, size: int) -> str:
    return ",".join(f'["{start + step * each}.00000000","{size % 97 + 1}.00000000"]' for each in range(1, count + 1))


class Venue:
    def __init__(self, count: int) -> None:
        names = [f"C{number:04d}" for number in range(count)]
        self.catalogue = json.dumps({"symbols": [self._listing(name) for name in names]}).encode()
        self.begun = time.time()
        self.spent: list[tuple[float, int]] = []
        self._parts = [f'"b":[{levels(50_000, -1, LEVELS, n)}],"a":[{levels(50_000, 1, LEVELS, n)}]' for n in range(8)]
        self._sides: dict[int, str] = {}

    def _listing(self, name: str) -> dict[str, object]:
        return {
            "symbol": f"{name}USDT",
            "status": "TRADING",
            "baseAsset": name,
            "quoteAsset": "USDT",
            "isSpotTradingAllowed": True,
            "filters": FILTERS,
        }

    def sequence(self) -> int:
        """The number of the last change of every book: one a period."""
        return 1_000_000 + int((time.time() - self.begun) / EVERY)

    def diff(self, stream: str, number: int, now: int) -> bytes:
        name = stream.partition("@")[0].upper()
        return frame(
            f'{{"stream":"{stream}","data":{{"e":"depthUpdate","E":{now},"s":"{name}","U":{number},"u":{number},'
            f"{self._parts[number % 8]}}}}}".encode()
        )

    def answer(self, target: str) -> tuple[int, bytes]:
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/exchangeInfo"):
            return 200, self.catalogue if parts.path.startswith("/api") else b'{"symbols":[]}'
        if parts.path.endswith("/time"):
            return 200, b'{"serverTime":%d}' % (time.time() * 1000)
        limit = int(query.get("limit", "100"))
        weight = 2
        if parts.path.endswith("/depth"):
            weight = next(each for most, each in WEIGHTS if limit <= most)
        now = time.monotonic()
        self.spent = [each for each in self.spent if each[0] > now - 60]
        if sum(each for _, each in self.spent) + weight > 6000:
            return 429, b'{"code":-1003,"msg":"Too many requests"}'
        self.spent.append((now, weight))
        if parts.path.endswith("/depth"):
            if limit not in self._sides:
                self._sides[limit] = f'"bids":[{levels(50_000, -1, limit, 1)}],"asks":[{levels(50_000, 1, limit, 1)}]'
            return 200, f'{{"lastUpdateId":{self.sequence()},{self._sides[limit]}}}'.encode()
        minute = int(time.time() // 60) * 60_000
        bars: list[list[Any]] = [
            [minute - each * 60_000, "1.0", "1.0", "1.0", "1.0", "1.0", minute - each * 60_000 + 59_999]
            for each in reversed(range(min(limit, 50)))
        ]
        return 200, json.dumps(bars).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
                if "sec-websocket-key" in fields:
                    token = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + GUID).digest())
                    writer.write(
                        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
                    )
                    await self.streams(reader, writer)
                    return
                await asyncio.sleep(LATENCY)
                status, body = self.answer(lines[0].split(" ")[1])
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def streams(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted: dict[str, None] = {}
        pump = asyncio.ensure_future(self.pump(wanted, writer))
        try:
            while True:
                head = await reader.readexactly(2)
                size = head[1] & 127
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                mask = await reader.readexactly(4)
                data = await reader.readexactly(size)
                if head[0] & 15 != 1:
                    continue
                wide = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
                asked = json.loads((int.from_bytes(data, "big") ^ wide).to_bytes(size, "big"))
                for name in asked["params"]:
                    if asked["method"] == "SUBSCRIBE":
                        wanted[name] = None
                    else:
                        wanted.pop(name, None)
                writer.write(frame(json.dumps({"result": None, "id": asked["id"]}).encode()))
        finally:
            pump.cancel()

    async def pump(self, wanted: dict[str, None], writer: asyncio.StreamWriter) -> None:
        last = self.sequence()
        while True:
            await asyncio.sleep(0.05)
            for number in range(last + 1, self.sequence() + 1):
                now = int(time.time() * 1000)
                writer.write(b"".join(self.diff(each, number, now) for each in wanted if "@depth" in each))
                last = number


async def run(count: int, port: int) -> None:
    venue = Venue(count)
    server = await asyncio.start_server(venue.serve, "127.0.0.1", port)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2])))

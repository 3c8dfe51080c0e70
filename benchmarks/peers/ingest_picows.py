"""picows with a bare typed decode by msgspec: what receiving and reading the frames costs at least in Python,
nothing kept, nothing encoded.

ingest_picows.py PORT SYMBOLS
"""

from __future__ import annotations

import sys
import time
from typing import Any

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from work import cpu_seconds, say


class Quote(msgspec.Struct, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class Trade(msgspec.Struct, gc=False):
    t: int
    p: str
    q: str
    T: int
    m: bool


class Depth(msgspec.Struct, gc=False):
    E: int
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class QuoteFrame(msgspec.Struct, gc=False):
    data: Quote


class TradeFrame(msgspec.Struct, gc=False):
    data: Trade


class DepthFrame(msgspec.Struct, gc=False):
    data: Depth


class Client(WSListener):
    """Decodes every frame by the kind that its stream's name tells."""

    def __init__(self) -> None:
        quote, trade, depth = (msgspec.json.Decoder(kind).decode for kind in (QuoteFrame, TradeFrame, DepthFrame))
        self._decoders = {b"b": ("ticker", quote), b"t": ("trade", trade), b"d": ("book", depth)}
        self._counts = {"ticker": 0, "trade": 0, "book": 0}
        self._last: Any = {}
        self._begun = self._cpu = 0.0

    def on_ws_connected(self, transport: WSTransport) -> None:
        say(holding=1)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        payload = frame.get_payload_as_bytes()
        at = payload.find(b"@") + 1
        kind, decode = self._decoders[payload[at : at + 1]]
        data = decode(payload).data
        self._counts[kind] += 1
        if kind == "ticker":
            self._last[data.s] = data.b
        elif kind == "trade" and data.q == "111.0":
            self._counts = {"ticker": 0, "trade": 0, "book": 0}
            self._begun, self._cpu = time.perf_counter(), cpu_seconds()
        elif kind == "trade" and data.q == "999.0":
            say(
                done=self._counts,
                wall=time.perf_counter() - self._begun,
                cpu=cpu_seconds() - self._cpu,
                bytes=0,
                last=self._last,
            )


async def main() -> None:
    transport, _ = await ws_connect(Client, f"ws://127.0.0.1:{sys.argv[1]}/stream?streams=all")
    await transport.wait_disconnected()


if __name__ == "__main__":
    uvloop.run(main())

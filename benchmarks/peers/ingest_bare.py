"""The limit of this server's own stack: Twisted, its frame slicer, a bare typed decode, and one f-string per event;
no check, no state, no hub.

    python -m benchmarks.peers.ingest_bare PORT SYMBOLS

Whatever is asked of a price beyond that (every digit admitted, sequence and age known, the last value kept, books kept
in order, each client given what it wants) comes on top.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, connectWS

from benchmarks.peers.work import cpu_seconds, say
from cryptodash.exchanges.transport.frame_slicer import FrameSlicer


class Quote(msgspec.Struct, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class Trade(msgspec.Struct, gc=False):
    t: int
    s: str
    p: str
    q: str
    T: int
    m: bool


class Depth(msgspec.Struct, gc=False):
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


_quote, _trade, _depth = (msgspec.json.Decoder(kind).decode for kind in (QuoteFrame, TradeFrame, DepthFrame))


class Client(FrameSlicer):
    """Decodes and encodes; counts as the other contestants do."""

    counts: dict[str, int]

    def onOpen(self) -> None:
        self._forget()
        self._last: dict[str, str] = {}
        say(holding=1)

    def _forget(self) -> None:
        self.counts = {"ticker": 0, "trade": 0, "book": 0}
        self._size, self._begun, self._cpu = 0, time.perf_counter(), cpu_seconds()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.onTexts((payload,))  # what came in one chunk with the handshake

    def onTexts(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            kind = payload[payload.find(b"@") + 1]
            if kind == ord("b"):
                quote = _quote(payload).data
                self.counts["ticker"] += 1
                self._last[quote.s] = quote.b
                self._size += len(
                    f'{{"symbol":"{quote.s}","bid":{quote.b},'
                    f'"ask":{quote.a},"bid_size":{quote.B},"ask_size":{quote.A}}}'.encode()
                )
            elif kind == ord("t"):
                trade = _trade(payload).data
                self.counts["trade"] += 1
                side = "sell" if trade.m else "buy"
                # ours says a ticker for each trade, too
                ticker = f'{{"symbol":"{trade.s}","last":{trade.p},"last_time":{trade.T}}}'.encode()
                told = (
                    f'{{"symbol":"{trade.s}","id":"{trade.t}","price":{trade.p},"quantity":{trade.q},"side":"{side}"}}'
                ).encode()
                self._size += len(ticker) + len(told)
                self._mark(trade.q)
            else:
                _depth(payload)
                self.counts["book"] += 1

    def _mark(self, quantity: str) -> None:
        """The marked trades begin and end the measurement."""
        if quantity == "111.0":
            self._forget()
        elif quantity == "999.0":
            say(
                done=self.counts,
                wall=time.perf_counter() - self._begun,
                cpu=cpu_seconds() - self._cpu,
                bytes=self._size,
                last=self._last,
            )


def main() -> None:
    from twisted.internet import reactor as the_reactor

    factory: Any = WebSocketClientFactory(f"ws://127.0.0.1:{sys.argv[1]}/stream?streams=all")
    factory.protocol = Client
    connectWS(factory)
    reactor: Any = the_reactor
    reactor.run()


if __name__ == "__main__":
    main()

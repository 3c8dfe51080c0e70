"""The demo: the server on its simulated venues, and a real client that prints one line a second of what flows.

    python examples/demo.py [--port 8080]

Ctrl-C ends both. The server's log goes to demo.log.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from twisted.internet import reactor, task

from cryptodash.simulator.control import CONTROL_PORT

LOG = Path("demo.log")
WATCHED = [("binance", "spot"), ("binance", "perpetual"), ("bybit", "spot"), ("bybit", "perpetual")]


class Watch:
    """What has arrived since the last line."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.counts: Counter[str] = Counter()
        self.last: dict[tuple[str, str], str] = {}
        self.states: dict[str, str] = {}
        self.greeted = False

    def message(self, kind: str, payload: dict[str, Any]) -> None:
        self.counts[kind] += 1
        if kind == "ticker":
            self.last[payload["exchange"], payload["market_type"]] = f"{payload['last']}"
        elif kind == "status":
            channel = payload["channel"]
            name = f"{channel['exchange']} {channel['market_type']} {channel['channel_type']}"
            self.states[name] = payload["state"] + (f"({payload['cause']})" if "cause" in payload else "")

    def line(self) -> str:
        flow = " ".join(f"{kind}:{count}" for kind, count in sorted(self.counts.items()))
        prices = "  ".join(f"{venue} {market[:4]} {self.last.get((venue, market), '-')}" for venue, market in WATCHED)
        bad = {name: state for name, state in self.states.items() if state not in ("live", "quiet")}
        self.counts.clear()
        trouble = "  ".join(f"{name}: {state}" for name, state in sorted(bad.items())) or "all live"
        return f"{time.strftime('%H:%M:%S')}  BTC-USDT  {prices}  | {flow or 'nothing'} | {trouble}"


class WatchClient(WebSocketClientProtocol):
    factory: WatchFactory

    def onOpen(self) -> None:
        channels = []
        for exchange, market in WATCHED:
            for kind in (
                {"channel_type": "ticker"},
                {"channel_type": "trade"},
                {"channel_type": "order_book", "depth": 20},
                {"channel_type": "candle", "interval": "1m"},
            ):
                channels.append({**kind, "exchange": exchange, "market_type": market, "symbol": "BTC-USDT"})
        self.sendMessage(json.dumps({"op": "subscribe", "channels": channels}).encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload, parse_float=Decimal)
        self.factory.watch.message(message["type"], message["payload"])

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.again()


class WatchFactory(WebSocketClientFactory):
    protocol = WatchClient

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch.url)
        self.watch = watch

    def again(self) -> None:
        reactor.callLater(1.0, connectWS, self, timeout=5)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.again()


def free_port(wanted: int) -> int:
    """This port of 127.0.0.1 if nobody has it, else a free one."""
    for number in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no port is free")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    twistd = Path(sys.executable).with_name("twistd")
    control_port = str(free_port(CONTROL_PORT))
    command = [
        str(twistd),
        "-n",
        "--pidfile=",
        "--logfile",
        str(LOG),
        "cryptodash",
        "run",
        "--demo",
        "--bind-addr",
        f"127.0.0.1:{options.port}",
        "--control-port",
        control_port,
    ]
    # Ctrl-C is for us: a second signal of ours would cut the server's goodbye short
    server = subprocess.Popen(command, start_new_session=True)
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
    print(f"cryptodash demo: open http://127.0.0.1:{options.port}/  (simulated venues; the server's log is {LOG})")
    fault = f"{os.path.relpath(twistd)} cryptodash fault --control-port {control_port}"
    print(f"break a venue from another terminal:  {fault} binance silent BTC-USDT 10")
    watch = Watch(f"ws://127.0.0.1:{options.port}/ws")

    def every_second() -> None:
        if server.poll() is not None:
            print(f"the server ended with exit code {server.returncode}; see {LOG}", file=sys.stderr)
            reactor.stop()
            return
        print(watch.line(), flush=True)

    task.LoopingCall(every_second).start(1.0, now=False)
    reactor.callLater(0.5, connectWS, WatchFactory(watch), timeout=5)
    try:
        reactor.run()
    finally:
        if server.poll() is None:
            server.terminate()
        server.wait(timeout=10)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main())

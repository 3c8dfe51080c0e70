"""Gives a Centrifugo node the trades that our server is given by the venue, as our server says them to its clients.

    python -m benchmarks.centrifugo_feed PORT

``trades RATE SECONDS`` on stdin as in ``venue.py``: at the same moments, each with the nanosecond of its sending as its
quantity. A request for each over one connection; nobody waits for the answers, a thread reads them.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count

from benchmarks.centrifugo import CHANNEL
from benchmarks.frames import MIDDLE, NAMES, TIME, price
from benchmarks.ours import SPOT
from benchmarks.peers.work import say
from benchmarks.venue import at_random
from cryptodash.core.events import Side, Trade
from cryptodash.core.instruments import Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.encode import trade_message

FIRST = 3_735_683_260
"""The number of the first trade: as long as those of the venue."""
REFUSED = re.compile(rb"HTTP/1\.1 (?!200)\d\d\d|\"error\"")


class Feed:
    """One connection to the API."""

    def __init__(self, port: int) -> None:
        self._topic = Topic("binance", SPOT, Symbol(*NAMES[0].split("-")), Channel.TRADE)
        self._numbers = count(FIRST)
        self._price = Number(price(MIDDLE))
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = threading.Thread(target=self._read, daemon=True)
        self._answers.start()

    def _read(self) -> None:
        while data := self._connection.recv(65536):
            if refused := REFUSED.search(data):
                say(failed=f"an event was refused: {refused[0].decode()}")

    def close(self) -> None:
        """No more is sent; the API's side closes too."""
        self._connection.shutdown(socket.SHUT_WR)
        self._answers.join(5)
        self._connection.close()

    def send(self) -> None:
        stamp = Number(str(time.monotonic_ns()))
        number = str(next(self._numbers))
        trade = Trade(self._topic, TIME, time.time_ns() // 1_000_000, number, self._price, stamp, Side.BUY)
        body = b'{"channel":"%b","data":%b}' % (CHANNEL.encode(), trade_message(trade).body)
        head = b"POST /api/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._connection.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))


def main(arguments: Sequence[str]) -> None:
    feed = Feed(int(arguments[0]))
    say(ready=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "trades":
            say(sent=at_random(float(words[1]), float(words[2]), feed.send))


if __name__ == "__main__":
    main(sys.argv[1:])

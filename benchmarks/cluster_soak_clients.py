"""The clients of a cluster's soak: each follows the trades of two symbols and a slow ticker, and checks every trade.

    python -m benchmarks.cluster_soak_clients CLIENTS PORT [PORT ...]

Client i is at port i modulo the ports. The venues number their trades without a hole, so each process must have told
all numbers from the first one to the last, and each of its clients the same ones, in this order, once. What a ``gap``
stands for is counted apart. Says how it is each second, and on ``finish`` at stdin what it found, as ``judged``.
"""

from __future__ import annotations

import os
import re
import selectors
import sys
import time
from collections.abc import Mapping, Sequence
from socket import socket

from attrs import define, field

from benchmarks.abuse.wire import PING, PONG, TEXT, Reader, connect, frame, request
from benchmarks.peers.work import say

TOPICS = (("binance", "XRP"), ("bybit", "SOL"), ("binance", "SOL"), ("bybit", "XRP"))
"""Of all that the simulator trades these are slow: two to five trades a second."""
TICKERS_A_SECOND = 0.5
PLACE = re.compile(rb'"exchange":"(\w+)".*?"base":"(\w+)"')
NUMBER = re.compile(rb'"id":"(\d+)"')
AT_ONCE = 20
DRAIN_S = 10.0
CLOSE = 8

Key = tuple[bytes, bytes]


@define
class Told:
    """The trades of one symbol as one process tells them, by whichever of its clients is the first to see each.
    ``gaps``: before which of them somebody was told of a gap."""

    numbers: list[int] = field(factory=list)
    place: dict[int, int] = field(factory=dict)
    gaps: set[int] = field(factory=set)
    disorder: int = 0

    def place_of(self, number: int) -> int:
        """Where it stands; who sees it first puts it there."""
        found = self.place.get(number)
        if found is None:
            self.disorder += bool(self.numbers) and number < self.numbers[-1]
            found = self.place[number] = len(self.numbers)
            self.numbers.append(number)
        return found

    def holes(self, first: int, last: int) -> tuple[int, int]:
        """How many numbers from ``first`` to ``last`` were never told; and how many of them a gap stands for."""
        lost = covered = 0
        before = first - 1
        for at, number in enumerate(self.numbers):
            if not first <= number <= last:
                continue
            missing = max(0, number - before - 1)
            if at in self.gaps:
                covered += missing
            else:
                lost += missing
            before = max(before, number)
        return lost + max(0, last - before), covered


class Follower:
    """One client, at the process whose ``told`` it is given."""

    def __init__(self, connection: socket, told: Mapping[Key, Told], channels: Sequence[Mapping[str, object]]) -> None:
        self.connection, self.reader = connection, Reader()
        self.follows = {
            (str(each["exchange"]).encode(), str(each["symbol"]).partition("-")[0].encode())
            for each in channels
            if each["channel_type"] == "trade"
        }
        self.next: dict[Key, int] = {}
        self.messages = self.trades = self.lost = self.covered = self.twice = self.gaps = self.errors = 0
        self._told = told
        self._excused: set[Key] = set()
        connection.sendall(request("subscribe", channels=channels))
        connection.setblocking(False)

    def read(self) -> bool:
        """What has come; False once the connection is gone."""
        try:
            data = self.connection.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for opcode, body in self.reader.feed(data):
            if opcode == TEXT:
                self.messages += 1
                self.take(body)
            elif opcode == PING:
                self.connection.sendall(frame(PONG, body))
            elif opcode == CLOSE:
                return False
        return bool(data)

    def take(self, body: bytes) -> None:
        """One message."""
        if body.startswith(b'{"type":"trade"'):
            self._trade(*_read(body))
        elif body.startswith(b'{"type":"gap"'):
            key = _key(body)
            self.gaps += 1
            self._excused.add(key)
            self._told[key].gaps.add(len(self._told[key].numbers))
        elif body.startswith(b'{"type":"error"'):
            self.errors += 1

    def _trade(self, key: Key, number: int) -> None:
        self.trades += 1
        at = self._told[key].place_of(number)
        due = self.next.get(key, at)
        if at < due:
            self.twice += 1
            return
        self._miss(key, at - due)
        self.next[key] = at + 1
        self._excused.discard(key)

    def _miss(self, key: Key, count: int) -> None:
        if key in self._excused:
            self.covered += count
        else:
            self.lost += count

    def behind(self, ends: Mapping[Key, int]) -> bool:
        return any(self.next.get(key, 0) < ends[key] for key in self.follows)

    def end(self, ends: Mapping[Key, int]) -> None:
        """No more comes: what others of the process had before ``ends`` is missing."""
        for key in self.follows:
            self._miss(key, max(0, ends[key] - self.next.get(key, 0)))


_known: dict[bytes, tuple[Key, int]] = {}


def _read(body: bytes) -> tuple[Key, int]:
    """Which symbol's trade it is, and its number. A process tells all its clients the same bytes."""
    found = _known.get(body)
    if found is None:
        number = NUMBER.search(body)
        assert number is not None
        if len(_known) > 200:
            _known.clear()
        found = _known[body] = _key(body), int(number[1])
    return found


def _key(body: bytes) -> Key:
    place = PLACE.search(body)
    assert place is not None
    return place[1], place[2]


def channels_of(index: int) -> list[dict[str, object]]:
    """What a client follows."""
    places = [TOPICS[(index + more) % len(TOPICS)] for more in (0, 1)]
    found: list[dict[str, object]] = [
        {"channel_type": "trade", "exchange": exchange, "symbol": f"{base}-USDT"} for exchange, base in places
    ]
    exchange, base = places[0]
    slow = {"channel_type": "ticker", "exchange": exchange, "symbol": f"{base}-USDT", "max_rate": TICKERS_A_SECOND}
    return [*found, slow]


class Crowd:
    """Everybody, in one loop."""

    def __init__(self, clients: int, ports: Sequence[int]) -> None:
        self._wanted, self._ports = clients, ports
        keys = [(exchange.encode(), base.encode()) for exchange, base in TOPICS]
        self.told: list[dict[Key, Told]] = [{key: Told() for key in keys} for _ in ports]
        self.followers: list[list[Follower]] = [[] for _ in ports]
        self._selector = selectors.DefaultSelector()
        self._dead = 0
        self._spoken = 0.0

    def open_all(self) -> None:
        for index in range(self._wanted):
            place = index % len(self._ports)
            follower = Follower(connect(self._ports[place]), self.told[place], channels_of(index // len(self._ports)))
            self.followers[place].append(follower)
            self._selector.register(follower.connection, selectors.EVENT_READ, follower)
            if index % AT_ONCE == 0:
                self.turn(0.0)

    def turn(self, timeout: float) -> bool:
        """Read what has come; whether we are told to finish."""
        finish = False
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                os.read(0, 100)
                finish = True
            elif not key.data.read():
                self._dead += 1
                self._selector.unregister(key.fileobj)
        if time.monotonic() - self._spoken >= 1.0:
            self._spoken = time.monotonic()
            say(open=len(self._selector.get_map()), messages=self._sum("messages"), errors=self._sum("errors"))
        return finish

    def serve(self) -> None:
        self._selector.register(0, selectors.EVENT_READ)
        while not self.turn(0.5):
            pass
        ends = self.ends()
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until and any(
            each.behind(end) for group, end in zip(self.followers, ends, strict=True) for each in group
        ):
            self.turn(0.1)
        say(judged=True, **self.judged(ends))

    def ends(self) -> list[dict[Key, int]]:
        """How much each process has told until now."""
        return [{key: len(each.numbers) for key, each in told.items()} for told in self.told]

    def judged(self, ends: Sequence[Mapping[Key, int]]) -> dict[str, int]:
        """What is wrong with what has come, as far as ``ends``: of each client, and of each process against the
        others."""
        for group, end in zip(self.followers, ends, strict=True):
            for each in group:
                each.end(end)
        lost, covered, trades = self._sum("lost"), self._sum("covered"), 0
        for key in self.told[0]:
            found = self._compared(key, ends)
            lost, covered, trades = lost + found[0], covered + found[1], trades + found[2]
        return {
            "clients": sum(map(len, self.followers)),
            "dead": self._dead,
            "trades": trades,
            "deliveries": self._sum("trades"),
            "lost": lost,
            "covered": covered,
            "gaps": self._sum("gaps"),
            "twice": self._sum("twice"),
            "disorder": sum(log.disorder for told in self.told for log in told.values()),
            "errors": self._sum("errors"),
        }

    def _compared(self, key: Key, ends: Sequence[Mapping[Key, int]]) -> tuple[int, int, int]:
        """Deliveries that whole processes lack of one symbol, those of them that a gap stands for, and how many trades
        there were while all processes told of them."""
        logs = [(told[key], end[key]) for told, end in zip(self.told, ends, strict=True)]
        here = [sum(key in each.follows for each in group) for group in self.followers]
        spoken = [(log.numbers[0], log.numbers[end - 1]) for log, end in logs if end]
        if not spoken:
            return 0, 0, 0
        first, last = max(begin for begin, _ in spoken), min(end for _, end in spoken)
        lost = covered = 0
        for (log, _), followers in zip(logs, here, strict=True):
            missing, excused = log.holes(first, last)
            lost, covered = lost + missing * followers, covered + excused * followers
        return lost, covered, last - first + 1

    def _sum(self, name: str) -> int:
        return sum(getattr(each, name) for group in self.followers for each in group)


def main(arguments: Sequence[str]) -> None:
    crowd = Crowd(int(arguments[0]), [int(each) for each in arguments[1:]])
    try:
        crowd.open_all()
        crowd.serve()
    except OSError as error:
        say(failed=str(error))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The engine under any order of wishes, acks, losses and time: in the end the venue has exactly what is wanted,
and its limits were kept."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server
from cryptodash.testing.venue import LIMITS, PERPETUAL, SPOT, MadeUpVenue, make_catalogue

NAMES = [f"C{number}-USDT" for number in range(8)]
TOPICS = [
    f"spot:{name}:{channel}"
    for name in NAMES
    for channel in ("trade", "ticker", "candle:1m", "order_book:5", "order_book:20")
]
TOPICS += [f"perpetual:{name}:order_book:{depth}" for name in NAMES[:3] for depth in (5, 50)]
PARTS = {"trade": ("trade",), "ticker": ("quote", "day"), "candle": ("candle",), "order_book": ("book",)}
topics = st.lists(st.sampled_from(TOPICS), max_size=6)


class Churn(RuleBasedStateMachine):
    """A venue that answers when it likes, refuses one name, and drops connections."""

    def __init__(self) -> None:
        super().__init__()
        limits = evolve(LIMITS, streams=7, max_connections=8, connects=(Rate(10_000, 300.0), Rate(1, 0.1)))
        self.bench = Bench(MadeUpVenue(limits), make_catalogue(*NAMES), obedient=False)
        self.bench.refused = {"trade:C7USDT"}
        self.wanted: set[str] = set()
        self.update = 10
        self.frames: Counter[str] = Counter()

    @rule(names=topics)
    def want(self, names: list[str]) -> None:
        self.wanted.update(names)
        self.bench.want(*names)

    @rule(names=topics)
    def drop(self, names: list[str]) -> None:
        self.wanted.difference_update(names)
        self.bench.drop(*names)

    @rule()
    def drop_everything(self) -> None:
        self.drop(sorted(self.wanted))

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.3, 1.0, 4.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.bench.advance(seconds)

    @rule(index=st.integers(0, 20), kind=st.sampled_from(["open", "ack", "close", "refuse", "frame", "restart"]))
    def venue_does(self, index: int, kind: str) -> None:
        servers = list(self.bench.servers.values())
        if servers:
            self._do(servers[index % len(servers)], kind)

    def _do(self, server: Server, kind: str) -> None:
        if kind == "close":
            self.bench.close(server, Closed("remote"))
        elif not server.opened:
            if kind == "refuse":
                self.bench.close(server, Closed("tcp"))
            elif kind == "open":
                self.bench.open(server)
        elif kind == "ack":
            self.bench.ack(server)
        elif kind == "restart":
            self.bench.frame(wire.restarting(), server)
        elif kind == "frame":
            self._send(server)

    def _send(self, server: Server) -> None:
        self.update += 1
        for name in sorted(server.streams):
            kind, _, native = name.partition(":")
            if kind == "trade":
                self.bench.frame(wire.trade(native, self.update, "100", self.bench.wall), server)
            elif kind == "quote":
                self.bench.frame(wire.quote(native, "99", "101", self.update), server)
            elif kind == "day":
                self.bench.frame(wire.day(native, "100", self.bench.wall), server)
            elif kind.startswith("book"):
                self.frames[name] += 1
                snapshot = kind != "book" and self.frames[name] % 5 == 0
                self.bench.frame(
                    wire.book(name, self.update, self.update, {"99": "1"}, {"101": "1"}, snapshot=snapshot), server
                )

    @invariant()
    def limits_are_kept(self) -> None:
        for server in self.bench.servers.values():
            assert len(server.streams) <= 7
            times = [at for at, _ in server.sent]
            assert all(later - earlier >= 0.25 - 1e-9 for earlier, later in pairwise(times))
            assert all(len(request.get("args", ())) <= 3 for _, request in server.sent)  # type: ignore[arg-type]

    def teardown(self) -> None:
        """Let the venue obey from now on: everything wanted is subscribed, and nothing else."""
        bench = self.bench
        bench.obedient = True
        for second in range(200):
            for server in list(bench.servers.values()):
                if server.key in bench.servers and not server.opened:
                    bench.open(server)
                if server.key in bench.servers:
                    bench.ack(server)
                if server.key in bench.servers:
                    self._send(server)
            bench.advance(1)
            if second in (5, 100):  # what was rejected for want of an answer gets another chance
                bench.list_again(SPOT)
                bench.list_again(PERPETUAL)
        expected = self.streams_wanted()
        rejected = {name for name in expected if name.startswith("trade")} - bench.subscribed()
        assert bench.subscribed() | rejected == expected
        assert all(bench.status(f"spot:{name[6:-4]}-USDT:trade").state == "closed" for name in rejected)
        carried = [name for server in bench.servers.values() for name in server.streams]
        assert len(carried) == len(set(carried))
        if not self.wanted:
            assert bench.engine.deadline() is None
            assert not bench.servers

    def streams_wanted(self) -> set[str]:
        names = set()
        for text in self.wanted:
            market, symbol, channel, *_ = text.split(":")
            native = symbol.replace("-", "")
            if market == "perpetual":
                tier = 50 if f"{market}:{symbol}:{channel}:50" in self.wanted else 5
                names.add(f"book{tier}:{native}")
            else:
                names.update(f"{part}:{native}" for part in PARTS[channel])
        return names


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)

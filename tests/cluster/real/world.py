"""Several server processes that are one server by a real Redis, each behind a proxy of its own, on simulated exchanges
whose past is written down, with a client at each process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThread

from cryptodash.core.time import SystemClock
from cryptodash.simulator.server import Simulator
from tests.chaos.record import Record
from tests.cluster.real.judge import Judgement, judge
from tests.cluster.real.redis_server import RedisServer
from tests.cluster.real.resp_proxy import RespProxy
from tests.cluster.real.watcher import Watcher
from tests.processes import Process, get, get_text

EXCHANGES: Final = ("binance", "bybit")
START_S: Final = 60.0
"""What a start may take where the machine does other things as well."""
_EXCEPTION = re.compile(r"Traceback|Unhandled|Exception|[a-z] failed\b")
_PORT = re.compile(r"cryptodash.service#info. listening on .*:(\d+)")


def places_of(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """The instruments of channels."""
    split = (each.split(":") for each in names)
    return list(dict.fromkeys((exchange, market, symbol) for exchange, market, symbol, *_ in split))


class ServerProcess:
    """One process: started, ended, and started again on the same port."""

    def __init__(self, number: int, proxy: RespProxy, begin: Callable[[int], Process]) -> None:
        self.number, self.proxy, self._begin = number, proxy, begin
        self.port = 0
        self.name = ""
        """What it calls itself in the cluster."""
        self.is_running = False
        self.lines: list[str] = []
        self.process: Process

    def start(self) -> None:
        self.process = self._begin(self.port)
        self.is_running = True

    def found_port(self) -> bool:
        """Whether it has said where it listens."""
        found = next((match for each in self.process.lines if (match := _PORT.search(each))), None)
        if found is not None:
            self.port = int(found[1])
        return found is not None

    def signal(self, number: int) -> None:
        self.process.signal(number)

    def ended(self, seconds: float) -> int:
        """Its exit code; what it said is kept."""
        code = self.process.ended(seconds)
        self.is_running = False
        self.lines += self.process.lines
        return code

    def all_lines(self) -> list[str]:
        """What it has said, also before it was started again."""
        return [*self.lines, *(self.process.lines if self.is_running else ())]

    def exceptions(self) -> list[str]:
        """What it logged that nobody expects, with what follows it."""
        lines = self.all_lines()
        at = [index for index, line in enumerate(lines) if _EXCEPTION.search(line)]
        return [f"process {self.number}: " + " | ".join(lines[index : index + 12]) for index in at[:5]]


class World:
    """``names`` are the channels that each client has, ``settings`` those of each process, which runs in ``folder``."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        redis_program: str,
        started: list[Any],
        names: Sequence[str],
        count: int = 3,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.reactor, self.names, self.folder = reactor, names, folder
        self._started, self._settings = started, settings or {}
        self.redis = RedisServer(redis_program, folder)
        started.append(self.redis)
        self.simulator = Simulator(reactor, SystemClock(), exchanges=EXCHANGES, record=True)
        self.simulator.startService()
        self.record = Record(reactor)
        for place in places_of(names):
            self.record.add(place, self.simulator.truth)
        self.record.follow(self.simulator.hosts.values())
        self.processes: list[ServerProcess] = []
        for number in range(count):
            proxy = RespProxy(reactor, self.redis.port)
            self.processes.append(ServerProcess(number, proxy, self._beginner(proxy)))
        self.watchers: list[Watcher] = []
        self.notes: list[str] = []
        """What a fault has measured."""
        self.storm = 0.0
        """How many times as much was published during a fault as before it."""

    def _beginner(self, proxy: RespProxy) -> Callable[[int], Process]:
        def begin(port: int) -> Process:
            return self.begin_process(proxy, port)

        return begin

    def begin_process(self, proxy: RespProxy, port: int = 0, *, is_demo: bool = False, **other: str) -> Process:
        """A server process behind that proxy; not waited for. A demo has exchanges of its own."""
        urls = {
            f"{exchange.upper()}{'' if market.value == 'spot' else '_PERPETUAL'}_{kind}_URL": url
            for (exchange, market), both in self.simulator.base_urls.items()
            for kind, url in zip(("WS", "REST"), both, strict=True)
        }
        settings = {
            "ENABLE_REDIS": "true",
            "REDIS_URL": f"redis://127.0.0.1:{proxy.port}",
            "EXCHANGES": ",".join(EXCHANGES),
            **({} if is_demo else urls),
            **self._settings,
            **other,
        }
        address = f"127.0.0.1:{port}"
        words = ("-n", "--pidfile=", "cryptodash", "run", "--bind-addr", address)
        process = Process(*words, cwd=self.folder, **settings)
        self._started.append(process)
        return process

    # -- time

    async def sleep(self, seconds: float) -> None:
        """How long a fault lasts."""
        over: Deferred[None] = Deferred()
        self.reactor.callLater(seconds, over.callback, None)
        await over

    async def until(self, true: Callable[[], Any], seconds: float, what: Callable[[], object] = lambda: "") -> float:
        """How long it took until that was so; ``AssertionError`` after the time."""
        begun = self.reactor.seconds()
        while not true():
            assert self.reactor.seconds() - begun < seconds, f"not so after {seconds} s: {what()}"
            await self.sleep(0.02)
        return float(self.reactor.seconds() - begun)

    # -- processes

    async def start(self, processes: Sequence[ServerProcess]) -> None:
        """Start them, and wait until each takes part."""
        for each in processes:
            each.start()
        for each in processes:
            await self.until(each.found_port, START_S, lambda each=each: each.process.lines)
            while True:
                _, ready = await self.ready(each)
                cache = ready["dependencies"]["cache"]
                if cache["status"] == "ok":
                    each.name = cache["process"]
                    break
                await self.sleep(0.1)
        await self.until(lambda: all(self.holders()), START_S, self.holders)

    async def ready(self, process: ServerProcess) -> tuple[int, Any]:
        return await deferToThread(get, process.port, "/ready")

    async def metrics(self, process: ServerProcess) -> dict[str, float]:
        """The sum over exchanges of each metric of the cluster, as the process has it: what it answers is of all."""
        found: dict[str, float] = {}
        for line in (await deferToThread(get_text, process.port, "/metrics")).splitlines():
            if line.startswith("cryptodash_cluster_") and f'process="{process.name}' in line:
                name, value = line.rsplit(" ", 1)
                name = name.partition("{")[0].removeprefix("cryptodash_cluster_")
                found[name] = found.get(name, 0.0) + float(value)
        return found

    def holders(self) -> list[ServerProcess | None]:
        """Who has each exchange open, as it stands in Redis."""
        tokens = [self.redis.command("GET", f"cryptodash:lease:{each}") for each in EXCHANGES]
        names = ["" if each is None else each.decode().rpartition(":")[0] for each in tokens]
        return [next((each for each in self.processes if each.name and each.name == name), None) for name in names]

    def fences(self) -> list[int]:
        tokens = [self.redis.command("GET", f"cryptodash:lease:{each}") for each in EXCHANGES]
        return [0 if each is None else int(each.decode().rpartition(":")[2]) for each in tokens]

    @property
    def running(self) -> list[ServerProcess]:
        return [each for each in self.processes if each.is_running]

    async def repair(self) -> None:
        """What an earlier test has killed is there again."""
        if not self.redis.is_running:
            self.redis.start()
        await self.start([each for each in self.processes if not each.is_running])

    # -- clients

    async def watch(self, names: Sequence[str] | None = None) -> list[Watcher]:
        """New clients, one at each process, whose channels are all good when they are handed over."""
        self.forget()
        for each in self.processes:
            self.watchers.append(Watcher(f"client {each.number}", self.reactor, each.port, names or self.names))
        for watcher in self.watchers:
            watcher.begin_watching()
        await self.until(lambda: not self.bad(), START_S, lambda: self.bad()[:10])
        return self.watchers

    def bad(self, *without: ServerProcess) -> list[str]:
        """Channels of clients that are not good; ``without`` those of these processes, and of those that have ended."""
        return [
            f"{watcher.plan.name} {name} {watcher.states.get(name)}"
            for process, watcher in zip(self.processes, self.watchers, strict=True)
            if process.is_running and process not in without
            for name in watcher.not_good()
        ]

    def good_since(self, kind: str = "", without: ServerProcess | None = None) -> float:
        """Since when all channels (of that kind) are good; ``without`` those of that process."""
        return max(
            at
            for process, watcher in zip(self.processes, self.watchers, strict=True)
            if process.is_running and process is not without
            for name, at in watcher.good_since.items()
            if kind in name
        )

    def slowest(self, since: float) -> str:
        """The channel that was good again last, and all it was told that it is not since then."""
        found = [
            (at, watcher.plan.name, name, watcher.bad_after(since).get(name))
            for process, watcher in zip(self.processes, self.watchers, strict=True)
            if process.is_running
            for name, at in watcher.good_since.items()
        ]
        _, client, name, told = max(found)
        return f"last {name} of {client}: {told}"

    async def streams(self, process: ServerProcess, exchange: str) -> list[Any]:
        """What the ledger of the process has of the exchange's streams."""
        _, document = await deferToThread(get, process.port, "/api/quality")
        streams = [each for each in cast(list[Any], document["streams"]) if each["exchange"] == exchange]
        return [each for each in streams if each["process"] == process.name]

    def judged(self) -> Judgement:
        """What clients were shown until now."""
        for each in self.record.recorders.values():
            each.finish()
        # Copies: what the judges remember of a tape is of its length then.
        tapes = {place: evolve(each.tape) for place, each in self.record.recorders.items()}
        return judge(self.watchers, tapes, len(self.processes), self.reactor.seconds())

    def exceptions(self) -> list[str]:
        """What went wrong in the processes, and limits of the venues that were broken."""
        said = [line for each in self.processes for line in each.exceptions()]
        return said + [str(each) for each in self.simulator.ledger.violations]

    def forget(self) -> None:
        for each in self.watchers:
            each.stop()
        self.watchers = []

    async def stop(self) -> None:
        self.forget()
        for each in self.processes:
            await maybeDeferred(each.proxy.stop)
        await maybeDeferred(self.simulator.stopService)

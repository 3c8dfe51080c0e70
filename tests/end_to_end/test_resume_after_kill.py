"""Real processes: a server that records is killed and started again, and its clients go on by their cursors: every
trade that is on the tape once, and one gap for the time in which nobody was there."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Awaitable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cryptodash.client import Client, Gap, Trade
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import MESSAGE
from tests.processes import Process, all_ended

TRADES = "binance:spot:BTC-USDT:trade"
T = TypeVar("T")


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def free_ports(count: int) -> int:
    """The first of so many that follow each other."""
    for first in range(23_000, 60_000, 7 * count):
        try:
            for port in range(first, first + count):
                with closing(socket.socket()) as tried:
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


class Crashing:
    """The server of the test: the same address and the same tapes each time."""

    def __init__(self, folder: Path, processes: list[Process]) -> None:
        self._folder, self._processes = folder, processes
        first = free_ports(4)
        self.port = first + 3
        words = ("simulate", "--exchanges", "binance", "--port", str(first), "--control-port", str(first + 2))
        processes.append(Process("-n", "--pidfile=", "cryptodash", *words, cwd=folder))
        processes[0].line("start faults with")
        self._venue = {
            name: f"{scheme}://127.0.0.1:{port}"
            for name, scheme, port in (
                ("BINANCE_WS_URL", "ws", first),
                ("BINANCE_REST_URL", "http", first),
                ("BINANCE_PERPETUAL_WS_URL", "ws", first + 1),
                ("BINANCE_PERPETUAL_REST_URL", "http", first + 1),
            )
        }

    def start(self) -> None:
        words = ("--exchanges", "binance", "--bind-addr", f"127.0.0.1:{self.port}")
        record = ("--record-dir", "tapes", "--record", "trade:binance:spot:BTC-USDT")
        self.process = Process(
            *("-n", "--pidfile=", "cryptodash", "run", *words, *record), cwd=self._folder, **self._venue
        )
        self._processes.append(self.process)
        self.process.port()

    def kill(self) -> None:
        self.process.signal(signal.SIGKILL)
        self.process.ended(5)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def recorded(self) -> list[str]:
        """The ids of all trades on the tape, each once, in order."""
        with Recording(self._folder / "tapes") as recording:
            bodies = [
                json.loads(each.body)
                for each in recording.read(0, 10**17, [TRADES], keyframes=False)
                if getattr(each, "kind", None) == MESSAGE
            ]
        return list(dict.fromkeys(each["payload"]["id"] for each in bodies if each["type"] == "trade"))


def within(work: Awaitable[T], seconds: float) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


async def some(stream: Any, seconds: float) -> list[Trade | Gap]:
    """What comes of a stream in so many seconds."""
    found: list[Trade | Gap] = []
    try:
        async with asyncio.timeout(seconds):
            async for each in stream:
                found.append(each)
    except TimeoutError:
        pass
    return found


def test_cursors_survive_a_kill(tmp_path: Path, processes: list[Process]) -> None:
    server = Crashing(tmp_path, processes)
    server.start()

    async def before() -> list[Trade]:
        async with Client(server.url) as client:
            found = await some(client.trades("binance", "spot", "BTC-USDT"), 8.0)
        return [each for each in found if isinstance(each, Trade) and not each.replayed]

    seen: list[Trade] = within(before(), 30)
    assert len(seen) > 10
    server.kill()
    signal.sigtimedwait([], 2.5)
    server.start()

    async def after(cursor: str | None) -> list[Trade | Gap]:
        async with Client(server.url) as client:
            return await some(client.trades("binance", "spot", "BTC-USDT", since=cursor), 8.0)

    recorded = server.recorded()
    early = [each for each in seen if each.id in recorded][2]
    found = within(after(early.cursor), 30)
    got = [each.id for each in found if isinstance(each, Trade)]
    gaps = [each for each in found if isinstance(each, Gap)]
    assert len(set(got)) == len(got)
    assert [each.reason for each in gaps] == ["recording"] and gaps[0].begin and gaps[0].end and gaps[0].missed is None
    place = found.index(gaps[0])
    old = [each.id for each in found[:place] if isinstance(each, Trade)]
    expected = [each.id for each in seen[seen.index(early) + 1 :]]
    assert old == expected[: len(old)] and len(old) >= len(expected) - 60, "all but what the kill tore off"
    recorded = server.recorded()  # once more: it goes on
    behind = recorded[recorded.index(early.id) + 1 :]
    until = got[-1] if got[-1] in behind else behind[-1]
    assert [each for each in behind[: behind.index(until) + 1] if each not in got] == [], "all that is on the tape"

    first = within(after(seen[0].cursor), 30)  # perhaps of before the topic was recorded
    assert {each.id for each in first if isinstance(each, Trade)} >= set(behind[: behind.index(until) + 1])

    torn = within(after(seen[-1].cursor), 30)
    assert isinstance(torn[0], Gap) and torn[0].reason == "recording", "the last ones were not written yet"
    assert seen[-1].id not in [each.id for each in torn if isinstance(each, Trade)]


def test_the_client_library_goes_on_over_a_restart(tmp_path: Path, processes: list[Process]) -> None:
    server = Crashing(tmp_path, processes)
    server.start()

    async def work() -> list[Trade | Gap]:
        async with Client(server.url) as client:
            stream = client.trades("binance", "spot", "BTC-USDT")
            found = await some(stream, 7.0)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(1.0)
            await asyncio.to_thread(server.start)
            return found + await some(stream, 14.0)

    found = within(work(), 60)
    ids = [int(each.id) for each in found if isinstance(each, Trade)]
    (gap,) = [each for each in found if isinstance(each, Gap)]
    place = found.index(gap)
    before = [int(each.id) for each in found[:place] if isinstance(each, Trade)]
    after = [int(each.id) for each in found[place:] if isinstance(each, Trade)]
    assert gap.reason == "recording" and len(before) > 10 and len(after) > 10
    assert len(set(ids)) == len(ids)
    assert after == list(range(after[0], after[0] + len(after))), "after the gap none is missing"
    assert before == list(range(before[0], before[0] + len(before)))

"""A disk that really fails, below real processes (``failing_disk.c`` by ``LD_PRELOAD``): clients notice nothing,
recording says so and comes back, and what is missing is told as a hole."""

from __future__ import annotations

import base64
import bisect
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from struct import unpack
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import STEP
from cryptodash.recording.segment import Segment
from cryptodash.recording.verify import verify
from tests.processes import Process, all_ended, get, get_text, run
from tests.recording.failing_disk import Shim, compiled

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000
ALL = 2**61


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on a disk that is never slow by itself, where there is one: what may be lost is a matter of time."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as directory:
        yield Path(directory)


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def until(what: Callable[[], object], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it has not come to that"
        signal.sigtimedwait([], 0.2)


class Listener(threading.Thread):
    """A client of trades on a socket of its own."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.messages: list[tuple[float, dict[str, Any]]] = []
        self.ended = False
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        )
        self._socket.sendall(f"{head}Sec-WebSocket-Version: 13\r\n\r\n".encode())
        self._file = self._socket.makefile("rb")
        while self._file.readline() not in (b"\r\n", b""):
            pass
        channel = '{"channel_type":"trade","exchange":"binance","symbol":"BTC-USDT"}'
        payload = f'{{"op":"subscribe","channels":[{channel}]}}'.encode()
        assert len(payload) < 126
        self._socket.sendall(bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload)

    def run(self) -> None:
        with suppress(ConnectionError):  # the server ends first where it is faster than we are
            self._listen()
        self.ended = True

    def _listen(self) -> None:
        while True:
            head = self._file.read(2)
            if len(head) < 2 or head[0] & 0x0F == 8:
                return
            size = head[1] & 0x7F
            if size >= 126:
                (size,) = unpack("!H" if size == 126 else "!Q", self._file.read(2 if size == 126 else 8))
            data = self._file.read(size)
            if head[0] & 0x0F == 9:
                self._socket.sendall(bytes((0x8A, 0x80 | len(data))) + bytes(4) + data)
            elif head[0] & 0x0F == 1:
                self.messages.append((time.monotonic(), json.loads(data)))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._file.close()
        self._socket.close()

    def judge(self) -> str:
        """Nothing was lost, late, or said to be wrong; the trades that came."""
        assert not self.ended, "the connection was closed"
        kinds = {message["type"] for _, message in self.messages}
        assert kinds <= {"info", "status", "trade"}, kinds
        states = {each["payload"]["state"] for _, each in self.messages if each["type"] == "status"}
        assert states <= {"connecting", "live", "quiet"}, states
        trades = [(at, int(each["payload"]["id"])) for at, each in self.messages if each["type"] == "trade"]
        ids = [number for _, number in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids))), "each trade once, in order"
        pause = max(after - before for (before, _), (after, _) in pairwise(trades))
        assert pause < 5.0, f"{pause:.1f} s without a trade"
        return f"{len(ids)} trades, {pause:.2f} s between two at most"


def recording_of(port: int) -> dict[str, Any]:
    status, ready = get(port, "/ready")
    assert status == 200, ready
    found: dict[str, Any] = ready["dependencies"]["recording"]  # type: ignore[index]
    return found


E = errno
FAULTS = {
    "writing fails": (f"write {E.EIO}",),
    "half is written and then it fails": (f"half {E.EIO}",),
    "a sync fails, and again": (f"sync {E.EIO}",),
    "the disk is read-only": (f"write {E.EROFS}", f"open {E.EROFS}"),
    "nothing can be opened": (f"write {E.EIO}", f"open {E.EMFILE}"),
}


FULL = {"the disk is full": (f"half {E.ENOSPC}",), "the disk is nearly full": ("free 1000000",)}
"""Tried again after a minute."""


def test_a_server_whose_disk_fails_again_and_again(
    library: Path, tmp_path: Path, processes: list[Process], long: bool, record_property: pytest.RecordProperty
) -> None:
    """One fault after the other, in a server with a client: it records again within seconds after each."""
    shim = Shim(library, tmp_path)
    server = Process(
        *("-n", "--pidfile=", "cryptodash", "run", "--demo", "--exchanges", "binance", "--bind-addr", "127.0.0.1:0"),
        *("--record-dir", "tapes"),
        cwd=tmp_path,
        **shim.environment,
    )
    processes.append(server)
    port = server.port()
    client = Listener(port)
    client.start()
    until(lambda: any(each["type"] == "trade" for _, each in client.messages))
    until(lambda: recording_of(port)["topics"] == 1)
    tried = FAULTS | FULL if long else FAULTS
    for name, faults in tried.items():
        before = sum("recording has stopped: " in line for line in server.lines)
        shim.set(*faults)
        until(lambda: recording_of(port)["status"] == "degraded")
        assert any(" 0" in each for each in get_text(port, "/metrics").splitlines() if "recording_ok{" in each), name
        shim.set()
        until(lambda: recording_of(port)["status"] == "ok", 100)
        assert sum("recording has stopped: " in line for line in server.lines) > before, name
    shim.set("short 1000")  # no error: a write may take less than all
    signal.sigtimedwait([], 3.0)
    assert recording_of(port)["status"] == "ok"
    shim.set()
    said = client.judge()
    client.close()
    server.signal(signal.SIGTERM)
    assert server.ended(6) == 0
    done = run("cryptodash", "tape", "verify", "tapes", cwd=tmp_path)
    assert done.returncode == 0, done
    assert done.stdout.count(" disk (") >= len(tried), done.stdout
    record_property("measured", f"a disk that fails {len(tried)} times, a client beside it: {said}")


class Recorder:
    """``recorder_process.py`` below the shim."""

    def __init__(self, shim: Shim, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("recorder_process.py")), str(root)],
            cwd=ROOT,
            env={**os.environ, **shim.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.made: list[int] = []

    def run(self, seconds: float) -> None:
        """It says when each ten milliseconds' records were made."""
        assert self._process.stdout is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._note(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        for line in self._process.communicate(timeout=30)[0].splitlines():
            self._note(line)

    def _note(self, line: str) -> None:
        if re.fullmatch(r"\d+ \d{16}", line.strip()):
            self.made.append(int(line.split()[1]))


def judge(root: Path, made: list[int], *, most_lost: float) -> tuple[list[Missing], float]:
    """What was made is there, or in a hole, or within so many seconds of the end; (holes, seconds that the end
    lacks)."""
    assert verify(root).errors == []
    with Recording(root) as recording:
        found = list(recording.read(0, ALL))
    there = [each.time for each in found if isinstance(each, Entry)]
    holes = [each for each in found if isinstance(each, Missing)]
    last = max(there, default=made[0])
    for each in made:
        near = any(
            abs(time - each) < SECOND // 4 for time in (there[max(0, bisect.bisect_left(there, each) - 1) :][:2])
        )
        if not near and not any(hole.begin <= each <= hole.end for hole in holes):
            assert each >= last and (made[-1] - each) / SECOND < most_lost, "lost, and nothing says so"
    return holes, max(0.0, (made[-1] - last) / SECOND)


SEEDS = (4, 20)


def test_a_loss_of_power_costs_a_real_process_five_seconds(
    library: Path, memory: Path, long: bool, record_property: pytest.RecordProperty
) -> None:
    """Killed at a random moment; then what it had not synced is gone, or a part of it, or zeros."""
    most, taken, said = 0.0, 0, 0
    for seed in range(SEEDS[long]):
        random, directory = Random(seed), memory / str(seed)
        directory.mkdir()
        shim, root = Shim(library, directory), directory / "tapes"
        recorder = Recorder(shim, root)
        recorder.run(random.uniform(1.0, 6.0))
        recorder.kill()
        taken += shim.lose_power(root, random)
        if (verify(root).blocks if list(root.glob("*/*/*.tape")) else 0) == 0:
            assert (recorder.made[-1] - recorder.made[0]) / SECOND <= 5
            continue
        _, lost = judge(root, recorder.made, most_lost=5.0)
        most = max(most, lost)
        again = Recorder(shim, root)  # the next run cuts the torn end, and says so
        again.run(3.0)
        again.kill()
        holes, lost = judge(root, again.made, most_lost=5.0)
        if lost < (again.made[-1] - again.made[0]) / SECOND - 0.1:  # it wrote something before it was killed
            assert {"torn", "stopped"} <= {each.reason for each in holes}
            most, said = max(most, lost), said + 1
        assert all(each.end - each.begin <= 5 * SECOND for each in holes if each.reason == "torn")
    assert taken and said > SEEDS[long] // 2, "hardly anything was ever unsynced, or told"
    record_property("measured", f"{SEEDS[long]} losses of power, {taken} bytes unsynced: {most:.2f} s lost at most")


def test_a_sync_that_fails_once_and_then_lies_loses_nothing_without_a_word(library: Path, memory: Path) -> None:
    """The kernel drops what it could not write, and the next sync of the same file says that all is well."""
    shim, root = Shim(library, memory), memory / "tapes"
    recorder = Recorder(shim, root)
    recorder.run(4.0)
    shim.set(f"once {E.EIO}")
    recorder.run(8.0)
    recorder.kill()
    holes, _ = judge(root, recorder.made, most_lost=5.0)
    assert [each.reason for each in holes] == ["disk"]
    assert len(list(root.glob("*/*/*.tape"))) == 2, "the file whose sync failed is never written again"


def test_a_wall_clock_that_is_set_moves_nothing(library: Path, memory: Path) -> None:
    shim, root = Shim(library, memory), memory / "tapes"
    recorder = Recorder(shim, root)
    for offset in (0, -7200, 90_000, 0):
        shim.set(f"clock {offset}")
        recorder.run(2.5)
    recorder.kill()
    holes, _ = judge(root, recorder.made, most_lost=5.0)
    assert holes == []
    with Recording(root) as recording:
        times = [each.time for each in recording.read(0, ALL) if isinstance(each, Entry)]
    assert times == sorted(times) and times[-1] - times[0] < 14 * SECOND
    (path,) = root.glob("*/*/*.tape")
    assert _steps(path) == 3


def _steps(path: Path) -> int:
    segment = Segment.open(path)
    try:
        return sum(kind == STEP for block in segment.index.blocks for kind, *_ in segment.records(block)[1])
    finally:
        segment.close()

"""The recorder as a whole, on a clock of the test: what it looks at each second, and what it says of itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from cryptodash.core.config import Config
from cryptodash.core.instruments import MarketType
from cryptodash.core.record_patterns import HELD
from cryptodash.core.tally import Gauge, Tally
from cryptodash.core.time import ManualClock
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.recording import records
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.layout import FRAMES, MESSAGES
from cryptodash.recording.recording import Recording
from cryptodash.recording.segment import Segment
from cryptodash.recording.service import Recorder
from cryptodash.recording.sorter import Sorter, Spawn
from cryptodash.recording.verify import verify

ALL = 2**61


class Reactor(Clock):
    """Timers of the test, and what another thread wants done, which the test does."""

    def __init__(self) -> None:
        super().__init__()
        self.from_thread: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[[], object]) -> None:
        self.from_thread.append(call)


class World:
    def __init__(
        self, root: Path, keep: dict[str, int] | None = None, start: float = 0.0, spawn: Spawn | None = None
    ) -> None:
        self.root = root
        self.reactor, self.clock, self.tally = Reactor(), ManualClock(), Tally()
        self.clock.advance(start)
        hub = Broadcaster(Config(), self.clock, self.reactor, Tally())
        self.recorder = Recorder(
            root,
            keep or {MESSAGES: 2**30, FRAMES: 2**30},
            (HELD,),
            (hub, hub, hub),
            lambda _: True,
            self.reactor,
            self.clock,
            Random(start),
            self.tally,
            least_free=0,
            spawn=spawn,
        )
        self.recorder.startService()

    def seconds(self, count: int) -> None:
        """Time passes, and the writer's thread keeps up with it."""
        for _ in range(count):
            self.clock.advance(1)
            self.reactor.advance(1)
            self.settle()

    def settle(self) -> None:
        end = time.monotonic() + 20
        while self.recorder._queue.bytes:
            assert time.monotonic() < end
            self.recorder._thread.join(0.01)  # type: ignore[union-attr]

    def stop(self) -> None:
        ended = self.recorder.stopService()
        assert self.recorder._thread is not None
        self.recorder._thread.join(20)
        for call in self.reactor.from_thread:
            call()
        assert ended.called and self.reactor.getDelayedCalls() == []

    def gauge(self, name: str) -> dict[tuple[str, ...], float]:
        found = self.tally.metrics[f"cryptodash_recording_{name}"]
        assert isinstance(found, Gauge)
        return dict(found.read())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "tapes")
    yield made
    if made.recorder.running:
        made.stop()


def read(root: Path, tape: str = MESSAGES) -> list[Entry | Missing]:
    with Recording(root, tape) as recording:
        return list(recording.read(0, ALL))


def test_both_tapes_are_written_each_second_and_end_whole(world: World) -> None:
    tap = world.recorder.tap("binance")
    assert tap is not None
    tap.connecting("binance-1", MarketType.SPOT, "wss://h")
    for number in range(5):
        tap.received("binance-1", [b"%d" % number])
        world.seconds(1)
    assert verify(world.root).errors == []
    world.stop()
    verdict = verify(world.root)
    assert (verdict.tapes, verdict.torn, verdict.errors) == (2, 0, [])
    bodies = [each.body for each in read(world.root, FRAMES) if isinstance(each, Entry) and each.kind == records.IN]
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
    assert world.gauge("ok") == {(MESSAGES,): 1.0, (FRAMES,): 1.0}
    assert world.gauge("written_bytes")[FRAMES,] > 0 and world.gauge("lost_blocks") == {(MESSAGES,): 0, (FRAMES,): 0}


def test_a_step_of_the_wall_clock_changes_no_time_on_the_tape(world: World) -> None:
    world.seconds(3)
    begun = world.recorder.now()
    world.clock.step(-7200)
    world.seconds(3)
    world.clock.step(+10_000)
    world.seconds(3)
    assert world.recorder.now() == begun + 6_000_000
    world.stop()
    assert verify(world.root).errors == []
    (path,) = world.root.glob("*/messages/*.tape")
    segment = Segment.open(path)
    found = [each for block in segment.index.blocks for each in segment.records(block)[1]]
    steps = [records.decode(body, records.Step).by_ms for kind, _, _, body in found if kind == records.STEP]
    times = [each[1] for each in found]
    segment.close()
    assert steps == [-7_200_000, 10_000_000] and times == sorted(times) and times[-1] - times[0] < 10_000_000


def test_a_process_that_stood_still_says_so(world: World) -> None:
    world.seconds(3)
    world.clock.advance(20)  # a suspended machine
    world.reactor.advance(1)
    world.settle()
    world.seconds(2)
    world.stop()
    holes = [each for each in read(world.root) if isinstance(each, Missing)]
    assert [each.reason for each in holes] == ["stalled"] and holes[0].end - holes[0].begin >= 20_000_000
    assert verify(world.root).errors == []


def test_a_deleted_directory_is_told_and_comes_back(world: World) -> None:
    world.seconds(5)
    assert world.recorder.report.trouble == ""
    shutil.rmtree(world.root)
    world.root.write_bytes(b"")
    world.seconds(6)
    report = world.recorder.report
    assert "File exists" in report.trouble or "Not a directory" in report.trouble
    assert report.lost_blocks > 0 and world.gauge("ok") == {(MESSAGES,): 0.0, (FRAMES,): 0.0}
    world.root.unlink()
    world.seconds(70)
    assert world.recorder.report.trouble == "" and world.gauge("ok") == {(MESSAGES,): 1.0, (FRAMES,): 1.0}
    world.stop()
    assert verify(world.root).errors == []
    assert [each.reason for each in read(world.root) if isinstance(each, Missing)] == ["disk"]


def test_a_tape_of_nothing_is_not_written(tmp_path: Path) -> None:
    world = World(tmp_path / "tapes", {MESSAGES: 2**30, FRAMES: 0})
    assert world.recorder.tap("binance") is None
    world.seconds(2)
    world.stop()
    assert {each.name for each in world.root.glob("*/*")} == {"lock", "messages"}


@pytest.mark.parametrize("later", [100.0, 3.1, 1.0, -50.0])
def test_a_second_run_goes_on_in_the_place_of_the_first(tmp_path: Path, later: float) -> None:
    """Also where the wall clock was set back in between: their times lie side by side then."""
    for start in (0.0, later):
        world = World(tmp_path / "tapes", start=start)
        world.seconds(3)
        world.stop()
    with Recording(tmp_path / "tapes") as recording:
        assert len(recording.spans) == 2
    assert {each.name for each in (tmp_path / "tapes").iterdir()} == {"writer-00"}
    assert verify(tmp_path / "tapes").errors == []


class Process:
    """One that sorts, until the test ends it."""

    def __init__(self) -> None:
        self.started: list[tuple[Any, Path]] = []
        self.killed = 0

    def __call__(self, protocol: Any, root: Path) -> Process:
        self.started.append((protocol, root))
        return self

    def signalProcess(self, name: str) -> None:
        self.killed += name == "KILL"

    def end(self, reason: Exception) -> None:
        self.started[-1][0].processEnded(Failure(reason))


def test_closed_segments_are_sorted_one_process_at_a_time(tmp_path: Path) -> None:
    """A minute after the start, for those of earlier runs, and after each segment."""
    process, now = Process(), [0.0]
    sorter = Sorter(tmp_path, process, lambda: now[0])
    sorter.look(1)
    assert process.started == []
    now[0] = 61.0
    for segment in (1, 1, 2, 2):
        sorter.look(segment)
    assert [root for _, root in process.started] == [tmp_path]
    process.end(ProcessDone(0))
    sorter.look(2)
    assert len(process.started) == 2
    process.started[-1][0].errReceived(b"Traceback\nOSError: no\n")
    with capturedLogs() as logs:
        process.end(ProcessTerminated(1))
    assert [each["why"] for each in logs] == ["OSError: no"]
    sorter.look(2)
    assert len(process.started) == 2, "what failed is tried again after the next segment"
    sorter.look(3)
    sorter.stop()
    process.end(ProcessTerminated(signal=9))
    sorter.look(4)
    assert len(process.started) == 3 and process.killed == 1


def test_the_recorder_starts_it_and_ends_it(tmp_path: Path) -> None:
    process = Process()
    world = World(tmp_path / "tapes", spawn=process)
    world.seconds(3)
    assert process.started == []
    world.clock.advance(60)
    world.seconds(2)
    assert [root for _, root in process.started] == [world.root]
    world.stop()
    assert process.killed == 1

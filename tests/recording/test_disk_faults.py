"""Whatever the disk does: every tape can be read and verified, what is lost is a hole, and recording comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from cryptodash.recording.draft import Source
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.files import TapeDirectory, WriterPlace
from cryptodash.recording.open_tape import OpenTape
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import MESSAGE, Run
from cryptodash.recording.tape_writer import TapeWriter
from cryptodash.recording.verify import verify
from tests.recording.disks import EIO, ENOSPC, EROFS, FailingDisk, ForgetfulDisk
from tests.recording.tapes import SECOND, START, TRADES, seconds_of_trades, write_run

ALL = 2 * START


class World:
    """A recorder's tape and its writer in one thread, on a clock of the test: ten records a second, handed over each
    second as the recorder does."""

    def __init__(
        self, directory: Callable[[], TapeDirectory], *, segment_bytes: int = 2**20, start: int = START
    ) -> None:
        self.now = 0.0
        self.start = start
        run = Run(os.urandom(16).hex(), start // 1000, "test")
        self.writer = TapeWriter(directory, run, lambda: self.now, segment_bytes=segment_bytes)
        self.tape = OpenTape(self.tape_time, self._put)
        self.source = Source(TRADES)
        self.told: list[int] = []

    def tape_time(self) -> int:
        return self.start + round(self.now * SECOND)

    def _put(self, block: object) -> bool:
        self.writer.write(block)  # type: ignore[arg-type]
        return True

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            for _ in range(10):
                self.now += 0.1
                self.tape.put(self.source, MESSAGE, b'{"type":"trade","payload":{"id":"%d"}}' % len(self.told))
                self.told.append(self.tape_time())
            self.tape.look()
            self.writer.tick()

    def close(self) -> None:
        self.tape.close_draft()
        self.writer.close()


def judge(root: Path, told: list[int], *, most_lost: float = 0.0) -> list[Missing]:
    """What was told is there, or within a hole; the tape is good. ``most_lost``: seconds that the end may lack."""
    verdict = verify(root)
    assert verdict.errors == []
    with Recording(root) as recording:
        assert recording.unreadable == []
        found = list(recording.read(0, ALL))
    there = {each.time for each in found if isinstance(each, Entry)}
    holes = [each for each in found if isinstance(each, Missing)]
    for time in told:
        if time not in there and not any(hole.begin <= time <= hole.end for hole in holes):
            assert told[-1] - time < most_lost * SECOND, f"{(told[-1] - time) / SECOND} s before the end"
    return holes


def disk_of(root: Path, **more: int) -> Callable[[], TapeDirectory]:
    return WriterPlace(root, "test", least_free=more.pop("least_free", 0)).tape("messages", 2**40, 2**20)


@pytest.mark.parametrize("what", ["write", "sync", "check", "create"])
@pytest.mark.parametrize("error", [EIO, ENOSPC, EROFS])
@pytest.mark.parametrize("half", [False, True])
def test_an_error_is_a_hole_and_recording_comes_back(tmp_path: Path, what: str, error: int, half: bool) -> None:
    disk = FailingDisk(disk_of(tmp_path), half_written=half)
    world = World(disk, segment_bytes=5_000)
    world.run(20)
    disk.fails[what] = error
    if what == "create":
        disk.fails["write"] = error
    world.run(30)
    assert world.writer.state.error and world.writer.state.lost_blocks > 10
    disk.fails.clear()
    world.run(80)  # a full disk is tried again each minute
    assert world.writer.state.error == "" and world.tape.lost_blocks == 0
    world.close()
    holes = judge(tmp_path, world.told)  # several, where something was written that was not synced
    assert {each.reason for each in holes} == {"disk"}
    assert holes[0].begin >= START + 16 * SECOND and holes[-1].end <= START + 115 * SECOND


def test_a_disk_that_fails_now_and_then_loses_nothing_without_a_word(tmp_path: Path) -> None:
    for seed in range(12):
        random, root = Random(seed), tmp_path / str(seed)
        disk = FailingDisk(disk_of(root), half_written=bool(seed % 2))
        world = World(disk, segment_bytes=3_000)
        for _ in range(25):
            disk.fails = {random.choice(["write", "sync", "check", "create"]): random.choice([EIO, ENOSPC])}
            if random.random() < 0.7:
                disk.fails = {}
            world.run(random.randint(1, 8))
        disk.fails = {}
        world.run(70)
        world.close()
        judge(root, world.told)


def test_a_first_sync_that_fails_may_leave_nothing_of_a_segment(tmp_path: Path) -> None:
    """The kernel drops what it could not write. The next segment tells; where nothing tells, it is an error."""
    disk = FailingDisk(disk_of(tmp_path))
    world = World(disk)
    disk.fails["sync"] = EIO
    world.run(1)
    disk.fails.clear()
    world.run(20)
    world.close()
    first, _ = sorted(tmp_path.glob("*/*/*.tape"))
    for left in (b"", bytes(300)):
        first.write_bytes(left)
        assert verify(tmp_path).errors == []
        with Recording(tmp_path) as recording:
            (hole,) = [each for each in recording.read(0, ALL) if isinstance(each, Missing)]
        assert hole.reason == "disk" and hole.begin <= world.told[0]
    (tmp_path / "closed").mkdir()
    write_run(tmp_path / "closed", seconds_of_trades(30), segment_bytes=1_000)
    middle = sorted((tmp_path / "closed").glob("*/*/*.tape"))[1]
    middle.write_bytes(b"")
    assert any("no hole tells" in each for each in verify(tmp_path / "closed").errors)


@pytest.mark.parametrize("again", [False, True])
def test_a_deleted_directory_is_noticed_and_made_again(tmp_path: Path, again: bool) -> None:
    root = tmp_path / "recordings"
    world = World(disk_of(root))
    world.run(10)
    shutil.rmtree(root)
    if again:  # somebody makes another one of that name
        root.mkdir()
    world.run(20)
    assert world.writer.state.failures == 1 and world.writer.state.error == ""
    world.close()
    (hole,) = judge(root, world.told[-150:])
    assert hole.reason == "disk" and hole.end < START + 15 * SECOND


def test_a_moved_directory_is_noticed(tmp_path: Path) -> None:
    world = World(disk_of(tmp_path / "recordings"))
    world.run(10)
    (tmp_path / "recordings").rename(tmp_path / "elsewhere")
    world.run(20)
    world.close()
    assert judge(tmp_path / "recordings", world.told[-150:])


def test_what_cannot_be_written_at_all_is_told_and_tried_again(tmp_path: Path) -> None:
    """A file stands where the directory has to be (root may write anywhere, so that a mode proves nothing)."""
    (tmp_path / "recordings").write_bytes(b"")
    world = World(disk_of(tmp_path / "recordings"))
    world.run(20)
    assert world.writer.state.error and world.writer.state.lost_blocks == 20
    (tmp_path / "recordings").unlink()
    world.run(60)
    world.close()
    (hole,) = judge(tmp_path / "recordings", world.told)
    assert hole.begin <= START + SECOND


def test_it_stops_while_a_gigabyte_is_free(tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    world = World(disk_of(tmp_path, least_free=2 * space.f_bavail * space.f_frsize))
    world.run(10)
    assert "are free on the disk" in world.writer.state.error
    assert list(tmp_path.glob("*/*/*.tape")) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_of_power_costs_five_seconds_at_most(tmp_path: Path, seed: int) -> None:
    """All that was not synced is lost, or partly, or zeros: the tape opens, and the next run says what is missing."""
    random = Random(seed)
    disk = ForgetfulDisk(tmp_path / "writer-00" / "messages", random)
    world = World(disk, segment_bytes=4_000)
    world.run(random.randint(5, 60))
    disk.lose_power()
    judge(tmp_path, world.told, most_lost=5.0)
    begun = START + 1000 * SECOND
    second = World(disk, start=begun)
    second.run(10)
    second.close()
    disk.lose_power()
    holes = judge(tmp_path, [*world.told, *second.told])
    assert [each.reason for each in holes][-2:] == ["torn", "stopped"]
    torn = holes[-2]
    assert torn.end - torn.begin <= 5 * SECOND and torn.end >= world.told[-1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    path = tmp_path / "small"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        if os.environ.get("CRYPTODASH_REQUIRE_MOUNT"):
            pytest.fail(f"CRYPTODASH_REQUIRE_MOUNT is set, and a tmpfs cannot be mounted: {done.stderr.strip()}")
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()[:100]}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


def test_a_full_disk_is_a_hole_until_there_is_room(small_disk: Path) -> None:
    world = World(disk_of(small_disk / "recordings"))
    filler = small_disk / "filler"
    world.run(10)
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(4096))
        except OSError as error:
            assert error.errno == ENOSPC
    world.run(200)
    assert "space" in world.writer.state.error
    filler.unlink()
    world.run(70)
    assert world.writer.state.error == ""
    world.close()
    (hole,) = judge(small_disk / "recordings", world.told)
    assert hole.reason == "disk"


def test_the_oldest_segments_go_first_and_the_quota_holds(tmp_path: Path) -> None:
    place = WriterPlace(tmp_path, "test", least_free=0)
    world = World(place.tape("messages", 40_000, 4_000), segment_bytes=4_000)
    world.run(300)
    world.close()
    files = sorted((tmp_path / "writer-00" / "messages").iterdir())
    assert sum(each.stat().st_size for each in files) <= 40_000 and files[0].name > "0000000010.tape"
    assert verify(tmp_path).errors == []
    with Recording(tmp_path) as recording:
        assert recording.spans[0].end == world.told[-1] and recording.spans[0].begin > START + 100 * SECOND

"""Closed segments of messages are sorted by topic: they say the same as before, one topic is read without the others,
and whenever the process is killed a good tape is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from cryptodash.recording import records, sorting
from cryptodash.recording.draft import Source
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.layout import SORTING
from cryptodash.recording.open_tape import OpenTape
from cryptodash.recording.playback import play, state_at
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import Run
from cryptodash.recording.segment import Segment
from cryptodash.recording.sorting import sort_all, sort_segment
from cryptodash.recording.tape_writer import Block, TapeWriter
from cryptodash.recording.verify import verify
from tests.recording.tapes import BOOK, SECOND, START, TICKER, TRADES, seconds_of_trades, trade, write_run

ROOT = Path(__file__).resolve().parents[2]
ALL = 2 * START
TOPICS = [TRADES, TICKER, BOOK, *(f"binance:spot:C{number:02d}-USDT:trade" for number in range(8))]


class Made:
    """A tape by a seed: topics that begin and end, books, keyframes, holes, long bodies, bursts of one moment."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random, self.root, self.now = Random(seed), root, 0.0
        place = WriterPlace(root, "test", least_free=0)
        self.writer = TapeWriter(
            place.tape("messages", 2**40, 2**20), Run(f"{seed:032x}", START // 1000, "test"), lambda: self.now,
            segment_bytes=12_000,
        )  # fmt: skip
        self.tape = OpenTape(self.time, self._put)
        self.loses = False
        self.sources = {name: Source(name) for name in TOPICS}
        self.recorded: set[str] = set()
        self.sequence = 0
        for _ in range(self.random.randint(60, 240)):
            self._second()
        self.tape.close_draft()
        self.writer.close()
        place.release()

    def time(self) -> int:
        return START + round(self.now * SECOND)

    def _put(self, block: Block) -> bool:
        if not self.loses:
            self.writer.write(block)
        return not self.loses

    def _second(self) -> None:
        random = self.random
        self.loses = random.random() < 0.03
        for _ in range(random.randint(0, 12)):
            self.now += random.choice((0.0, 0.0, 0.07))
            name = random.choice(TOPICS)
            source = self.sources[name]
            if name not in self.recorded:
                self.recorded.add(name)
                self.tape.put(source, records.BEGIN, b"")
                self._value(name, records.KEYFRAME, snapshot=True)
            elif random.random() < 0.03:
                self.recorded.discard(name)
                self.tape.put(source, records.END, b"")
            else:
                is_keyframe = random.random() < 0.1
                self._value(name, records.KEYFRAME if is_keyframe else records.MESSAGE, snapshot=is_keyframe)
        self.now += random.choice((0.5, 1.0, 1.0, 2.0))
        if random.random() < 0.02:
            self.tape.stalled(self.time() - SECOND)
        self.tape.look()
        self.writer.tick()

    def _value(self, name: str, kind: int, *, snapshot: bool) -> None:
        random, put = self.random, self.tape.put
        if random.random() < 0.2:
            put(self.sources[name], kind, b'{"type":"status","payload":{"state":"live","n":%d}}' % random.randrange(99))
        if name != BOOK:
            body = b'{"type":"%s","payload":{"symbol":{"base":"A"},"x":%d%s}}'
            pad = b"0" * random.choice((0, 10, 3_000, 30_000, 300_000 if random.random() < 0.05 else 5))
            put(self.sources[name], kind, body % (name.rpartition(":")[2].encode(), random.randrange(10**9), pad))
            return
        if not snapshot:
            self.sequence += 1
        side = b'"bids":[{"price":1.%d,"quantity":2}],"asks":[{"price":3.5,"quantity":1}]' % random.randrange(1, 9)
        what, levels = (b"snapshot", side) if snapshot else (b"delta", side.replace(b'":[', b'_upserts":['))
        payload = b'{"type":"order_book_%s","payload":{"depth":5,"timestamp":"t","sequence":%d,%s}}'
        put(self.sources[name], kind, payload % (what, self.sequence, levels))


def said(root: Path, random: Random) -> list[object]:
    """What readers get of it: all, parts, the state at moments, and what is played."""
    made: list[object] = []
    with Recording(root) as recording:
        first, last = recording.spans[0].begin, recording.spans[-1].end
        made += [recording.spans, sorted(recording.topics()), list(recording.read(0, ALL))]
        made.append(list(recording.read(0, ALL, keyframes=False)))
        for _ in range(8):
            begin = random.randint(first - SECOND, last)
            end = begin + random.choice((0, SECOND, 20 * SECOND, 500 * SECOND))
            topics = random.sample(TOPICS, random.randint(1, 4))
            made.append(list(recording.read(begin, end, topics)))
            made.append(list(play(recording, begin, end, topics)))
            made.append(state_at(recording, begin, TOPICS))
    return made


SEEDS = (12, 200)


def test_a_sorted_tape_says_the_same(tmp_path: Path, long: bool, record_property: pytest.RecordProperty) -> None:
    segments = entries = 0
    for seed in range(SEEDS[long]):
        root = tmp_path / str(seed)
        Made(root, seed)
        before, summary = said(root, Random(seed)), verify(root).summary
        assert ": good" in summary
        count = len(list(root.glob("*/*/*.tape")))
        assert sort_all(root, least_free=0) == count and count > 1
        assert said(root, Random(seed)) == before
        assert verify(root).summary == summary, "each block, record, hole and count as before"
        assert sort_all(root, least_free=0) == 0, "what is sorted is left alone"
        segments, entries = segments + count, entries + len(before[2])  # type: ignore[arg-type]
    record_property("measured", f"{SEEDS[long]} tapes, {segments} segments, {entries} entries: the same when sorted")


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    sizes: list[int] = []
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        found = real(descriptor, size, offset)
        sizes.append(len(found))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", pread)
        yield sizes


def many_topics(seconds: int, topics: int) -> list[list[tuple[int, str, int, bytes]]]:
    random = Random(5)
    made = []
    for second in range(seconds):
        said_ = []
        for each in range(topics * 4):
            body = b'{"type":"trade","payload":{"id":"%d"}}' % random.randrange(10**18)
            at = START + second * SECOND + each * (SECOND // topics // 4)
            said_.append((at, f"binance:spot:C{each % topics:03d}-USDT:trade", records.MESSAGE, body))
        made.append(said_)
    return made


def test_one_topic_is_read_without_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: pytest.RecordProperty
) -> None:
    write_run(tmp_path, many_topics(300, 100), segment_bytes=2**26)
    (path,) = tmp_path.glob("*/*/*.tape")
    one = "binance:spot:C042-USDT:trade"
    with counted_reads(monkeypatch) as sizes, Recording(tmp_path) as recording:
        before = list(recording.read(0, ALL, [one]))
    unsorted, whole = sum(sizes), path.stat().st_size
    assert sort_segment(path)
    with counted_reads(monkeypatch) as sizes, Recording(tmp_path) as recording:
        assert list(recording.read(0, ALL, [one])) == before and len(before) == 1200
    assert unsorted > whole * 0.9 and sum(sizes) < whole / 20
    record_property(
        "measured",
        f"one topic of 100: {unsorted} bytes read of {whole} before, {sum(sizes)} of {path.stat().st_size} when sorted",
    )


def test_a_reader_goes_on_while_segments_are_sorted(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(60), segment_bytes=3_000)
    with Recording(tmp_path) as recording:
        expected = list(recording.read(0, ALL))
    with Recording(tmp_path) as recording:
        found, reading = [], recording.read(0, ALL)
        for _ in range(150):
            found.append(next(reading))
        assert sort_all(tmp_path, least_free=0) > 2
        assert [*found, *reading] == expected
        assert list(recording.read(0, ALL)) == expected
        assert list(recording.topics()) == [TRADES]


def test_what_is_damaged_costs_itself_only(tmp_path: Path) -> None:
    write_run(tmp_path, many_topics(30, 20), segment_bytes=2**26)
    (path,) = tmp_path.glob("*/*/*.tape")
    assert sort_segment(path)
    segment = Segment.open(path)
    block = segment.index.blocks[3]
    names = [segment.index.topics[place] for place in block.topics]
    segment.close()
    data = bytearray(path.read_bytes())
    data[block.offset + block.size - 3] ^= 1
    path.write_bytes(data)
    other = next(f"binance:spot:C{each:03d}-USDT:trade" for each in range(20) if f"C{each:03d}" not in str(names))
    with Recording(tmp_path) as recording:
        assert {each.reason for each in recording.read(0, ALL, names[:1]) if isinstance(each, Missing)} == {"damaged"}
        assert all(isinstance(each, Entry) for each in recording.read(0, ALL, [other]))
        missing = [each for each in recording.read(0, ALL) if isinstance(each, Missing)]
    assert sorted(each.topic for each in missing) == sorted(names)
    assert len(verify(tmp_path).errors) == 1


def test_what_was_not_closed_or_has_a_fault_is_left_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "torn", seconds_of_trades(5), close=False)
    write_run(tmp_path / "bad", seconds_of_trades(5))
    (bad,) = (tmp_path / "bad").glob("*/*/*.tape")
    data = bytearray(bad.read_bytes())
    data[300] ^= 1
    bad.write_bytes(data)
    for root in (tmp_path / "torn", tmp_path / "bad"):
        (path,) = root.glob("*/*/*.tape")
        before = path.read_bytes()
        assert sort_all(root, least_free=0) == 0
        assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_one_process_sorts_at_a_time_and_not_what_is_being_written(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(30), segment_bytes=3_000)
    lock = os.open(tmp_path / sorting.OWN_LOCK, os.O_RDWR | os.O_CREAT)
    sorting.fcntl.flock(lock, sorting.fcntl.LOCK_EX)
    assert sort_all(tmp_path, least_free=0) == 0
    os.close(lock)
    place = WriterPlace(tmp_path, "test", least_free=0)
    place.tape("messages", 2**30, 2**20)()  # takes the place as a recorder does
    count = len(list(tmp_path.glob("*/*/*.tape")))
    assert sort_all(tmp_path, least_free=0) == count - 1
    place.release()


def test_it_keeps_its_age_for_the_quota_and_needs_room(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(5))
    (path,) = tmp_path.glob("*/*/*.tape")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    space = os.statvfs(tmp_path)
    assert not sort_segment(path, least_free=2 * space.f_bavail * space.f_frsize)
    assert sort_segment(path) and path.stat().st_mtime == 1_600_000_000
    assert path.stat().st_mode & 0o777 == 0o600


KILLS = (8, 60)


def test_a_kill_while_it_sorts_leaves_a_good_tape(tmp_path: Path, long: bool) -> None:
    """At random moments of a real process; the next one goes on."""
    write_run(tmp_path, many_topics(400, 50), segment_bytes=60_000)
    with Recording(tmp_path) as recording:
        expected = list(recording.read(0, ALL))
    random, killed = Random(3), 0
    for _ in range(KILLS[long]):
        process = subprocess.Popen(
            [sys.executable, "-m", "cryptodash.recording.sorting", str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        signal.sigtimedwait([], random.uniform(0.15, 0.7))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        assert verify(tmp_path).errors == []
        with Recording(tmp_path) as recording:
            assert list(recording.read(0, ALL)) == expected
    sort_all(tmp_path, least_free=0)
    assert verify(tmp_path).errors == [] and list(tmp_path.glob(f"*/*/*{SORTING}")) == []
    for path in tmp_path.glob("*/*/*.tape"):
        segment = Segment.open(path)
        assert segment.is_sorted
        segment.close()
    assert killed


def test_trades_of_one_moment_stay_in_their_order(tmp_path: Path) -> None:
    others = [(START, f"binance:spot:D{each}-USDT:trade", records.MESSAGE, b"%d" % each) for each in range(5)]
    write_run(tmp_path, [[trade(1, START), *others, trade(2, START), trade(3, START)]])
    sort_all(tmp_path, least_free=0)
    with Recording(tmp_path) as recording:
        found = [each for each in recording.read(0, ALL) if isinstance(each, Entry)]
    assert [each.topic.split(":")[2][:2] for each in found] == ["BT", "D0", "D1", "D2", "D3", "D4", "BT", "BT"]

"""The reactor's end of a tape: blocks by size and by time, and what is told where one is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from cryptodash.recording import records
from cryptodash.recording.draft import LARGEST_SPARE, MOST_SPARE, Buffers, Draft, Source
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.open_tape import BLOCK_BYTES, BLOCK_RECORDS, OpenTape
from cryptodash.recording.record_columns import Record
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import Counts, Hole, Run, Step, decode
from cryptodash.recording.tape_writer import Block, TapeWriter
from cryptodash.recording.verify import verify
from cryptodash.recording.writer_thread import LONGEST_WAIT_S, MOST_WAITING, BlockQueue, WriterThread
from tests.recording.tapes import SECOND, START, TRADES


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Taken:
    """What is handed over, while it is taken."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.takes = True

    def __call__(self, block: Block) -> bool:
        if self.takes:
            self.blocks.append(block)
        return self.takes


@pytest.fixture
def tape() -> tuple[Time, Taken, OpenTape]:
    time, taken = Time(), Taken()
    return time, taken, OpenTape(time, taken)


def said(block: Block) -> list[Record]:
    return list(block.draft.columns()[1])


def own(found: Iterable[Record], kind: int) -> list[bytes]:
    return [body for each, _, _, body in found if each == kind]


def test_a_block_is_closed_by_its_size(tape: tuple[Time, Taken, OpenTape]) -> None:
    _, taken, opened = tape
    source = Source(TRADES)
    for _ in range(3 * 263):
        opened.put(source, records.MESSAGE, b"x" * 1000)
    assert len(taken.blocks) == 3
    for number, block in enumerate(taken.blocks):
        assert block.number == number and block.size >= BLOCK_BYTES
        topics, found = block.draft.columns()
        assert topics == [(TRADES, 263, 0)] and len(found) == 263


@pytest.mark.parametrize(("size", "count"), [(50_000, 40), (0, 3 * BLOCK_RECORDS), (2 * records.LONGEST_PART, 2)])
def test_what_comes_at_once_is_all_there_in_order_whatever_fits_into_a_block(
    tape: tuple[Time, Taken, OpenTape], size: int, count: int
) -> None:
    """A read is put in as a whole where it fits, else one by one, in parts where one is longer than a record."""
    _, taken, opened = tape
    bodies = [b"%d:" % number * bool(size) + b"x" * size for number in range(count)]
    for read in (bodies[: count // 4], bodies[count // 4 :]):
        opened.put_all(Source(TRADES), read)
    opened.close_draft()
    found = [each for block in taken.blocks for each in said(block)]
    assert b"".join(body for *_, body in found) == b"".join(bodies)
    assert len([kind for kind, *_ in found if kind == records.MESSAGE]) == count
    assert all(
        len(block.draft) <= BLOCK_RECORDS and block.draft.size < 2 * records.LONGEST_PART for block in taken.blocks
    )


def test_a_block_is_closed_by_its_age_and_silence_is_told(tape: tuple[Time, Taken, OpenTape]) -> None:
    time, taken, opened = tape
    opened.put(Source(TRADES), records.MESSAGE, b"x")
    time.now += SECOND // 2
    opened.look()
    assert taken.blocks == []
    time.now += SECOND
    opened.look()
    time.now += SECOND
    opened.look()
    assert [[kind for kind, *_ in said(block)] for block in taken.blocks] == [
        [records.MESSAGE],
        [records.BEAT],
    ]


def test_lost_blocks_are_one_hole_with_their_counts(tape: tuple[Time, Taken, OpenTape]) -> None:
    time, taken, opened = tape
    source = Source(TRADES)

    def second() -> None:
        for _ in range(10):
            time.now += SECOND // 10
            opened.put(source, records.MESSAGE, b"x")
        opened.look()

    second()
    taken.takes = False
    begin = time.now
    for _ in range(3):
        second()
    assert opened.needs_keyframes and opened.lost_blocks == 3
    taken.takes = True
    second()
    second()
    block = taken.blocks[1]
    (body,) = own(block.before, records.HOLE)
    hole = decode(body, Hole)
    assert (hole.reason, hole.blocks, hole.records, block.number) == ("full", 3, 30, 4)
    assert begin < hole.begin <= begin + SECOND // 10 and hole.end == block.first
    assert own(taken.blocks[2].before, records.HOLE) == []


def test_a_stall_and_a_step_of_the_wall_clock_are_told(tape: tuple[Time, Taken, OpenTape]) -> None:
    """Tape time goes on as if nobody had set the clock: it is monotonic."""
    time, taken, opened = tape
    opened.look()
    begin = time.now
    time.now += 7 * SECOND
    opened.stalled(begin)
    opened.step(-3_600_000, 1_000)
    opened.look()
    time.now += SECOND
    opened.look()
    block = taken.blocks[1]
    hole = decode(own(block.before, records.HOLE)[0], Hole)
    assert (hole.begin, hole.end, hole.reason) == (begin, begin + 7 * SECOND, "stalled")
    assert decode(own(said(block), records.STEP)[0], Step) == Step(-3_600_000, 1_000)


def test_counts_are_told_each_minute(tape: tuple[Time, Taken, OpenTape]) -> None:
    time, taken, opened = tape
    source = Source(TRADES)
    for _ in range(125):
        time.now += SECOND
        opened.put(source, records.MESSAGE, b"x")
        opened.close_draft()
    said = [decode(own(each.before, records.COUNTS)[0], Counts) for each in taken.blocks if each.before]
    assert said == [Counts(0, 0), Counts(60, 60), Counts(120, 120)]


def test_a_body_too_long_for_a_record_comes_in_parts(tape: tuple[Time, Taken, OpenTape], tmp_path: Path) -> None:
    _, taken, opened = tape
    body = bytes(range(256)) * 4096 * 5 + b"end"
    opened.put(Source("binance"), records.ANSWER, body)
    opened.close_draft()
    writer = TapeWriter(
        WriterPlace(tmp_path, least_free=0).tape("frames", 2**30, 2**26), Run("00" * 16, 0, ""), lambda: 0.0
    )
    for block in taken.blocks:
        writer.write(block)
    writer.close()
    with Recording(tmp_path, "frames") as recording:
        (entry,) = recording.read(0, 2 * START)
    assert isinstance(entry, Entry) and entry.body == body and entry.kind == records.ANSWER


# -- the queue and the thread


def block(number: int, size: int = 100) -> Block:
    at = START + number
    draft = Draft()
    draft.put(Source(TRADES), at, b"x")
    return Block(number, at, at, at, [], draft, size)


def test_a_queue_that_is_full_or_old_takes_no_more() -> None:
    now = [0.0]
    queue = BlockQueue(lambda: now[0])
    assert queue.put("messages", block(0, MOST_WAITING - 50))
    assert not queue.put("messages", block(1))
    assert queue.put("messages", block(1, 50)) and queue.bytes == MOST_WAITING
    now[0] = LONGEST_WAIT_S + 0.1
    found = queue.get(0)
    assert found is not None and found[1].number == 0
    assert not queue.put("messages", block(2, 0)), "what is being written waits still"
    queue.done()
    queue.done()
    assert queue.put("messages", block(2, 0)) and queue.bytes == 0
    queue.close()
    assert not queue.put("messages", block(3)) and not queue.is_over


def test_the_thread_writes_what_waits_and_ends(tmp_path: Path) -> None:
    ended = threading.Event()
    queue = BlockQueue(lambda: 0.0)
    writer = TapeWriter(
        WriterPlace(tmp_path, least_free=0).tape("messages", 2**30, 2**20), Run("00" * 16, 0, ""), lambda: 0.0
    )
    made = [block(number) for number in range(5)]
    for each in made:
        assert queue.put("messages", each)
    queue.close()
    buffers = Buffers()
    thread = WriterThread(queue, {"messages": writer}, buffers, ended.set)
    thread.start()
    assert ended.wait(20)
    thread.join(20)
    with Recording(tmp_path) as recording:
        found = list(recording.read(0, 2 * START))
    assert len(found) == 5 and not any(isinstance(each, Missing) for each in found)
    assert verify(tmp_path).summary.endswith("0 holes, 0 torn ends: good")
    given_back = [buffers.take() for _ in made]
    assert sorted(map(id, given_back)) == sorted(id(each.draft.bodies) for each in made)


# -- buffers


def test_a_block_in_a_buffer_that_was_used_before_has_its_own_records_alone(tmp_path: Path) -> None:
    time, taken, buffers = Time(), Taken(), Buffers()
    opened = OpenTape(time, taken, buffers=buffers)
    writer = TapeWriter(
        WriterPlace(tmp_path, least_free=0).tape("messages", 2**30, 2**20), Run("00" * 16, 0, ""), lambda: 0.0
    )
    bodies = [[b"first %d" % number * 50 for number in range(100)], [b"second"], [b"third", b"", b"x" * 5000], []]
    used = set()
    for said in bodies:
        for body in said:
            opened.put(Source(TRADES), records.MESSAGE, body)
        time.now += SECOND
        opened.look()
        made = taken.blocks.pop()
        used.add(id(made.draft.bodies))
        writer.write(made)
        buffers.give_back(made.draft)
    writer.close()
    with Recording(tmp_path) as recording:
        found = [each.body for each in recording.read(0, 2 * START) if isinstance(each, Entry)]
    assert found == [body for said in bodies for body in said]
    assert len(used) == 2, "one is filled while the other is written"
    assert verify(tmp_path).errors == []


def test_a_block_can_be_packed_again_in_the_same_way() -> None:
    draft = Draft()
    for number in range(10):
        draft.put(Source(TRADES), START + number, b"%d" % number)
    first, second = (bytes(draft.columns()[1].encode()) for _ in range(2))
    assert first == second and len(list(draft.columns()[1])) == 10


def test_of_buffers_so_many_are_kept_and_none_that_is_large() -> None:
    buffers = Buffers()
    drafts = [Draft() for _ in range(2 * MOST_SPARE)]
    for each in drafts:
        buffers.give_back(each)
    taken = [buffers.take() for _ in drafts]
    assert sum(each.bodies in taken for each in drafts) == MOST_SPARE
    large = Draft()
    large.put(Source(TRADES), START, b"x" * (LARGEST_SPARE + 1))
    buffers.give_back(large)
    assert buffers.take() is not large.bodies

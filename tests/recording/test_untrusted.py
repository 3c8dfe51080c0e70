"""Tapes of anybody: whatever the bytes are, an error or what they say, never a crash, never much memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from struct import Struct
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash import tape_commands
from cryptodash.core.errors import ConfigError
from cryptodash.recording import blocks, compression, records, segment_index
from cryptodash.recording.blocks import HEADER_SIZE, MAGIC, read_header, read_records, read_topics
from cryptodash.recording.book_state import BookFold
from cryptodash.recording.columns import COLUMNS, rows_of
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.frames import markets_in, read_frames
from cryptodash.recording.playback import play
from cryptodash.recording.record_columns import RecordColumns
from cryptodash.recording.recording import Recording
from cryptodash.recording.segment import Segment
from cryptodash.recording.sorting import sort_all
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.verify import verify
from cryptodash.simulator import recorded_files
from cryptodash.simulator.taped_frames import TapeOfFrames
from tests.recording.tapes import BOOK, START, TICKER, TRADES, only_segment, seconds_of_trades, write_run

ALL = 2 * START
MOST_MEMORY = 64 * 2**20
RUN = bytes(range(16))
HEADER = Struct("<4sBBBB16sQqqIIIIIII")


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY, f"{peak / 2**20:.0f} MiB"


def read_all(root: Path) -> None:
    """Everything that anybody does with a tape."""
    for tape in ("messages", "frames"):
        with suppress(BadTape), Recording(root, tape) as recording:
            recording.topics()
            for _ in recording.read(0, ALL):
                pass
            for _ in recording.read(0, ALL, [TICKER]):
                pass
            for _ in play(recording, START, ALL, [TRADES, BOOK]):
                pass
    with suppress(BadTape):
        verify(root)
    with suppress(BadTape):
        markets_in(root)
    with suppress(BadTape):
        for _ in read_frames(root, "binance", "spot"):
            pass


@cache
def good_tape(how: str) -> bytes:
    """Of a run that ended in order, was killed, or was sorted."""
    with TemporaryDirectory() as directory:
        said = seconds_of_trades(6)
        said[2].append((said[2][-1][0], BOOK, records.KEYFRAME, b'{"type":"order_book_snapshot","payload":{}}'))
        write_run(Path(directory), said, close=how != "killed")
        if how == "sorted":
            assert sort_all(Path(directory), least_free=0) == 1
        return only_segment(Path(directory)).read_bytes()


@given(data=st.data())
@settings(max_examples=60)
def test_mutated_bytes_are_an_error_or_what_they_say(data: st.DataObject) -> None:
    good = good_tape(data.draw(st.sampled_from(["closed", "killed", "sorted"])))
    tape = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(tape) - 1))
        tape[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("messages", "frames"):
            (root / "writer-00" / name).mkdir(parents=True)
            (root / "writer-00" / name / "0000000001.tape").write_bytes(tape)
        read_all(root)
        if len(tape) == len(good):
            # A change that nobody finds would be a wrong price.
            with suppress(BadTape):
                found = verify(root)
                with Recording(root) as recording:
                    said = [each for each in recording.read(0, ALL) if isinstance(each, Entry)]
                assert found.errors or found.torn or len(said) == 61


@given(st.binary(max_size=400))
@settings(max_examples=100)
def test_any_bytes_are_no_crash(data: bytes) -> None:
    for sample in (data, MAGIC + data, MAGIC + b"\x01\x01\x00\x00" + data):
        with suppress(BadTape):
            header = read_header(sample)
            topics = read_topics(sample, header)
            read_records(sample[HEADER_SIZE + header.topics_size :], header, topics)
        with suppress(BadTape):
            segment_index.decode_index(sample, 100)
        with suppress(BadTape):
            BookFold().take(b'{"type":"order_book_snapshot"' + data)
        for channel in COLUMNS:
            with suppress(BadTape):
                list(rows_of(Entry(0, TRADES, 0, data), channel))


def crafted(
    *,
    codec: int = compression.ZLIB,
    version: int = 1,
    kind: int = 0,
    count: int = 1,
    topics: bytes | None = None,
    payload: bytes = b"",
    **sizes: int,
) -> bytes:
    """A block with good checksums, whose header says what ``sizes`` want."""
    table = compression.pack(msgspec.msgpack.encode([]) if topics is None else topics, codec)
    packed = compression.pack(payload, codec)
    said = {
        "topics_size": len(table),
        "topics_declared": 1 if topics is None else len(topics),
        "payload_size": len(packed),
        "payload_declared": len(payload),
    } | sizes
    head = HEADER.pack(
        *(MAGIC, version, codec, kind, 0, RUN, 0, START, START, count),
        *(said["topics_size"], said["topics_declared"], said["payload_size"], said["payload_declared"]),
        *(zlib.crc32(packed), 0),
    )[:-4]
    return head + zlib.crc32(table, zlib.crc32(head)).to_bytes(4, "little") + table + packed


def record(body: bytes = b"") -> bytes:
    return msgspec.msgpack.encode((records.BEAT, START, -1, body))


def columns(lengths: list[int], *, head: int = records.BEAT << 16 | 0xFFFF, time: int = START) -> bytes:
    """Of records without their bodies."""
    count = len(lengths)
    return Struct(f"<{count}I{count}q{count}I").pack(*[head] * count, *[time] * count, *lengths)


BOMBS: dict[str, Callable[[], bytes]] = {
    "a gigabyte in a kilobyte, declared": lambda: crafted(payload=bytes(2**24), payload_declared=2**30),
    "more than is declared": lambda: crafted(payload=bytes(2**24), payload_declared=2**22),
    "4 GiB declared": lambda: crafted(payload_declared=2**32 - 1),
    "a table of 4 GiB": lambda: crafted(topics_declared=2**32 - 1),
    "sizes of 4 GiB in the file": lambda: crafted(payload_size=2**32 - 1, topics_size=2**32 - 1),
    "4 billion records in a list": lambda: crafted(payload=b"\xdd\xff\xff\xff\xff" + record()),
    "4 billion records, counted": lambda: crafted(payload=b"\xdd\xff\xff\xff\xff" + record(), count=2**32 - 1),
    "a body of 4 GiB": lambda: crafted(payload=b"\x91\x94\x18\x00\xff\xc6\xff\xff\xff\xff"),
    "a million small records": lambda: crafted(payload=b"\xdd\x00\x0c\x00\x00" + record()[:5] * 800_000, count=786_432),
    "nested lists": lambda: crafted(payload=b"\x91" * 2**20),
    "a million topics": lambda: crafted(topics=b"\xdd\x00\x03\x00\x00" + b"\x93\xa0\x00\x00" * 196_608),
    "columns of 4 billion records": lambda: crafted(version=2, payload=bytes(2**20), count=2**32 - 1),
    "columns without room for them": lambda: crafted(version=2, payload=bytes(400), count=30),
    "lengths of 4 GiB": lambda: crafted(version=2, payload=columns([2**32 - 1] * 3), count=3),
    "lengths that do not fit": lambda: crafted(version=2, payload=b"body" + columns([3]), count=1),
    "a topic that is not there": lambda: crafted(version=2, payload=columns([0], head=records.MESSAGE << 16)),
    "a time before the first": lambda: crafted(version=2, payload=columns([0], time=START - 1)),
    "orders that are not there": lambda: crafted(version=2, kind=blocks.SORTED, payload=columns([0])),
    "a stripe of 200 blocks of 4 MiB": lambda: (
        crafted(version=2, kind=blocks.SORTED, payload=bytes(2**22 - 20) + columns([2**22 - 20]) + bytes(4)) * 200
    ),
    "30,000 records in a few hundred bytes": lambda: crafted(version=2, payload=columns([0] * 30_000), count=30_000),
    "zeros": lambda: bytes(2**20),
    "nothing but magic": lambda: MAGIC * 2**18,
    "headers that all begin a block": lambda: crafted(payload=b"\x91" + record())[:HEADER_SIZE] * 10_000,
}
if compression.zstandard:

    def zstd_bomb(**parameters: int) -> Any:
        zstandard = compression.zstandard
        return zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(**parameters, write_content_size=True)
        ).compress(bytes(2**26))

    BOMBS |= {
        "a zstd frame that says 64 MiB": lambda: spliced(zstd_bomb(window_log=20)),
        "4 MiB of blanks in a few hundred bytes": lambda: crafted(
            codec=compression.ZSTD, version=2, payload=b" " * (2**22 - 16) + columns([2**22 - 16])
        ),
        "a topic of a MiB in a hundred bytes": lambda: crafted(
            codec=compression.ZSTD,
            version=2,
            topics=msgspec.msgpack.encode([("x" * (2**20 - 20), 1, 0)]),
            payload=columns([0], head=0),
        ),
        "a zstd window of 128 MiB": lambda: spliced(zstd_bomb(window_log=27)),
    }

    def spliced(packed: bytes) -> bytes:
        """A block of zstd whose payload is this frame, and which declares 4 MiB of it."""
        table = compression.pack(msgspec.msgpack.encode([]), compression.ZSTD)
        head = HEADER.pack(
            *(MAGIC, 1, compression.ZSTD, 0, 0, RUN, 0, START, START, 1),
            *(len(table), 1, len(packed), 2**22, zlib.crc32(packed), 0),
        )[:-4]
        return head + zlib.crc32(table, zlib.crc32(head)).to_bytes(4, "little") + table + packed


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_an_error(tmp_path: Path, bomb: str) -> None:
    data = BOMBS[bomb]()
    with little_memory():
        with suppress(BadTape):
            header = read_header(data)
            topics = read_topics(data, header)
            with pytest.raises(BadTape):
                read_records(data[HEADER_SIZE + header.topics_size :], header, topics)
        for name in ("messages", "frames"):
            (tmp_path / "writer-00" / name).mkdir(parents=True)
            (tmp_path / "writer-00" / name / "0000000001.tape").write_bytes(data)
        read_all(tmp_path)
        with Recording(tmp_path) as recording:
            assert [each for each in recording.read(0, ALL) if isinstance(each, Entry)] == []
        assert verify(tmp_path).errors


@pytest.mark.parametrize("body", [b"", b" " * 200], ids=["none", "blanks"])
@pytest.mark.parametrize("codec", [compression.ZLIB, compression.BEST])
def test_what_packs_too_well_is_written_as_it_is_and_can_be_read(tmp_path: Path, codec: int, body: bytes) -> None:
    """A frame that an exchange sends a thousand times at once."""
    said = [(START, "binance/1", records.IN, body)] * 2_000
    write_run(tmp_path, [said], tape="frames", codec=codec)
    with Recording(tmp_path, "frames") as recording:
        assert list(recording.read(0, ALL)) == [Entry(*each) for each in said]


def test_frames_of_nothing_but_brackets_take_no_more_than_their_bytes(tmp_path: Path) -> None:
    """What JSON makes of them is twenty times as large: a megabyte of tape made gigabytes."""
    opened = records.encode(records.Opened("spot", "ws://x"))
    body = b"[" + b"[]," * 300_000 + b"0]"
    said = [[(START, "binance/1", records.IN, body)] for _ in range(6)]
    write_run(tmp_path, [[(START, "binance/1", records.OPENED, opened)], *said], tape="frames")
    with little_memory():
        tape = TapeOfFrames.read(tmp_path, "", "", ["binance"], None, None)
        assert [len(each.data or ()) for each in tape.lines] == [300_001] * 6


LIES: dict[str, tuple[int, bytes]] = {
    "a hole before all time": (records.HOLE, b'{"begin":-1,"end":1,"reason":"full"}'),
    "a hole behind all time": (records.HOLE, b'{"begin":1,"end":%d,"reason":"full"}' % 2**63),
    "a hole of the year 10000": (records.HOLE, b'{"begin":1,"end":253402300799999999,"reason":"full"}'),
    "a hole whose end has 40 digits": (records.HOLE, b'{"begin":1,"end":%d,"reason":"full"}' % 10**40),
    "a reason that ends a text": (records.HOLE, b'{"begin":1,"end":%d,"reason":"a\\",\\"b"}' % START),
    "a reason that is none": (records.HOLE, b'{"begin":1,"end":%d,"reason":"\\u001b[2J"}' % START),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_lies_about_the_tape_is_an_error(tmp_path: Path, lie: str) -> None:
    kind, body = LIES[lie]
    write_run(tmp_path, seconds_of_trades(1))
    path = only_segment(tmp_path)
    table = [(TRADES, 1, 0), ("", 1, 0)]
    made = RecordColumns([(kind, START, -1, body), (records.MESSAGE, START, 0, b"{}")])
    path.write_bytes(blocks.encode_block(RUN, 0, START, START, table, made))
    with Recording(tmp_path) as recording:
        for found in (recording.read(0, ALL, [TRADES]), play(recording, 0, ALL, [TRADES])):
            assert {each.reason for each in found if isinstance(each, Missing)} <= {"damaged", "unrecorded"}
    assert verify(tmp_path).errors


@pytest.mark.parametrize("lie", [b"[1,%d,%d,1]" % (2**63, 2**63), b"[0,-5,5,1]", b"[-1,0,0,1]", b"[0,0,0,-1]", b"[0]"])
def test_a_stripe_that_lies_about_what_it_was_made_of_is_an_error(tmp_path: Path, lie: bytes) -> None:
    parts = []
    for stripe, made_of in enumerate((b"[0,%d,%d,1]" % (START, START), lie)):
        about = RecordColumns([(records.MADE_OF, START, -1, b'{"blocks":[%b]}' % made_of)])
        said = RecordColumns([(records.MESSAGE, START, 0, b"{}")])
        parts.append(blocks.encode_sorted(RUN, 2 * stripe, START, START, [("", 0, 0)], about, [0]))
        parts.append(blocks.encode_sorted(RUN, 2 * stripe + 1, START, START, [(TRADES, 1, 0)], said, [1]))
    write_run(tmp_path, seconds_of_trades(1))
    only_segment(tmp_path).write_bytes(b"".join(parts))
    read_all(tmp_path)
    assert verify(tmp_path).errors


def test_the_last_moment_that_there_is_can_be_told(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(1))
    made = RecordColumns([(records.MESSAGE, blocks.MOST_TIME, 0, b"{}")])
    last = blocks.encode_block(RUN, 0, blocks.MOST_TIME, blocks.MOST_TIME, [(TRADES, 1, 0)], made)
    only_segment(tmp_path).write_bytes(last)
    said: list[str] = []
    assert not verify(tmp_path, said.append).errors
    assert any("9999-12-31T23:59:59.999Z" in line for line in said)
    with Recording(tmp_path) as recording:
        assert [each.time for each in recording.read(0, blocks.MOST_TIME) if isinstance(each, Entry)] == [
            blocks.MOST_TIME
        ]


def test_what_a_tape_says_moves_no_cursor(tmp_path: Path) -> None:
    """Names of topics, and errors, of a tape of anybody: no colour, no second line, no end of a line that is long."""
    hole = records.encode(records.Hole(START, START, "disk", error="\x1b]0;x\x07\nsummary: good"))
    topics = ["binance:spot:A\x1b[31m\nB-C:trade", "binance:spot:\u202eA-B:trade", f"binance:spot:{'x' * 5_000}:trade"]
    said = [(START, topic, records.MESSAGE, b'{"type":"trade","payload":{"id":5}}') for topic in topics]
    write_run(tmp_path, [said], close=False, run=RUN.hex())
    path = only_segment(tmp_path)
    made = RecordColumns([(records.HOLE, START, -1, hole)])
    path.write_bytes(path.read_bytes() + blocks.encode_block(RUN, 1, START, START, [("", 1, 0)], made))
    lines: list[str] = []
    for command in ("ls", "verify"):
        tape_commands.tape([command, str(tmp_path)], lines.append)
    assert len(lines) > 8 and all(line.isprintable() and len(line) < 1_100 for line in lines)
    for pattern in ("*:trade", "*C:trade"):
        options = {"from": None, "to": None, "format": "csv", "topics": [pattern], "text": False}
        with pytest.raises(ConfigError) as refused:
            tape_commands.export_rows({**options, "output": str(tmp_path / "x.csv"), "path": str(tmp_path)})
        assert str(refused.value).isprintable()


def test_frames_without_a_byte_are_bounded_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = records.encode(records.Opened("spot", "ws://x"))
    said = [(START, "binance/1", records.OPENED, opened), *[(START, "binance/1", records.IN, b"")] * 300]
    write_run(tmp_path, [said], tape="frames")
    assert len(TapeOfFrames.read(tmp_path, "", "", ["binance"], None, None).lines) == 300
    monkeypatch.setattr(recorded_files, "MOST_BYTES", 100_000)
    with pytest.raises(ConfigError, match="too large"):
        TapeOfFrames.read(tmp_path, "", "", ["binance"], None, None)


def test_an_index_that_lies_is_made_again_from_the_headers(tmp_path: Path) -> None:
    """With a good checksum: of another segment, of blocks that are elsewhere, of more than there are."""
    said = seconds_of_trades(6)
    write_run(tmp_path, said)
    path = only_segment(tmp_path)
    good = path.read_bytes()
    segment = Segment.open(path)
    index, end, run = segment.index, segment.scan().end, segment.run
    segment.close()
    shifted = msgspec.structs.replace(
        index, blocks=[msgspec.structs.replace(each, offset=each.offset + 1) for each in index.blocks]
    )
    lies = {
        "shifted": segment_index.encode_index(shifted),
        "no blocks": segment_index.encode_index(msgspec.structs.replace(index, blocks=[])),
        "no topics": segment_index.encode_index(msgspec.structs.replace(index, topics=[])),
        "4 billion blocks": segment_index.encode_index(index)[:-1] + b"\xdd\xff\xff\xff\xff",
        "nonsense": b"\xc1" * 100,
    }
    for name, lie in lies.items():
        block = blocks.encode_index(run, 6, START, said[-1][-1][0], lie)
        path.write_bytes(good[:end] + block + segment_index.encode_trailer(end))
        with Recording(tmp_path) as recording:
            assert [each for each in recording.read(0, ALL) if isinstance(each, Entry)] == [
                Entry(*each) for block_ in said for each in block_
            ], name


def test_an_index_of_topics_without_end_is_made_again_from_the_headers(tmp_path: Path) -> None:
    """Four million times the same one: each question went through all of them, for seconds."""
    write_run(tmp_path, seconds_of_trades(6))
    path = only_segment(tmp_path)
    good = path.read_bytes()
    segment = Segment.open(path)
    index, end = segment.index, segment.scan().end
    segment.close()
    endless = msgspec.structs.replace(index.blocks[0], topics=[0] * 900_000)
    lie = segment_index.encode_index(msgspec.structs.replace(index, blocks=[endless, *index.blocks[1:]]))
    block = blocks.encode_index(segment.run, 6, START, segment.last, lie)
    path.write_bytes(good[:end] + block + segment_index.encode_trailer(end))
    segment = Segment.open(path)
    assert segment.index == index
    segment.close()


def test_a_body_in_endless_parts_is_bounded(tmp_path: Path) -> None:
    part = b"x" * 2**20
    said = [[(START + at, "binance/1", records.MORE, part)] for at in range(40)]
    write_run(tmp_path, [*said, [(START + 99, "binance/1", records.IN, b"end")]], tape="frames", segment_bytes=2**30)
    with little_memory(), Recording(tmp_path, "frames") as recording:
        found = list(recording.read(0, ALL))
    assert any(not isinstance(each, Entry) and each.reason == "damaged" for each in found)


def test_a_body_in_endless_parts_without_a_byte_is_bounded(tmp_path: Path) -> None:
    """Each took a walk over all before it: four kilobytes of them hung whoever read them."""
    said = [[(START + block, TRADES, records.MORE, b"")] * 30_000 for block in range(3)]
    write_run(tmp_path, [*said, [(START + 99, TRADES, records.MESSAGE, b"end")]])
    with Recording(tmp_path) as recording:
        found = list(recording.read(0, ALL))
    assert [each.reason for each in found if not isinstance(each, Entry)] == ["damaged"]


def test_a_link_or_a_pipe_is_no_segment(tmp_path: Path) -> None:
    import os

    directory = tmp_path / "writer-00" / "messages"
    directory.mkdir(parents=True)
    (directory / "0000000001.tape").symlink_to("/etc/passwd")
    os.mkfifo(directory / "0000000002.tape")
    with Recording(tmp_path) as recording:
        assert len(recording.unreadable) == 2 and recording.spans == []
    assert len(verify(tmp_path).errors) >= 2

"""What was written is read again, digit for digit, in order, with the holes."""

from __future__ import annotations

import resource
import shutil
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from cryptodash.recording import compression, records
from cryptodash.recording.entries import STATE, Entry, Missing, Span
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.playback import play, state_at
from cryptodash.recording.recording import Recording
from cryptodash.recording.sorting import sort_all
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.verify import verify
from tests.recording.tapes import (
    BOOK,
    SECOND,
    START,
    TICKER,
    TRADES,
    Said,
    only_segment,
    seconds_of_trades,
    trade,
    write_run,
)

ALL = 2 * START
CODECS = [compression.STORED, compression.ZLIB, *([compression.ZSTD] if compression.zstandard else [])]


def read(root: Path, *topics: str, begin: int = 0, end: int = ALL) -> list[Entry | Missing]:
    with Recording(root) as recording:
        assert recording.unreadable == []
        return list(recording.read(begin, end, topics or None))


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_written_is_read_byte_for_byte(tmp_path: Path, codec: int) -> None:
    blocks = seconds_of_trades(50)
    write_run(tmp_path, blocks, segment_bytes=3000, codec=codec)
    assert len(list(tmp_path.glob("writer-00/messages/*.tape"))) > 3
    said = [Entry(*each) for block in blocks for each in block]
    assert read(tmp_path) == said
    assert read(tmp_path, TRADES) == said
    assert read(tmp_path, TICKER) == []


def test_what_is_on_the_tape_is_read_as_far_as_somebody_wants_it(tmp_path: Path) -> None:
    blocks = seconds_of_trades(10)
    blocks[3].append((blocks[3][-1][0], TICKER, records.KEYFRAME, b'{"type":"ticker","payload":{}}'))
    write_run(tmp_path, blocks)
    said = [Entry(*each) for block in blocks for each in block if each[1] == TRADES]
    end = blocks[-1][-1][0]
    with Recording(tmp_path) as recording:
        assert list(recording.read(START, end, [TRADES], keyframes=False)) == said
        assert list(islice(recording.read(START, end, [TRADES], keyframes=False), 7)) == said[:7]
        assert list(recording.read(START, end, [TICKER], keyframes=False)) == []
        assert [each.kind for each in recording.read(START, end, [TICKER]) if isinstance(each, Entry)] == [
            records.KEYFRAME
        ]


@pytest.mark.parametrize(("first", "last"), [(0, 49), (7, 7), (0, 0), (49, 49), (12, 30)])
def test_a_time_is_read_and_nothing_beside_it(tmp_path: Path, first: int, last: int) -> None:
    blocks = seconds_of_trades(50)
    write_run(tmp_path, blocks, segment_bytes=3000)
    begin, end = blocks[first][3][0], blocks[last][6][0]
    said = [Entry(*each) for block in blocks for each in block if begin <= each[0] <= end]
    assert read(tmp_path, begin=begin, end=end) == said


def test_a_stop_and_a_kill_are_told_as_holes(tmp_path: Path) -> None:
    """A run that ended in order, one that was killed, and a third: the killed one may have lost 5 s."""
    starts = (START, START + 60 * SECOND, START + 120 * SECOND)
    for start, close in zip(starts, (True, False, True), strict=True):
        write_run(tmp_path, seconds_of_trades(10, start=start), close=close)
    ends = [start + 9 * SECOND + 9 * SECOND // 10 for start in starts]
    assert [each for each in read(tmp_path) if isinstance(each, Missing)] == [
        Missing(ends[0], starts[1], "stopped"),
        Missing(ends[1], ends[1] + 5 * SECOND, "torn"),
        Missing(ends[1] + 5 * SECOND, starts[2], "stopped"),
    ]
    with Recording(tmp_path) as recording:
        assert recording.spans == [Span(start, end) for start, end in zip(starts, ends, strict=True)]
        # A query of a topic that has nothing there sees the holes as well.
        holes = list(recording.read(0, ALL, [TICKER]))
        assert [each.reason for each in holes if isinstance(each, Missing)] == ["stopped", "torn", "stopped"]


def test_a_torn_end_is_cut_off_by_the_next_run(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(10), close=False)
    path = only_segment(tmp_path)
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(path.read_bytes()[:150])
    with Recording(tmp_path) as recording:  # before: the torn end is no record
        assert len(list(recording.read(0, ALL))) == 100
    write_run(tmp_path, seconds_of_trades(1, start=START + 60 * SECOND))
    assert path.stat().st_size == whole


def test_runs_of_several_processes_are_merged_by_time(tmp_path: Path) -> None:
    """Each writer has a directory of its own."""
    first = WriterPlace(tmp_path, "other", least_free=0)
    first.tape("messages", 2**30, 2**20)()  # its place is taken, and locked
    write_run(tmp_path, [[trade(1, START + SECOND), trade(3, START + 3 * SECOND)]])
    first.release()
    write_run(tmp_path, [[trade(2, START + 2 * SECOND), trade(4, START + 4 * SECOND)]])
    assert {each.parent.parent.name for each in tmp_path.glob("*/messages/*.tape")} == {"writer-00", "writer-01"}
    assert [each.time - START for each in read(tmp_path) if isinstance(each, Entry)] == [
        SECOND * each for each in (1, 2, 3, 4)
    ]


def two_writers(root: Path) -> None:
    """One records trades and is killed after ten seconds; it comes back after thirty. The other one has recorded the
    ticker all the time, and trades from the fifteenth second on."""
    place = WriterPlace(root, "other", least_free=0)
    write_run(root, seconds_of_trades(10), close=False)
    write_run(root, [[trade(1, START + 60 * SECOND)]])
    place.tape("messages", 2**30, 2**20)()  # writer-00, so that the other one is writer-01
    ticks = [[(START + at * SECOND, TICKER, records.MESSAGE, b"{}")] for at in range(70)]
    ticks[30].append(trade(2, START + 30 * SECOND))
    ticks[65].append(trade(3, START + 65 * SECOND))
    write_run(root, ticks)
    place.release()


def test_a_hole_of_one_process_is_one_of_what_it_recorded(tmp_path: Path) -> None:
    two_writers(tmp_path)
    with Recording(tmp_path) as recording:
        found = [each for each in recording.read(0, ALL) if isinstance(each, Missing)]
        assert found == [
            Missing(START + 9_900_000, START + 14_900_000, "torn", TRADES),
            Missing(START + 14_900_000, START + 30 * SECOND, "stopped", TRADES),
        ]
        assert all(isinstance(each, Entry) for each in recording.read(0, ALL, [TICKER]))
        assert all(isinstance(each, Entry) for each in play(recording, START, START + 65 * SECOND, [TICKER]))
        assert state_at(recording, START + 62 * SECOND, [TICKER])[TICKER] == [
            Entry(START + 62 * SECOND, TICKER, STATE, b"{}")
        ]


def test_the_index_says_when_a_topic_was_recorded(tmp_path: Path) -> None:
    blocks: list[list[Said]] = seconds_of_trades(10)
    blocks[5].append((blocks[5][-1][0], TICKER, records.MESSAGE, b"{}"))
    later = [[trade(1, START + 600 * SECOND), trade(2, START + 601 * SECOND)]]
    write_run(tmp_path, [*blocks, *later])
    with Recording(tmp_path) as recording:
        found = recording.topics()
        assert found[TRADES] == [
            Span(START, blocks[9][-1][0]),
            Span(START + 600 * SECOND, START + 601 * SECOND),
        ]
        assert found[TICKER] == [Span(blocks[5][0][0], blocks[5][-1][0])]
        assert recording.topics(START, START) == {TRADES: [Span(START, blocks[0][-1][0])]}
        assert list(recording.topics(START + SECOND, START + SECOND)) == [TRADES]
        assert recording.topics(START + 300 * SECOND, START + 300 * SECOND) == {}


def test_a_long_body_comes_in_parts_and_is_read_whole(tmp_path: Path) -> None:
    parts = [b"a" * 2**20, b"b" * 2**20, b"c" * 10]
    kinds = [records.MORE, records.MORE, records.IN]
    said = [(START + at, "binance/1", kind, part) for at, (kind, part) in enumerate(zip(kinds, parts, strict=True))]
    write_run(tmp_path, [said[:1], said[1:2], said[2:]], tape="frames")
    with Recording(tmp_path, "frames") as recording:
        (entry,) = recording.read(0, ALL)
    assert isinstance(entry, Entry) and entry.kind == records.IN and entry.body == b"".join(parts)


def test_a_long_tape_is_read_with_little_memory(tmp_path: Path) -> None:
    """40 MB of records, a block at a time."""
    body = b'{"type":"trade","payload":{"id":"%s"}}' % (b"x" * 2_000)
    blocks = [
        [(START + second * SECOND + each, TRADES, records.MESSAGE, body) for each in range(100)]
        for second in range(200)
    ]
    write_run(tmp_path, blocks, segment_bytes=2**18)
    blocks.clear()
    tracemalloc.start()
    with Recording(tmp_path) as recording:
        count = sum(1 for _ in recording.read(0, ALL))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000 and peak < 4 * 2**20, f"{peak / 2**20:.1f} MiB"


def test_more_segments_than_a_process_may_have_open_are_read(tmp_path: Path) -> None:
    blocks = seconds_of_trades(120, a_second=2)
    write_run(tmp_path, blocks, segment_bytes=100)
    assert len(list(tmp_path.glob("writer-00/messages/*.tape"))) == 120
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 20, hard))
    try:
        assert len(read(tmp_path)) == 240
        with Recording(tmp_path) as recording:
            assert len(recording.topics()[TRADES]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_segment_that_the_quota_takes_while_it_is_read_is_missing(tmp_path: Path) -> None:
    blocks = seconds_of_trades(20)
    write_run(tmp_path, blocks, segment_bytes=1500)
    with Recording(tmp_path) as recording:
        reading = recording.read(0, ALL)
        next(reading)
        for path in sorted(tmp_path.glob("writer-00/messages/*.tape"))[1:3]:
            path.unlink()
        found = list(reading)
    assert {each.reason for each in found if isinstance(each, Missing)} == {"damaged"}
    assert found[-1] == Entry(*blocks[-1][-1])


# -- the state at a moment, and what came then


def snapshot(sequence: int, bids: str, asks: str, at: str = "2024-01-01T00:00:00.000Z") -> bytes:
    head = f'"timestamp":"{at}","exchange":"binance","market_type":"spot","symbol":{{"base":"BTC","quote":"USDT"}}'
    sides = f'"bids":[{levels(bids)}],"asks":[{levels(asks)}],"complete":false'
    payload = f'{{{head},"depth":5,"sequence":{sequence},{sides},"received":"{at}"}}'
    return f'{{"type":"order_book_snapshot","payload":{payload}}}'.encode()


def delta(sequence: int, bids: str = "", asks: str = "", gone: str = "", at: str = "2024-01-01T00:00:01.000Z") -> bytes:
    head = f'"timestamp":"{at}","exchange":"binance","market_type":"spot","symbol":{{"base":"BTC","quote":"USDT"}}'
    sides = f'"bids_upserts":[{levels(bids)}],"asks_upserts":[{levels(asks)}],"deletes":{{"bids":[{gone}],"asks":[]}}'
    payload = f'{{{head},"depth":5,"sequence":{sequence},{sides},"received":"{at}"}}'
    return f'{{"type":"order_book_delta","payload":{payload}}}'.encode()


def levels(text: str) -> str:
    pairs = (each.split("@") for each in text.split())
    return ",".join(f'{{"price":{price},"quantity":{size}}}' for size, price in pairs)


def status(state: str) -> bytes:
    return f'{{"type":"status","payload":{{"state":"{state}"}}}}'.encode()


def a_book(tmp_path: Path) -> None:
    """Keyframe at 0, deltas at 1, 2, 4 (3 is lost), a snapshot at 5, and its delta."""
    said: list[Said] = [
        (START, BOOK, records.BEGIN, b""),
        (START, BOOK, records.KEYFRAME, status("live")),
        (START, BOOK, records.KEYFRAME, snapshot(7, "1.00@100.0 2@99.50", "3@101")),
        (START + 1 * SECOND, BOOK, records.MESSAGE, delta(8, bids="5.5@99.90", gone="99.5")),
        (START + 2 * SECOND, BOOK, records.MESSAGE, delta(9, asks="4@100.50")),
        (START + 4 * SECOND, BOOK, records.MESSAGE, delta(11, asks="9@100.70")),
        (START + 5 * SECOND, BOOK, records.MESSAGE, snapshot(12, "1@90", "1@91")),
        (START + 6 * SECOND, BOOK, records.MESSAGE, delta(13, bids="2@90.00")),
    ]
    write_run(tmp_path, [said])


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (0, snapshot(7, "1.00@100.0 2@99.50", "3@101")),
        (1.5, snapshot(8, "1.00@100.0 5.5@99.90", "3@101", "2024-01-01T00:00:01.000Z")),
        (2, snapshot(9, "1.00@100.0 5.5@99.90", "4@100.50 3@101", "2024-01-01T00:00:01.000Z")),
        (4, None),
        (6, snapshot(13, "2@90.00", "1@91", "2024-01-01T00:00:01.000Z")),
    ],
)
def test_a_book_at_a_moment_is_its_keyframe_and_what_came_after_it(
    tmp_path: Path, second: float, expected: bytes | None
) -> None:
    a_book(tmp_path)
    at = START + int(second * SECOND)
    with Recording(tmp_path) as recording:
        found = state_at(recording, at, [BOOK, TRADES])
    assert found[TRADES] == []
    values = [status("live"), *([expected] if expected else [])]
    assert found[BOOK] == [Entry(at, BOOK, STATE, body) for body in values]


def test_a_replay_begins_with_the_state_and_never_has_a_delta_that_does_not_fit(tmp_path: Path) -> None:
    a_book(tmp_path)
    with Recording(tmp_path) as recording:
        found = [each for each in play(recording, START + SECOND, ALL, [BOOK]) if isinstance(each, Entry)]
    assert [(each.kind, each.body) for each in found[:2]] == [
        (STATE, status("live")),
        (STATE, snapshot(8, "1.00@100.0 5.5@99.90", "3@101", "2024-01-01T00:00:01.000Z")),
    ]
    assert [each.time - START for each in found[2:]] == [2 * SECOND, 5 * SECOND, 6 * SECOND]
    assert {each.kind for each in found[2:]} == {records.MESSAGE}


def test_behind_a_hole_the_next_keyframe_is_given(tmp_path: Path) -> None:
    ticker = b'{"type":"ticker","payload":{"symbol":{"base":"BTC"},"last":%d}}'
    first = [
        (START, TICKER, records.BEGIN, b""),
        (START, TICKER, records.KEYFRAME, status("live")),
        (START + SECOND, TICKER, records.MESSAGE, ticker % 1),
    ]
    again = START + 100 * SECOND
    second = [
        (again, TICKER, records.BEGIN, b""),
        (again, TICKER, records.KEYFRAME, status("live")),
        (again, TICKER, records.KEYFRAME, ticker % 2),
        (again + SECOND, TICKER, records.MESSAGE, ticker % 3),
        (again + 60 * SECOND, TICKER, records.KEYFRAME, status("live")),
        (again + 60 * SECOND, TICKER, records.KEYFRAME, ticker % 3),
        (again + 61 * SECOND, TICKER, records.END, b""),
    ]
    write_run(tmp_path, [first])
    write_run(tmp_path, [second])
    end = again + 70 * SECOND
    with Recording(tmp_path) as recording:
        assert list(play(recording, START, end, [TICKER])) == [
            Entry(START, TICKER, STATE, status("live")),
            Entry(START + SECOND, TICKER, records.MESSAGE, ticker % 1),
            Missing(START + SECOND, again, "stopped"),
            Entry(again, TICKER, STATE, status("live")),
            Entry(again, TICKER, STATE, ticker % 2),
            Entry(again + SECOND, TICKER, records.MESSAGE, ticker % 3),
            Missing(again + 61 * SECOND, end, "unrecorded", TICKER),
        ]
        assert state_at(recording, START + 2 * SECOND, [TICKER])[TICKER][-1].body == ticker % 1
        assert state_at(recording, START + 50 * SECOND, [TICKER]) == {TICKER: []}, "nothing was recorded then"
        assert state_at(recording, end, [TICKER]) == {TICKER: []}


def test_what_is_no_recording_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadTape, match="neither a directory nor a file"):
        Recording(tmp_path / "nowhere")
    with Recording(tmp_path) as recording:
        assert recording.spans == [] and recording.topics() == {} and list(recording.read(0, ALL)) == []


def test_a_tape_of_version_1_is_read(tmp_path: Path) -> None:
    """Written by the recorder before blocks had columns: msgpack in place of them."""
    place = tmp_path / "writer-00" / "messages"
    place.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("version1.tape"), place / "0000000001.tape")
    assert verify(tmp_path).summary == "1 tapes, 1 segments, 3 blocks, 8 records, 0 holes, 0 torn ends: good"
    expected = [each for second in seconds_of_trades(3, a_second=2) for each in second]
    expected.insert(4, (expected[3][0], BOOK, records.KEYFRAME, b'{"type":"order_book_snapshot","payload":{}}'))
    with Recording(tmp_path) as recording:
        assert list(recording.read(0, 2 * START)) == [Entry(*each) for each in expected]
        before = list(recording.read(0, 2 * START, [BOOK]))
    assert sort_all(tmp_path, least_free=0) == 1
    with Recording(tmp_path) as recording:
        assert list(recording.read(0, 2 * START, [BOOK])) == before


def test_a_topic_that_two_processes_have_at_the_same_time_is_told_once(tmp_path: Path) -> None:
    """At a handover the new one begins before the old one has noticed; and the other way round, later."""

    def side(writer: str, *said: Said) -> Path:
        write_run(tmp_path / writer, [said])
        (tmp_path / writer / "writer-00").rename(tmp_path / writer.replace("at-", "writer-"))
        return tmp_path

    begin, end = (TRADES, records.BEGIN, b""), (TRADES, records.END, b"")
    at = [START + second * SECOND for second in range(12)]
    side("at-01", (at[0], *begin), trade(1, at[1]), trade(2, at[3]), trade(3, at[4]), (at[5], *end), trade(9, at[11]))
    side("at-02", (at[2], *begin), trade(2, at[3]), trade(3, at[4]), trade(4, at[6]), trade(5, at[7]), trade(9, at[8]))
    found = [each for each in read(tmp_path, TRADES) if isinstance(each, Entry)]
    assert [each.body for each in found if each.kind == records.MESSAGE] == [
        trade(number, 0)[3] for number in (1, 2, 3, 4, 5, 9)
    ]
    assert [each.time for each in found if each.kind == records.BEGIN] == [at[0], at[2]]
    later = [each for each in read(tmp_path, TRADES, begin=at[4]) if isinstance(each, Entry)]
    assert later == [each for each in found if each.time >= at[4]], "whoever begins to read within it"
    assert [each.time for each in found if each.kind == records.END] == [], "of the old one, when it was not its own"


def test_a_process_that_ends_while_others_go_on_ends_what_it_recorded(tmp_path: Path) -> None:
    """It was killed: nobody has said so before another one begins the topic, ten seconds later."""
    first = [[(START, TRADES, records.BEGIN, b""), trade(1, START + SECOND)]]
    begun = START + 11 * SECOND
    second: list[list[Said]] = [
        [(START, TICKER, records.BEGIN, b""), (START, TICKER, records.MESSAGE, b'{"type":"ticker","payload":{"a":1}}')],
        [(begun, TRADES, records.BEGIN, b""), trade(2, begun + SECOND)],
    ]
    for writer, blocks in (("01", first), ("02", second)):
        write_run(tmp_path / "other", blocks, close=writer == "02")
        (tmp_path / "other" / "writer-00").rename(tmp_path / f"writer-{writer}")
    with Recording(tmp_path) as recording:
        found = list(play(recording, START, begun + SECOND, [TRADES, TICKER]))
    assert [each for each in found if isinstance(each, Missing)] == [
        Missing(START + SECOND, begun, "unrecorded", TRADES)
    ]


def test_a_hole_of_one_process_is_none_of_what_another_one_records(tmp_path: Path) -> None:
    """One is killed and started again, and its next run tells of it."""
    for start, close in ((START, False), (START + 20 * SECOND, True)):
        blocks = [[(start, TRADES, records.BEGIN, b"")], *seconds_of_trades(5, start=start)]
        write_run(tmp_path, blocks, close=close)
    ticker = [
        (START + at * SECOND, TICKER, records.MESSAGE, b'{"type":"ticker","payload":{"a":1}}') for at in range(30)
    ]
    write_run(tmp_path / "other", [[(START, TICKER, records.BEGIN, b""), *ticker]])
    (tmp_path / "other" / "writer-00").rename(tmp_path / "writer-01")
    holes = [each for each in read(tmp_path, TRADES, TICKER) if isinstance(each, Missing)]
    assert [(each.reason, each.topic) for each in holes] == [("torn", TRADES), ("stopped", TRADES)]


def test_what_another_process_goes_on_with_is_known_from_there_on(tmp_path: Path) -> None:
    """The process that was killed tells of its holes when it is back, a second after the other one has begun."""
    begun = START + 10 * SECOND
    write_run(tmp_path, [[(START, TRADES, records.BEGIN, b""), trade(1, START + SECOND)]], close=False)
    write_run(tmp_path, [[(begun + SECOND, TICKER, records.BEGIN, b"")]])
    second: list[list[Said]] = [
        [(START, TICKER, records.BEGIN, b"")],
        [(begun, TRADES, records.BEGIN, b""), *(trade(each, begun + each) for each in range(2, 5))],
        [trade(5, begun + 5 * SECOND)],
    ]
    write_run(tmp_path / "other", second)
    (tmp_path / "other" / "writer-00").rename(tmp_path / "writer-01")
    with Recording(tmp_path) as recording:
        found = list(play(recording, START, begun + 9 * SECOND, [TRADES]))
        read_all = list(recording.read(START, begun + 9 * SECOND, [TRADES]))
    assert [each for each in found if isinstance(each, Missing)] == [
        Missing(START + SECOND, begun, "unrecorded", TRADES)
    ], "told once, whatever the tapes say of it"
    assert len([each for each in found if isinstance(each, Entry) and each.kind == records.MESSAGE]) == 5
    holes = [at for at, each in enumerate(read_all) if isinstance(each, Missing)]
    began = [at for at, each in enumerate(read_all) if isinstance(each, Entry) and each.kind == records.BEGIN]
    assert holes and max(holes) < began[-1], "what is lost comes before what is known again"


def test_between_two_processes_that_were_never_there_together_nothing_is_glued(tmp_path: Path) -> None:
    """One was killed, and another one on this machine began later: neither tape has a word about the time between."""
    begun = START + 10 * SECOND
    for writer, start in (("01", START), ("02", begun)):
        write_run(tmp_path / "other", [[(start, TRADES, records.BEGIN, b""), trade(1, start + SECOND)]], close=False)
        (tmp_path / "other" / "writer-00").rename(tmp_path / f"writer-{writer}")
    with Recording(tmp_path) as recording:
        found = list(play(recording, START, begun + SECOND, [TRADES]))
    assert [each for each in found if isinstance(each, Missing)] == [
        Missing(START + SECOND, begun, "unrecorded", TRADES)
    ]

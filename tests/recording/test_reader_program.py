"""The process that reads tapes: every kind of question, byte for byte, no further than somebody reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cryptodash.core.recorded import (
    STATE,
    Entry,
    Holdings,
    Missing,
    Play,
    Question,
    ReadAfter,
    Recorded,
    Span,
)
from cryptodash.core.topics import parse_topic
from cryptodash.recording import records
from cryptodash.recording.reader_program import serve
from cryptodash.recording.reader_wire import MOST_BODY, End, Failed, Frames, Told, encode_question
from tests.processes import environment
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

PROGRAM = [sys.executable, "-P", "-m", "cryptodash.recording.reader_program"]
END = START + 9 * SECOND + 9 * SECOND // 10
"""The last of ten seconds of trades."""


class Reader:
    """The program, asked one question after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._frames = Frames()

    def ask(self, question: Question) -> list[Any]:
        self.send(encode_question(question))
        return self.read()

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def read(self) -> list[Told]:
        """An answer, without its end where that is a good one."""
        assert self.process.stdout is not None
        found: list[Told] = []
        while not found or not isinstance(found[-1], (End, Failed)):
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, self.process.wait(10)
            found += self._frames.feed(data)
        return found[:-1] if isinstance(found[-1], End) else found


@contextmanager
def reader(directory: Path) -> Iterator[Reader]:
    command = [*PROGRAM, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            yield Reader(process)
        finally:
            process.kill()


def entries(blocks: list[list[Said]]) -> list[Entry]:
    return [Entry(*each) for block in blocks for each in block]


def with_cursor(number: int, at: int) -> Said:
    cursor = b"%s-%d-%d" % (parse_topic(TRADES).tag.encode(), START // 1000 + 1000 * number, number)
    return at, TRADES, records.MESSAGE, b'{"type":"trade","payload":{"id":"%d","cursor":"%s"}}' % (number, cursor)


def test_a_tape_is_played_byte_for_byte_and_its_end_is_told(tmp_path: Path) -> None:
    blocks = seconds_of_trades(10)
    write_run(tmp_path, blocks)
    said = entries(blocks)
    with reader(tmp_path) as asked:
        assert asked.ask(Play(START - 1, END, [TRADES])) == [Missing(START - 1, START, "unrecorded", TRADES), *said]
        assert asked.ask(Play(START, END + SECOND, [TRADES])) == [*said[1:], Missing(END, END + SECOND, "unwritten")]
        middle = START + 5 * SECOND
        assert asked.ask(Play(middle, END, [TRADES])) == [each for each in said if each.time > middle]


def test_topics_that_are_not_recorded_are_named_with_the_times_when_they_were(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(10))
    when = [Span(START, END)]
    with reader(tmp_path) as asked:
        later = END + 200 * SECOND
        assert asked.ask(Play(later, later + SECOND, [TRADES, TICKER])) == [
            Recorded(TRADES, when),
            Recorded(TICKER, []),
        ]
        found = asked.ask(Play(START, START + SECOND, [TICKER, TRADES]))
        assert found[0] == Recorded(TICKER, []) and {each.topic for each in found[1:]} == {TRADES}
        assert asked.ask(Play(later, later + SECOND, [TRADES])) == [Recorded(TRADES, when)]


def test_the_state_at_a_moment(tmp_path: Path) -> None:
    ticker = b'{"type":"ticker","payload":{"last":1.50}}'
    blocks: list[list[Said]] = [
        [(START, TICKER, records.BEGIN, b""), (START, TICKER, records.MESSAGE, ticker)],
        [(START + 9 * SECOND, TICKER, records.END, b"")],
    ]
    write_run(tmp_path, blocks)
    with reader(tmp_path) as asked:
        assert asked.ask(Play(START + SECOND, START + SECOND, [TICKER, BOOK])) == [
            Recorded(BOOK, []),
            Entry(START + SECOND, TICKER, STATE, ticker),
        ]
        assert asked.ask(Play(START + 9 * SECOND, START + 10 * SECOND, [TICKER])) == [
            Missing(START + 9 * SECOND, START + 10 * SECOND, "unrecorded", TICKER),
            Missing(START + 9 * SECOND, START + 10 * SECOND, "unwritten"),
        ]


def test_what_came_behind_a_cursor(tmp_path: Path) -> None:
    said = [with_cursor(number, START + at * SECOND) for at, number in enumerate([1, 2, 3, 2, 4])]
    write_run(tmp_path, [said])
    with reader(tmp_path) as asked:
        found = asked.ask(ReadAfter(TRADES, START // 1000 + 2000, "2"))
        assert found == [Entry(*said[at]) for at in (2, 4)]
        assert asked.ask(ReadAfter(TRADES, START // 1000 + 4000, "4")) == []
        assert asked.ask(ReadAfter(TRADES, 1, "2")) == [Missing(0, 0, "unknown", TRADES)]


def test_when_what_was_recorded(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(10))
    with reader(tmp_path) as asked:
        assert asked.ask(Holdings("")) == [Recorded(TRADES, [Span(START, END)])]
        assert asked.ask(Holdings("binance:spot:BTC-USDT:")) == [Recorded(TRADES, [Span(START, END)])]
        assert asked.ask(Holdings(TICKER)) == []


def test_damage_is_a_hole_and_what_is_no_recording_an_error(tmp_path: Path) -> None:
    blocks = seconds_of_trades(10)
    write_run(tmp_path, blocks)
    path = only_segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with reader(tmp_path) as asked:
        found = asked.ask(Play(START, END, [TRADES]))
        holes = [each for each in found if isinstance(each, Missing)]
        assert [each.reason for each in holes] == ["damaged"]
        assert [each for each in found if isinstance(each, Entry)] == [
            each for each in entries(blocks)[1:] if not holes[0].begin <= each.time <= holes[0].end
        ]
        asked.send(b"no question\n")
        assert asked.read()[0].message.startswith("no question: ")  # type: ignore[union-attr]
    with reader(tmp_path / "nothing") as asked:
        assert asked.ask(Play(START, END, [TRADES])) == [Recorded(TRADES, [])] and asked.ask(Holdings("")) == []
    with reader(Path("/dev/null")) as asked:
        assert "is neither a directory nor a file" in asked.ask(Holdings(""))[0].message


def test_what_the_system_says_names_no_path(tmp_path: Path) -> None:
    """Clients are told it."""
    said: list[bytes] = []
    serve(tmp_path / ("x" * 300), encode_question(Play(START, END, [TRADES])), said.append)
    assert Frames().feed(b"".join(said)) == [Failed("File name too long")]


def test_a_message_longer_than_one_may_be_is_a_hole(tmp_path: Path) -> None:
    part = b"x" * 2**20
    long = [(START, TRADES, records.MORE, part) for _ in range(MOST_BODY // 2**20)]
    write_run(tmp_path, [[trade(1, START)], *([each] for each in long), [(START, TRADES, records.MESSAGE, b"x")]])
    with reader(tmp_path) as asked:
        assert asked.ask(Play(START - 1, END - 9 * SECOND, [TRADES])) == [
            Missing(START - 1, START, "unrecorded", TRADES),
            Entry(*trade(1, START)),
            Missing(START, START, "damaged", TRADES),
            Missing(START, START + 9 * SECOND // 10, "unwritten"),
        ]


def test_a_pipe_that_nobody_reads_stops_it(tmp_path: Path) -> None:
    """100 MB are asked for: what it has made of them is in the pipe, and all it does is wait."""
    body = b"x" * 1000
    said = [[(START + at, TRADES, records.MESSAGE, body) for at in range(1000)]]
    write_run(tmp_path, said * 100, segment_bytes=2**26)
    with reader(tmp_path) as asked:
        asked.send(encode_question(Play(START - 1, END, [TRADES])))
        before = None
        until = monotonic() + 20
        while (after := used(asked.process.pid)) != before or after[0] == 0:
            assert monotonic() < until
            before = after
            signal.sigtimedwait((signal.SIGCHLD,), 0.3)
        assert after[1] < 200 * 2**20, after
        assert len(asked.read()) == 100_000 + 2


def used(process: int) -> tuple[int, int]:
    """(ticks of CPU in the program itself, bytes in memory)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    is_up = b"reader_program" in Path(f"/proc/{process}/cmdline").read_bytes()
    return int(fields[11]) * is_up, int(fields[21]) * os.sysconf("SC_PAGESIZE")


def test_it_ends_with_its_server(tmp_path: Path) -> None:
    write_run(tmp_path, seconds_of_trades(200, a_second=100))
    with reader(tmp_path) as asked:
        asked.send(encode_question(Play(START, 2 * START, [TRADES])))
        assert asked.process.stdin is not None and asked.process.stdout is not None
        asked.process.stdout.close()
        assert asked.process.wait(20) == 1
    with reader(tmp_path) as asked:
        asked.ask(Holdings(""))
        assert asked.process.stdin is not None
        asked.process.stdin.close()
        assert asked.process.wait(20) == 0


def test_it_imports_nothing_that_takes_long() -> None:
    program = "import sys, cryptodash.recording.reader_program; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    rooms = {name.split(".")[0] for name in found.stdout.split()}
    assert rooms & {"twisted", "zope", "asyncio", "autobahn", "pyarrow"} == set()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells priorities by /proc")
def test_the_present_goes_first(tmp_path: Path) -> None:
    with reader(tmp_path) as asked:
        asked.ask(Holdings(""))
        fields = Path(f"/proc/{asked.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        assert int(fields[16]) >= 5

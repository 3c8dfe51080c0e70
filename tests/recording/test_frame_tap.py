"""The frames tape: what crosses a venue's connections, and a replay of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.recording import records
from cryptodash.recording.entries import Entry
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.frame_tap import FrameTap
from cryptodash.recording.frames import TapedAnswer, TapedFrame, markets_in, read_frames
from cryptodash.recording.open_tape import OpenTape
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import Run
from cryptodash.recording.tape_writer import Block, TapeWriter
from cryptodash.simulator.recording import read_recording
from tests.recording.tapes import SECOND, START

SPOT = MarketType.SPOT
ASKED = b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}'


def frame(number: int) -> bytes:
    data = f'{{"e":"trade","E":{number},"s":"BTCUSDT","t":{number},"p":"43250.50000000","q":"1","T":{number},"m":true}}'
    return f'{{"stream":"btcusdt@trade","data":{data}}}'.encode()


class Taped:
    """One venue that is tapped; ``put`` is what its service does."""

    def __init__(self, root: Path) -> None:
        self.now = START
        self.writer = TapeWriter(
            WriterPlace(root, "test", least_free=0).tape("frames", 2**30, 2**20), Run("ab" * 16, 0, ""), lambda: 0.0
        )
        self.tape = OpenTape(lambda: self.now, self._put)
        self.tap = FrameTap("binance", self.tape)

    def _put(self, block: Block) -> bool:
        self.writer.write(block)
        return True

    def run(self) -> None:
        tap = self.tap
        tap.connecting("binance-spot-1", SPOT, "wss://h:1")
        tap.connecting("binance-usdm-2", MarketType.PERPETUAL, "wss://h:2")
        tap.sent("binance-spot-1", ASKED)
        tap.answered(SPOT, "snapshot", "/api/v3/depth?symbol=BTCUSDT&limit=100", b'{"bids":[]}')
        for number in range(6):
            self.now += SECOND
            tap.received("binance-spot-1", [frame(2 * number), frame(2 * number + 1)])
            tap.received("binance-usdm-2", [b'{"other":1}'])
        tap.closed("binance-spot-1", "remote")

    def close(self) -> None:
        self.tape.close_draft()
        self.writer.close()


def test_everything_is_on_tape_in_order_byte_for_byte(tmp_path: Path) -> None:
    taped = Taped(tmp_path)
    taped.run()
    taped.close()
    assert markets_in(tmp_path) == {"binance": {"spot", "perpetual"}}
    found = list(read_frames(tmp_path, "binance", "spot"))
    frames = [each for each in found if isinstance(each, TapedFrame)]
    assert [(each.came_in, each.frame) for each in frames] == [(False, ASKED), *((True, frame(n)) for n in range(12))]
    assert [each.at - START / SECOND for each in frames[1::2]] == [1, 2, 3, 4, 5, 6]
    (answer,) = [each for each in found if isinstance(each, TapedAnswer)]
    assert (answer.url, answer.body) == ("/api/v3/depth?symbol=BTCUSDT&limit=100", b'{"bids":[]}')
    with Recording(tmp_path, "frames") as recording:
        kinds = [each.kind for each in recording.read(0, 2 * START) if isinstance(each, Entry)]
    assert kinds[:2] == [records.OPENED, records.OPENED] and kinds[-1] == records.CLOSED


def test_of_two_processes_that_had_the_exchange_at_once_both_are_there(tmp_path: Path) -> None:
    """A lease says who may speak, not what came over a connection: what each saw is kept, and is told by time."""
    one, other = Taped(tmp_path), Taped(tmp_path)
    other.now += SECOND // 2
    for each in (one, other):
        each.run()
        each.close()
    assert len(list(tmp_path.glob("writer-*"))) == 2
    frames = [each for each in read_frames(tmp_path, "binance", "spot") if isinstance(each, TapedFrame)]
    assert sorted(each.frame for each in frames if each.came_in) == sorted(2 * [frame(n) for n in range(12)])
    assert [each.at for each in frames] == sorted(each.at for each in frames)
    alone = [each for each in read_frames(tmp_path / "writer-01", "binance", "spot") if isinstance(each, TapedFrame)]
    assert [each.frame for each in alone if each.came_in] == [frame(n) for n in range(12)]


def test_a_segment_can_be_read_alone_for_what_is_open_is_told_again(tmp_path: Path) -> None:
    taped = Taped(tmp_path)
    taped.tap.connecting("binance-spot-1", SPOT, "wss://h:1")
    taped.tap.sent("binance-spot-1", ASKED)
    taped.tape.close_draft()
    taped.writer.close()
    for _ in taped.tap.standing():
        pass
    taped.tap.received("binance-spot-1", [frame(1), frame(2)])
    taped.close()
    _, second = sorted(tmp_path.glob("writer-00/frames/*.tape"))
    found = list(read_frames(second, "binance", "spot"))
    assert [(each.came_in, each.frame) for each in found if isinstance(each, TapedFrame)] == [
        (False, ASKED),
        (True, frame(1)),
        (True, frame(2)),
    ]


def test_a_replay_of_a_tape_is_that_of_the_same_lines(tmp_path: Path) -> None:
    taped = Taped(tmp_path / "tape")
    taped.run()
    taped.close()
    lines: list[dict[str, object]] = [{"t": START / SECOND, "dir": "out", "raw": ASKED.decode()}]
    lines += [
        {"t": START / SECOND + 1 + number // 2, "dir": "in", "raw": frame(number).decode()} for number in range(12)
    ]
    (tmp_path / "spot.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    of_file = read_recording(tmp_path / "spot.jsonl")
    of_tape = read_recording(tmp_path / "tape", market="spot")
    assert of_tape.frames == of_file.frames and of_tape.symbols == of_file.symbols
    assert (of_tape.exchange, of_tape.market, of_tape.tick_sizes) == ("binance", SPOT, of_file.tick_sizes)
    assert of_tape.snapshots == {"BTCUSDT": b'{"bids":[]}'} and of_tape.limits == {"BTCUSDT": 100}
    assert of_tape.answers("/depth", [("limit", "100")]) == [b'{"bids":[]}']
    part = read_recording(tmp_path / "tape", market="spot", begin=START + 3 * SECOND, end=START + 4 * SECOND)
    assert [each.text for each in part.frames] == [frame(number).decode() for number in (4, 5, 6, 7)]


def test_a_connection_that_nobody_knows_disturbs_nothing(tmp_path: Path) -> None:
    taped = Taped(tmp_path)
    taped.tap.sent("gone", b"x")
    taped.tap.closed("gone", "remote")
    taped.run()
    taped.close()
    assert len(list(read_frames(tmp_path, "binance", "spot"))) == 14


def test_what_comes_of_frames_has_their_time(tmp_path: Path) -> None:
    """Until they are dealt with the clock is not asked again."""
    taped = Taped(tmp_path)
    taped.tap.connecting("binance-1", SPOT, "wss://h")
    taken: list[Sequence[bytes]] = []

    def take(connection: str, frames: Sequence[bytes]) -> None:
        taken.append(frames)
        taped.now += SECOND
        taped.tap.sent(connection, ASKED)
        if len(taken) > 1:
            raise ValueError("a fault of what deals with it")

    deal = taped.tap.dealing_with(take)
    deal("binance-1", [frame(1), frame(2)])
    taped.tap.received("binance-1", [frame(3)])
    with pytest.raises(ValueError, match="a fault"):
        deal("binance-1", [frame(4)])
    taped.tap.received("binance-1", [frame(5)])
    assert taken == [[frame(1), frame(2)], [frame(4)]]
    taped.close()
    with Recording(tmp_path, "frames") as recording:
        found = [each for each in recording.read(0, 2 * START) if isinstance(each, Entry)]
    assert [each.time - START for each in found] == [0, 0, 0, 0, SECOND, SECOND, SECOND, 2 * SECOND]
    kinds = (records.OPENED, records.IN, records.IN, records.OUT, records.IN, records.IN, records.OUT, records.IN)
    assert tuple(each.kind for each in found) == kinds

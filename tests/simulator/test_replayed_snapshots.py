"""Which REST order book of a recording answers a request, and how what lies before the chosen time is played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from attrs import evolve

from cryptodash.simulator.recording import Frame, TimedSnapshot
from cryptodash.simulator.replay import FRAMES_BEFORE_SNAPSHOT, SNAPSHOT_PATIENCE, Replay
from cryptodash.simulator.replayed_snapshots import ReplayedSnapshots
from cryptodash.testing.network import MemoryNetwork
from tests.simulator.test_replay import Stage, recording

BTC = "BTCUSDT"
STREAM = "btcusdt@depth@100ms"


def shelf(*several: tuple[float, bool]) -> ReplayedSnapshots:
    timed = [TimedSnapshot(str(at).encode(), at, is_checkpoint) for at, is_checkpoint in several]
    return ReplayedSnapshots(evolve(recording([]), timed_snapshots={BTC: timed}))


def answer(at: float) -> tuple[float, bool]:
    return at, False


def checkpoint(at: float) -> tuple[float, bool]:
    return at, True


@pytest.mark.parametrize(
    ("several", "asked_at", "given"),
    [
        ([answer(1)], [-1.0, 2.0], ["1", None]),
        ([answer(1), answer(2)], [-1.0, -1.0], ["1", "2"]),
        # What has come since makes the earlier ones useless.
        ([answer(1), answer(2), answer(19)], [5.0], ["2"]),
        # What came soon after came to this very request.
        ([answer(1), answer(200)], [0.9, 199.9], ["1", "200"]),
        ([answer(1), answer(100), answer(200)], [0.9, 199.9], ["1", "200"]),
        ([answer(1), answer(100), answer(200)], [0.9, 150.0], ["1", "100"]),
        # A checkpoint is there because nothing else was.
        ([checkpoint(0), answer(2)], [0.5], ["0"]),
        ([checkpoint(0), answer(2)], [2.5], ["2"]),
        ([answer(1), checkpoint(200)], [0.9, 199.0], ["1", "200"]),
        ([answer(1), answer(50), checkpoint(200)], [0.9, 201.0], ["1", "200"]),
        ([answer(1), checkpoint(200)], [0.9, 100.0, 199.0], ["1", None, "200"]),
        ([checkpoint(-600), checkpoint(5)], [-590.0, 4.0], ["-600", "5"]),
    ],
)
def test_a_request_is_answered_by_what_fits(
    several: Sequence[tuple[float, bool]], asked_at: Sequence[float], given: Sequence[str | None]
) -> None:
    found = shelf(*several)
    bodies = [found.next(BTC, at) for at in asked_at]
    assert [None if body is None else body.decode() for body in bodies] == given


def test_answers_without_times_are_given_one_after_the_other() -> None:
    found = ReplayedSnapshots(recording([], b"second"))
    assert [found.next(BTC, at) for at in (5.0, -1.0, 0.0)] == [b'{"lastUpdateId":7}', b"second", None]
    assert found.next("ETHUSDT", 0.0) is None and found.awaited(9.0) == {}


def test_a_book_is_awaited_from_its_checkpoint_until_it_was_asked_for() -> None:
    found = shelf(checkpoint(3), answer(9))
    assert [dict(found.awaited(at)) for at in (2.9, 3.0)] == [{}, {BTC: 3}]
    found.next(BTC, 3.5)
    assert found.awaited(20.0) == {}


# -- what lies before the time that was asked for


def frames(count: int) -> list[Frame]:
    early = [Frame(-600.0 + n / 10, STREAM, f"early {n}") for n in range(count)]
    return [*early, Frame(0.0, STREAM, "at"), Frame(1.0, STREAM, "later")]


@pytest.fixture
def stage() -> Iterator[Any]:
    made: list[Stage] = []

    def begin(count: int, *several: tuple[float, bool], speed: float = 1.0) -> Stage:
        network = MemoryNetwork()
        timed = [TimedSnapshot(b'{"lastUpdateId":%d}' % at, at, is_checkpoint) for at, is_checkpoint in several]
        played = evolve(recording(frames(count)), timed_snapshots={BTC: timed} if timed else {})
        found = Stage(network, Replay(network, played, delay=0.0, speed=speed))
        found.replay.listen()
        found.replay.startService()
        made.append(found)
        return found

    yield begin
    for each in made:
        each.replay.stopService()
        each.network.settle()


def test_it_is_played_at_once_and_the_rest_at_its_pace(stage: Any) -> None:
    found = stage(1_200)
    client = found.connect(STREAM)
    found.network.advance(0.25)
    found.network.settle()
    assert len(client.frames) == 1_201 and client.frames[-1] == "at"
    found.network.pass_time(0.5)
    assert len(client.frames) == 1_201
    found.network.pass_time(1.0)
    assert client.frames[-1] == "later"


def test_it_waits_until_the_books_of_the_checkpoint_were_asked_for(stage: Any) -> None:
    """What a book keeps while it waits is bounded: an hour of frames would be too much for it."""
    found = stage(1_200, checkpoint(-600))
    client = found.connect(STREAM)
    found.network.pass_time(1.0, 0.0625)
    assert FRAMES_BEFORE_SNAPSHOT <= len(client.frames) <= 500
    assert found.get("/api/v3/depth?symbol=BTCUSDT&limit=100") == (200, b'{"lastUpdateId":-600}')
    found.network.pass_time(0.5, 0.0625)
    assert len(client.frames) == 1_201


def test_it_does_not_wait_for_ever(stage: Any) -> None:
    found = stage(1_200, checkpoint(-600))
    client = found.connect(STREAM)
    found.network.pass_time(SNAPSHOT_PATIENCE / 2, 0.0625)
    assert len(client.frames) <= 500
    found.network.pass_time(SNAPSHOT_PATIENCE, 0.0625)
    assert client.frames[-1] == "later"


def test_so_it_does_where_all_is_played_as_fast_as_it_goes(stage: Any) -> None:
    found = stage(0, checkpoint(0), speed=0.0)
    found.replay._frames.extend(Frame(1.0 + n / 10, STREAM, f"{n}") for n in range(1_200))
    client = found.connect(STREAM)
    found.network.pass_time(1.0, 0.0625)
    assert len(client.frames) <= 500
    found.get("/api/v3/depth?symbol=BTCUSDT&limit=100")
    found.network.pass_time(0.5, 0.0625)
    assert len(client.frames) == 1_202

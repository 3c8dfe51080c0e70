"""Tapes of several processes of which one was given the lease of another: who is told, whatever their clocks say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cryptodash.core.cursors import Cursor
from cryptodash.core.topics import parse_topic
from cryptodash.recording import records
from cryptodash.recording.continuation import read_after
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.history import Reading, is_trade
from cryptodash.recording.playback import play, state_at
from cryptodash.recording.recording import Recording
from cryptodash.recording.records import Hole, held
from cryptodash.recording.sorting import sort_all
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.verify import verify
from tests.recording.tapes import SECOND, START, TICKER, TRADES, Said, write_run

END = START + 1000 * SECOND
TAG = parse_topic(TRADES).tag
OLDER, NEWER = 1_700_000_000_000_005, 1_700_000_000_000_009
"""Fences."""


def at(second: float) -> int:
    return START + round(second * SECOND)


def begin(second: float, fence: int | None, kind: int = records.BEGIN) -> Said:
    return at(second), TRADES, kind, held(fence)


def end(second: float) -> Said:
    return at(second), TRADES, records.END, b""


def trade(number: int, second: float) -> Said:
    """The venue's clock says that it was at the second that is its number."""
    said = f'"id":"{number}","cursor":"{TAG}-{START // 1000 + 1000 * number}-{number}"'
    return at(second), TRADES, records.MESSAGE, b'{"type":"trade","payload":{%s}}' % said.encode()


def shifted(said: list[Said], seconds: float) -> list[Said]:
    """As a machine writes it whose clock is so much ahead."""
    return [(time + round(seconds * SECOND), *rest) for time, *rest in said]


@pytest.fixture(params=["as written", "sorted"])
def tapes(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Recording]:
    """A recording of several writers, each with a list of what it said in order; in blocks of three records."""

    def make(*writers: list[Said]) -> Recording:
        for number, said in enumerate(writers):
            write_run(tmp_path / "made", [said[place : place + 3] for place in range(0, len(said), 3)])
            (tmp_path / "made" / "writer-00").rename(tmp_path / f"writer-{number:02}")
        (tmp_path / "made").rmdir()
        assert verify(tmp_path).errors == [line for line in verify(tmp_path).errors if "no hole tells" in line]
        if request.param == "sorted":
            assert sort_all(tmp_path, least_free=0) == len(writers)
        return Recording(tmp_path)

    return make


def numbers(found: list[Any]) -> list[int | str]:
    """Trades by their numbers, holes by their reasons."""
    return [
        each.reason if isinstance(each, Missing) else int(each.body.split(b'"')[9])
        for each in found
        if isinstance(each, Missing) or each.kind == records.MESSAGE
    ]


def played(recording: Recording, begin: float = -0.5, until: float = 100) -> list[int | str]:
    return numbers(list(play(recording, at(begin), at(until), [TRADES])))


def asked(recording: Recording) -> list[int | str]:
    """As history."""
    reading = Reading(recording, TRADES, START, at(100), 1000)
    return numbers(list(reading.items(is_trade)))


def resumed(recording: Recording, number: int) -> list[int | str]:
    return numbers(list(read_after(recording, TRADES, Cursor(START // 1000 + 1000 * number, str(number)))))


ZOMBIE: list[Said] = [begin(0, OLDER), *(trade(each, each) for each in (1, 2, 3)), trade(20, 20), trade(21, 21)]
"""It stood still from 3 to 20, and did not know that another one had its lease."""
HOLDER: list[Said] = [begin(10, NEWER), *(trade(each, each) for each in range(11, 31)), begin(60, NEWER, records.HELD)]


def test_what_a_process_says_behind_the_lease_of_another_one_is_not_told(tapes: Callable[..., Recording]) -> None:
    """Not even where it begins the topic again then."""
    again = [end(21.5), begin(22, OLDER), trade(22, 22.5), trade(23, 23.5), end(24)]
    with tapes([*ZOMBIE, *again], HOLDER) as recording:
        assert played(recording) == ["unrecorded", 1, 2, 3, "unrecorded", *range(11, 31)]
        assert asked(recording)[:-1] == [1, 2, 3, "unrecorded", *range(11, 31)]
        assert resumed(recording, 2) == [3, "unrecorded", *range(11, 31)]
        holes = [each for each in play(recording, at(1), at(25), [TRADES]) if isinstance(each, Missing)]
        assert holes == [Missing(at(3), at(10), "unrecorded", TRADES)], "two times, and one hole"


@pytest.mark.parametrize("is_late", [False, True], ids=["told first", "told behind what it read first"])
def test_where_it_stood_still_is_one_hole_up_to_where_the_other_one_began(tmp_path: Path, is_late: bool) -> None:
    hole = records.encode(Hole(at(3), at(20), "stalled"))
    said = [ZOMBIE[:4], ZOMBIE[4:5], ZOMBIE[5:]]
    place = 2 if is_late else 1
    before = {place: [(records.HOLE, said[place][0][0], -1, hole)]}
    write_run(tmp_path / "made", said, before=before)
    (tmp_path / "made" / "writer-00").rename(tmp_path / "writer-01")
    write_run(tmp_path / "made", [HOLDER])
    (tmp_path / "made" / "writer-00").rename(tmp_path / "writer-02")
    with Recording(tmp_path) as recording:
        holes = [each for each in play(recording, at(1), at(25), [TRADES]) if isinstance(each, Missing)]
        assert holes == [Missing(at(3), at(10), "unrecorded" if is_late else "stalled", TRADES)]
        assert [each for each in played(recording, 0.5) if isinstance(each, int)] == [1, 2, 3, *range(11, 31)]
        assert asked(recording)[:-1] == [1, 2, 3, holes[0].reason, *range(11, 31)]


def test_nor_once_the_other_one_has_ended_the_topic(tapes: Callable[..., Recording]) -> None:
    holder = [begin(10, NEWER), trade(11, 11), end(15), (at(40), TICKER, records.MESSAGE, b"{}")]
    with tapes([*ZOMBIE, begin(22, OLDER), trade(22, 22)], holder) as recording:
        assert played(recording, 0.5) == [1, 2, 3, "unrecorded", 11, "unrecorded"]
        assert resumed(recording, 2) == [3, "unrecorded", 11]


def test_whoever_was_given_it_again_goes_on(tapes: Callable[..., Recording]) -> None:
    """The fence is of the lease, not of the process."""
    with tapes([*ZOMBIE, end(21.5), begin(31, NEWER + 1), trade(31, 31.5), trade(32, 32)], HOLDER) as recording:
        assert played(recording, 0.5, 33)[3:] == ["unrecorded", *range(11, 31), "unrecorded", 31, 32, "unrecorded"]
        assert resumed(recording, 29) == [30, "unrecorded", 31, 32]


@pytest.mark.parametrize("ahead", [3, 12])
def test_the_clock_of_the_old_one_is_ahead(tapes: Callable[..., Recording], ahead: float) -> None:
    """By 3 s: it was killed at 9, when its clock said 12. By 12: it began the topic later by its clock. Nothing of the
    new one is lost, and nothing is glued: where that begins is a hole."""
    killed = [begin(0, OLDER), *(trade(each, each) for each in range(1, 10))]
    with tapes(shifted(killed, ahead), HOLDER) as recording:
        found = played(recording, -0.5)
        old = [each for each in found if isinstance(each, int) and each < 10]
        assert old == ([1, 2, 3, 4, 5, 6, 7] if ahead == 3 else [])
        assert found == ["unrecorded", *old, *(["unrecorded"] if old else []), *range(11, 31)]
        assert asked(recording)[:-1] == ["unrecorded", *found[1:]]
        if ahead == 3:
            assert resumed(recording, 5) == [6, 7, "unrecorded", *range(11, 31)]
            assert resumed(recording, 8) == ["unrecorded", *range(11, 31)], "its clock said 11, that of the new one 10"


def test_the_clock_of_the_old_one_is_behind(tapes: Callable[..., Recording]) -> None:
    killed = [begin(0, OLDER), *(trade(each, each) for each in range(1, 10))]
    with tapes(shifted(killed, -3), HOLDER) as recording:
        assert played(recording, -3.5) == ["unrecorded", *range(1, 10), "unrecorded", *range(11, 31)]
        assert resumed(recording, 5) == [6, 7, 8, 9, "unrecorded", *range(11, 31)]
        holes = [each for each in play(recording, at(1), at(30), [TRADES]) if isinstance(each, Missing)]
        assert holes == [Missing(at(6), at(10), "unrecorded", TRADES)], (
            "from the one tape's end to the other's beginning"
        )


def test_one_that_woke_with_a_clock_that_is_behind_repeats_nothing(tapes: Callable[..., Recording]) -> None:
    """By its clock it said so before the new one began: nobody can know better, but that both said the same."""
    with tapes(shifted([*ZOMBIE, end(21.5)], -14), HOLDER) as recording:
        found = played(recording, -14.5)
        told = [each for each in found if isinstance(each, int)]
        assert sorted(told) == [1, 2, 3, *range(11, 31)] and found.count("unrecorded") == 2
        assert sorted(each for each in asked(recording) if isinstance(each, int)) == [*range(11, 31)]


def test_whoever_reads_from_the_middle_knows_the_fences(tapes: Callable[..., Recording]) -> None:
    """Both record on: the one is cut off from the others, and does not know."""
    cut_off = [begin(0, OLDER), *(trade(each, each) for each in range(1, 100)), begin(60, OLDER, records.HELD)]
    cut_off += [trade(each, each + 0.01) for each in range(100, 130)]
    cut_off.sort(key=lambda each: each[0])
    holder = [begin(5, NEWER), *(trade(each, each + 0.5) for each in range(6, 130)), begin(65, NEWER, records.HELD)]
    holder.sort(key=lambda each: each[0])
    with tapes(cut_off, holder) as recording:
        assert played(recording, 100.1, 129) == [*range(100, 129)]
        assert state_at(recording, at(120), [TRADES]) == {TRADES: []}
        entries = [each for each in recording.read(at(100), at(110)) if isinstance(each, Entry)]
        assert {each.time % SECOND for each in entries} == {SECOND // 2}, "each once, of the one that had the lease"


def test_where_tapes_know_no_fences_who_begins_later_has_the_topic(tapes: Callable[..., Recording]) -> None:
    """Of an earlier version; and where one of the two is."""
    old, new = [begin(0, None), trade(1, 1), trade(3, 12)], [begin(10, None), trade(2, 11), trade(4, 13)]
    with tapes(old, new) as recording:
        assert played(recording, 0.5, 13) == [1, 2, 4]


@pytest.mark.parametrize(("first", "second"), [(None, NEWER), (NEWER, None)])
def test_where_one_of_two_knows_none_as_well(
    tapes: Callable[..., Recording], first: int | None, second: int | None
) -> None:
    with tapes(
        [begin(0, first), trade(1, 1), trade(3, 12)], [begin(10, second), trade(2, 11), trade(4, 13)]
    ) as recording:
        assert played(recording, 0.5, 13) == [1, 2, 4]


BODIES = [b"{", b"{}", b"[]", b"null", b"1", b'{"fence":-1}', b'{"fence":1e400}', b'{"fence":%d}' % (2**53 + 1)]
BODIES += [b'{"fence":"7"}', b'{"fence":null}', b"\xff\xfe", b'{"fence":' * 2000, b"[" * 100_000]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_what_is_no_fence_is_damage(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(BadTape):
        records.fence_of(body)
    bad = (at(20), TRADES, records.BEGIN, body)
    for number, said in enumerate(([*ZOMBIE[:-2], bad, *ZOMBIE[-2:]], HOLDER)):
        write_run(tmp_path / "made", [said])
        (tmp_path / "made" / "writer-00").rename(tmp_path / f"writer-{number:02}")
    assert any("cannot be read" in line for line in verify(tmp_path).errors)
    with Recording(tmp_path) as recording:
        assert played(recording, 0.5, 25)[:5] == [1, 2, 3, "unrecorded", 11]
        assert "damaged" in played(recording, 0.5, 25) and 20 in played(recording, 0.5, 25)
        assert resumed(recording, 2)[0] == 3


def test_mutated_fences_end_nothing(tmp_path: Path) -> None:
    rng = Random(7)
    body = held(NEWER)
    for number in range(200):
        mutated = bytearray(body)
        for _ in range(rng.randrange(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        root = tmp_path / str(number % 7)
        said = [(at(10), TRADES, records.BEGIN, bytes(mutated)), *HOLDER[1:]]
        if number < 7:
            for writer, each in enumerate((ZOMBIE, said)):
                write_run(root / "made", [each])
                (root / "made" / "writer-00").rename(root / f"writer-{writer:02}")
            with Recording(root) as recording:
                assert played(recording) and asked(recording) and resumed(recording, 2)
        try:
            fence = records.fence_of(bytes(mutated))
        except BadTape:
            continue
        assert fence is not None and 0 <= fence <= 2**53


@pytest.mark.parametrize("asked_at", [3.5, 12, 60])
def test_a_process_that_has_just_ended_leaves_a_hole_of_its_whole_length(
    tapes: Callable[..., Recording], asked_at: float
) -> None:
    """Whenever it is asked: also before the tape of the new one is so long that the old one must be dead."""
    killed = [begin(0, OLDER), *(trade(each, each) for each in (1, 2, 3))]
    begun = [begin(4.5, NEWER), *(trade(each, each) for each in range(5, 60) if each <= asked_at)]
    with tapes(killed, [(at(0), TICKER, records.MESSAGE, b"{}"), *begun]) as recording:
        holes = [each for each in play(recording, at(1), at(8), [TRADES]) if isinstance(each, Missing)]
        assert holes[0] == Missing(at(3), at(4.5), "unrecorded", TRADES)

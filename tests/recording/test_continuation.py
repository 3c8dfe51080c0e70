"""A client that comes back goes on from the tape: what came after its cursor, once, in order, with each hole in its
place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptodash.core.cursors import Cursor
from cryptodash.core.recorded import UNKNOWN
from cryptodash.core.topics import parse_topic
from cryptodash.recording import records
from cryptodash.recording.continuation import read_after
from cryptodash.recording.entries import Missing
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.recording import Recording
from tests.recording.tapes import SECOND, START, TRADES, Said, only_segment, write_run

BARS = "binance:spot:BTC-USDT:candle:1m"


def at(second: float) -> int:
    return START + int(second * SECOND)


def ms(second: float) -> int:
    return at(second) // 1000


def trade(number: int, second: float, *, venue: float | None = None, replayed: bool = False) -> Said:
    """Number ``number``, which came at that second; of the venue's time ``venue``."""
    cursor = f"{parse_topic(TRADES).tag}-{ms(second if venue is None else venue)}-{number}"
    tail = b',"replayed":true' if replayed else b""
    body = b'{"type":"trade","payload":{"id":"%d","cursor":"%s"%s}}' % (number, cursor.encode(), tail)
    return at(second), TRADES, records.MESSAGE, body


def bar(minute: int, *, closed: bool = True) -> Said:
    name = b',"cursor":"%s-%d-"' % (parse_topic(BARS).tag.encode(), ms(60 * minute)) if closed else b""
    return at(60 * minute + 60), BARS, records.MESSAGE, b'{"type":"candle","payload":{"closed":true%s}}' % name


def begin(second: float, topic: str = TRADES) -> Said:
    return at(second), topic, records.BEGIN, b""


def end(second: float) -> Said:
    return at(second), TRADES, records.END, b""


def cursor(number: int, second: float) -> Cursor:
    return Cursor(ms(second), str(number))


def told(root: Path, since: Cursor, topic: str = TRADES) -> list[object]:
    """The ids in order; a hole is its reason."""
    with Recording(root) as recording:
        found: list[object] = []
        for each in read_after(recording, topic, since):
            if isinstance(each, Missing):
                found.append(each.reason)
            elif b'"type":"gap"' in each.body:
                found.append("gap")
            else:
                number = each.body.partition(b'"id":"')[2].partition(b'"')[0]
                found.append(int(number) if number else each.time)
        return found


def trades(*numbers: int) -> list[Said]:
    """One each second, its number being the second."""
    return [trade(number, number) for number in numbers]


def test_all_that_came_after_the_message_once_and_in_order(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2, 3)], trades(4, 5), trades(6)])
    assert told(tmp_path, cursor(2, 2)) == [3, 4, 5, 6]
    assert told(tmp_path, cursor(6, 6)) == []


def test_between_two_runs_a_hole_stands_in_its_place(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2, 3)]], close=False)
    write_run(tmp_path, [[begin(60), *trades(61, 62)]])
    assert told(tmp_path, cursor(2, 2)) == [3, "unrecorded", 61, 62]


def test_one_hole_though_there_were_two_runs_without_a_message(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1)]], close=False)
    write_run(tmp_path, [[begin(60)]], close=False)
    write_run(tmp_path, [[begin(90), *trades(91)]])
    assert told(tmp_path, cursor(1, 1)) == ["unrecorded", 91]


def test_a_message_that_the_kill_tore_off_is_in_the_hole(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2)]], close=False)
    write_run(tmp_path, [[begin(30), *trades(31)]])
    assert told(tmp_path, cursor(4, 4)) == ["unrecorded", 31]
    assert told(tmp_path, cursor(4, 2)) == ["unrecorded", 31], "at the moment of the last one"


def test_what_the_venue_repeats_behind_the_hole_is_not_told_again_and_shows_that_nothing_is_missing(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2, 3)]], close=False)
    repeats = [trade(number, 60, venue=number, replayed=True) for number in (2, 3, 40)]
    write_run(tmp_path, [[begin(60), *repeats, *trades(61)]])
    assert told(tmp_path, cursor(1, 1)) == [2, 3, 40, 61]


def test_repeats_that_do_not_reach_back_to_the_last_message_leave_the_hole(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2, 3)]], close=False)
    write_run(tmp_path, [[begin(60), trade(40, 60, venue=40, replayed=True), *trades(61)]])
    assert told(tmp_path, cursor(1, 1)) == [2, 3, "unrecorded", 40, 61]


def test_a_message_that_only_a_repeat_has_is_gone_on_from_there(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2)]], close=False)
    write_run(tmp_path, [[begin(30), *[trade(each, 30, venue=each, replayed=True) for each in (3, 4, 5)], *trades(31)]])
    assert told(tmp_path, cursor(4, 4)) == [5, 31]


def test_a_time_in_which_the_topic_was_not_recorded_is_a_hole(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1), end(2)], [begin(20), *trades(21)]])
    assert told(tmp_path, cursor(1, 1)) == ["unrecorded", 21]


def test_a_damaged_block_is_a_hole(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1)], trades(2), trades(3)])
    path = only_segment(tmp_path)
    data = bytearray(path.read_bytes())
    second = data.index(b"CDtb", data.index(b"CDtb") + 4)
    data[data.index(b"CDtb", second + 4) - 3] ^= 1
    path.write_bytes(data)
    assert told(tmp_path, cursor(1, 1)) == ["unrecorded", 3]


def test_another_process_that_records_the_topic_meanwhile_leaves_no_hole(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2)]], close=False)
    place = WriterPlace(tmp_path, "the first one, still", least_free=0)
    place.tape("messages", 2**30, 2**20)()
    write_run(tmp_path, [[begin(1.5), *trades(2, 3, 4)]])
    place.release()
    assert len(list(tmp_path.glob("writer-*/messages/*.tape"))) == 2
    assert told(tmp_path, cursor(1, 1)) == [2, 3, 4]


def test_what_the_venue_says_is_missing_is_told_in_its_place(tmp_path: Path) -> None:
    gap = at(2), TRADES, records.MESSAGE, b'{"type":"gap","payload":{"reason":"failover"}}'
    write_run(tmp_path, [[begin(0), *trades(1), gap, *trades(3)]])
    assert told(tmp_path, cursor(1, 1)) == ["gap", 3]


def test_where_the_tape_does_not_reach_back_it_says_so_and_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2)]])
    for since in (cursor(1, -3600), cursor(1, 3600), Cursor(0, "1"), Cursor(10**15 - 1, "1")):
        assert told(tmp_path, since) == [UNKNOWN]
    assert told(tmp_path, Cursor(ms(1), "1"), "binance:spot:ETH-USDT:trade") == [UNKNOWN], "never recorded"


def test_a_message_just_before_the_topic_was_recorded_has_a_hole_behind_it(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(5), *trades(6, 7)]])
    assert told(tmp_path, cursor(4, 4)) == ["unrecorded", 6, 7]


def test_a_message_that_is_not_there_though_all_was_recorded_has_a_hole_behind_it(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2, 3)]])
    assert told(tmp_path, cursor(99, 2)) == ["unrecorded", 3]


def test_liquidations_without_an_id_are_told_apart_by_what_they_say(tmp_path: Path) -> None:
    topic = "binance:perpetual:BTC-USDT:liquidation"

    def liquidation(number: int, second: float) -> Said:
        name = f"{parse_topic(topic).tag}-{ms(second)}-sell{number}.5x1".encode()
        body = b'{"type":"liquidation","payload":{"id":"%d","cursor":"%s","received":"x"}}' % (number, name)
        return at(second), topic, records.MESSAGE, body

    write_run(tmp_path, [[begin(0, topic), liquidation(1, 1), liquidation(2, 1), liquidation(3, 1), liquidation(4, 9)]])
    assert told(tmp_path, Cursor(ms(1), "sell2.5x1"), topic) == [3, 4]
    assert told(tmp_path, Cursor(ms(1), "sell4.5x1"), topic) == ["unrecorded", 4], "which of one moment, nobody knows"


@pytest.mark.parametrize("interval", ["1m", "1w", "1M"])
@pytest.mark.parametrize("time", [0, 10**15 - 1, 253_402_300_799_999, 1])
def test_a_cursor_that_somebody_made_up_reaches_nowhere(tmp_path: Path, interval: str, time: int) -> None:
    topic = f"binance:spot:BTC-USDT:candle:{interval}"
    write_run(tmp_path, [[begin(0, topic)]])
    assert told(tmp_path, Cursor(time, ""), topic) == [UNKNOWN]


def test_clocks_that_differ_by_hours_are_found_all_the_same(tmp_path: Path) -> None:
    behind = [trade(each, each, venue=each - 100) for each in (1, 2, 3)]
    write_run(tmp_path, [[begin(0), *behind]])
    assert told(tmp_path, Cursor(ms(2 - 100), "2")) == [3]


def test_the_wall_clock_set_back_between_two_runs_changes_no_order(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0), *trades(1, 2)]], close=False)
    write_run(tmp_path, [[begin(-3600), trade(7, -3599, venue=7)]])
    assert told(tmp_path, cursor(1, 1)) == [2, "unrecorded", 7]


def test_bars_go_on_with_the_next_one_and_a_hole_is_where_one_is_missing(tmp_path: Path) -> None:
    write_run(tmp_path, [[begin(0, BARS), bar(0), bar(1, closed=False), bar(1)]], close=False)
    write_run(tmp_path, [[begin(150, BARS), bar(2), bar(3)]], close=False)
    write_run(tmp_path, [[begin(390, BARS), bar(6)]])
    found = told(tmp_path, Cursor(ms(0), ""), BARS)
    assert found == [at(120), at(180), at(240), "unrecorded", at(420)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"trade","payload":{"cursor":7}}',
        b'{"type":"trade","payload":{"cursor":"00000000-1-1"}}',
        b'{"type":"trade","payload":[]}',
        b'{"type":"trade",',
        b'{"type":"trade","payload":{"cursor":"\xff"}}',
        b'{"type":"trade","payload":{"x":"\xff","cursor":"%s-1700000002000-2"}}' % parse_topic(TRADES).tag.encode(),
        b'{"type":"trade","payload":' + b"[" * 3000,
    ],
)
def test_a_body_that_is_no_message_is_left_out(tmp_path: Path, body: bytes) -> None:
    write_run(tmp_path, [[begin(0), *trades(1), (at(2), TRADES, records.MESSAGE, body), *trades(3)]])
    assert told(tmp_path, cursor(1, 1)) == [3]

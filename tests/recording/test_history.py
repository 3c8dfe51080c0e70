"""History of one topic: each trade and closed bar once, in order, with the tape's digits, and no hole glued over."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.recorded import BookAt, Entry, History, Holdings, Item, Made, Missing, Recorded, Span
from cryptodash.core.time import rfc3339
from cryptodash.recording import records
from cryptodash.recording.history import Reading, is_closed_bar, is_trade
from cryptodash.recording.history_answers import history_answer
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape
from tests.recording.tapes import SECOND, START, Said, write_run

TRADES = "binance:spot:BTC-USDT:trade"
BARS = "binance:spot:BTC-USDT:candle:1m"
BOOK = "binance:spot:BTC-USDT:order_book:5"
NOW = START + 10_000 * SECOND
NAMED = '"exchange":"binance","market_type":"spot","symbol":{"base":"BTC","quote":"USDT"}'


def text(at: int) -> str:
    return rfc3339(at // 1000)


def trade(number: int, at: int, price: str = "43250.50000000") -> Said:
    head = f'{{"type":"trade","payload":{{"timestamp":"{text(at)}",{NAMED},"id":"{number}"'
    body = f'{head},"price":{price},"quantity":0.10,"side":"buy","cursor":"x-{number}"}}}}'
    return at, TRADES, records.MESSAGE, body.encode()


def bar(minute: int, at: int, *, closed: bool, corrected: bool = False) -> Said:
    opened = text(START + minute * 60 * SECOND)
    tail = ',"corrected":true' if corrected else ""
    tail += f',"cursor":"y-{minute}"' if closed else ""
    body = f'{{"type":"candle","payload":{{"timestamp":"{opened}",{NAMED},"interval":"1m","open":1.50,"high":2.0,'
    body += f'"low":1.0,"close":1.7500,"volume":10,"closed":{str(closed).lower()},"source":"venue"{tail}}}}}'
    return at, BARS, records.MESSAGE, body.encode()


def said_of(kind: int, topic: str, at: int) -> Said:
    return at, topic, kind, b""


def blocks_of(*said: Said) -> list[list[Said]]:
    """A block a second, as a recorder makes them."""
    made: dict[int, list[Said]] = {}
    for each in sorted(said, key=lambda each: each[0]):
        made.setdefault(each[0] // SECOND, []).append(each)
    return list(made.values())


def of_a_minute(start: int = START, seconds: int = 60) -> list[Said]:
    """The topic begins, and has ten trades a second."""
    tenth = SECOND // 10
    trades = [trade((start - START) // tenth + each, start + each * tenth) for each in range(seconds * 10)]
    return [said_of(records.BEGIN, TRADES, start), *trades]


def answer(root: Path, asked: Any) -> list[Item]:
    with Recording(root) as recording:
        return list(history_answer(recording, asked))


def document(root: Path, asked: Any) -> bytes:
    items = answer(root, asked)
    assert all(isinstance(each, Made) for each in items), items
    return b"".join(each.body for each in items if isinstance(each, Made))


def asked(begin: int = START, end: int = START + 3600 * SECOND, limit: int = 100_000, **more: Any) -> History:
    return History(**{"topic": TRADES, "begin": begin, "end": end, "limit": limit, "now": NOW, **more})


def lines(root: Path, question: History) -> list[bytes]:
    found = document(root, question)
    assert found.endswith(b"\n")
    return found[:-1].split(b"\n")


def holes_in(found: list[bytes]) -> list[tuple[str, str, str]]:
    told = [json.loads(each)["payload"] for each in found if each.startswith(b'{"type":"gap"')]
    return [(each["hole"], each["from"], each["to"]) for each in told]


def test_lines_are_the_messages_byte_for_byte_with_a_beginning_and_an_end(tmp_path: Path) -> None:
    said = of_a_minute()
    write_run(tmp_path, blocks_of(*said))
    end = START + 30 * SECOND
    begin, *rows, last = lines(tmp_path, asked(START, end))
    assert rows == [body for at, _, kind, body in said if kind == records.MESSAGE and at <= end]
    assert json.loads(begin) == {
        "type": "begin",
        "payload": {
            "channel": {
                "channel_type": "trade",
                "exchange": "binance",
                "market_type": "spot",
                "symbol": {"base": "BTC", "quote": "USDT"},
            },
            "source": "recorded",
            "from": text(START),
            "to": text(end),
        },
    }
    outcome = {"rows": 301, "holes": 0, "complete": True, "until": text(end)}
    assert json.loads(last) == {"type": "end", "payload": outcome}


def test_pages_give_each_trade_once_whatever_their_times(tmp_path: Path) -> None:
    """Five trades of one microsecond, and pages of two rows: nobody gets one twice, or misses one."""
    same = [trade(1000 + each, START + 10 * SECOND) for each in range(5)]
    write_run(tmp_path, blocks_of(*of_a_minute(), *same))
    everything = [each for each in lines(tmp_path, asked(limit=10_000)) if each.startswith(b'{"type":"trade"')]
    begin, skip, found = START, 0, list[bytes]()
    for _ in range(1000):
        _, *rows, last = lines(tmp_path, asked(begin, limit=2, skip=skip))
        found += [each for each in rows if each.startswith(b'{"type":"trade"')]
        outcome = json.loads(last)["payload"]
        if outcome["complete"]:
            break
        assert outcome["rows"] == 2
        begin, skip = map(int, outcome["next"].split("-"))
    assert found == everything and len(found) == 605


def test_an_answer_that_would_read_too_much_says_where_to_go_on(tmp_path: Path) -> None:
    write_run(tmp_path, blocks_of(*of_a_minute()))
    begin, found, pages = START, list[bytes](), 0
    with Recording(tmp_path) as recording:
        while True:
            reading = Reading(recording, TRADES, begin, START + 59 * SECOND, 10_000, now=NOW, most_blocks=7)
            found += [each.body for each in reading.items(is_trade) if isinstance(each, Entry)]
            pages += 1
            if not reading.outcome.after:
                break
            at, skip = map(int, reading.outcome.after.split("-"))
            assert at > begin and skip == 0
            begin = at
    assert pages > 5 and len(found) == len(set(found)) == 591


def test_holes_stand_where_they_are_and_are_cut_to_what_was_asked(tmp_path: Path) -> None:
    """A run, a stop of a minute and a run; then the topic is not recorded for ten seconds; then the recorder ends."""
    second, third = START + 120 * SECOND, START + 190 * SECOND
    write_run(tmp_path, blocks_of(*of_a_minute()))
    ended = said_of(records.END, TRADES, second + 60 * SECOND)
    other = [(second + each * SECOND, "x:spot:A-B:ticker", records.MESSAGE, b"{}") for each in range(80)]
    write_run(tmp_path, blocks_of(*of_a_minute(second), ended, *other, *of_a_minute(third, 10)))
    last = START + 59 * SECOND + 9 * SECOND // 10
    end_of_all = third + 9 * SECOND + 9 * SECOND // 10
    expected = [
        ("stopped", text(last), text(second)),
        ("unrecorded", text(second + 60 * SECOND), text(third)),
        ("unwritten", text(end_of_all), text(START + 3600 * SECOND)),
    ]
    found = lines(tmp_path, asked())
    assert holes_in(found) == expected
    places = [at for at, each in enumerate(found) if each.startswith(b'{"type":"gap"')]
    assert places == [601, 1202, 1303], "each in its place"
    # Asked for a time that ends, or begins, within a hole.
    middle = START + 90 * SECOND
    assert holes_in(lines(tmp_path, asked(START, middle))) == [("stopped", text(last), text(middle))]
    assert holes_in(lines(tmp_path, asked(middle, second))) == [("stopped", text(middle), text(second))]
    early = holes_in(lines(tmp_path, asked(START - 60 * SECOND, START)))
    assert early == [("unrecorded", text(START - 60 * SECOND), text(START))]


def test_what_a_living_recorder_has_not_written_yet_is_no_hole(tmp_path: Path) -> None:
    write_run(tmp_path, blocks_of(*of_a_minute()))
    last = START + 59 * SECOND + 9 * SECOND // 10
    found = lines(tmp_path, asked(now=last + 4 * SECOND))
    assert holes_in(found) == []
    assert json.loads(found[-1])["payload"]["until"] == text(last)


def test_a_trade_that_two_writers_have_is_told_once(tmp_path: Path) -> None:
    write_run(tmp_path / "a", blocks_of(*of_a_minute()))
    write_run(tmp_path / "b", blocks_of(*of_a_minute()))
    both = tmp_path / "both"
    (both / "writer-00").parent.mkdir()
    (tmp_path / "a" / "writer-00").rename(both / "writer-00")
    (tmp_path / "b" / "writer-00").rename(both / "writer-01")
    found = lines(both, asked(START, START + 59 * SECOND))
    assert json.loads(found[-1])["payload"]["rows"] == 591


def test_of_two_writers_a_hole_is_told_of_what_the_one_recorded(tmp_path: Path) -> None:
    """One is killed at 10 s and back at 40; the other one records something else all the time."""
    for start, seconds in ((START, 10), (START + 40 * SECOND, 20)):
        write_run(tmp_path, blocks_of(*of_a_minute(start, seconds)), close=False)
    other = TRADES.replace("BTC-USDT", "ETH-USDT")
    said = [(START + at * SECOND, other, records.MESSAGE, b'{"type":"ticker","payload":{"a":1}}') for at in range(60)]
    write_run(tmp_path / "other", blocks_of(*said))
    (tmp_path / "other" / "writer-00").rename(tmp_path / "writer-01")
    within = holes_in(lines(tmp_path, asked(START, START + 20 * SECOND)))
    assert [(begin, end) for _, begin, end in within] == [(text(START + 9_900_000), text(START + 20 * SECOND))]
    with Recording(tmp_path) as recording:
        assert list(recording.holes(START, START + 60 * SECOND, [other])) == []
        assert {each.topic for each in recording.holes(START, START + 60 * SECOND, [TRADES])} == {TRADES}


def test_of_candles_the_closed_ones_are_told_and_corrections_again(tmp_path: Path) -> None:
    said = [said_of(records.BEGIN, BARS, START)]
    for minute in range(3):
        base = START + minute * 60 * SECOND
        said += [bar(minute, base + each * SECOND, closed=False) for each in range(1, 60)]
        said.append(bar(minute, base + 60 * SECOND, closed=True))
    again = bar(1, START + 150 * SECOND, closed=True, corrected=True)
    write_run(tmp_path, blocks_of(*said, again))
    _, *rows, _ = lines(tmp_path, asked(START, START + 180 * SECOND, topic=BARS))
    assert rows == [bar(0, 0, closed=True)[3], bar(1, 0, closed=True)[3], again[3], bar(2, 0, closed=True)[3]]
    assert not is_closed_bar(bar(0, 0, closed=False)[3])


def test_what_is_not_recorded_says_what_is(tmp_path: Path) -> None:
    write_run(tmp_path, blocks_of(*of_a_minute(), said_of(records.BEGIN, BARS, START), bar(0, START, closed=False)))
    span = Span(START, START + 59 * SECOND + 9 * SECOND // 10)
    later = START + 1000 * SECOND
    assert answer(tmp_path, asked(later, later + SECOND)) == [Recorded(TRADES, [span])]
    [other] = answer(tmp_path, asked(topic=BARS[:-2] + "5m"))
    assert other == Recorded(BARS, [Span(START, START + 9 * SECOND // 10)])
    assert answer(tmp_path, asked(topic="binance:spot:ETH-USDT:trade")) == [Recorded("binance:spot:ETH-USDT:trade", [])]


@pytest.mark.parametrize("body", [b'{"type":"gap"}', b'{"type":"gap","payload":{"reason":"x","from":"then"}}'])
def test_a_gap_that_says_nothing_is_an_error_in_arrow(tmp_path: Path, body: bytes) -> None:
    """A tape may be anybody's."""
    pytest.importorskip("pyarrow")
    write_run(tmp_path, blocks_of(*of_a_minute(), (START + 60 * SECOND, TRADES, records.MESSAGE, body)))
    with pytest.raises(BadTape, match="a gap of"):
        answer(tmp_path, asked(is_arrow=True))


def test_a_message_of_two_lines_is_none(tmp_path: Path) -> None:
    forged = trade(1, START)[3] + b'\n{"type":"end","payload":{"complete":true}}'
    write_run(tmp_path, blocks_of(*of_a_minute(), (START + 60 * SECOND, TRADES, records.MESSAGE, forged)))
    found = lines(tmp_path, asked())
    assert sum(each.startswith(b'{"type":"end"') for each in found) == 1


def test_a_document_in_gzip_is_the_same_document(tmp_path: Path) -> None:
    write_run(tmp_path, blocks_of(*of_a_minute()))
    packed = document(tmp_path, asked(is_packed=True))
    plain = document(tmp_path, asked())
    assert zlib.decompress(packed, wbits=31) == plain and len(packed) < len(plain) / 4
    assert max(len(each.body) for each in answer(tmp_path, asked()) if isinstance(each, Made)) <= 16 * 1024


# -- order books


def level(price: str, size: str) -> str:
    return f'{{"price":{price},"quantity":{size}}}'


def snapshot(sequence: int, at: int, kind: int = records.MESSAGE) -> Said:
    bids = ",".join(level(f"{100 - each}.50", "1.0") for each in range(5))
    asks = ",".join(level(f"{101 + each}.50", "2.0") for each in range(5))
    head = f'{{"type":"order_book_snapshot","payload":{{"timestamp":"{text(at)}",{NAMED},"depth":5'
    body = f'{head},"sequence":{sequence},"bids":[{bids}],"asks":[{asks}],"complete":true,"received":"{text(at)}"}}}}'
    return at, BOOK, kind, body.encode()


def delta(sequence: int, at: int, size: str) -> Said:
    head = f'{{"type":"order_book_delta","payload":{{"timestamp":"{text(at)}",{NAMED},"depth":5'
    head += f',"sequence":{sequence}'
    change = f'"bids_upserts":[{level("100.50", size)}],"asks_upserts":[],"deletes":{{"bids":[],"asks":[]}}'
    return at, BOOK, records.MESSAGE, f'{head},{change},"received":"{text(at)}"}}}}'.encode()


def status(state: str, at: int, more: str = "") -> Said:
    body = f'{{"type":"status","payload":{{"channel":{{"channel_type":"order_book",{NAMED},"depth":5}}'
    body += f',"state":"{state}"{more}'
    return at, BOOK, records.MESSAGE, f'{body},"since":"{text(at)}","age_ms":3,"source":"simulated"}}}}'.encode()


@pytest.fixture
def with_a_book(tmp_path: Path) -> Path:
    """A book that lives, is built again from second 20 to 30, and lives on."""
    said = [said_of(records.BEGIN, BOOK, START), status("live", START), snapshot(1, START + 1)]
    said += [delta(1 + each, START + each * SECOND, f"{each}.250") for each in range(1, 20)]
    said += [status("resyncing", START + 20 * SECOND, ',"cause":"gap"')]
    said += [snapshot(21, START + 30 * SECOND), status("live", START + 30 * SECOND + 1)]
    said += [delta(21 + each, START + (30 + each) * SECOND, "7.0") for each in range(1, 10)]
    write_run(tmp_path, blocks_of(*said))
    return tmp_path


def book_then(root: Path, second: float, depth: int = 0) -> Any:
    at = START + int(second * SECOND)
    return json.loads(document(root, BookAt(BOOK, depth, at)), parse_float=str)


def test_the_book_at_a_moment_with_its_status_then(with_a_book: Path) -> None:
    found = book_then(with_a_book, 7.5)
    assert (
        found["bids"][0] == {"price": "100.50", "quantity": "7.250"} and len(found["bids"]) == len(found["asks"]) == 5
    )
    assert (found["depth"], found["sequence"], found["complete"], found["source"]) == (5, 8, True, "recorded")
    assert found["at"] == text(START + 7 * SECOND + SECOND // 2)
    assert found["status"] == {"state": "live", "since": text(START), "source": "simulated"}
    torn = book_then(with_a_book, 25)
    assert torn["status"]["state"] == "resyncing" and torn["status"]["cause"] == "gap"
    assert torn["bids"][0]["quantity"] == "19.250", "as it was last, and the status says so"
    assert book_then(with_a_book, 31)["status"]["state"] == "live"


def test_a_book_is_cut_to_a_depth_and_not_made_deeper(with_a_book: Path) -> None:
    found = book_then(with_a_book, 7.5, depth=2)
    assert (found["depth"], len(found["bids"]), len(found["asks"]), found["complete"]) == (2, 2, 2, True)
    span = Span(START, START + 39 * SECOND)
    [known] = answer(with_a_book, BookAt(BOOK, 10, START + SECOND))
    assert known == Recorded(BOOK, [span])
    assert answer(with_a_book, BookAt(BOOK, 5, START + 1000 * SECOND)) == [Recorded(BOOK, [span])]


def test_a_book_that_was_not_known_has_a_status_and_no_levels(tmp_path: Path) -> None:
    said = [said_of(records.BEGIN, BOOK, START), status("resyncing", START), status("resyncing", START + 5 * SECOND)]
    write_run(tmp_path, blocks_of(*said))
    found = book_then(tmp_path, 3)
    assert found["status"]["state"] == "resyncing" and "bids" not in found and found["exchange"] == "binance"


def test_what_there_is_of_an_instrument(with_a_book: Path) -> None:
    write_run(with_a_book, blocks_of(*of_a_minute(START + 120 * SECOND)))
    found = answer(with_a_book, Holdings("binance:spot:BTC-USDT:"))
    [first, second] = [each for each in found if isinstance(each, Recorded)]
    assert (first.topic, second.topic) == (BOOK, TRADES)
    [hole] = [each for each in found if isinstance(each, Missing)]
    assert (hole.reason, hole.begin, hole.end) == ("stopped", START + 39 * SECOND, START + 120 * SECOND)
    assert answer(with_a_book, Holdings("binance:spot:ETH-USDT:")) == []


def test_names_on_a_tape_that_are_no_topics_are_left_out(tmp_path: Path) -> None:
    """One of them made an error of all that there is of an instrument."""
    names = ("", ":", "trade:", "junk", "order_book:x", "order_book:0", "candle:7m", "trade:5")
    junk = [said_of(records.MESSAGE, f"binance:spot:BTC-USDT:{name}", START) for name in names]
    write_run(tmp_path, blocks_of(*junk, *of_a_minute()))
    [found] = answer(tmp_path, Holdings("binance:spot:BTC-USDT:"))
    assert found.topic == TRADES
    for missed in (asked(topic=BARS), BookAt("binance:spot:BTC-USDT:order_book:5", 5, START)):
        assert answer(tmp_path, missed) == [Recorded(missed.topic, [])]


# -- Arrow


def arrow(root: Path, question: Any) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.ipc.open_stream(document(root, question)).read_all()


def metadata(table: Any) -> Any:
    return json.loads(table.schema.metadata[b"cryptodash"])


def test_arrow_has_each_trade_with_its_digits_and_says_where_it_does_not_go_on(tmp_path: Path) -> None:
    second = START + 120 * SECOND
    write_run(tmp_path, blocks_of(*of_a_minute()))
    write_run(tmp_path, blocks_of(*of_a_minute(second)))
    end = second + 30 * SECOND
    table = arrow(tmp_path, asked(START, end, is_arrow=True))
    rows = table.to_pylist()
    assert str(table.schema.field("price").type) == "decimal128(38, 18)"
    assert [each["id"] for each in rows] == [str(each) for each in [*range(600), *range(1200, 1501)]]
    assert {format(each["price"].normalize(), "f") for each in rows} == {"43250.5"}
    behind = [at for at, each in enumerate(rows) if each["gap_reason"] is not None]
    last = START + 59 * SECOND + 9 * SECOND // 10
    assert behind == [600] and rows[600]["gap_reason"] == "stopped"
    assert rfc3339(round(rows[600]["gap_from"].timestamp() * 1000)) == text(last)
    assert metadata(table) == {
        "source": "recorded",
        "rows": 901,
        "complete": True,
        "holes": [{"from": text(last), "to": text(second), "reason": "stopped"}],
        "until": text(end),
    }


def test_arrow_writes_as_text_what_is_no_decimal128(tmp_path: Path) -> None:
    long = "0.1234567890123456789"
    write_run(tmp_path, blocks_of(*of_a_minute(seconds=2), trade(500, START + 3 * SECOND, long)))
    table = arrow(tmp_path, asked(is_arrow=True, end=START + 3 * SECOND))
    assert table.schema.field("price").metadata == {b"digits": b"exact text"}
    assert table.column("price").to_pylist() == ["43250.50000000"] * 20 + [long]
    assert str(table.schema.field("quantity").type) == "decimal128(38, 18)"


def test_arrow_of_a_book_has_a_row_for_each_level(with_a_book: Path) -> None:
    table = arrow(with_a_book, BookAt(BOOK, 2, START + 7 * SECOND, is_arrow=True))
    assert [(each["side"], str(each["price"]).rstrip("0")) for each in table.to_pylist()] == [
        *(("bid", "100.5"), ("bid", "99.5"), ("ask", "101.5"), ("ask", "102.5"))
    ]
    assert metadata(table)["status"]["state"] == "live"


def rows_of_a_gap() -> Iterator[Said]:
    yield said_of(records.BEGIN, TRADES, START)
    yield trade(1, START + SECOND)
    gap = f'{{"type":"gap","payload":{{"channel":{{}},"reason":"failover","missed":3,"from":"{text(START)}"'
    gap += f',"to":"{text(START + SECOND)}"}}}}'
    yield START + 2 * SECOND, TRADES, records.MESSAGE, gap.encode()
    yield trade(5, START + 3 * SECOND)


def test_a_gap_that_was_told_then_is_told_again(tmp_path: Path) -> None:
    write_run(tmp_path, blocks_of(*rows_of_a_gap()))
    until = START + 3 * SECOND
    _, _, gap, _, end = lines(tmp_path, asked(end=until))
    assert json.loads(gap)["payload"]["missed"] == 3 and json.loads(end)["payload"]["rows"] == 2
    assert arrow(tmp_path, asked(end=until, is_arrow=True)).column("gap_reason").to_pylist() == [None, "failover"]

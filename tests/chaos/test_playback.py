"""What was recorded is played back on /ws as it was live, to the byte; what was not recorded is told; nothing recorded
is called live. A sample, and with ``--long`` an hour."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from attrs import evolve

from cryptodash.core.time import parse_time
from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.recording import Recording
from tests.chaos.plan import LASTING, SUDDEN, SYMBOLS, Trouble
from tests.chaos.playback import KINDS, WITHOUT, Got, Outage, Played, Script, one_after_the_other, record_and_play
from tests.chaos.playback_oracle import channel_of, compare
from tests.chaos.venues import ALL, TWO, can_have

PAIRS = (("binance", "spot", SYMBOLS[0]), ("bybit", "perpetual", SYMBOLS[0]))
OF_ALL = tuple((venue, "spot", SYMBOLS[0]) for venue in ALL)
ALL_KINDS = {*LASTING, *SUDDEN} - set(WITHOUT) - {"slow-symbol"}
Pairs = tuple[tuple[str, str, str], ...]
EDGE_MS = 5_100
"""What a failing disk may cost before and after: what was not synced, and until it is tried again."""


def script(seconds: float, every: float, outages: int, pairs: Pairs = PAIRS) -> Script:
    """So long, a trouble every so many seconds, and so many times a disk that fails and a server started again."""
    parts = [seconds * (at + 1) / (2 * outages + 1) for at in range(2 * outages)]
    happens = [Outage(round(at, 1), "fail" if number % 2 == 0 else "restart") for number, at in enumerate(parts)]
    venues = tuple(dict.fromkeys(venue for venue, _, _ in pairs))
    troubles = one_after_the_other(venues, every, 13.0, seconds)
    return Script(seconds, pairs, troubles, happens, with_composite=pairs == OF_ALL)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Script, Played]:
    what = script(180.0, 4.0, 1)
    return what, record_and_play(what, tmp_path_factory.mktemp("recordings"))


def judge(what: Script, played: Played) -> None:
    findings = compare(played)
    assert findings.wrong == []
    assert played.errors == []
    ended = played.played[-1].value["payload"]
    assert (ended["message"], ended["reason"]) == ("Replay ended", "end")
    assert int(ended["messages"]) == len(played.played) - 2 == sum(map(int, ended["counts"].values()))
    assert findings.states.total() <= 5 * len(what.channels) * (1 + 2 * len(what.outages))
    for outage in what.outages:
        begin = played.origin_ms + round(outage.at * 1000)
        reason = "disk" if outage.what == "fail" else "stopped"
        (hole,) = [each for each in findings.holes if each[0] == reason and abs(each[1] / 1000 - begin) < EDGE_MS]
        assert begin + outage.seconds * 500 < hole[2] / 1000 < begin + outage.seconds * 1000 + EDGE_MS, hole
    named = {reason for reason, _, _ in findings.holes}
    assert named == {"disk", "stopped", "unrecorded"}, "a topic is held again a second after the server was started"


def test_a_stretch_with_every_fault_is_played_as_it_was(sample: tuple[Script, Played]) -> None:
    what, played = sample
    assert {each.name for each in what.troubles} == ALL_KINDS
    judge(what, played)
    equal = compare(played).equal
    assert equal["ticker"] > 1_500 and equal["order_book_delta"] > 500 and equal["trade"] > 500, equal
    assert equal["bbo"] > 500 and equal["candle"] > 50 and equal["liquidation"] > 0 and equal["gap"] > 0, equal


def test_all_venues_and_what_is_derived_of_them_are_played_as_they_were(long: bool, tmp_path: Path) -> None:
    what = script(900.0, 6.0, 2, OF_ALL) if long else script(120.0, 4.0, 1, OF_ALL)
    judge(what, record_and_play(what, tmp_path))


def test_what_several_processes_recorded_is_played_as_one(tmp_path: Path) -> None:
    """One of two is killed, and the other one takes over what it had open. Nothing on the tapes says so but that one
    of them ends, and the other begins some topics seconds later."""
    played = record_and_play(Script(90.0, PAIRS, (), [Outage(40.0, "kill")], processes=2), tmp_path)
    findings = compare(played)
    assert (findings.wrong, played.errors) == ([], [])
    assert len({each.parent.parent for each in tmp_path.rglob("*.tape")}) >= 2
    ((reason, begin, end),) = findings.holes
    killed = played.origin_ms + 40_000
    assert reason == "unrecorded" and killed - 2_000 < begin / 1000 < killed < end / 1000 < killed + 8_000
    gaps = {channel_of(each.value) for each in played.played[1:-1] if each.value["payload"].get("hole")}
    assert gaps and {each.partition(":")[0] for each in gaps} != {each.partition(":")[0] for each, _, _ in PAIRS}
    assert findings.equal["ticker"] > 1_000 and findings.missing.total() < 100


@pytest.mark.parametrize("everywhere", [False, True], ids=["a client at the third", "and at the others"])
def test_a_third_process_plays_what_was_before_and_after_a_kill_with_one_gap_between(
    tmp_path: Path, everywhere: bool
) -> None:
    """The gap (``failover``) that its client was told live is on no tape. It plays all trades of both tapes, and the
    time between them, which the tapes tell, is one hole of each topic."""
    script = Script(75.0, PAIRS, (), [Outage(40.0, "kill")], processes=3, everywhere=everywhere)
    played = record_and_play(script, tmp_path)
    assert played.errors == [] and any(each.value["payload"].get("reason") == "failover" for each in played.live)
    begin, end = played.begin_ms * 1000, played.end_ms * 1000
    tapes = [tape for tape in sorted(tmp_path.glob("writer-*")) if read_topics(tape)]
    trades: list[tuple[int, str]] = []
    for tape in tapes:
        with Recording(tape) as recording:
            found = [each for each in recording.read(begin + 1, end) if isinstance(each, Entry)]
        trades += [(each.time, id_of(each.body)) for each in found if each.body.startswith(b'{"type":"trade"')]
    told = [id_of(each.body) for each in played.played if each.value["type"] == "trade"]
    assert sorted(told) == sorted(name for _, name in trades) and len(set(told)) == len(told) > 100, "of both tapes"
    holes = [each.value["payload"] for each in played.played[1:-1] if each.value["payload"].get("hole")]
    assert {each["hole"] for each in holes} == {"unrecorded"}
    (exchange,) = {each["channel"]["exchange"] for each in holes}
    killed, other = sorted(tapes, key=lambda tape: fences_of(tape, exchange))
    assert len(fences_of(killed, exchange)) == len(fences_of(other, exchange)) == 1, "those of the cluster's leases"
    with Recording(killed) as first, Recording(other) as second:
        last = min(span.end for span in first.spans)
        topics = {each for each in second.topics() if each.startswith(exchange)}
        begun = {each.topic: each.time for each in second.read(begin, end) if is_begin(each) and each.topic in topics}
    assert sorted(map(times_of, holes)) == sorted((last // 1000, -(-at // 1000)) for at in begun.values())
    assert len(holes) == len(KINDS) == len(begun), "one of each topic"


def test_what_a_process_wrote_that_stood_still_and_had_lost_its_lease_is_not_played(tmp_path: Path) -> None:
    script = Script(75.0, PAIRS, (), [Outage(40.0, "stop", 12.0)], processes=3, everywhere=True)
    played = record_and_play(script, tmp_path)
    assert played.errors == []
    holes = [each.value["payload"] for each in played.played[1:-1] if each.value["payload"].get("hole")]
    (exchange,) = {each["channel"]["exchange"] for each in holes}
    assert len(holes) == len({channel_of({"type": "gap", "payload": each}) for each in holes}) == len(KINDS)
    held = [each for each in tmp_path.glob("writer-*") if fences_of(each, exchange)]
    stopped, other = sorted(held, key=lambda tape: fences_of(tape, exchange))
    begun = {each.topic: each.time for each in entries_of(other, exchange) if is_begin(each)}
    for hole in holes:
        assert hole["hole"] == "stalled" and parse_time(hole["from"]) + 3_000 < parse_time(hole["to"])
        assert parse_time(hole["to"]) in {-(-at // 1000) for at in begun.values()}
    its = trades_of(stopped, exchange, lambda each: each.time > begun[each.topic])
    others = trades_of(other, exchange, lambda each: each.time < played.end_ms * 1000)
    told = [id_of(each.body) for each in played.played if each.value["type"] == "trade"]
    assert len(told) == len(set(told)) and len(set(its) - set(others)) > 10, "it had something to say"
    assert set(others) <= set(told) and not (set(its) - set(others)) & set(told)


def entries_of(tape: Path, exchange: str) -> list[Entry]:
    with Recording(tape) as recording:
        found = [each for each in recording.read(0, MOST_TIME) if isinstance(each, Entry)]
    return [each for each in found if each.topic.startswith(exchange)]


def trades_of(tape: Path, exchange: str, wanted: Callable[[Entry], bool]) -> list[str]:
    found = [each for each in entries_of(tape, exchange) if each.kind == records.MESSAGE and wanted(each)]
    return [id_of(each.body) for each in found if each.body.startswith(b'{"type":"trade"')]


def read_topics(tape: Path) -> list[str]:
    with Recording(tape) as recording:
        return sorted(recording.topics())


def id_of(body: bytes) -> str:
    return str(json.loads(body)["payload"]["cursor"])


def is_begin(each: Entry | Missing) -> TypeGuard[Entry]:
    return isinstance(each, Entry) and each.kind == records.BEGIN


def fences_of(tape: Path, exchange: str) -> list[int]:
    begun = [each for each in entries_of(tape, exchange) if is_begin(each)]
    return sorted({fence for each in begun if (fence := records.fence_of(each.body)) is not None})


def times_of(gap: Any) -> tuple[int, int]:
    return parse_time(gap["from"]), parse_time(gap["to"])


def test_a_wall_clock_that_is_set_changes_nothing(tmp_path: Path) -> None:
    """Within a run: tape time goes on. (The next run's begins with the clock as it is then.)"""
    steps = [Trouble("wall/step", at, 0.1, amount=by) for at, by in ((20.0, -3600.0), (40.0, 30.0), (60.0, 7200.0))]
    played = record_and_play(Script(80.0, PAIRS, steps, ()), tmp_path)
    findings = compare(played)
    assert (findings.wrong, findings.holes, findings.missing.total(), played.errors) == ([], set(), 0, [])
    assert findings.equal["ticker"] > 1_000


def test_an_hour_with_every_fault_is_played_as_it_was(long: bool, tmp_path: Path) -> None:
    if not long:
        pytest.skip("only with --long")
    what = script(3600.0, 7.0, 4)
    pairs = {(name, venue) for name in ALL_KINDS for venue in TWO if can_have(venue, name)}
    assert {(each.name, each.exchange) for each in what.troubles} == pairs
    judge(what, record_and_play(what, tmp_path))


# -- that the judge sees what is wrong


def changed(played: Played, change: Callable[[list[Got]], None]) -> list[str]:
    told = list(played.played)
    change(told)
    return compare(evolve(played, played=told)).wrong


def place_of(told: list[Got], kind: str, after: int = 400) -> int:
    return next(at for at, each in enumerate(told) if at > after and each.value["type"] == kind)


@pytest.mark.parametrize("kind", ["ticker", "bbo", "trade", "order_book_delta"])
def test_a_message_that_is_left_out_is_found(sample: tuple[Script, Played], kind: str) -> None:
    assert changed(sample[1], lambda told: told.__delitem__(place_of(told, kind)))


@pytest.mark.parametrize("kind", ["ticker", "bbo", "trade", "order_book_delta", "status"])
def test_a_message_that_is_told_twice_or_late_is_found(sample: tuple[Script, Played], kind: str) -> None:
    def move(told: list[Got]) -> None:
        at = place_of(told, kind)
        told.insert(at + 40, told.pop(at))

    def repeat(told: list[Got]) -> None:
        at = place_of(told, kind)
        told.insert(at + 40, told[at])

    assert changed(sample[1], move)
    assert kind == "status" or changed(sample[1], repeat)


def test_a_digit_a_hole_or_a_live_word_is_found(sample: tuple[Script, Played]) -> None:
    played = sample[1]

    def pad(told: list[Got]) -> None:
        at = place_of(told, "ticker")
        told[at] = evolve(told[at], body=told[at].body.replace(b'"ask_size":', b'"ask_size":0', 1))

    def hide(told: list[Got]) -> None:
        told[:] = [each for each in told if each.value["payload"].get("hole") != "disk"]

    def lie(told: list[Got]) -> None:
        at = place_of(told, "status")
        told[at] = evolve(told[at], body=told[at].body.replace(b'"state":"recorded"', b'"state":"live"'))

    for change in (pad, hide, lie):
        assert changed(played, change), change

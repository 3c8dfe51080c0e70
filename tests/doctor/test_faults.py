"""Every fault of the simulator is found and named, or it is written down why half a minute cannot show it."""

from __future__ import annotations

from itertools import cycle

import pytest

from cryptodash.doctor.findings import findings
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.faults import FAULTS
from tests.doctor.stage import Stage

EXCHANGES = registry.available()
NAMED = {
    "drop": {"disconnected"},
    "half-open": {"silent", "disconnected"},  # where heartbeats are promised, the connection is given up
    "silent": {"silent", "checksum"},  # where nothing else tells of what was missed
    "silent-venue": {"silent", "disconnected"},
    "skip": {"gap", "checksum"},
    "duplicate": {"gap"},
    "reorder": {"gap", "checksum"},
    "old-snapshot": {"no-value", "gap"},  # where an audit takes it for a book that is wrong
    "crossed": {"crossed"},
    "garbage": {"decode"},
    "future-id": {"implausible", "gap"},  # where the venue numbers the frames of a connection
    "future-time": {"implausible"},
    "wrong-size": {"audit", "checksum"},
    "wrong-contract": {"contract-size"},
    "429": {"ban"},
    "418": {"ban", "geo-block"},  # where a firewall's 403 means either
    "slow": {"late"},
    "clock": {"clock", "late"},
    "maintenance": {"maintenance"},
    "cut24h": {"disconnected"},
    "delist": {"delisted", "halted", "rejected"},  # where streams say nothing of it, REST refuses the name
    "rename": {"delisted"},
    "451": {"geo-block"},
}
"""By fault, the words of findings of which one at least must be there."""

FROM_THE_START = {"old-snapshot", "wrong-size", "wrong-contract", "429", "418", "451"}
"""They change what is asked for and opened, and half a minute asks and opens in its first seconds only; or what audits
find, which take their time."""

_REPEATED = "a frame that comes twice says nothing new, and the fault says so: clients see no difference"
_SUSPECTED = "what its audits suspect is confirmed by a second snapshot, half a minute later at the earliest"
_IN_STREAM = "its books begin in their stream: no book of half a minute rests on a REST snapshot"
_ONE_MORE = "an instrument more is nothing wrong"
CANNOT_BE_SEEN = {
    **{("list", each): _ONE_MORE for each in EXCHANGES},
    **{("duplicate", each): _REPEATED for each in ("binance", "bybit", "kraken", "okx")},
    ("wrong-size", "coinbase"): _SUSPECTED,
    **{("old-snapshot", each): _IN_STREAM for each in ("bybit", "kraken", "okx")},
}


def _rows() -> list[tuple[str, str]]:
    supported = {each: registry.load(each).faults for each in EXCHANGES}
    return [
        (fault, each)
        for fault in FAULTS
        for each in EXCHANGES
        if fault in supported[each] and (fault, each) not in CANNOT_BE_SEEN
    ]


ROWS = _rows()


def _sampled() -> set[tuple[str, str]]:
    """Each fault once, the venues in turn."""
    turns = cycle(EXCHANGES)
    sample = set()
    for fault in dict.fromkeys(name for name, _ in ROWS):
        able = [each for name, each in ROWS if name == fault]
        sample.add((fault, next(each for each in turns if each in able)))
    return sample


SAMPLE = _sampled()


def wrong_with(fault: str, exchange: str) -> set[str]:
    """The words of what an examination with this fault finds wrong."""
    stage = Stage(exchange, seconds=30.0 if fault in FROM_THE_START else 20.0)
    seconds = None if FAULTS[fault].once else 40.0 if fault in FROM_THE_START else 10.0
    options = {"clock": {"step": 3.0}, "rename": {"to": "RENAMED"}}.get(fault, {})

    def begin() -> None:
        busiest = max(stage.notes.topics.values(), key=lambda each: each.values) if stage.notes.topics else None
        symbol = str(busiest.topic.symbol) if FAULTS[fault].needs_symbol and busiest is not None else None
        symbol = symbol or ("SOL-USDT" if FAULTS[fault].needs_symbol else None)  # from the start nothing has come yet
        symbol = "NEW-USDT" if fault == "list" and exchange != "coinbase" else "NEW-USD" if fault == "list" else symbol
        stage.simulator.faults.start(exchange, fault, symbol, seconds, **options)

    if fault in FROM_THE_START:
        begin()
    facts = stage.examine(() if fault in FROM_THE_START else [(6.0, begin)])
    stage.stop()
    return {each.what for each in findings(facts) if each.is_wrong}


@pytest.mark.parametrize(("fault", "exchange"), ROWS, ids=lambda value: value)
def test_a_fault_is_found_and_named(fault: str, exchange: str, long: bool) -> None:
    if not long and (fault, exchange) not in SAMPLE:
        pytest.skip("sampled: all of them with --long")
    wrong = wrong_with(fault, exchange)
    assert wrong & NAMED[fault], wrong


def test_every_fault_has_its_row() -> None:
    unseen = {fault for fault in FAULTS if not any(fault == name for name, _ in ROWS)}
    assert unseen <= {fault for fault, _ in CANNOT_BE_SEEN}
    assert NAMED.keys() == {fault for fault, _ in SAMPLE} == FAULTS.keys() - unseen
    assert {each for _, each in SAMPLE} == set(EXCHANGES)


@pytest.mark.parametrize(
    ("fault", "exchange"), [each for each in CANNOT_BE_SEEN if each[0] in FAULTS], ids=lambda value: value
)
def test_what_cannot_be_seen_is_not_seen(fault: str, exchange: str, long: bool) -> None:
    """Otherwise it belongs among those that are found."""
    if not long and exchange != "bybit":
        pytest.skip("sampled: all of them with --long")
    assert wrong_with(fault, exchange) == set()

"""Real processes that read tapes, under the real reactor."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, DeferredList

from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import Entry, Missing, Play, Recorded, Span
from cryptodash.core.tally import Tally
from cryptodash.recording.reader_process import PulledAnswer
from cryptodash.recording.reader_processes import ReaderLimits, ReaderProcesses
from tests.end_to_end.conftest import eventually
from tests.processes import ROOT
from tests.recording.tapes import START, TICKER, TRADES, seconds_of_trades, write_run

BLOCKS = seconds_of_trades(20, a_second=500)
END = BLOCKS[-1][-1][0]
SAID = [
    Missing(START - 1, START, "unrecorded", TRADES),
    *(Entry(*each) for block in BLOCKS for each in block),
]


@pytest.fixture
def tapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_run(tmp_path, BLOCKS, segment_bytes=20_000)
    return tmp_path


async def all_of(answer: PulledAnswer) -> list[Any]:
    found: list[Any] = []
    while items := await answer.more():
        found += items
    return found


def children() -> set[int]:
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = each.read_text(encoding="ascii").rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                found.add(int(name.split()[0]))
    return found


@ensureDeferred
async def test_answers_come_whole_at_the_same_time_and_nothing_is_left(tapes: Path, reactor: Any) -> None:
    before = children()
    service = ReaderProcesses(tapes, reactor, Tally(), ReaderLimits(4, 4))
    asked = [service.ask(Play(START - 1, END, [TRADES]), "a") for _ in range(4)]
    results = await DeferredList([Deferred.fromCoroutine(all_of(each)) for each in asked], fireOnOneErrback=True)
    assert [found == SAID for _, found in results] == [True] * 4
    assert len(await all_of(service.ask(Play(START, END, [TICKER]), "a"))) == 1
    await service.stopService()
    assert children() <= before


@ensureDeferred
async def test_a_process_that_is_killed_or_stands_still_is_told(tapes: Path, reactor: Any) -> None:
    before = children()
    service = ReaderProcesses(tapes, reactor, Tally(), ReaderLimits(1, 1))
    answer = service.ask(Play(START - 1, END, [TRADES]), "a")
    first: Sequence[Any] = await answer.more()
    assert first == SAID[: len(first)]
    with pytest.raises(TryLater):
        service.ask(Play(START - 1, END, [TRADES]), "a")
    (process,) = children() - before
    os.kill(process, signal.SIGKILL)
    with pytest.raises(Refused, match="the recording cannot be read: its reader has ended") as caught:
        await all_of(answer)
    assert caught.value.code == "recording_failed"
    again = service.ask(Play(START - 1, END, [TRADES]), "a")
    assert await again.more() == first
    (process,) = children() - before
    os.kill(process, signal.SIGSTOP)
    again.cancel()
    await eventually(lambda: children() <= before)
    assert (await all_of(service.ask(Play(0, 1, [TRADES]), "a")))[0] == Recorded(TRADES, [Span(START, END)])
    await service.stopService()
    assert children() <= before


@ensureDeferred
async def test_stopping_ends_what_is_read(tapes: Path, reactor: Any) -> None:
    before = children()
    service = ReaderProcesses(tapes, reactor, Tally())
    answer = service.ask(Play(START - 1, END, [TRADES]), "a")
    assert await answer.more()
    await service.stopService()
    assert children() <= before
    with pytest.raises(Refused, match="cancelled"):
        await all_of(answer)

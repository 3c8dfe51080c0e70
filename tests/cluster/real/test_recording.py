"""Two real processes record into one directory: the one that has an exchange open is killed, and the other one then
has what both recorded, and the hole between."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest_twisted
from twisted.internet.threads import deferToThread

from cryptodash.core.time import parse_time
from cryptodash.recording import records
from cryptodash.recording.entries import Entry
from cryptodash.recording.recording import Recording
from tests.cluster.real.faults import TAKEN_OVER_S, holder_of
from tests.cluster.real.world import START_S, ServerProcess, World
from tests.processes import get_text, run

PLACE = ("binance", "spot", "XRP-USDT")
NAMES = [f"{':'.join(PLACE)}:trade", "bybit:perpetual:XRP-USDT:trade"]
COUNT = 2
TAPES = "tapes"
SETTINGS = {"RECORD_DIR": TAPES, "RECORD": "trade:*:*:XRP-USDT"}
ASKED = "/api/history/trades?exchange=binance&market_type=spot&symbol=XRP-USDT&limit=100000"


async def told(process: ServerProcess) -> list[Any]:
    """Trades and gaps between the first trade that was recorded and the last one, as the process answers."""
    try:
        lines = (await deferToThread(get_text, process.port, ASKED)).splitlines()
    except HTTPError as error:
        with error:
            assert error.code == 404  # not yet
        return []
    found = [each for each in map(json.loads, lines) if each["type"] in ("trade", "gap")]
    places = [at for at, each in enumerate(found) if each["type"] == "trade"]
    return found[places[0] : places[-1] + 1] if places else []


async def until_told(world: World, process: ServerProcess, gaps: int, trades: int) -> list[Any]:
    """Once so many gaps were told, and behind the last one so many trades."""
    begun = world.reactor.seconds()
    while True:
        assert world.reactor.seconds() - begun < START_S
        found = await told(process)
        at = [place for place, each in enumerate(found) if each["type"] == "gap"]
        if len(at) >= gaps and len(found) - (at[-1] if at else 0) > trades:
            return found
        await world.sleep(0.5)


def fences(tapes: Path) -> dict[str, list[int | None]]:
    """Of each writer under which leases it has recorded the trades, in order."""
    found: dict[str, list[int | None]] = {}
    for tape in sorted(tapes.glob("writer-*")):
        with Recording(tape) as recording:
            said = recording.read(0, 2**61, [NAMES[0]])
            begun = [each for each in said if isinstance(each, Entry) and each.kind == records.BEGIN]
        if begun:
            found[tape.name] = [records.fence_of(each.body) for each in begun]
    return found


@pytest_twisted.ensureDeferred
async def test_a_survivor_tells_what_both_recorded_and_the_hole_of_the_kill(world: World) -> None:
    await world.repair()
    killed, first = holder_of(world), world.fences()[0]
    survivor = next(each for each in world.processes if each is not killed)
    await until_told(world, survivor, 0, 8)
    killed.signal(signal.SIGKILL)
    assert killed.ended(5) == -signal.SIGKILL
    await world.until(lambda: not {None, killed} & set(world.holders()), TAKEN_OVER_S)
    second = world.fences()[0]
    found = await until_told(world, survivor, 1, 8)

    (gap,) = [each["payload"] for each in found if each["type"] == "gap"]
    assert (gap["reason"], gap["hole"]) == ("recording", "unrecorded")
    begin, end = parse_time(gap["from"]), parse_time(gap["to"])
    assert 1_000 < end - begin < 1_000 * TAKEN_OVER_S, gap
    trades = [each["payload"] for each in found if each["type"] == "trade"]
    ids = [each["id"] for each in trades]
    assert len(set(ids)) == len(ids), "each once"
    truth = [each.id for each in world.record.recorders[PLACE].tape.trades]
    missing = [at for at in range(truth.index(ids[0]), truth.index(ids[-1])) if truth[at] not in set(ids)]
    place = [each["type"] for each in found].index("gap")
    before, behind = (truth.index(found[near]["payload"]["id"]) for near in (place - 1, place + 1))
    assert missing == list(range(before + 1, behind)), "in the hole, all of it, and nothing else"
    assert [each for each in truth if each in set(ids)] == ids, "in order"

    tapes = world.folder / TAPES
    assert sorted(fences(tapes).values(), key=str) == [[first], [second]]
    checked = await deferToThread(run, "cryptodash", "tape", "verify", str(tapes), cwd=world.folder)
    assert checked.returncode == 0 and checked.stdout.splitlines()[-1].endswith(": good"), checked.stdout
    assert [each for each in world.exceptions() if "process" in each] == []

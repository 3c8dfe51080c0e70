"""Recorded time through a whole server: real sockets, and the real processes that read a tape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from tests.end_to_end.test_tape_readers import children
from tests.processes import ROOT
from tests.recording.tapes import START, seconds_of_trades, trade, write_run

FROM = START // 1000 - 1
TRADES = {"channel_type": "trade", "exchange": "binance", "symbol": "BTC-USDT"}
ENDED = b'{"type":"info","payload":{"message":"Replay ended"'


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_run(tmp_path / "recordings", seconds_of_trades(60, a_second=500), segment_bytes=2**18)
    return tmp_path / "recordings"


def ended(client: Any) -> bool:
    return bool(client.texts) and client.texts[-1].startswith(ENDED)


def ask(client: Any, **members: Any) -> None:
    client.say({"op": "replay", "from": FROM, "to": FROM + 60_000, "channels": [TRADES], **members})


@ensureDeferred
async def test_a_tape_is_played_whole_and_byte_for_byte(start: Any, helpers: Any, recordings: Path) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", EXCHANGES="binance", RECORD_DIR=str(recordings))
    client = await running.connect()
    ask(client, speed=0)
    await eventually(lambda: ended(client))
    mark = client.messages[1]["payload"]["replay_id"].encode()
    told = [text for text in client.texts[2:-1] if text.startswith(b'{"type":"trade"')]
    added = b',"source":"recorded","replay_id":"%b"}}' % mark
    assert told == [trade(number, 0)[3][:-2] + added for number in range(30_000)]
    assert client.messages[-1]["payload"]["counts"] == {"gap": 2, "trade": 30_000}


@ensureDeferred
async def test_two_of_an_address_and_who_leaves_makes_room(start: Any, helpers: Any, recordings: Path) -> None:
    eventually, _ = helpers
    before = children()
    running = await start(DEMO="true", EXCHANGES="binance", RECORD_DIR=str(recordings))
    first, second, third = [await running.connect() for _ in range(3)]
    for client in (first, second):
        ask(client, speed=0.1)
        await eventually(lambda client=client: client.of("trade"))
    assert len(children() - before) == 2
    ask(third)
    await eventually(lambda: third.of("error"))
    assert third.of("error")[0]["code"] == "too_many_replays"
    first.dropConnection(abort=True)
    await eventually(lambda: len(children() - before) == 1)
    ask(third)
    await eventually(lambda: third.of("trade"))
    second.say({"op": "replay_stop"})
    await eventually(lambda: ended(second))
    await running.server.stopService()
    assert children() <= before


@ensureDeferred
async def test_a_client_that_does_not_read_stops_the_process_that_reads(
    start: Any, helpers: Any, recordings: Path
) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", EXCHANGES="binance", RECORD_DIR=str(recordings), SOCKET_SEND_BUFFER_BYTES="8192")
    client = await running.connect()
    ask(client, speed=0)
    await eventually(lambda: len(client.of("trade")) > 100)
    client.transport.pauseProducing()
    sent = running.server.clients.traffic.sent.values
    counts = [-1]
    while sent[("trade",)] != counts[-1]:
        counts.append(sent[("trade",)])
        for _ in range(20):
            await running.get("/health")
    assert counts[-1] < 30_000
    client.transport.resumeProducing()
    await eventually(lambda: ended(client))
    assert len(client.of("trade")) == 30_000

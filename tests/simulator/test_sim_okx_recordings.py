"""Recordings of OKX are read and played again: several acknowledgements to one request, heartbeats that are no JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.endpoints import HostnameEndpoint

from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.simulator.dialect import ITextHeartbeats, SnapshotRequest
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.recording import read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.testing.network import MemoryNetwork

READER: Any = registry.load("okx").recordings
BOOKS, TRADES = '"channel":"books","instId":"BTC-USDT-SWAP"', '"channel":"trades","instId":"BTC-USDT-SWAP"'


def test_requests_name_their_streams_and_have_an_answer_for_each() -> None:
    args = [{"channel": "books", "instId": "BTC-USDT-SWAP"}, {"instId": "BTC-USDT-SWAP", "channel": "trades"}, "x"]
    found = READER.read_request({"id": "7", "op": "subscribe", "args": args})
    assert (found.subscribes, found.unsubscribes) == ((BOOKS, TRADES), ())
    said = [json.loads(each) for each in (found.answer, *found.further_answers)]
    assert [(each["id"], each["event"], each["arg"]["channel"]) for each in said] == [
        ("7", "subscribe", "books"),
        ("7", "subscribe", "trades"),
    ]
    ended = READER.read_request({"op": "unsubscribe", "args": args[:1]})
    assert (ended.subscribes, ended.unsubscribes) == ((), (BOOKS,))


@pytest.mark.parametrize("message", [{}, {"op": "login", "args": []}, {"op": "subscribe", "args": "x"}, {"args": [{}]}])
def test_other_messages_are_no_requests(message: dict[str, object]) -> None:
    assert READER.read_request(message) is None


def test_heartbeats_are_answered_and_other_texts_are_not() -> None:
    assert ITextHeartbeats.providedBy(READER)
    assert (READER.answer_text("ping"), READER.answer_text("pong")) == ("pong", None)


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ('{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[]}', BOOKS),
        ('{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"connId":"1"}', None),
        ('{"event":"error","code":"60018","msg":"..."}', None),
        ('{"arg":{"channel":"books"},"data":[]}', None),
        ("[1]", None),
    ],
)
def test_data_is_told_from_answers(text: str, stream: str | None) -> None:
    assert READER.read_data(json.loads(text), text, []) == (None if stream is None else (stream, text))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (
            "https://www.okx.com/api/v5/market/books?instId=BTC-USDT-SWAP&sz=400",
            SnapshotRequest(MarketType.PERPETUAL, "BTC-USDT-SWAP", 400),
        ),
        ("/api/v5/market/books?instId=BTC-USDT", SnapshotRequest(MarketType.SPOT, "BTC-USDT", 1)),
        ("/api/v5/market/ticker?instId=BTC-USDT", None),
    ],
)
def test_requests_for_order_books(url: str, found: SnapshotRequest | None) -> None:
    assert READER.read_snapshot_request(url) == found


@pytest.mark.captures
@pytest.mark.parametrize(
    ("file", "market", "natives", "tick"),
    [
        ("spot-books-btcusdt-2026.jsonl", "spot", {"BTC-USDT": Symbol("BTC", "USDT")}, "0.1"),
        ("spot-candle1m-btcusdt-2026.jsonl", "spot", {"BTC-USDT": Symbol("BTC", "USDT")}, "0.1"),
        ("swap-trades-btcusdt-2026.jsonl", "perpetual", {"BTC-USDT-SWAP": Symbol("BTC", "USDT")}, "0.1"),
        ("swap-candle1m-btcusdt-2026.jsonl", "perpetual", {"BTC-USDT-SWAP": Symbol("BTC", "USDT")}, "1"),
    ],
)
def test_recorded_files_say_what_they_are_about(
    captures: Path, file: str, market: str, natives: dict[str, Symbol], tick: str
) -> None:
    found = read_recording(captures / "okx" / file)
    assert (found.exchange, found.market, found.symbols) == ("okx", MarketType(market), natives)
    assert set(found.tick_sizes.values()) == {tick}


class Client(WebSocketClientProtocol):
    """What came."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[str] = []
        self.ended: int | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(payload.decode())

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.ended = code


@pytest.mark.captures
def test_a_recorded_book_is_played_to_a_client_that_sends_text_pings(captures: Path) -> None:
    recording = read_recording(captures / "okx" / "spot-books-btcusdt-2026.jsonl")
    network = MemoryNetwork()
    replay = Replay(network, recording, speed=0.0, delay=1.0)
    replay.listen()
    replay.startService()
    factory = WebSocketClientFactory("ws://127.0.0.1/ws/v5/public", reactor=network)
    factory.protocol = Client
    factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
    port = int(replay.base_urls["okx", MarketType.SPOT][1].rpartition(":")[2])
    made: list[Any] = []
    HostnameEndpoint(network, "127.0.0.1", port).connect(factory).addCallback(made.append)
    network.settle()
    (client,) = made
    args = [{"channel": channel, "instId": "BTC-USDT"} for channel in ("books", "trades")]
    for text in ("ping", json.dumps({"op": "subscribe", "args": args}), "ping"):
        client.sendMessage(text.encode())
    network.settle()
    network.pass_time(3.0)
    assert client.got[0] == client.got[3] == "pong"
    assert [json.loads(each)["arg"] for each in client.got[1:3]] == args
    assert client.got[4:] == [frame.text for frame in recording.frames]
    client.sendMessage(b"nonsense")
    network.settle()
    assert client.ended == 3000
    replay.stopService()
    network.settle()

"""Clients that read slowly, for a while, or never: they cost nobody else anything,
and never see an old price as live."""

from __future__ import annotations

import json
import socket
import struct
import sys
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime
from itertools import accumulate, pairwise
from statistics import median
from typing import Any

import pytest
from attrs import evolve
from pytest_twisted import ensureDeferred

STALL_S = 1.0
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def channels(channel: Callable[..., Any], running: Any, *kinds: str, **fields: Any) -> list[dict[str, Any]]:
    """All instruments of the demo in these kinds."""
    found = []
    for kind in kinds:
        more = fields if kind == "order_book" else {}
        for exchange, upstream in running.server.hub.upstreams.items():
            for each in upstream.catalogue:
                if each.status == "trading":
                    found.append(channel(kind, exchange, str(each.symbol), market_type=each.market.value, **more))
    return found


def subscribe(*wanted: Any) -> bytes:
    return json.dumps({"op": "subscribe", "channels": wanted}).encode()


def make_wild(running: Any, native: str = "BTCUSDT") -> None:
    """A market in panic: as many trades as the simulator makes, two hundred a second."""
    for market in running.simulator.markets.values():
        instrument = market.get(native)
        if instrument is not None:
            instrument.spec = evolve(instrument.spec, trades_per_hour=1_000_000)


def ages(client: Any, since: int, kind: str = "trade") -> list[int]:
    """How old each live message was when it came, ms."""
    found = []
    for message, when in zip(client.messages[since:], client.received_at[since:], strict=True):
        if message["type"] == kind and not message["payload"].get("replayed"):
            found.append(when - milliseconds(message["payload"]["timestamp"]))
    return found


def queued(running: Any) -> int:
    """Bytes the server itself holds for its clients: their backlogs, and what their transports have
    not handed to the kernel."""
    total = 0
    for protocol in running.server.clients.sessions:
        transport = protocol.transport
        while getattr(transport, "transport", None) is not None:
            transport = transport.transport
        total = max(
            total,
            len(transport.dataBuffer)
            + transport._tempDataLen
            + (protocol.writer.unsent.bytes if protocol.writer is not None else 0),
        )
    return total


@ensureDeferred
async def test_who_never_reads_costs_nobody_a_message_and_is_sent_away(
    start: Any, helpers: Any, reactor: Any, record_property: Any
) -> None:
    eventually, channel = helpers
    running = await start(
        DEMO="true", EXCHANGES="binance", CLIENT_STALL_TIMEOUT=str(STALL_S), SOCKET_SEND_BUFFER_BYTES="16384"
    )
    everything = subscribe(
        *channels(channel, running, "ticker", "trade"), *channels(channel, running, "order_book", depth=100)
    )
    fast, reader = await running.connect(), await running.raw_ws()
    fast.subscribe(channel("trade"), channel("ticker"), channel("order_book", depth=5))
    reader.send_frame(1, everything)  # reads what the others will not: the load is the same before and after they come
    make_wild(running)
    await eventually(lambda: reader.data.count(b'"type":"order_book_snapshot"') > 25, 20)
    since = len(fast.messages)
    await eventually(lambda: len(ages(fast, since)) > 200)
    calm = ages(fast, since)

    deaf = [await running.raw_ws() for _ in range(5)]
    since, most = len(fast.messages), 0
    for raw in deaf:
        raw.pause()
        raw.send_frame(1, everything)

    def all_gone() -> bool:
        nonlocal most
        most = max(most, queued(running))
        deaf[0].send_frame(10, b"a pong that nobody asked for")  # sending does not save who never reads
        return len(running.server.clients.sessions) == 2

    begun = reactor.seconds()
    await eventually(all_gone)
    assert reactor.seconds() - begun < 9, "by the setting, not by the ten seconds that hold without one"
    assert most <= 2 * 1024 * 1024
    loud = ages(fast, since)
    record_property(
        "measured",
        f"age of a trade at a client beside {len(deaf)} that never read, median and worst: {median(loud):.0f} and "
        f"{max(loud)} ms, before {median(calm):.0f} and {max(calm)} ms",
    )
    assert len(loud) > 100
    ids = [int(each["id"]) for each in fast.of("trade")]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "the fast client lost a trade"
    assert {each["state"] for each in fast.of("status")} == {"connecting", "live"}
    text = (await running.get("/metrics")).body.decode()
    assert 'cryptodash_ws_closes_total{code="1013",initiator="server"} 5.0' in text


class Trickle:
    """A client that reads at its own pace, with a kernel that holds little for it."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        head = b"\x81\xfe" + struct.pack("!H", len(request)) + bytes(4)  # a mask of zeros
        self._unsent = UPGRADE + head + request
        self.read = 0

    def until(self, total: float) -> None:
        """Read on, as far as something is there, until it is so much in all."""
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :] if self._unsent else b""
            while self.read < total:
                self.read += len(self.socket.recv(400))
        except BlockingIOError:
            pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what waits in the kernel")
@ensureDeferred
async def test_a_client_that_reads_four_kilobytes_a_second_stays_and_one_that_stops_goes(
    start: Any, helpers: Any, reactor: Any
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", EXCHANGES="binance", CLIENT_STALL_TIMEOUT="3")
    slow_clients = running.server.clients.fanout.slow_clients
    begun = reactor.seconds()
    client = Trickle(running.port, subscribe(channel("ticker"), channel("trade"), channel("order_book", depth=1000)))
    make_wild(running)

    def at_its_pace() -> bool:
        client.until(4000 * (reactor.seconds() - begun))
        return bool(slow_clients.blocked) and reactor.seconds() - begun > 9

    try:
        await eventually(at_its_pace)
        assert len(running.server.clients.sessions) == 1
        await eventually(lambda: not running.server.clients.sessions)
    finally:
        client.socket.close()


def outdated(slow: Any, fast: Any, kind: str) -> list[int]:
    """For each value the slow client read: how many bytes it had read since the fast one knew a newer one."""
    read = [0, *accumulate(map(len, slow.texts))]

    def read_until(when: int) -> int:
        return read[bisect_left(slow.received_at, when)]

    news: dict[str, list[tuple[int, int]]] = {}
    for message, when in zip(fast.messages, fast.received_at, strict=True):
        if message["type"].startswith(kind):
            news.setdefault(name(message["payload"]), []).append((milliseconds(message["payload"]["timestamp"]), when))
    found = []
    for message, when in zip(slow.messages, slow.received_at, strict=True):
        if message["type"].startswith(kind):
            own = milliseconds(message["payload"]["timestamp"])
            newer = next((known for time, known in news[name(message["payload"])] if time > own), when)
            found.append(max(0, read_until(when) - read_until(newer)))
    return found


def name(payload: dict[str, Any]) -> str:
    return f"{payload['exchange']} {payload['market_type']} {payload['symbol']} {payload.get('depth', '')}"


@ensureDeferred
async def test_what_a_slow_reader_reads_is_never_old(start: Any, helpers: Any, reactor: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", EXCHANGES="binance", SOCKET_SEND_BUFFER_BYTES="16384")
    slow, fast = await running.connect(), await running.connect()
    wanted = channels(channel, running, "ticker") + channels(channel, running, "order_book", depth=50)
    fast.subscribe(*wanted)
    await eventually(lambda: len(fast.of("order_book_snapshot")) > 25, 20)
    transport = slow.transport
    transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    transport.bufferSize = 6144  # what it reads at once
    breaths = 0

    def breathe() -> None:  # one read of 6 KiB, then a pause: about 100 kB/s
        nonlocal breaths
        breaths += 1
        (transport.pauseProducing if breaths % 2 else transport.resumeProducing)()
        if not slow.closed.called:
            reactor.callLater(0.05 if breaths % 2 else 0.0, breathe)

    breathe()
    slow.subscribe(*wanted)
    first = len(fast.texts)
    await eventually(lambda: breaths > 140)
    behind = sum(map(len, fast.texts[first:])) / sum(map(len, slow.texts))
    assert behind > 2, "it was not slow"
    assert not slow.closed.called
    for kind in ("ticker", "order_book"):
        late = outdated(slow, fast, kind)
        # The kernel's two buffers and one slice of the server's hold 128 KiB: no more is on the way when a value is
        # told (330 kB without ``keep_short``). In bytes, not in seconds: a busy machine delays both clients alike.
        assert len(late) > 40 and max(late) < 1.2 * 131_072, (kind, sorted(late)[-10:])


def applied(messages: list[dict[str, Any]], depth: int) -> tuple[int, list[int]]:
    """(deltas, sequences of the snapshots) of one book, each delta checked to fit."""
    sequence, deltas, snapshots = 0, 0, []
    for message in messages:
        if message["type"].startswith("order_book") and message["payload"]["depth"] == depth:
            if message["type"] == "order_book_snapshot":
                snapshots.append(message["payload"]["sequence"])
            else:
                assert message["payload"]["sequence"] == sequence + 1
                deltas += 1
            sequence = message["payload"]["sequence"]
    return deltas, snapshots


@ensureDeferred
async def test_a_client_that_was_away_for_a_while_comes_back_to_the_present(
    start: Any, helpers: Any, shifted_clock: Any
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", EXCHANGES="binance", SOCKET_SEND_BUFFER_BYTES="16384", clock=shifted_clock(3.0))
    fast, slow = await running.connect(), await running.connect()
    slow.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    wanted = [channel("ticker"), channel("trade"), channel("candle", interval="1m"), channel("order_book", depth=20)]
    for client in (fast, slow):
        client.subscribe(*wanted)
        client.subscribe(*channels(channel, running, "order_book", depth=100))
    make_wild(running)
    await eventually(
        lambda: all(
            client.of("trade") and client.of("candle") and applied(client.messages, 20)[0] > 3
            for client in (fast, slow)
        )
    )
    slow.transport.pauseProducing()
    left_at = next(each["sequence"] for each in reversed(slow.of("order_book_delta")) if each["depth"] == 20)
    dropped = running.server.clients.traffic.dropped.values
    await eventually(lambda: any(each["closed"] for each in fast.of("candle")) and dropped[("trade",)] > 50)
    slow.transport.resumeProducing()
    await slow.until_type("gap")
    await slow.synced()
    had, news = applied(slow.messages, 20)[0], len(fast.of("trade"))
    await eventually(lambda: len(fast.of("trade")) > news + 50 and applied(slow.messages, 20)[0] > had + 3)
    await slow.synced()
    await fast.synced()

    gaps = slow.of("gap")
    own = {
        "channel_type": "trade",
        "exchange": "binance",
        "market_type": "spot",
        "symbol": {"base": "BTC", "quote": "USDT"},
    }
    assert all(each["channel"] == own for each in gaps)
    ids = [int(each["id"]) for each in slow.of("trade")]
    holes = [later - earlier - 1 for earlier, later in pairwise(ids) if later != earlier + 1]
    assert len(holes) <= len(gaps) and sum(holes) == sum(each["missed"] for each in gaps), (
        "what is missing is what the gap says"
    )
    for client in (fast, slow):
        assert sum(1 for each in client.of("candle") if each["closed"]) == 1, "a closed candle comes, once"
    assert [each for each in slow.of("candle") if each["closed"]] == [
        each for each in fast.of("candle") if each["closed"]
    ]
    _, snapshots = applied(slow.messages, 20)
    assert snapshots[-1] > left_at + 5, "the way back goes by a snapshot"
    assert max(outdated(slow, fast, "ticker")[-5:]) < 1000
    assert {each["state"] for each in slow.of("status")} == {"connecting", "live"}

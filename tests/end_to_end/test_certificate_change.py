"""A certificate is renewed under connected clients: none drops, new ones see the new one."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from cryptodash.certificates import LOOK_EVERY_S
from cryptodash.testing.authority import Authority
from tests.processes import Process, all_ended

HOST = "market.example"
CLIENTS = (50, 500)
"""Of a sample, and of a long run."""
SUBSCRIBE = {
    "op": "subscribe",
    "channels": [
        {"channel_type": kind, "exchange": "bybit", "symbol": "BTC-USDT"} for kind in ("ticker", "trade", "order_book")
    ],
}


class Client:
    """One that stays: what came, and which certificate it was shown."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.serial = serial_of(connection)
        self.messages = 0
        self.pongs: asyncio.Queue[str] = asyncio.Queue()
        self.error: Exception | None = None
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                self.messages += 1
                message = json.loads(text)
                if message.get("message") == "pong":
                    self.pongs.put_nowait(message["payload"]["id"])
        except Exception as error:
            self.error = error

    async def answers(self, mark: str) -> None:
        """It is served still: an answer comes to what it asks now."""
        await self.connection.send(json.dumps({"op": "ping", "id": mark}))
        assert await asyncio.wait_for(self.pongs.get(), 20) == mark


def serial_of(connection: ClientConnection) -> str:
    return str(connection.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"])


class World:
    """A server that speaks TLS, and its certificate's files."""

    def __init__(self, folder: Path, started: list[Any]) -> None:
        self.authority = Authority()
        self.cert, self.key = folder / "fullchain.pem", folder / "privkey.pem"
        self.renew()
        self.server = Process(
            *("-n", "--pidfile=", "cryptodash", "--demo", "--exchanges", "bybit", "--bind-addr", "127.0.0.1:0"),
            cwd=folder,
            TLS_CERT=str(self.cert),
            TLS_KEY=str(self.key),
        )
        started.append(self.server)
        self.port = self.server.port()
        self.trusting = ssl.create_default_context(cadata=self.authority.pem)

    def renew(self) -> None:
        """As certbot does: one file after the other, each whole at once."""
        for path, text in zip((self.cert, self.key), self.authority.files(HOST, days=90), strict=True):
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").rename(path)

    async def connect(self) -> ClientConnection:
        return await connect(
            f"wss://127.0.0.1:{self.port}/ws",
            ssl=self.trusting,
            server_hostname=HOST,
            compression=None,
            proxy=None,
            open_timeout=30,
        )

    async def shown_now(self) -> str:
        """The serial number that a new client is shown."""
        connection = await self.connect()
        serial = serial_of(connection)
        await connection.close()
        return serial

    async def until_shown(self, wanted: Callable[[str], bool], seconds: float) -> tuple[str, float]:
        """What new clients are shown once it is wanted, and how long that took."""
        begun, never = monotonic(), asyncio.Event()
        while not wanted(serial := await self.shown_now()):
            assert monotonic() - begun < seconds, f"still {serial} after {seconds} s"
            try:
                await asyncio.wait_for(never.wait(), 0.2)
            except TimeoutError:
                continue
        return serial, monotonic() - begun


async def changed_under(world: World, count: int) -> str:
    """What was measured."""
    clients: list[Client] = []
    while len(clients) < count:
        batch = await asyncio.gather(*(world.connect() for _ in range(min(50, count - len(clients)))))
        clients += map(Client, batch)
    for client in clients:
        await client.connection.send(json.dumps(SUBSCRIBE))
    (first,) = {client.serial for client in clients}
    await asyncio.gather(*(client.answers("before") for client in clients))

    world.renew()
    second, by_itself = await world.until_shown(lambda serial: serial != first, LOOK_EVERY_S + 10)
    await asyncio.gather(*(client.answers("by itself") for client in clients))

    whole = world.key.read_text()
    world.key.write_text(whole[:100])
    world.server.signal(signal.SIGHUP)
    await asyncio.to_thread(world.server.line, "cannot be used: .*; new connections get the certificate of before")
    assert await world.shown_now() == second

    world.renew()
    world.server.signal(signal.SIGHUP)
    third, by_signal = await world.until_shown(lambda serial: serial != second, 10)
    assert len({first, second, third}) == 3

    seen = [client.messages for client in clients]
    await asyncio.gather(*(client.answers("after") for client in clients))
    for client, before in zip(clients, seen, strict=True):
        assert client.error is None and not client.reading.done() and client.connection.close_code is None
        assert client.messages > before
    dropped = sum(client.reading.done() for client in clients)
    await asyncio.gather(*(client.connection.close() for client in clients))
    return (
        f"certificate changed twice and broken once under {count} clients: {dropped} dropped; new ones were shown the "
        f"new one {by_itself:.1f} s after the files' change, {by_signal:.2f} s after SIGHUP; "
        f"{sum(client.messages for client in clients)} messages came meanwhile"
    )


def test_a_certificate_is_renewed_under_clients_and_none_drops(
    tmp_path: Path, long: bool, record_property: Callable[[str, object], None]
) -> None:
    with all_ended() as started:
        world = World(tmp_path, started)
        record_property("measured", asyncio.run(changed_under(world, CLIENTS[long])))
        world.server.signal(signal.SIGTERM)
        assert world.server.ended(10) == 0
    assert not [line for line in world.server.lines if "Traceback" in line or "Unhandled" in line]

"""The whole server on a recording, in memory.

The only module of the golden run that imports the package: what moves there is adapted here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve

from cryptodash import service
from cryptodash.core.layers import Layer, load
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.simulator.recording import read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.testing.network import MemoryNetwork

VENUES = ("binance", "bybit")
SPLITS = ("BTCUSD_PERP=BTC-USD",)
"""Names that no ending splits."""
SETTINGS = {
    "BIND_ADDR": "127.0.0.1:0",
    "BOOK_DEPTH_DEFAULT": "20",  # none of the depths that are asked for by number
    "STALE_AFTER_S": "5",
}


class Stage:
    """A started server whose venue is a recording of which nothing has been played; time moves only when told."""

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        recording = read_recording(path, symbols=SPLITS)
        venue: Any = RecordedVenue(registry.load(recording.exchange), recording.samples(), recording.limits)
        config = load([Layer("golden", {**SETTINGS, "EXCHANGES": recording.exchange, **settings})], VENUES)
        topics = venue.topics(recording.exchange, recording.market, recording.symbols, config.book_depth_default)
        self.network = MemoryNetwork()
        self.frames = [frame.at for frame in recording.frames]
        """Seconds after the first one at which each frame was received."""
        self.channels = [_channel(topic) for topic in topics]
        """All that the recording can feed, as a client names it; books in the default depth, which is not named."""
        self._replay = Replay(self.network, recording, delay=None)
        self._replay.listen()
        self._server = service.build(
            evolve(config, symbols=tuple(topics)),
            self.network,
            clock=self.network,
            random=Random(7),
            venues=[venue],
            stand_in=service.StandIn(self._replay, self._replay.base_urls, "replay"),
        )
        self._server.privilegedStartService()
        self._server.startService()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def missing(self) -> frozenset[str]:
        """Recorded streams that the server has not subscribed to."""
        return self._replay.missing

    def send(self) -> None:
        """The next frame, and all that comes of it before time passes. One at a time: the order of frames is then the
        recorded one, whichever connections the server takes them from."""
        self._replay.send_next(1)
        self.network.settle()

    def cut(self) -> None:
        """End every connection that the server has with the venue."""
        port = next(iter(self._replay.base_urls.values()))[0].rpartition(":")[2]
        for wire in self.network.wires:
            if wire.port == int(port) and not wire.is_over:
                wire.server.abortConnection()
        self.network.settle()

    def stop(self) -> Any:
        """Begin the server's shutdown; the result is fired when it has ended."""
        return self._server.stopService()


def _channel(topic: Any) -> dict[str, Any]:
    """The members by which a client names the topic."""
    channel = {
        "channel_type": topic.channel.value,
        "exchange": topic.exchange,
        "market_type": topic.market.value,
        "symbol": {"base": topic.symbol.base, "quote": topic.symbol.quote},
    }
    return channel | ({"interval": topic.interval} if topic.channel.value == "candle" else {})

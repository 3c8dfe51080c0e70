"""What the servers publish and what the clients subscribe to: the same bytes for everybody."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ours import BOOK_DEPTH, SPOT, symbol_of
from benchmarks.processes import CACHE
from cryptodash.core.events import BookDelta, Side, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.encode import delta_message, trade_message

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

KINDS = {"trade": ('{"type":"trade"', '"id":"'), "book": ('{"type":"order_book_', '"sequence":')}
"""How a measured message begins, and what stands before its running number."""

_HOLE = 987654321


def body(kind: str, index: int) -> list[str]:
    """The message of a topic, as our hub encodes it, cut at its running number."""
    if kind == "trade":
        topic = Topic("binance", SPOT, symbol_of(index), Channel.TRADE)
        event = Trade(
            topic, 1_700_000_000_000, RECEIVED, str(_HOLE), Number("61837.63000000"), Number("0.00123000"), Side.BUY
        )
        # The number stands in the cursor as well, where peers leave it as it is.
        return trade_message(event).body.decode().split(str(_HOLE), 1)
    topic = Topic("binance", SPOT, symbol_of(index), Channel.ORDER_BOOK, depth=BOOK_DEPTH)
    levels = [(Number(f"{60_000 - level}.10000000"), Number(f"{level + 500}.50000000")) for level in (3, 20, 37)]
    delta = BookDelta(topic, 1_700_000_000_000, RECEIVED, _HOLE, levels, levels, (), ())
    return delta_message(delta).body.decode().split(str(_HOLE))


def write_bodies(kind: str, topics: int) -> Path:
    """A file with the bodies of all topics, for the peers."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=CACHE, suffix=".bodies", delete=False) as file:
        json.dump([body(kind, index) for index in range(topics)], file)
    return Path(file.name)


def ours_subscribe(kind: str, topics: Sequence[int]) -> str:
    """A client's request to our server."""
    member: dict[str, object] = (
        {"channel_type": "trade"} if kind == "trade" else {"channel_type": "order_book", "depth": BOOK_DEPTH}
    )
    channels = [{**member, "exchange": "binance", "symbol": str(symbol_of(index))} for index in topics]
    return json.dumps({"op": "subscribe", "channels": channels}, separators=(",", ":"))


def peers_subscribe(topics: Sequence[int]) -> str:
    """A client's request to a peer."""
    return ",".join(map(str, topics))


def all_of(topics: int, clients: int) -> list[list[int]]:
    """Every client has every topic."""
    return [list(range(topics))] * clients


def some_of(topics: int, clients: int, each: int) -> list[list[int]]:
    """Every client has its own random choice."""
    chance = random.Random(11)
    return [chance.sample(range(topics), each) for _ in range(clients)]


def groups_of(topics: int, clients: int, groups: int) -> list[list[int]]:
    """Client i has the topics of group i modulo ``groups``: a topic has the same number of clients
    whatever the number of topics."""
    return [list(range(client % groups, topics, groups)) for client in range(clients)]

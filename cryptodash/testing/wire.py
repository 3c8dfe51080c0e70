"""The wire of the made-up venue (``testing/venue.py``): what it sends, and how that is read.

Frames are JSON. Data frames name their ``stream``; levels are pairs of text, or four bare numbers of which the first
two count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from cryptodash.core.events import Level, Side
from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import Number, positive, unsigned
from cryptodash.exchanges.adapter.decode import MAX_NAME, MAX_TIME_MS, in_base, read_data
from cryptodash.exchanges.adapter.elements import kept
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Bar,
    Depth,
    Fill,
    Heartbeat,
    Ignored,
    LiquidationOrder,
    Liquidations,
    Mark,
    Message,
    Pong,
    Quote,
    Reader,
    Readers,
    Restarting,
    Sequenced,
    Stats,
    Subscribed,
    SweepRow,
    SweepRows,
    Trades,
)

ONE = Number("1")
CHECKED_LEVELS = 3
"""Levels a side that the checksum covers."""


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC32 over the text of the best levels, asks first, each price and size without its point."""
    text = "".join(price.replace(".", "") + size.replace(".", "") for price, size in [*asks, *bids])
    return crc32(text.encode())


# -- what the venue sends


def _write(document: object) -> bytes:
    return json.dumps(document).encode()


def ack(request_id: str = "", reason: str = "", **named: Any) -> bytes:
    """The answer to a request; a ``reason`` refuses it. ``named``: ``streams`` or the ``symbol`` that it speaks of,
    ``already``."""
    return _write({"kind": "ack", "id": request_id, "reason": reason, **named})


def subscriptions(*streams: str) -> bytes:
    """The answer that lists everything the connection carries."""
    return _write({"kind": "subscriptions", "streams": list(streams)})


def heartbeat(time: int) -> bytes:
    """The stream of heartbeats that every connection has."""
    return _write({"kind": "heartbeat", "stream": "heartbeat:", "t": time})


def numbered(number: int, frame: bytes) -> bytes:
    """A frame with its place in the connection."""
    return _write({"seq": number, **json.loads(frame)})


def pong(request_id: str = "", time: int | None = None) -> bytes:
    """The answer to a ping, with its id and the venue's time where they are given."""
    return _write({"kind": "pong", "id": request_id, "t": time})


TEXT_PING, TEXT_PONG = b"ping", b"pong"
"""The same where the venue's heartbeat is no JSON."""


def restarting() -> bytes:
    """The announcement that the connection will be closed."""
    return _write({"kind": "restarting"})


def quote(native: str, bid: str, ask: str, update_id: int, time: int | None = None) -> bytes:
    """Best bid and ask, one unit each."""
    return _write({"kind": "quote", "stream": f"quote:{native}", "bid": bid, "ask": ask, "u": update_id, "t": time})


def day(native: str, last: str, time: int) -> bytes:
    """The 24 h figures."""
    return _write({"kind": "day", "stream": f"day:{native}", "last": last, "t": time})


def mark(native: str, price: str, time: int) -> bytes:
    """The mark price."""
    return _write({"kind": "mark", "stream": f"mark:{native}", "price": price, "t": time})


def interest(native: str, amount: str, time: int) -> bytes:
    """The answer of the open-interest poll."""
    return _write({"kind": "interest", "stream": "poll", "amount": amount, "t": time})


def trade(native: str, number: int, price: str, time: int, *, counted: bool = True) -> bytes:
    """One trade; not ``counted``: its number is an id and nothing else."""
    said = {"n": number, "price": price, "t": time} if counted else {"id": number, "price": price, "t": time}
    return _write({"kind": "trade", "stream": f"trade:{native}", **said})


def liquidations(*orders: tuple[str, str, str, str, int], complete: bool = True, contracts: bool = False) -> bytes:
    """Orders of any instruments that closed positions: native name, side, price, size, time."""
    stream, said = "liquidation:ALL", {"orders": orders, "complete": complete, "contracts": contracts}
    return _write({"kind": "liquidation", "stream": stream, **said})


def candle(
    native: str, time: int, close: str, closed: bool | None = False, *, sent: int | None = None, volume: str = "1"
) -> bytes:
    """A bar of one minute; ``closed`` None: the venue has no such flag. ``sent``: when the venue wrote the frame."""
    said = {"t": time, "close": close, "closed": closed, "sent": sent, "volume": volume}
    return _write({"kind": "candle", "stream": f"candle:{native}", **said})


def book(
    stream: str,
    first: int | None,
    last: int | None,
    bids: Mapping[str, str],
    asks: Mapping[str, str],
    *,
    previous: int | None = None,
    snapshot: bool = False,
    time: int | None = None,
    checksum: int | None = None,
    sequence: int | None = None,
) -> bytes:
    """A book frame, or the body of a REST snapshot."""
    levels = {"bids": list(bids.items()), "asks": list(asks.items())}
    ids = {"first": first, "last": last, "previous": previous, "checksum": checksum, "sequence": sequence}
    return _write({"kind": "book", "stream": stream, "snapshot": snapshot, "t": time, **ids, **levels})


def bare_book(stream: str, number: int, bids: str, asks: str, *, snapshot: bool = False) -> bytes:
    """The same as text of bare numbers, four a level: ``[[1.50,2.0,0,1],...]``."""
    head = f'"kind":"book","stream":"{stream}","snapshot":{json.dumps(snapshot)},"first":{number},"last":{number}'
    return f'{{{head},"bids":{bids},"asks":{asks}}}'.encode()


def sweep(rows: Mapping[str, str], time: int | None) -> bytes:
    """The answer of the sweep poll: last price by native name; without a ``time`` where it is None."""
    return _write({"kind": "sweep", "stream": "sweep", "rows": dict(rows), "t": time})


def names_of(request: Mapping[str, Any]) -> list[str]:
    """The streams that a request of ours names."""
    if "channel" in request:
        return [f"{request['channel']}{request.get('depth', '')}:{each}" for each in request["symbols"]]
    return list(request.get("args", ()))


# -- how it is read


def read(frame: bytes, readers: Readers) -> list[Message]:
    """What a frame says. Raises ``BadFrame``."""
    with checked():
        return _read(frame, readers)


def _read(frame: bytes, readers: Readers) -> list[Message]:
    if frame == TEXT_PONG:
        return [Pong()]
    said = _decoded(frame)
    number = said.get("seq")
    messages: list[Message] = [] if number is None else [Sequenced(int(number))]
    control = _CONTROL.get(str(said.get("kind")))
    if control is not None:
        return [*messages, control(said)]
    if "stream" not in said:
        return [*messages, Ignored(str(said.get("kind"))[:20])]
    return [*messages, *read_data(readers, str(said["stream"]), frame)]


def reader(instrument: Instrument | None) -> Reader:
    """Reads the data frames of a stream; sizes of an instrument that trades in contracts become base quantity."""

    def size(text: object) -> str:
        in_contracts = instrument is not None and instrument.contract_size is not None
        return in_base(str(text), instrument) if in_contracts else unsigned(str(text))

    def read_frame(stream: str, frame: bytes) -> Sequence[Message]:
        with checked():
            said = _decoded(frame)
            if said["kind"] == "sweep":
                return _sweep(stream, said)
            return [_DATA[said["kind"]](stream, said, size)]

    return read_frame


def body_reader(body: bytes) -> Message:
    """What a REST body says, which is one thing. Raises ``BadFrame``."""
    return body_messages(body)[0]


def body_messages(body: bytes) -> Sequence[Message]:
    """What a REST body says. Raises ``BadFrame``."""
    with checked():
        said = _decoded(body)
        stream = str(said.get("stream", ""))[:MAX_NAME]
        if said["kind"] == "sweep":
            return _sweep(stream, said)
        return [_DATA[said["kind"]](stream, said, lambda text: unsigned(str(text)))]


@contextmanager
def checked() -> Iterator[None]:
    """Whatever goes wrong with a document of another shape is a ``BadFrame``: nothing here is declared, as a real
    venue's frames are."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise BadFrame("schema", repr(error)) from None


def _decoded(frame: bytes) -> dict[str, Any]:
    """The object of a frame, every number as its own text."""
    try:
        said = json.loads(frame, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise BadFrame("json", str(error)) from None
    if not isinstance(said, dict):
        raise BadFrame("schema", "not an object")
    return said


Size = Callable[[object], str]


def _time(said: Mapping[str, Any]) -> int | None:
    return None if said.get("t") is None else as_time(said["t"])


def as_time(text: object) -> int:
    """A time in ms. Raises ``ValueError``, or ``BadFrame`` for one that cannot be."""
    time = int(str(text))
    if not 0 <= time <= MAX_TIME_MS:
        raise BadFrame("schema", f"no time: {time}")
    return time


def _at(said: Mapping[str, Any]) -> int:
    return _time(said) or 0


def _quote(stream: str, said: Mapping[str, Any], size: Size) -> Message:
    bid, ask = positive(str(said["bid"])), positive(str(said["ask"]))
    return Quote(stream, bid, Number(size("1")), ask, Number(size("1")), int(said["u"]), _time(said))


def _trade(stream: str, said: Mapping[str, Any], size: Size) -> Message:
    number, price = (int(said["n"]) if "n" in said else None), positive(str(said["price"]))
    trade_id = str(said["id"] if number is None else number)
    return Trades(stream, [Fill(trade_id, price, Number(size("1")), Side.BUY, _at(said), number)])


def _liquidations(stream: str, said: Mapping[str, Any], size: Size) -> Message:
    orders = [
        LiquidationOrder(str(native), Side(side), positive(str(price)), positive(str(quantity)), as_time(time))
        for native, side, price, quantity, time in said["orders"]
    ]
    return Liquidations(stream, orders, bool(said["complete"]), bool(said["contracts"]))


def _candle(stream: str, said: Mapping[str, Any], size: Size) -> Message:
    close = positive(str(said["close"]))
    closed = None if said["closed"] is None else bool(said["closed"])
    sent = None if said.get("sent") is None else as_time(said["sent"])
    return Bar(stream, _at(said), close, close, close, close, Number(size(said.get("volume", "1"))), closed, sent)


def _book(stream: str, said: Mapping[str, Any], size: Size) -> Message:
    first, last, previous, check, sequence = (
        None if said.get(name) is None else int(said[name])
        for name in ("first", "last", "previous", "checksum", "sequence")
    )
    bids, asks = (
        [(positive(str(level[0])), Number(size(level[1]))) for level in said[side]] for side in ("bids", "asks")
    )
    snapshot = bool(said["snapshot"])
    return Depth(stream, snapshot, first, last, previous, bids, asks, _time(said), checksum=check, sequence=sequence)


def _sweep(stream: str, said: Mapping[str, Any]) -> Sequence[Message]:
    at = _time(said)

    def read(row: tuple[str, str]) -> SweepRow:
        return SweepRow(row[0], None, Stats("", at, last=positive(row[1])), None)

    rows = kept(said["rows"].items(), read, lambda row: row[0])
    return rows.told(stream, [SweepRows(stream, rows)])


_DATA: Mapping[str, Callable[[str, Mapping[str, Any], Size], Message]] = {
    "quote": _quote,
    "day": lambda stream, said, size: Stats(stream, _at(said), last=positive(str(said["last"]))),
    "mark": lambda stream, said, size: Mark(stream, _at(said), full=False, mark_price=positive(str(said["price"]))),
    "interest": lambda stream, said, size: Mark(
        stream, _at(said), full=False, open_interest=positive(str(said["amount"]))
    ),
    "trade": _trade,
    "liquidation": _liquidations,
    "candle": _candle,
    "book": _book,
    "heartbeat": lambda stream, said, size: Heartbeat(_time(said)),
}


def _ack(said: Mapping[str, Any]) -> Message:
    reason = str(said["reason"])
    streams, symbol = tuple(said.get("streams", ())), str(said.get("symbol", ""))
    return Ack(str(said["id"]), not reason, reason, streams, symbol, bool(said.get("already")))


_CONTROL: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    "ack": _ack,
    "subscriptions": lambda said: Subscribed(tuple(said["streams"])),
    "pong": lambda said: Pong(str(said.get("id", "")), _time(said)),
    "restarting": lambda said: Restarting(),
}

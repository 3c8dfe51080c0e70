"""The fast way through incoming bytes does what Autobahn's own parser does, whatever comes and however it is cut."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1
from itertools import pairwise
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from cryptodash.exchanges.transport.frame_header import frame_bounds
from cryptodash.exchanges.transport.frame_slicer import FrameSlicer

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
FINAL, RESERVED = 0x80, 0x70
MOST_FRAME, MOST_MESSAGE = 70_000, 80_000
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload: bytes, opcode: int = TEXT, *, bits: int = FINAL, mask: bytes = b"", long_way: int = 0) -> bytes:
    """A frame as a server sends it; ``long_way`` writes the length in 2 or 8 bytes although it may need fewer."""
    size = len(payload)
    width = max(long_way, 0 if size < 126 else 2 if size <= 0xFFFF else 8)
    length = {
        0: bytes([size & 0x7F]),
        2: b"\x7e" + struct.pack("!H", size & 0xFFFF),
        8: b"\x7f" + struct.pack("!Q", size),
    }[width]
    head = bytes([bits | opcode, length[0] | (0x80 if mask else 0)]) + length[1:]
    return head + mask + (bytes(each ^ mask[i % 4] for i, each in enumerate(payload)) if mask else payload)


class Notes:
    """A client that writes down what it is told, and does what some messages say."""

    notes: list[tuple[object, ...]]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.notes.append(("message", isBinary, payload))
        if payload == b"say goodbye":
            self.sendClose(1000)  # type: ignore[attr-defined]
        elif payload == b"hang up":
            self.dropConnection(abort=True)  # type: ignore[attr-defined]
        elif payload == b"answer" and self.state == WebSocketClientProtocol.STATE_OPEN:  # type: ignore[attr-defined]
            self.sendMessage(b"yes")  # type: ignore[attr-defined]

    def onPing(self, payload: bytes) -> None:
        self.notes.append(("ping", payload))
        super().onPing(payload)  # type: ignore[misc]

    def onPong(self, payload: bytes) -> None:
        self.notes.append(("pong", payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.notes.append(("closed", wasClean, code, reason))


class Stock(Notes, WebSocketClientProtocol):
    """Autobahn as it is."""


class Fast(Notes, FrameSlicer):
    """With our way through."""


class Wire(StringTransport):
    """Writes into the protocol's log, so that the order among messages and answers is seen."""

    def __init__(self, notes: list[tuple[object, ...]]) -> None:
        super().__init__()
        self.notes = notes

    def write(self, data: bytes) -> None:
        super().write(data)
        self.notes.append(("wrote", data))

    def abortConnection(self) -> None:
        self.notes.append(("aborted",))

    def loseConnection(self) -> None:
        self.notes.append(("lost",))

    def unregisterProducer(self) -> None:
        """Real transports allow this at any time."""


def connected(kind: type[Any], *, leftover: bytes = b"", by_drop: bool = False, compressed: bool = False) -> Any:
    """A client of this kind whose handshake is done; ``leftover`` came in one chunk with its answer."""
    factory = WebSocketClientFactory("ws://venue.example", reactor=Clock())
    factory.setProtocolOptions(
        maxFramePayloadSize=MOST_FRAME,
        maxMessagePayloadSize=MOST_MESSAGE,
        failByDrop=by_drop,
        maskClientFrames=False,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        serverConnectionDropTimeout=0,
        autoPingInterval=0,
        perMessageCompressionOffers=[PerMessageDeflateOffer()] if compressed else [],
        perMessageCompressionAccept=PerMessageDeflateResponseAccept,
    )
    protocol = kind()
    protocol.factory = factory
    protocol.notes = []
    transport = Wire(protocol.notes)
    protocol.makeConnection(transport)
    key = next(
        line.split(b": ")[1]
        for line in transport.value().split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    answer += b"Sec-WebSocket-Accept: " + b64encode(sha1(key + GUID).digest()) + b"\r\n"
    answer += b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else b""
    del protocol.notes[:]
    protocol.dataReceived(answer + b"\r\n" + leftover)
    return protocol


def outcome(kind: type[Any], chunks: Sequence[bytes], **options: Any) -> tuple[object, ...]:
    protocol = connected(kind, **options)
    for chunk in chunks:
        protocol.dataReceived(chunk)
    # What comes in the same chunk after a closing frame of ours is of no interest any more: it may be counted or not.
    stats = protocol.trafficStats.__json__() if protocol.state == protocol.STATE_OPEN else None
    return (
        protocol.notes,
        protocol.state,
        protocol.failedByMe,
        protocol.remoteCloseCode,
        protocol.localCloseCode,
        protocol.localCloseReason,
        stats,
    )


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in pairwise(edges)]


payloads = st.one_of(
    st.sampled_from([b"", b"{}", b"say goodbye", b"hang up", b"answer", "pri\u00e7e \u20ac \U0001f600".encode()]),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([125, 126, 127, 300, 65_535, 65_536, MOST_FRAME, MOST_FRAME + 1]).map(lambda size: b"x" * size),
    st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x80b"]),
    st.binary(max_size=20),
)
plain = payloads.map(frame)
control = st.builds(frame, st.binary(max_size=20), st.sampled_from([PING, PONG]))
close = st.builds(
    lambda code, why: frame(struct.pack("!H", code) + why, CLOSE),
    st.sampled_from([1000, 1001, 1006, 3000, 999, 5000]),
    payloads.filter(lambda each: len(each) < 100),
)
fragments = st.lists(st.one_of(payloads, control.map(bytearray)), min_size=2, max_size=4).map(
    lambda parts: b"".join(
        bytes(part)
        if isinstance(part, bytearray)
        else frame(part, CONTINUATION if i else TEXT, bits=FINAL if i == len(parts) - 1 else 0)
        for i, part in enumerate(parts)
    )
)
odd = st.builds(
    lambda payload, opcode, bits, mask, long_way: frame(payload, opcode, bits=bits, mask=mask, long_way=long_way),
    payloads,
    st.integers(0, 15),
    st.sampled_from([FINAL, FINAL, 0, FINAL | 0x40, 0x40, FINAL | 0x10]),
    st.sampled_from([b"", b"", b"\1\2\3\4"]),
    st.sampled_from([0, 0, 2, 8]),
)
noise = st.one_of(
    st.binary(min_size=1, max_size=30),
    st.just(b"\x81\x7f" + b"\xff" * 8),
    st.just(b"\x81\x7f" + b"\0" * 8),
    st.just(b"\x81\x7e\0\5hello"),
)
good = st.lists(st.one_of(plain, plain, plain, control), min_size=1, max_size=10)
anything = st.lists(st.one_of(plain, plain, plain, control, close, fragments, odd, noise), min_size=1, max_size=8)
places = st.lists(st.integers(0, 400_000), max_size=8)
few_places = st.lists(st.integers(0, 60), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    parts=st.one_of(good, anything),
    places=st.one_of(places, few_places),
    leftover=st.booleans(),
    by_drop=st.booleans(),
    compressed=st.booleans(),
)
def test_any_bytes_cut_anywhere_have_the_outcome_of_autobahns_own_parser(
    parts: list[bytes], places: list[int], leftover: bool, by_drop: bool, compressed: bool
) -> None:
    chunks = cut(b"".join(parts), places)
    first = chunks.pop(0) if leftover else b""
    options = {"leftover": first, "by_drop": by_drop, "compressed": compressed}
    assert outcome(Fast, chunks, **options) == outcome(Stock, chunks, **options)


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.one_of(plain, control, fragments), min_size=1, max_size=5), step=st.integers(1, 9))
def test_a_trickle_is_read_like_a_chunk(parts: list[bytes], step: int) -> None:
    stream = b"".join(parts)[:2_000]
    chunks = [stream[i : i + step] for i in range(0, len(stream), step)]
    assert outcome(Fast, chunks) == outcome(Stock, chunks)


@given(data=st.binary(max_size=40), at=st.integers(0, 10))
def test_bounds_lie_behind_the_header_or_are_not_known(data: bytes, at: int) -> None:
    bounds = frame_bounds(data, at)
    if bounds is not None:
        start, stop = bounds
        assert at + 2 <= start <= len(data) and start <= stop


class Batches(FrameSlicer):
    """Writes down what comes together."""

    notes: list[object]

    def onTexts(self, payloads: Sequence[bytes]) -> None:
        self.notes.append(list(payloads))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.notes.append(payload)

    def onPing(self, payload: bytes) -> None:
        self.notes.append("ping")


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ([frame(b"a") + frame(b"b" * 126) + frame(b"c" * 65_536)], [[b"a", b"b" * 126, b"c" * 65_536]]),
        ([frame(b"a") + frame(b"!", PING) + frame(b"b")], [[b"a"], "ping", [b"b"]]),
        ([frame(b"a") + frame(b"b" * 300)[:50], frame(b"b" * 300)[50:] + frame(b"c")], [[b"a"], b"b" * 300, [b"c"]]),
        ([frame(b"b" * 300)[:1], frame(b"b" * 300)[1:] + frame(b"c")], [[b"b" * 300, b"c"]]),
        ([frame(b"a", bits=0) + frame(b"b", CONTINUATION) + frame(b"c")], [b"ab", [b"c"]]),
        ([frame(b"a", BINARY) + frame(b"c")], [b"a", [b"c"]]),
    ],
    ids=[
        "all lengths",
        "a ping between",
        "a payload split",
        "a header split",
        "a fragmented message",
        "a binary message",
    ],
)
def test_frames_of_a_chunk_come_together_and_what_is_odd_comes_by_itself(
    chunks: list[bytes], told: list[object]
) -> None:
    protocol = connected(Batches)
    del protocol.notes[:]
    for chunk in chunks:
        protocol.dataReceived(chunk)
    assert [each for each in protocol.notes if not isinstance(each, tuple)] == told

"""RFC 6455, sections 5 to 7, frame by frame, against our server's and our client's production protocol.

The same ground as the quick set of the Autobahn testsuite (its section numbers stand beside the
tests), without Python 2.7.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL = 0x80
KEY = b"\x37\xfa\x21\x3d"

Frame = tuple[int, bytes]
"""(first byte, payload)"""


def frame(
    peer: Any, opcode: int, payload: bytes = b"", *, bits: int = FINAL, masked: bool | None = None, long_way: int = 0
) -> bytes:
    """A frame as ``peer`` has to send it; ``masked`` and ``long_way`` (2 or 8 bytes of length) break the rules."""
    masked = peer.masking if masked is None else masked
    size = len(payload)
    width = max(long_way, 0 if size < 126 else 2 if size <= 0xFFFF else 8)
    length = {
        0: bytes([size & 0x7F]),
        2: b"\x7e" + struct.pack("!H", size & 0xFFFF),
        8: b"\x7f" + struct.pack("!Q", size),
    }[width]
    head = bytes([bits | opcode, length[0] | (0x80 if masked else 0)]) + length[1:]
    return head + (KEY + unmasked(payload, KEY) if masked else payload)


def unmasked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    whole = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")


def frames(peer: Any) -> list[Frame]:
    """What came back; checks that our client masks and our server does not, and that lengths are
    written the short way."""
    data, found = peer.got, []
    while data:
        first, second = data[0], data[1]
        assert bool(second & 0x80) is not peer.masking
        length, at = second & 0x7F, 2
        if length == 126:
            (length,), at = struct.unpack_from("!H", data, 2), 4
            assert length > 125
        elif length == 127:
            (length,), at = struct.unpack_from("!Q", data, 2), 10
            assert length > 0xFFFF
        key, at = (data[at : at + 4], at + 4) if second & 0x80 else (b"\0\0\0\0", at)
        found.append((first, unmasked(data[at : at + length], key)))
        assert len(found[-1][1]) == length, "a frame is not complete"
        data = data[at + length :]
    return found


def text(payload: bytes) -> Frame:
    return FINAL | TEXT, payload


def closed(code: int | None, got: Frame) -> bool:
    return got[0] == FINAL | CLOSE and (got[1][:2] == struct.pack("!H", code) if code else got[1] == b"")


def ended(peer: Any, code: int) -> bool:
    """Whether a bad close frame was answered with this code. Our server takes it for the answer to its own close frame
    too and drops the connection, perhaps with what is still on its way."""
    return bool(peer.gone) if peer.masking and not peer.got else closed(code, frames(peer)[0])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_every_length_are_echoed(peer: Any, opcode: int, size: int) -> None:  # 1.*
    peer.send(frame(peer, opcode, b"*" * size))
    assert frames(peer) == [(FINAL | opcode, b"*" * size)]


@pytest.mark.parametrize("step", [1, 3, 997])
def test_messages_that_arrive_in_pieces_are_echoed(peer: Any, step: int) -> None:  # 1.1.6 to 1.1.8, chopped
    peer.send(frame(peer, TEXT, b"a" * 300) + frame(peer, TEXT) + frame(peer, TEXT, b"b"), step)
    assert frames(peer) == [text(b"a" * 300), text(b""), text(b"b")]


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
@pytest.mark.parametrize("step", [0, 1])
def test_a_ping_is_answered_with_its_payload(peer: Any, payload: bytes, step: int) -> None:  # 2.1 to 2.4, 2.6
    peer.send(frame(peer, PING, payload), step)
    assert frames(peer) == [(FINAL | PONG, payload)]


def test_ten_pings_are_answered_in_order(peer: Any) -> None:  # 2.10
    peer.send(b"".join(frame(peer, PING, b"%d" % each) for each in range(10)))
    assert frames(peer) == [(FINAL | PONG, b"%d" % each) for each in range(10)]


@pytest.mark.parametrize("payload", [b"", b"unasked for"])
def test_a_pong_is_ignored(peer: Any, payload: bytes) -> None:  # 2.7 to 2.9
    peer.send(frame(peer, PONG, payload) + frame(peer, PING, b"x"))
    assert frames(peer) == [(FINAL | PONG, b"x")]


@pytest.mark.parametrize("bits", [0x40, 0x20, 0x10, 0x70])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_reserved_bits_end_the_connection(peer: Any, opcode: int, bits: int) -> None:  # 3.*
    peer.send(frame(peer, TEXT, b"good") + frame(peer, opcode, b"", bits=FINAL | bits))
    first, second = frames(peer)[:2]
    assert first == text(b"good") and closed(1002, second)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"payload"])
def test_reserved_opcodes_end_the_connection(peer: Any, opcode: int, payload: bytes) -> None:  # 4.*
    peer.send(frame(peer, TEXT, b"good") + frame(peer, opcode, payload))
    first, second = frames(peer)[:2]
    assert first == text(b"good") and closed(1002, second)


def broken(peer: Any, kind: str) -> bytes:
    parts = {
        "a long ping": frame(peer, PING, b"x" * 126),
        "a fragmented ping": frame(peer, PING, b"x", bits=0),
        "the wrong masking": frame(peer, TEXT, b"x", masked=not peer.masking),
        "a continuation of nothing": frame(peer, CONTINUATION, b"x"),
        "a message inside a message": frame(peer, TEXT, b"x", bits=0) + frame(peer, TEXT, b"y"),
        "a length in 2 bytes for 1": frame(peer, TEXT, b"x", long_way=2),
        "a length in 8 bytes for 1": frame(peer, TEXT, b"x", long_way=8),
        "a length in 8 bytes for 2": frame(peer, TEXT, b"x" * 300, long_way=8),
    }
    return parts[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "a long ping",
        "a fragmented ping",
        "the wrong masking",
        "a continuation of nothing",
        "a message inside a message",
        "a length in 2 bytes for 1",
        "a length in 8 bytes for 1",
        "a length in 8 bytes for 2",
    ],
)
def test_broken_frames_end_the_connection_after_what_was_good(
    peer: Any, kind: str
) -> None:  # 2.5, 5.1, 5.2, 5.9 to 5.18
    peer.send(frame(peer, TEXT, b"good") + broken(peer, kind))
    first, second = frames(peer)[:2]
    assert first == text(b"good") and closed(1002, second)


@pytest.mark.parametrize("body", [b"\x03", b"\x03\xe8" + b"x" * 124])
def test_a_broken_close_frame_ends_the_connection(peer: Any, body: bytes) -> None:  # 7.3.2, 7.3.6
    peer.send(frame(peer, CLOSE, body))
    assert ended(peer, 1002)


def test_a_length_with_the_highest_bit_ends_the_connection(peer: Any) -> None:
    mask = 0x80 if peer.masking else 0
    peer.send(bytes([FINAL | TEXT, 0x7F | mask]) + b"\xff" * 8 + (KEY if mask else b""))
    assert closed(1002, frames(peer)[0])


@pytest.mark.parametrize("step", [0, 1])
def test_fragments_become_one_message_and_pings_between_are_answered_at_once(
    peer: Any, step: int
) -> None:  # 5.3 to 5.8, 5.19, 5.20
    parts = [
        frame(peer, TEXT, b"one ", bits=0),
        frame(peer, PING, b"!"),
        frame(peer, CONTINUATION, b"", bits=0),
        frame(peer, CONTINUATION, b"two"),
    ]
    peer.send(b"".join([*parts, frame(peer, TEXT, b"three")]), step)
    assert frames(peer) == [(FINAL | PONG, b"!"), text(b"one two"), text(b"three")]


GOOD_TEXT = [
    "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!",
    "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "\x00",
    "\ud7ff\ue000\ufffd",
    "\U00010000\U0010ffff",
    "\ufffe\uffff",
]
BAD_TEXT = [
    b"\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xce\xba\xe1\xbd",
    b"ok\xc3",
]


@pytest.mark.parametrize("said", GOOD_TEXT)
@pytest.mark.parametrize("step", [0, 1])
def test_all_of_unicode_is_echoed(
    peer: Any, said: str, step: int
) -> None:  # 6.2, 6.5 to 6.7, 6.9, 6.11, 6.13, 6.17, 6.22, 6.23
    peer.send(frame(peer, TEXT, said.encode()), step)
    assert frames(peer) == [text(said.encode())]


def test_a_character_may_be_cut_by_fragments(peer: Any) -> None:  # 6.2.3
    said = "\u03ba\U00010000".encode()
    parts = [frame(peer, CONTINUATION if i else TEXT, said[i : i + 1], bits=0) for i in range(len(said))]
    peer.send(b"".join(parts) + frame(peer, CONTINUATION))
    assert frames(peer) == [text(said)]


@pytest.mark.parametrize("bad", BAD_TEXT)
@pytest.mark.parametrize("fragments", [1, 2])
def test_text_that_is_not_utf8_ends_the_connection(
    peer: Any, bad: bytes, fragments: int
) -> None:  # 6.3, 6.4, 6.8, 6.10, 6.12, 6.14 to 6.16, 6.18 to 6.21
    whole = (
        frame(peer, TEXT, bad)
        if fragments == 1
        else frame(peer, TEXT, bad[:1], bits=0) + frame(peer, CONTINUATION, bad[1:])
    )
    peer.send(frame(peer, TEXT, b"good") + whole)
    first, second = frames(peer)[:2]
    assert first == text(b"good") and closed(1007, second)


def test_bytes_that_are_not_utf8_pass_as_binary(peer: Any) -> None:
    peer.send(frame(peer, BINARY, b"\xff\xfe"))
    assert frames(peer) == [(FINAL | BINARY, b"\xff\xfe")]


@pytest.mark.parametrize("code", [None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_a_good_close_frame_is_answered_and_nothing_follows(
    peer: Any, code: int | None
) -> None:  # 7.1, 7.3.1, 7.3.3, 7.7
    body = b"" if code is None else struct.pack("!H", code)
    peer.send(
        frame(peer, TEXT, b"last") + frame(peer, CLOSE, body) + frame(peer, TEXT, b"too late") + frame(peer, PING)
    )
    got = frames(peer)
    assert got[0] == text(b"last") and got[1][0] == FINAL | CLOSE and len(got) == 2
    assert got[1][1][:2] in (body, struct.pack("!H", 1000))


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_a_close_code_that_must_not_be_sent_is_answered_as_an_error(peer: Any, code: int) -> None:  # 7.9, 7.13
    peer.send(frame(peer, CLOSE, struct.pack("!H", code)))
    assert ended(peer, 1002)


def test_a_close_reason_must_be_utf8(peer: Any) -> None:  # 7.5.1
    peer.send(frame(peer, CLOSE, struct.pack("!H", 1000) + b"\xff"))
    assert ended(peer, 1007)


def test_a_close_reason_of_123_bytes_is_taken(peer: Any) -> None:  # 7.3.4, 7.3.5
    peer.send(frame(peer, CLOSE, struct.pack("!H", 1000) + b"*" * 123))
    assert closed(1000, frames(peer)[0])


def test_the_connection_ends_when_both_have_said_goodbye(
    peer: Any,
) -> None:  # 7.1.1; RFC 6455, section 7.1.1: the server closes first
    peer.send(frame(peer, CLOSE, struct.pack("!H", 1000)))
    if not peer.masking:
        peer.transport.loseConnection()
        peer.network.settle()
    assert peer.gone


def test_a_peer_that_vanishes_leaves_nothing_behind(peer: Any) -> None:
    peer.send(frame(peer, TEXT, b"a" * 300)[:100])
    peer.transport.abortConnection()
    peer.network.settle()
    assert peer.gone and frames(peer) == []


def test_a_thousand_messages_at_once_come_back_in_order(peer: Any) -> None:
    said = [b"%d" % number * (1 + number % 90) for number in range(1000)]
    peer.send(b"".join(frame(peer, TEXT, each) for each in said), 4096)
    assert frames(peer) == [text(each) for each in said]

"""What all frames of OKX have in common: the argument that names their stream, times as text, sizes in contracts.

A subscription asks for ``{"channel":"books","instId":"BTC-USDT"}``, and every frame and answer begins with, or holds,
the same object as ``arg``. The inside of that object is the stream's name, as it stands on the wire: so a frame's
stream is found without decoding it. Rules: www.okx.com/docs-v5, "Overview / WebSocket".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec
from attrs import frozen
from msgspec import Meta, Struct, field

from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import Number, unsigned
from cryptodash.exchanges.adapter.decode import MAX_NAME, MAX_TIME_MS, Name, decoder, in_base
from cryptodash.exchanges.adapter.messages import BadFrame, Message


class Argument(Struct, gc=False):
    """What a stream is asked for with."""

    channel: Name
    native: Annotated[str, Meta(max_length=MAX_NAME)] = field(name="instId", default="")
    kind: Annotated[str, Meta(max_length=MAX_NAME)] = field(name="instType", default="")

    @property
    def stream(self) -> str:
        """The name of the stream."""
        if self.kind and not self.native:
            return market_stream_name(self.channel, self.kind)
        return stream_name(self.channel, self.native)


_argument = decoder(Argument)


def stream_name(channel: str, native: str) -> str:
    """``"channel":"books","instId":"BTC-USDT"``: the argument without its braces, letters outside ASCII as they are."""
    return f'"channel":{_quoted(channel)},"instId":{_quoted(native)}'


def market_stream_name(channel: str, kind: str) -> str:
    """The same of a stream about all instruments of a kind: ``"channel":"liquidation-orders","instType":"SWAP"``."""
    return f'"channel":{_quoted(channel)},"instType":{_quoted(kind)}'


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def argument_of(stream: str) -> Argument:
    """The argument that the name of a stream says. Raises ``BadFrame`` for a name that none has."""
    try:
        found = _argument(f"{{{stream}}}".encode())
    except (msgspec.MsgspecError, UnicodeError):
        found = None
    if found is None or found.stream != stream or len(stream) > MAX_NAME:
        raise BadFrame("unknown", f"stream {stream[:MAX_NAME]}")
    return found


def request(op: str, streams: Sequence[str], request_id: str) -> bytes:
    """A subscribe or unsubscribe; the id has to be letters and digits, 32 at most."""
    arguments = ",".join(f"{{{name}}}" for name in streams)
    return f'{{"id":{_quoted(request_id)},"op":"{op}","args":[{arguments}]}}'.encode()


def time_of(text: str) -> int:
    """Milliseconds since 1970, which are text. Raises ``BadFrame``."""
    if len(text) <= 15 and text.isascii() and text.isdigit():
        time = int(text)
        if time <= MAX_TIME_MS:
            return time
    raise BadFrame("schema", f"time {text[:40]!r}")


@frozen
class Subject:
    """What the frames of a stream are about. ``size`` turns their sizes into base quantities: those of swaps are in
    contracts. ``is_swap``: their volumes are written in contracts and in base, those of spot in base and in quote."""

    native: str
    is_swap: bool
    size: Callable[[str], Number]


def subject_of(native: str, instrument: Instrument | None, *, is_swap: bool) -> Subject:
    """``instrument`` tells how large a contract is; without it sizes of swaps are unreadable."""
    return Subject(native, is_swap, partial(in_base, instrument=instrument) if is_swap else unsigned)


Read = Callable[[str, bytes, Subject], Sequence[Message]]
"""Reads the frames of one channel: from (stream name, frame, what it is about) to messages."""

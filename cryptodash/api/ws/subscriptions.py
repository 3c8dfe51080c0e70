"""What a client asks for, channel by channel, and what of it is accepted."""

from __future__ import annotations

from typing import Any

import msgspec
from attrs import frozen

from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.core import codec
from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused


@frozen
class ClientSubscription:
    """One accepted channel; ``max_rate`` as the client gave it."""

    delivery: Delivery
    max_rate: float | None

    @property
    def json(self) -> msgspec.Raw:
        rate = "" if self.max_rate is None else f',"max_rate":{codec.text(self.max_rate)}'
        return msgspec.Raw(codec.channel_json(self.delivery.topic, rate).encode())


@frozen
class RequestedChannel:
    """One entry of a subscribe that names a topic."""

    index: int
    channel: dict[str, Any]
    max_rate: float | None
    since: Cursor | None = None
    """Of the last message that the client has of it."""


@frozen
class Rejection:
    """One entry of a request's ``channels`` that was not accepted; ``index`` is its place there.

    The words alone: an exception keeps the frames that it went through, in a cycle with the list it is put into, and a
    thousand of those are left to the garbage collector.
    """

    index: int
    code: str
    message: str

    @classmethod
    def of(cls, index: int, why: Refused) -> Rejection:
        return cls(index, why.code, why.message)

    @property
    def members(self) -> dict[str, object]:
        return {"index": self.index, "code": self.code, "message": self.message}

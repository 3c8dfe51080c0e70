"""What waits in a client's queue, by kind: see ``conflation.ConflationQueue``."""

from __future__ import annotations

from attrs import define, field

from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.fanout.waiting_trades import Missed
from cryptodash.core.cursors import Cursor
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IReplay, Message


@define(eq=False)
class NotStored:
    """What is taken from the hub when there is room."""

    delivery: Delivery

    @property
    def topic(self) -> Topic:
        return self.delivery.topic

    @property
    def size(self) -> int:
        return 0


@define(eq=False)
class ChangedState(NotStored):
    """A book or a sweep, its status first where that has changed as well."""

    status: bool = False


@define(eq=False)
class Replaying(NotStored):
    """What the client missed while it was away; what is delivered meanwhile will be read as well."""

    replay: IReplay
    is_counted: bool = False
    """Whether it has been counted how far back it reaches."""


@define(eq=False)
class LatestValue:
    """The latest message of one key."""

    message: Message

    @property
    def topic(self) -> Topic:
        return self.message.topic

    @property
    def size(self) -> int:
        return len(self.message.body)


@define(eq=False)
class Owed:
    """What a client is owed of a topic whose status and present value are due, beyond these two."""

    missed: Missed = field(factory=Missed)
    """Trades that were not sent: those that are not among the recent ones are a gap."""
    closed: dict[object, Message] = field(factory=dict)
    """Closed bars by their key: each is delivered."""
    cursor: Cursor | None = None
    """Up to where the client has it: what came after it is due."""
    replaying: Replaying | None = None
    """A replay that had begun: it goes on."""

    @property
    def is_replay(self) -> bool:
        """Whether all that the client lacks will be read."""
        return self.cursor is not None or self.replaying is not None

    @property
    def size(self) -> int:
        return sum(len(message.body) for message in self.closed.values())

"""What a subscription delivers, and where it comes from: the hub, or a rate limit between the hub and the clients."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import Attribute, Interface, implementer

from cryptodash.api.fanout.traffic import Traffic
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Batch, IOutlet, IValues, Message


class Delivery(NamedTuple):
    """One way of getting a topic: ``interval`` is the view's in ms (order books only),
    ``rate`` updates per second (0: every update)."""

    topic: Topic
    interval: int = 0
    rate: float = 0.0


_CLOSED_BAR = b'"closed":true'


def is_closed_bar(message: Message) -> bool:
    """Whether the message is a closed candle, which is always delivered."""
    return message.kind == "candle" and _CLOSED_BAR in message.body


_GOOD = (b'"state":"live"', b'"state":"quiet"')


def is_good_status(message: Message) -> bool:
    """Whether the message is a status that lets the value be taken for the present one."""
    return message.kind == "status" and any(each in message.body for each in _GOOD)


_FIELDS = re.compile(rb'"fields":\[([^\]]*)\]')


def stale_fields(message: Message) -> frozenset[bytes]:
    """The parts of a ticker that a status calls stale."""
    found = _FIELDS.search(message.body)
    return frozenset(found[1].split(b",")) if found is not None else frozenset()


def improves(status: Message, before: Message) -> bool:
    """Whether a status lets something be taken for the present that the one before did not: all of the value, or a part
    that it does not name any more."""
    if is_good_status(status):
        return not is_good_status(before)
    return not stale_fields(before) <= stale_fields(status) and not is_good_status(before)


def _nothing() -> None:
    """Nobody hears of a failure."""


class IGroupMember(Interface):
    """Somebody who shares a group: a cohort of clients."""

    deliver: Callable[[Message], None] = Attribute(
        "take one message; must not raise. A list's own ``append`` where that does, for it is called for every delivery"
    )

    def deliver_sweep(batch: Batch) -> None:
        """Take a sweep's share."""

    def failed(delivery: Delivery) -> None:
        """Something of this delivery was lost, by a fault of ours, and nothing more of it comes."""


@implementer(IOutlet)
class DeliveryGroup:
    """Everybody who wants one topic at every update: the one outlet that the hub knows for all of them.

    It asks for the flush once per turn, so that its members need not look whether they are to be flushed.
    """

    def __init__(self, delivery: Delivery, schedule: Callable[[DeliveryGroup], None]) -> None:
        self.members: dict[Any, Callable[[Message], None]] = {}
        """Each with its ``deliver``."""
        self.scheduled = False
        """Whether the members have something that the flush has not seen yet."""
        self.on_failure: Callable[[], object] = _nothing
        """Called once the hub has taken the group out."""
        self._topic = delivery.topic
        self._schedule = schedule

    def deliver(self, message: Message) -> None:
        for take in self.members.values():
            take(message)
        if not self.scheduled:
            self._schedule(self)

    def deliver_sweep(self, batch: Batch) -> None:
        for member in self.members:
            member.deliver_sweep(batch)
        if not self.scheduled:
            self._schedule(self)

    def failed(self) -> None:
        """A member could not take something. What the others have got of it, nobody knows."""
        self.on_failure()

    def stop(self) -> None:
        """Nobody listens any more."""
        self.on_failure = _nothing  # it refers to the group, which would wait for a collection of garbage


class RateLimitedGroup(DeliveryGroup):
    """Everybody who wants one topic at the same rate: the first update goes at once,
    then the latest of each burst once per period.

    Statuses, closed candles and what is urgent are never held back; a status that gets better takes the waiting values
    along, ahead of it. One timer for the whole group, and only while updates come.
    """

    def __init__(
        self, delivery: Delivery, schedule: Callable[[DeliveryGroup], None], reactor: IReactorTime, traffic: Traffic
    ) -> None:
        super().__init__(delivery, schedule)
        self._period = 1.0 / delivery.rate
        self._reactor = reactor
        self._conflated = traffic.conflated.values
        self._waiting: dict[object, Message] = {}
        self._timer: IDelayedCall | None = None
        self._status: Message | None = None
        """The last one; before the first one nothing is known."""

    def deliver(self, message: Message) -> None:
        if message.kind == "status":
            if self._status is None or improves(message, self._status):
                self._release()  # what was shown before must not be called live for a moment
            self._status = message
            super().deliver(message)
        elif message.urgent or is_closed_bar(message):
            self._waiting.pop(message.key, None)  # what it takes back, or the running bar it replaces
            super().deliver(message)
        elif self._timer is None:
            super().deliver(message)
            self._arm()
        else:
            self._wait(message)

    def deliver_sweep(self, batch: Batch) -> None:
        if self._timer is None:
            super().deliver_sweep(batch)
            self._arm()
        else:
            for message in batch.messages:
                self._wait(message)

    def start(self) -> None:
        """A value is known, so the first listener gets it with its subscription: that was the first update."""
        self._arm()

    def stop(self) -> None:
        super().stop()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, message: Message) -> None:
        if message.key in self._waiting:
            self._conflated[(message.kind,)] += 1
        self._waiting[message.key] = message

    def _arm(self) -> None:
        self._timer = self._reactor.callLater(self._period, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._waiting:
            self._release()
            self._arm()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if waiting and self._topic.is_sweep:
            super().deliver_sweep(Batch(self._topic, tuple(waiting.values())))
        elif waiting:
            for message in waiting.values():
                super().deliver(message)


class Deliveries:
    """Attaches members to a delivery: to its group, which is attached to the hub while it has members."""

    def __init__(
        self, values: IValues, reactor: IReactorTime, traffic: Traffic, schedule: Callable[[DeliveryGroup], None]
    ) -> None:
        """``schedule`` is called when a group has delivered something, until the group's ``scheduled`` is set."""
        self._values = values
        self._reactor = reactor
        self._traffic = traffic
        self._schedule = schedule
        self.groups: dict[Delivery, DeliveryGroup] = {}

    def attach(self, member: Any, delivery: Delivery) -> None:
        group = self.groups.get(delivery)
        if group is None:
            group = self.groups[delivery] = self._open(delivery)
        group.members[member] = member.deliver

    def _open(self, delivery: Delivery) -> DeliveryGroup:
        group = (
            RateLimitedGroup(delivery, self._schedule, self._reactor, self._traffic)
            if delivery.rate
            else DeliveryGroup(delivery, self._schedule)
        )
        group.on_failure = partial(self._failed, delivery, group)
        self._values.attach(group, delivery.topic, delivery.interval)
        if isinstance(group, RateLimitedGroup) and self._values.current(delivery.topic, delivery.interval):
            group.start()
        return group

    def detach(self, member: Any, delivery: Delivery) -> None:
        group = self.groups.get(delivery)
        if group is None or group.members.pop(member, None) is None:
            return  # the group it was in has failed
        if not group.members:
            del self.groups[delivery]
            group.stop()
            self._values.detach(group, delivery.topic, delivery.interval)

    def _failed(self, delivery: Delivery, group: DeliveryGroup) -> None:
        """Whoever wants the delivery from now on gets a new group; the members of this one are told in a turn of their
        own, for the hub is in the middle of a message."""
        if self.groups.get(delivery) is group:
            del self.groups[delivery]
        group.stop()
        members = list(group.members)
        group.members.clear()
        self._reactor.callLater(0, self._end, delivery, group, members)

    def _end(self, delivery: Delivery, group: DeliveryGroup, members: list[Any]) -> None:
        self._values.detach(group, delivery.topic, delivery.interval)
        for member in members:
            member.failed(delivery)

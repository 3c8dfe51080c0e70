"""Feeds: what a subscription delivers, and where it comes from (the hub, or a rate group between the hub and the clients)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from cryptodash.api.traffic import Traffic
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Batch, IHub, IOutlet, Message


class Feed(NamedTuple):
    """One way of getting a topic: ``interval`` is the view's in ms (order books only), ``rate`` updates per second (0: every update)."""

    topic: Topic
    interval: int = 0
    rate: float = 0.0


_CLOSED_BAR = b'"closed":true'


def is_closed_bar(message: Message) -> bool:
    """Whether the message is a closed candle, which is always delivered."""
    return message.kind == "candle" and _CLOSED_BAR in message.body


@implementer(IOutlet)
class RateGroup:
    """Everybody who wants one topic at the same rate: the first update goes at once, then the latest of each burst once per period.

    Statuses and closed candles are never held back. One timer for the whole group, and only while updates come.
    """

    def __init__(self, feed: Feed, reactor: IReactorTime, traffic: Traffic) -> None:
        self.outlets: dict[IOutlet, None] = {}
        self._topic = feed.topic
        self._period = 1.0 / feed.rate
        self._reactor = reactor
        self._conflated = traffic.conflated.values
        self._waiting: dict[object, Message] = {}
        self._timer: IDelayedCall | None = None

    def deliver(self, message: Message) -> None:
        if message.kind == "status":
            self._pass_on((message,))
        elif is_closed_bar(message):
            self._waiting.pop(message.key, None)  # the running bar it replaces
            self._pass_on((message,))
        elif self._timer is None:
            self._pass_on((message,))
            self._arm()
        else:
            self._wait(message)

    def deliver_sweep(self, batch: Batch) -> None:
        if self._timer is None:
            self._pass_on(batch.messages, sweep=True)
            self._arm()
        else:
            for message in batch.messages:
                self._wait(message)

    def start(self) -> None:
        """A value is known, so the first listener gets it with its subscription: that was the first update."""
        self._arm()

    def stop(self) -> None:
        """Nobody listens any more."""
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
            waiting, self._waiting = self._waiting, {}
            self._pass_on(waiting.values(), sweep=self._topic.is_sweep)
            self._arm()

    def _pass_on(self, messages: Iterable[Message], *, sweep: bool = False) -> None:
        if sweep:
            batch = Batch(self._topic, tuple(messages))
            for outlet in self.outlets:
                outlet.deliver_sweep(batch)
            return
        for message in messages:
            for outlet in self.outlets:
                outlet.deliver(message)


class Sources:
    """Attaches outlets to feeds: straight to the hub, or to the rate group of the feed's topic and rate."""

    def __init__(self, hub: IHub, reactor: IReactorTime, traffic: Traffic) -> None:
        self._hub = hub
        self._reactor = reactor
        self._traffic = traffic
        self.groups: dict[Feed, RateGroup] = {}

    def attach(self, outlet: IOutlet, feed: Feed) -> None:
        if not feed.rate:
            self._hub.attach(outlet, feed.topic, feed.interval)
            return
        group = self.groups.get(feed)
        if group is None:
            group = self.groups[feed] = RateGroup(feed, self._reactor, self._traffic)
            self._hub.attach(group, feed.topic, feed.interval)
            if self._hub.current(feed.topic, feed.interval):
                group.start()
        group.outlets[outlet] = None

    def detach(self, outlet: IOutlet, feed: Feed) -> None:
        if not feed.rate:
            self._hub.detach(outlet, feed.topic, feed.interval)
            return
        group = self.groups[feed]
        del group.outlets[outlet]
        if not group.outlets:
            del self.groups[feed]
            group.stop()
            self._hub.detach(group, feed.topic, feed.interval)

"""The channels of one client: what it may have, and what is held for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from cryptodash.api.access.grant import Grant
from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.ws.requests import resolve
from cryptodash.api.ws.subscriptions import ClientSubscription, RequestedChannel
from cryptodash.core.config import Limits
from cryptodash.core.errors import Refused
from cryptodash.core.steps import Steps
from cryptodash.core.topics import FREE_DEPTHS, Channel, Topic
from cryptodash.hub.interfaces import IDemand, IDirectory


class HeldChannels:
    """Every subscription holds its topic until it is released; whoever takes one out of ``subscriptions`` has to
    release it."""

    def __init__(
        self, directory: IDirectory, demand: IDemand, fanout: Fanout, writer: ClientWriter, limits: Limits
    ) -> None:
        self.subscriptions: dict[Topic, ClientSubscription] = {}
        self._directory = directory
        self._demand = demand
        self._fanout = fanout
        self._writer = writer
        self._traffic = fanout.traffic
        self._limits = limits
        self._books = 0
        self._leaving: deque[ClientSubscription] = deque()
        """Taken out, and not released yet."""

    def accept(
        self,
        topic: Topic,
        asked: RequestedChannel,
        replaced: list[ClientSubscription],
        grant: Grant,
        *,
        surely: bool,
    ) -> ClientSubscription:
        """Hold a topic; what was held at another interval until now is ``replaced``. Raises ``Refused`` if there is no
        room. ``surely``: nothing can have changed since the topic was resolved, for one with this ``grant``."""
        known = self.subscriptions.get(topic)
        if known is None:
            self._check(topic, asked, grant, surely)
        interval = self._demand.view_interval(topic, asked.max_rate)
        rate = 0.0 if topic.channel is Channel.ORDER_BOOK or asked.max_rate is None else asked.max_rate
        if known is None or known.delivery.interval != interval:
            self._demand.hold(topic, interval)
        if known is None:
            self._count(topic, 1)
        elif known.delivery.interval != interval:
            replaced.append(known)
        subscription = self.subscriptions[topic] = ClientSubscription(Delivery(topic, interval, rate), asked.max_rate)
        return subscription

    def _check(self, topic: Topic, asked: RequestedChannel, grant: Grant, surely: bool) -> None:
        """The client's and the book's limits."""
        is_book = topic.channel is Channel.ORDER_BOOK
        if is_book and self._books >= self._limits.max_books_per_client:
            raise Refused("too_many_books", f"at most {self._limits.max_books_per_client} order books per connection")
        if not surely or (is_book and topic.depth not in FREE_DEPTHS):
            # Once more: a catalogue may have come; depths of this very request count as well.
            resolve(self._directory, asked.channel, grant)

    def take(self, topics: Iterable[Topic]) -> list[ClientSubscription]:
        """End these, as far as there are any: nothing is delivered of them any more. They are held still."""
        gone = [found for topic in topics if (found := self.subscriptions.pop(topic, None)) is not None]
        if gone:
            self.deliver()
        return gone

    def deliver(self) -> None:
        """What is accepted is what is delivered."""
        self._fanout.subscribe(
            self._writer, frozenset(subscription.delivery for subscription in self.subscriptions.values())
        )

    def release_replaced(self, replaced: Iterable[ClientSubscription]) -> None:
        """Release what has another subscription in its place."""
        for subscription in replaced:
            self._demand.release(subscription.delivery.topic, subscription.delivery.interval)

    def release(self, subscription: ClientSubscription) -> None:
        """Release what has been taken out."""
        topic, interval, _ = subscription.delivery
        self._count(topic, -1)
        self._demand.release(topic, interval)

    def release_all(self, gone: Iterable[ClientSubscription]) -> Steps[None]:
        """Release these step by step, and what is left of those before; ``release_everything`` what is left of them if
        nobody takes the next step."""
        self._leaving.extend(gone)
        while self._leaving:
            self.release(self._leaving.popleft())
            yield

    def release_everything(self) -> Steps[None]:
        """The client has gone: steps that release all that is held for it, each of which may be a topic of many
        parts."""
        subscriptions = list(self.subscriptions.values())
        self.subscriptions.clear()
        return self.release_all(subscriptions)

    def _count(self, topic: Topic, change: int) -> None:
        self._traffic.subscriptions[topic.channel] += change
        if topic.channel is Channel.ORDER_BOOK:
            self._books += change

"""One client's rules: requests in, answers out, in the contract's order. No socket, no Autobahn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from attrs import frozen

from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.ws.limiter import TokenBucket
from cryptodash.api.ws.requests import WITH_CHANNELS, Request, max_rate, read, read_channels, read_id, read_op, resolve
from cryptodash.api.ws.subscriptions import ClientSubscription, Rejection, RequestedChannel
from cryptodash.core import codec
from cryptodash.core.config import Limits
from cryptodash.core.errors import Refused
from cryptodash.core.events import Cause, State, StreamStatus
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import FREE_DEPTHS, Channel, Topic
from cryptodash.hub.interfaces import IDemand, IDirectory

POLICY: Final = 1008


@frozen
class Identity:
    """What the server says of itself in the greeting."""

    version: str
    source: str
    ping_ms: int


class Session:
    """What one client has subscribed to, and how its requests are answered.

    ``opened`` first, then ``received`` per text message, ``unknown`` for a topic the catalogue turned
    out to lack, at last ``closed``.
    """

    def __init__(
        self,
        directory: IDirectory,
        demand: IDemand,
        fanout: Fanout,
        writer: ClientWriter,
        limits: Limits,
        identity: Identity,
        session_id: str,
    ) -> None:
        self.subscriptions: dict[Topic, ClientSubscription] = {}
        self._fanout = fanout
        self._directory = directory
        self._demand = demand
        self._writer = writer
        self._limits = limits
        self._identity = identity
        self._id = session_id
        self._clock = fanout.clock
        self._traffic = fanout.traffic
        self._budget = TokenBucket(limits.ops_per_second, limits.ops_burst, fanout.clock)
        self._books = 0
        self._closed = False
        self._ops: dict[str, Callable[[Request], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "list": self._list,
            "resync": self._resync,
            "ping": self._ping,
        }

    def opened(self) -> None:
        """Greet the client."""
        self._inform(
            f"Connected to crypto-dash API. Session: {self._id}",
            None,
            session=self._id,
            version=self._identity.version,
            source=self._identity.source,
            server_time=self._now(),
            ping_ms=self._identity.ping_ms,
        )

    def received(self, payload: bytes) -> None:
        """Serve one text message. A client over its rate is closed with 1008;
        every other fault is answered with an ``error``."""
        if self._closed:
            return
        if not self._budget.take():
            self._writer.wire.close_with(POLICY, "too many requests")
            return
        started = self._clock.monotonic()
        op, result = "unknown", "error"
        request_id: str | int | None = None
        try:
            message = read(payload)
            request_id = read_id(message)
            op = read_op(message)
            channels = read_channels(message, self._limits.max_channels) if op in WITH_CHANNELS else ()
            self._ops[op](Request(request_id, channels))
            result = "ok"
        except Refused as refused:
            self._fault(refused, request_id)
        self._traffic.commands.add(op, result)
        self._traffic.command_seconds.at(op).observe(self._clock.monotonic() - started)

    def unknown(self, topic: Topic) -> None:
        """The catalogue came and lacks the symbol of a topic accepted on trust."""
        if topic not in self.subscriptions:
            return
        self._drop((topic,))
        self._fault(
            Refused("unknown_symbol", f"{topic.exchange} {topic.market} has no symbol {str(topic.symbol)!r}"), None
        )
        status = StreamStatus(topic, State.CLOSED, Cause.REJECTED, since=self._clock.wall_ms())
        payload = codec.status_payload(status, source=self._directory.source(topic.exchange), age_ms=None)
        self._say("status", codec.message("status", payload))

    def closed(self) -> None:
        """The client has gone: give back everything."""
        if self._closed:
            return
        self._closed = True
        self._fanout.close(self._writer)
        subscriptions = list(self.subscriptions.values())
        self.subscriptions.clear()
        for subscription in subscriptions:
            self._release(subscription)

    def _ping(self, request: Request) -> None:
        self._inform("Pong", request.id, top="pong", timestamp=self._now())

    def _list(self, request: Request) -> None:
        channels = [subscription.json for subscription in self.subscriptions.values()]
        self._inform(f"{len(channels)} channels", request.id, channels=channels)

    def _resync(self, request: Request) -> None:
        deliveries: dict[Delivery, None] = {}
        rejected: list[Rejection] = []
        for index, channel in enumerate(request.channels):
            try:
                topic = resolve(self._directory, channel)
                if topic not in self.subscriptions:
                    raise Refused("not_subscribed", f"not subscribed to {topic}")
                deliveries[self.subscriptions[topic].delivery] = None
            except Refused as refused:
                rejected.append(Rejection(index, refused))
        self._inform(f"Resynced {len(deliveries)} channels", request.id, rejected=[each.members for each in rejected])
        self._reject(request, rejected)
        self._writer.send_current(deliveries)

    def _unsubscribe(self, request: Request) -> None:
        topics: dict[Topic, None] = {}
        for channel in request.channels:
            try:
                topics[resolve(self._directory, channel)] = None
            except Refused:
                continue  # what does not exist is not subscribed to
        count = self._drop(topics)
        self._inform(f"Unsubscribed from {count} channels", request.id)

    def _subscribe(self, request: Request) -> None:
        rejected: list[Rejection] = []
        requested = self._requested(request, rejected)
        total = len(self.subscriptions.keys() | requested.keys())
        if total > self._limits.max_channels:
            raise Refused(
                "too_many_channels",
                f"{total} channels on one connection: at most {self._limits.max_channels} are allowed; "
                "nothing was subscribed",
            )
        accepted = [
            self._accept(topic, asked) for topic, asked in requested.items() if self._admit(topic, asked, rejected)
        ]
        self._update_deliveries()
        exchanges = {subscription.delivery.topic.exchange for subscription in accepted}
        rejected.sort(key=lambda each: each.index)
        self._inform(
            f"Subscribed to {len(accepted)} channels across {len(exchanges)} exchanges",
            request.id,
            accepted=[subscription.json for subscription in accepted],
            rejected=[each.members for each in rejected],
        )
        self._reject(request, rejected)
        self._writer.send_current([subscription.delivery for subscription in accepted])

    def _requested(self, request: Request, rejected: list[Rejection]) -> dict[Topic, RequestedChannel]:
        """The topics a request names; of duplicates the last counts."""
        requested: dict[Topic, RequestedChannel] = {}
        for index, channel in enumerate(request.channels):
            try:
                topic = resolve(self._directory, channel)
                requested[topic] = RequestedChannel(index, channel, max_rate(channel, topic))
            except Refused as refused:
                rejected.append(Rejection(index, refused))
        return requested

    def _admit(self, topic: Topic, asked: RequestedChannel, rejected: list[Rejection]) -> bool:
        """Whether a topic fits the client's and the book's limits."""
        if topic in self.subscriptions:
            return True
        try:
            self._demand.check(topic)
            if topic.channel is not Channel.ORDER_BOOK:
                return True
            if self._books >= self._limits.max_books_per_client:
                raise Refused(
                    "too_many_books", f"at most {self._limits.max_books_per_client} order books per connection"
                )
            if topic.depth not in FREE_DEPTHS:
                resolve(self._directory, asked.channel)  # once more: depths of this very request count as well
        except Refused as refused:
            rejected.append(Rejection(asked.index, refused))
            return False
        return True

    def _accept(self, topic: Topic, asked: RequestedChannel) -> ClientSubscription:
        interval = self._demand.view_interval(topic, asked.max_rate)
        rate = 0.0 if topic.channel is Channel.ORDER_BOOK or asked.max_rate is None else asked.max_rate
        known = self.subscriptions.get(topic)
        if known is None:
            self._count(topic, 1)
        if known is None or known.delivery.interval != interval:
            self._demand.hold(topic, interval)
        if known is not None and known.delivery.interval != interval:
            self._demand.release(topic, known.delivery.interval)
        subscription = self.subscriptions[topic] = ClientSubscription(Delivery(topic, interval, rate), asked.max_rate)
        return subscription

    def _drop(self, topics: Iterable[Topic]) -> int:
        gone = [found for topic in topics if (found := self.subscriptions.pop(topic, None)) is not None]
        if gone:
            self._update_deliveries()
        for subscription in gone:
            self._release(subscription)
        return len(gone)

    def _release(self, subscription: ClientSubscription) -> None:
        topic, interval, _ = subscription.delivery
        self._count(topic, -1)
        self._demand.release(topic, interval)

    def _count(self, topic: Topic, change: int) -> None:
        self._traffic.subscriptions[topic.channel] += change
        if topic.channel is Channel.ORDER_BOOK:
            self._books += change

    def _update_deliveries(self) -> None:
        self._fanout.subscribe(
            self._writer, frozenset(subscription.delivery for subscription in self.subscriptions.values())
        )

    def _reject(self, request: Request, rejected: list[Rejection]) -> None:
        if rejected:
            first = rejected[0].why
            message = f"{len(rejected)} of {len(request.channels)} channels rejected: {first.message}"
            self._fault(Refused(first.code, message), request.id)

    def _inform(self, message: str, request_id: str | int | None, *, top: str = "", **members: object) -> None:
        payload: dict[str, object] = {"message": message, **members}
        if request_id is not None:
            payload["id"] = request_id
        answer: dict[str, object] = {"type": "info", "payload": payload}
        if top:
            answer["message"] = top
        self._say("info", codec.encode(answer))

    def _fault(self, refused: Refused, request_id: str | int | None) -> None:
        payload: dict[str, object] = {"message": refused.message, "code": refused.code}
        if request_id is not None:
            payload["id"] = request_id
        self._say("error", codec.encode({"type": "error", "payload": payload, "message": refused.message}))

    def _say(self, kind: str, body: bytes) -> None:
        self._traffic.sent.add(kind)
        self._writer.send_answer(body)

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms())

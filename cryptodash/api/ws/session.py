"""One client's rules: requests in, answers out, in the contract's order. No socket, no Autobahn."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from attrs import frozen
from twisted.logger import Logger

from cryptodash.api.access.grant import Grant
from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.ws.authentication import Authentication
from cryptodash.api.ws.client_rights import ClientRights
from cryptodash.api.ws.held_channels import HeldChannels
from cryptodash.api.ws.limiter import TokenBucket, WorkBudget
from cryptodash.api.ws.replay_request import read_played_time
from cryptodash.api.ws.replays import ClientReplays, RecordedTime
from cryptodash.api.ws.replies import Replies
from cryptodash.api.ws.requests import (
    WITH_CHANNELS,
    Request,
    charged_as,
    max_rate,
    read,
    read_channels,
    read_id,
    read_op,
    read_token,
    resolve,
    since,
)
from cryptodash.api.ws.subscriptions import ClientSubscription, Rejection, RequestedChannel
from cryptodash.core.config import Limits
from cryptodash.core.errors import Refused
from cryptodash.core.steps import Steps
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDemand, IDirectory

_log = Logger(namespace="cryptodash.api.ws.session")

POLICY: Final = 1008
FAULT: Final = 1011


def _nothing() -> None:
    """Nobody waits for a session to be idle."""


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
        work: WorkBudget,
        authentication: Authentication | None = None,
        recorded: RecordedTime | None = None,
    ) -> None:
        """``authentication``: what the client may do; without it everything. ``recorded``: what it can go back to;
        without it nothing."""
        self._held = HeldChannels(directory, demand, fanout, writer, limits)
        self.subscriptions = self._held.subscriptions
        self._fanout = fanout
        self._directory = directory
        self._writer = writer
        self._limits = limits
        self._identity = identity
        self._id = session_id
        self._clock = fanout.clock
        self._traffic = fanout.traffic
        self._requests = TokenBucket(limits.ops_per_second, limits.ops_burst, fanout.clock)
        self._work_budget = work
        self._replies = Replies(writer, fanout.traffic, work, directory, fanout.clock)
        authentication = authentication or Authentication.none_needed(fanout.clock)
        self.rights = ClientRights(authentication, self._held, self._replies, writer, limits.max_channels)
        self._replays = (
            None
            if recorded is None
            else ClientReplays(
                recorded, session_id, directory, self.rights, self._replies, writer, fanout, work, limits
            )
        )
        writer.charge = work.charge_sent
        self._closed = False
        self.on_idle: Callable[[], None] = _nothing
        """Called when a request has been served that was not at once."""
        self._work: Steps[None] | None = None
        self._at_once = False
        self._unknown: list[Topic] = []
        self._granted: Grant | None = None
        """What other rules of access allow, while a request is being served."""

    def opened(self) -> None:
        """Greet the client, or ask it for its token."""
        if self.rights.is_known:
            self._greet()
        else:
            self.rights.ask()

    def _greet(self) -> None:
        self._replies.inform(
            f"Connected to crypto-dash API. Session: {self._id}",
            None,
            session=self._id,
            version=self._identity.version,
            source=self._identity.source,
            server_time=self._now(),
            ping_ms=self._identity.ping_ms,
        )

    @property
    def busy(self) -> bool:
        """Whether a request is being served still: the next one has to wait for ``on_idle``."""
        return self._work is not None

    def received(self, payload: bytes) -> None:
        """Serve one text message; ``busy`` tells whether that goes on in later turns. A client over its rate is closed
        with 1008; every other fault is answered with an ``error``, and one of ours closes with 1011."""
        if self._closed:
            return
        if not self._requests.take():
            self._writer.wire.close_with(POLICY, "too many requests")
            return
        self._begin(self._serve(payload))

    def _begin(self, steps: Steps[None]) -> None:
        self._work = self._run(steps)
        self._at_once = True
        self._fanout.slices.run(self._work)
        self._at_once = False

    def _run(self, steps: Steps[None]) -> Steps[None]:
        """One request from its first byte to its last answer, or what other rules of access make of a client."""
        try:
            yield from steps
            while (grant := self._granted) is not None and not self._closed:
                self._granted = None
                yield from self._hold_to(grant)
        except Exception:
            _log.failure("a client's request failed")
            self._writer.wire.close_with(FAULT, "internal error")
        self._work = None
        late, self._unknown = self._unknown, []
        for topic in late:
            self.unknown(topic)
        if not self._at_once and not self._closed:
            self.on_idle()

    def _serve(self, payload: bytes) -> Steps[None]:
        started = self._clock.monotonic()
        op, result = "unknown", "error"
        request_id: str | int | None = None
        try:
            message = read(payload)
            request_id = read_id(message)
            op = read_op(message)
            self.rights.check(op)
            channels = read_channels(message, self._limits.max_channels) if op in WITH_CHANNELS else ()
            about = len(self.subscriptions) if op == "list" else charged_as(self._directory, channels)
            self._work_budget.charge_channels(about)
            token = read_token(message) if op == "auth" else ""
            time = read_played_time(message, self._clock.wall_ms()) if op == "replay" else None
            yield from self._OPS[op](self, Request(request_id, channels, token, time))
            result = "ok"
        except Refused as refused:
            self._replies.fault(refused, request_id)
            if op == "auth" and not self.rights.is_known:
                self._writer.wire.close_with(POLICY, refused.message)
        self._traffic.commands.add(op, result)
        self._traffic.command_seconds.at(op).observe(self._clock.monotonic() - started)

    def unknown(self, topic: Topic) -> None:
        """The catalogue came and lacks the symbol of a topic accepted on trust."""
        if self.busy:  # what its answer is about must not change halfway
            self._unknown.append(topic)
            return
        if topic not in self.subscriptions:
            return
        for subscription in self._held.take((topic,)):
            self._held.release(subscription)
        self._replies.fault(
            Refused("unknown_symbol", f"{topic.exchange} {topic.market} has no symbol {str(topic.symbol)!r}"), None
        )
        self._replies.rejected(topic)

    def access_replaced(self, still: Callable[[Grant], Grant | None]) -> None:
        """Other rules of access are in force; ``still`` says what a grant is under them."""
        if self._closed or not self.rights.is_known:
            return
        grant = still(self.rights.grant)
        if grant is None:
            self.rights.refused("revoked")
            self._writer.wire.close_with(POLICY, "the token is not valid any more")
        elif self.busy:
            self._granted = grant
        elif grant != self.rights.grant:
            self._begin(self._hold_to(grant))

    def _hold_to(self, grant: Grant) -> Steps[None]:
        """The client may do this from now on, and no more."""
        if self._replays is not None:
            self._replays.hold_to(grant)
        yield from self.rights.hold_to(grant)

    def closed(self) -> None:
        """The client has gone: give back everything, at once as far as this turn has time for the work of clients."""
        if self._closed:
            return
        self._closed = True
        if self._replays is not None:
            self._replays.closed()
        work, self._work = self._work, None
        if work is not None and inspect.getgeneratorstate(work) != inspect.GEN_RUNNING:
            work.close()
        self._fanout.close(self._writer)
        self._fanout.slices.run(self._held.release_everything())

    def _auth(self, request: Request) -> Steps[None]:
        is_first = not self.rights.is_known
        self.rights.present(request.token, request.id)
        if is_first:
            self._greet()
        yield from self._hold_to(self.rights.grant)

    def _ping(self, request: Request) -> Steps[None]:
        self._replies.inform("Pong", request.id, top="pong", timestamp=self._now())
        yield from ()

    def _list(self, request: Request) -> Steps[None]:
        channels = []
        for subscription in list(self.subscriptions.values()):
            channels.append(subscription.json)
            yield
        self._replies.inform(f"{len(channels)} channels", request.id, channels=channels)

    def _resync(self, request: Request) -> Steps[None]:
        deliveries: dict[Delivery, None] = {}
        rejected: list[Rejection] = []
        for index, channel in enumerate(request.channels):
            try:
                topic = resolve(self._directory, channel, self.rights.grant)
                if topic not in self.subscriptions:
                    raise Refused("not_subscribed", f"not subscribed to {topic}")
                deliveries[self.subscriptions[topic].delivery] = None
            except Refused as refused:
                rejected.append(Rejection.of(index, refused))
            yield
        self._replies.inform(
            f"Resynced {len(deliveries)} channels", request.id, rejected=[each.members for each in rejected]
        )
        self._reject(request, rejected)
        yield from self._writer.send_current(deliveries)

    def _unsubscribe(self, request: Request) -> Steps[None]:
        topics: dict[Topic, None] = {}
        for channel in request.channels:
            with contextlib.suppress(Refused):  # what does not exist is not subscribed to
                topics[resolve(self._directory, channel, self.rights.grant)] = None
            yield
        gone = self._held.take(topics)
        self._replies.inform(f"Unsubscribed from {len(gone)} channels", request.id)
        yield from self._held.release_all(gone)

    def _subscribe(self, request: Request) -> Steps[None]:
        rejected: list[Rejection] = []
        requested: dict[Topic, RequestedChannel] = {}
        yield from self._resolve_all(request, requested, rejected)
        total = len(self.subscriptions.keys() | requested.keys())
        most = self.rights.channels
        if total > most:
            raise Refused(
                "too_many_channels",
                f"{total} channels on one connection: at most {most} are allowed; nothing was subscribed",
            )
        accepted: list[ClientSubscription] = []
        shown: list[msgspec.Raw] = []
        replaced: list[ClientSubscription] = []
        try:
            for topic, asked in requested.items():
                try:
                    accepted.append(self._held.accept(topic, asked, replaced, self.rights.grant, surely=self._at_once))
                    shown.append(accepted[-1].json)
                except Refused as refused:
                    rejected.append(Rejection.of(asked.index, refused))
                yield
            self._held.deliver()
        finally:
            self._held.release_replaced(replaced)  # not before nothing is delivered of it any more
        # No pause from here to the values: no update may come before the info, nor before its channel's status.
        exchanges = {subscription.delivery.topic.exchange for subscription in accepted}
        rejected.sort(key=lambda each: each.index)
        self._replies.inform(
            f"Subscribed to {len(accepted)} channels across {len(exchanges)} exchanges",
            request.id,
            accepted=shown,
            rejected=[each.members for each in rejected],
        )
        self._reject(request, rejected)
        cursors = {
            each.delivery: cursor for each in accepted if (cursor := requested[each.delivery.topic].since) is not None
        }
        yield from self._writer.send_current([each.delivery for each in accepted], cursors)

    def _resolve_all(
        self, request: Request, requested: dict[Topic, RequestedChannel], rejected: list[Rejection]
    ) -> Steps[None]:
        """The topics a request names; of duplicates the last counts."""
        for index, channel in enumerate(request.channels):
            try:
                topic = resolve(self._directory, channel, self.rights.grant)
                rate = self.rights.rate(topic, max_rate(channel, topic))
                requested[topic] = RequestedChannel(index, channel, rate, since(channel, topic))
            except Refused as refused:
                if refused.code == "forbidden":
                    self.rights.refused("forbidden")
                rejected.append(Rejection.of(index, refused))
            yield

    def _replay(self, request: Request) -> Steps[None]:
        yield from self._recorded().begin(request, len(self.subscriptions))

    def _replay_stop(self, request: Request) -> Steps[None]:
        self._recorded().stop(request.id)
        yield from ()

    def _recorded(self) -> ClientReplays:
        if self._replays is None:
            raise Refused("not_recorded", "this server records nothing")
        return self._replays

    _OPS: Final[Mapping[str, Callable[[Session, Request], Steps[None]]]] = {
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
        "list": _list,
        "resync": _resync,
        "ping": _ping,
        "auth": _auth,
        "replay": _replay,
        "replay_stop": _replay_stop,
    }

    def _reject(self, request: Request, rejected: list[Rejection]) -> None:
        if rejected:
            first = rejected[0]
            message = f"{len(rejected)} of {len(request.channels)} channels rejected: {first.message}"
            self._replies.fault(Refused(first.code, message), request.id)

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms())

"""One client is held to what its token allows: what it is told of that, and what it loses when that becomes less."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cryptodash.api.access.grant import EVERYTHING, NOTHING, Grant
from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.ws.authentication import WAIT_S, Authentication
from cryptodash.api.ws.held_channels import HeldChannels
from cryptodash.api.ws.replies import Replies, RequestId
from cryptodash.api.ws.requests import LOSSLESS
from cryptodash.api.ws.subscriptions import ClientSubscription, RequestedChannel
from cryptodash.core.errors import Refused
from cryptodash.core.steps import Steps
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Topic


def _nothing() -> None:
    """Nobody has a timer for it."""


class ClientRights:
    """``on_granted`` is called when the client may do something else than before, or for another time."""

    def __init__(
        self,
        authentication: Authentication,
        held: HeldChannels,
        replies: Replies,
        writer: ClientWriter,
        max_channels: int,
    ) -> None:
        self.on_granted: Callable[[], None] = _nothing
        self._authentication = authentication
        self._held = held
        self._replies = replies
        self._writer = writer
        self._max_channels = max_channels

    @property
    def is_known(self) -> bool:
        """Whether a good token has come, or none is needed."""
        return self._authentication.grant is not None

    @property
    def grant(self) -> Grant:
        """What may be asked for now."""
        return self._authentication.grant or NOTHING

    @property
    def channels(self) -> int:
        """How many channels the client may have."""
        return self.grant.channels(self._max_channels)

    def rate(self, topic: Topic, wanted: float | None) -> float | None:
        """Updates per second of a channel; of what is told without a loss there is no rate."""
        return wanted if topic.channel in LOSSLESS else self.grant.rate(wanted)

    def refused(self, reason: str) -> None:
        """Count that something was refused."""
        self._authentication.refused(reason)

    def check(self, op: str) -> None:
        """Raises ``Refused`` ``unauthorized`` for whatever comes before a token."""
        if op != "auth" and not self.is_known:
            self.refused("missing")
            raise Refused("unauthorized", 'first send {"op":"auth","token":...}', 401)

    def ask(self) -> None:
        """Ask the client for its token."""
        message = f'Authentication required: send {{"op":"auth","token":...}} within {WAIT_S:g} s'
        self._replies.inform(message, None, auth="required")

    def warn_of_end(self) -> None:
        """The token is about to end."""
        self._say("The token is about to end: send another", None, "expiring")

    def present(self, token: str, request_id: RequestId) -> None:
        """The client shows a token, and is told what it allows. Raises ``Refused``, and all stays as it was."""
        grant = self._authentication.present(token)
        if grant is EVERYTHING:
            self._say("No token is needed", request_id, "off")
        else:
            self._say("Authenticated", request_id, "ok", scopes=list(grant.words))

    def _say(self, message: str, request_id: RequestId, auth: str, **members: object) -> None:
        until = self.grant.until_ms
        if until is not None:
            members["expires"] = rfc3339(until)
        self._replies.inform(message, request_id, top="", auth=auth, **members)

    def hold_to(self, grant: Grant) -> Steps[None]:
        """The client may do this from now on, and no more: what it has and may not have any more is closed, beyond its
        number of channels the last ones; what comes too often comes as often as it may."""
        self._authentication.hold(grant)
        self.on_granted()
        most, kept, gone = self.channels, list[Topic](), list[Topic]()
        for topic in list(self._held.subscriptions):
            (kept if grant.allows(topic) and len(kept) < most else gone).append(topic)
            yield
        taken = self._held.take(gone)
        if taken:
            self.refused("forbidden")
            message = f"the token does not allow {len(taken)} channels any more"
            self._replies.fault(Refused("forbidden", message), None)
            for subscription in taken:
                self._replies.rejected(subscription.delivery.topic)
                yield
            yield from self._held.release_all(taken)
        yield from self._slow_down(grant, kept)

    def _slow_down(self, grant: Grant, topics: Iterable[Topic]) -> Steps[None]:
        replaced: list[ClientSubscription] = []
        changed: list[ClientSubscription] = []
        for topic in topics:
            known = self._held.subscriptions.get(topic)
            if known is not None and (rate := self.rate(topic, known.max_rate)) != known.max_rate:
                asked = RequestedChannel(0, {}, rate)
                changed.append(self._held.accept(topic, asked, replaced, grant, surely=True))
            yield
        if changed:
            self._held.deliver()
            self._held.release_replaced(replaced)
            yield from self._writer.send_current([each.delivery for each in changed])

"""How a client is answered: ``info`` and ``error``, and the ``status`` that ends a topic."""

from __future__ import annotations

from attrs import frozen

from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.core import codec
from cryptodash.core.errors import Refused
from cryptodash.core.events import Cause, State, StreamStatus
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDirectory

RequestId = str | int | None


@frozen
class Replies:
    """Answers to one client's requests, in order, each charged to the client."""

    writer: ClientWriter
    traffic: Traffic
    budget: WorkBudget
    directory: IDirectory
    clock: Clock

    def inform(self, message: str, request_id: RequestId, *, top: str = "", **members: object) -> None:
        """An ``info``; ``top`` is a message beside the payload."""
        payload: dict[str, object] = {"message": message, **members}
        if request_id is not None:
            payload["id"] = request_id
        answer: dict[str, object] = {"type": "info", "payload": payload}
        if top:
            answer["message"] = top
        self.say("info", codec.encode(answer))

    def fault(self, refused: Refused, request_id: RequestId, **members: object) -> None:
        """An ``error``."""
        payload: dict[str, object] = {"message": refused.message, "code": refused.code, **members}
        if request_id is not None:
            payload["id"] = request_id
        self.say("error", codec.encode({"type": "error", "payload": payload, "message": refused.message}))

    def rejected(self, topic: Topic) -> None:
        """The ``status`` that ends a topic."""
        status = StreamStatus(topic, State.CLOSED, Cause.REJECTED, since=self.clock.wall_ms())
        payload = codec.status_payload(status, source=self.directory.source(topic.exchange), age_ms=None)
        self.say("status", codec.message("status", payload))

    def say(self, kind: str, body: bytes) -> None:
        """Any message, ready made."""
        self.traffic.sent.add(kind)
        self.budget.charge_sent(len(body))
        self.writer.send_answer(body)

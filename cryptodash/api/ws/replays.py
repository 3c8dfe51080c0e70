"""Recorded time for one client: the ops ``replay`` and ``replay_stop``, and how a replay ends."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

import msgspec
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from cryptodash.api.access.grant import Grant
from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.ws.client_rights import ClientRights
from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.api.ws.replay import Replay, ReplayPorts
from cryptodash.api.ws.replies import Replies, RequestId
from cryptodash.api.ws.requests import Request, resolve_recorded
from cryptodash.api.ws.subscriptions import Rejection
from cryptodash.core import codec
from cryptodash.core.config import Limits
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import ITapes, Play, Recorded
from cryptodash.core.steps import Steps
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import IDirectory

TOKENS: Final = 5
"""What beginning one costs: a process has to look through the indexes of a recording."""
MOST_RANGES: Final = 200
"""That are told in one answer, of all its channels."""

_log = Logger(namespace="cryptodash.api.ws.replays")


@frozen
class RecordedTime:
    """What there is of it: ``tapes`` None: nothing is recorded. ``client`` is whom reading is charged to."""

    tapes: ITapes | None
    client: Hashable
    reactor: IReactorTime


class ClientReplays:
    """At most one replay at a time. ``closed`` when the client has gone."""

    def __init__(
        self,
        recorded: RecordedTime,
        session_id: str,
        directory: IDirectory,
        rights: ClientRights,
        replies: Replies,
        writer: ClientWriter,
        fanout: Fanout,
        work: WorkBudget,
        limits: Limits,
    ) -> None:
        self._recorded = recorded
        self._session_id = session_id
        self._directory = directory
        self._rights = rights
        self._replies = replies
        self._work = work
        self._limits = limits
        self._ports = ReplayPorts(writer, fanout.traffic, fanout.slices, work, fanout.clock, recorded.reactor)
        self._replay: Replay | None = None
        self._count = 0

    def begin(self, request: Request, subscribed: int) -> Steps[None]:
        """Serve ``replay``; ``subscribed``: how many channels the client has beside it. What is recorded is looked up
        first, so that the answer comes later. Raises ``Refused``."""
        time = request.time
        assert time is not None
        if self._replay is not None:
            raise Refused("too_many_replays", 'one replay at a time on a connection: send {"op":"replay_stop"} first')
        rejected: list[Rejection] = []
        topics: dict[Topic, int] = {}
        for index, channel in enumerate(request.channels):
            try:
                topics[self._resolve(channel)] = index
            except Refused as refused:
                if refused.code == "forbidden":
                    self._rights.refused("forbidden")
                rejected.append(Rejection.of(index, refused))
            yield
        self._check(topics, subscribed)
        if not topics:
            self._reject_all(request, [each.members for each in rejected])
            return
        tapes = self._recorded.tapes
        if tapes is None:
            raise Refused("not_recorded", "this server records nothing")
        self._work.charge(TOKENS)
        question = Play(time.begin * 1000, time.end * 1000, [topic.text for topic in topics])
        self._count += 1
        replay_id = f"{self._session_id[:8]}-{self._count}"
        answer = tapes.ask(question, self._recorded.client)
        named = {topic.text: topic for topic in topics}
        replay = self._replay = Replay(replay_id, time, named, answer, self._rate, self._ports)
        Deferred.fromCoroutine(self._play(replay, request, topics, rejected)).addErrback(self._broke, replay)

    def _resolve(self, channel: Any) -> Topic:
        topic = resolve_recorded(self._directory, channel, self._rights.grant)
        for name in ("max_rate", "since"):
            if channel.get(name) is not None:
                raise Refused(f"invalid_{name}", f"{name} does not go with a replay, which has a speed and a beginning")
        return topic

    def _check(self, topics: dict[Topic, int], subscribed: int) -> None:
        total, most = len(topics) + subscribed, self._rights.channels
        if total > most:
            message = f"{total} channels on one connection: at most {most} are allowed; nothing is played"
            raise Refused("too_many_channels", message)
        books, most = sum(topic.channel is Channel.ORDER_BOOK for topic in topics), self._limits.max_books_per_client
        if books > most:
            raise Refused("too_many_books", f"{books} order books: at most {most} are allowed; nothing is played")

    def _rate(self, topic: Topic) -> float | None:
        return self._rights.rate(topic, None)

    def stop(self, request_id: RequestId) -> None:
        """Serve ``replay_stop``. Raises ``Refused``."""
        if self._replay is None:
            raise Refused("no_replay", "nothing is being played on this connection")
        self._end(self._replay, "stopped", request_id)

    def hold_to(self, grant: Grant) -> None:
        """The client may do this and no more: a replay of something else ends."""
        replay = self._replay
        if replay is None or all(map(grant.allows, replay.topics.values())):
            return
        self._rights.refused("forbidden")
        self._replies.fault(Refused("forbidden", "the token does not allow all that is being played any more"), None)
        self._end(replay, "forbidden", None)

    def closed(self) -> None:
        """The client has gone."""
        replay, self._replay = self._replay, None
        if replay is not None:
            replay.stop()

    # -- one replay

    async def _play(
        self, replay: Replay, request: Request, topics: dict[Topic, int], rejected: Sequence[Rejection]
    ) -> None:
        try:
            lacking = await replay.not_recorded()
            if replay.is_over:
                return
            if not self._begun(replay, request, topics, rejected, lacking):
                self._replay = None
                return
            await replay.run()
        except Refused as refused:
            if not replay.is_over:
                self._replies.fault(refused, request.id)
                self._end(replay, "failed", None)
            return
        self._end(replay, "end", None)

    def _begun(
        self,
        replay: Replay,
        request: Request,
        topics: dict[Topic, int],
        rejected: Sequence[Rejection],
        lacking: Sequence[Recorded],
    ) -> bool:
        """Tell what is played and what not; whether anything is."""
        refusals: list[dict[str, object]] = [each.members for each in rejected]
        most = max(1, MOST_RANGES // max(1, len(lacking)))
        for each in lacking:
            topic = replay.topics[each.topic]
            refusals.append({**self._not_recorded(topics[topic], topic, each), "ranges": _ranges(each, most)})
        refusals.sort(key=lambda each: str(each["index"]).zfill(9))
        gone = {each.topic for each in lacking}
        played = [topic for text, topic in replay.topics.items() if text not in gone]
        if not played:
            self._reject_all(request, refusals)
            return False
        exchanges = len({topic.exchange for topic in played})
        self._replies.inform(
            f"Replaying {len(played)} channels across {exchanges} exchanges",
            request.id,
            replay_id=replay.id,
            **replay.time.members,
            accepted=[msgspec.Raw(codec.channel_json(topic).encode()) for topic in played],
            rejected=refusals,
        )
        if refusals:
            self._reject_all(request, refusals)
        return True

    def _not_recorded(self, index: int, topic: Topic, recorded: Recorded) -> dict[str, object]:
        message = f"{topic} was not recorded then"
        if not recorded.spans:
            message = f"{topic} is not recorded"
            if topic.channel is Channel.ORDER_BOOK and topic.depth != (own := self._directory.book_depth_default):
                message += f": order books are recorded at depth {own}"
        return Rejection(index, "not_recorded", message).members

    def _reject_all(self, request: Request, refusals: Sequence[dict[str, object]]) -> None:
        """One error for all that is not played."""
        if not refusals:
            self._replies.fault(Refused("invalid_message", "Invalid message format: no channels"), request.id)
            return
        first = refusals[0]
        message = f"{len(refusals)} of {len(request.channels)} channels rejected: {first['message']}"
        members = {"rejected": refusals} if len(refusals) == len(request.channels) else {}
        self._replies.fault(Refused(str(first["code"]), message), request.id, **members)

    def _end(self, replay: Replay, reason: str, request_id: RequestId) -> None:
        if self._replay is not replay:
            return
        self._replay = None
        replay.stop()
        messages, counts = replay.sent
        self._replies.inform(
            "Replay ended", request_id, replay_id=replay.id, reason=reason, messages=messages, counts=counts
        )

    def _broke(self, failure: Any, replay: Replay) -> None:
        _log.failure("a replay failed", failure=failure)
        self._end(replay, "failed", None)


def _ranges(recorded: Recorded, most: int) -> list[dict[str, str]]:
    spans = recorded.spans[-most:]
    return [{"from": rfc3339(span.begin // 1000), "to": rfc3339(span.end // 1000)} for span in spans]

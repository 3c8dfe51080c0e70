"""What a client missed that was away for longer than events are kept, or from before a restart: first what the
recording has, then what is kept, with a gap where neither has all.

While the recording is read nothing is stored for the client but what was read last: the topic's new events are kept in
its buffer as ever, and read from there in the end. Where they are kept no more by then, for a client that reads slowly,
they are recorded meanwhile, and the recording is asked again from the last one on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.core.cursors import Cursor, read_cursor
from cryptodash.core.errors import Refused
from cryptodash.core.intervals import next_open
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.encode import missing_message
from cryptodash.hub.interfaces import IPast, IReplay, Message, PastAnswer
from cryptodash.hub.replay_buffers import Replay, ReplayBuffers

SETTLE_S: Final = 3.0
"""Seconds that are waited for the first event of a topic that nobody held before, to know what it goes on from."""
UNWRITTEN_S: Final = 3.0
"""Seconds in which what was told is recorded: an answer that took longer may be behind what is written by now."""
LONGEST_S: Final = 120.0
"""Seconds after which a client that has not caught up with what is kept is told of the rest by a gap."""

_REPLAYED: Final = b',"replayed":true}}'
_log = Logger(namespace="cryptodash.hub.tape_replay")


class _Payload(msgspec.Struct):
    cursor: str | None = None


class _Body(msgspec.Struct):
    type: str
    payload: _Payload


_decode = msgspec.json.Decoder(_Body).decode


@implementer(IReplay)
class TapeReplay:
    """``wait`` gives a Deferred of the topic's next event, or of the end of so many seconds; ``open_bar`` the open time
    of the bar that is running, ``monotonic`` seconds."""

    def __init__(
        self,
        topic: Topic,
        cursor: Cursor,
        client: str,
        past: IPast,
        kept: ReplayBuffers,
        wait: Callable[[Topic, float], Awaitable[bool]],
        open_bar: Callable[[Topic], int | None],
        monotonic: Callable[[], float],
    ) -> None:
        self.outcome = ""
        self.on_ready: Callable[[], object] | None = None
        self._topic = topic
        self._client = client
        self._past = past
        self._kept = kept
        self._wait = wait
        self._open_bar = open_bar
        self._monotonic = monotonic
        self._cursor = self._last = cursor
        """The one that was asked for, and that of the last message that was read."""
        self._ids = {cursor.id}
        """Of those that were read of the last one's time."""
        self._bodies: deque[bytes | None] = deque()
        self._is_hole = False
        self._gap: Message | None = None
        """To be read before what is kept."""
        self._replay: Replay | None = None
        """Of what is kept, from when on that is read."""
        self._answer: PastAnswer | None = None
        self._is_asking = False
        self._is_closed = False
        self._begun = self._round_begun = monotonic()
        self._read_in_round = 0
        self._ask()

    # -- IReplay

    @property
    def left(self) -> int:
        if self._replay is not None:
            return self._replay.left + (self._gap is not None)
        return len(self._bodies)

    @property
    def is_waiting(self) -> bool:
        return self._replay is None and not self._bodies and not self._is_closed

    def read(self, limit: int) -> Sequence[Message]:
        found: list[Message] = []
        while self._bodies and len(found) < limit:
            found += self._made(self._bodies.popleft())
        if self._replay is not None:
            if self._gap is not None:
                found.append(self._gap)
                self._gap = None
            found += self._replay.read(limit - len(found))
        elif not self._bodies:
            self._pull()
        return found

    def close(self) -> None:
        self._is_closed = True
        self.on_ready = None
        self._bodies.clear()
        self._cancel()

    def _tell(self) -> None:
        if self.on_ready is not None:
            self.on_ready()

    # -- the recording

    def _ask(self) -> None:
        self._round_begun, self._read_in_round = self._monotonic(), 0
        try:
            self._answer = self._past.after(self._topic, self._last, self._client)
        except Refused as refused:
            self._failed(refused)
        else:
            self._pull()

    def _pull(self) -> None:
        if self._answer is None or self._is_asking or self._is_closed:
            return
        if self._monotonic() - self._begun > LONGEST_S:
            self._cancel()
            self._go_on("resume")
            return
        self._is_asking = True
        ensureDeferred(_awaited(self._answer.more())).addCallbacks(self._took, self._raised)

    def _took(self, bodies: Sequence[bytes | None]) -> None:
        self._is_asking = False
        if self._is_closed:
            return
        if not self.outcome:
            self.outcome = "recorded"
            self._begun = self._monotonic()  # until now it has waited for its turn
        if not bodies:
            self._answer = None
            self._join()
            return
        self._bodies.extend(bodies)
        self._tell()

    def _raised(self, failure: Failure) -> None:
        self._is_asking = False
        if self._is_closed:
            return
        if failure.check(Refused) is None:
            _log.failure("reading what was recorded of {topic} failed", failure=failure, topic=self._topic)
        self._failed(failure.value or Refused("recording_failed", "for no reason that is known"))

    def _failed(self, error: BaseException) -> None:
        """Nothing of it can be had, or nothing more."""
        self._cancel()
        is_refused = isinstance(error, Refused)
        if not self.outcome:
            self.outcome = "expired"
            self._replay = self._kept.replay(self._topic, self._cursor)  # as where nothing is recorded
            if not is_refused or getattr(error, "code", "") != "not_recorded":
                _log.info("{topic}: a client goes on without the recording: {error}", topic=self._topic, error=error)
            self._tell()
        else:
            self._go_on("resume")

    def _cancel(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()

    def _made(self, body: bytes | None) -> Sequence[Message]:
        """The message, with the gap before it."""
        if body is None:
            self._is_hole = True
            return ()
        try:
            kind, cursor = self._read_body(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, Refused):
            return ()  # of no server of ours
        if kind == "gap" or cursor is None:
            return (Message(self._topic, kind, body, None),)
        found = [Message(self._topic, kind, body if body.endswith(_REPLAYED) else body[:-2] + _REPLAYED, None)]
        if self._is_hole:
            self._is_hole = False
            found.insert(0, missing_message(self._topic, "recording", *_between(self._last.time, cursor.time)))
        self._note(cursor)
        return found

    def _read_body(self, body: bytes) -> tuple[str, Cursor | None]:
        made = _decode(body)
        text = made.payload.cursor
        return made.type, None if text is None else read_cursor(text, self._topic)

    def _note(self, cursor: Cursor) -> None:
        if cursor.time != self._last.time:
            self._ids.clear()
        self._ids.add(cursor.id)
        self._last = cursor
        self._read_in_round += 1

    # -- what is kept

    def _join(self, *, is_settled: bool = False) -> None:
        """All that is recorded was read: go on with what is kept behind it."""
        replay = self._kept.replay(self._topic, self._last)
        if replay.outcome == "complete":
            self._is_hole = False
            self._replay = replay
            self._tell()
        elif self._read_in_round and self._monotonic() - self._round_begun > UNWRITTEN_S:
            self._ask()
        elif not is_settled and not self._kept.latest(self._topic, 1):
            ensureDeferred(_awaited(self._wait(self._topic, SETTLE_S))).addCallback(self._settled)
        else:
            self._go_on("recording")

    def _settled(self, _: object) -> None:
        if not self._is_closed:
            self._join(is_settled=True)

    def _go_on(self, reason: str) -> None:
        """With all that is kept and newer, behind a gap: nobody knows what was between."""
        self._bodies.clear()
        self._replay = self._kept.replay(self._topic, self._last)
        if self._replay.outcome != "complete":
            event = self._replay.begin_later(self._last, self._ids)
            end = None if event is None else event.timestamp
            if self._topic.channel is Channel.CANDLE:
                end = self._open_bar(self._topic) if end is None else end
                if end is not None and end <= next_open(self._topic.interval, self._last.time):
                    self._tell()  # the next bar: none is missing
                    return
            begin, end = (self._last.time, None) if end is None else _between(self._last.time, end)
            self._gap = missing_message(self._topic, reason, begin, end)
        self._tell()


def _between(begin: int, end: int) -> tuple[int, int]:
    """The two times, in order: a venue's clock may have been set back."""
    return min(begin, end), max(begin, end)


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable

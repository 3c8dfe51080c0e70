"""One replay: recorded messages on their way to a client, each when it is due and the client has read what was before
it. What is live goes first."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.api.slices import Slices
from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.api.ws.recorded_bodies import kind_of, mark_of, marked
from cryptodash.api.ws.replay_pace import ReplayPace
from cryptodash.api.ws.replay_request import PlayedTime
from cryptodash.core import codec
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import Answer, Entry, Item, Missing, Recorded
from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic

WRITE_BYTES: Final = 16 * 1024
"""What is made for one write."""
LEAST_WAIT_S: Final = 0.005
"""What is due within it comes together."""
STEP: Final = 8
"""Messages made in a step."""
BYTES_PER_TOKEN: Final = 256 * 1024
"""Of the client's work: a recorded message is not made, only framed."""


@frozen
class ReplayPorts:
    """What a replay works with, of its client and of all."""

    writer: ClientWriter
    traffic: Traffic
    slices: Slices
    work: WorkBudget
    clock: Clock
    reactor: IReactorTime


class Replay:
    """``topics`` by their text. ``rate_of`` a topic: messages a second at most that its client may have, None: any
    number. ``run`` it once; ``stop`` at any time."""

    def __init__(
        self,
        replay_id: str,
        time: PlayedTime,
        topics: Mapping[str, Topic],
        answer: Answer,
        rate_of: Callable[[Topic], float | None],
        ports: ReplayPorts,
    ) -> None:
        self.id = replay_id
        self.time = time
        self.topics = dict(topics)
        """Those that are played, by their text."""
        self.rate_of = rate_of
        self.is_over = False
        self._answer = answer
        self._ports = ports
        self._mark = mark_of(replay_id)
        self._pace: ReplayPace | None = None
        self._items: deque[Item] = deque()
        self._frames: deque[tuple[bytes, str]] = deque()
        """Made and not written, with their kinds."""
        self._next_at: dict[str, float] = {}
        """When the next message of a topic may go out whose rate is limited; monotonic."""
        self._counts: Counter[str] = Counter()
        self._waiting: Deferred[None] | None = None

    async def not_recorded(self) -> list[Recorded]:
        """The topics of which there is nothing in that time, and when there is; they are not played. Raises ``Refused``
        where the recording cannot be read. To be called first."""
        lacking: list[Recorded] = []
        while not self._items:
            items = await self._answer.more()
            if not items:
                break
            lacking += [each for each in items if isinstance(each, Recorded)]
            self._items.extend(each for each in items if not isinstance(each, Recorded))
        for each in lacking:
            self.topics.pop(each.topic, None)
        return lacking

    async def run(self) -> None:
        """Play to the end, or until it is stopped. Raises ``Refused`` where the recording cannot be read on."""
        self._pace = ReplayPace(self.time.speed, self.time.begin * 1000, self._ports.clock.monotonic())
        try:
            while not self.is_over:
                if not self._items and not self._frames:
                    self._items.extend(await self._answer.more())
                    if not self._items:
                        return
                await self._until_due()
                await self._until_clean()
                await self._ports.slices.outcome(self._send())
        except (CancelledError, Refused):
            if not self.is_over:
                raise

    def stop(self) -> None:
        """Nothing more of it is sent."""
        if self.is_over:
            return
        self.is_over = True
        self._answer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()

    @property
    def sent(self) -> tuple[int, dict[str, int]]:
        """How many messages were sent of it, in all and of each kind."""
        return self._counts.total(), dict(sorted(self._counts.items()))

    # -- when

    def _wait(self) -> float:
        """Seconds until the next message may go out."""
        assert self._pace is not None
        wait = self._ports.work.seconds_in_debt()
        if self._frames:
            return wait
        item, now = self._items[0], self._ports.clock.monotonic()
        if isinstance(item, Missing):
            self._pace.skip(item.begin, item.end)
            return max(wait, self._pace.wait(item.end, now))
        assert isinstance(item, Entry)
        return max(wait, self._pace.wait(item.time, now), self._next_at.get(item.topic, 0.0) - now)

    async def _until_due(self) -> None:
        while not self.is_over and (wait := self._wait()) > 0:
            done: Deferred[None] = Deferred()
            call = self._ports.reactor.callLater(max(wait, LEAST_WAIT_S), done.callback, None)
            try:
                await self._until(done)
            finally:
                if call.active():
                    call.cancel()

    async def _until_clean(self) -> None:
        while not self.is_over and not self._ports.writer.clean:
            done: Deferred[None] = Deferred()
            self._ports.writer.when_clean(partial(_fire, done))
            await self._until(done)

    async def _until(self, done: Deferred[None]) -> None:
        self._waiting = done
        try:
            await done
        finally:
            self._waiting = None

    # -- what

    def _send(self) -> Steps[None]:
        """One write of what is due."""
        size = sum(len(frame) for frame, _ in self._frames)
        made = 0
        while size < WRITE_BYTES and self._items and (not made or self._wait_of_next() <= 0):
            for frame, kind in self._made(self._items.popleft()):
                self._frames.append((frame, kind))
                size += len(frame)
            made += 1
            if made % STEP == 0:
                yield
        if self.is_over:
            return
        count = self._ports.writer.send_rest([frame for frame, _ in self._frames])
        for _ in range(count):
            frame, kind = self._frames.popleft()
            self._counts[kind] += 1
            self._ports.traffic.sent.add(kind)
            self._ports.work.charge(len(frame) / BYTES_PER_TOKEN)

    def _wait_of_next(self) -> float:
        assert self._pace is not None
        item, now = self._items[0], self._ports.clock.monotonic()
        if not isinstance(item, Entry):
            return 0.0 if not self.time.speed else 1.0  # it is looked at by itself
        return max(self._pace.wait(item.time, now), self._next_at.get(item.topic, 0.0) - now)

    def _made(self, item: Item) -> Sequence[tuple[bytes, str]]:
        build = self._ports.writer.framer.build
        if isinstance(item, Missing):
            return [(build(each), "gap") for each in self._gaps(item)]
        if not isinstance(item, Entry) or item.topic not in self.topics:
            return ()
        body = marked(item.body, self._mark)
        if body is None:
            return ()
        rate = self.rate_of(self.topics[item.topic])
        if rate is not None:
            self._next_at[item.topic] = self._ports.clock.monotonic() + 1 / rate
        return ((build(body), kind_of(body)),)

    def _gaps(self, missing: Missing) -> Sequence[bytes]:
        """One for each channel that it is about."""
        named = [topic for text, topic in self.topics.items() if missing.topic in ("", text)]
        begin, end = missing.begin // 1000, -(-missing.end // 1000)
        found = []
        for each in named:
            payload = codec.gap_of(each, "recording", None, begin, end)
            found.append(codec.message("gap", f'{payload[:-1]},"hole":"{missing.reason}"{self._mark.decode()}}}'))
        return found


def _fire(done: Deferred[None]) -> None:
    if not done.called:  # nobody waits for it any more
        done.callback(None)

"""From the hub to many sockets: one joined write per client and reactor turn.

Clients with the same set of feeds form a cohort. What the hub delivers to a cohort in one turn is framed once and
joined once; the flush then is a plain loop over the bound ``send`` of its clean clients. A client whose socket does not
take everything leaves that loop until it has drained: its ``Line`` conflates. Nothing is ever sent out of order: each
client that is not in the loop has a position in the cohort's pending messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from cryptodash.api.feeds import Feed, Group, IMember, Sources
from cryptodash.api.line import TOO_SLOW, ILink, Line, Send
from cryptodash.api.traffic import Traffic
from cryptodash.api.ws.deflate import deflated_frame
from cryptodash.api.ws.frames import Framer, text_frame
from cryptodash.core.config import Config
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Batch, IHub, Message

BURST: Final = 64 * 1024
"""Bytes one flush gives a client before it looks whether the client still takes them."""
LONG_FLUSH: Final = 0.002
"""Seconds. A flush that took longer is followed by a pause, as far as it wrote to clients with feeds of their own."""
PAUSE: Final = 0.5
"""Of the flush's time. What such a client costs is one write, with one message in it or with five. Measured with 1,000
clients on 20 of 200 topics and 5,000 events a second: 498,000 deliveries per CPU-second without the pause, 681,000 with
it. Cohorts of many clients share a turn's work."""
MAX_PAUSE: Final = 0.02
TRICKLE_FACTOR: Final = 3
"""A client that reads, but has not emptied its queue for so many stall timeouts, sees old prices: it goes as well."""


@implementer(IMember)
class Cohort:
    """The clients with one set of feeds and one kind of frames, and what they get at the next flush."""

    def __init__(self, fanout: Fanout, framer: Framer, feeds: frozenset[Feed]) -> None:
        self.framer = framer
        self.feeds = feeds
        self.clean: dict[Send, Line] = {}
        self.late: dict[Line, int] = {}
        """Those not in the loop, and how many of the pending messages they have got already."""
        self.pending: list[Message | Batch] = []
        """What the groups of its feeds have delivered in this turn; always the same list."""
        self.deliver = self.pending.append
        self._fanout = fanout
        self._named = _named(feeds)

    def __len__(self) -> int:
        return len(self.clean) + len(self.late)

    def deliver_sweep(self, batch: Batch) -> None:
        messages = [message for message in batch.messages if message.topic not in self._named]
        if messages:
            self.pending.append(Batch(batch.topic, messages))

    def change(self, feeds: frozenset[Feed]) -> None:
        """Other feeds for the same (one) client, whose pending messages have been handled."""
        sources = self._fanout.sources
        for feed in self.feeds - feeds:
            sources.detach(self, feed)
        for feed in feeds - self.feeds:
            sources.attach(self, feed)
        self.feeds, self._named = feeds, _named(feeds)
        self.pending.clear()

    def join(self, line: Line) -> None:
        """One more client; it gets nothing of what is pending already."""
        if line.clean and not self.pending:
            self.clean[line.send] = line
        else:
            self.late[line] = len(self.pending)

    def leave(self, line: Line) -> None:
        """One client less; it gets what is pending, unless it has to wait for it anyway."""
        position = self.late.pop(line, 0)
        self.clean.pop(line.send, None)
        if self.pending:
            line.catch_up(self.pending[position:])

    def hold_back(self, line: Line) -> None:
        """A clean client's socket is full: out of the loop."""
        if self.clean.pop(line.send, None) is not None:
            self.late[line] = 0

    def sync(self, line: Line) -> None:
        """Bring one client up to what is pending now, ahead of the flush:
        before the hub is asked for present values, which contain it."""
        position = self.late.get(line, 0)
        if position < len(self.pending):
            self.clean.pop(line.send, None)
            self.late[line] = len(self.pending)
            line.catch_up(self.pending[position:])

    def promote(self, line: Line) -> None:
        """A client has nothing queued any more: into the loop, at the latest with the next flush."""
        if self.late.get(line) == 0 or not self.pending:
            self.late.pop(line, None)
            self.clean[line.send] = line

    def flush(self) -> None:
        """Send what is pending."""
        pending = self.pending
        if len(self.clean) == 1 and not self.late and self._flush_one(pending):
            return
        messages = pending[:]
        pending.clear()
        late, self.late = self.late, {}
        if self.clean:
            self._flush_clean(messages, late)
        for line, position in late.items():
            self.late[line] = 0
            line.catch_up(messages[position:])

    def _flush_one(self, pending: list[Message | Batch]) -> bool:
        """The same for the only client of a cohort; False if it is too much for one write.

        Where every client has a set of feeds of its own, this is the hot loop.
        """
        made = self.framer.made
        data = made[pending[0]] if len(pending) == 1 else b"".join([made[message] for message in pending])
        size = len(data)
        if size > BURST:
            return False
        self._fanout.traffic.flushed_one(pending, size)
        pending.clear()
        (send,) = self.clean
        try:
            sent = send(data)
        except OSError:  # as in ``_send``
            sent = 0
        if sent != size:
            line = self.clean.pop(send)
            line.block(data, sent)
            self.late[line] = 0
        return True

    def _flush_clean(self, messages: list[Message | Batch], late: dict[Line, int]) -> None:
        """Those who did not take everything are ``late`` from where it ended."""
        frames = self.framer.frames(messages)
        data = b"".join(frames)
        self._fanout.traffic.flushed(messages, len(data), len(self.clean))
        if len(data) <= BURST:
            for line in self._send(data):
                late[line] = len(messages)
            return
        start = 0
        for end in _cuts(frames):
            for line in self._send(b"".join(frames[start:end])):
                late[line] = end
            start = end

    def _send(self, data: bytes) -> list[Line]:
        """The hot loop. Returns who did not take everything."""
        size = len(data)
        short: list[tuple[Send, int]] = []
        for send in tuple(self.clean):
            try:
                sent = send(data)
                if sent != size:
                    short.append((send, sent))
            except OSError:  # full, or broken: then the transport finds out when it writes
                short.append((send, 0))
        if not short:
            return []
        lines = [self.clean.pop(send) for send, _ in short]
        for line, (_, sent) in zip(lines, short, strict=True):
            line.block(data, sent)
        return lines


def _named(feeds: Iterable[Feed]) -> frozenset[Topic]:
    return frozenset(feed.topic for feed in feeds if not feed.topic.is_sweep)


def _cuts(frames: list[bytes]) -> Iterator[int]:
    """Where to cut a turn's frames so that no piece is (much) above ``BURST``."""
    size = 0
    for index, frame in enumerate(frames):
        if size and size + len(frame) > BURST:
            yield index
            size = 0
        size += len(frame)
    yield len(frames)


class Fanout:
    """All cohorts of one server, the flush at the end of each reactor turn,
    and the watch over clients that do not read."""

    def __init__(self, hub: IHub, config: Config, reactor: IReactorTime, clock: Clock, tally: Tally) -> None:
        self.hub = hub
        self.clock = clock
        self.traffic = Traffic(tally)
        self.sources = Sources(hub, reactor, self.traffic, self._ring)
        self.plain = Framer(text_frame)
        self.deflating = Framer(deflated_frame)
        self.cohorts: dict[tuple[Framer, frozenset[Feed]], Cohort] = {}
        self.blocked: dict[Line, None] = {}
        self.buffer_limit = config.limits.client_buffer_bytes
        self._reactor = reactor
        self._delay = config.flush_interval_ms / 1000.0
        self._stall = config.client_stall_timeout_s
        self._rung: list[Group] = []
        self._pause_ends = 0.0
        self._flush_call: IDelayedCall | None = None
        self._watch_call: IDelayedCall | None = None
        tally.gauge(
            "cryptodash_ws_paused_connections",
            "Clients that cannot be written to now.",
            lambda: {(): len(self.blocked)},
        )
        tally.gauge("cryptodash_ws_queue_bytes", "Bytes that wait for slow clients.", lambda: {(): sum(self._queues())})
        tally.gauge(
            "cryptodash_ws_queue_bytes_max",
            "Bytes that wait for the slowest client.",
            lambda: {(): max(self._queues(), default=0)},
        )

    def open(self, link: ILink, *, blocked: bool, deflates: bool = False) -> Line:
        """A new client; ``blocked``: something is queued on its transport already, and ``drained`` will be called.
        ``deflates``: as agreed."""
        line = Line(self, link, self.deflating if deflates else self.plain)
        if blocked:
            line.block(b"", -1)
        return line

    def subscribe(self, line: Line, feeds: frozenset[Feed]) -> None:
        """The client's feeds from now on. What was pending for it goes out first;
        of feeds left out nothing comes any more."""
        old, line.cohort = line.cohort, None
        if old is not None:
            old.leave(line)
        line.follow(feeds)
        cohort = self._cohort(old, line.framer, feeds)
        if cohort is not None:
            line.cohort = cohort
            cohort.join(line)
        if old is not None and old is not cohort:
            self._end_if_empty(old)

    def leave(self, line: Line, cohort: Cohort) -> None:
        """The client has gone."""
        cohort.late.pop(line, None)
        cohort.clean.pop(line.send, None)
        self._end_if_empty(cohort)

    def _end_if_empty(self, cohort: Cohort) -> None:
        if not len(cohort):
            del self.cohorts[cohort.framer, cohort.feeds]
            cohort.change(frozenset())

    def _cohort(self, old: Cohort | None, framer: Framer, feeds: frozenset[Feed]) -> Cohort | None:
        if not feeds:
            return None
        cohort = self.cohorts.get((framer, feeds))
        if cohort is not None:
            return cohort
        if old is not None and not len(old):  # its only client takes the cohort along: only the difference is attached
            del self.cohorts[framer, old.feeds]
            old.change(feeds)
            cohort = old
        else:
            cohort = Cohort(self, framer, frozenset())
            cohort.change(feeds)
        self.cohorts[framer, feeds] = cohort
        return cohort

    def _ring(self, group: Group) -> None:
        """The members of the group have something pending."""
        group.rung = True
        self._rung.append(group)
        if self._flush_call is None:
            self._flush_call = self._reactor.callLater(
                max(self._delay, self._pause_ends - self.clock.monotonic()), self.flush
            )

    def flush(self) -> None:
        """Send everything pending."""
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        begun = self.clock.monotonic()
        rung, self._rung = self._rung, []
        for group in rung:
            group.rung = False
        for group in rung:
            for cohort in tuple(group.members):
                if cohort.pending:
                    cohort.flush()
        self.plain.forget()
        self.deflating.forget()
        ended = self.clock.monotonic()
        alone = self.traffic.settle()
        if ended - begun > LONG_FLUSH:
            self._pause_ends = ended + min(PAUSE * alone * (ended - begun), MAX_PAUSE)

    def watch(self, line: Line) -> None:
        """The client cannot be written to: it must make progress."""
        self.blocked[line] = None
        if self._watch_call is None:
            self._watch_call = self._reactor.callLater(self._stall / 10, self._check)

    def unwatch(self, line: Line) -> None:
        self.blocked.pop(line, None)

    def stop(self) -> None:
        """Cancel the timers."""
        for call in (self._flush_call, self._watch_call):
            if call is not None and call.active():
                call.cancel()
        self._flush_call = self._watch_call = None

    def _check(self) -> None:
        self._watch_call = None
        now = self.clock.monotonic()
        for line in list(self.blocked):
            if (
                line.backlog.overflow
                or line.stalled(now, self._stall)
                or now - line.blocked_at >= TRICKLE_FACTOR * self._stall
            ):
                self.unwatch(line)
                line.link.close_with(TOO_SLOW, "too slow")
        if self.blocked:
            self._watch_call = self._reactor.callLater(self._stall / 10, self._check)

    def _queues(self) -> list[int]:
        return [line.backlog.bytes for line in self.blocked]

"""The clients that get the same, and the loop that writes a turn's messages to all of them.

A client whose socket does not take everything leaves the loop until it has drained. Nothing is ever sent out of order:
each client that is not in the loop has a position in the cohort's pending messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from zope.interface import implementer

from cryptodash.api.fanout.cohort_member import CohortMember, Send
from cryptodash.api.fanout.deliveries import Deliveries, Delivery, IGroupMember
from cryptodash.api.fanout.framer import Framer, queued
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Batch, Message

BURST: Final = 64 * 1024
"""Bytes one flush gives a client before it looks whether the client still takes them."""


@implementer(IGroupMember)
class Cohort:
    """The clients with one set of deliveries and one kind of frames, and what they get at the next flush."""

    def __init__(self, sources: Deliveries, traffic: Traffic, framer: Framer) -> None:
        self.framer = framer
        self.deliveries: frozenset[Delivery] = frozenset()
        self.clean: dict[Send, CohortMember] = {}
        self.late: dict[CohortMember, int] = {}
        """Those not in the loop, and how many of the pending messages they have got already."""
        self.pending: list[Message | Batch] = []
        """What the groups of its deliveries have delivered in this turn; always the same list."""
        self.deliver = self.pending.append
        self._sources = sources
        self._traffic = traffic
        self._named: frozenset[Topic] = frozenset()

    def __len__(self) -> int:
        return len(self.clean) + len(self.late)

    def deliver_sweep(self, batch: Batch) -> None:
        messages = [message for message in batch.messages if message.topic not in self._named]
        if messages:
            self.pending.append(Batch(batch.topic, messages))

    def failed(self, delivery: Delivery) -> None:
        """Its clients are sent away: they would wait for what does not come."""
        if delivery in self.deliveries:
            for member in (*self.clean.values(), *self.late):
                member.failed()

    def change(self, deliveries: frozenset[Delivery]) -> None:
        """Other deliveries for the same (one) client, whose pending messages have been handled."""
        for delivery in self.deliveries - deliveries:
            self._sources.detach(self, delivery)
        # In a fixed order, which then is that of what comes at once: topics are hashed by their address.
        for delivery in sorted(deliveries - self.deliveries, key=_in_order):
            self._sources.attach(self, delivery)
        self.deliveries, self._named = deliveries, _named(deliveries)
        self.pending.clear()

    def join(self, member: CohortMember) -> None:
        """One more client; it gets nothing of what is pending already."""
        if member.clean and not self.pending:
            self.clean[member.send] = member
        else:
            self.late[member] = len(self.pending)

    def leave(self, member: CohortMember) -> None:
        """One client less; it gets what is pending, unless it has to wait for it anyway."""
        position = self.late.pop(member, 0)
        self.clean.pop(member.send, None)
        if self.pending:
            member.catch_up(self.pending[position:])

    def remove(self, member: CohortMember) -> None:
        """A client has gone: nothing more is sent to it."""
        self.late.pop(member, None)
        self.clean.pop(member.send, None)

    def hold_back(self, member: CohortMember) -> None:
        """A clean client's socket is full: out of the loop."""
        if self.clean.pop(member.send, None) is not None:
            self.late[member] = 0

    def sync(self, member: CohortMember) -> None:
        """Bring one client up to what is pending now, ahead of the flush:
        before the hub is asked for present values, which contain it."""
        position = self.late.get(member, 0)
        if position < len(self.pending):
            self.clean.pop(member.send, None)
            self.late[member] = len(self.pending)
            member.catch_up(self.pending[position:])

    def promote(self, member: CohortMember) -> None:
        """A client has nothing queued any more: into the loop, at the latest with the next flush."""
        if self.late.get(member) == 0 or not self.pending:
            self.late.pop(member, None)
            self.clean[member.send] = member

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
        for member, position in late.items():
            self.late[member] = 0
            member.catch_up(messages[position:])

    def _flush_one(self, pending: list[Message | Batch]) -> bool:
        """The same for the only client of a cohort; False if it is too much for one write.

        Where every client has a set of deliveries of its own, this is the hot loop.
        """
        made = self.framer.made
        data = made[pending[0]] if len(pending) == 1 else b"".join([made[message] for message in pending])
        size = len(data)
        if size > BURST:
            return False
        self._traffic.flushed_one(pending, size)
        (send,) = self.clean
        try:
            sent = send(data)
        except OSError:  # as in ``_send``
            sent = 0
        if sent == size:
            pending.clear()
            return True
        messages = pending[:]
        pending.clear()
        member = self.clean.pop(send)
        begun = self._block(member, data, sent, messages)
        self.late[member] = 0
        member.catch_up(messages[begun:])
        return True

    def _flush_clean(self, messages: list[Message | Batch], late: dict[CohortMember, int]) -> None:
        """Those who did not take everything are ``late`` from where it ended."""
        frames = self.framer.frames(messages)
        start = 0
        for end in _cuts(frames):
            data = b"".join(frames[start:end])
            self._traffic.flushed(messages[start:end], len(data), len(self.clean))
            for member, sent in self._send(data):
                begun = self._block(member, data, sent, messages[start:end])
                late[member] = start + begun
            start = end

    def _block(self, member: CohortMember, data: bytes, sent: int, messages: Sequence[Message | Batch]) -> int:
        """A client did not take everything: how many of the messages are on its way, which the others are not."""
        if sent < 0:
            member.block(data, sent)
            return len(messages)
        count, size = queued(self.framer.frames(messages), sent)
        member.block(data[:size], sent)
        self._traffic.not_sent(messages[count:], len(data) - size)
        return count

    def _send(self, data: bytes) -> list[tuple[CohortMember, int]]:
        """The hot loop. Returns who did not take everything, and how much they took."""
        size = len(data)
        short: list[tuple[Send, int]] = []
        for send in tuple(self.clean):
            try:
                sent = send(data)
                if sent != size:
                    short.append((send, sent))
            except OSError:  # full, or broken: then the transport finds out when it writes
                short.append((send, 0))
        return [(self.clean.pop(send), sent) for send, sent in short]


def _in_order(delivery: Delivery) -> tuple[str, int, float]:
    return delivery.topic.text, delivery.interval, delivery.rate


def _named(deliveries: Iterable[Delivery]) -> frozenset[Topic]:
    return frozenset(delivery.topic for delivery in deliveries if not delivery.topic.is_sweep)


def _cuts(frames: list[bytes]) -> Iterator[int]:
    """Where to cut a turn's frames so that no piece is (much) above ``BURST``."""
    size = 0
    for index, frame in enumerate(frames):
        if size and size + len(frame) > BURST:
            yield index
            size = 0
        size += len(frame)
    yield len(frames)

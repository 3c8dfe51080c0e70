"""The trades of one instrument, each once."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Trade
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Fill
from cryptodash.exchanges.builders.doubt_counts import UNCOUNTED, DoubtCounts, Reason
from cryptodash.exchanges.builders.known_numbers import KnownNumbers
from cryptodash.exchanges.builders.known_texts import KnownTexts
from cryptodash.exchanges.builders.plausibility import FAR_AHEAD, TOLERANCE_MS, Witness, is_far_ahead, latest_time

MOST_HELD = 1_000
"""Trades of one frame that are held until a second one agrees."""
RESTART_MS = 60_000
"""A known number in a trade so much newer than the newest: the venue counts anew."""


class TradeBuilder:
    """The trades of one instrument, each once. They are told as they come: one that the venue sends late is told late.

    New is what is not among the last ``KNOWN_IDS`` numbers, or ids that are none, whether its number is above or below
    the newest. A number far ahead, or a time ahead of the venue's clock, is held until a second frame
    agrees (``plausibility.py``).
    """

    def __init__(self, topic: Topic, doubts: DoubtCounts = UNCOUNTED) -> None:
        self.missed = 0
        """Trades that the venue's count says exist and that we have never seen."""
        self.late = 0
        """Trades among those that came after all, out of their turn."""
        self.dropped = False
        """Whether the last frame confirms nothing, because all of it was held."""
        self._topic = topic
        self._doubts = doubts
        self._number: int | None = None
        self._time: int | None = None
        """The time of the trade told last (ms)."""
        self._at = 0.0
        """When that was."""
        self._counted_from = 0
        """The number from which on those passed over were counted as missed."""
        self._below: int | None = None
        """The last number below that, which a venue that counts anew goes on from."""
        self._numbers = KnownNumbers()
        self._texts = KnownTexts()
        self._newest: int | None = None
        """The newest time told (ms)."""
        self._set_back: list[tuple[Fill, int]] = []
        """Trades in a row whose numbers are known and whose times are newer than any, with their receive times."""
        self._set_back_in: Sequence[Fill] = ()
        """The frame that the first of these came in."""
        self._held: list[tuple[Fill, int]] = []
        """Trades of one frame that are not believed yet, with their receive times."""
        self._witness: Witness | None = None

    @property
    def number(self) -> int | None:
        """The venue's number of the newest trade, where it counts."""
        return self._number

    @property
    def counted_from(self) -> int:
        """The number from which on those passed over are counted: another one once the count has begun anew."""
        return self._counted_from

    @property
    def is_holding(self) -> bool:
        """Whether ``expire`` has something to look at."""
        return bool(self._held)

    @property
    def held_ids(self) -> list[str]:
        """Of what is held."""
        return [each.id for each, _ in self._held]

    def fills(self, fills: Sequence[Fill], venue_ms: int, received: int, now: float) -> list[Trade]:
        """The trades among these, one frame's, that are new. ``venue_ms``: when it came by the venue's clock as far as
        that is known, ``received`` by our wall clock (ms), ``now`` by the monotonic one."""
        told: list[Trade] = []
        topic, latest, doubted = self._topic, venue_ms + TOLERANCE_MS, 0
        for each in fills:
            number, last, numbers = each.number, self._number, self._numbers
            if (
                last is not None
                and number == last + 1 == numbers.next < numbers.limit
                and each.time <= latest
                and self._witness is None
            ):
                # The rule where the venue counts; all else costs a call or two more.
                numbers.next = last + 2
                self._number = number
                told.append(Trade(topic, each.time, received, each.id, each.price, each.quantity, each.side))
                continue
            if each.time > latest and self._is_ahead(each.time, venue_ms, received, now):
                reason = Reason.FUTURE_TIME
            elif (
                number is not None
                and last is not None
                and number > last + FAR_AHEAD
                and is_far_ahead(number, last, now - self._at)
            ):
                reason = Reason.FUTURE_ID
            else:
                if self._witness is not None:
                    if self._witness.agrees(number, each.time, received, now):
                        told += self._release(now)  # more is known of the venue's clock than when it was held
                    self._contradict()
                if self._is_new(each):
                    told.append(Trade(topic, each.time, received, each.id, each.price, each.quantity, each.side))
                elif not self._is_set_back(each, received, fills):
                    self._doubts.repeated()
                else:
                    told += self._count_anew()
                continue
            if self.knows(each):
                self._doubts.repeated()
                continue
            doubted += self._doubt(each, reason, received, now, told, first=not doubted)
        self.dropped = doubted > 0 and doubted == len(fills)
        if told:
            self._time, self._at = told[-1].timestamp, now
            if self._newest is None or self._time > self._newest:
                self._newest = self._time
            if self._set_back:
                self._set_back = []
        return told

    def expire(self, venue_ms: int, wall_ms: int, now: float) -> list[Trade]:
        """Twice a second, at ``venue_ms`` by the venue's clock and ``wall_ms`` by ours: give up what was held for too
        long. A trade that lies within the venue's clock, now that more is known of that, is told after all."""
        witness = self._witness
        if not self._held or witness is None or not witness.is_over(now):
            return []
        if witness.reason is Reason.FUTURE_TIME and all(
            each.time <= received + venue_ms - wall_ms + TOLERANCE_MS for each, received in self._held
        ):
            self._witness = None
            return self._release(now)
        witness.settled = True
        self._give_up(witness.reason)
        return []

    # -- doubts

    def _is_ahead(self, time: int, venue_ms: int, received: int, now: float) -> bool:
        latest = latest_time(self._time, now - self._at, venue_ms, received)
        return latest is not None and time > latest

    def _doubt(self, fill: Fill, reason: Reason, received: int, now: float, told: list[Trade], *, first: bool) -> bool:
        """Whether the trade is held; else a second frame agrees with what was held, and both are in ``told``.
        ``first``: nothing of the same frame was held before it."""
        before = self._witness
        agrees = before is not None and before.agrees(fill.number, fill.time, received, now)
        if first and agrees:
            told += self._release(now)
        elif before is not None and not ((agrees or self._is_beside(fill)) and len(self._held) < MOST_HELD):
            self._give_up(before.reason)
        self._witness = Witness(reason, fill.number, fill.time, received, now, None if first else before)
        self._held.append((fill, received))
        if first and agrees:
            self._witness.settled = True
            told += self._release(now)
            return False
        self._doubts.held(reason)
        return True

    def _is_beside(self, fill: Fill) -> bool:
        """Whether an uncounted trade is another one of the moment of those held: one order trades with several."""
        return fill.number is None and all(each.time == fill.time and each.id != fill.id for each, _ in self._held[-1:])

    def _release(self, now: float) -> list[Trade]:
        """What was held is believed: the count, where there is one, goes on from there."""
        held, self._held = self._held, []
        first = held[0][0].number if held else None
        if first is not None and self._number is not None and is_far_ahead(first, self._number, now - self._at):
            self._number = None
        return [
            Trade(self._topic, each.time, received, each.id, each.price, each.quantity, each.side)
            for each, received in held
            if self._is_new(each)
        ]

    def _is_set_back(self, fill: Fill, received: int, frame: Sequence[Fill]) -> bool:
        """Whether a known number shows that the venue's count was set back: its time is newer than any, so that it is
        not sent again, and it goes on from one of an earlier frame of which the same is true."""
        if fill.number is None or self._newest is None or fill.time <= self._newest:
            return False
        before = self._set_back[-1][0].number if self._set_back else None
        if before is None or fill.number <= before or len(self._set_back) >= MOST_HELD:
            self._set_back, self._set_back_in = [], frame
        self._set_back.append((fill, received))
        return before is not None and fill.number > before and self._set_back_in is not frame

    def _count_anew(self) -> list[Trade]:
        """What was passed over while the count seemed to be an old one, and what shows that it is not."""
        found, self._set_back = self._set_back, []
        self._numbers = KnownNumbers()
        self._begin_count(found[0][0].number or 0)
        return [
            Trade(self._topic, each.time, received, each.id, each.price, each.quantity, each.side)
            for each, received in found
            if self._is_new(each)
        ]

    def _contradict(self) -> None:
        """A trade came that can be believed."""
        witness, self._witness = self._witness, None
        if witness is not None:
            self._give_up(witness.reason)

    def _give_up(self, reason: Reason) -> None:
        if self._held:
            self._doubts.dropped(reason, len(self._held))
            self._held = []

    # -- what is known

    def knows(self, fill: Fill) -> bool:
        """Whether it was told already."""
        return fill.id in self._texts if fill.number is None else fill.number in self._numbers

    def _is_new(self, fill: Fill) -> bool:
        number = fill.number
        if number is None:
            return self._texts.add(fill.id)
        if not self._numbers.add(number, fill.count):
            if self._time is None or fill.time < self._time + RESTART_MS:
                return False
            self._numbers = KnownNumbers()
            self._numbers.add(number, fill.count)
            self._begin_count(number)
        last = self._number
        if last is None:
            self._begin_count(number)
        elif number > last:
            first = number - fill.count + 1
            if first > last + 1:
                self.missed += first - last - 1 - self._numbers.between(last + 1, first)
        elif number >= self._counted_from:
            if self.missed > 0:
                late = min(fill.count, self.missed)
                self.missed -= late
                self.late += late
            return True
        else:
            # Older than all that is counted: late, unless another one follows it.
            below, self._below = self._below, number
            if below is None or number - fill.count != below:
                return True
            self._begin_count(below)
        self._number = number
        return True

    def _begin_count(self, number: int) -> None:
        self._number = self._counted_from = number
        self._below = None

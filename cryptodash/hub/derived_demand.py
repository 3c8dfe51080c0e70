"""Demand for topics that are derived from others: whoever holds one holds what it is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.core.errors import Refused
from cryptodash.core.topics import COMPOSITE, Topic
from cryptodash.hub.demand import ClientDemand, Demand
from cryptodash.hub.interfaces import IDemand
from cryptodash.hub.new_topics import SERVER, Holder

_log = Logger(namespace="cryptodash.hub.derived_demand")

TRY_AGAIN_S: Final = 1.0
AT_ONCE: Final = 20
"""Topics that are tried again in one turn."""

Hold = tuple[int, Holder]
"""At which interval, on whose behalf."""


class _Held:
    """One derived topic that somebody holds. ``parts``: what it is made of, each with the holds that it has for it."""

    __slots__ = ("holds", "parts")

    def __init__(self) -> None:
        self.holds: Counter[Hold] = Counter()
        self.parts: dict[Topic, Counter[Hold]] = {}


@implementer(IDemand)
class DerivedDemand:
    """Every hold of a derived topic is a hold of each part on behalf of the same client, at the same interval: rations,
    turns, the limits of venues and addresses and the linger are those of the parts, and it costs what they cost. The
    derived topic itself opens nothing at a venue, and is held by the server.

    ``parts_of`` tells what a derived topic is made of now. A part that comes later, and is refused because too much of
    that client waits, is tried again. ``stop`` leaves no timer behind.
    """

    def __init__(
        self, demand: Demand, parts_of: Callable[[Topic], Mapping[str, Topic]], scheduler: IReactorTime
    ) -> None:
        self._demand = demand
        self._parts_of = parts_of
        self._scheduler = scheduler
        self._held: dict[Topic, _Held] = {}
        self._short: dict[Topic, None] = {}
        """Those of which a part was refused to somebody."""
        self._timer: IDelayedCall | None = None
        self.view_interval, self.clients_of = demand.view_interval, demand.clients_of

    def for_client(self, client: str, address: str) -> ClientDemand:
        return ClientDemand(self, Holder(client, address))

    def hold(self, topic: Topic, interval: int, holder: Holder = SERVER) -> None:
        if topic.exchange != COMPOSITE:
            self._demand.hold(topic, interval, holder)
            return
        held = self._held.get(topic)
        if held is None:
            held = _Held()
            held.parts = {part: Counter() for part in self._parts_of(topic).values()}
        hold = interval, holder
        try:
            for part in held.parts:
                self._hold_part(held, part, hold)
        except Refused:
            self._release_parts(held, hold, held.holds[hold])
            raise
        held.holds[hold] += 1
        self._held[topic] = held
        self._demand.hold(topic, interval)

    def release(self, topic: Topic, interval: int, holder: Holder = SERVER) -> None:
        """One less; releasing what nobody holds is no error."""
        if topic.exchange != COMPOSITE:
            self._demand.release(topic, interval, holder)
            return
        hold = interval, holder
        held = self._held.get(topic)
        if held is None or not held.holds[hold]:
            return
        held.holds[hold] -= 1
        self._demand.release(topic, interval)
        self._release_parts(held, hold, held.holds[hold])
        if not held.holds[hold]:
            del held.holds[hold]
        if not held.holds:
            del self._held[topic]

    def replan(self, topic: Topic) -> None:
        """What a derived topic is made of may have changed: hold what is new, release what is no part any more."""
        held = self._held.get(topic)
        if held is None:
            return
        parts = dict.fromkeys(self._parts_of(topic).values())
        for gone in [each for each in held.parts if each not in parts]:
            for (interval, holder), count in held.parts.pop(gone).items():
                for _ in range(count):
                    self._demand.release(gone, interval, holder)
        for part in [each for each in parts if each not in held.parts]:
            held.parts[part] = Counter()
            if not self._fill(held, part):
                _log.info("{part} is not held for all: too much of theirs waits, it is tried again", part=part)
                self._short[topic] = None
                self._arm()

    def _fill(self, held: _Held, part: Topic) -> bool:
        """Hold a part for all that hold what is made of it; False if it was refused to one."""
        is_full = True
        for hold, count in held.holds.items():
            try:
                while held.parts[part][hold] < count:
                    self._hold_part(held, part, hold)
            except Refused:  # that client waits for too much already
                is_full = False
        return is_full

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is None and self._short:
            self._timer = self._scheduler.callLater(TRY_AGAIN_S, self._try_again)

    def _try_again(self) -> None:
        """A few at a time, in turn."""
        self._timer = None
        for topic in list(islice(self._short, AT_ONCE)):
            del self._short[topic]
            held = self._held.get(topic)
            short = [part for part in held.parts if not self._fill(held, part)] if held is not None else []
            if short:
                self._short[topic] = None
        self._arm()

    def _hold_part(self, held: _Held, part: Topic, hold: Hold) -> None:
        self._demand.hold(part, *hold)
        held.parts[part][hold] += 1

    def _release_parts(self, held: _Held, hold: Hold, down_to: int) -> None:
        """Release each part until this hold has it so often only."""
        for part, holds in held.parts.items():
            while holds[hold] > down_to:
                holds[hold] -= 1
                self._demand.release(part, *hold)
            if not holds[hold]:
                del holds[hold]

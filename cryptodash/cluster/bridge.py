"""From one process's word of a topic to another's: what comes first after a change of holder goes on from what was told
before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeGuard

from msgspec.structs import replace

from cryptodash.core.cursors import RESUMABLE, Cursor, cursor_of, event_id
from cryptodash.core.events import Bbo, Candle, Event, Gap, Liquidation, Ticker, Trade
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import MOST_OF_A_STATE, IStates

CLOCK_STEP_MS: Final = 5_000
"""A time that is further back is the venue's clock set back, which is followed."""
MOST_OF_A_MOMENT: Final = 100


class Bridge:
    """Topics whose next event comes from elsewhere than the one before."""

    def __init__(self, states: IStates) -> None:
        self._states = states
        self._last: dict[Topic, Sequence[Event]] = {}
        """The newest before, oldest first: those of the same moment are told apart by their ids."""

    def __contains__(self, topic: Topic) -> bool:
        return topic in self._last

    def expect(self, topics: Iterable[Topic]) -> None:
        """Their events come from elsewhere from now on."""
        for topic in topics:
            last = self._states.last_events(topic, MOST_OF_A_MOMENT)
            if last:
                self._last[topic] = last

    def forget(self, topic: Topic) -> None:
        """It is no matter any more."""
        self._last.pop(topic, None)

    def clear(self) -> None:
        self._last.clear()

    def cross(self, event: Event, *, is_kept: bool = False) -> Sequence[Event]:
        """What is to be told of this one: nothing of a trade that was told before, a gap before the first one that was
        not. The time of a ticker or a quote does not go back: a holder that is new begins with parts that are older.
        ``is_kept``: the holder had it already, perhaps for as long as it holds the topic."""
        topic = event.topic
        before = self._last.get(topic)
        if before is None:
            return (event,)
        last = before[-1]
        if isinstance(event, Ticker | Bbo) and isinstance(last, Ticker | Bbo):
            if is_kept and event.timestamp < last.timestamp:
                return ()
            if last.timestamp - CLOCK_STEP_MS <= event.timestamp < last.timestamp:
                return (replace(event, timestamp=last.timestamp),)
            del self._last[topic]
        elif isinstance(event, Trade | Liquidation) and isinstance(last, Trade | Liquidation):
            if _is_told(before, event):
                return ()
            del self._last[topic]
            return (gap_between(last, event), event)
        return (event,)

    def missed(self, topic: Topic, events: Sequence[Event]) -> Sequence[Event]:
        """What is to be told of the events that the other process has kept of a topic, of which a part may be known
        here: those behind the newest that is, with a gap in front where the last one that was told here is not among
        them: it came from a process that knew more."""
        last = self._newest(topic)
        known = _newest_among(events, [] if last is None else [last])
        is_whole = known >= 0 or topic.channel is Channel.CANDLE
        if last is not None and known < 0:
            known = _newest_among(events, self._states.last_events(topic, MOST_OF_A_STATE))
        missed = list(events[known + 1 :])
        new = [each for each in missed if is_told_once(each)]
        if not new and known < 0:
            return ()  # what was between nobody knows, and the next one says so
        self.forget(topic)
        if new and last is not None and not is_whole:
            missed.insert(0, gap_between(last, new[0]))
        return missed

    def newest(self, topic: Topic) -> Cursor | None:
        """Up to where its events are known here; None where none is, or they have no cursor."""
        last = self._newest(topic) if topic.channel in RESUMABLE else None
        return None if last is None else cursor_of(last)

    def _newest(self, topic: Topic) -> Trade | Liquidation | Candle | None:
        return next((each for each in self._states.last_events(topic, 1) if is_told_once(each)), None)


def is_told_once(event: Event) -> TypeGuard[Trade | Liquidation | Candle]:
    """Whether no event may be told again nor be left out: those that have a cursor."""
    return isinstance(event, Trade | Liquidation) or (isinstance(event, Candle) and event.closed)


def gap_between(last: Trade | Liquidation | Candle, event: Trade | Liquidation | Candle) -> Gap:
    """Nobody knows what was between the two."""
    begin, end = sorted((last.timestamp, event.timestamp))  # a venue's clock may have been set back
    return Gap(event.topic, begin, end)


def _newest_among(events: Sequence[Event], known: Sequence[Event]) -> int:
    """The place of the newest of the events that is known; -1: none is."""
    names = {cursor_of(each) for each in known if is_told_once(each)}
    for place in range(len(events) - 1, -1, -1):
        event = events[place]
        if is_told_once(event) and cursor_of(event) in names:
            return place
    return -1


def _is_told(before: Sequence[Event], event: Trade | Liquidation) -> bool:
    """Whether the venue tells again, as it does at the beginning of a stream, what was told already."""
    known = [each for each in before if isinstance(each, Trade | Liquidation)]
    if event.timestamp != known[-1].timestamp:
        return event.timestamp < known[-1].timestamp
    return any(each.timestamp == event.timestamp and event_id(each) == event_id(event) for each in known)

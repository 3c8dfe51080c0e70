"""From one process's word of a topic to another's: what comes first after a change of holder goes on from what was told
before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from cryptodash.core.cursors import event_id
from cryptodash.core.events import Bbo, Candle, Event, Gap, Liquidation, Ticker, Trade
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IStates

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


def gap_between(last: Trade | Liquidation | Candle, event: Trade | Liquidation | Candle) -> Gap:
    """Nobody knows what was between the two."""
    begin, end = sorted((last.timestamp, event.timestamp))  # a venue's clock may have been set back
    return Gap(event.topic, begin, end)


def _is_told(before: Sequence[Event], event: Trade | Liquidation) -> bool:
    """Whether the venue tells again, as it does at the beginning of a stream, what was told already."""
    known = [each for each in before if isinstance(each, Trade | Liquidation)]
    if event.timestamp != known[-1].timestamp:
        return event.timestamp < known[-1].timestamp
    return any(each.timestamp == event.timestamp and event_id(each) == event_id(event) for each in known)

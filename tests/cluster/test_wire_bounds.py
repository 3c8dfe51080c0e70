"""What crosses between processes is bounded, finite, and of a topic of its own kind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import msgpack

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.wire import BadFrame, Beat, Confirmed, Demanded, Echo
from cryptodash.core.events import BookView, Event, Gap, State, StreamStatus, Sweep, Ticker
from cryptodash.core.topics import Topic
from tests.cluster.wire_samples import (
    BARS,
    BOOK,
    EVENTS,
    LIQUIDATIONS,
    QUOTES,
    SWEEP,
    TICKERS,
    TOPICS,
    TRADES,
    VIEW,
    N,
    contents,
    read,
)

MOST = 253_402_300_799_999
OUTSIDE = (-1, MOST + 1, 2**63, 2**64 - 1)
ENDLESS = (float("nan"), float("inf"), float("-inf"))


def fields_of(event: Event) -> list[Any]:
    _, content, _ = contents(event_records.record_of(event))
    return list(msgpack.decode(content))


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("value", OUTSIDE)
def test_a_whole_number_outside_of_what_can_be_is_refused_wherever_it_stands(event: Event, value: int) -> None:
    kind, _, _ = contents(event_records.record_of(event))
    fields = fields_of(event)
    for place, each in enumerate(fields):
        if type(each) is int:
            content = msgspec.Raw(msgpack.encode([*fields[:place], value, *fields[place + 1 :]]))
            with pytest.raises(BadFrame):
                event_records.read_event(kind, content, dict(zip((t.text for t in TOPICS), TOPICS, strict=True)).get)


def test_the_least_and_the_most_that_can_be_are_read() -> None:
    for value in (0, MOST):
        assert read(event_records.record_of(Gap(TRADES, value, value, value))) == Gap(TRADES, value, value, value)


@pytest.mark.parametrize("value", OUTSIDE)
def test_ages_offsets_and_numbers_outside_of_what_can_be_are_refused(value: int) -> None:
    record = [wire.ASK, None, None]
    for frame in (
        [wire.VERSION, 1, value, 3.5, "", [record]],
        [wire.VERSION, -1 if value < 0 else 2**53 + value, 2, 3.5, "", [record]],
        [wire.VERSION, 1, 2, 3.5, "", [[wire.ASK, None, value]]],
    ):
        with pytest.raises(BadFrame):
            wire.read_frame(_packed(frame))
    for age in (Confirmed(TICKERS.text, value, None), Confirmed(TICKERS.text, 1, value)):
        with pytest.raises(BadFrame):
            wire.read_beat(msgspec.Raw(msgpack.encode(Beat([age], []))))
    with pytest.raises(BadFrame):
        wire.read_demanded(wire.encode_demanded(Demanded(wire.VERSION, "a", value, 2.5, True, [], [])))


def _packed(frame: list[Any]) -> bytes:
    """Also where a number is more than msgpack can hold: then as long a one as it can."""
    return msgpack.encode([min(each, 2**64 - 1) if type(each) is int else each for each in frame])


def test_a_fence_may_be_the_time_of_day_in_microseconds() -> None:
    assert wire.read_frame(wire.frame_of(4_000_000_000_000_000, MOST, 3.5, [])).fence == 4_000_000_000_000_000


@pytest.mark.parametrize("value", ENDLESS)
def test_a_time_of_a_clock_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(BadFrame, match="sent"):
        wire.read_frame(wire.frame_of(1, 2, value, []))
    with pytest.raises(BadFrame, match="sent"):
        wire.read_demanded(wire.encode_demanded(Demanded(wire.VERSION, "a", 1, value, True, [], [])))
    for echo in (Echo("a", value, 1.0), Echo("a", 1.0, value)):
        with pytest.raises(BadFrame, match="echo"):
            wire.read_beat(contents(wire.beat_of(Beat([], [echo])))[1])


@pytest.mark.parametrize(("name", "is_read"), [("", False), ("a", True), ("a" * 200, True), ("a" * 201, False)])
def test_a_process_has_a_name_that_is_not_too_long(name: str, is_read: bool) -> None:
    data = wire.encode_demanded(Demanded(wire.VERSION, name, 1, 2.5, True, [], []))
    if is_read:
        assert wire.read_demanded(data).process == name
    else:
        with pytest.raises(BadFrame):
            wire.read_demanded(data)


ALLOWED: dict[str, set[Topic]] = {
    "Ticker": {TICKERS},
    "Bbo": {QUOTES},
    "Trade": {TRADES},
    "Liquidation": {LIQUIDATIONS},
    "Gap": {TRADES, LIQUIDATIONS},
    "Candle": {BARS},
    "BookView": {VIEW},
    "Sweep": {SWEEP},
    "StreamStatus": {TICKERS, QUOTES, TRADES, LIQUIDATIONS, BARS, BOOK, SWEEP},
}
EACH = {type(each).__name__: each for each in EVENTS}


@pytest.mark.parametrize("kind", ALLOWED)
def test_an_event_is_of_a_topic_of_its_own_channel_or_refused(kind: str) -> None:
    number, _, _ = contents(event_records.record_of(EACH[kind]))
    fields = fields_of(EACH[kind])[1:]
    for topic in (TICKERS, QUOTES, TRADES, LIQUIDATIONS, BARS, BOOK, VIEW, SWEEP):
        content = msgspec.Raw(msgpack.encode([topic.text, *fields]))
        if topic in ALLOWED[kind]:
            found = event_records.read_event(number, content, {topic.text: topic}.get)
            assert found is not None and found.topic is topic
        else:
            with pytest.raises(BadFrame, match=f"{kind} of "):
                event_records.read_event(number, content, {topic.text: topic}.get)


def test_a_sweep_holds_tickers_of_single_instruments_only() -> None:
    for topic in (SWEEP, TRADES, VIEW, BOOK):
        with pytest.raises(BadFrame, match="Ticker of "):
            read(event_records.record_of(Sweep(SWEEP, [Ticker(TICKERS, 1, 2, N("3")), Ticker(topic, 1, 2, N("3"))])))


def test_what_was_told_of_a_topic_before_is_checked_in_the_same_way() -> None:
    known = {each.text: each for each in TOPICS}
    for wrong in (StreamStatus(VIEW, State.LIVE), BookView(BOOK, 0, 1, 2, (), ()), Gap(BARS, 1, 2)):
        with pytest.raises(BadFrame, match=f"{type(wrong).__name__} of "):
            event_records.read_recent(contents(event_records.recent_of(TRADES, [wrong]))[1], known.get)

"""Processes of two releases beside each other: members that one of them has more at the end of a message disturb the
other one not, nor do kinds of records that it does not know."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import msgpack

from cryptodash.cluster import event_records, wire
from cryptodash.core.events import Event
from tests.cluster.wire_samples import EVENTS

BY_TEXT = {event.topic.text: event.topic for event in EVENTS}


def content_of(event: Event) -> tuple[int, list[Any]]:
    kind, members, _ = msgpack.decode(event_records.record_of(event))
    return kind, members


def read(kind: int, members: list[Any]) -> Event | None:
    return event_records.read_event(kind, msgspec.Raw(msgpack.encode(members)), BY_TEXT.get)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_members_that_a_newer_release_adds_are_passed_over(event: Event) -> None:
    kind, members = content_of(event)
    found = read(kind, [*members, "new", {"newer": 1}])
    assert found is not None and found == read(kind, members)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_members_that_an_older_release_lacks_have_their_defaults(event: Event) -> None:
    kind, members = content_of(event)
    optional = [each for each in msgspec.structs.fields(type(event)) if not each.required]
    for count in range(1, len(optional) + 1):
        found = read(kind, members[:-count])
        assert found is not None
        for each in optional[-count:]:
            assert getattr(found, each.name) == each.default
        for name in type(event).__struct_fields__[:-count]:
            assert getattr(found, name) == getattr(event, name)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_member_that_every_release_has_may_not_be_missing(event: Event) -> None:
    kind, members = content_of(event)
    required = sum(each.required for each in msgspec.structs.fields(type(event)))
    with pytest.raises(wire.BadFrame):
        read(kind, members[: required - 1])


def test_frames_and_what_is_in_them_may_grow() -> None:
    frame = msgpack.decode(wire.frame_of(7, 3, 1.5, [wire.catalogue_of("spot")]))
    assert wire.read_frame(msgpack.encode([*frame, "new"])).fence == 7
    frame[-1] = [[*frame[-1][0]], [99, "a kind of tomorrow", None]]
    assert len(wire.read_frame(msgpack.encode(frame)).records) == 2
    demanded = [wire.VERSION, "p", 1, 2.0, False, [["binance:spot:BTC-USDT:ticker", 0, None, "new"]], [], "new"]
    assert wire.read_demanded(msgpack.encode(demanded)).holds == [wire.Hold("binance:spot:BTC-USDT:ticker", 0)]
    demanded[5] = [["binance:spot:BTC-USDT:ticker", 0]]  # of a release that did not say what it knows
    assert wire.read_demanded(msgpack.encode(demanded)).holds == [wire.Hold("binance:spot:BTC-USDT:ticker", 0)]


def test_the_numbers_of_the_kinds_are_those_of_before() -> None:
    names = [each.__name__ for each in event_records.KINDS]
    assert names == [
        "Ticker",
        "Bbo",
        "Trade",
        "Liquidation",
        "Gap",
        "Candle",
        "BookView",
        "Sweep",
        "StreamStatus",
    ]
    assert (wire.BEAT, wire.RECENT, wire.CATALOGUE, wire.REPORT, wire.ASK) == (9, 10, 11, 12, 13)

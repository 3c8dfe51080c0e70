"""A recorded message says that it is one, and is otherwise what was sent then."""

from __future__ import annotations

import pytest

from cryptodash.api.ws.recorded_bodies import kind_of, mark_of, marked

MARK = mark_of("r-1")
ADDED = b',"source":"recorded","replay_id":"r-1"'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"type":"trade","payload":{"price":1.50}}',
            b'{"type":"trade","payload":{"price":1.50%b}}' % ADDED,
        ),
        (
            b'{"type":"status","payload":{"channel":{"a":"b"},"state":"stale","cause":"late","source":"live"}}',
            b'{"type":"status","payload":{"channel":{"a":"b"},"state":"recorded","recorded_state":"stale","cause":"late",'
            b'"source":"recorded","replay_id":"r-1"}}',
        ),
        (
            b'{"type":"candle","payload":{"close":1,"source":"trades","corrected":true}}',
            b'{"type":"candle","payload":{"close":1,"source":"recorded","corrected":true,"replay_id":"r-1"}}',
        ),
        (
            b'{"type":"gap","payload":{"channel":{"symbol":{"base":"\\"source\\":\\"x","quote":"B"}},"reason":"slow"}}',
            b'{"type":"gap","payload":{"channel":{"symbol":{"base":"\\"source\\":\\"x","quote":"B"}},"reason":"slow"%b}}'
            % ADDED,
        ),
    ],
)
def test_what_was_sent_is_marked(body: bytes, told: bytes) -> None:
    assert marked(body, MARK) == told


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"type":"trade","payload":{}}', b'{"type":"trade"}', b"[]", b'{"type":"status","payload":{"a":1}}'],
)
def test_what_is_no_message_of_ours_is_left_out(body: bytes) -> None:
    assert marked(body, MARK) is None


def test_the_kind_of_a_message() -> None:
    assert kind_of(b'{"type":"order_book_delta","payload":{"a":1}}') == "order_book_delta"
    assert kind_of(b'{"typ') == kind_of(b"") == ""

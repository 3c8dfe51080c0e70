"""Replies of Redis are cut into frames wherever they were broken, and what was published is changed as named."""

from __future__ import annotations

from random import Random

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.real.resp_frames import (
    PUSHED,
    Both,
    Change,
    Drop,
    Duplicate,
    Reorder,
    RespFrames,
    channel_of,
    end_of,
    is_pushed,
)

REPLIES = (
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":12\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
    b"$4\r\n\r\n\r\n\r\n",
    b"*2\r\n:1\r\n$3\r\nabc\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\n*3\r\n$\r\n",
    b"*1\r\n*2\r\n*1\r\n+a\r\n$-1\r\n",
)


@given(st.lists(st.sampled_from(REPLIES), max_size=12), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_replies_come_out_whole_and_as_they_were(replies: list[bytes], sizes: list[int]) -> None:
    stream, frames, found, at = b"".join(replies), RespFrames(), list[bytes](), 0
    for turn in range(len(stream) + 1):
        size = sizes[turn % len(sizes)]
        found += frames.feed(stream[at : at + size])
        at += size
    assert found == replies


@pytest.mark.parametrize("reply", REPLIES)
def test_a_frame_ends_where_the_parser_of_redis_says(reply: bytes) -> None:
    for size in range(len(reply)):
        assert end_of(reply[:size]) is None
        reader = hiredis.Reader()
        reader.feed(reply[:size])
        assert reader.gets() is False
    assert end_of(reply) == len(reply)
    assert end_of(b"+OK\r\n" + reply, 5) == len(reply) + 5


def test_what_is_no_reply_is_refused() -> None:
    with pytest.raises(ValueError, match="no reply of Redis"):
        end_of(b"!3\r\n")


def test_only_what_was_published_is_pushed() -> None:
    assert [each for each in REPLIES if is_pushed(each)] == [REPLIES[10]]


def published(number: int, channel: bytes = b"c") -> bytes:
    payload = b"%d" % number
    return PUSHED + b"$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(channel), channel, len(payload), payload)


def passed(change: Change, count: int) -> list[int]:
    found = [each for number in range(count) for each in change.take(published(number))]
    return [int(each.split(b"\r\n")[-2]) for each in (*found, *change.rest())]


def test_changes_do_what_their_names_say() -> None:
    assert passed(Duplicate(), 3) == [0, 0, 1, 1, 2, 2]
    assert passed(Reorder(), 5) == [1, 0, 3, 2, 4]
    assert passed(Reorder(), 4) == [1, 0, 3, 2]
    dropped = passed(Drop(Random(1), 0.3), 1000)
    assert dropped == sorted(set(dropped))
    assert 600 < len(dropped) < 800
    both = passed(Both(Reorder(), Drop(Random(1), 0.3)), 1000)
    assert both != sorted(both)
    assert 600 < len(both) < 800


def test_what_is_reordered_is_so_on_each_channel_also_where_channels_take_turns() -> None:
    change, channels = Reorder(), (b"binance", b"by\r\nbit")
    sent = [published(number, channels[number % 2]) for number in range(8)]
    assert [channel_of(each) for each in sent] == [channels[number % 2] for number in range(8)]
    came = [each for frame in sent for each in change.take(frame)]
    for place, channel in enumerate(channels):
        own = sent[place::2]
        assert [each for each in came if channel_of(each) == channel] == [own[1], own[0], own[3], own[2]]

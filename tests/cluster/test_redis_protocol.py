"""One connection to Redis: replies in their order, pushes, and every way in which it ends."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from cryptodash.cluster import redis_protocol
from cryptodash.cluster.redis_protocol import DEADLINE_S, MOST_IN_FLIGHT, MOST_UNPARSED, RedisError, RedisProtocol


class Line(StringTransport):
    """A transport that tells its protocol of the end that it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = 0
        self.protocol: RedisProtocol

    def abortConnection(self) -> None:
        self.aborted += 1
        if self.aborted == 1:
            self.protocol.connectionLost(Failure(ConnectionLost()))


class Caller:
    """A connected protocol, what its calls came to, in order, and what was pushed."""

    def __init__(self, *, subscribes: bool = False) -> None:
        self.clock = Clock()
        self.pushed: list[tuple[bytes, bytes]] = []
        self.protocol = RedisProtocol(self.clock, (lambda *push: self.pushed.append(push)) if subscribes else None)
        self.line = Line()
        self.line.protocol = self.protocol
        self.protocol.makeConnection(self.line)
        self.outcomes: list[Any] = []

    def call(self, *command: bytes | str | int) -> Deferred[Any]:
        name = str(command[0])
        return self.protocol.call(*command).addBoth(lambda result: self.outcomes.append((name, said(result))))

    def comes(self, data: bytes) -> None:
        self.protocol.dataReceived(data)


def said(result: Any) -> Any:
    """A result; of a failure what it says, for a failure of another kind is one of the test."""
    if not isinstance(result, Failure):
        return result
    result.trap(RedisError)
    return f"failed: {result.getErrorMessage()}"


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_a_command_goes_out_as_redis_reads_it_with_whole_numbers_as_text(caller: Caller) -> None:
    caller.call("SET", b"a key", "é", "PX", 5000)
    assert caller.line.value() == b"*5\r\n$3\r\nSET\r\n$5\r\na key\r\n$2\r\n\xc3\xa9\r\n$2\r\nPX\r\n$4\r\n5000\r\n"


def test_replies_go_to_the_calls_in_their_order_however_they_are_cut(caller: Caller) -> None:
    for name in ("one", "two", "three", "four"):
        caller.call(name)
    for byte in b"+OK\r\n:7\r\n$-1\r\n*2\r\n:1\r\n$3\r\na\r\n\r\n":
        caller.comes(bytes([byte]))
    assert caller.outcomes == [("one", b"OK"), ("two", 7), ("three", None), ("four", [1, b"a\r\n"])]


def test_an_error_reply_fails_its_own_call_only(caller: Caller) -> None:
    caller.call("one")
    caller.call("two")
    caller.comes(b"-READONLY You can't write\r\n:1\r\n")
    assert caller.outcomes == [("one", "failed: READONLY You can't write"), ("two", 1)]
    assert not caller.line.aborted


def test_a_call_from_within_a_reply_gets_the_reply_behind_it(caller: Caller) -> None:
    caller.call("one").addCallback(lambda _: caller.call("two"))
    caller.comes(b":1\r\n:2\r\n")
    assert caller.outcomes == [("one", 1), ("two", 2)]


def test_a_reply_that_does_not_come_in_time_ends_the_connection_and_fails_all_that_wait(caller: Caller) -> None:
    caller.call("one")
    caller.clock.advance(3.0)
    caller.call("two")
    caller.clock.advance(DEADLINE_S - 3.0 - 0.01)
    assert not caller.outcomes and not caller.line.aborted
    caller.clock.advance(0.01)
    assert caller.line.aborted == 1
    assert caller.outcomes == [(name, "failed: Redis did not answer for 5 s") for name in ("one", "two")]
    assert not caller.clock.getDelayedCalls()


def test_each_reply_has_its_own_deadline(caller: Caller) -> None:
    caller.call("one")
    caller.clock.advance(3.0)
    caller.call("two")
    caller.comes(b":1\r\n")
    caller.clock.advance(DEADLINE_S - 0.01)
    assert caller.outcomes == [("one", 1)] and not caller.line.aborted
    caller.clock.advance(0.01)
    assert caller.outcomes[1:] == [("two", "failed: Redis did not answer for 5 s")] and caller.line.aborted == 1


def test_a_connection_that_has_nothing_to_wait_for_stays(caller: Caller) -> None:
    caller.call("one")
    caller.comes(b":1\r\n")
    caller.clock.advance(10 * DEADLINE_S)
    assert not caller.line.aborted and not caller.clock.getDelayedCalls()
    caller.call("two")
    caller.clock.advance(DEADLINE_S)
    assert caller.line.aborted == 1


def test_no_more_than_so_many_commands_wait_and_one_more_is_refused_unsent(caller: Caller) -> None:
    for number in range(MOST_IN_FLIGHT):
        caller.call(str(number))
    caller.line.clear()
    caller.call("more")
    assert caller.outcomes == [("more", f"failed: more than {MOST_IN_FLIGHT} commands wait for Redis")]
    assert not caller.line.value()
    caller.comes(b":1\r\n")
    caller.call("again")
    assert len(caller.outcomes) == 2 and caller.line.value()


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\xfe", b"*-7\r\n", b"$abc\r\n"])
def test_what_is_no_reply_ends_the_connection(caller: Caller, garbage: bytes) -> None:
    caller.call("one")
    caller.comes(garbage)
    assert caller.line.aborted == 1
    (outcome,) = caller.outcomes
    assert outcome[1].startswith("failed: what came from Redis is no reply")


def test_a_reply_to_nothing_ends_the_connection(caller: Caller) -> None:
    caller.comes(b"+OK\r\n")
    assert caller.line.aborted


def test_too_many_bytes_without_a_complete_reply_end_the_connection(caller: Caller) -> None:
    caller.call("one")
    begin = b"$%d\r\n" % (2 * MOST_UNPARSED)
    caller.comes(begin)
    caller.comes(b"x" * (MOST_UNPARSED - len(begin)))
    assert not caller.line.aborted
    caller.comes(b"x")
    assert caller.line.aborted == 1
    assert caller.outcomes == [
        ("one", f"failed: more than {MOST_UNPARSED} bytes came from Redis without a complete reply")
    ]


def test_many_whole_replies_are_never_too_many_bytes(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_protocol, "MOST_UNPARSED", 100)
    for _ in range(50):
        caller.call("GET")
        caller.comes(b"$50\r\n" + b"x" * 50 + b"\r\n")
    assert len(caller.outcomes) == 50 and not caller.line.aborted


def test_what_is_published_goes_to_push_and_replies_to_whoever_subscribed() -> None:
    caller = Caller(subscribes=True)
    caller.call("SUBSCRIBE", "a")
    caller.comes(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
    caller.call("SUBSCRIBE", "b")
    caller.comes(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n\x00\r\n\xff\r\n")
    caller.comes(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n")
    assert caller.outcomes == [("SUBSCRIBE", [b"subscribe", b"a", 1]), ("SUBSCRIBE", [b"subscribe", b"b", 2])]
    assert caller.pushed == [(b"a", b"\x00\r\n\xff")]


def test_a_list_that_looks_like_a_push_is_a_reply_where_nobody_subscribes(caller: Caller) -> None:
    caller.call("one")
    caller.comes(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n")
    assert caller.outcomes == [("one", [b"message", b"a", b"b"])]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionDone(), "failed: the connection to Redis was lost"),
        (ConnectionLost("reset"), "failed: the connection to Redis was lost: Connection to the other side was lost"),
    ],
)
def test_a_lost_connection_fails_what_waits_and_leaves_no_timer(caller: Caller, error: Exception, text: str) -> None:
    caller.call("one")
    caller.call("two")
    caller.protocol.connectionLost(Failure(error))
    assert [name for name, _ in caller.outcomes] == ["one", "two"]
    assert all(each.startswith(text) for _, each in caller.outcomes)
    assert not caller.clock.getDelayedCalls()


def test_a_call_after_the_end_fails_at_once(caller: Caller) -> None:
    caller.protocol.connectionLost(Failure(ConnectionDone()))
    caller.call("one")
    assert caller.outcomes == [("one", "failed: the connection to Redis is closed")]
    assert not caller.line.value() and not caller.clock.getDelayedCalls()


def test_a_call_made_where_another_one_fails_by_the_end_fails_at_once(caller: Caller) -> None:
    caller.call("one").addCallback(lambda _: caller.call("two"))
    caller.protocol.connectionLost(Failure(ConnectionDone()))
    assert caller.outcomes[1:] == [("two", "failed: the connection to Redis is closed")]
    assert not caller.clock.getDelayedCalls()


def test_a_call_before_the_beginning_fails_at_once() -> None:
    outcomes: list[Any] = []
    RedisProtocol(Clock()).call("PING").addBoth(lambda result: outcomes.append(said(result)))
    assert outcomes == ["failed: the connection to Redis is closed"]

"""A name that is looked up for ever holds up nobody but those who want it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Event
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from cryptodash.name_lookups import ANEW_AFTER, MOST, MOST_WAITING, NameLookups

V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
V6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 443, 0, 0))
UNIX = (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/tmp/x")


class Reactor(Clock):
    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        call(*arguments)


class Receiver:
    def __init__(self) -> None:
        self.found: list[Any] = []
        self.ended = 0

    def resolutionBegan(self, resolution: Any) -> None:
        self.resolution = resolution

    def addressResolved(self, address: Any) -> None:
        assert not self.ended
        self.found.append(address)

    def resolutionComplete(self) -> None:
        self.ended += 1


class Lookups:
    """Lookups whose threads the test plays: each waits in ``threads`` until it is run."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.threads: list[Callable[[], None]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.answer: Any = [V4]
        self.lookups = NameLookups(self.reactor, self.look_up, self.threads.append)

    def look_up(self, *asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def want(self, name: str, **how: Any) -> Receiver:
        receiver = Receiver()
        self.lookups.resolveHostName(receiver, name, 443, **how)
        return receiver


def test_it_is_a_resolver_that_says_what_getaddrinfo_says() -> None:
    resolver = Lookups()
    assert verifyObject(IHostnameResolver, resolver.lookups)
    resolver.answer = [V6, UNIX, V4]
    receiver = resolver.want("a.example")
    assert receiver.resolution.name == "a.example" and not receiver.ended
    resolver.threads.pop()()
    assert receiver.found == [IPv6Address("TCP", "2001:db8::1", 443, 0, 0), IPv4Address("TCP", "192.0.2.1", 443)]
    assert receiver.ended == 1
    assert resolver.asked == [("a.example", 443, socket.AF_UNSPEC, socket.SOCK_STREAM)]


def test_what_cannot_be_found_is_told_as_nothing() -> None:
    for error in (socket.gaierror(-2, "no such name"), UnicodeError("label too long")):
        resolver = Lookups()
        resolver.answer = error
        receiver = resolver.want("a.example", addressTypes=[IPv4Address])
        resolver.threads.pop()()
        assert (receiver.found, receiver.ended) == ([], 1)
        assert resolver.asked[0][2] == socket.AF_INET


def test_all_who_want_a_name_share_one_lookup_and_other_names_have_their_own() -> None:
    resolver = Lookups()
    many = [resolver.want("hangs.example") for _ in range(30)]
    assert len(resolver.threads) == 1
    other = resolver.want("fine.example")
    resolver.threads.pop()()
    assert other.ended == 1 and not any(each.ended for each in many)
    resolver.threads.pop()()
    assert all(each.ended == 1 and len(each.found) == 1 for each in many)
    resolver.want("hangs.example")
    assert len(resolver.threads) == 1, "nothing is kept"


def test_a_lookup_that_hangs_gets_a_second_one_beside_it_and_no_third() -> None:
    resolver = Lookups()
    first = resolver.want("hangs.example")
    resolver.reactor.advance(ANEW_AFTER)
    second = resolver.want("hangs.example")
    resolver.reactor.advance(ANEW_AFTER)
    third = resolver.want("hangs.example")
    assert len(resolver.threads) == 2
    resolver.threads[1]()
    assert [each.ended for each in (first, second, third)] == [1, 1, 1]
    resolver.threads[0]()
    assert [each.ended for each in (first, second, third)] == [1, 1, 1]


def test_the_failure_of_an_old_lookup_waits_for_the_newer_one() -> None:
    resolver = Lookups()
    receiver = resolver.want("hangs.example")
    resolver.reactor.advance(ANEW_AFTER)
    resolver.want("hangs.example")
    resolver.answer = socket.gaierror(-3, "no answer")
    resolver.threads[0]()
    assert not receiver.ended
    resolver.answer = [V4]
    resolver.threads[1]()
    assert len(receiver.found) == 1


def test_threads_and_those_who_wait_are_bounded() -> None:
    resolver = Lookups()
    receivers = [resolver.want("hangs.example") for _ in range(MOST_WAITING + 1)]
    assert [each.ended for each in receivers] == [1] + [0] * MOST_WAITING
    for number in range(MOST):
        resolver.want(f"{number}.example")
    assert len(resolver.threads) == MOST
    late = resolver.want("late.example")
    assert (late.found, late.ended) == ([], 1)
    resolver.threads.pop()()
    resolver.want("late.example")
    assert len(resolver.threads) == MOST


def test_who_has_given_up_is_told_nothing() -> None:
    resolver = Lookups()
    gone, stays = resolver.want("a.example"), resolver.want("a.example")
    gone.resolution.cancel()
    gone.resolution.cancel()
    resolver.threads.pop()()
    assert (gone.ended, stays.ended) == (0, 1)
    gone.resolution.cancel()


def test_a_lookup_runs_in_a_thread_that_nobody_waits_for() -> None:
    from threading import enumerate as threads

    done, hang = Event(), Event()

    def look_up(*asked: Any) -> Any:
        done.set()
        hang.wait(30)
        return []

    NameLookups(Reactor(), look_up).resolveHostName(Receiver(), "a.example")
    assert done.wait(5)
    (thread,) = (each for each in threads() if each.name == "name lookup")
    assert thread.daemon
    hang.set()
    thread.join(5)

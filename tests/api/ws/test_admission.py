"""Who may connect: the client's address behind proxies, and the cap per address."""

from __future__ import annotations

import pytest

from cryptodash.api.addresses import Addresses
from cryptodash.api.ws.admission import AddressCap
from cryptodash.api.ws.limiter import TokenBucket
from cryptodash.core.time import ManualClock

TRUSTED = ("10.0.0.0/8", "192.168.1.1", "2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("5.5.5.5", "", "5.5.5.5"),
        ("5.5.5.5", "1.1.1.1", "5.5.5.5"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.1.1.1,192.168.1.1", "1.1.1.1"),
        ("10.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.1.1.1", "10.1.1.1"),
        ("10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
        ("10.0.0.1", "[2a00::1]:4711", "2a00::1"),
        ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("2001:db8::5", "2a00::1", "2a00::1"),
        ("10.0.0.1", "," * 1000, "10.0.0.1"),
        ("/run/cryptodash.sock", "1.1.1.1", ""),
        ("", "", ""),
        ("", "1.1.1.1", ""),
    ],
)
def test_the_rightmost_hop_that_is_no_trusted_proxy_is_the_client(peer, forwarded, client):
    assert Addresses(TRUSTED).client(peer, forwarded) == client


def test_without_trusted_proxies_nobody_can_forge_an_address():
    assert Addresses(()).client("5.5.5.5", "1.1.1.1") == "5.5.5.5"


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        (("unix",), "1.1.1.1", "1.1.1.1"),
        (("unix",), "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (("unix",), "1.1.1.1, unix:", "1.1.1.1"),
        (("unix",), "", ""),
        (("unix",), "nonsense", ""),
        (("unix",), "1.1.1.1, 10.0.0.1", "10.0.0.1"),
        (("unix", "10.0.0.0/8"), "1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (("127.0.0.1",), "1.1.1.1", "1.1.1.1"),
        (("::1",), "1.1.1.1", "1.1.1.1"),
        (("10.0.0.0/8",), "1.1.1.1", ""),
        ((), "1.1.1.1", ""),
    ],
)
def test_a_unix_peer_is_believed_where_it_is_trusted(trusted, forwarded, client):
    assert Addresses(trusted).client("", forwarded) == client


def test_that_unix_is_trusted_makes_no_other_peer_trusted():
    assert Addresses(("unix",)).client("127.0.0.1", "1.1.1.1") == "127.0.0.1"
    assert Addresses(("10.0.0.0/8",)).client("10.0.0.1", "1.1.1.1, unix:") == "10.0.0.1"


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("1.1.1.1", "1.1.1.1", True),
        ("1.1.1.1", "1.1.1.2", False),
        ("2a00:1:2:3::1", "2a00:1:2:3:4::9", True),
        ("2a00:1:2:3::1", "2a00:1:2:4::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_the_cap_is_per_address_or_ipv6_network(first, second, shared):
    cap = AddressCap(1)
    assert cap.enter(first)
    assert cap.enter(second) is not shared
    cap.leave(first)
    assert cap.enter(first)


def test_peers_of_a_unix_socket_that_no_proxy_names_count_as_one_address():
    cap = AddressCap(2)
    assert [cap.enter("") for _ in range(3)] == [True, True, False]
    assert cap.enter("1.1.1.1")
    cap.leave("")
    assert cap.enter("")
    cap.leave(""), cap.leave(""), cap.leave("1.1.1.1")
    assert len(cap) == 0


def test_a_token_bucket_sustains_its_rate_over_ten_seconds():
    clock = ManualClock()
    bucket = TokenBucket(50, 200, clock)
    taken = 0
    for _ in range(10_000):
        taken += bucket.take()
        clock.advance(0.001)
    assert taken == pytest.approx(200 + 500, abs=2)

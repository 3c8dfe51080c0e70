"""Who a client is: its address behind proxies, and how fast it may ask."""

from __future__ import annotations

import pytest

from cryptodash.api.addresses import Addresses
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


def test_a_token_bucket_sustains_its_rate_over_ten_seconds():
    clock = ManualClock()
    bucket = TokenBucket(50, 200, clock)
    taken = 0
    for _ in range(10_000):
        taken += bucket.take()
        clock.advance(0.001)
    assert taken == pytest.approx(200 + 500, abs=2)

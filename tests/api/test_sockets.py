"""Places of sockets: counted over all states, charged to addresses, given back."""

from __future__ import annotations

import pytest

from cryptodash.api.addresses import Addresses
from cryptodash.api.sockets import ADDRESS_RESERVE, RESERVE, Sockets
from cryptodash.core.tally import Tally


class House:
    """Sockets of made-up owners: numbers."""

    def __init__(self, most: int = 1000, most_per_address: int = 1000, *trusted: str) -> None:
        self.tally = Tally()
        self.sockets = Sockets(Addresses(trusted).charged_to, most, most_per_address, self.tally)
        self._last = 0

    def enter(self, peer: str | None) -> int:
        """The owner of a new socket; 0 if it is refused."""
        self._last += 1
        return self._last if self.sockets.enter(self._last, peer) else 0

    def client(self, peer: str | None, forwarded: str | None = None) -> str:
        """What a WebSocket client on a new socket is refused for."""
        return self.sockets.admit(self.enter(peer), forwarded if forwarded is not None else peer or "")

    def refused(self, reason: str) -> float:
        return self.tally.metrics["cryptodash_sockets_refused_total"].values[(reason,)]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("1.1.1.1", "1.1.1.1", True),
        ("1.1.1.1", "1.1.1.2", False),
        ("2a00:1:2:3::1", "2a00:1:2:3:4::9", True),
        ("2a00:1:2:3::1", "2a00:1:2:4::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("", "1.1.1.1", False),
    ],
)
def test_the_cap_is_per_address_or_ipv6_network(first: str, second: str, shared: bool) -> None:
    house = House(1000, 1)
    owner = house.enter(first)
    assert house.sockets.admit(owner, first) == ""
    assert house.client(second) == ("ip_limit" if shared else "")
    for gone in (owner, owner, 2):
        house.sockets.leave(gone)
    assert (len(house.sockets), house.sockets.charged) == (0, 0)
    assert house.client(first) == ""


def test_a_socket_that_says_nothing_has_its_place_as_a_client_has() -> None:
    house = House(3)
    silent = [house.enter("1.1.1.1"), house.enter("1.1.1.2")]
    assert house.client("1.1.1.3") == ""
    assert house.client("1.1.1.4") == "limit"
    for owner in (*silent, 4):
        house.sockets.leave(owner)
    assert house.client("1.1.1.5") == ""


def test_above_the_limit_there_is_room_to_be_told_so_and_not_more() -> None:
    house = House(5)
    assert all(house.enter(f"1.1.{index // 250}.{index % 250}") for index in range(5 + RESERVE))
    assert house.enter("2.2.2.2") == 0
    assert len(house.sockets) == 5 + RESERVE and house.refused("limit") == 1
    house.sockets.leave(1)
    assert house.enter("2.2.2.2")


def test_one_address_is_bounded_in_the_same_way() -> None:
    house = House(1000, 5)
    owners = [house.enter("1.1.1.1") for _ in range(5 + ADDRESS_RESERVE)]
    assert all(owners) and house.enter("1.1.1.1") == 0 and house.refused("ip_limit") == 1
    assert [house.sockets.admit(owner, "1.1.1.1") for owner in owners[:7]] == [""] * 5 + ["ip_limit"] * 2
    assert house.client("1.1.1.2") == ""
    house.sockets.leave(owners[3])
    assert house.sockets.admit(owners[6], "1.1.1.1") == ""


def test_a_proxys_socket_is_charged_to_whom_it_forwards_and_only_once_that_is_said() -> None:
    house = House(1000, 2, "10.0.0.0/8", "unix")
    proxied = [house.enter("10.0.0.1") for _ in range(100)]
    assert house.sockets.charged == 0
    assert [house.sockets.admit(owner, "1.1.1.1") for owner in proxied[:3]] == ["", "", "ip_limit"]
    assert house.client("", "2.2.2.2") == ""
    assert house.client("3.3.3.3", "3.3.3.3") == ""
    assert house.sockets.charged == 3
    house.sockets.leave(proxied[0])
    assert house.sockets.admit(proxied[3], "1.1.1.1") == ""


def test_a_peer_that_is_known_later_is_charged_then() -> None:
    house = House(1000, 1)
    assert [house.client(None, "1.1.1.1"), house.client(None, "1.1.1.1")] == ["", "ip_limit"]


def test_who_takes_a_socket_over_does_not_count_it_again() -> None:
    house = House(1, 1)
    owner = house.enter("1.1.1.1")
    assert house.sockets.enter(owner, "1.1.1.1")
    assert (len(house.sockets), house.sockets.admit(owner, "1.1.1.1")) == (1, "")


def test_a_crowd_that_comes_at_once_gets_in_as_far_as_there_is_room() -> None:
    house = House(10)
    owners = [house.enter(f"1.1.1.{index}") for index in range(30)]
    said = [house.sockets.admit(owner, f"1.1.1.{index}") for index, owner in enumerate(owners)]
    assert said == [""] * 10 + ["limit"] * 20

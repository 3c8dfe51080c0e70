"""Venues out of reach, over the real dialer on a network in memory."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import capturedLogs

from cryptodash.core.config import Config
from cryptodash.doctor.examination import Examination, Means, proxy_of
from cryptodash.doctor.findings import Finding, findings
from cryptodash.exchanges.service import VenueService
from cryptodash.exchanges.venues import registry
from cryptodash.testing.network import MemoryNetwork

PROXY = "http://me:hunter2@proxy.example:3128"
FIRST = {name: registry.load(name) for name in registry.available()}["kraken"]


class Answering(Protocol):
    """Gives one answer to whatever comes."""

    answer = b""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.answer)


def answering(answer: bytes) -> Any:
    made = type("_Answering", (Answering,), {"answer": answer})
    return Factory.forProtocol(made)


def examined(prepare: Callable[[MemoryNetwork], object], **config: Any) -> list[Finding]:
    network = MemoryNetwork()
    prepare(network)
    means = Means(config=Config(**config), reactor=network, clock=network, random=Random(1), seconds=20.0)
    outcome: list[Any] = []
    Deferred.fromCoroutine(Examination(FIRST, FIRST.hosts, "live", means).run()).addBoth(outcome.append)
    for _ in range(120):
        if not outcome:
            network.pass_time(0.5)
    return list(findings(outcome[0]))


def no_names(network: MemoryNetwork) -> None:
    network.unknown_names.update(
        each.rpartition("/")[2] for host in FIRST.hosts.values() for each in (host.ws, host.rest)
    )


def listening(port: int, answer: bytes) -> Callable[[MemoryNetwork], None]:
    return lambda network: network.listen(port, answering(answer))


@pytest.mark.parametrize(
    ("prepare", "config", "what", "text"),
    [
        (no_names, {}, "dns", "cannot be resolved"),
        (lambda network: None, {}, "tcp", "efused"),
        (lambda network: network.deaf_ports.add(443), {}, "tcp", ""),
        (listening(443, b"HTTP/1.1 400 Bad Request\r\n\r\n"), {}, "tls", "TLS failed"),
        (listening(3128, b"HTTP/1.1 407 Who\r\n\r\n"), {"https_proxy": PROXY}, "proxy", "other credentials (407)"),
        (
            listening(3128, b"HTTP/1.1 403 No\r\n\r\n"),
            {"https_proxy": PROXY},
            "proxy",
            "refused the connection (403 No)",
        ),
        (lambda network: None, {"https_proxy": PROXY}, "proxy", "through the proxy proxy.example:3128: no connection"),
        (
            lambda network: network.unknown_names.add("proxy.example"),
            {"https_proxy": PROXY},
            "proxy",
            "through the proxy proxy.example:3128: its name cannot be resolved",
        ),
    ],
    ids=["dns", "refused", "deaf", "tls", "proxy-407", "proxy-403", "proxy-down", "proxy-name"],
)
def test_what_is_in_the_way_is_said_in_plain_words(
    prepare: Callable[[MemoryNetwork], object], config: dict[str, Any], what: str, text: str
) -> None:
    found = [each for each in examined(prepare, **config) if each.is_wrong]
    assert {each.what for each in found} <= {what, "timeout"} and any(text in each.text for each in found), found
    assert all(each.advice for each in found)
    assert "hunter2" not in repr(found)


def test_a_proxy_that_is_out_of_reach_is_not_answered_with_the_advice_to_set_one() -> None:
    found = [each for each in examined(lambda network: None, https_proxy=PROXY) if each.is_wrong]
    assert found and all("check HTTPS_PROXY" in each.advice for each in found)


def hanging(network: MemoryNetwork) -> None:
    network.hanging_names.update(each.rest.rpartition("/")[2] for each in FIRST.hosts.values())


def test_a_request_that_the_end_of_the_time_cuts_off_is_no_finding() -> None:
    found = [each for each in examined(hanging) if "probe" in each.text]
    assert not found, found


@pytest.mark.parametrize(
    ("url", "no_proxy", "way"),
    [
        ("wss://acme.example:9443/ws", "", "proxy.example:3128"),
        ("https://acme.example", "acme.example", ""),
        ("ws://acme.example", "", ""),
        ("wss://127.0.0.1:9", "", ""),
    ],
)
def test_the_way_to_a_url(url: str, no_proxy: str, way: str) -> None:
    assert proxy_of(Config(https_proxy=PROXY, no_proxy=no_proxy), url) == way
    assert proxy_of(Config(), url) == ""


def test_an_error_of_ours_while_the_catalogue_is_read_is_called_so_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: VenueService) -> int:
        raise TypeError("ours")

    monkeypatch.setattr(VenueService, "refresh_catalogue", broken)
    with capturedLogs() as logged:
        found = examined(no_names)
    assert [each["log_failure"].type for each in logged if "log_failure" in each] == [TypeError]
    assert not any("did not answer within" in each.text for each in found)
    assert any("TypeError: ours" in each.text for each in found)

"""Why a venue is out of reach, in plain words, with what can be done."""

from __future__ import annotations

import pytest

from cryptodash.doctor import words


@pytest.mark.parametrize(
    ("kind", "status", "reason", "what", "in_text", "in_advice"),
    [
        ("dns", None, "DNSLookupError: DNS lookup failed: no results.", "dns", "cannot be resolved", "name server"),
        ("tcp", None, "ConnectionRefusedError: Connection was refused", "tcp", "Connection was refused", "firewall"),
        ("tcp", None, "no TCP connection within 10 s", "tcp", "no TCP connection within 10 s", "firewall"),
        ("tls", None, "Error: [('SSL routines', '', 'certificate verify failed')]", "tls", "TLS failed", "authority"),
        ("timeout", None, "no answer to the WebSocket handshake within 10 s", "timeout", "in time", "firewall"),
        ("tcp", None, "ProxyRefused: the proxy wants other credentials (407)", "proxy", "(407)", "HTTPS_PROXY"),
        ("http", 451, "", "geo-block", "does not serve this address (451)", "country"),
        ("http", 403, "Forbidden", "geo-block", "(403)", "too many requests from this address"),
        ("http", 429, "", "ban", "too many requests (429)", "wait"),
        ("http", 418, "", "ban", "banned (418)", "wait"),
        ("http", 503, "", "maintenance", "not available now (503)", "status page"),
        ("http", 500, "", "maintenance", "not available now (500)", "status page"),
        ("http", 522, "", "maintenance", "not available now (522)", "status page"),
        ("http", 200, "OK", "http", "it answers HTTP 200 and not", "proxy or firewall"),
        ("http", 302, "Found", "http", "it answers HTTP 302 and not", "login page"),
        ("http", 404, "Not Found", "http", "HTTP 404: Not Found", "adapter"),
        ("http", None, "no HTTP", "http", "handshake failed", "adapter"),
    ],
)
def test_a_connection_that_cannot_be_opened(
    kind: str, status: int | None, reason: str, what: str, in_text: str, in_advice: str
) -> None:
    said = words.of_failure(kind, status, reason)
    assert said.what == what and in_text in said.text and in_advice in said.advice
    assert "Error:" not in said.text


@pytest.mark.parametrize(
    ("cause", "message", "what"),
    [
        ("blocked", "https://api.x: HTTP 451", "geo-block"),
        ("banned", "https://api.x: HTTP 429", "ban"),
        ("maintenance", "https://api.x: HTTP 200", "maintenance"),
        ("capacity", "the REST budget of x had no room within 10 s", "budget"),
        ("rejected", "https://api.x: HTTP 400", "rejected"),
        ("disconnected", "x spot: unreadable answer: number", "unreadable"),
        ("disconnected", "https://api.x: DNSLookupError: DNS lookup failed", "dns"),
        ("disconnected", "https://api.x: SSL.Error: certificate verify failed", "tls"),
        ("disconnected", "https://api.x: ProxyRefused: the proxy refused the connection (403 no)", "proxy"),
        ("disconnected", "https://api.x did not answer within 10 s", "timeout"),
        ("disconnected", "https://api.x: HTTP 503, -1", "maintenance"),
        ("disconnected", "https://api.x: HTTP 500", "maintenance"),
        ("disconnected", "https://api.x: HTTP 404", "http"),
        ("disconnected", "https://api.x: ConnectionRefusedError: refused", "tcp"),
    ],
)
def test_a_request_that_failed(cause: str, message: str, what: str) -> None:
    assert words.of_request(cause, message).what == what


def test_how_the_venue_ended_a_connection() -> None:
    assert words.of_end(1012, "bye") == "code 1012 (restart, bye)"
    assert words.of_end(None, "") == "the network ended it"

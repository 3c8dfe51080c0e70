"""How a proxy is named, and which hosts are reached without it."""

from __future__ import annotations

import pytest

from cryptodash.core.proxies import NoProxy, ProxyUnsupported, parse_proxy


@pytest.mark.parametrize(
    ("text", "host", "port", "secure"),
    [
        ("proxy.corp:3128", "proxy.corp", 3128, False),
        ("proxy.corp", "proxy.corp", 80, False),
        ("http://proxy.corp:3128/", "proxy.corp", 3128, False),
        ("HTTP://proxy.corp:3128", "proxy.corp", 3128, False),
        ("https://proxy.corp:3128", "proxy.corp", 3128, True),
        ("https://proxy.corp", "proxy.corp", 443, True),
        ("user:word@proxy.corp:3128", "proxy.corp", 3128, False),
        ("10.0.0.1:3128", "10.0.0.1", 3128, False),
        ("[2001:db8::1]:3128", "2001:db8::1", 3128, False),
    ],
)
def test_a_proxy_is_http_unless_it_says_otherwise(text: str, host: str, port: int, secure: bool) -> None:
    proxy = parse_proxy(text)
    assert (proxy.host, proxy.port, proxy.secure) == (host, port, secure)


def test_credentials_are_decoded_and_have_no_readable_form() -> None:
    proxy = parse_proxy("http://us%40er:p%3Ass@proxy.corp")
    assert (proxy.user, proxy.password) == ("us@er", "p:ss")
    assert "p:ss" not in repr(proxy) and "p%3A" not in repr(proxy)
    assert parse_proxy("proxy.corp").user is None


@pytest.mark.parametrize(
    "text",
    [
        "ftp://proxy.corp",
        "http://",
        "http://p:0",
        "http://p:port",
        "http://p:99999",
        "http://p/path",
        "http://p?q",
        "http://p p",
        "http://[::1",
        "proxy.corp:3128:1",
        "p\u0000roxy",
    ],
)
def test_what_cannot_be_a_proxy_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="http://") as caught:
        parse_proxy(text)
    assert not isinstance(caught.value, ProxyUnsupported)


@pytest.mark.parametrize(
    "text", ["socks5h://127.0.0.1:1080", "socks://p", "SOCKS4a://p:1", "socks5://user:hunter2@p:1080"]
)
def test_socks_is_named_as_not_supported(text: str) -> None:
    with pytest.raises(ProxyUnsupported, match=r"SOCKS.* not supported") as caught:
        parse_proxy(text)
    assert "http://" in str(caught.value) and "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "host", "port", "covered"),
    [
        ("stream.binance.com", "stream.binance.com", 443, True),
        ("stream.binance.com", "Stream.Binance.COM.", 443, True),
        ("binance.com", "stream.binance.com", 9443, True),
        (".binance.com", "stream.binance.com", 443, True),
        (".binance.com", "binance.com", 443, True),
        ("*.binance.com", "stream.binance.com", 443, True),
        ("BINANCE.com.", "stream.binance.com", 443, True),
        ("binance.com", "notbinance.com", 443, False),
        ("stream.binance.com", "binance.com", 443, False),
        ("stream.binance.com:9443", "stream.binance.com", 9443, True),
        ("stream.binance.com:9443", "stream.binance.com", 443, False),
        ("*", "anything.example", 443, True),
        ("a.example, *", "anything.example", 443, True),
        ("a.example b.example", "b.example", 443, True),
        ("https://b.example", "b.example", 443, False),
        ("*example", "b.example", 443, False),
        ("", "b.example", 443, False),
        (",,.,:,:1", "b.example", 1, False),
        ("10.0.0.1", "10.0.0.1", 443, True),
        ("10.0.0.1:444", "10.0.0.1", 443, False),
        ("10.0.0.0/8", "10.9.9.9", 443, True),
        ("10.0.0.0/8", "11.0.0.1", 443, False),
        ("10.0.0.0/99,x/y", "10.0.0.1", 443, False),
        ("0.0.1", "10.0.0.1", 443, False),
        ("2001:db8::1", "2001:db8:0::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("[2001:db8::1]:444", "2001:db8::1", 443, False),
        ("2001:db8::/32", "2001:db8::5", 443, True),
    ],
)
def test_hosts_without_the_proxy(entries: str, host: str, port: int, covered: bool) -> None:
    assert NoProxy(entries).covers(host, port) is covered


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "x.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_is_reached_without_the_proxy_whatever_is_named(host: str) -> None:
    assert NoProxy("").covers(host, 443)

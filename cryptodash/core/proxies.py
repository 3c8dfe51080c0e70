"""How the proxy of outgoing connections is named, and which hosts are reached without it: ``HTTPS_PROXY`` and
``NO_PROXY`` as curl and most programs read them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

PROXY_FORMS: Final = "http://[user:password@]host:port, https://..., or without a scheme (http)"


class ProxyUnsupported(ValueError):
    """A proxy of another kind than HTTP."""


@frozen
class Proxy:
    """An HTTP proxy; ``secure``: it is spoken to over TLS. Its readable form has no credentials, so that no log can
    show them."""

    host: str
    port: int
    secure: bool
    user: str | None = field(repr=False)
    password: str = field(repr=False)


def parse_proxy(text: str) -> Proxy:
    """The proxy that ``HTTPS_PROXY`` names; without a scheme it is ``http``, without a port 80 or 443.

    Raises ``ProxyUnsupported`` for SOCKS, ``ValueError`` for all else; neither repeats the text.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(PROXY_FORMS) from None
    if parts.scheme.startswith("socks"):
        raise ProxyUnsupported(f"a SOCKS proxy is not supported; allowed is {PROXY_FORMS}")
    secure = parts.scheme == "https"
    if (
        parts.scheme not in ("http", "https")
        or not host
        or port == 0
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or not text.isprintable()
        or " " in text
    ):
        raise ValueError(PROXY_FORMS)
    user = None if parts.username is None else unquote(parts.username)
    return Proxy(host, port or (443 if secure else 80), secure, user, unquote(parts.password or ""))


def proxy_url(text: str) -> str:
    """The text of a proxy that ``parse_proxy`` takes, or none."""
    if text:
        parse_proxy(text)
    return text


@frozen
class _Entry:
    """What one word of ``NO_PROXY`` covers: a name with all below it, or a network; at any port where it names none."""

    name: str
    network: IPv4Network | IPv6Network | None
    port: int | None


class NoProxy:
    """The hosts that are reached without the proxy.

    Entries are separated by commas or spaces: a name (with or without a dot before it) means that host and all below
    it; an IP address or a network (``10.0.0.0/8``) means hosts that are named by their address, for no name is looked
    up; ``:port`` restricts either; ``*`` is any host. An entry that is none of these covers nothing: the variable is
    other programs' as well, and may hold what only they understand. Loopback is always reached without the proxy.
    """

    def __init__(self, text: str = "") -> None:
        words = [each for each in re.split(r"[,\s]+", text.lower()) if each]
        self._all = "*" in words
        self._entries = [entry for each in words if (entry := _entry(each)) is not None]

    def covers(self, host: str, port: int) -> bool:
        """Whether ``host`` (a name, or an IP address as text) is reached without the proxy."""
        host = host.lower().strip("[]").rstrip(".")
        address = _address(host)
        if self._all or host == "localhost" or host.endswith(".localhost") or (address and address.is_loopback):
            return True
        return any(_matches(entry, host, address) for entry in self._entries if entry.port in (None, port))


def _entry(word: str) -> _Entry | None:
    bare, port = word, None
    if found := re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", word):
        bare, port = found[1], int(found[2])
    bare = bare.strip("[]")
    try:
        return _Entry("", ip_network(bare, strict=False), port)
    except ValueError:
        name = bare.removeprefix("*").removeprefix(".") if bare.startswith(("*.", ".")) else bare
        name = name.rstrip(".")
        return _Entry(name, None, port) if re.fullmatch(r"[^:/*\s]+", name) else None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _matches(entry: _Entry, host: str, address: IPv4Address | IPv6Address | None) -> bool:
    if address is not None:
        return entry.network is not None and address.version == entry.network.version and address in entry.network
    return entry.network is None and (host == entry.name or host.endswith(f".{entry.name}"))

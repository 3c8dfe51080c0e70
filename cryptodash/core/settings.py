"""The table of settings: name, meaning, unit and range of each, and how its text becomes a value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from attrs import frozen

from cryptodash.core.topics import MAX_DEPTH

LEVELS = ("debug", "info", "warn", "error", "critical")


@frozen
class Setting:
    """One setting: ``parse`` turns its text into the value or raises ``ValueError`` with what is allowed."""

    name: str
    parse: Callable[[str], object]
    meaning: str
    default: str

    @property
    def option(self) -> str:
        """The command-line option's name, without the dashes."""
        return self.name.lower().replace("_", "-")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text, re.ASCII) and low <= float(text) <= high:
            return float(text)
        raise ValueError(f"a number from {low:g} to {high:g}")

    return parse


def _flag(text: str) -> bool:
    value = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }.get(text.lower())
    if value is None:
        raise ValueError("true or false (also 1/0, yes/no, on/off)")
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.lower() for part in _words(text)))


ENDPOINT_TYPES = ("tcp", "tcp6", "ssl", "unix", "systemd", "fd", "haproxy")


def _bind_address(text: str) -> str:
    """``host:port`` (``[::1]:8080`` too) as an endpoint string; an endpoint string as it is."""
    if text.partition(":")[0] in ENDPOINT_TYPES and ":" in text:
        return text
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(
            "host:port with a port from 0 to 65535, or a Twisted endpoint string ("
            + ":..., ".join(ENDPOINT_TYPES)
            + ":...)"
        )
    bare = host.strip("[]")
    try:
        address = ipaddress.ip_address(bare or "0.0.0.0")
    except ValueError:
        if bare != "localhost":
            raise ValueError("an IP address (or localhost) before the port, or a Twisted endpoint string") from None
        address = ipaddress.ip_address("127.0.0.1")
    kind = "tcp6" if address.version == 6 else "tcp"
    return f"{kind}:{int(port)}:interface={str(address).replace(':', chr(92) + ':')}"


def _networks(text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(part, strict=False)) for part in _words(text))
    except ValueError as error:
        raise ValueError(f"IP addresses or networks such as 10.0.0.0/8, separated by commas ({error})") from None


def _url(*schemes: str) -> Callable[[str], str]:
    allowed = (
        "a URL that starts with "
        + " or ".join(f"{scheme}://" for scheme in schemes)
        + " and has a host, and perhaps a port from 1 to 65535"
    )

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(allowed) from None
        if (
            parts.scheme not in schemes
            or not parts.hostname
            or parts.query
            or parts.fragment
            or port == 0
            or any(each.isspace() for each in text)
        ):
            raise ValueError(allowed)
        return text.rstrip("/")

    return parse


def _origins(text: str) -> tuple[str, ...]:
    origins = _words(text)
    for origin in origins:
        if origin != "*" and origin != "null" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError("'*' or origins such as https://example.org, separated by commas")
    return origins


def parse_levels(text: str) -> tuple[str, dict[str, str]]:
    """``info,cryptodash.exchanges=debug`` as (default level, level by namespace). Raises ``ValueError``."""
    default, by_namespace = "info", {}
    for part in _words(text):
        namespace, equals, level = part.rpartition("=")
        level = {"trace": "debug", "warning": "warn"}.get(level.lower(), level.lower())
        if level not in LEVELS or (equals and not namespace):
            raise ValueError(
                f"a level ({', '.join(LEVELS)}) or levels by namespace such as info,cryptodash.exchanges=debug"
            )
        if equals:
            by_namespace[namespace] = level
        else:
            default = level
    return default, by_namespace


def _log_level(text: str) -> str:
    parse_levels(text)
    return text


def _rust_log(text: str) -> str:
    """The seed's variable: targets that are not ours say nothing here, whatever their level is
    called, so they are left out."""
    known = [
        part for part in _words(text) if "=" not in part or part.partition("=")[0].partition(".")[0] == "cryptodash"
    ]
    default, by_namespace = parse_levels(",".join(known))
    return ",".join([default, *(f"{name}={level}" for name, level in by_namespace.items())])


_BIND_HELP = "listen address host:port, or a Twisted endpoint string (tcp:8080, ssl:..., unix:..., systemd:...)"

SETTINGS: Sequence[Setting] = (
    Setting("BIND_ADDR", _bind_address, _BIND_HELP, "0.0.0.0:8080"),
    Setting("EXCHANGES", _names, "venues to start, separated by commas", "binance,bybit"),
    Setting(
        "BOOK_DEPTH_DEFAULT",
        _whole(1, MAX_DEPTH),
        "order-book levels per side where a client names none (1-1000)",
        "50",
    ),
    Setting(
        "ENABLE_REDIS",
        _flag,
        "shared cache and fan-out between processes; not built yet: true starts, warns, and /ready says so",
        "false",
    ),
    Setting(
        "REDIS_URL",
        _url("redis", "rediss"),
        "where Redis is, once ENABLE_REDIS does something",
        "redis://127.0.0.1:6379",
    ),
    Setting(
        "LOG_LEVEL",
        _log_level,
        "level, or levels by namespace: info,cryptodash.exchanges=debug (alias RUST_LOG)",
        "info",
    ),
    Setting("DEMO", _flag, "every enabled venue is the built-in simulator", "false"),
    Setting(
        "SYMBOLS",
        _words,
        "topics kept warm: exchange:market:SYMBOL[:channel[:depth or interval]], separated by commas",
        "",
    ),
    Setting(
        "FLUSH_INTERVAL_MS",
        _whole(0, 1000),
        "how long to collect messages before writing to clients, ms; 0: one reactor turn (0-1000)",
        "0",
    ),
    Setting(
        "BOOK_INTERVAL_MS",
        _whole(100, 10_000),
        "least time between two publications of a book view, ms (100-10000)",
        "100",
    ),
    Setting("STALE_AFTER_S", _seconds(1, 3600), "silence after which a fast stream is stale, seconds (1-3600)", "5"),
    Setting(
        "UPSTREAM_LINGER_S",
        _seconds(0, 86_400),
        "how long a topic stays subscribed after its last client left, seconds (0-86400)",
        "30",
    ),
    Setting(
        "CLIENT_STALL_TIMEOUT",
        _seconds(1, 600),
        "a client that reads nothing for so long is dropped, seconds (1-600)",
        "10",
    ),
    Setting(
        "WS_DEFLATE", _flag, "offer compression (permessage-deflate) on /ws: about half the bytes for more CPU", "false"
    ),
    Setting("AUTH_TOKEN", str, "access token; not built yet: setting it is refused", ""),
    Setting("ALLOWED_ORIGINS", _origins, "browser origins that may open /ws; '*' is any", "*"),
    Setting("CORS_ORIGINS", _origins, "browser origins that may read REST; '*' is any", "*"),
    Setting("TRUSTED_PROXIES", _networks, "networks whose X-Forwarded-For is believed, separated by commas", ""),
    Setting("TLS_CERT", str, "certificate chain file (PEM); with TLS_KEY the server speaks TLS itself", ""),
    Setting("TLS_KEY", str, "private key file (PEM)", ""),
    Setting(
        "HTTPS_PROXY",
        _url("http"),
        "HTTP proxy for connections to venues (CONNECT): http://[user:password@]host:port",
        "",
    ),
    Setting(
        "MAX_MESSAGE_BYTES",
        _whole(1024, 16 * 2**20),
        "largest message a client may send, bytes (1024-16777216)",
        "262144",
    ),
    Setting("MAX_CHANNELS", _whole(1, 100_000), "channels per connection and per message (1-100000)", "1000"),
    Setting("OPS_PER_SECOND", _seconds(1, 10_000), "sustained requests a client may make per second (1-10000)", "50"),
    Setting("OPS_BURST", _whole(1, 100_000), "requests a client may make at once (1-100000)", "200"),
    Setting("MAX_CONNECTIONS", _whole(1, 1_000_000), "clients at a time (1-1000000)", "20000"),
    Setting("MAX_CONNECTIONS_PER_IP", _whole(1, 1_000_000), "clients at a time from one address (1-1000000)", "5000"),
    Setting("MAX_BOOKS_PER_CLIENT", _whole(0, 10_000), "order books per client (0-10000)", "100"),
    Setting("MAX_CUSTOM_DEPTHS", _whole(0, 100), "depths per book beside the free ones (0-100)", "8"),
    Setting(
        "CLIENT_BUFFER_BYTES",
        _whole(65_536, 2**30),
        "memory one slow client may cost, bytes (65536-1073741824)",
        "2097152",
    ),
    Setting(
        "SOCKET_SEND_BUFFER_BYTES",
        _whole(4096, 2**26),
        "kernel send buffer of a client's socket, bytes (4096-67108864)",
        "131072",
    ),
    Setting("REQUEST_DEADLINE_S", _seconds(1, 600), "time a request may take to arrive, seconds (1-600)", "10"),
    Setting("MAX_BODY_BYTES", _whole(0, 2**26), "largest request body, bytes (0-67108864)", "65536"),
    Setting("REST_HELD_TOPICS", _whole(1, 100_000), "topics held by REST requests at a time (1-100000)", "200"),
    Setting("REST_HELD_TOPICS_PER_IP", _whole(1, 100_000), "the same from one address (1-100000)", "20"),
    Setting("PING_INTERVAL_S", _seconds(1, 3600), "time between two pings to a client, seconds (1-3600)", "20"),
    Setting(
        "PING_TIMEOUT_S",
        _seconds(1, 3600),
        "a client that does not answer a ping for so long is dropped, seconds (1-3600)",
        "20",
    ),
)


ALIASES = {"RUST_LOG": _rust_log}
"""Other names of ``LOG_LEVEL``."""


def host_settings(exchanges: Iterable[str]) -> list[Setting]:
    """The endpoint overrides of these venues."""
    found = []
    for exchange in exchanges:
        for market in ("", "PERPETUAL_"):
            for kind, schemes, what in (("WS", ("ws", "wss"), "WebSocket"), ("REST", ("http", "https"), "REST")):
                name = f"{exchange.upper()}_{market}{kind}_URL"
                found.append(
                    Setting(
                        name,
                        _url(*schemes),
                        f"{what} base URL of {exchange}{' perpetuals' if market else ''} (testnet, proxy)",
                        "",
                    )
                )
    return found

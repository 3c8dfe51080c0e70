"""The server's settings: what they mean, what is allowed, and which layer wins. Checked once, at start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from attrs import evolve, field, fields, frozen

from cryptodash.core.errors import ConfigError, Refused
from cryptodash.core.settings import ALIASES, SETTINGS, Setting, host_settings
from cryptodash.core.topics import Topic, parse_topic

PREFIX = "CRYPTODASH_"
"""``CRYPTODASH_DEMO`` beats ``DEMO`` within one layer: bare names are common words."""

T = TypeVar("T")


@frozen
class Limits:
    """What clients may do. Units in the names; each is a setting of its own in upper case."""

    max_message_bytes: int = 256 * 1024
    max_channels: int = 1000
    ops_per_second: float = 50.0
    ops_burst: int = 200
    max_connections: int = 20_000
    max_connections_per_ip: int = 5_000
    max_books_per_client: int = 100
    max_custom_depths: int = 8
    client_buffer_bytes: int = 2 * 1024 * 1024
    socket_send_buffer_bytes: int = 128 * 1024
    request_deadline_s: float = 10.0
    max_body_bytes: int = 64 * 1024
    rest_held_topics: int = 200
    rest_held_topics_per_ip: int = 20
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 20.0


@frozen
class Config:
    """All settings after option > environment > ``.env`` > default; ``load`` makes one."""

    bind_addr: str = "tcp:8080:interface=0.0.0.0"
    """A Twisted endpoint string."""
    exchanges: tuple[str, ...] = ("binance", "bybit")
    book_depth_default: int = 50
    enable_redis: bool = False
    redis_url: str = "redis://127.0.0.1:6379"
    log_level: str = "info"
    demo: bool = False
    symbols: tuple[Topic, ...] = ()
    """Topics kept warm without clients."""
    endpoints: Mapping[str, str] = field(factory=dict)
    """Overrides of hosts: ``binance_ws_url`` (spot), ``binance_perpetual_ws_url``, ``..._rest_url`` to base URLs."""
    flush_interval_ms: int = 0
    book_interval_ms: int = 100
    stale_after_s: float = 5.0
    upstream_linger_s: float = 30.0
    client_stall_timeout_s: float = 10.0
    ws_deflate: bool = False
    auth_token: str = ""
    allowed_origins: tuple[str, ...] = ("*",)
    cors_origins: tuple[str, ...] = ("*",)
    trusted_proxies: tuple[str, ...] = ()
    """Networks in CIDR notation."""
    tls_cert: str = ""
    tls_key: str = ""
    https_proxy: str = ""
    limits: Limits = field(factory=Limits)
    warnings: tuple[str, ...] = ()
    """What the operator should know although the server starts."""


_BY_NAME = {setting.name: setting for setting in SETTINGS}
_HOST_SETTING = re.compile(r"([A-Z0-9]+)_(?:PERPETUAL_)?(WS|REST)_URL").fullmatch


@frozen
class Layer:
    """One source of settings; ``origin`` names it in errors. Only a ``.env`` file is ours entirely, so only there
    unknown keys mean something."""

    origin: str
    values: Mapping[str, str | None]
    own: bool = False


def load(layers: Sequence[Layer], available: Sequence[str], *, simulated: Sequence[str] | None = None) -> Config:
    """A checked ``Config`` from layers in order of precedence, strongest first.

    ``available`` are the venues there are, ``simulated`` those of them the simulator speaks (None: all).
    Raises ``ConfigError`` with one line that names the setting and what is allowed.
    """
    settings = {**_BY_NAME, **{setting.name: setting for setting in host_settings(available)}}
    values = {name: value for name, setting in settings.items() if (value := _value(setting, layers)) is not None}
    warnings = [
        f"{layer.origin}: unknown setting {key}" for layer in layers if layer.own for key in _unknown(layer, settings)
    ]
    config = _assemble(values, warnings)
    _check_exchanges(config, available, available if simulated is None else simulated)
    return evolve(config, symbols=_topics(values.get("SYMBOLS", ()), config))


def _unknown(layer: Layer, settings: Mapping[str, Setting]) -> list[str]:
    return [
        key
        for key in layer.values
        if key.removeprefix(PREFIX) not in settings and key.removeprefix(PREFIX) not in ALIASES
    ]


def _value(setting: Setting, layers: Sequence[Layer]) -> object | None:
    """The strongest layer's value; empty text means unset."""
    for layer in layers:
        candidates: list[tuple[str, Callable[[str], object]]] = [
            (PREFIX + setting.name, setting.parse),
            (setting.name, setting.parse),
        ]
        if setting.name == "LOG_LEVEL":
            candidates += [(PREFIX + alias, parse) for alias, parse in ALIASES.items()] + list(ALIASES.items())
        for key, parse in candidates:
            text = (layer.values.get(key) or "").strip()
            if text:
                return _parsed(key, text, parse, layer)
    return None


def _parsed(key: str, text: str, parse: Callable[[str], T], layer: Layer) -> T:
    try:
        return parse(text)
    except ValueError as error:
        shown = "" if any(word in key for word in ("TOKEN", "PROXY", "REDIS")) else f" {text[:80]!r}"
        raise ConfigError(f"{key} ({layer.origin}):{shown} is not allowed; allowed is {error}") from None


def _assemble(values: Mapping[str, object], warnings: list[str]) -> Config:
    limits = {each.name: values[each.name.upper()] for each in fields(Limits) if each.name.upper() in values}
    endpoints = {name.lower(): str(value) for name, value in values.items() if _HOST_SETTING(name)}
    renamed = {"CLIENT_STALL_TIMEOUT": "client_stall_timeout_s"}
    ours = {each.name for each in fields(Config)}
    plain = {
        attribute: value
        for name, value in values.items()
        if (attribute := renamed.get(name, name.lower())) in ours and name != "SYMBOLS"
    }
    if plain.get("auth_token"):
        raise ConfigError("AUTH_TOKEN: authentication is not built yet; allowed is only leaving it unset")
    if bool(plain.get("tls_cert")) != bool(plain.get("tls_key")):
        raise ConfigError("TLS_CERT and TLS_KEY: allowed are both or neither")
    # Each was parsed as its field is typed.
    config = Config(**plain, endpoints=endpoints, limits=Limits(**limits))  # type: ignore[arg-type]
    if config.tls_cert:
        config = evolve(config, bind_addr=_with_tls(config))
    if config.enable_redis:
        warnings = [*warnings, "ENABLE_REDIS: Redis is not built yet; this process works alone"]
    return evolve(config, warnings=tuple(warnings))


def _with_tls(config: Config) -> str:
    kind, _, rest = config.bind_addr.partition(":")
    if kind not in ("tcp", "tcp6"):
        raise ConfigError(
            f"TLS_CERT and TLS_KEY: with BIND_ADDR {config.bind_addr[:60]!r} name the files in the endpoint string; "
            "allowed here is host:port"
        )

    def escaped(path: str) -> str:
        return path.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")

    return f"ssl:{rest}:certKey={escaped(config.tls_cert)}:privateKey={escaped(config.tls_key)}"


def _check_exchanges(config: Config, available: Sequence[str], simulated: Sequence[str]) -> None:
    if not config.exchanges:
        raise ConfigError(f"EXCHANGES: names no venue; allowed are {', '.join(available)}")
    for exchange in config.exchanges:
        if exchange not in available:
            raise ConfigError(f"EXCHANGES: {exchange[:40]!r} is not a venue; allowed are {', '.join(available)}")
        if config.demo and exchange not in simulated:
            raise ConfigError(
                f"DEMO: {exchange} has no simulator; allowed in EXCHANGES with DEMO are {', '.join(simulated)}"
            )
    if config.demo and config.endpoints:
        names = ", ".join(name.upper() for name in config.endpoints)
        raise ConfigError(f"DEMO: does not go together with {names}; allowed is one or the other")


def _topics(texts: object, config: Config) -> tuple[Topic, ...]:
    topics = []
    for text in texts if isinstance(texts, tuple) else ():
        try:
            topic = parse_topic(text, default_depth=config.book_depth_default)
        except Refused as error:
            raise ConfigError(
                f"SYMBOLS: {error.message}; allowed is exchange:market:SYMBOL[:channel[:depth or interval]]"
            ) from None
        if topic.exchange not in config.exchanges:
            raise ConfigError(
                f"SYMBOLS: {text[:80]!r} names a venue that is not enabled; allowed are {', '.join(config.exchanges)}"
            )
        topics.append(topic)
    return tuple(dict.fromkeys(topics))

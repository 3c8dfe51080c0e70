"""The server's settings, checked once at start."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from cryptodash.core.topics import Topic


@frozen
class Limits:
    """What clients may do. Units in the names; each is a setting of its own in upper case."""

    max_message_bytes: int = 256 * 1024
    max_channels: int = 1000
    ops_per_second: float = 50.0
    ops_burst: int = 200
    max_connections: int = 20_000
    max_connections_per_ip: int = 1000
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
    auth_token: str = ""
    allowed_origins: tuple[str, ...] = ("*",)
    cors_origins: tuple[str, ...] = ("*",)
    trusted_proxies: tuple[str, ...] = ()
    """Networks in CIDR notation."""
    tls_cert: str = ""
    tls_key: str = ""
    https_proxy: str = ""
    limits: Limits = field(factory=Limits)

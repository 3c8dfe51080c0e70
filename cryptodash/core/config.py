"""The server's settings: one table of what there is, what it means, what is allowed, and the value it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from cryptodash.core.proxies import proxy_url
from cryptodash.core.quote_aliases import quote_aliases
from cryptodash.core.record_patterns import ALLOWED, RecordPattern, record_patterns
from cryptodash.core.settings import (
    Setting,
    bind_address,
    flag,
    late_setting,
    levels,
    long_secret,
    names,
    networks,
    one_of,
    origin_of,
    origins,
    rust_log,
    seconds,
    setting,
    settings_of,
    token,
    url,
    whole,
    word,
    words,
)
from cryptodash.core.topics import MAX_DEPTH, Topic


@frozen
class Limits:
    """What clients may do. Units in the names; each is a setting of its own in upper case."""

    max_message_bytes: int = setting(
        whole(1024, 16 * 2**20), "largest message a client may send, bytes (1024-16777216)", "262144"
    )
    max_fragments: int = setting(
        whole(1, 1_000_000), "fragments that one message of a client may come in (1-1000000)", "1024"
    )
    max_channels: int = setting(whole(1, 100_000), "channels per connection and per message (1-100000)", "1000")
    ops_per_second: float = setting(
        seconds(1, 10_000), "sustained requests a client may make per second (1-10000)", "50"
    )
    ops_burst: int = setting(whole(1, 100_000), "requests a client may make at once (1-100000)", "200")
    max_connections: int = setting(whole(1, 1_000_000), "connections at a time, in every state (1-1000000)", "20000")
    max_connections_per_ip: int = setting(
        whole(1, 1_000_000), "connections at a time from one address (1-1000000)", "5000"
    )
    max_books_per_client: int = setting(whole(0, 10_000), "order books per client (0-10000)", "100")
    max_custom_depths: int = setting(whole(0, 100), "depths per book beside the free ones (0-100)", "8")
    max_upstream_streams: int = setting(
        whole(1, 1_000_000),
        "streams open at one exchange at a time, two fifths of them for one address (1-1000000)",
        "10000",
    )
    client_buffer_bytes: int = setting(
        whole(65_536, 2**30), "memory one slow client may cost, bytes (65536-1073741824)", "2097152"
    )
    socket_send_buffer_bytes: int = setting(
        whole(4096, 2**26), "kernel send buffer of a client's socket, bytes (4096-67108864)", "131072"
    )
    request_deadline_s: float = setting(seconds(1, 600), "time a request may take to arrive, seconds (1-600)", "10")
    keep_alive_s: float = setting(
        seconds(1, 7200),
        "time an idle HTTP connection is kept for its next request; more than the balancer keeps its own, "
        "seconds (1-7200)",
        "75",
    )
    max_body_bytes: int = setting(whole(0, 2**26), "largest request body, bytes (0-67108864)", "65536")
    rest_held_topics: int = setting(whole(1, 100_000), "topics held by REST requests at a time (1-100000)", "200")
    rest_held_topics_per_ip: int = setting(whole(1, 100_000), "the same from one address (1-100000)", "20")
    ping_interval_s: float = setting(seconds(1, 3600), "time between two pings to a client, seconds (1-3600)", "20")
    ping_timeout_s: float = setting(
        seconds(1, 3600), "a client that does not answer a ping for so long is dropped, seconds (1-3600)", "20"
    )


@frozen
class Config:
    """All settings after option > environment > ``.env`` > default; ``layers.load`` makes one."""

    bind_addr: str = setting(
        bind_address,
        "listen address host:port, or a Twisted endpoint string (tcp:8080, ssl:..., unix:..., systemd:...)",
        "0.0.0.0:8080",
    )
    """A Twisted endpoint string."""
    exchanges: tuple[str, ...] = setting(names, "venues to start, separated by commas", "binance,bybit")
    book_depth_default: int = setting(
        whole(1, MAX_DEPTH), "order-book levels per side where a client names none (1-1000)", "50"
    )
    enable_redis: bool = setting(
        flag,
        "several processes with the same settings as one server: the venues are shared out, each serves any client",
        "false",
        is_flag=True,
    )
    redis_url: str = setting(
        url("redis", "rediss", credentials=True),
        "where Redis is, with ENABLE_REDIS: redis[s]://[user:password@]host[:port][/database]",
        "redis://127.0.0.1:6379",
        is_secret=True,
    )
    redis_prefix: str = setting(
        word, "what the keys and channels in Redis begin with: one for each cluster", "cryptodash"
    )
    cluster_key: str = setting(
        long_secret,
        "secret by which all processes sign what they tell each other by Redis (16 characters or more)",
        "",
        is_secret=True,
    )
    role: str = setting(
        one_of("all", "ingest", "edge"),
        "with ENABLE_REDIS: all, ingest: serves no clients, or edge: opens no venue itself",
        "all",
    )
    log_level: str = setting(
        levels,
        "level, or levels by namespace: info,cryptodash.exchanges=debug (alias RUST_LOG)",
        "info",
        aliases={"RUST_LOG": rust_log},
    )
    log_format: str = setting(one_of("text", "json"), "text, or json: an object for each line of the log", "text")
    demo: bool = setting(flag, "every enabled venue is the built-in simulator", "false", is_flag=True)
    control_port: int = setting(
        whole(0, 65_535),
        "port on 127.0.0.1 where `fault` reaches a demo; 0: 8099, or another where that is taken (0-65535)",
        "0",
    )
    symbols: tuple[Topic, ...] = late_setting(
        words, "topics kept warm: exchange:market:SYMBOL[:channel[:depth or interval]], separated by commas", ()
    )
    """Topics kept warm without clients."""
    endpoints: Mapping[str, str] = field(factory=dict)
    """Base URLs that replace a venue's: ``<venue>_ws_url`` (spot), ``<venue>_perpetual_ws_url``, ``..._rest_url``."""
    flush_interval_ms: int = setting(
        whole(0, 1000), "how long to collect messages before writing to clients, ms; 0: one reactor turn (0-1000)", "0"
    )
    book_interval_ms: int = setting(
        whole(100, 10_000), "least time between two publications of a book view, ms (100-10000)", "100"
    )
    stale_after_s: float = setting(
        seconds(1, 3600), "silence after which a fast stream is stale, seconds (1-3600)", "5"
    )
    late_after_ms: int = setting(
        whole(100, 60_000), "delay from which a venue's frames are late, ms (100-60000)", "2000"
    )
    book_audit_percent: int = setting(
        whole(0, 50),
        "share of each REST budget with which live order books are compared with the venue's snapshots, percent; "
        "0: never (0-50)",
        "5",
    )
    quote_aliases: tuple[tuple[str, ...], ...] = setting(
        quote_aliases,
        "quote currencies that the composite takes for one, pairs such as USD=USDC separated by commas",
        "",
    )
    record_dir: str = setting(str, "directory that everything is recorded into, made if missing; empty: nothing is", "")
    record: tuple[str | RecordPattern, ...] = setting(
        record_patterns, f"what is recorded; patterns hold more than is held anyway: {ALLOWED}", "held"
    )
    record_keep_gb: int = setting(
        whole(0, 1_000_000), "recorded frames of exchanges that are kept, GB, oldest first; 0: none (0-1000000)", "10"
    )
    record_keep_messages_gb: int = setting(
        whole(0, 1_000_000), "recorded messages that are kept, GB, oldest first; 0: none (0-1000000)", "10"
    )
    catalogue_refresh_s: float = setting(
        seconds(10, 86_400), "seconds between two readings of an exchange's instruments (10-86400)", "600"
    )
    upstream_linger_s: float = setting(
        seconds(0, 86_400), "how long a topic stays subscribed after its last client left, seconds (0-86400)", "30"
    )
    client_stall_timeout_s: float = setting(
        seconds(1, 600),
        "a client that reads nothing for so long is dropped, seconds (1-600)",
        "10",
        name="CLIENT_STALL_TIMEOUT",
    )
    ws_deflate: bool = setting(
        flag, "offer compression (permessage-deflate) on /ws: about half the bytes for more CPU", "false"
    )
    auth_token: str = setting(
        token, "the one token of everybody who may read, 16 to 512 characters; empty: none", "", is_secret=True
    )
    auth_tokens_file: str = setting(str, "file of tokens, a line each: name:sha256hex:scope scope ...", "")
    auth_jwt_keys: str = setting(
        str,
        "keys of JSON Web Tokens, one or two separated by commas: HS256:SECRET, EdDSA:PUBLIC_KEY (base64url), "
        "KIND:@FILE",
        "",
        is_secret=True,
    )
    protect_ops: bool = setting(
        flag, "/metrics, /api/streams, /api/quality and /api/symbols/refresh need the scope admin", "false"
    )
    allowed_origins: tuple[str, ...] = setting(origins, "browser origins that may open /ws; '*' is any", "*")
    cors_origins: tuple[str, ...] = setting(origins, "browser origins that may read REST; '*' is any", "*")
    trusted_proxies: tuple[str, ...] = setting(
        networks,
        "networks whose X-Forwarded-For is believed, separated by commas; unix: the peer of a unix socket",
        "",
    )
    """Networks in CIDR notation, ``unix`` for the peer of a unix socket."""
    tls_cert: str = setting(str, "certificate chain file (PEM); with TLS_KEY the server speaks TLS itself", "")
    tls_key: str = setting(str, "private key file (PEM)", "")
    https_proxy: str = setting(
        proxy_url,
        "HTTP proxy for TLS connections to venues (CONNECT): [http[s]://][user:password@]host:port (alias https_proxy)",
        "",
        is_secret=True,
        aliases={"https_proxy": proxy_url},
        is_ambient=True,
    )
    no_proxy: str = setting(
        str,
        "hosts reached without HTTPS_PROXY, separated by commas: a name and all below it, an IP address or network, "
        "each perhaps with :port; '*' is any (alias no_proxy)",
        "",
        aliases={"no_proxy": str},
    )
    limits: Limits = field(factory=Limits)
    warnings: tuple[str, ...] = ()
    """What the operator should know although the server starts."""

    @property
    def has_access_rules(self) -> bool:
        """Whether not everybody may do everything."""
        return bool(self.auth_token or self.auth_tokens_file or self.auth_jwt_keys)

    @property
    def serves_clients(self) -> bool:
        """Whether this process is there for others than its operator."""
        return self.role != "ingest"


SETTINGS = (*settings_of(Config), *settings_of(Limits))


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
                        url(*schemes),
                        f"{what} base URL of {exchange}{' perpetuals' if market else ''} (testnet, proxy)",
                        "",
                        shown=origin_of,
                    )
                )
    return found

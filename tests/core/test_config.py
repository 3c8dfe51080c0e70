from __future__ import annotations

import pytest

from cryptodash.core.config import SETTINGS, Config
from cryptodash.core.errors import ConfigError
from cryptodash.core.layers import Layer, load
from cryptodash.core.settings import origin_of, parse_levels
from cryptodash.options import RunOptions

VENUES = ("binance", "bybit")
SEED_ENV = {
    "RUST_LOG": "info,crypto_dash=debug",
    "BIND_ADDR": "0.0.0.0:8080",
    "ENABLE_REDIS": "false",
    "REDIS_URL": "redis://127.0.0.1:6379",
    "EXCHANGES": "binance,bybit",
    "BOOK_DEPTH_DEFAULT": "50",
}


def made(**values: str) -> Config:
    return load([Layer("environment", values)], VENUES)


def test_the_seeds_env_means_the_defaults() -> None:
    assert load([Layer(".env", SEED_ENV, own=True)], VENUES) == made() == Config()


def test_stronger_layers_win_and_empty_is_unset() -> None:
    layers = [
        Layer("options", {"BOOK_DEPTH_DEFAULT": ""}),
        Layer("environment", {"BOOK_DEPTH_DEFAULT": "20"}),
        Layer(".env", {"BOOK_DEPTH_DEFAULT": "10"}, own=True),
    ]
    assert load(layers, VENUES).book_depth_default == 20


def test_the_prefix_beats_the_bare_name_within_a_layer_only() -> None:
    assert made(CRYPTODASH_DEMO="true", DEMO="false").demo is True
    layers = [Layer("environment", {"DEMO": "false"}), Layer(".env", {"CRYPTODASH_DEMO": "true"}, own=True)]
    assert load(layers, VENUES).demo is False


def test_rust_log_is_an_alias_that_log_level_beats_within_a_layer() -> None:
    assert made(RUST_LOG="debug,hyper=trace,cryptodash.exchanges=warn").log_level == "debug,cryptodash.exchanges=warn"
    assert made(RUST_LOG="warn,hyper=off,tower[span]=loud,cryptodash=debug").log_level == "warn,cryptodash=debug"
    assert made(RUST_LOG="debug", LOG_LEVEL="error").log_level == "error"
    layers = [Layer("environment", {"RUST_LOG": "debug"}), Layer(".env", {"LOG_LEVEL": "error"}, own=True)]
    assert load(layers, VENUES).log_level == "debug"
    assert parse_levels("warn,cryptodash.hub=debug") == ("warn", {"cryptodash.hub": "debug"})


def test_unknown_keys_of_the_env_file_warn_and_those_of_the_environment_do_not() -> None:
    assert made(PATH="/bin").warnings == ()
    assert load([Layer(".env", {"BIND_ADR": "x", "CRYPTODASH_DEMO": "1"}, own=True)], VENUES).warnings == (
        ".env: unknown setting BIND_ADR",
    )


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:9000", "tcp:9000:interface=127.0.0.1"),
        ("localhost:0", "tcp:0:interface=127.0.0.1"),
        (":80", "tcp:80:interface=0.0.0.0"),
        ("[::1]:80", "tcp6:80:interface=\\:\\:1"),
        ("tcp:8080", "tcp:8080"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_listen_addresses(text: str, endpoint: str) -> None:
    assert made(BIND_ADDR=text).bind_addr == endpoint


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"BIND_ADDR": "8080x"}, "host:port"),
        ({"BIND_ADDR": "0.0.0.0:99999"}, "0 to 65535"),
        ({"BIND_ADDR": "example.org:80"}, "IP address"),
        ({"EXCHANGES": "binance,mtgox"}, "'mtgox' is not a venue; allowed are binance, bybit"),
        ({"EXCHANGES": ","}, "allowed are binance, bybit"),
        ({"BOOK_DEPTH_DEFAULT": "0"}, "1 to 1000"),
        ({"BOOK_DEPTH_DEFAULT": "fifty"}, "1 to 1000"),
        ({"BOOK_DEPTH_DEFAULT": "٥"}, "1 to 1000"),
        ({"ENABLE_REDIS": "maybe"}, "true or false"),
        ({"ROLE": "reader", "ENABLE_REDIS": "true"}, "all or ingest or edge"),
        ({"ROLE": "edge"}, "without ENABLE_REDIS=true allowed is all"),
        ({"ROLE": "ingest"}, "without ENABLE_REDIS=true allowed is all"),
        ({"CLUSTER_KEY": "15 characters.."}, "16 characters or more"),
        ({"LOG_LEVEL": "loud"}, "debug, info"),
        ({"STALE_AFTER_S": "nan"}, "1 to 3600"),
        ({"SYMBOLS": "okx:spot:BTC-USDT"}, "not enabled; allowed are binance, bybit"),
        ({"SYMBOLS": "binance:spot:BTCUSDT"}, "BASE-QUOTE"),
        ({"DEMO": "true", "BINANCE_WS_URL": "ws://127.0.0.1:1"}, "BINANCE_WS_URL"),
        ({"BYBIT_PERPETUAL_REST_URL": "ftp://x"}, "http://"),
        ({"BINANCE_REST_URL": "http://[::1"}, "http:// or https://"),
        ({"BINANCE_WS_URL": "ws://h:99999"}, "a port from 1 to 65535"),
        ({"RUST_LOG": "loud"}, "debug, info"),
        ({"RUST_LOG": "info,cryptodash.hub=loud"}, "debug, info"),
        ({"TRUSTED_PROXIES": "10.0.0.0/99"}, "networks"),
        ({"TLS_CERT": "/a.pem"}, "both or neither"),
        ({"TLS_CERT": "/a", "TLS_KEY": "/b", "BIND_ADDR": "unix:/x"}, "host:port"),
        ({"AUTH_TOKEN": "secret"}, "16 to 512"),
        ({"HTTPS_PROXY": "ftp://x:1"}, "http://"),
        ({"https_proxy": "ftp://x:1"}, "http://"),
        ({"CRYPTODASH_HTTPS_PROXY": "socks5://x:1"}, "not supported; allowed is http://"),
        ({"CRYPTODASH_HTTPS_PROXY": "socks5://x:1", "DEMO": "true"}, "not supported"),
        ({"ALLOWED_ORIGINS": "example.org"}, "https://example.org"),
    ],
)
def test_refusals_name_the_setting_and_what_is_allowed_in_one_line(values: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**values)
    message = str(caught.value)
    assert any(key in message for key in values)
    assert named in message
    assert "\n" not in message


def test_secrets_are_not_repeated_in_refusals() -> None:
    with pytest.raises(ConfigError) as caught:
        made(HTTPS_PROXY="ftp://user:hunter2@proxy")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("BINANCE_WS_URL", "wss://me:hunter2@proxy.example:9443/stream", "'wss://proxy.example:9443'"),
        ("BINANCE_WS_URL", "wss://hunter2@proxy.example", "'wss://proxy.example'"),
        ("BINANCE_REST_URL", "https://proxy.example/?key=hunter2", "'https://proxy.example'"),
        ("BINANCE_REST_URL", "https://proxy.example/#hunter2", "'https://proxy.example'"),
        ("BYBIT_PERPETUAL_REST_URL", "ftp://me:hunter2@[::1]:99/hunter2", "'ftp://[::1]:99'"),
        ("BYBIT_PERPETUAL_WS_URL", "me:hunter2@proxy.example", ""),
        ("BYBIT_PERPETUAL_WS_URL", "wss://me:hunter2@proxy.example:port", ""),
        ("REDIS_URL", "http://:hunter2@redis.example", ""),
    ],
)
def test_credentials_in_an_url_are_refused_and_not_repeated(name: str, text: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**{name: text})
    message = str(caught.value)
    assert message.startswith(name) and shown in message and "\n" not in message
    assert "hunter2" not in message


@pytest.mark.parametrize("text", ["https://proxy.example?", "https://proxy.example/#", "https://pröxy.example"])
def test_a_base_url_that_no_path_can_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="BINANCE_REST_URL"):
        made(BINANCE_REST_URL=text)


def test_redis_may_have_a_password() -> None:
    assert (
        made(REDIS_URL="rediss://:hunter2@redis.example:6380/1").redis_url == "rediss://:hunter2@redis.example:6380/1"
    )


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("wss://stream.example:9443/key/stream", "wss://stream.example:9443"),
        ("https://me:hunter2@api.example", "https://api.example"),
        ("http://[::1]:80/x?y", "http://[::1]:80"),
        ("nonsense", ""),
        ("http://[::1", ""),
        ("https://", ""),
    ],
)
def test_of_an_url_scheme_host_and_port_are_shown(text: str, origin: str) -> None:
    assert origin_of(text) == origin


def test_a_venue_without_a_simulator_refuses_the_demo() -> None:
    with pytest.raises(ConfigError, match="kraken has no simulator"):
        load([Layer("x", {"DEMO": "1", "EXCHANGES": "kraken"})], ("binance", "kraken"), simulated=("binance",))


def test_a_demo_starts_every_venue_that_has_a_simulator_unless_some_are_named() -> None:
    def started(**values: str) -> tuple[str, ...]:
        venues = ("binance", "bybit", "kraken")
        return load([Layer("x", values)], venues, simulated=("binance", "kraken")).exchanges

    assert started(DEMO="1") == ("binance", "kraken")
    assert started(DEMO="1", EXCHANGES="kraken") == ("kraken",)
    assert started(DEMO="0") == started() == ("binance", "bybit")


def test_symbols_endpoints_limits_and_tls_arrive() -> None:
    config = made(
        SYMBOLS="binance:spot:BTC-USDT, bybit:perpetual:ETH-USDT:order_book,binance:spot:BTC-USDT:ticker",
        BINANCE_PERPETUAL_WS_URL="wss://testnet.example/",
        MAX_CHANNELS="5",
        TLS_CERT="/a:b.pem",
        TLS_KEY="/k.pem",
        TRUSTED_PROXIES="10.1.2.3/8,::1",
    )
    assert [topic.text for topic in config.symbols] == [
        "binance:spot:BTC-USDT:ticker",
        "bybit:perpetual:ETH-USDT:order_book:50",
    ]
    assert config.endpoints == {"binance_perpetual_ws_url": "wss://testnet.example"}
    assert config.limits.max_channels == 5
    assert config.bind_addr == "ssl:8080:interface=0.0.0.0:certKey=/a\\:b.pem:privateKey=/k.pem"
    assert config.trusted_proxies == ("10.0.0.0/8", "::1/128")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_documented_default_is_the_real_one(setting: object) -> None:
    default = setting.default  # type: ignore[attr-defined]
    name = setting.name  # type: ignore[attr-defined]
    assert made(**{name: default}) == Config()


@pytest.mark.parametrize("text", ["proxy.corp:3128", "http://proxy.corp:3128", "https://user:word@proxy.corp:3128"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "CRYPTODASH_HTTPS_PROXY"])
@pytest.mark.parametrize("demo", ["true", "false"])
def test_a_proxy_is_taken_as_other_programs_take_it(name: str, text: str, demo: str) -> None:
    config = made(**{name: text}, DEMO=demo)
    assert config.https_proxy == text
    assert config.warnings == ()


def test_our_name_of_the_proxy_beats_the_common_ones_and_capitals_beat_small_letters() -> None:
    assert made(CRYPTODASH_HTTPS_PROXY="a", HTTPS_PROXY="b", https_proxy="c").https_proxy == "a"
    assert made(HTTPS_PROXY="b", https_proxy="c").https_proxy == "b"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("demo", ["true", "false"])
def test_a_socks_proxy_of_the_environment_is_warned_of(name: str, demo: str) -> None:
    config = made(**{name: "socks5h://me:hunter2@127.0.0.1:1080"}, DEMO=demo)
    assert config.https_proxy == ""
    (warning,) = config.warnings
    assert f"{name} (environment)" in warning and "not supported" in warning
    assert "hunter2" not in warning


def test_where_one_proxy_of_the_environment_is_socks_the_next_name_counts() -> None:
    config = made(HTTPS_PROXY="socks5h://127.0.0.1:1080", https_proxy="proxy.corp:3128")
    assert config.https_proxy == "proxy.corp:3128"
    layers = [Layer("environment", {"HTTPS_PROXY": "socks5://x"}), Layer(".env", {"HTTPS_PROXY": "p:1"}, own=True)]
    assert load(layers, VENUES).https_proxy == "p:1"


@pytest.mark.parametrize("origin", [".env", "command line"])
def test_a_socks_proxy_that_only_we_can_be_meant_by_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="not supported"):
        load([Layer(origin, {"HTTPS_PROXY": "socks5://x:1"}, own=True)], VENUES)


def test_the_command_line_is_ours_entirely() -> None:
    options = RunOptions()
    options.parseOptions(["--https-proxy", "socks5://x:1"])
    with pytest.raises(ConfigError, match=r"HTTPS_PROXY .command line.*not supported"):
        load([options.layer()], VENUES)


@pytest.mark.parametrize("text", ["ftp://me:hunter2@x", "http://p:99999", "nonsense nonsense"])
def test_no_proxy_of_the_environment_keeps_a_demo_from_starting(text: str) -> None:
    config = made(HTTPS_PROXY=text, DEMO="true")
    assert config.https_proxy == ""
    (warning,) = config.warnings
    assert "HTTPS_PROXY" in warning and "hunter2" not in warning
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        made(HTTPS_PROXY=text)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy", "CRYPTODASH_NO_PROXY"])
def test_hosts_without_the_proxy_are_taken_as_they_are(name: str) -> None:
    assert made(**{name: "localhost, .corp,10.0.0.0/99"}).no_proxy == "localhost, .corp,10.0.0.0/99"

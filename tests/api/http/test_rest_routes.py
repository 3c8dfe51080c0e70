"""Every REST route: its answer to good input, and the status and code of every fault."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport

from cryptodash.core.config import Limits
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, Cause, State, StreamStatus
from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import ClusterReport, RecordingReport, StreamReport
from cryptodash.core.topics import Channel

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

T0 = 1_704_067_200_000
TICKER = "/api/ticker?exchange=binance&symbol=BTC-USDT"
BOOK = "/api/orderbook?exchange=binance&symbol=BTC-USDT"
TRADES = "/api/trades?exchange=binance&symbol=BTC-USDT"
CANDLES = "/api/candles?exchange=binance&symbol=BTCUSDT&interval=1m"


def bar(web: Any, minute: int, close: str = "2.0", closed: bool = True) -> Candle:
    return Candle(
        web.topic(Channel.CANDLE), T0 + 60_000 * minute, RECEIVED, "1.0", "2.50", "0.9", close, "10.000", closed, "rest"
    )


def test_health_tells_version_and_uptime(web: Any) -> None:
    web.scheduler.advance(1.5)
    assert web.get("/health").json() == {
        "status": "ok",
        "service": "crypto-dash-api",
        "timestamp": "2024-01-01T00:00:01.500Z",
        "version": "1.2.3",
        "uptime_s": 1.5,
    }


READINESS: list[tuple[dict[str, Any], int]] = [
    ({"status": "online", "good_streams": 1}, 200),
    ({"status": "degraded", "good_streams": 1}, 200),
    ({"status": "degraded", "good_streams": 0}, 503),
    ({"status": "online", "good_streams": 0}, 503),
    ({"status": "online", "idle": True, "good_streams": 0, "streams": 0}, 200),
    ({"status": "offline", "idle": True, "good_streams": 0, "streams": 0}, 503),
    (
        {
            "status": "offline",
            "good_streams": 0,
            "cause": Cause.BLOCKED,
            "reason": "stream.binance.com refuses this country",
        },
        503,
    ),
    ({"status": "maintenance", "good_streams": 0}, 503),
]


@pytest.mark.parametrize(("status", "code"), READINESS)
def test_ready_follows_the_data_of_the_only_venue(make_web: Any, status: dict[str, Any], code: int) -> None:
    web = make_web("binance")
    web.hub.upstreams["binance"].status = status
    answer = web.get("/ready")
    assert answer.status == code
    assert answer.json()["status"] == ("ready" if code == 200 else "not_ready")
    assert answer.json()["dependencies"]["exchanges"]["binance"]["status"] == status["status"]
    assert bool(answer.json().get("reasons")) is (code == 503)
    assert status.get("reason", "") in str(answer.json().get("reasons"))


def test_one_venue_up_is_enough(web: Any) -> None:
    web.hub.upstreams["bybit"].status = {"status": "offline", "good_streams": 0}
    assert web.get("/ready").status == 200


def test_draining_is_not_ready(web: Any) -> None:
    web.state["draining"] = True
    answer = web.get("/ready")
    assert (answer.status, answer.json()["reasons"]) == (503, ["the server is shutting down"])


def test_ready_tells_about_the_cluster_and_unknown_symbols(make_web: Any) -> None:
    web = make_web("binance")
    assert web.get("/ready").json()["dependencies"]["cache"] == {"status": "ok"}
    web.hub.cluster = ClusterReport("one", "all", ("binance",), "Redis at h:1/0 is out of reach: refused")
    web.hub.upstreams["binance"].status = {"unknown_topics": ("binance:spot:NOPE-USDT:ticker",)}
    dependencies = web.get("/ready").json()["dependencies"]
    assert dependencies["cache"] == {
        "status": "degraded",
        "reason": "Redis at h:1/0 is out of reach: refused",
        "process": "one",
        "role": "all",
        "holds": ["binance"],
        "processes": 1,
    }
    assert dependencies["exchanges"]["binance"]["unknown_symbols"] == ["binance:spot:NOPE-USDT:ticker"]


def test_ready_tells_how_the_recording_does_and_is_no_less_ready_for_it(web: Any) -> None:
    assert "recording" not in web.get("/ready").json()["dependencies"]
    web.state["recording"] = RecordingReport("", 12, 0)
    assert web.get("/ready").json()["dependencies"]["recording"] == {"status": "ok", "topics": 12, "lost_blocks": 0}
    web.state["recording"] = RecordingReport("frames: No space left on device", 12, 3)
    answer = web.get("/ready")
    assert answer.status == 200
    assert answer.json()["dependencies"]["recording"] == {
        "status": "degraded",
        "reason": "frames: No space left on device",
        "topics": 12,
        "lost_blocks": 3,
    }


def test_ready_tells_that_our_own_clock_is_wrong(web: Any) -> None:
    assert web.get("/ready").json()["dependencies"]["clock"] == {"status": "unknown"}
    web.hub.upstreams["binance"].status = {"clock_ahead_ms": 2500}
    web.hub.upstreams["bybit"].status = {"clock_ahead_ms": 0}
    assert web.get("/ready").json()["dependencies"]["clock"] == {"status": "ok"}
    web.hub.upstreams["bybit"].status = {"clock_ahead_ms": 2400}
    answer = web.get("/ready")
    assert answer.status == 200
    assert answer.json()["dependencies"]["clock"] == {
        "status": "degraded",
        "error_ms": -2400,
        "reason": "the wall clock is 2.4 s behind by what binance, bybit say",
    }


@pytest.mark.parametrize(("demo", "said"), [(True, 8_099), (False, None)])
def test_a_demo_alone_says_where_faults_reach_it(make_web: Any, demo: bool, said: int | None) -> None:
    assert make_web("binance", demo=demo, control_port=8_099).get("/ready").json().get("control_port") == said


def test_exchanges_are_wrapped_and_leave_unknown_values_out(web: Any) -> None:
    web.hub.upstreams["bybit"].status = {"status": "offline", "cause": Cause.DISCONNECTED, "last_message": None}
    web.scheduler.advance(1)
    binance, bybit = web.get("/api/exchanges").json()["exchanges"]
    assert binance["id"] == "binance" and binance["name"] == "Binance" and binance["status"] == "online"
    assert binance["last_message_at"] == "2024-01-01T00:00:00.750Z"
    assert binance["source"] == "simulated" and "cause" not in binance
    assert bybit["cause"] == "disconnected" and "last_message_at" not in bybit


def test_streams_tell_topics_clients_age_and_state(web: Any) -> None:
    topic = web.topic()
    web.hub.upstreams["binance"].reports = [
        StreamReport(
            "binance", "btcusdt@bookTicker", "binance-1", (topic,), State.STALE, Cause.SILENT, 5.5, 1.23456, 99, 1, 2
        )
    ]
    assert web.get("/api/streams").json()["streams"] == [
        {
            "exchange": "binance",
            "name": "btcusdt@bookTicker",
            "connection": "binance-1",
            "topics": ["binance:spot:BTC-USDT:ticker"],
            "clients": 3,
            "state": "stale",
            "cause": "silent",
            "age_ms": 5500,
            "rate": 1.235,
            "sequence": 99,
            "gaps": 1,
            "resyncs": 2,
        }
    ]


def test_symbols_list_the_contract_members_with_sizes_as_bare_text(web: Any) -> None:
    document = web.get("/api/symbols").json()
    assert document["allowed_quotes"] == {"spot": ["USDT"], "perpetual": ["USDC"]}
    assert [each["exchange"] for each in document["exchanges"]] == ["binance", "bybit"]
    spot, _, perpetual = document["exchanges"][0]["symbols"]
    assert spot == {
        "symbol": "BTC-USDT",
        "base": "BTC",
        "quote": "USDT",
        "market_type": "spot",
        "display_name": "BTC / USDT",
        "price_precision": 2,
        "tick_size": "0.01",
        "min_qty": "0.00001",
        "step_size": "0.00001",
        "native": "BTCUSDT",
        "status": "trading",
        "underlying_type": "crypto",
    }
    assert (perpetual["market_type"], perpetual["price_precision"], perpetual["tick_size"]) == ("perpetual", 2, "0.25")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("exchange=bybit", [("bybit", ["BTC-USDT", "ETH-USDT", "BTC-USDC"])]),
        ("exchange=binance&market_type=perpetual", [("binance", ["BTC-USDC"])]),
        ("market_type=spot&search=eth", [("binance", ["ETH-USDT"]), ("bybit", ["ETH-USDT"])]),
        ("exchange=binance&search=btcusd", [("binance", ["BTC-USDT", "BTC-USDC"])]),
        ("exchange=binance&search=btc/usdt", [("binance", ["BTC-USDT"])]),
        ("exchange=binance&search=nothing", [("binance", [])]),
    ],
)
def test_symbols_are_filtered(web: Any, query: str, expected: list[Any]) -> None:
    found = web.get(f"/api/symbols?{query}").json()["exchanges"]
    assert [(each["exchange"], [symbol["symbol"] for symbol in each["symbols"]]) for each in found] == expected


def test_symbols_have_an_etag_that_changes_with_the_catalogue(web: Any) -> None:
    first = web.get("/api/symbols")
    again = web.get("/api/symbols", If_None_Match=first.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    web.hub.upstreams["bybit"].catalogue.replace(MarketType.SPOT, [])
    changed = web.get("/api/symbols", If_None_Match=first.headers["etag"])
    assert changed.status == 200 and changed.headers["etag"] != first.headers["etag"]


def test_symbols_are_compressed_for_those_who_take_it(web: Any) -> None:
    plain, packed = web.get("/api/symbols"), web.get("/api/symbols", Accept_Encoding="br, gzip;q=0.5")
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in web.get("/api/symbols", Accept_Encoding="gzip;q=0").headers


def test_refresh_reads_the_catalogue_again_but_not_often(web: Any) -> None:
    path = "/api/symbols/refresh?exchange=binance"
    assert web.get(path, "POST").json() == {"success": True, "message": "binance: 3 symbols"}
    web.scheduler.advance(4)
    refused = web.get(path, "POST")
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "rate_limited", "6")
    assert web.get("/api/symbols/refresh?exchange=bybit", "POST").status == 200
    web.scheduler.advance(6)
    assert web.get(path, "POST").status == 200
    assert web.hub.upstreams["binance"].refreshes == 2


def test_refresh_needs_the_token_when_there_is_one(make_web: Any) -> None:
    web = make_web(auth_token="secret")
    refused = web.get("/api/symbols/refresh", "POST", Authorization="Bearer secreT")
    assert (refused.status, refused.code, refused.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    assert web.get("/api/symbols/refresh", "POST", Authorization="Bearer secret").status == 200
    assert web.get("/api/symbols").status == 401


def test_refresh_tells_when_the_venue_fails(web: Any) -> None:
    web.hub.upstreams["binance"].refresh_error = UpstreamError("banned", "binance answers 418", 7.2)
    answer = web.get("/api/symbols/refresh?exchange=binance", "POST")
    assert (answer.status, answer.headers["retry-after"]) == (502, "8")
    assert answer.json() == {"error": {"code": "upstream_error", "message": "binance answers 418", "cause": "banned"}}


def test_ticker_keeps_every_digit_and_says_how_fresh_it_is(web: Any) -> None:
    topic = web.put_ticker(bid="43250.50000000")
    web.hub.statuses[topic] = StreamStatus(topic, State.STALE, Cause.SILENT, ("quote",), T0)
    answer = web.get(TICKER)
    assert answer.status == 200
    assert b'"bid":43250.50000000,"last":43250.50000000' in answer.body
    assert answer.json()["symbol"] == {"base": "BTC", "quote": "USDT"}
    assert "ask" not in answer.json()
    assert answer.json()["status"] == {
        "state": "stale",
        "cause": "silent",
        "fields": ["quote"],
        "since": "2024-01-01T00:00:00.000Z",
        "age_ms": 42,
        "source": "simulated",
    }
    assert answer.json()["source"] == "simulated"


@pytest.mark.parametrize("path", [BOOK, BOOK.replace("orderbook", "orderbook/snapshot"), BOOK + "&depth=50"])
def test_orderbook_is_the_view_as_published(web: Any, path: str) -> None:
    web.put_book()
    answer = web.get(path)
    assert b'"bids":[{"price":1.50,"quantity":2.000}],"asks":[{"price":1.60,"quantity":0.00000100}]' in answer.body
    assert (answer.json()["sequence"], answer.json()["depth"], answer.json()["complete"]) == (7, 50, False)
    assert answer.json()["status"]["state"] == "live"


def test_a_book_that_lost_its_state_meanwhile_is_not_shown(web: Any) -> None:
    topic = web.topic(Channel.ORDER_BOOK, depth=50)
    web.hub.trade_lists[topic] = []  # the hub says that there is something, and then has nothing
    assert (web.get(BOOK).status, web.get(BOOK).code) == (409, "not_yet_known")


def test_trades_are_limited_and_oldest_first(web: Any) -> None:
    web.put_trades(5)
    document = web.get(TRADES + "&limit=2").json()
    assert [each["id"] for each in document["trades"]] == ["3", "4"]
    assert document["limit"] == 2 and document["exchange"] == "binance" and document["source"] == "simulated"
    assert document["trades"][0] == {
        "timestamp": "2024-01-01T00:00:00.003Z",
        "id": "3",
        "price": 1.1,
        "quantity": 2.0,
        "side": "buy",
        "received": "2023-11-14T22:13:20.123Z",
    }


def test_candles_are_listed_as_the_hub_gives_them(web: Any) -> None:
    web.hub.bars = ([bar(web, 0), bar(web, 1, "2.1"), bar(web, 2, closed=False)], True)
    answer = web.get(CANDLES + "&limit=3")
    document = answer.json()
    assert {
        name: document[name] for name in ("exchange", "symbol", "market_type", "interval", "limit", "cached", "source")
    } == {
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "market_type": "spot",
        "interval": "1m",
        "limit": 3,
        "cached": True,
        "source": "simulated",
    }
    assert [(each["timestamp"][14:16], each["close"], each["closed"]) for each in document["candles"]] == [
        ("00", 2.0, True),
        ("01", 2.1, True),
        ("02", 2.0, False),
    ]
    assert b'"high":2.50' in answer.body and b'"volume":10.000' in answer.body


@pytest.mark.parametrize(
    ("query", "limit", "end"),
    [
        ("", 200, None),
        ("&limit=1", 1, None),
        ("&limit=1000&end=1704067200000", 1000, T0),
        ("&end=2024-01-01T01:00:00+01:00", 200, T0),
        ("&end=2024-01-01T01:00:00%2B01:00", 200, T0),
        ("&end=2024-01-01T00:00:00Z", 200, T0),
    ],
)
def test_candles_pass_limit_and_end_on(web: Any, query: str, limit: int, end: int | None) -> None:
    assert web.get(CANDLES + query).status == 200
    assert [(asked[1], asked[2]) for asked in web.hub.asked] == [(limit, end)]


def test_candles_tell_when_the_venue_fails(web: Any) -> None:
    web.hub.bars = UpstreamError("disconnected", "binance does not answer")
    answer = web.get(CANDLES)
    assert (answer.status, answer.code) == (502, "upstream_error")
    assert answer.json()["error"]["cause"] == "disconnected" and "retry-after" not in answer.headers


FAULTS = [
    ("/api/symbols?exchange=nope", 404, "unknown_exchange"),
    ("/api/symbols?market_type=option", 400, "invalid_market"),
    ("/api/symbols?search=" + "x" * 41, 400, "invalid_search"),
    ("/api/symbols?search=a&search=b", 400, "duplicate_parameter"),
    ("/api/symbols?search=%ff", 400, "invalid_parameter"),
    ("/api/ticker", 400, "missing_parameter"),
    ("/api/ticker?exchange=binance", 400, "missing_parameter"),
    ("/api/ticker?symbol=BTC-USDT", 400, "missing_parameter"),
    ("/api/ticker?exchange=nope&symbol=BTC-USDT", 404, "unknown_exchange"),
    ("/api/ticker?exchange=binance&symbol=NOPE-USDT", 404, "unknown_symbol"),
    ("/api/ticker?exchange=binance&symbol=*", 400, "invalid_symbol"),
    ("/api/ticker?exchange=binance&symbol=%00", 400, "invalid_symbol"),
    (TICKER + "&market_type=option", 400, "invalid_market"),
    (TICKER + "&symbol=BTC-USDT", 400, "duplicate_parameter"),
    (BOOK + "&depth=0", 400, "invalid_depth"),
    (BOOK + "&depth=1001", 400, "invalid_depth"),
    (BOOK + "&depth=-5", 400, "invalid_depth"),
    (BOOK + "&depth=%D9%A5", 400, "invalid_depth"),
    (BOOK + "&depth=9999999999999999999999", 400, "invalid_depth"),
    (TRADES + "&limit=0", 400, "invalid_limit"),
    (TRADES + "&limit=1001", 400, "invalid_limit"),
    (TRADES + "&limit=1.5", 400, "invalid_limit"),
    (CANDLES + "&limit=0", 400, "invalid_limit"),
    (CANDLES + "&limit=1001", 400, "invalid_limit"),
    (CANDLES + "&limit=abc", 400, "invalid_limit"),
    (CANDLES.replace("1m", "7m"), 400, "invalid_interval"),
    (CANDLES.replace("1m", "%EF%BC%91m"), 400, "invalid_interval"),
    (CANDLES + "&end=yesterday", 400, "invalid_end"),
    (CANDLES + "&end=-1", 400, "invalid_end"),
    (CANDLES + "&end=0001-01-01", 400, "invalid_end"),
    (CANDLES + "&end=0001-01-01T00:00:00Z", 400, "invalid_end"),
    (CANDLES + "&end=0001-01-01T00:00:00%2B23:59", 400, "invalid_end"),
    (CANDLES + "&end=1969-12-31T23:59:59Z", 400, "invalid_end"),
    (CANDLES + "&end=9999-12-31T23:59:59-23:59", 400, "invalid_end"),
    (CANDLES + "&end=253402300800000", 400, "invalid_end"),
    (CANDLES + "&end=2024-13-01T00:00:00Z", 400, "invalid_end"),
    ("/api/comparison?symbols=BTC-USDT", 404, "not_found"),
    ("/api/nothing", 404, "not_found"),
    ("/health/", 404, "not_found"),
    ("//health", 404, "not_found"),
]


@pytest.mark.parametrize(("path", "status", "code"), FAULTS)
def test_faults_have_their_status_and_code(web: Any, path: str, status: int, code: str) -> None:
    answer = web.get(path)
    assert (answer.status, answer.code) == (status, code)
    assert answer.json()["error"]["message"]
    assert answer.headers["content-type"].startswith("application/json")
    assert not web.hub.held


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("POST", "/api/candles", "GET, HEAD, OPTIONS"),
        ("GET", "/api/symbols/refresh", "OPTIONS, POST"),
        ("PUT", "/health", "GET, HEAD, POST, OPTIONS"),
        ("TRACE", "/health", "GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/nowhere", "GET, HEAD, POST, OPTIONS"),
    ],
)
def test_other_methods_are_405_and_told_what_is_allowed(web: Any, method: str, path: str, allow: str) -> None:
    answer = web.get(path, method)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize(
    "path", ["/", "/health", "/ready", "/api/exchanges", "/api/symbols", "/metrics", "/openapi.json", "/nowhere"]
)
def test_head_is_get_without_the_body(web: Any, path: str) -> None:
    get, head = web.get(path), web.get(path, "HEAD")
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_first_value_is_waited_for(web: Any) -> None:
    wire = web.wire()
    wire.ask(TICKER)
    web.scheduler.advance(1.9)
    assert wire.received() == b""
    web.hub.arrive(web.put_ticker())
    assert wire.response().status == 200
    assert not web.hub.waiting[web.topic()]


def test_no_first_value_in_two_seconds_is_409(web: Any) -> None:
    wire = web.wire()
    wire.ask(TICKER)
    web.scheduler.advance(2)
    answer = wire.response()
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (409, "not_yet_known", "1")


def test_a_symbol_that_the_late_catalogue_lacks_is_404(web: Any) -> None:
    upstream = web.hub.upstreams["binance"]
    upstream.catalogue = type(upstream.catalogue)("binance")
    wire = web.wire()
    wire.ask("/api/ticker?exchange=binance&symbol=NOPE-USDT")
    upstream.catalogue.replace(MarketType.SPOT, [])
    web.scheduler.advance(2)
    assert (wire.response().status, wire.response().code) == (404, "unknown_symbol")


def test_a_client_that_leaves_while_waiting_leaks_nothing(web: Any) -> None:
    wire = web.wire()
    wire.ask(TICKER)
    wire.drop()
    assert web.hub.waiting[web.topic()] == []
    web.scheduler.advance(31)
    assert not web.hub.held and not web.scheduler.getDelayedCalls()


def test_a_get_holds_its_topic_for_the_linger_and_the_next_renews(web: Any) -> None:
    topic = web.put_ticker()
    web.get(TICKER)
    web.scheduler.advance(29)
    web.get(TICKER)
    web.scheduler.advance(29)
    assert web.hub.held == {topic: 1}
    web.scheduler.advance(1)
    assert not web.hub.held


def test_one_address_holds_a_bounded_number_of_topics(make_web: Any) -> None:
    web = make_web(limits=Limits(rest_held_topics=3, rest_held_topics_per_ip=2))
    for depth in (1, 5, 10):
        web.put_book(depth)
    paths = [f"{BOOK}&depth={depth}" for depth in (1, 5, 10)]
    assert [web.wire().get(path).status for path in paths[:2]] == [200, 200]
    web.scheduler.advance(10)
    refused = web.wire().get(paths[2])
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "too_many_topics", "20")
    assert web.wire().get(paths[0]).status == 200, "a topic held already costs nothing"
    assert web.wire("192.0.2.2").get(paths[2]).status == 200
    web.put_ticker()
    assert web.wire("192.0.2.3").get(TICKER).status == 429, "the sum is bounded too"
    web.rest.stop()
    assert not web.hub.held
    assert set(web.hub.holders) == {(f"rest {each}", each) for each in ("192.0.2.1", "192.0.2.2")}


def test_an_internal_error_tells_the_peer_nothing(web: Any) -> None:
    web.hub.bars = RuntimeError("secret detail")
    answer = web.get(CANDLES)
    assert answer.json() == {"error": {"code": "internal_error", "message": "the server failed to answer"}}
    assert answer.status == 500 and web.get("/health").status == 200


@settings(deadline=None, max_examples=60)
@given(
    path=st.sampled_from(["/api/ticker", "/api/orderbook", "/api/trades", "/api/candles", "/api/symbols"]),
    data=st.data(),
)
def test_no_query_is_a_server_error(make_web: Any, path: str, data: st.DataObject) -> None:
    web = make_web()
    names = st.sampled_from(["exchange", "symbol", "market_type", "limit", "interval", "depth", "end", "search", "x"])
    texts = st.one_of(
        st.sampled_from(["binance", "BTC-USDT", "spot", "1m", "5"]), st.text("-/*%&=+09AzÄ٣\x00", max_size=12)
    )
    pairs = data.draw(st.lists(st.tuples(names, texts), max_size=6))
    query = "&".join(f"{name}={''.join(f'%{byte:02x}' for byte in text.encode())}" for name, text in pairs)
    wire = web.wire()
    wire.ask(f"{path}?{query}")
    web.scheduler.advance(2)
    assert wire.response().status < 500


def test_behind_a_trusted_proxy_the_forwarded_address_pays(make_web: Any) -> None:
    web = make_web(trusted_proxies=("192.0.2.0/24",), limits=Limits(rest_held_topics_per_ip=1))
    for depth in (1, 5, 10):
        web.put_book(depth)
    assert web.get(f"{BOOK}&depth=1", X_Forwarded_For="198.51.100.1").status == 200
    assert web.get(f"{BOOK}&depth=5", X_Forwarded_For="198.51.100.2").status == 200
    assert web.get(f"{BOOK}&depth=10", X_Forwarded_For="203.0.113.9, 198.51.100.2").status == 429


@pytest.mark.parametrize(("trusted", "last"), [(("unix",), 200), ((), 429)])
def test_on_a_unix_socket_the_forwarded_address_pays_where_the_socket_is_trusted(
    make_web: Any, trusted: tuple[str, ...], last: int
) -> None:
    web = make_web(trusted_proxies=trusted, limits=Limits(rest_held_topics_per_ip=1))
    answers = []
    for depth, client in ((1, "198.51.100.1"), (5, "198.51.100.1"), (10, "198.51.100.2")):
        web.put_book(depth)
        wire = web.wire(transport=StringTransport(peerAddress=UNIXAddress(b"")))
        answers.append(wire.get(f"{BOOK}&depth={depth}", X_Forwarded_For=client).status)
    assert answers == [200, 429, last]

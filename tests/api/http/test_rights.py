"""With access on, no route and no message gives anything to one without the right.

The tables are over all there is: the routes are those of the application, the ops and channels those of the server. A
new one without a row here fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from attrs import evolve, frozen

from cryptodash.api.access.access import Access
from cryptodash.api.access.grant import EVERYTHING
from cryptodash.api.access.tokens import hash_of
from cryptodash.api.http.door import NEEDS, Right
from cryptodash.api.http.rest import Rest
from cryptodash.api.ws.authentication import Authentication
from cryptodash.api.ws.requests import OPS, WITH_CHANNELS
from cryptodash.core.config import Config
from cryptodash.core.recorded import Entry, Play
from cryptodash.core.topics import Channel
from tests.api.fake_tapes import AT, FROM, FakeTapes

TOKENS = {
    "all": "read",
    "admin": "admin",
    "both": "read admin",
    "tickers": "read:ticker:binance:spot",
    "one": "read:*:binance:spot:BTC-USDT",
    "elsewhere": "read:*:kraken",
    "composite": "read:bbo:composite",
    "narrow": "read:bbo:composite:spot:ETH-USDT",
}
NOBODY = (None, "wrong", "")
"""What is presented by one without a token: no header, a wrong token, an empty one."""

SPOT = "exchange=binance&symbol=BTC-USDT"


@frozen
class Row:
    """``query`` asks for something that there is; those of ``may`` get it, with ``PROTECT_OPS`` those of ``protected``;
    others with a good token get 403."""

    right: Right
    may: frozenset[str]
    query: str = ""
    protected: frozenset[str] | None = None
    method: str = "GET"


def row(right: Right, may: str, query: str = "", protected: str | None = None, method: str = "GET") -> Row:
    return Row(
        right, frozenset(may.split()), query, None if protected is None else frozenset(protected.split()), method
    )


EVERYBODY = " ".join(TOKENS)
READERS = "all both tickers one elsewhere composite narrow"
ROUTES: Mapping[str, Row] = {
    "/": row(Right.OPEN, EVERYBODY),
    "/assets/<name>": row(Right.OPEN, EVERYBODY),
    "/openapi.json": row(Right.OPEN, EVERYBODY),
    "/asyncapi.json": row(Right.OPEN, EVERYBODY),
    "/health": row(Right.OPEN, EVERYBODY),
    "/ready": row(Right.STATUS, EVERYBODY),
    "/metrics": row(Right.OPERATE, "all admin both", protected="admin both"),
    "/api/streams": row(Right.OPERATE, "all admin both", protected="admin both"),
    "/api/quality": row(Right.OPERATE, "all admin both", protected="admin both"),
    "/api/symbols/refresh": row(Right.OPERATE, "all admin both", protected="admin both", method="POST"),
    "/api/exchanges": row(Right.READ, READERS),
    "/api/symbols": row(Right.READ, READERS),
    "/api/ticker": row(Right.READ, "all both tickers one", SPOT),
    "/api/orderbook": row(Right.READ, "all both one", SPOT),
    "/api/orderbook/snapshot": row(Right.READ, "all both one", SPOT),
    "/api/trades": row(Right.READ, "all both one", SPOT),
    "/api/candles": row(Right.READ, "all both one", SPOT),
    "/api/compare": row(Right.READ, "all both composite", "symbols=BTC-USDT"),
    "/api/history": row(Right.READ, "all both tickers one", SPOT),
    "/api/history/trades": row(Right.READ, "all both one", SPOT),
    "/api/history/candles": row(Right.READ, "all both one", SPOT),
    "/api/history/book": row(Right.READ, "all both one", SPOT + "&at=0"),
    "/trades.arrow": row(Right.READ, "all both one", "venue=binance&symbol=BTC-USDT"),
}
"""By the template of the route."""


def tokens_file(tmp_path: Any) -> str:
    path = tmp_path / "tokens"
    path.write_text("".join(f"{name}:{hash_of(name * 8).hex()}:{scopes}\n" for name, scopes in TOKENS.items()))
    return str(path)


@pytest.fixture
def guarded(make_web: Any, tmp_path: Any) -> Any:
    """A server with values of all kinds, whose rules of access know ``TOKENS``: a token is its name, eight times."""

    def make(**settings: Any) -> Any:
        web = make_web(auth_tokens_file=tokens_file(tmp_path), **settings)
        web.put_ticker()
        web.put_book()
        web.put_trades(3)
        return web

    return make


def ask(web: Any, path: str, holder: str | None, method: str, address: str = "192.0.2.1") -> Any:
    header = {} if holder is None else {"Authorization": f"Bearer {holder * 8 if holder in TOKENS else holder}"}
    wire = web.wire(address)
    wire.ask(path, method, **header)
    for _ in range(40):  # what waits for a value, or is made in steps
        if wire.received():
            break
        web.scheduler.advance(0.1)
    return wire.response()


def address_of(template: str, query: str = "") -> str:
    return template.replace("<name>", "app.js") + (f"?{query}" if query else "")


def methods(row: Row) -> Iterator[str]:
    yield row.method
    if row.method == "GET":
        yield "HEAD"


def test_every_route_of_the_application_has_a_row_and_says_itself_which_right_it_needs() -> None:
    found = {}
    for rule in Rest.app.url_map.iter_rules():
        handler = Rest.__dict__[rule.endpoint]
        found[rule.rule] = getattr(handler, NEEDS, "NO RIGHT AT ALL")
    assert found == {template: row.right for template, row in ROUTES.items()}


@pytest.mark.parametrize("protects", [False, True])
@pytest.mark.parametrize("template", ROUTES)
def test_who_gets_what_of_each_route(guarded: Any, template: str, protects: bool) -> None:
    web, row = guarded(protect_ops=protects), ROUTES[template]
    may = row.protected if protects and row.protected is not None else row.may
    path = address_of(template, row.query)
    for method in methods(row):
        for holder in NOBODY:
            answer = ask(web, path, holder, method, f"192.0.2.{NOBODY.index(holder) + 1}")
            if row.right is Right.OPEN or (row.right is Right.STATUS and holder is None):
                assert answer.status in (200, 503), (method, holder)
                continue
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, holder)
            if method != "HEAD":
                assert set(answer.json()) == {"error"} and answer.code == "unauthorized"
        for holder in TOKENS:
            answer = ask(web, path, holder, method)
            if holder in may:
                assert answer.status not in (401, 403), (method, holder)
            else:
                assert answer.status == 403, (method, holder)
                assert method == "HEAD" or (set(answer.json()), answer.code) == ({"error"}, "forbidden")


@pytest.mark.parametrize(
    "template", [name for name, row in ROUTES.items() if row.right not in (Right.OPEN, Right.STATUS)]
)
def test_no_other_spelling_of_a_route_leads_past_its_door(guarded: Any, template: str) -> None:
    web, row = guarded(), ROUTES[template]
    path, query = template, f"?{row.query}"
    last = path.rpartition("/")[2]
    spelled = [
        path.replace(last, f"%{ord(last[0]):02x}{last[1:]}"),
        path.replace(last, last.upper()),
        *(f"{path}/", f"{path}//", f"/{path}", f"/.{path}", f"/x/..{path}", f"{path};a=b", f"{path}%00", f"{path}%2f"),
        f"http://example.test:8080{path}",
        f"{path}?token={'all' * 8}",
    ]
    seen = set()
    for each in spelled:
        seen.add(ask(web, each if "?" in each else each + query, None, row.method).status)
    assert seen <= {400, 401, 404} and 401 in seen


def test_methods_and_preflights_give_nothing(guarded: Any) -> None:
    web = guarded()
    for template, row in ROUTES.items():
        path = address_of(template, row.query)
        preflight = ask(web, path, None, "OPTIONS")
        assert (preflight.status, preflight.body) == (204, b"")
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        other = ask(web, path, None, "POST" if row.method == "GET" else "GET")
        assert other.status in (401, 405)


def test_lists_leave_out_what_is_of_no_concern(guarded: Any) -> None:
    web = guarded()

    def named(path: str, holder: str) -> Any:
        document = ask(web, path, holder, "GET").json()["exchanges"]
        return [each.get("id", each.get("exchange")) for each in document]

    for path in ("/api/exchanges", "/api/symbols", "/api/symbols?market_type=spot", "/api/symbols?search=BTC"):
        assert named(path, "all") == ["binance", "bybit"]
        assert named(path, "tickers") == ["binance"]
        assert named(path, "elsewhere") == []
    assert ask(web, "/api/symbols?exchange=bybit", "tickers", "GET").status == 403
    assert ask(web, "/api/symbols?exchange=composite", "tickers", "GET").status == 403
    assert ask(web, "/api/symbols?exchange=nonesuch", "tickers", "GET").status == 403
    assert ask(web, "/api/symbols?exchange=nonesuch", "all", "GET").status == 404


def test_what_lies_outside_of_the_patterns_is_refused_whether_it_exists_or_not(guarded: Any) -> None:
    web = guarded()
    asked = {
        "/api/ticker?exchange=binance&symbol=ETH-USDT": "one",
        "/api/ticker?exchange=bybit&symbol=BTC-USDT": "one",
        "/api/ticker?exchange=bybit&symbol=NONE-SUCH": "one",
        "/api/ticker?exchange=nonesuch&symbol=BTC-USDT": "one",
        "/api/ticker?exchange=binance&symbol=BTC-USDC&market_type=perpetual": "one",
        "/api/trades?exchange=binance&symbol=BTC-USDT": "tickers",
        "/api/orderbook?exchange=composite&symbol=BTC-USDT": "one",
        "/api/compare?symbols=BTC-USDT&exchanges=binance": "one",
        "/api/compare?symbols=NONE-SUCH": "one",
        "/api/compare?symbols=BTC-USDT": "narrow",
        "/api/compare?symbols=ETH-USDT,BTC-USDT": "narrow",
    }
    assert {path: ask(web, path, holder, "GET").status for path, holder in asked.items()} == dict.fromkeys(asked, 403)
    assert web.hub.held == {}, "nothing was opened for it"


def test_the_guard_of_what_an_operator_asks_for_comes_with_the_rules(guarded: Any) -> None:
    web = guarded()
    assert ask(web, "/metrics", "all", "GET").status == 200
    access, config = web.rest.door._access, web.rest._config
    assert access.replace(evolve(config, protect_ops=True))
    assert (ask(web, "/metrics", "all", "GET").status, ask(web, "/metrics", "admin", "GET").status) == (403, 200)


def test_without_a_token_of_everything_ready_says_its_status_alone(guarded: Any) -> None:
    web = guarded()
    for holder in (None, "tickers", "elsewhere"):
        assert ask(web, "/ready", holder, "GET").json() == {"status": "ready"}
    for holder in ("all", "admin"):
        assert "dependencies" in ask(web, "/ready", holder, "GET").json()
    assert ask(web, "/ready", "wrong", "GET").status == 401


def test_an_address_with_too_many_wrong_tokens_waits_and_others_do_not(guarded: Any) -> None:
    web = guarded(trusted_proxies=("192.0.2.0/24",))

    def via_proxy(forwarded: str, token: str) -> int:
        headers = {"X_Forwarded_For": forwarded, "Authorization": f"Bearer {token}"}
        answer = web.wire("192.0.2.9").get("/api/exchanges", **headers)
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) >= 1
        return int(answer.status)

    statuses = [via_proxy(f"2001:db8::{at:x}", f"guess-{at}") for at in range(30)]
    assert statuses == [401] * 20 + [429] * 10
    assert via_proxy("2001:db8::ffff", "all" * 8) == 429, "the same /64"
    assert via_proxy("2001:db8:0:1::1", "all" * 8) == 200
    assert via_proxy("198.51.100.7", "guess") == 401


# -- /ws --


def channel(kind: Channel) -> dict[str, Any]:
    market = "perpetual" if kind is Channel.LIQUIDATION else "spot"
    named = {"channel_type": kind.value, "exchange": "binance", "market_type": market, "symbol": "BTC-USDT"}
    return {**named, "interval": "1m"} if kind is Channel.CANDLE else named


CHANNELS = {
    **{kind.value: channel(kind) for kind in Channel},
    "sweep": {"channel_type": "ticker", "exchange": "binance", "symbol": "*"},
    "composite bbo": {"channel_type": "bbo", "exchange": "composite", "symbol": "BTC-USDT"},
    "composite order_book": {"channel_type": "order_book", "exchange": "composite", "symbol": "BTC-USDT"},
}
"""All kinds of channels: one of each channel type, and what is made of many."""
SCOPES = {
    "ticker": "read:ticker:binance",
    "trade": "read:trade:*:spot",
    "order_book": "read:orderbook:binance:spot:*-USDT",
    "candle": "read:candle:binance:*:BTC-USDT",
    "bbo": "read:bbo:binance",
    "liquidation": "read:liquidation:binance:perpetual:BTC-*",
    "sweep": "read:ticker:binance:spot:*",
    "composite bbo": "read:bbo:composite",
    "composite order_book": "read:order_book:composite",
}
"""Of each kind a scope that allows it."""
ALSO = {"sweep": {"ticker"}, "ticker": {"sweep"}}
"""What such a scope allows besides."""
OPS_ROWS = frozenset(("subscribe", "unsubscribe", "list", "resync", "ping", "auth", "replay", "replay_stop"))
"""The ops that the tests below go through."""


def publish(world: Any) -> None:
    """Something happens in every channel that anybody could have."""
    world.ticker("1.5")
    world.trade(1)
    world.candle(0, "1.5")
    world.book("1.5")
    world.liquidation(1)
    world.flush()


def authentication(world: Any, tmp_path: Any, holder: str | None, **scopes: str) -> Any:
    """What one client may do who has shown ``holder``'s token, or none."""
    path = tmp_path / "tokens"
    path.write_text("".join(f"{name}:{hash_of(name * 8).hex()}:{words}\n" for name, words in scopes.items()))
    access = Access(Config(auth_tokens_file=str(path)), world.time, world.tally)
    grant = None if holder is None else access.check(holder * 8, "10.0.0.1")
    return Authentication(access, "10.0.0.1", world.time, grant)


def test_every_op_and_every_channel_has_a_row() -> None:
    assert set(OPS) == OPS_ROWS
    assert WITH_CHANNELS <= OPS_ROWS
    assert {each.value for each in Channel} <= CHANNELS.keys() == SCOPES.keys()


@pytest.mark.parametrize("op", sorted(OPS_ROWS - {"auth"}))
def test_before_a_token_no_op_gives_anything(make_world: Any, tmp_path: Any, op: str) -> None:
    world = make_world()
    client = world.client(authentication=authentication(world, tmp_path, None, page="read"))
    client.session.opened()
    [asked] = client.got()
    assert (asked["type"], asked["payload"]["auth"]) == ("info", "required")
    assert "session" not in asked["payload"] and "version" not in asked["payload"]
    [answer] = client.ask({"op": op, "channels": list(CHANNELS.values()), "id": 7})
    assert (answer["type"], answer["payload"]["code"], answer["payload"]["id"]) == ("error", "unauthorized", 7)
    publish(world)
    assert client.got() == [] and world.venue.wanted == []
    assert client.wire.closed_with is None, "it has five seconds"


@pytest.mark.parametrize("nonsense", [b"", b"{", b"[]", b"{}", b'{"op":7}', b'{"op":"nonesuch"}'], ids=repr)
def test_before_a_token_nonsense_gives_an_error_alone(make_world: Any, tmp_path: Any, nonsense: bytes) -> None:
    world = make_world()
    client = world.client(authentication=authentication(world, tmp_path, None, page="read"))
    assert {each["type"] for each in client.ask(nonsense)} == {"error"}


@pytest.mark.parametrize("kind", CHANNELS)
def test_each_kind_of_channel_needs_a_scope_that_allows_it(make_world: Any, tmp_path: Any, kind: str) -> None:
    allowed = {kind} | ALSO.get(kind, set())
    for op in sorted(WITH_CHANNELS):
        world = make_world()
        tapes = FakeTapes()
        rights = authentication(world, tmp_path, "page", page=SCOPES[kind])
        client = world.client(authentication=rights, tapes=tapes)
        answers = client.ask({"op": op, "channels": list(CHANNELS.values()), "from": FROM})
        if op == "replay":
            (question,) = tapes.questions
            assert isinstance(question, Play) and len(question.topics) == len(allowed)
            tapes.answers[0].put(*(Entry(AT, topic, 0, b'{"type":"x","payload":{"a":1}}') for topic in question.topics))
            world.flush()
            answers = client.got()
        publish(world)
        answers += client.got()
        told = [
            each["payload"].get("channel", each["payload"]) for each in answers if each["type"] not in ("info", "error")
        ]
        if op in ("subscribe", "replay"):
            rejected = answers[0]["payload"]["rejected"]
            assert {each["code"] for each in rejected} == {"forbidden"}
            assert [each["index"] for each in rejected] == [
                at for at, name in enumerate(CHANNELS) if name not in allowed
            ]
            assert answers[0]["payload"]["message"].startswith(
                f"{'Subscribed to' if op == 'subscribe' else 'Replaying'} {len(allowed)} channels"
            )
        else:
            assert told == [] and world.venue.wanted == [], op
            if op == "resync":
                codes = dict.fromkeys(CHANNELS, "forbidden") | dict.fromkeys(allowed, "not_subscribed")
                assert [each["code"] for each in answers[0]["payload"]["rejected"]] == list(codes.values())
        for each in told if op != "replay" else ():
            assert each["exchange"] == ("composite" if "composite" in kind else "binance")


def test_a_sweep_gives_no_more_than_the_pattern(make_world: Any, tmp_path: Any) -> None:
    for scope in ("read:ticker:binance:spot:BTC-USDT", "read:ticker:binance:spot:*-USDT", "read:ticker:bybit"):
        world = make_world()
        client = world.client(authentication=authentication(world, tmp_path, "page", page=scope))
        answers = client.subscribe(CHANNELS["sweep"])
        assert answers[0]["payload"]["rejected"][0]["code"] == "forbidden", scope
        assert [each["type"] for each in answers] == ["info", "error"] and answers[1]["payload"]["code"] == "forbidden"


def test_list_names_only_what_the_client_has(make_world: Any, tmp_path: Any) -> None:
    world = make_world()
    other = world.client()
    other.subscribe(*CHANNELS.values())
    client = world.client(authentication=authentication(world, tmp_path, "page", page="read:ticker:binance"))
    client.subscribe(*CHANNELS.values())
    [listed] = client.ask({"op": "list"})
    assert [each["channel_type"] for each in listed["payload"]["channels"]] == ["ticker", "ticker"]


def test_auth_before_and_after(make_world: Any, tmp_path: Any) -> None:
    world = make_world()
    client = world.client(authentication=authentication(world, tmp_path, None, page="read:ticker max_channels=3"))
    client.session.opened()
    client.got()
    said, greeting = client.ask({"op": "auth", "token": "page" * 8, "id": "a"})
    assert said["payload"] == {
        "message": "Authenticated",
        "auth": "ok",
        "scopes": ["read:ticker", "max_channels=3"],
        "id": "a",
    }
    assert greeting["payload"]["message"].startswith("Connected to crypto-dash API. Session: ")
    [again] = client.ask({"op": "auth", "token": "page" * 8})
    assert again["payload"]["auth"] == "ok"
    [wrong] = client.ask({"op": "auth", "token": "wrong"})
    assert (wrong["type"], wrong["payload"]["code"]) == ("error", "unauthorized")
    assert client.wire.closed_with is None and client.subscribe(CHANNELS["ticker"])[0]["payload"]["accepted"]
    for token in (None, 7, {}, []):
        [answer] = client.ask({"op": "auth", "token": token})
        assert answer["payload"]["code"] == "invalid_message"


def test_one_without_access_rules_may_show_a_token_and_needs_none(world: Any) -> None:
    client = world.client()
    [said] = client.ask({"op": "auth", "token": "whatever"})
    assert said["payload"] == {"message": "No token is needed", "auth": "off"}


def test_a_wrong_first_token_ends_the_connection_and_is_repeated_nowhere(make_world: Any, tmp_path: Any) -> None:
    world = make_world()
    client = world.client(authentication=authentication(world, tmp_path, None, page="read"))
    [answer] = client.ask({"op": "auth", "token": "S3CRET-and-wrong"})
    assert answer["payload"] == {"message": "the token is not known", "code": "unauthorized"}
    assert client.wire.closed_with == (1008, "the token is not known")
    assert "S3CRET" not in json.dumps(answer)


def test_everyone_is_a_grant_that_only_an_open_server_gives(make_world: Any, tmp_path: Any) -> None:
    world = make_world()
    checked = authentication(world, tmp_path, "page", page="read admin").grant
    assert checked is not EVERYTHING and checked.reads_all and checked.is_admin

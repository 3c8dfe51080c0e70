"""Through each proxy as it is shipped: the page, REST and /ws, at the root and below a prefix, byte for byte what the
server itself says."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from http.client import HTTPConnection
from urllib.parse import urljoin

import pytest

from tests.processes import Process, get_text
from tests.proxies.conftest import Behind
from tests.proxies.front import Front
from tests.proxies.peers import ask, client, subscribe

Pair = tuple[Process, Front]
pytestmark = pytest.mark.sampled(3)

PREFIXES = ("", "/crypto")
ADDRESS = re.compile(r'(?:href|src)="([^"#]+)"')
IMPORT = re.compile(r'(?:from|import\(|import) ?"(\./[^"]+)"')


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_and_all_that_it_names_are_what_the_server_has(pair: Pair, prefix: str) -> None:
    server, front = pair
    waiting, seen = [f"{prefix}/"], set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        assert path.startswith(f"{prefix}/"), "an address that leaves the prefix"
        answer = ask(front, path)
        assert answer.status == 200, (path, answer.body)
        kind = answer.headers["content-type"]
        if not kind.startswith(("text/html", "text/javascript", "text/css")):
            continue
        text = answer.body.decode()
        assert text == get_text(server.port(), path.removeprefix(prefix))
        found = ADDRESS.findall(text) if "html" in kind else IMPORT.findall(text) if "javascript" in kind else ()
        waiting += [urljoin(path, each) for each in found if not each.startswith(("data:", "https:"))]
    assert len([each for each in seen if each.endswith(".js") or ".js?" in each]) > 50, "not only the first page"
    assert {f"{prefix}/health", f"{prefix}/metrics"} <= {each.partition("?")[0] for each in seen}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_rest_is_the_server_s_own(pair: Pair, prefix: str) -> None:
    server, front = pair
    plain = ask(front, f"{prefix}/api/symbols?exchange=binance&search=BTC")
    assert plain.body.decode() == get_text(server.port(), "/api/symbols?exchange=binance&search=BTC")
    packed = ask(front, f"{prefix}/api/symbols", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body))["exchanges"]
    same = ask(front, f"{prefix}/api/symbols", headers={"If-None-Match": packed.headers["etag"]})
    assert (same.status, same.body) == (304, b"")
    wrong = ask(front, f"{prefix}/api/ticker?exchange=nowhere&symbol=BTC-USDT")
    assert wrong.status == 404 and wrong.json()["error"]["code"] == "unknown_exchange"
    other = ask(front, f"{prefix}/api/ticker", method="DELETE")
    assert other.status == 405 and other.json()["error"]["code"] == "method_not_allowed"
    asked = ask(front, f"{prefix}/api/exchanges", method="OPTIONS", headers={"Origin": "https://seed.example"})
    assert asked.status == 204 and asked.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_ws_greets_and_tells_values_uncompressed(pair: Pair, prefix: str) -> None:
    _, front = pair

    async def talk() -> None:
        socket = await client(front, f"{prefix}/ws", headers={"Origin": front.url})
        assert socket.response is not None
        assert "sec-websocket-extensions" not in {each.lower() for each in socket.response.headers}, (
            "it offers compression, and the server's settings do not"
        )
        greeting = json.loads(await asyncio.wait_for(socket.recv(), 10))
        assert greeting["payload"]["message"].startswith("Connected to crypto-dash API.")
        await socket.send(subscribe())
        kinds = []
        while "ticker" not in kinds:
            kinds.append(json.loads(await asyncio.wait_for(socket.recv(), 10))["type"])
        assert kinds[:2] == ["info", "status"]
        await socket.close(1000)
        assert socket.close_code == 1000

    asyncio.run(talk())


def test_the_prefix_without_its_slash_leads_to_the_one_with_it(pair: Pair) -> None:
    _, front = pair
    answer = ask(front, "/crypto")
    assert answer.status in (301, 308)
    assert urljoin(f"{front.url}/crypto", answer.headers["location"]) == f"{front.url}/crypto/"


def test_plain_http_leads_to_tls(pair: Pair) -> None:
    _, front = pair
    connection = HTTPConnection("127.0.0.1", front.plain_port, timeout=10)
    connection.request("GET", "/api/exchanges?x=1", headers={"Host": "market.example"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert (answer.status, answer.getheader("Location")) == (308, "https://market.example/api/exchanges?x=1")


def test_the_page_may_open_its_socket_below_the_host_that_the_browser_names(pair: Pair) -> None:
    _, front = pair
    headers = ask(front, "/crypto/").headers
    assert f"wss://localhost:{front.port}" in headers["content-security-policy"]
    assert headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("path", ["/metrics", "/crypto/metrics", "/%6detrics", "/crypto/m%65trics"])
def test_metrics_are_for_whom_the_proxy_names(pair: Pair, path: str) -> None:
    _, front = pair
    assert b"cryptodash_sockets" in ask(front, path).body
    assert ask(front, path, source="127.0.0.2").status == 403


def test_no_log_of_the_proxy_has_a_token(pair: Pair) -> None:
    _, front = pair
    assert ask(front, "/api/exchanges?token=s3cretQuery").status == 200

    async def come() -> None:
        await (await client(front, "/crypto/ws?token=s3cretSocket")).close()

    asyncio.run(come())
    assert "s3cret" not in front.said()


def test_no_log_has_a_token_either_where_the_server_is_gone(behind: Behind, name: str) -> None:
    server, front = behind(name)
    server.kill()
    assert ask(front, "/api/exchanges?token=s3cretQuery").status in (502, 503)
    assert "s3cret" not in front.said()

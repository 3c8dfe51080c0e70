"""Headers of everything the HTTP port says, and how the page's files are sent: compressed, tagged,
never older than the server."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import Any

import pytest

from cryptodash.api.http.guards import MAX_URL
from cryptodash.api.http.pages import JS_COMMENT, TYPES, without_comments

HTML_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' ws://example.test:8080 wss://example.test:8080; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types ticks"
)
CLOSED_POLICY = "default-src 'none'; frame-ancestors 'none'"
ASSETS = sorted(
    entry.name for entry in files("cryptodash.dashboard").iterdir() if entry.name.rpartition(".")[2] in ("js", "css")
)
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "7"}
PACKED = {"Accept_Encoding": "gzip"}

ANSWERS: list[tuple[str, str, dict[str, str], int, str]] = [
    ("GET", "/", {}, 200, HTML_POLICY),
    ("GET", "/", PACKED, 200, HTML_POLICY),
    ("HEAD", "/", {}, 200, HTML_POLICY),
    ("GET", "/", {"If_None_Match": "*"}, 304, HTML_POLICY),
    ("POST", "/", {}, 405, CLOSED_POLICY),
    ("OPTIONS", "/", {}, 204, CLOSED_POLICY),
    ("BREW", "/", {}, 405, CLOSED_POLICY),
    ("GET", "/", {"Host": "evil.test;script-src *"}, 400, CLOSED_POLICY),
    ("GET", "/assets/style.css", {}, 200, CLOSED_POLICY),
    ("HEAD", "/assets/style.css", PACKED, 200, CLOSED_POLICY),
    ("GET", "/assets/app.js?v=1", {}, 200, CLOSED_POLICY),
    ("GET", "/assets/app.js", {"If_None_Match": "*"}, 304, CLOSED_POLICY),
    ("GET", "/assets/nope.js", {}, 404, CLOSED_POLICY),
    ("GET", "/health", {}, 200, CLOSED_POLICY),
    ("HEAD", "/health", {}, 200, CLOSED_POLICY),
    ("GET", "/ready", {}, 200, CLOSED_POLICY),
    ("GET", "/metrics", {}, 200, CLOSED_POLICY),
    ("GET", "/openapi.json", PACKED, 200, CLOSED_POLICY),
    ("GET", "/api/symbols", PACKED, 200, CLOSED_POLICY),
    ("GET", "/api/symbols", {"If_None_Match": "*"}, 304, CLOSED_POLICY),
    ("GET", "/api/ticker", {}, 400, CLOSED_POLICY),
    ("GET", "/api/ticker?exchange=nope&symbol=A-B", {}, 404, CLOSED_POLICY),
    ("DELETE", "/api/ticker", {}, 405, CLOSED_POLICY),
    ("GET", "/nowhere", {}, 404, CLOSED_POLICY),
    ("GET", "/%00", {}, 400, CLOSED_POLICY),
    ("GET", "/ws", {}, 426, CLOSED_POLICY),
    ("GET", "/ws", UPGRADE, 426, CLOSED_POLICY),
    ("GET", "/" + "a" * MAX_URL, {}, 414, CLOSED_POLICY),
    ("GET", "/", {"X": "a" * 17_000}, 431, CLOSED_POLICY),
]


def named(case: tuple[str, str, dict[str, str], int, str]) -> str:
    method, path, headers, status, _ = case
    return f"{method} {path[:40]} {' '.join(f'{name}={text[:20]}' for name, text in headers.items())} {status}"


def check_headers(headers: dict[str, str], policy: str) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == policy
    assert headers["server"] == "cryptodash"


@pytest.mark.parametrize("case", ANSWERS, ids=named)
def test_every_answer_has_its_security_headers(web: Any, case: tuple[str, str, dict[str, str], int, str]) -> None:
    method, path, headers, status, policy = case
    answer = web.get(path, method, **headers)
    assert answer.status == status
    check_headers(answer.headers, policy)


def test_a_request_that_comes_too_slowly_too(web: Any) -> None:
    wire = web.wire()
    wire.send(b"GET / HT")
    web.scheduler.advance(10)
    assert wire.response().status == 408
    check_headers(wire.response().headers, CLOSED_POLICY)


def test_a_request_that_is_too_large_too(web: Any) -> None:
    answer = web.get("/api/symbols/refresh", "POST", bytes(70_000))
    assert answer.status == 413
    check_headers(answer.headers, CLOSED_POLICY)


def test_a_failure_of_the_server_too(web: Any) -> None:
    web.hub.resolve = None
    answer = web.get("/api/ticker?exchange=binance&symbol=BTC-USDT")
    assert answer.status == 500
    check_headers(answer.headers, CLOSED_POLICY)


@pytest.mark.parametrize("host", ["dash.example", "10.0.0.7:8080", "[::1]:8080"])
def test_the_page_may_open_sockets_to_the_host_it_came_from_and_no_other(web: Any, host: str) -> None:
    directives = dict(
        each.split(" ", 1) for each in web.get("/", Host=host).headers["content-security-policy"].split("; ")
    )
    assert directives["connect-src"] == f"'self' ws://{host} wss://{host}"


def test_a_page_without_a_host_names_none(web: Any) -> None:
    wire = web.wire()
    wire.send(b"GET / HTTP/1.0\r\n\r\n")
    assert "connect-src 'self';" in wire.response().headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", *(f"/assets/{name}" for name in ASSETS)])
def test_a_file_is_asked_for_again_and_sent_again_only_if_it_changed(web: Any, path: str) -> None:
    plain, packed = web.get(path), web.get(path, **PACKED)
    assert plain.headers["content-type"] == TYPES[(path.rpartition(".")[2] if path != "/" else "html")]
    assert plain.headers["cache-control"] == packed.headers["cache-control"] == "no-cache"
    assert plain.headers["etag"] == packed.headers["etag"]
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    if len(plain.body) >= 1024:
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
    for known in (
        plain.headers["etag"],
        plain.headers["etag"].removeprefix("W/"),
        f'"other", {plain.headers["etag"]}',
        "*",
    ):
        again = web.get(path, If_None_Match=known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", plain.headers["etag"])
        assert (again.headers["cache-control"], again.headers["vary"]) == ("no-cache", "Accept-Encoding")
    assert web.get(path, If_None_Match='"other"').status == 200
    head = web.get(path, "HEAD")
    assert head.headers | {"date": ""} == plain.headers | {"date": ""} and head.body == b""


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("GZIP;Q=0.001", True),
        ("deflate, gzip; q=1.0, *;q=0.5", True),
        ("*", True),
        ("*;q=0, gzip", True),
        ("br;q=1.0", False),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
    ],
)
def test_gzip_is_sent_to_who_takes_it(web: Any, accepted: str, packed: bool) -> None:
    for path in ("/", "/openapi.json", "/api/streams"):
        answer = web.get(path, Accept_Encoding=accepted)
        assert ("content-encoding" in answer.headers) is (packed and path != "/api/streams")


COMMENTED = b"""// A module.

import { a } from "./a.js"; // stays
/** What b is,
 *  and why. */
export const b = "// not a comment"; /* stays */
  /* one line */
  const url = "http://x"; /* begins here
  ends here */
/* code behind it stays */ c();
"""


def test_comments_with_lines_of_their_own_are_left_out_and_the_lines_stay_where_they_were() -> None:
    sent = without_comments(JS_COMMENT, COMMENTED).splitlines()
    kept = COMMENTED.splitlines()
    assert len(sent) == len(kept)
    left_out = {0, 3, 4, 6}
    for number, (line, before) in enumerate(zip(sent, kept, strict=True)):
        assert line == (b"" if number in left_out else before)


@pytest.mark.parametrize("name", [name for name in ASSETS if name.endswith(".js")])
def test_no_template_of_the_page_spans_lines_so_that_none_can_hold_what_looks_like_a_comment(name: str) -> None:
    for line in (files("cryptodash.dashboard") / name).read_text(encoding="utf-8").splitlines():
        assert line.replace('"`"', "").count("`") % 2 == 0, line


def test_another_release_is_another_page_that_loads_other_scripts(make_web: Any) -> None:
    html = make_web().get("/").body.decode()
    assert "assets/app.js?v=1.2.3" in html
    assert "{version}" not in html

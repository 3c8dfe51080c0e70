"""What an assistant is told of answers of the server: a price that is not of now never stands under ``now``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cryptodash.mcp import answers
from cryptodash.mcp.answers import MOST_BAD_STREAMS, MOST_MARKETS
from cryptodash.mcp.rest import MOST_BYTES, Rest, Unanswered

LIVE = {"state": "live", "age_ms": 412, "source": "live"}
TICKER = {
    "bid": Decimal("43250.50000000"),
    "ask": Decimal("1E-8"),
    "last": 43251,
    "mark_price": Decimal("43250.10"),
    "timestamp": "2024-01-01T00:00:00.000Z",
    "status": LIVE,
    "source": "live",
}


def test_a_live_price_is_told_to_the_last_digit() -> None:
    told = answers.ticker(TICKER)
    assert told["freshness"] == "live, 0.4 s old"
    assert told["may_be_quoted_as_current"] is True
    assert {name: told["now"][name] for name in ("bid", "ask", "last")} == {
        "bid": "43250.50000000",
        "ask": "0.00000001",
        "last": "43251",
    }


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"state": "stale", "cause": "silent", "age_ms": 12_000}, "STALE for 12 s: silent: do not quote as current"),
        ({"state": "resyncing", "cause": "gap", "age_ms": 900}, "RESYNCING for 1 s: gap: do not quote as current"),
        ({"state": "closed", "cause": "delisted"}, "CLOSED: delisted: do not quote as current"),
        ({"state": "recorded"}, "recorded, not of now: do not quote as current"),
        ({"state": "a word of the future"}, "A WORD OF THE FUTURE: no cause told: do not quote as current"),
        ({}, "UNKNOWN: no cause told: do not quote as current"),
    ],
)
def test_what_is_not_of_now_does_not_stand_there(status: dict[str, Any], words: str) -> None:
    for told in (answers.ticker({**TICKER, "status": status}), answers.book({**BOOK, "status": status})):
        assert told["freshness"] == words
        assert told["may_be_quoted_as_current"] is False
        assert "now" not in told and told["last_known"]


def test_a_replay_is_never_of_now_and_a_simulator_is_named() -> None:
    told = answers.ticker({**TICKER, "source": "replay"})
    assert told["may_be_quoted_as_current"] is False and "now" not in told
    assert "SIMULATED" in answers.ticker({**TICKER, "source": "simulated"})["source"]


def test_a_member_that_is_older_than_the_rest_stands_apart() -> None:
    told = answers.ticker({**TICKER, "status": {**LIVE, "fields": ["mark_price"]}})
    assert "mark_price" not in told["now"] and told["last_known"] == {"mark_price": "43250.10"}
    assert told["freshness"] == "live, 0.4 s old (mark_price stale)"


BOOK = {
    "bids": [{"price": Decimal("1.10"), "quantity": 5}],
    "asks": [{"price": Decimal("1.20"), "quantity": Decimal("0.500")}],
    "complete": True,
    "status": {"state": "quiet", "age_ms": 30_000},
    "source": "live",
}


def test_a_book_has_its_levels_exactly() -> None:
    told = answers.book(BOOK)
    assert told["now"]["bids"] == [["1.10", "5"]] and told["now"]["asks"] == [["1.20", "0.500"]]
    assert told["freshness"].startswith("quiet")


def test_bars_that_have_closed_are_history_and_the_running_one_is_as_fresh_as_the_ticker() -> None:
    bar = {"timestamp": "t", "open": 1, "high": 2, "low": 1, "close": Decimal("1.50"), "volume": 3}
    payload = {"candles": [{**bar, "closed": True}, {**bar, "closed": False}], "source": "live"}
    told = answers.candles(payload, answers.freshness(LIVE, "live"))
    assert told["closed"] == [["t", "1", "2", "1", "1.50", "3"]] and told["running_now"] == told["closed"][0]
    told = answers.candles(payload, answers.freshness({"state": "stale", "cause": "late", "age_ms": 4000}, "live"))
    assert "running_now" not in told and "STALE for 4 s: late" in told["freshness"]


def test_answers_are_bounded() -> None:
    symbols = [{"market_type": "spot", "symbol": f"A{n}-USDT", "status": "trading"} for n in range(500)]
    venues = {"exchanges": [{"id": "binance", "status": "online", "idle": True}]}
    told = answers.markets({"exchanges": [{"exchange": "binance", "symbols": symbols}]}, venues)
    assert len(told["markets"]) == MOST_MARKETS and told["left_out"].startswith("450 more")
    assert told["exchanges"] == {"binance": "online (idle)"}
    streams = [{"exchange": "binance", "name": f"s{n}", "state": "stale", "in_use": True} for n in range(100)]
    told = answers.quality({"as_of": "t", "exchanges": [], "streams": streams})
    assert len(told["streams_not_good_now"]) == MOST_BAD_STREAMS and told["streams_not_good_now_count"] == 100


# REST


@contextmanager
def serving(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives one answer, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_numbers_keep_their_digits_and_the_token_is_a_header() -> None:
    with serving(200, b'{"last":1.500}') as (url, asked):
        assert str(Rest(url, "secret").get("/api/ticker", symbol="A-B", market_type=None)["last"]) == "1.500"
    assert asked == [("/api/ticker?symbol=A-B", "Bearer secret")]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_denied_in_words_that_do_not_hold_it(status: int) -> None:
    body = json.dumps({"error": {"code": "unauthorized", "message": "wrong token"}}).encode()
    with serving(status, body) as (url, _), pytest.raises(Unanswered, match="denies access") as raised:
        Rest(url, "secret").get("/api/ticker")
    assert raised.value.code == "unauthorized" and "secret" not in str(raised.value)


def test_the_token_goes_nowhere_else() -> None:
    with (
        serving(200, b"{}") as (elsewhere, asked),
        serving(302, b"", Location=elsewhere) as (url, _),
        pytest.raises(Unanswered),
    ):
        Rest(url, "secret").get("/api/ticker")
    assert asked == []


@pytest.mark.parametrize(("body", "code"), [(b"<html>", "no_json"), (b" " * (MOST_BYTES + 1), "too_large")])
def test_what_cannot_be_used_is_no_answer(body: bytes, code: str) -> None:
    with serving(200, body) as (url, _), pytest.raises(Unanswered) as raised:
        Rest(url).get("/api/ticker")
    assert raised.value.code == code


def test_nobody_there_is_said() -> None:
    with pytest.raises(Unanswered, match="cannot reach"):
        Rest("http://127.0.0.1:9").get("/api/ticker")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ws://127.0.0.1", "file:///etc/passwd", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is meant"):
        Rest(url)

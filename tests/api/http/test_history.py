"""Recorded time by REST: what is asked, what is answered, how it leaves, and what it costs who asks."""

from __future__ import annotations

import json
import zlib
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer

from cryptodash.api.http.pulled_body import ANSWER_S
from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import BookAt, History, Item, Made, Missing, Recorded, Span
from cryptodash.core.time import rfc3339
from cryptodash.recording.history_answers import history_answer
from cryptodash.recording.recording import Recording
from tests.recording.tapes import SECOND, write_run
from tests.recording.test_history import START, TRADES, blocks_of, of_a_minute

T0 = 1_704_067_200_000
"""The servers' clock at the beginning of each test."""
SYMBOL = "exchange=binance&symbol=BTC-USDT"
ARROW = "application/vnd.apache.arrow.stream"
RANGE = [Span(T0 * 1000 - 60 * SECOND, T0 * 1000 - 1)]


@define(eq=False)
class AnswerDouble:
    """Parts that come when they are asked for, or an error; ``is_slow``: when the test says so."""

    parts: list[Sequence[Item]]
    error: Exception | None = None
    is_slow: bool = False
    pulled: int = 0
    is_cancelled: bool = False
    waiting: list[Deferred[None]] = field(factory=list)

    async def more(self) -> Sequence[Item]:
        self.pulled += 1
        if self.is_slow:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        if self.parts:
            return self.parts.pop(0)
        if self.error is not None:
            raise self.error
        return ()

    def cancel(self) -> None:
        self.is_cancelled = True


@define(eq=False)
class TapesDouble:
    """Gives this answer to every question."""

    answer: AnswerDouble
    asked: list[Any] = field(factory=list)
    clients: list[Hashable] = field(factory=list)
    error: Exception | None = None

    def ask(self, question: Any, client: Hashable, wait_s: float = 0.0) -> AnswerDouble:
        if self.error is not None:
            raise self.error
        self.asked.append(question)
        self.clients.append(client)
        return self.answer


@define(eq=False)
class TapesHere:
    """A recording, read in this process."""

    root: Path

    def ask(self, question: Any, client: Hashable, wait_s: float = 0.0) -> AnswerDouble:
        with Recording(self.root) as recording:
            return AnswerDouble([[each] for each in history_answer(recording, question)])


def made(*bodies: bytes) -> list[Sequence[Item]]:
    return [[Made(each)] for each in bodies]


def serving(make_web: Any, *bodies: bytes, **more: Any) -> tuple[Any, TapesDouble]:
    tapes = TapesDouble(AnswerDouble(made(*bodies), **more))
    return make_web(tapes=tapes), tapes


PATHS = [
    f"/api/history?{SYMBOL}",
    f"/api/history/trades?{SYMBOL}",
    f"/api/history/candles?{SYMBOL}",
    f"/api/history/book?{SYMBOL}&at={T0}",
    "/trades.arrow?venue=binance&symbol=BTC-USDT",
]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_recording_each_says_so_in_a_sentence(web: Any, path: str) -> None:
    answer = web.get(path)
    assert (answer.status, answer.code) == (404, "not_recorded")
    assert answer.json()["error"]["message"] == "this server records nothing: it was started without RECORD_DIR"


BAD = [
    ("/api/history/trades", 400, "missing_parameter"),
    ("/api/history/trades?exchange=binance", 400, "missing_parameter"),
    ("/trades.arrow?exchange=binance&symbol=BTC-USDT", 400, "missing_parameter"),
    ("/trades.arrow?venue=binance&symbol=BTC-USDT&market=future", 400, "invalid_market"),
    (f"/api/history/book?{SYMBOL}", 400, "missing_parameter"),
    (f"/api/history/book?{SYMBOL}&at=noon", 400, "invalid_at"),
    (f"/api/history/book?{SYMBOL}&at={T0 + 1}", 400, "invalid_at"),
    (f"/api/history/book?{SYMBOL}&at={T0}&depth=1001", 400, "invalid_depth"),
    (f"/api/history/book?{SYMBOL}&at={T0}&depth=-1", 400, "invalid_depth"),
    (f"/api/history/trades?{SYMBOL}&from=yesterday", 400, "invalid_from"),
    (f"/api/history/trades?{SYMBOL}&to=99999999999999999", 400, "invalid_to"),
    (f"/api/history/trades?{SYMBOL}&from=2&to=1", 400, "invalid_from"),
    (f"/api/history/trades?{SYMBOL}&from=0&to={T0}", 400, "invalid_from"),
    (f"/api/history/trades?{SYMBOL}&limit=0", 400, "invalid_limit"),
    (f"/api/history/trades?{SYMBOL}&limit=100001", 400, "invalid_limit"),
    (f"/api/history/trades?{SYMBOL}&after=x", 400, "invalid_after"),
    (f"/api/history/trades?{SYMBOL}&from={T0 - 5000}&after=1-0", 400, "invalid_after"),
    (f"/api/history/candles?{SYMBOL}&interval=7m", 400, "invalid_interval"),
    ("/api/history/trades?exchange=nonesuch&symbol=BTCUSDT", 404, "unknown_exchange"),
    ("/api/history/trades?exchange=binance&symbol=*", 400, "invalid_symbol"),
    ("/api/history/trades?exchange=a:b&symbol=BTC-USDT", 404, "unknown_exchange"),
    ("/api/history/trades?exchange=binance&symbol=NONE-S:H", 404, "unknown_symbol"),
]


@pytest.mark.parametrize(("path", "status", "code"), BAD)
def test_what_is_asked_wrongly_is_refused_by_name(make_web: Any, path: str, status: int, code: str) -> None:
    web, tapes = serving(make_web)
    answer = web.get(path)
    assert (answer.status, answer.code) == (status, code)
    assert tapes.asked == []
    name = code.removeprefix("invalid_")
    if status == 400 and name != code and "*" not in path:
        assert name in answer.json()["error"]["message"]


def test_questions_are_as_they_were_asked(make_web: Any) -> None:
    web, tapes = serving(make_web, b"x")
    us = T0 * 1000
    asked = {
        f"/api/history/trades?{SYMBOL}": History(TRADES, us - 3600 * SECOND, us + 999, 1000, us),
        f"/api/history/trades?{SYMBOL}&from={T0 - 5000}&to=2024-01-01T00:00:00%2B00:00&limit=7": History(
            TRADES, us - 5 * SECOND, us + 999, 7, us
        ),
        f"/api/history/trades?{SYMBOL}&from={T0 - 5000}&after={us - 77}-3": History(
            TRADES, us - 77, us + 999, 1000, us, 3
        ),
        f"/api/history/trades?{SYMBOL}&after={us - 7200 * SECOND}-0": History(
            TRADES, us - 7200 * SECOND, us + 999, 1000, us
        ),
        f"/api/history/candles?{SYMBOL}&interval=5m&market_type=spot": History(
            "binance:spot:BTC-USDT:candle:5m", us - 3600 * SECOND, us + 999, 1000, us
        ),
        f"/api/history/book?{SYMBOL}&at={T0 - 1}": BookAt("binance:spot:BTC-USDT:order_book", 0, us - 1),
        f"/api/history/book?{SYMBOL}&at={T0}&depth=20": BookAt("binance:spot:BTC-USDT:order_book:20", 20, us + 999),
        "/api/history/trades?exchange=gone&symbol=old/thing": History(
            "gone:spot:OLD-THING:trade", us - 3600 * SECOND, us + 999, 1000, us
        ),
        "/trades.arrow?venue=binance&market=spot&symbol=BTCUSDT&limit=5": History(
            TRADES, us - 3600 * SECOND, us + 999, 5, us, is_arrow=True
        ),
    }
    for path in asked:
        tapes.answer.parts = made(b"x")
        assert web.get(path).status == 200, path
    assert tapes.asked == list(asked.values())
    assert set(tapes.clients) == {"192.0.2.1"}


@pytest.mark.parametrize(
    ("accept", "is_arrow"),
    [
        (ARROW, True),
        (f"application/json;q=0.5, {ARROW}", True),
        (f"{ARROW};q=0", False),
        ("*/*", False),
        ("application/x-ndjson", False),
    ],
)
def test_arrow_comes_where_it_is_asked_for(make_web: Any, accept: str, is_arrow: bool) -> None:
    web, tapes = serving(make_web, b"x")
    answer = web.get(f"/api/history/trades?{SYMBOL}", Accept=accept)
    assert tapes.asked[0].is_arrow is is_arrow
    assert answer.headers["content-type"] == (ARROW if is_arrow else "application/x-ndjson")
    assert "Accept" in answer.headers["vary"] and answer.headers["cache-control"] == "no-cache"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_without_pyarrow_it_says_what_it_needs(make_web: Any) -> None:
    web, tapes = serving(make_web)
    web.rest._history._has_arrow = lambda: False
    answer = web.get("/trades.arrow?venue=binance&symbol=BTC-USDT")
    assert (answer.status, answer.code, tapes.asked) == (501, "no_arrow", [])


def test_what_is_not_recorded_comes_with_what_is(make_web: Any) -> None:
    web, tapes = serving(make_web)
    tapes.answer.parts = [[Recorded("binance:spot:BTC-USDT:order_book:50", RANGE)]]
    error = web.get(f"/api/history/book?{SYMBOL}&at={T0}&depth=100").json()["error"]
    assert error == {
        "code": "not_recorded",
        "message": "binance:spot:BTC-USDT:order_book:100 was not recorded then",
        "ranges": [{"depth": 50, "from": rfc3339(T0 - 60_000), "to": rfc3339(T0 - 1)}],
    }
    assert tapes.answer.is_cancelled, "its reader is given back"
    tapes.answer.parts = [[Recorded(TRADES, [])]]
    answer = web.get(f"/api/history/trades?{SYMBOL}")
    assert answer.status == 404 and answer.json()["error"]["ranges"] == []
    assert answer.json()["error"]["message"] == f"{TRADES} was not recorded in that time, nor at any other time"


def test_a_recording_end_to_end_with_its_digits(make_web: Any, tmp_path: Path) -> None:
    said = of_a_minute()
    write_run(tmp_path, blocks_of(*said))
    web = make_web(tapes=TapesHere(tmp_path))
    path = f"/api/history/trades?{SYMBOL}&from={START // 1000}&to={START // 1000 + 70_000}"
    answer = web.get(path)
    lines = answer.body.splitlines()
    assert lines[1:-2] == [each[3] for each in said[1:]]
    assert json.loads(lines[-2])["payload"]["hole"] == "unwritten" and json.loads(lines[-1])["payload"]["complete"]
    packed = web.get(path, Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip" and zlib.decompress(packed.body, wbits=31) == answer.body
    listed = web.get(f"/api/history?{SYMBOL}").json()
    assert [each["channel"]["channel_type"] for each in listed["topics"]] == ["trade"] and listed["holes"] == []
    assert listed["topics"][0]["ranges"][0]["from"] == rfc3339(START // 1000)


@pytest.mark.parametrize("path", PATHS[1:])
def test_head_is_the_beginning_of_get_and_reads_no_more(make_web: Any, path: str) -> None:
    web, tapes = serving(make_web, b"x" * 10_000, b"y" * 10_000)
    answer = web.get(path, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert (tapes.answer.pulled, tapes.answer.is_cancelled) == (1, True)


def test_holdings_leave_out_what_the_token_does_not_allow(make_web: Any, tmp_path: Path) -> None:
    from tests.api.http.test_rights import tokens_file

    web, tapes = serving(make_web)
    web = make_web(tapes=tapes, auth_tokens_file=tokens_file(tmp_path))
    hole = Missing(T0 * 1000, T0 * 1000 + 1, "stopped")
    for holder, seen in (("all", ["ticker", "trade"]), ("tickers", ["ticker"])):
        tapes.answer.parts = [[Recorded("binance:spot:BTC-USDT:ticker", RANGE), Recorded(TRADES, RANGE), hole]]
        listed = web.get(f"/api/history?{SYMBOL}", Authorization=f"Bearer {holder * 8}").json()
        assert [each["channel"]["channel_type"] for each in listed["topics"]] == seen
        assert listed["holes"] == [{"from": rfc3339(T0), "to": rfc3339(T0 + 1), "reason": "stopped"}]
    denied = web.get(f"/api/history?{SYMBOL}", Authorization=f"Bearer {'elsewhere' * 8}")
    assert denied.status == 403


# -- how it leaves


def producer(wire: Any) -> IPushProducer:
    found: IPushProducer = wire.channel
    return found


def test_nothing_is_pulled_while_the_peer_does_not_read(make_web: Any) -> None:
    web, tapes = serving(make_web, *(b"%d" % each * 1000 for each in range(10)))
    wire = web.wire()
    tapes.answer.is_slow = True
    wire.ask(f"/api/history/trades?{SYMBOL}")
    tapes.answer.waiting.pop().callback(None)
    assert tapes.answer.pulled == 2
    producer(wire).pauseProducing()
    tapes.answer.waiting.pop().callback(None)
    web.scheduler.advance(1)
    assert tapes.answer.pulled == 2, "what had been asked for was sent, and no more is asked for"
    tapes.answer.is_slow = False
    producer(wire).resumeProducing()
    assert wire.response().body == b"".join(b"%d" % each * 1000 for each in range(10))
    assert web.get("/health").status == 200


def test_a_peer_that_goes_ends_its_answer(make_web: Any) -> None:
    web, tapes = serving(make_web, b"x", b"y", is_slow=True)
    for pulls in (1, 2):
        tapes.answer.pulled, tapes.answer.is_cancelled = 0, False
        wire = web.wire()
        wire.ask(f"/api/history/trades?{SYMBOL}")
        for _ in range(pulls - 1):
            tapes.answer.waiting.pop().callback(None)
        wire.drop()
        assert (tapes.answer.pulled, tapes.answer.is_cancelled) == (pulls, True)


def test_what_cannot_be_read_to_its_end_is_cut_off(make_web: Any) -> None:
    failed = Refused("recording_failed", "the recording cannot be read: it is gone", 503)
    web, tapes = serving(make_web, b"begun", error=failed)
    wire = web.wire()
    wire.ask(f"/api/history/trades?{SYMBOL}")
    assert wire.closing and b"begun" in wire.received() and not wire.received().endswith(b"0\r\n\r\n")
    wire.drop()
    answer = web.get(f"/api/history/trades?{SYMBOL}")
    assert (answer.status, answer.code) == (503, "recording_failed"), "before its beginning it is an error like others"
    tapes.error = TryLater("too_many_replays", "8 readings at a time", 5)
    busy = web.get(f"/api/history/trades?{SYMBOL}")
    assert (busy.status, busy.code, busy.headers["retry-after"]) == (429, "too_many_replays", "5")


def test_an_answer_does_not_last_for_ever(make_web: Any) -> None:
    web, tapes = serving(make_web, b"x", is_slow=True)
    wire = web.wire()
    wire.ask(f"/api/history/trades?{SYMBOL}")
    tapes.answer.waiting.pop().callback(None)
    web.scheduler.advance(ANSWER_S)
    assert wire.closing and tapes.answer.is_cancelled


def test_the_end_of_the_server_is_an_answer(make_web: Any) -> None:
    web, _ = serving(make_web, b"x", is_slow=True)
    wire = web.wire()
    wire.ask(f"/api/history/trades?{SYMBOL}")
    web.rest.cut()
    assert (wire.response().status, wire.response().code) == (503, "shutting_down")


# -- what it costs


def large(count: int) -> Iterator[bytes]:
    return (b"x" * 2**20 for _ in range(count))


def test_bytes_are_charged_and_who_is_in_debt_waits(make_web: Any) -> None:
    """A burst of 200 tokens, 16 a MiB: the thirteenth MiB is sent when the debt is paid, at 50 tokens a second."""
    web, tapes = serving(make_web, *large(20))
    wire = web.wire()
    wire.ask(f"/api/history/trades?{SYMBOL}")
    assert tapes.answer.pulled == 13
    refused = web.get(f"/api/history/trades?{SYMBOL}")
    assert (refused.status, refused.code) == (429, "rate_limited") and int(refused.headers["retry-after"]) >= 1
    tapes.answer, other = AnswerDouble(made(b"y")), tapes.answer
    assert web.wire("192.0.2.2").get(f"/api/history/trades?{SYMBOL}").body == b"y", "another address has its own"
    for _ in range(30):
        web.scheduler.advance(0.1)
    assert other.pulled == 21 and len(wire.response().body) == 20 * 2**20


def test_the_work_of_a_reader_is_charged_as_well(make_web: Any) -> None:
    web, tapes = serving(make_web, b"x", is_slow=True)
    wire = web.wire()
    wire.ask(f"/api/history/trades?{SYMBOL}")
    web.scheduler.advance(6)
    tapes.answer.is_slow = False
    tapes.answer.waiting.pop().callback(None)
    refused = web.get(f"/api/history/trades?{SYMBOL}")
    assert (refused.status, refused.headers["retry-after"]) == (429, "3"), "300 for six seconds, of a burst of 200"
    for _ in range(30):
        web.scheduler.advance(0.1)
    assert wire.response().body == b"x"


def test_addresses_that_are_remembered_are_bounded(make_web: Any) -> None:
    work = make_web().rest._history.work
    for each in range(10_050):
        work.of(f"address {each}")
    assert len(work) == 10_000

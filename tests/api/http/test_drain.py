"""How HTTP ends with the server: no request under way reads an empty reply."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.testing import StringTransport

from cryptodash.api.http.drain import CLOSE_S, LEAVE_S

TICKER = "/api/ticker?exchange=binance&symbol=BTC-USDT"


class Ending:
    """A server told to end: first the drain of 3 s, then the close."""

    def __init__(self, web: Any) -> None:
        self.web = web
        self.drained: list[Any] = []
        self.closed: list[Any] = []
        ensureDeferred(web.site.connections.drain(3.0, web.rest.cut)).addBoth(self.drained.append)

    def close(self) -> None:
        ensureDeferred(self.web.site.connections.close()).addBoth(self.closed.append)


def test_with_no_request_under_way_nobody_waits(web: Any) -> None:
    idle = web.wire()
    idle.get("/health")
    ending = Ending(web)
    assert ending.drained == [None] and not idle.closing
    ending.close()
    assert idle.closing and ending.closed == []
    idle.drop()
    assert ending.closed == [None]
    assert not web.scheduler.getDelayedCalls()


def test_a_request_under_way_gets_its_answer_and_the_connection_ends(web: Any) -> None:
    wire = web.wire()
    wire.ask(TICKER)
    ending = Ending(web)
    web.scheduler.advance(1)
    assert ending.drained == []
    web.hub.arrive(web.put_ticker())
    answer = wire.response()
    assert answer.status == 200 and answer.headers["connection"] == "close" and wire.closing
    wire.drop()
    assert ending.drained == [None]


def test_who_still_waits_at_the_end_reads_503(web: Any) -> None:
    first, wires = web.wire(), [web.wire(), web.wire()]
    first.ask(TICKER)
    ending = Ending(web)
    web.scheduler.advance(1)
    wires[0].ask(TICKER)
    wires[1].ask("/api/orderbook?exchange=binance&symbol=BTC-USDT")
    web.scheduler.advance(1)
    assert first.response().status == 409
    web.scheduler.advance(1 - LEAVE_S)
    for wire in wires:
        answer = wire.response()
        assert (answer.status, answer.code) == (503, "shutting_down")
        assert answer.headers["connection"] == "close" and wire.closing
        wire.drop()
    first.drop()
    assert ending.drained == [None]
    ending.close()
    assert ending.closed == [None]
    assert not web.hub.waiting[web.topic()]


def test_who_asks_while_it_drains_is_answered_and_the_connection_ends(web: Any) -> None:
    waiting, late = web.wire(), web.wire()
    waiting.ask(TICKER)
    Ending(web)
    answer = late.get("/health")
    assert answer.status == 200 and answer.headers["connection"] == "close" and late.closing


def test_a_request_that_has_come_in_part_reads_503(web: Any) -> None:
    wire = web.wire()
    wire.send(b"POST /api/symbols/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    ending = Ending(web)
    assert ending.drained == [None], "it may never come in whole"
    ending.close()
    assert (wire.response().status, wire.response().code) == (503, "shutting_down")
    assert wire.closing
    wire.drop()
    assert not web.scheduler.getDelayedCalls()


class Deaf(StringTransport):
    """A peer that reads nothing: what was written stays, so a polite close does not end it."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def test_whoever_does_not_read_is_cut_after_a_second(web: Any) -> None:
    wire = web.wire(transport=Deaf())
    wire.get("/health")
    ending = Ending(web)
    ending.close()
    web.scheduler.advance(CLOSE_S - 0.1)
    assert not wire.transport.aborted and ending.closed == []
    web.scheduler.advance(0.1)
    assert wire.transport.aborted and ending.closed == [None]


def test_a_connection_of_ws_is_none_of_ours(web: Any) -> None:
    wire = web.wire()
    wire.ask("/ws", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="x", Sec_WebSocket_Version="13")
    assert len(web.site.connections) == 0


@pytest.mark.parametrize("path", ["/health", "/api/symbols"])
def test_outside_a_drain_connections_are_kept(web: Any, path: str) -> None:
    wire = web.wire()
    assert "connection" not in wire.get(path).headers
    assert wire.get(path).status == 200 and not wire.closing

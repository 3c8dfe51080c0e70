"""The web root of a simulated host: upgrades go to its WebSocket side, GET requests to its REST side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from autobahn.twisted.resource import WebSocketResource
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.rest_query import RestQuery
from cryptodash.simulator.websocket import VenueFactory


class VenueResource(Resource):
    """The host's web root: upgrades go to the WebSocket side, GET requests to REST."""

    isLeaf = True

    def __init__(self, host: VenueHost, reactor: Any) -> None:
        super().__init__()
        self._host = host
        self._sockets = WebSocketResource(VenueFactory(host, reactor))

    def render(self, request: Request) -> Any:
        request.setHeader("Date", http.datetimeToString(self._host.clock.wall_ms() / 1000))  # the host's own clock
        path = unquote(request.path.decode("ascii", "replace"))
        if (request.getHeader("upgrade") or "").lower() == "websocket":
            refusal = self._host.refuse(path)
            if refusal is None:
                return self._sockets.render(request)
            return _answer(request, refusal.status, refusal.body, refusal.headers)
        if request.method not in (b"GET", b"HEAD"):
            return _answer(request, 405, b"", {"Allow": "GET"})
        query = RestQuery(
            {
                name.decode("utf-8", "replace"): [each.decode("utf-8", "replace") for each in values]
                for name, values in request.args.items()
            }
        )
        answer = self._host.rest(path, query)
        body = _answer(request, answer.status, answer.body, answer.headers)
        delay = self._host.rest_delay(path, query)
        if not delay:
            return body
        self._later(request, body, delay)
        return NOT_DONE_YET

    def _later(self, request: Request, body: bytes, delay: float) -> None:
        def finish() -> None:
            request.write(body)
            request.finish()

        call = self._host.reactor.callLater(delay, finish)
        request.notifyFinish().addBoth(lambda _: call.cancel() if call.active() else None)


def _answer(request: Request, status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    request.setResponseCode(status)
    for name, text in headers.items():
        request.setHeader(name, text)
    return body

"""The REST side of a replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.web.resource import Resource
from twisted.web.server import Request

from cryptodash.simulator.recording import Recording


class ReplayRest(Resource):
    """Any path: the catalogue, a recorded snapshot, or an empty object for a probe."""

    isLeaf = True

    def __init__(self, recording: Recording, snapshot: Callable[[str], bytes | None], ws: WebSocketResource) -> None:
        """``snapshot``: the order book that a request now is answered by, if there is one."""
        super().__init__()
        self._recording = recording
        self._find = snapshot
        self._ws = ws

    def render(self, request: Request) -> Any:
        if request.getHeader("upgrade"):
            return self._ws.render(request)
        request.setHeader("Content-Type", "application/json")
        request.responseHeaders.removeHeader("Date")  # today's, which is not the day of the recording
        if request.path == b"/replay/catalogue":
            return self._catalogue()
        return self._snapshot(request)

    def _snapshot(self, request: Request) -> bytes:
        try:
            asked = self._recording.reader.read_snapshot_request(request.uri.decode("ascii", "replace"))
        except ValueError as error:
            request.setResponseCode(400)
            return json.dumps({"error": str(error)}).encode()
        if asked is None:
            return b"{}"
        found = self._find(asked.native)
        if found is None:
            request.setResponseCode(503)
            return b'{"error":"no further snapshot in this recording"}'
        return found

    def _catalogue(self) -> bytes:
        recording = self._recording
        rows = [
            {"native": native, "base": symbol.base, "quote": symbol.quote, "tick": recording.tick_sizes[native]}
            for native, symbol in recording.symbols.items()
        ]
        return json.dumps(rows).encode()

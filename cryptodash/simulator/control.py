"""The simulator's control port: faults from outside, as JSON over HTTP on loopback.

``GET /faults``      ``{"faults": {name: description}, "active": [{"exchange", "fault", "symbol"?, "market"?, "stream"?,
"delay"?, "step"?}]}``
``POST /faults``     ``{"exchange", "fault", "symbol"?, "market"?, "seconds"?, "stream"?, "delay"?, "step"?}`` starts
one, with ``"stop": true`` stops the matching ones. ``stream`` and ``delay`` (seconds) are for ``slow``, ``step``
(seconds) is for ``clock``
``GET /ledger``      ``{"violations": [...]}``: limits of the venues that clients broke

Errors are 400 with ``{"error": "..."}``. It is for demos and tests: it must listen on loopback only
and writes nothing to disk.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from cryptodash.simulator.fault_runner import FaultRunner, UnknownFault
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limits import Ledgers

CONTROL_PORT = 8099
"""Where ``twistd cryptodash simulate`` and the demo listen unless told otherwise."""

_MAX_BODY = 4_096


def control_site(faults: FaultRunner, ledgers: Ledgers) -> Site:
    """The control port's web site."""
    root = Resource()
    root.putChild(b"faults", _FaultsResource(faults))
    root.putChild(b"ledger", _LedgerResource(ledgers))
    return Site(root, timeout=10)


def _json(request: Request, value: object, status: int = 200) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return msgspec.json.encode(value)


class _LedgerResource(Resource):
    isLeaf = True

    def __init__(self, ledgers: Ledgers) -> None:
        super().__init__()
        self._ledgers = ledgers

    def render_GET(self, request: Request) -> bytes:
        return _json(request, {"violations": self._ledgers.violations})


class _FaultsResource(Resource):
    isLeaf = True

    def __init__(self, faults: FaultRunner) -> None:
        super().__init__()
        self._faults = faults

    def render_GET(self, request: Request) -> bytes:
        listed = {name: kind.does for name, kind in FAULTS.items()}
        return _json(request, {"faults": listed, "active": [fault.report() for fault in self._faults.active]})

    def render_POST(self, request: Request) -> bytes:
        try:
            # A web page cannot send this content type to us without asking first,
            # so no page a browser shows can start faults.
            if request.getHeader(b"content-type") != b"application/json":
                raise UnknownFault("send application/json")
            return _json(request, self._act(_read_request(request)))
        except UnknownFault as error:
            return _json(request, {"error": str(error)}, 400)

    def _act(self, asked: FaultRequest) -> Mapping[str, object]:
        if asked.stop:
            stopped = self._faults.stop(asked.exchange, asked.fault, asked.symbol, asked.market, stream=asked.stream)
            return {"stopped": stopped}
        fault = self._faults.start(
            asked.exchange or "",
            asked.fault or "",
            asked.symbol,
            asked.seconds,
            asked.market,
            stream=asked.stream,
            delay=asked.delay,
            step=asked.step,
        )
        return {"started": fault.report()}


class FaultRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The body of ``POST /faults``."""

    exchange: str | None = None
    fault: str | None = None
    symbol: str | None = None
    market: str | None = None
    seconds: float | None = None
    stream: str | None = None
    delay: float | None = None
    step: float | None = None
    stop: bool = False


def _read_request(request: Request) -> FaultRequest:
    body = request.content.read(_MAX_BODY + 1) if request.content is not None else b""
    if len(body) > _MAX_BODY:
        raise UnknownFault("the body is too long")
    try:
        return msgspec.json.decode(body, type=FaultRequest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnknownFault(str(error)[:200]) from None

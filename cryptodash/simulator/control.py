"""The simulator's control port: faults from outside, as JSON over HTTP on loopback.

``GET /faults``      ``{"faults": {name: description}, "active": [{"exchange", "fault", "symbol"?, "market"?, "stream"?,
"delay"?, "step"?}]}``
``POST /faults``     ``{"exchange", "fault", "symbol"?, "market"?, "seconds"?, "stream"?, "delay"?, "step"?,
"to"?}`` starts
one, with ``"stop": true`` stops the matching ones. ``stream`` and ``delay`` (seconds) are for ``slow``, ``step``
(seconds) is for ``clock``, ``to`` (a base) for ``rename``
``GET /ledger``      ``{"violations": [...]}``: limits of the venues that clients broke

Errors are ``{"error": "..."}``: 400, and 403 for whoever is not on this machine. It is for demos and tests: it must
listen on loopback only and writes nothing to disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import msgspec
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from cryptodash.simulator.fault_runner import FaultRunner, UnknownFault
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limited_http import LimitedSite
from cryptodash.simulator.limits import Ledgers

CONTROL_PORT = 8099
"""Where ``twistd cryptodash simulate`` and the demo listen unless told otherwise."""

_host = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]{1,5})?").fullmatch


def control_site(faults: FaultRunner, ledgers: Ledgers, reactor: Any) -> Site:
    """The control port's web site."""
    root = _Root()
    root.putChild(b"faults", _FaultsResource(faults))
    root.putChild(b"ledger", _LedgerResource(ledgers))
    return LimitedSite(root, reactor, idle_seconds=10)


class _Root(Resource):
    """Lets nobody in but programs of this machine.

    A web page can have the browser connect to loopback: from its own origin, which the browser then names, or by a
    name of its own that it has made to mean 127.0.0.1, which is in the Host header.
    """

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        if request.requestHeaders.hasHeader(b"origin"):
            return _Refusal("this port is not for web pages")
        hosts = request.requestHeaders.getRawHeaders(b"host", [])
        if len(hosts) != 1 or not _is_loopback(hosts[0]):
            return _Refusal("this port is reached by 127.0.0.1, [::1] or localhost only")
        child: IResource = super().getChildWithDefault(path, request)
        return child


def _is_loopback(host: bytes) -> bool:
    """Whether a Host header means this machine, whatever a name server says."""
    found = _host(host)
    if found is None:
        return False
    name = (found[1] or found[2]).decode("latin-1")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


class _Refusal(Resource):
    isLeaf = True

    def __init__(self, why: str) -> None:
        super().__init__()
        self._why = why

    def render(self, request: Request) -> bytes:
        return _json(request, {"error": self._why}, 403)


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
            to=asked.to,
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
    to: str | None = None
    stop: bool = False


def _read_request(request: Request) -> FaultRequest:
    body = request.content.read() if request.content is not None else b""
    try:
        return msgspec.json.decode(body, type=FaultRequest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnknownFault(str(error)[:200]) from None

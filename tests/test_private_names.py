"""Names of Autobahn and Twisted that nobody promised us: each is known, still there, and used in one place a side.

They make the fast paths possible. An upgrade may take any of them away without a word, so the upper bounds in
``setup.cfg`` stay until these tests have passed on the new version.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.protocol import FrameHeader, TrafficStats, WebSocketProtocol
from autobahn.websocket.xormasker import XorMaskerNull
from twisted.internet.abstract import FileDescriptor
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

PACKAGE = Path(__file__).resolve().parent.parent / "cryptodash"
PLACES = {"api/private_names.py", "exchanges/transport/private_names.py"}
"""Where such names may be used."""


class Relied(NamedTuple):
    """``name`` of ``owner``; ``kept``: nowhere but in ``PLACES`` (the others are hooks that a subclass defines, or
    plain facts to be read, which have no better name)."""

    owner: type
    name: str
    why: str
    kept: bool = True


SERVER, CLIENT = WebSocketServerProtocol, WebSocketClientProtocol
API = (
    # the connection
    Relied(WebSocketProtocol, "_connectionMade", "opening without a report to a log that is off"),
    Relied(WebSocketProtocol, "_connectionLost", "the same for the end"),
    Relied(WebSocketProtocol, "_dataReceived", "reading without a line for the log per chunk"),
    Relied(WebSocketServerFactory, "countConnections", "counted by the two that are passed by"),
    Relied(SERVER, "_wskey", "the key of a request that was read already, for succeedHandshake"),
    Relied(SERVER, "websocket_protocols", "the same, subprotocols"),
    Relied(SERVER, "websocket_extensions", "the same, offers of compression"),
    Relied(SERVER, "websocket_version", "the same, the version", kept=False),
    Relied(SERVER, "succeedHandshake", "answers a request without reading it again"),
    Relied(SERVER, "data", "bytes that came behind the request, or behind a frame that nothing is to follow yet"),
    Relied(SERVER, "consumeData", "going on with them"),
    Relied(SERVER, "processData", "no frame is begun while the client owes work"),
    Relied(SERVER, "current_frame", "whether a frame has begun, and what it is"),
    Relied(SERVER, "onFrameBegin", "every frame is charged for as soon as its head was read"),
    Relied(FrameHeader, "opcode", "the same", kept=False),
    Relied(FrameHeader, "fin", "the same", kept=False),
    Relied(FrameHeader, "length", "the same", kept=False),
    Relied(SERVER, "onMessageFrameData", "a frame that comes byte by byte is joined now and then"),
    Relied(SERVER, "frame_data", "the same"),
    Relied(SERVER, "sendPing", "a ping begins to be waited for", kept=False),
    Relied(SERVER, "onAutoPingTimeout", "a pong may be among what was not read"),
    Relied(SERVER, "autoPingTimeout", "the same", kept=False),
    Relied(SERVER, "autoPingTimeoutCall", "the same"),
    Relied(SERVER, "_perMessageCompress", "whether compression was agreed"),
    Relied(SERVER, "closeHandshakeTimeoutCall", "a timer that Autobahn leaves behind when a connection is lost"),
    Relied(SERVER, "sendCloseFrame", "every close passes here: the session ends before it"),
    Relied(SERVER, "sendData", "every frame of Autobahn's own passes here: in order with what is written past it"),
    Relied(SERVER, "sendHttpErrorResponse", "a refusal is answered with our headers and body"),
    Relied(SERVER, "dropConnection", "aborting at the end of a drain"),
    Relied(SERVER, "closedByMe", "who began the close, for the metrics"),
    Relied(SERVER, "droppedByMe", "the same"),
    Relied(SERVER, "localCloseCode", "the code we closed with, for the metrics"),
    Relied(SERVER, "onAutoPong", "the round trip of a ping, for the metrics", kept=False),
    Relied(SERVER, "state", "whether a close frame may be sent", kept=False),
    Relied(SERVER, "STATE_OPEN", "the same", kept=False),
    Relied(SERVER, "log", "Autobahn's words per chunk and per fault of a peer", kept=False),
    Relied(SERVER, "CONFIG_ATTRS", "options as members of a class instead of copies in every connection"),
    Relied(WebSocketServerFactory, "_batched_timer", "timers on the reactor we are given"),
    # the transport
    Relied(FileDescriptor, "dataBuffer", "whether a slow client reads at all"),
    Relied(FileDescriptor, "offset", "the same"),
    Relied(FileDescriptor, "_tempDataLen", "the same"),
    Relied(SERVER, "autoPingTimeoutCall", "more time for who reads slowly and has not come to the ping", kept=False),
    Relied(SERVER, "onAutoPingTimeout", "the same", kept=False),
    Relied(SERVER, "onCloseHandshakeTimeout", "another timeout for who is about to read our close frame", kept=False),
    Relied(Connection, "TLS", "whether the socket may be written to directly"),
    Relied(ProtocolWrapper, "wrappedProtocol", "handing a TLS connection from HTTP to the WebSocket"),
    # HTTP
    Relied(HTTPChannel, "_handlingRequest", "no deadline for the next request while one is answered"),
    Relied(HTTPChannel, "_dataBuffer", "bytes behind an upgrade request belong to the new protocol"),
    Relied(HTTPChannel, "_receivedHeaderCount", "431 instead of a bare 400 for too many headers"),
    Relied(HTTPChannel, "_respondToBadRequestAndDisconnect", "a 400 with our headers and body"),
    Relied(HTTPChannel, "totalHeadersSize", "the limit of all headers", kept=False),
    Relied(HTTPChannel, "maxHeaders", "the limit of header lines", kept=False),
    Relied(HTTPChannel, "length", "the declared length of a body", kept=False),
    Relied(HTTPChannel, "headerReceived", "limits per header line", kept=False),
    Relied(HTTPChannel, "allContentReceived", "a request is complete", kept=False),
    Relied(HTTPChannel, "writeHeaders", "headers that every answer carries", kept=False),
    Relied(Request, "gotLength", "a body in memory, not in a file", kept=False),
    Relied(Request, "handleContentChunk", "a body is counted as it comes", kept=False),
    Relied(Request, "_handleStar", "OPTIONS * passes our checks"),
    Relied(Request, "producer", "whether a paused answer is still wanted"),
    Relied(Request, "startedWriting", "whether an error can still be answered", kept=False),
)
EXCHANGES = (
    # the fast way through received frames
    Relied(CLIENT, "data", "what Autobahn has not read yet"),
    Relied(CLIENT, "consumeData", "Autobahn reads what was put into data"),
    Relied(CLIENT, "current_frame", "whether Autobahn is within a frame"),
    Relied(CLIENT, "current_frame_masker", "how far"),
    Relied(FrameHeader, "length", "how far it goes", kept=False),
    Relied(XorMaskerNull, "pointer", "how much of it came", kept=False),
    Relied(CLIENT, "inside_message", "whether a fragmented message is under way"),
    Relied(CLIENT, "trafficStats", "its counts go on"),
    Relied(TrafficStats, "incomingOctetsWireLevel", "one of them"),
    Relied(TrafficStats, "incomingOctetsWebSocketLevel", "one of them"),
    Relied(TrafficStats, "incomingOctetsAppLevel", "one of them"),
    Relied(TrafficStats, "incomingWebSocketFrames", "one of them"),
    Relied(TrafficStats, "incomingWebSocketMessages", "one of them"),
    Relied(CLIENT, "autoPingTimeoutCall", "a message is a sign of life, as Autobahn has it"),
    Relied(CLIENT, "autoPingRestartOnAnyTraffic", "the same", kept=False),
    Relied(CLIENT, "_cancelAutoPingTimeoutCall", "the same"),
    # what one read of the socket brings
    Relied(FileDescriptor, "bufferSize", "how much is read at once of a connection that is behind", kept=False),
    Relied(Connection, "bufferSize", "the same: of the socket's own class", kept=False),
    Relied(ProtocolWrapper, "wrappedProtocol", "whom to tell of a read, above TLS", kept=False),
    Relied(BufferingTLSTransport, "dataReceived", "where a read of the socket comes, below TLS", kept=False),
    Relied(TLSMemoryBIOFactory, "protocol", "the class of the TLS transports it makes", kept=False),
    # how a connection ends
    Relied(CLIENT, "sendCloseFrame", "the closing deadline starts with every close frame", kept=False),
    Relied(CLIENT, "http_status_line", "why a venue refused the upgrade", kept=False),
    Relied(CLIENT, "http_headers", "the same: Retry-After", kept=False),
    Relied(CLIENT, "failHandshake", "the same", kept=False),
    Relied(CLIENT, "remoteCloseCode", "the venue's own close code", kept=False),
    Relied(CLIENT, "remoteCloseReason", "the same", kept=False),
    Relied(WebSocketClientFactory, "host", "an IPv6 address in the Host header needs brackets", kept=False),
)
TABLE = API + EXCHANGES


def mentions(owner: type, name: str) -> bool:
    """Whether a class, or one it inherits from, knows the name: as a member, or in its own source."""
    if hasattr(owner, name):
        return True
    known = re.compile(rf"(?:\bself\.{name}\b|^\s+{name}\b\s*[:=])", re.MULTILINE)
    return any(known.search(inspect.getsource(each)) for each in owner.__mro__ if each.__module__ != "builtins")


@pytest.mark.parametrize("relied", TABLE, ids=lambda relied: f"{relied.owner.__name__}.{relied.name}")
def test_the_name_is_still_there(relied: Relied) -> None:
    assert mentions(relied.owner, relied.name), (
        f"{relied.owner.__module__}.{relied.owner.__name__} has no {relied.name!r} any more. We need it: {relied.why}. "
        "Find what took its place and change the private_names.py that uses it; until then keep the upper bound in "
        "setup.cfg."
    )


def test_a_name_that_is_gone_is_noticed() -> None:
    assert not mentions(WebSocketServerProtocol, "_nameOfAnotherVersion")


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.Module) -> set[str]:
    """Private names that a module's own classes, functions and assignments define."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return {name for name in names if is_private(name)}


def used(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every attribute that is read, set or defined by a class, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ClassDef):
            yield from ((each.name, each.lineno) for each in node.body if isinstance(each, ast.FunctionDef))


def test_every_private_name_that_the_two_places_use_is_in_the_table() -> None:
    listed = {relied.name for relied in TABLE}
    for place, tree in sources():
        if place in PLACES:
            ours = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            unknown = {name for name, _ in used(tree) if is_private(name) and name not in listed | (ours - FOREIGN)}
            assert not unknown, f"{place} uses {sorted(unknown)}: say in TABLE what for"


FOREIGN = {relied.name for relied in TABLE if is_private(relied.name)}


@pytest.mark.parametrize(("room", "table"), [("api/", API), ("exchanges/transport/", EXCHANGES)])
def test_no_other_module_uses_a_name_that_has_a_place(room: str, table: tuple[Relied, ...]) -> None:
    kept = {relied.name for relied in table if relied.kept and relied.name != "data"}
    for place, tree in sources():
        if place not in PLACES and place.startswith(room):
            found = sorted({f"{name} (line {line})" for name, line in used(tree) if name in kept})
            assert not found, f"{place} uses {', '.join(found)} of Autobahn or Twisted: through private_names.py only"


KNOWN = {
    "signals.py": {"_exit"},  # of os: described, in spite of its name
    "simulator/websocket.py": {"_batched_timer"},
    "testing/conformance/plain.py": {"_asdict"},  # of named tuples: described, in spite of its name
}
"""Where such a name is used on the spot. Must not grow."""


def test_nobody_reaches_into_the_private_parts_of_what_is_not_ours() -> None:
    """An attribute ``_x`` is read only where the package defines one of that name, and never is it a foreign one."""
    trees = {place: tree for place, tree in sources() if place not in PLACES}
    ours = set().union(*map(defined, trees.values())) - FOREIGN
    found = []
    for place, tree in trees.items():
        here = defined(tree) - FOREIGN
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                if node.attr not in (ours if own else here) | KNOWN.get(place, set()):
                    found.append(f"{place}:{node.lineno}: {ast.unparse(node)}")
            elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("cryptodash."):
                found += [f"{place}:{node.lineno}: import {each.name}" for each in node.names if is_private(each.name)]
    assert not found, "private parts of what is not ours: " + "; ".join(found)

"""How a REST answer leaves: JSON bytes with a length, compressed where the client takes it,
errors in one shape, large bodies in slices."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Final

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.web.http import Request

from cryptodash.api.answer_parts import JSON, error_body
from cryptodash.api.http.recent import Shared
from cryptodash.api.slices import Slices
from cryptodash.core import codec
from cryptodash.core.steps import Steps

COMPRESS_FROM: Final = 1024
"""Bytes below which compression costs more than it saves."""
STEP: Final = 32 * 1024
"""Bytes that are compressed in one step: half a millisecond."""
HASH_STEP: Final = 256 * 1024
"""Bytes that are hashed in one step."""


@frozen
class Answer:
    """What a route returns."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(factory=dict)


def packing(body: bytes, level: int) -> Steps[bytes]:
    """Steps whose outcome is the body in gzip."""
    packer = zlib.compressobj(level, wbits=16 + zlib.MAX_WBITS)
    parts = []
    for at in range(0, len(body), STEP):
        parts.append(packer.compress(body[at : at + STEP]))
        yield
    parts.append(packer.flush())
    return b"".join(parts)


@define(eq=False)
class Stored:
    """A body with its entity tag, compressed when first asked for, once for all; ``level`` is how hard to try (low for
    what is served once)."""

    body: bytes
    level: int = 5
    _etag: str = ""
    _packed: Shared[bytes] | None = field(default=None, init=False)

    @property
    def etag(self) -> str:
        if not self._etag:
            self._etag = f'W/"{blake2b(self.body, digest_size=12).hexdigest()}"'
        return self._etag

    def compressed(self, slices: Slices) -> Deferred[bytes]:
        """A Deferred of the body in gzip."""
        if self._packed is None:
            self._packed = Shared(slices.outcome(packing(self.body, self.level)))
        return self._packed.wait()


def storing(body: bytes, level: int = 5) -> Steps[Stored]:
    """Steps whose outcome is a long body with its entity tag."""
    digest = blake2b(digest_size=12)
    for at in range(0, len(body), HASH_STEP):
        digest.update(body[at : at + HASH_STEP])
        yield
    return Stored(body, level, f'W/"{digest.hexdigest()}"')


def json_answer(value: object, status: int = 200, **headers: str) -> Answer:
    """Any plain value as a JSON answer. Header names are given with underscores: ``Retry_After="1"``."""
    body = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else codec.encode(value)
    return Answer(body, status, headers={name.replace("_", "-"): text for name, text in headers.items()})


def error_answer(code: str, message: str, status: int, **headers: str) -> Answer:
    return json_answer(error_body(code, message), status, **headers)


def takes_gzip(request: Request) -> bool:
    """Whether ``Accept-Encoding`` takes gzip: named, or else by ``*``, with a quality above zero (RFC
    9110, section 12.5.3)."""
    qualities: dict[str, str] = {}
    for token in ",".join(request.requestHeaders.getRawHeaders("accept-encoding", [])).lower().split(","):
        name, _, parameter = token.partition(";")
        qualities[name.strip()] = parameter.replace(" ", "").removeprefix("q=")
    quality = qualities.get("gzip", qualities.get("*", "0"))
    return not quality or quality.strip("0.") != ""


async def stored_answer(
    request: Request, stored: Stored, slices: Slices, content_type: str = JSON, **headers: str
) -> Answer:
    """The body, its compressed form, or 304 where the client has it already."""
    common = {
        "ETag": stored.etag,
        "Vary": "Accept-Encoding",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    known = [tag.strip().removeprefix("W/") for tag in (request.getHeader("if-none-match") or "").split(",")]
    if "*" in known or stored.etag.removeprefix("W/") in known:
        return Answer(b"", 304, content_type, common)
    if takes_gzip(request) and len(stored.body) >= COMPRESS_FROM:
        packed = await stored.compressed(slices)
        return Answer(packed, 200, content_type, {**common, "Content-Encoding": "gzip"})
    return Answer(stored.body, 200, content_type, common)


async def shared_answer(request: Request, stored: Stored, slices: Slices) -> Answer:
    """A body that many ask for at the same time; without a tag, because it is another a second later."""
    headers = {"Vary": "Accept-Encoding"}
    if not takes_gzip(request) or len(stored.body) < COMPRESS_FROM:
        return Answer(stored.body, headers=headers)
    return Answer(await stored.compressed(slices), headers={**headers, "Content-Encoding": "gzip"})


def prepare(request: Request, answer: Answer) -> bytes:
    """Set status and headers; returns the body that is to be written, as it is."""
    body = answer.body
    # Twisted has no words for 426 and 429
    request.setResponseCode(answer.status, HTTPStatus(answer.status).phrase.encode())
    for name, text in answer.headers.items():
        if name == "Vary":
            request.responseHeaders.addRawHeader(name, text)
        else:
            request.setHeader(name, text)
    if not request.responseHeaders.hasHeader("Cache-Control"):
        request.setHeader("Cache-Control", "no-cache")
    if answer.status in (204, 304):
        return b""
    request.setHeader("Content-Type", answer.content_type)
    request.setHeader("Content-Length", str(len(body)))
    return body


def send_now(request: Request, answer: Answer) -> None:
    """Write a small answer and finish the request."""
    request.write(prepare(request, answer))
    request.finish()


async def packed_answer(request: Request, answer: Answer, slices: Slices) -> Answer:
    """The answer, compressed where that is worth it and the client takes it."""
    if "Vary" in answer.headers or len(answer.body) < COMPRESS_FROM:
        return answer  # compressed already, where it is worth it
    headers = {**answer.headers, "Vary": "Accept-Encoding"}
    body = answer.body
    if takes_gzip(request):
        body = await slices.outcome(packing(body, 1))
        headers["Content-Encoding"] = "gzip"
    return evolve(answer, body=body, headers=headers)

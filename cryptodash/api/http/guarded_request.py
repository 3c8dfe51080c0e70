"""One request: its body is counted and kept in memory, its failures tell the peer nothing."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.api.http.answers import error_answer, prepare
from cryptodash.api.private_names import StarRequest

_log = Logger(namespace="cryptodash.api.http")

_absolute = re.compile(rb"https?://([^/?#]+)", re.IGNORECASE).match


class GuardedRequest(StarRequest):
    """A request on a ``GuardedChannel``, which says how long its body may be."""

    channel: Any

    def gotLength(self, length: int | None) -> None:
        self.content: Any = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.content.tell() + len(data) > self.channel.site.guard.max_body_bytes:
            self.channel.refuse_body()
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """An address in absolute form means its path (RFC 9112 section 3.2.2: every server must take it), if it names
        the host of the Host header."""
        found = _absolute(self.path)
        if found and self.requestHeaders.getRawHeaders(b"host") == [found[1]]:
            self.path = self.path[found.end() :] or b"/"
        super().process()

    def processingFailed(self, reason: Failure) -> Failure:
        log_failure(reason)
        if self.startedWriting:
            self.channel.loseConnection()
        else:
            self.write(prepare(self, error_answer("internal_error", "the server failed to answer", 500)))
            self.finish()
        return reason


def log_failure(reason: Failure) -> None:
    """One line that says what failed and where."""
    frames = reason.frames or reason.stack
    where = f"{frames[-1][1]}:{frames[-1][2]} in {frames[-1][0]}" if frames else "somewhere"
    _log.error(
        "a request failed: {type}: {text} ({where})",
        type=type(reason.value).__name__,
        text=str(reason.value)[:200],
        where=where,
    )

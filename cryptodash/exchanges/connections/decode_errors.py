"""What cannot be read: counted by reason, logged once a minute, and too much of it ends the connection."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from cryptodash.core.quality import UNRECORDED, Count, StreamRecords
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.decode import MALFORMED, bad_frame
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.stream import Stream

LOG_EVERY = 60.0
SHOWN = 200

_log = Logger(namespace="cryptodash.exchanges.connections.decode_errors")


def reason_of(error: Exception) -> str:
    """The counter's word: the reader's own, ``number`` for one that cannot be computed with,
    ``unknown`` for what nobody foresaw."""
    if isinstance(error, (BadFrame, *MALFORMED)):
        return bad_frame(error).reason
    return "number" if isinstance(error, (ValueError, ArithmeticError)) else "unknown"


class DecodeErrors:
    """One venue's unreadable frames and answers."""

    def __init__(self, exchange: str, tally: Tally, records: StreamRecords = UNRECORDED) -> None:
        self._exchange = exchange
        self._records = records
        self._errors = tally.counter(
            "cryptodash_upstream_decode_errors_total", "Frames and answers that could not be read", "exchange", "reason"
        )
        self._unknown = tally.counter(
            "cryptodash_upstream_unknown_messages_total",
            "Messages that answer nothing or mean nothing to us",
            "exchange",
        )
        self._logged: dict[str, float] = {}
        self.found: Callable[[Exception, bytes], None] = lambda error, data: None
        """Told of each."""

    def missing(self) -> None:
        """Frames of a connection are missing, and nothing tells of which stream."""
        self._records.count(Count.GAPS)

    def ignored(self) -> None:
        """A message that is fine and means nothing to us."""
        self._unknown.add(self._exchange)

    def bad(self, error: Exception, data: bytes, now: float, stream: Stream | None = None) -> None:
        """Something (of this stream, where it is of one) could not be read."""
        (self._records if stream is None else stream.record).count(Count.DECODE_ERRORS)
        reason = reason_of(error)
        self._errors.add(self._exchange, reason)
        self.found(error, data)
        if now - self._logged.get(reason, -LOG_EVERY) >= LOG_EVERY:
            self._logged[reason] = now
            words = {
                "exchange": self._exchange,
                "kind": type(error).__name__,
                "detail": str(error)[:SHOWN],
                "data": data[:SHOWN],
            }
            _log.warn("{exchange}: cannot be read ({kind}: {detail}): {data!r}", **words)

    def bad_frame(
        self, connection: Connection, stream: Stream | None, error: Exception, frame: bytes, now: float
    ) -> bool:
        """A frame (of this stream, where it is of one) could not be read; True if the connection has brought too many
        of them."""
        self.bad(error, frame, now, stream)
        name = None if stream is None else stream.name
        return connection.bad_frames.are_too_many(now, connection.frames, name)

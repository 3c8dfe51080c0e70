"""What a venue's answers mean for the streams they speak of: subscribed, or rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.messages import Ack, Pong
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.request import Settled
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Signal

RTT_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class Acknowledgements:
    """The answers of one venue. ``remove`` takes a rejected stream off its connection."""

    def __init__(self, exchange: str, tally: Tally, remove: Callable[[Stream, float], None]) -> None:
        self._exchange = exchange
        self._remove = remove
        self._acks = tally.counter(
            "cryptodash_upstream_subscribe_acks_total", "Answers to subscribe requests", "exchange", "result"
        )
        self._unknown = tally.counter(
            "cryptodash_upstream_unknown_messages_total",
            "Messages that answer nothing or mean nothing to us",
            "exchange",
        )
        self._rtt = tally.histogram(
            "cryptodash_upstream_ping_rtt_seconds", "Application heartbeat round trip", RTT_BOUNDS, "exchange"
        ).at(exchange)

    def acked(self, connection: Connection, ack: Ack, now: float, out: list[Output]) -> None:
        """The venue answered a request, or a part of one."""
        settled = connection.subscriptions.answered(ack)
        if settled is None:
            self._unknown.add(self._exchange)
            return
        self._acks.add(self._exchange, "ok" if ack.ok else "error")
        self._settle(connection, settled, now, out)

    def listed(self, connection: Connection, streams: Iterable[str], now: float, out: list[Output]) -> None:
        """The venue said what the connection carries."""
        self._acks.add(self._exchange, "ok")
        self._settle(connection, connection.subscriptions.listed(streams), now, out)

    def missing(self, connection: Connection, now: float, out: list[Output]) -> None:
        """Look whether an answer is overdue. A stream that was live already when it was asked for (again) has brought
        its data past ``Reconciler.delivered``; its own note of the last frame tells."""
        for name, asked_at in connection.subscriptions.overdue(now):
            stream = connection.routes.get(name)
            if stream is not None and stream.source is connection and (stream.last or 0.0) > asked_at:
                connection.subscriptions.delivered(name)
        settled, late = connection.subscriptions.expired(now)
        if late:
            self._acks.add(self._exchange, "timeout", by=late)
            unanswered = [connection.routes[name] for name in settled.rejected if name in connection.routes]
            self._settle(connection, settled, now, out)
            for stream in unanswered:
                stream.is_unanswered = True

    def ponged(self, connection: Connection, pong: Pong, now: float) -> float | None:
        """The venue answered a heartbeat: seconds since it was sent, None if it answers none."""
        seconds = connection.ponged(now, pong.request_id)
        if seconds is not None:
            self._rtt.observe(seconds)
        return seconds

    def _settle(self, connection: Connection, settled: Settled, now: float, out: list[Output]) -> None:
        for name in settled.subscribed:
            stream = connection.routes.get(name)
            if stream is not None:
                stream.signal(Signal.ACK, now, out)
        for name in settled.rejected:
            stream = connection.routes.get(name)
            if stream is not None:
                self._remove(stream, now)
                stream.is_unanswered = False
                stream.signal(Signal.REFUSAL, now, out)

"""REST answers on their way to whoever asked: snapshots to books, bars to candles, polls to their streams."""

from __future__ import annotations

from cryptodash.core.errors import UpstreamError
from cryptodash.exchanges.adapter.venue import Purpose, RestRequest
from cryptodash.exchanges.builders.candles import candles_of
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.decode_errors import DecodeErrors
from cryptodash.exchanges.subscriptions.book_subscription import BookStream
from cryptodash.exchanges.subscriptions.desk import Desk
from cryptodash.exchanges.subscriptions.polls import Polls
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.topic_subscription import CandleSubscription
from cryptodash.exchanges.subscriptions.wanted_topics import WantedTopics


class Answers:
    """Reads and hands on. An answer that nobody waits for any more is no news; one that cannot be read is a failure."""

    def __init__(
        self, desk: Desk, wishes: WantedTopics, polls: Polls, snapshots: SnapshotQueue, errors: DecodeErrors
    ) -> None:
        self._desk = desk
        self._wishes = wishes
        self._polls = polls
        self._snapshots = snapshots
        self._errors = errors

    def answered(self, request: RestRequest, body: bytes, now: float, received: int, out: list[Output]) -> None:
        """An answer has come, at ``received`` (our wall clock, ms)."""
        try:
            if request.purpose is Purpose.SNAPSHOT:
                self._snapshot(request, body, now, received, out)
            elif request.purpose is Purpose.CANDLES:
                self._candles(request, body, received, out)
            elif request.purpose is Purpose.POLL:
                messages = list(self._desk.venue.read_poll(request, body))
                self._polls.answered(request, messages, now, received, out)
        except Exception as error:
            self._errors.bad(error, body, now)
            self.failed(request, UpstreamError("", f"an answer could not be read: {error}"), now, out)

    def failed(self, request: RestRequest, error: UpstreamError, now: float, out: list[Output]) -> None:
        """No answer, or none that can be read."""
        if request.purpose is Purpose.SNAPSHOT:
            leg = self._leg(request)
            if leg is not None:
                leg.track.failed(leg, error, now, out)
        elif request.purpose is Purpose.CANDLES:
            track = self._candle_track(request)
            if track is not None:
                track.failed(out)
        elif request.purpose is Purpose.POLL:
            self._polls.failed(request, error, now, out)

    def _snapshot(self, request: RestRequest, body: bytes, now: float, received: int, out: list[Output]) -> None:
        depth = self._desk.venue.read_snapshot(request, body)
        leg = self._leg(request)
        if leg is not None:
            leg.track.answered(leg, depth, request.limit, now, received, out)

    def _leg(self, request: RestRequest) -> BookStream | None:
        """Whose snapshot it was; its place in the queue is free."""
        leg = self._snapshots.taken(request)
        return leg if isinstance(leg, BookStream) and leg in leg.track.legs() else None

    def _candles(self, request: RestRequest, body: bytes, received: int, out: list[Output]) -> None:
        track = self._candle_track(request)
        if track is not None:
            bars = self._desk.venue.read_candles(request, body)
            track.fetched(candles_of(track.topic, bars, self._desk.venue_ms(), received), out)

    def _candle_track(self, request: RestRequest) -> CandleSubscription | None:
        track = None if request.topic is None else self._wishes.tracks.get(request.topic)
        return track if isinstance(track, CandleSubscription) else None

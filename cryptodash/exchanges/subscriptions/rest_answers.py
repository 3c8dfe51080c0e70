"""REST answers on their way to whoever asked: snapshots to books, bars to candles, polls to their streams."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.errors import UpstreamError
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import LeftOut
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.decode_errors import DecodeErrors
from cryptodash.exchanges.connections.delays import Delays
from cryptodash.exchanges.connections.left_out import CANDLE, SEED, SWEEP, LeftOutElements
from cryptodash.exchanges.subscriptions.book_audits import BookAudits
from cryptodash.exchanges.subscriptions.polls import Polls
from cryptodash.exchanges.subscriptions.seeds import Seeds
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.topic_subscription import TopicSubscription


class RestAnswers:
    """Reads and hands on. An answer that nobody waits for any more is no news; one that cannot be read is a failure."""

    def __init__(
        self,
        venue: IVenue,
        subscriptions: Mapping[Topic, TopicSubscription],
        polls: Polls,
        snapshots: SnapshotQueue,
        seeds: Seeds,
        audits: BookAudits,
        delays: Delays,
        errors: DecodeErrors,
        left_out: LeftOutElements,
    ) -> None:
        self._venue = venue
        self._subscriptions = subscriptions
        self._polls = polls
        self._snapshots = snapshots
        self._seeds = seeds
        self._audits = audits
        self._delays = delays
        self._errors = errors
        self._left_out = left_out

    def answered(self, request: RestRequest, body: bytes, now: float, received: int, out: list[Output]) -> None:
        """An answer has come, at ``received`` (our wall clock, ms)."""
        try:
            if request.purpose is Purpose.SNAPSHOT:
                depth = reading(self._venue.read_snapshot, request, body)
                self._snapshots.answered(request, depth, now, received, out)
            elif request.purpose is Purpose.CANDLES:
                bars = reading(self._venue.read_candles, request, body)
                self._left_out.add(CANDLE, left_out_of(bars), request.native)
                subscription = self._asked_for_candles(request)
                if subscription is not None:
                    subscription.candles(bars, received, out)
            elif request.purpose is Purpose.POLL:
                messages = reading(self._venue.read_poll, request, body)
                for each in messages:
                    if isinstance(each, LeftOut):
                        self._left_out.add(SWEEP, each.elements, request.market.value)
                told = [each for each in messages if not isinstance(each, LeftOut)]
                self._polls.answered(request, told, now, received, out)
            elif request.purpose is Purpose.SEED:
                said = reading(self._venue.read_seed, request, body)
                self._left_out.add(SEED, left_out_of(said), request.market.value)
                self._seeds.answered(request, dict(said), now, received, out)
            elif request.purpose is Purpose.AUDIT:
                self._audits.answered(request, reading(self._venue.read_snapshot, request, body), now, received, out)
            elif request.purpose is Purpose.PROBE:
                self._delays.probed(request, body, now)
        except Exception as error:
            self._errors.bad(error, body, now)
            self.failed(request, UpstreamError("", f"an answer could not be read: {error}"), now, out)

    def failed(self, request: RestRequest, error: UpstreamError, now: float, out: list[Output]) -> None:
        """No answer, or none that can be read."""
        if request.purpose is Purpose.SNAPSHOT:
            self._snapshots.failed(request, error, now, out)
        elif request.purpose is Purpose.CANDLES:
            subscription = self._asked_for_candles(request)
            if subscription is not None:
                subscription.candles_failed(out)
        elif request.purpose is Purpose.POLL:
            self._polls.failed(request, error, now, out)
        elif request.purpose is Purpose.SEED:
            self._seeds.failed(request, error, now)
        elif request.purpose is Purpose.AUDIT:
            self._audits.failed(request, error, now)
        elif request.purpose is Purpose.PROBE:
            self._delays.not_probed(request)

    def _asked_for_candles(self, request: RestRequest) -> TopicSubscription | None:
        return None if request.topic is None else self._subscriptions.get(request.topic)

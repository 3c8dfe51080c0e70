"""The delays of one venue: samples out of its frames, probes of its hosts, and which of its streams are late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field
from twisted.logger import Logger

from cryptodash.core.instruments import MarketType
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.connections.commands import Fetch, Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.lateness import PROBE_EVERY, PROBE_GAP, RISE_MS, sample_of
from cryptodash.exchanges.connections.sleep_watch import SleepWatch
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.venue_clock import VenueClock

SAMPLE_EVERY = 0.25
"""Seconds between two samples of a stream."""
SAMPLE_AGAIN = 0.02
"""The same after a frame that told no time."""
ANSWER_WITHIN = 30.0
"""Seconds after which a probe counts as unanswered, if nothing was heard of it; the deadlines of REST are shorter."""
UNTIMED_AFTER = 5.0
"""Seconds that a connection has to tell the time by what is wanted of it."""
DELAY_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

_log = Logger(namespace="cryptodash.exchanges.connections.delays")


@define(eq=False)
class Host:
    """One host of the venue, and what was asked of it."""

    market: MarketType
    """A market that the host serves: its probe is asked for."""
    clock: VenueClock
    probed_at: float = float("-inf")
    ponged_at: float = float("-inf")
    """When the answer to a heartbeat was last taken for a probe."""
    asked: dict[RestRequest, float] = field(factory=dict)
    """When the probe was asked for that is not answered yet. One at a time: all have the same request, and an answer
    taken for that of a later one would prove a step that never was."""
    assumed: int = 0
    rise: int = 0
    """The least delay (ms) that all its connections have."""


class Delays:
    """``limit_ms`` as ``LATE_AFTER_MS``; None: nothing is ever late (recorded time runs at any speed)."""

    def __init__(
        self, venue: IVenue, hosts: Mapping[MarketType, Hosts], clock: Clock, tally: Tally, limit_ms: int | None
    ) -> None:
        by_url: dict[str, Host] = {}
        for market in venue.markets:
            by_url.setdefault(hosts[market].ws, Host(market, VenueClock(clock, is_recorded=limit_ms is None)))
        self._hosts = list(by_url.values())
        self._of = {market: by_url[hosts[market].ws] for market in venue.markets}
        self.clocks: dict[MarketType, VenueClock] = {market: host.clock for market, host in self._of.items()}
        self._venue = venue
        self._clock = clock
        self._limit = limit_ms
        self._sleep = SleepWatch()
        self._observed = tally.histogram(
            "cryptodash_upstream_event_delay_seconds",
            "How late frames came after they were sent, beyond the quickest way, sampled",
            DELAY_BOUNDS,
            "exchange",
            "channel",
        )
        self._steps = tally.counter(
            "cryptodash_upstream_clock_steps_total",
            "Steps of a venue's clock, proved by a probe or assumed for want of one",
            "exchange",
            "kind",
        )

    # -- samples

    def sample(self, stream: Stream, connection: Connection, frame: bytes, now: float) -> None:
        """A frame of a stream came that is due for a sample."""
        sent = None if stream.sending_time is None else stream.sending_time(frame)
        if sent is None:
            stream.sample_due = now + SAMPLE_AGAIN
            return
        stream.sample_due = now + SAMPLE_EVERY
        delay = self.sent(connection, sent, now)
        if delay is None:
            stream.sample_due = now  # the next frame tells
        else:
            if self._limit is not None:
                stream.delay.sample(delay, self._limit, now)
                if stream.delay.is_first_above:
                    stream.sample_due = now  # of frames that were held up together the next one bears it out
                stream.record.delayed(delay)
            part = next(iter(stream.parts)).value
            self._observed.at(self._venue.id, part).observe(delay / 1000)

    def timed(self, connection: Connection, name: str, frame: bytes, now: float) -> None:
        """A frame came of a stream that belongs to no topic."""
        spec = connection.endpoint.timed
        if spec is not None and spec.name == name:
            read = self._venue.sending_time(spec)
            sent = None if read is None else read(frame)
            if sent is not None:
                self.sent(connection, sent, now)

    def sent(self, connection: Connection, sent_ms: int, now: float) -> int | None:
        """The venue sent a frame of this connection at ``sent_ms``; its delay (ms), None where it is not believed."""
        host = self._of[connection.endpoint.market]
        if self._limit is None:
            host.clock.offset.value = sample_of(sent_ms, now)
            return 0
        before = host.clock.offset.value
        sample = sample_of(sent_ms, now)
        if not connection.delay.believes(sample, sent_ms, wild=host.clock.offset.is_wild(sample)):
            return None
        delay = host.clock.offset.sample(sample, now)
        connection.delay.sample(sample, now)
        if before is not None and sample < before - RISE_MS:
            self._sleep.fell(before - sample, now)
        return delay

    def untimed(self, connections: Iterable[Connection], now: float) -> list[Connection]:
        """Connections whose frames have told no time of sending for a while, although the venue has a stream that
        would."""
        if self._limit is None:
            return []
        return [
            each
            for each in connections
            if each.endpoint.timed is not None
            and each.endpoint.timed.name not in each.readers
            and each.opened_at is not None
            and now - each.opened_at >= UNTIMED_AFTER
            and each.delay.least(now) is None
        ]

    def hosts(self) -> list[VenueClock]:
        """The clock of each host."""
        return [each.clock for each in self._hosts]

    # -- probes

    def probed(self, request: RestRequest, body: bytes, now: float) -> None:
        """A probe was answered. Raises whatever decoding raises."""
        host = self._of[request.market]
        asked = host.asked.pop(request, None)
        server_ms = self._venue.read_probe(request, body)
        if asked is not None and server_ms is not None and self._limit is not None:
            self._prove(host, asked, server_ms, now)

    def ponged(self, connection: Connection, asked: float, server_ms: int, now: float) -> None:
        """A heartbeat that was sent at ``asked`` was answered with the venue's time: a sample of the connection, and
        now and then a probe."""
        self.sent(connection, server_ms, now)
        host = self._of[connection.endpoint.market]
        if self._limit is not None and now - host.ponged_at >= PROBE_GAP:
            host.ponged_at = now
            self._prove(host, asked, server_ms, now)

    def _prove(self, host: Host, asked: float, server_ms: int, now: float) -> None:
        """The venue said its time, between ``asked`` and now."""
        offset = host.clock.offset
        before = offset.value
        if offset.probe(asked, server_ms, now, host.rise) and before is not None and offset.value is not None:
            self._steps.add(self._venue.id, "proved")
            _log.warn(
                "the clock of {exchange} {market} stepped by {seconds} s",
                exchange=self._venue.id,
                market=host.market.value,
                seconds=(before - offset.value) / 1000,
            )

    def not_probed(self, request: RestRequest) -> None:
        """A probe failed."""
        self._of[request.market].asked.pop(request, None)

    # -- twice a second

    def beat(
        self, connections: Iterable[Connection], streams: Iterable[Stream], now: float, out: list[Output]
    ) -> list[Stream]:
        """Probe where it is time; returns the streams that have become late, or are late no more."""
        if self._limit is None:
            return []
        opened = [each for each in connections if each.opened_at is not None]
        for host in self._hosts:
            self._tend(host, [each for each in opened if self._of[each.endpoint.market] is host], now, out)
        return [each for each in streams if each.judge_delay(*self._least(each, now), self._limit, now)]

    def slept(self, now: float) -> float:
        """Seconds that the machine slept and its monotonic clock does not show; 0.0 where it did not."""
        return self._sleep.beat(self._clock.wall_ms(), now)

    def _tend(self, host: Host, connections: list[Connection], now: float, out: list[Output]) -> None:
        offset = host.clock.offset
        offset.settle(now)
        if offset.assumed != host.assumed:
            host.assumed = offset.assumed
            self._steps.add(self._venue.id, "assumed")
        least = [sample for each in connections if (sample := each.delay.look()) is not None]
        host.rise = min(least) - offset.value if least and offset.value is not None else 0
        wait = PROBE_GAP if host.rise > RISE_MS or offset.is_in_doubt else PROBE_EVERY
        if host.asked:
            wait = ANSWER_WITHIN
        if connections and now - host.probed_at >= wait:
            request = self._venue.probe_request(host.market)
            host.probed_at = now
            host.asked.setdefault(request, now)  # a late answer to the earlier one proves nothing false
            out.append(Fetch(request))

    def _least(self, stream: Stream, now: float) -> tuple[int | None, bool]:
        """The least delay of the stream's connection, also before the stream has been granted: what begins on a late
        connection is late from its first frame. And whether it is of two samples at least."""
        connection = stream.source
        if not isinstance(connection, Connection):
            return None, False
        offset = self._of[connection.endpoint.market].clock.offset
        sample = connection.delay.least(now, offset.stepped_at)
        if sample is None or offset.value is None:
            return None, False
        return max(sample - offset.value, 0), connection.delay.is_borne_out(now, offset.stepped_at)

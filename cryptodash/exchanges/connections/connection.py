"""One connection's bookkeeping: its life, its heartbeat, its subscriptions, and the one frame to send next.

No I/O, and no pacing: whoever carries the bytes says when the next frame may go (``may_send``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field

from cryptodash.exchanges.adapter.messages import Reader
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.adapter.venue import Endpoint, IVenue, Limits
from cryptodash.exchanges.connections.allowance import Allowance
from cryptodash.exchanges.connections.lateness import ConnectionDelay
from cryptodash.exchanges.connections.reconciler import Reconciler
from cryptodash.exchanges.connections.stream import Stream

NEVER = float("inf")
MAX_PINGS = 32
"""Heartbeats remembered that are not answered."""
POISON_WINDOW = 10.0
POISON_MOST = 50
POISON_SHARE = 0.2
POISON_LEAST_FRAMES = 20


@define
class BadFrames:
    """Bad frames of the last ten seconds or so. What one stream sends may cost that stream alone: the frames of the
    worst stream are left out of the account, and a connection is poisoned by several streams, or by none."""

    began: float
    frames_before: int = 0
    bad: int = 0
    by_stream: dict[str, int] = field(factory=dict)
    """Of streams that the connection carries, so that there are no more of them than it may carry."""

    def are_too_many(self, now: float, frames: int, stream: str | None = None) -> bool:
        """Count one bad frame of this stream (None: of none), the ``frames``-th of the connection; True if there are
        too many beside those of the worst stream: over 50 in 10 s, or over a fifth."""
        if now - self.began > POISON_WINDOW:
            self.began, self.frames_before, self.bad = now, frames - 1, 0
            self.by_stream.clear()
        self.bad += 1
        if stream is not None:
            self.by_stream[stream] = self.by_stream.get(stream, 0) + 1
        worst = max(self.by_stream.values(), default=0)
        bad, seen = self.bad - worst, frames - self.frames_before
        return bad > POISON_MOST or (seen >= POISON_LEAST_FRAMES and bad > POISON_SHARE * (seen - worst))


@define(eq=False)
class Routes:
    """Where the frames of a connection go: the streams it should carry. Owned by the group, shared by its connections,
    so that it is never out of date."""

    streams: dict[str, Stream]
    wired: dict[bytes, Stream]
    """The same by name as it stands in a frame."""
    readers: dict[str, Reader]
    """Of these streams and of those that belong to no topic."""
    wanted: dict[str, StreamSpec]
    """What is to be subscribed: the same streams."""

    @classmethod
    def of(cls, endpoint: Endpoint, venue: IVenue) -> Routes:
        """Routes of a new group: only what every connection of the endpoint carries."""
        standing = {spec.name: spec for spec in endpoint.standing}
        return cls({}, {}, {name: venue.reader(spec) for name, spec in standing.items()}, standing)

    def add(self, stream: Stream, reader: Reader) -> None:
        self.streams[stream.name] = self.wired[stream.name.encode()] = stream
        self.readers[stream.name] = reader
        self.wanted[stream.name] = stream.spec

    def add_timed(self, spec: StreamSpec, reader: Reader) -> None:
        """Carry a stream that belongs to no topic, for the times in its frames."""
        self.readers[spec.name] = reader
        self.wanted[spec.name] = spec

    def remove(self, name: str) -> None:
        for routes in (self.streams, self.readers, self.wanted):
            del routes[name]
        del self.wired[name.encode()]


class Connection:
    """One WebSocket to a venue, from the attempt to its end."""

    def __init__(self, key: str, endpoint: Endpoint, limits: Limits, venue: IVenue, routes: Routes, now: float) -> None:
        self.key = key
        self.endpoint = endpoint
        self.limits = limits
        self.routes: Mapping[str, Stream] = routes.streams
        self.wired: Mapping[bytes, Stream] = routes.wired
        self.readers: Mapping[str, Reader] = routes.readers
        self.subscriptions = Reconciler(routes.wanted, limits.args_per_message, self._fits)
        self.opened_at: float | None = None
        self.last = now
        """When it last gave a sign of life."""
        self.framed = now
        """When it last brought a frame."""
        self.frames = 0
        self.good = False
        """Whether data has come."""
        self.settled_at: float | None = None
        """When everything wanted had been answered, for the first time."""
        self.bad_frames = BadFrames(now)
        self.delay = ConnectionDelay()
        self._venue = venue
        self._requests = Allowance(() if limits.requests is None else (limits.requests,))
        self._serial = 0
        self._may_send = False
        self._next_ping = NEVER
        self._pings: dict[str, float] = {}
        """When the heartbeats were sent that are not answered yet, by their ids, oldest first."""
        self._number: int | None = None

    def opened(self, now: float) -> None:
        """The handshake is done: everything wanted is to be subscribed."""
        self.opened_at = self.last = now
        self._may_send = True
        if self.limits.ping_every is not None:
            self._next_ping = now + self.limits.ping_every
        self.subscriptions.begin()

    def is_mute(self, now: float, seconds: float) -> bool:
        """Whether it is open and has given no sign of life for so long."""
        return self.opened_at is not None and now - self.last > seconds

    def changed(self, name: str) -> None:
        """Somebody began or ceased to want the stream."""
        if self.opened_at is not None:
            self.subscriptions.changed(name)

    def resubscribe(self, name: str) -> None:
        """End the stream and begin it again."""
        self.subscriptions.resubscribe(name)

    def is_changing(self, name: str) -> bool:
        """Whether the venue has yet to end the stream, or to begin it."""
        return self.subscriptions.is_changing(name)

    def is_ending(self, name: str) -> bool:
        """Whether what comes of the stream may be of before it is ended."""
        return self.subscriptions.is_ending(name)

    def can_resubscribe(self, now: float) -> bool:
        """Whether the venue's limit of requests leaves room for an ending and a beginning."""
        return self._requests.left(now) >= 2

    def follows(self, number: int) -> bool:
        """Take the number of a frame, where the venue counts them; False if frames are missing before it."""
        last, self._number = self._number, number
        return last is None or number == last + 1

    def ponged(self, now: float, request_id: str = "") -> float | None:
        """The venue answered a heartbeat, the last one where it names none: seconds since it was sent; None if it was
        not, or has been answered. Those before it count as answered too."""
        pinged_at = self._pings.get(request_id or next(reversed(self._pings), ""))
        if pinged_at is not None:
            self._pings = {key: at for key, at in self._pings.items() if at > pinged_at}
        return None if pinged_at is None else now - pinged_at

    # -- what to send

    def may_send(self) -> None:
        """The last frame has left, and as long ago as the venue wants."""
        self._may_send = True

    def is_held_up(self, now: float) -> bool:
        """Whether the venue's limit of requests keeps something from being asked for."""
        return self.subscriptions.has_more and self._requests.free_at() > now

    def due(self) -> float:
        """Monotonic time at which ``next_frame`` or ``subscriptions.expired`` has something to do."""
        if self.opened_at is None:
            return NEVER
        expiry = self.subscriptions.due()
        if not self._may_send:
            return expiry
        waiting = self._requests.free_at() if self.subscriptions.has_more else NEVER
        return min(expiry, self._next_ping, waiting)

    def next_frame(self, now: float) -> bytes | None:
        """The next frame to send, None if there is none or none may go now."""
        if self.opened_at is None or not self._may_send:
            return None
        payload = self._ping(now) or self._request(now)
        if payload is not None:
            self._may_send = False
        elif self.settled_at is None and self.subscriptions.is_settled:
            self.settled_at = now
        return payload

    def _ping(self, now: float) -> bytes | None:
        if now < self._next_ping or self.limits.ping_every is None:
            return None
        self._next_ping = now + self.limits.ping_every
        key = self._next_id()
        self._pings[key] = now
        if len(self._pings) > MAX_PINGS:
            del self._pings[next(iter(self._pings))]
        return self._venue.ping(self.endpoint.key, key)

    def _request(self, now: float) -> bytes | None:
        if not self.subscriptions.has_more or now < self._requests.free_at():
            return None
        key = str(self._serial + 1)
        request = self.subscriptions.next_request(key, now)
        if request is None:
            return None
        self._requests.take(now)
        write = self._venue.subscribe if request.on else self._venue.unsubscribe
        return write(self.endpoint.key, request.names, self._next_id())

    def _fits(self, on: bool, names: Sequence[str]) -> bool:
        """Whether the request about these streams keeps to ``Limits.max_request``."""
        write = self._venue.subscribe if on else self._venue.unsubscribe
        return len(write(self.endpoint.key, names, str(self._serial + 1))) <= self.limits.max_request

    def _next_id(self) -> str:
        self._serial += 1
        return str(self._serial)

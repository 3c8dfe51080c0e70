"""One connection's bookkeeping: which streams the venue has and which it should have,
and what to send next, evenly spaced.

What is wanted (``routes``, owned by the line) is the truth. What the venue has is known from acks alone. Whatever
differs is sent until both are equal, however the wishes changed while a request was on its way. No I/O: the engine
sends what ``next_frame`` returns.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping

from attrs import define, field, frozen

from cryptodash.exchanges.adapter.venue import Endpoint, IVenue, Limits
from cryptodash.exchanges.connections.stream import Stream

ACK_TIMEOUT = 10.0
POISON_WINDOW = 10.0
POISON_MOST = 50
POISON_SHARE = 0.2
POISON_LEAST_FRAMES = 20


class Wire(enum.Enum):
    """What the venue has of a stream; absent: nothing."""

    ASKED = "asked"
    ON = "on"
    LEAVING = "leaving"


@frozen
class Request:
    """A subscribe (``on``) or unsubscribe that waits for its ack. ``again``: it is the second try."""

    on: bool
    names: tuple[str, ...]
    again: bool = False
    expires: float = 0.0


@define
class Settled:
    """What acks and timeouts decided."""

    subscribed: list[str] = field(factory=list)
    rejected: list[str] = field(factory=list)


@define
class Poison:
    """Bad frames of the last ten seconds or so."""

    began: float
    frames_before: int = 0
    bad: int = 0

    def bites(self, now: float, frames: int) -> bool:
        """Count one bad frame, the ``frames``-th of the connection; True if there are too many:
        over 50 in 10 s, or over a fifth."""
        if now - self.began > POISON_WINDOW:
            self.began, self.frames_before, self.bad = now, frames - 1, 0
        self.bad += 1
        seen = frames - self.frames_before
        return self.bad > POISON_MOST or (seen >= POISON_LEAST_FRAMES and self.bad > POISON_SHARE * seen)


class Connection:
    """One WebSocket to a venue, from the attempt to its end."""

    def __init__(
        self,
        key: str,
        endpoint: Endpoint,
        limits: Limits,
        venue: IVenue,
        routes: Mapping[str, Stream],
        wired: Mapping[bytes, Stream],
        now: float,
    ) -> None:
        self.key = key
        self.endpoint = endpoint
        self.limits = limits
        self.routes = routes
        """The streams it should carry, by name: the line's own dict, so a wish is never out of date."""
        self.wired = wired
        """The same by name as it stands in a frame."""
        self.opened_at: float | None = None
        self.last = now
        """When it last gave a sign of life."""
        self.frames = 0
        self.good = False
        """Whether data has come."""
        self.settled_at: float | None = None
        """When everything wanted had been answered, for the first time."""
        self.pinged_at: float | None = None
        self.poison = Poison(now)
        self._venue = venue
        self._wire: dict[str, Wire] = {}
        self._differing: dict[str, None] = {}
        self._again: deque[Request] = deque()
        self._requests: dict[str, Request] = {}
        self._delivered: set[str] = set()
        self._renew: set[str] = set()
        self._serial = 0
        self._next_send = now
        self._next_ping = now

    def opened(self, now: float) -> None:
        """The handshake is done: everything wanted is to be subscribed."""
        self.opened_at = self.last = self._next_send = now
        self._next_ping = now + (self.limits.ping_every or 0.0)
        self._differing = dict.fromkeys(self.routes)

    def changed(self, name: str) -> None:
        """Somebody began or ceased to want the stream."""
        if self.opened_at is not None:
            self._differing[name] = None

    def delivered(self, name: str) -> None:
        """Data came: as good as an ack."""
        self._delivered.add(name)

    def resubscribe(self, name: str) -> None:
        """End the stream and begin it again; if it is being begun, once that is answered."""
        wire = self._wire.get(name)
        if wire is Wire.ON:
            self._delivered.discard(name)
            self._wire[name] = Wire.LEAVING
            self._again.append(Request(on=False, names=(name,)))
        elif wire is Wire.ASKED:
            self._renew.add(name)

    def unwanted(self) -> list[str]:
        """Names that the venue still counts although nobody wants them any more."""
        return [name for name in self._wire if name not in self.routes]

    def has(self, name: str) -> bool:
        """Whether the venue has, or is about to have, the stream on this connection."""
        return name in self._wire

    @property
    def is_settled(self) -> bool:
        """Whether every wish has been answered."""
        return self.opened_at is not None and not (self._differing or self._again or self._requests)

    # -- what to send

    def due(self) -> float:
        """Monotonic time at which ``next_frame`` or ``expired`` has something to do."""
        if self.opened_at is None:
            return float("inf")
        expiry = min((request.expires for request in self._requests.values()), default=float("inf"))
        ping = self._next_ping if self.limits.ping_every is not None else float("inf")
        waiting = self._next_send if self._again or self._differing else float("inf")
        return min(expiry, max(ping, self._next_send), waiting)

    def next_frame(self, now: float) -> bytes | None:
        """The next message to send, None if there is none or it is too early for one."""
        if self.opened_at is None or now < self._next_send:
            return None
        payload = self._ping(now) or self._reconcile(now)
        if payload is not None:
            self._next_send = now + self.limits.message_gap
        elif self.settled_at is None and self.is_settled:
            self.settled_at = now
        return payload

    def _ping(self, now: float) -> bytes | None:
        if self.limits.ping_every is None or now < self._next_ping:
            return None
        self._next_ping = now + self.limits.ping_every
        self.pinged_at = now
        return self._venue.ping(self.endpoint.key, self._next_id())

    def _reconcile(self, now: float) -> bytes | None:
        request = self._repeat() or self._first_difference()
        if request is None:
            return None
        names = request.names
        if not request.again:
            self._delivered.difference_update(names)  # what came before says nothing about this request
        for name in names:
            self._wire[name] = Wire.ASKED if request.on else Wire.LEAVING
        key = self._next_id()
        self._requests[key] = Request(request.on, names, request.again, now + ACK_TIMEOUT)
        write = self._venue.subscribe if request.on else self._venue.unsubscribe
        return write(self.endpoint.key, names, key)

    def _repeat(self) -> Request | None:
        """A request that has to be made (again), less the names about which the wish has changed meanwhile."""
        while self._again:
            request = self._again.popleft()
            if not request.on:
                # An ending that was refused or not answered may have happened or not:
                # make sure, whatever is wanted now.
                return request
            names = tuple(name for name in request.names if name in self.routes)
            for name in set(request.names).difference(names):
                if not request.again:
                    del self._wire[name]  # refused as a whole: nothing was subscribed
                else:
                    self._wire[name] = Wire.ON  # perhaps; ending what is not there does no harm
                    self.changed(name)
            if names:
                return Request(request.on, names, request.again)
        return None

    def _first_difference(self) -> Request | None:
        """A batch of what differs, endings first: they make room."""
        begin: list[str] = []
        end: list[str] = []
        for name in list(self._differing):
            wire = self._wire.get(name)
            if wire is None and name in self.routes:
                begin.append(name)
            elif wire is Wire.ON and name not in self.routes:
                end.append(name)
            else:
                del self._differing[name]  # equal already, or looked at again when the answer comes
            if max(len(begin), len(end)) == self.limits.args_per_message:
                break
        names = tuple(end or begin)
        for name in names:
            del self._differing[name]
        return Request(on=not end, names=names) if names else None

    def _next_id(self) -> str:
        self._serial += 1
        return str(self._serial)

    # -- what came back

    def answered(self, key: str, ok: bool, reason: str) -> Settled | None:
        """An ack came; None if it answers nothing that was asked."""
        request = self._requests.pop(key, None)
        if request is None:
            return None
        settled = Settled()
        # "already subscribed": seen after a partial reconnect; what was wanted is so.
        if ok or (len(request.names) == 1 and request.on and "already subscribed" in reason.lower()):
            self._take_effect(request, settled)
        elif len(request.names) > 1:
            self._halve(request)
        elif request.on:
            self._refuse(request.names[0], settled)
        else:
            self._take_effect(request, settled)  # what cannot be ended is not there
        return settled

    def expired(self, now: float) -> tuple[Settled, int]:
        """Requests without an answer for ten seconds: once more, then given up. Also how many there were."""
        settled = Settled()
        late = [key for key, request in self._requests.items() if request.expires <= now]
        for key in late:
            request = self._requests.pop(key)
            heard = tuple(name for name in request.names if request.on and name in self._delivered)
            missing = tuple(name for name in request.names if name not in heard)
            if heard:
                self._take_effect(Request(on=True, names=heard), settled)
            if missing and not request.again:
                self._again.append(Request(request.on, missing, again=True))
            elif missing and request.on:
                for name in missing:
                    self._refuse(name, settled)
                    self._wire[name] = Wire.ON  # perhaps it came into effect all the same: it will be ended
            elif missing:
                self._take_effect(Request(on=False, names=missing), settled)
        return settled, len(late)

    def _take_effect(self, request: Request, settled: Settled) -> None:
        for name in request.names:
            if request.on:
                self._wire[name] = Wire.ON
                settled.subscribed.append(name)
            else:
                self._wire.pop(name, None)
            if (name in self.routes) is not request.on:
                self._differing[name] = None
            elif name in self._renew:
                self.resubscribe(name)
            self._renew.discard(name)

    def _halve(self, request: Request) -> None:
        """One bad name refuses a whole request at some venues: two smaller ones find it."""
        middle = len(request.names) // 2
        for names in (request.names[:middle], request.names[middle:]):
            self._again.append(Request(request.on, names, request.again))

    def _refuse(self, name: str, settled: Settled) -> None:
        self._wire.pop(name, None)
        self._renew.discard(name)
        if name in self.routes:
            settled.rejected.append(name)

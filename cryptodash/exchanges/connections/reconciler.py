"""Which streams the venue has on one connection and which it should have: asks for the difference until both are equal.

What is wanted is the truth. What the venue has is known from its answers alone: one for a whole request, one for each
of its streams, or a list of everything the connection carries, with a request's id or without (``messages.Ack``,
``Subscribed``). Pure: no socket, no pacing; times are monotonic seconds.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping

from attrs import evolve

from cryptodash.exchanges.adapter.messages import Ack
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.connections.request import Fits, Request, Settled, fitting

ACK_TIMEOUT = 10.0
_MOST_UNENDING = 100


class AtVenue(enum.Enum):
    """What the venue has of a stream; absent: nothing."""

    ASKED = "asked"
    ON = "on"
    LEAVING = "leaving"


class Reconciler:
    """One connection's subscriptions. ``wanted`` is the group's own mapping, so it is never out of date."""

    def __init__(
        self,
        wanted: Mapping[str, StreamSpec],
        most: int,
        fits: Fits = lambda on, names: True,
    ) -> None:
        """``most``: streams per request."""
        self._wanted = wanted
        self._most = most
        self._fits = fits
        self._at_venue: dict[str, AtVenue] = {}
        self._specs: dict[str, StreamSpec] = {}
        """Of the streams in ``_at_venue``, wanted or not."""
        self._differing: dict[str, None] = {}
        self._again: deque[Request] = deque()
        self._requests: dict[str, Request] = {}
        self._delivered: set[str] = set()
        self._renew: set[str] = set()
        self._unending: dict[str, None] = {}
        """Streams that the venue would not end; the newest."""

    # -- what changes

    def begin(self) -> None:
        """The connection is up: everything wanted is to be subscribed."""
        self._differing = dict.fromkeys(self._wanted)

    def changed(self, name: str) -> None:
        """Somebody began or ceased to want the stream."""
        self._differing[name] = None

    def delivered(self, name: str) -> None:
        """Data came: as good as an answer."""
        self._delivered.add(name)

    def resubscribe(self, name: str) -> None:
        """End the stream and begin it again; if it is being begun, once that is answered."""
        state = self._at_venue.get(name)
        if state is AtVenue.ON:
            self._delivered.discard(name)
            self._at_venue[name] = AtVenue.LEAVING
            self._again.append(Request(on=False, names=(name,)))
        elif state is AtVenue.ASKED:
            self._renew.add(name)

    # -- what is so

    def unwanted(self) -> list[StreamSpec]:
        """Streams that the venue still counts although nobody wants them any more."""
        return [self._specs[name] for name in self._at_venue if name not in self._wanted]

    def has(self, name: str) -> bool:
        """Whether the venue has, or is about to have, the stream on this connection."""
        return name in self._at_venue

    def is_unending(self, name: str) -> bool:
        """Whether the venue would not end the stream, and may go on with it (one whose instrument was renamed)."""
        return name in self._unending

    def is_changing(self, name: str) -> bool:
        """Whether the venue has yet to answer that it has ended or begun the stream."""
        return self._at_venue.get(name) is not AtVenue.ON or name in self._renew

    def is_ending(self, name: str) -> bool:
        """Whether what comes of the stream may be of before it is ended."""
        return self._at_venue.get(name) is AtVenue.LEAVING or name in self._renew

    @property
    def has_all(self) -> bool:
        """Whether the venue has granted, or sent, everything that is wanted."""
        return all(self._at_venue.get(name) is AtVenue.ON or name in self._delivered for name in self._wanted)

    @property
    def is_settled(self) -> bool:
        """Whether everything asked for has been answered, and there is nothing left to ask for."""
        return not (self._differing or self._again or self._requests)

    @property
    def has_more(self) -> bool:
        """Whether there is something to ask for now."""
        return bool(self._again or self._differing)

    @property
    def waiting(self) -> list[str]:
        """Wanted streams that have not been asked for yet."""
        return [name for name in self._differing if name in self._wanted and name not in self._at_venue]

    # -- what to ask for

    def next_request(self, key: str, now: float) -> Request | None:
        """The next request to make, which is then under way by the id ``key``; None if there is nothing to ask for."""
        request = self._repeat() or self._first_difference()
        if request is None:
            return None
        if not request.again:
            self._delivered.difference_update(request.names)  # what came before says nothing about this request
        for name in request.names:
            self._at_venue[name] = AtVenue.ASKED if request.on else AtVenue.LEAVING
            if name in self._wanted:
                self._specs[name] = self._wanted[name]
        self._requests[key] = evolve(request, expires=now + ACK_TIMEOUT)
        return request

    def _repeat(self) -> Request | None:
        """A request that has to be made (again), less the names that are wanted otherwise by now."""
        while self._again:
            request = self._again.popleft()
            if not request.on:
                # An ending that was refused or not answered may have happened or not: make sure, whatever is wanted
                # now.
                return self._shortened(request)
            names = tuple(name for name in request.names if name in self._wanted)
            for name in (each for each in request.names if each not in self._wanted):
                if not request.again:
                    self._gone(name)  # refused as a whole: nothing was subscribed
                else:
                    self._at_venue[name] = AtVenue.ON  # perhaps; ending what is not there does no harm
                    self.changed(name)
            if names:
                return self._shortened(Request(request.on, names, request.again))
        return None

    def _first_difference(self) -> Request | None:
        """Some of what differs, of one batch; endings first: they make room."""
        begin: list[str] = []
        end: list[str] = []
        for name in list(self._differing):
            state = self._at_venue.get(name)
            if state is None and name in self._wanted:
                self._collect(begin, name, self._wanted[name].batch)
            elif state is AtVenue.ON and name not in self._wanted:
                self._collect(end, name, self._specs[name].batch)
            else:
                del self._differing[name]  # equal already, or looked at again when the answer comes
            if len(end) == self._most:
                break
        names = tuple(end or begin)
        names = names[: fitting(self._fits, not end, names)]
        for name in names:
            del self._differing[name]
        return Request(on=not end, names=names) if names else None

    def _shortened(self, request: Request) -> Request:
        """As much of a repetition as fits into one frame; the rest comes next."""
        count = fitting(self._fits, request.on, request.names)
        if count == len(request.names):
            return request
        self._again.appendleft(evolve(request, names=request.names[count:]))
        return evolve(request, names=request.names[:count])

    def _collect(self, names: list[str], name: str, batch: str) -> None:
        """Add the name if there is room for it in the frame, and it may stand in one with the others."""
        if len(names) == self._most:
            return
        first = self._wanted.get(names[0]) or self._specs[names[0]] if names else None
        if first is None or first.batch == batch:
            names.append(name)

    # -- what came back

    def answered(self, ack: Ack) -> Settled | None:
        """An answer came; None if it answers nothing that was asked."""
        key = self._request_of(ack)
        if key is None:
            return None
        request = self._requests[key]
        names = self._named(ack, request)
        if not names:
            return None
        self._remain(key, request, names)
        part = evolve(request, names=names)
        settled = Settled()
        is_whole = not (ack.streams or ack.argument)
        if ack.ok or (ack.already and request.on and not (is_whole and len(names) > 1)):
            self._take_effect(part, settled)
        elif is_whole and len(names) > 1:
            self._halve(part)
        elif request.on:
            for name in names:
                self._refuse(name, settled)
        else:
            self._take_effect(part, settled)  # what cannot be ended is not there, or goes on unasked
            self._note_unending(names)
        return settled

    def listed(self, streams: Iterable[str]) -> Settled:
        """An answer lists everything the connection carries: see what of the open requests that answers."""
        carried, settled = frozenset(streams), Settled()
        for key, request in list(self._requests.items()):
            names = tuple(name for name in request.names if (name in carried) is request.on)
            self._remain(key, request, names)
            self._take_effect(evolve(request, names=names), settled)
        return settled

    def expired(self, now: float) -> tuple[Settled, int]:
        """Requests without an answer for ten seconds: once more, then given up. Also how many there were."""
        settled = Settled()
        late = [key for key, request in self._requests.items() if request.expires <= now]
        for key in late:
            self._give_up(self._requests.pop(key), settled)
        return settled, len(late)

    def overdue(self, now: float) -> list[tuple[str, float]]:
        """What ``expired`` is about to decide of beginnings: names, and when they were asked for."""
        late = (each for each in self._requests.values() if each.on and each.expires <= now)
        return [(name, each.expires - ACK_TIMEOUT) for each in late for name in each.names]

    def gives_up(self, now: float) -> bool:
        """Whether ``expired`` is about to reject something that has been asked for twice."""
        return any(each.on and each.again and each.expires <= now for each in self._requests.values())

    def due(self) -> float:
        """Monotonic time at which ``expired`` has something to do."""
        return min((request.expires for request in self._requests.values()), default=float("inf"))

    def _request_of(self, ack: Ack) -> str | None:
        """The id of the request that this answers."""
        if ack.request_id:
            return ack.request_id if ack.request_id in self._requests else None
        return next((key for key, each in self._requests.items() if self._named(ack, each)), None)

    def _named(self, ack: Ack, request: Request) -> tuple[str, ...]:
        """The streams of the request that the answer speaks of."""
        if ack.streams:
            return tuple(name for name in request.names if name in ack.streams)
        if ack.argument:
            return tuple(name for name in request.names if self._specs[name].argument == ack.argument)
        return request.names

    def _remain(self, key: str, request: Request, names: tuple[str, ...]) -> None:
        """These names of the request are answered; it stays open for the others."""
        rest = tuple(name for name in request.names if name not in names)
        if rest:
            self._requests[key] = evolve(request, names=rest)
        else:
            del self._requests[key]

    def _give_up(self, request: Request, settled: Settled) -> None:
        heard = tuple(name for name in request.names if request.on and name in self._delivered)
        missing = tuple(name for name in request.names if name not in heard)
        if heard:
            self._take_effect(Request(on=True, names=heard), settled)
        if missing and not request.again:
            self._again.append(Request(request.on, missing, again=True))
        elif missing and request.on:
            for name in missing:
                spec = self._specs[name]
                self._refuse(name, settled)
                self._at_venue[name], self._specs[name] = AtVenue.ON, spec  # perhaps it took effect: end it
                self.changed(name)
        elif missing:
            self._take_effect(Request(on=False, names=missing), settled)

    def _take_effect(self, request: Request, settled: Settled) -> None:
        for name in request.names:
            if request.on:
                self._at_venue[name] = AtVenue.ON
                settled.subscribed.append(name)
            else:
                self._gone(name)
            if (name in self._wanted) is not request.on:
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
        self._gone(name)
        if name in self._wanted:
            settled.rejected.append(name)

    def _note_unending(self, names: Iterable[str]) -> None:
        for name in names:
            self._unending[name] = None
        while len(self._unending) > _MOST_UNENDING:
            del self._unending[next(iter(self._unending))]

    def _gone(self, name: str) -> None:
        """The venue has nothing of the stream."""
        self._at_venue.pop(name, None)
        self._specs.pop(name, None)
        self._renew.discard(name)
